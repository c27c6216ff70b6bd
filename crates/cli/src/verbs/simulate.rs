//! `tidemill simulate TRACE.csv`: what a load would have cost in the fluid model, by Tidemill's policy and by others.

use crate::args::SimulateOptions;
use crate::usage;
use crate::usage::UsagePeriod;
use std::path::Path;
use tidemill_load::text;
use tidemill_model::{Error, Result};
use tidemill_os::output;
use tidemill_simulate::Trace;
use tidemill_simulate::compare::{CompareSettings, Figures, Rule, table, with_noise};
use tidemill_simulate::plot;

/// A longer gap between two runs is not simulated.
const GAP_SECONDS_MAX: i64 = 60;

pub(crate) fn run(options: &SimulateOptions) -> Result<()> {
    let mut trace = load(options)?;
    if let Some(seed) = options.seed {
        trace = with_noise(&trace, seed);
    }
    let question = CompareSettings {
        per_executor: options.capacity_per_executor,
        slo_ms: options.slo.as_millis() as u64,
        start_ms: options.start_time.as_millis() as u64,
        max: options.max_executors,
        price: options.price,
        turn_s: None,
    };
    let rules = Rule::parse(&options.policy, options.max_executors)?;
    let (label, rows, svg) = match &options.sweep {
        Some((key, values)) => {
            let rows = sweep(&question, &trace, &rules, key, values)?;
            let svg = plot::curve(key, &rows);
            (key.as_str(), rows, svg)
        }
        None => {
            let answers = question.answer(&trace, &rules);
            let svg = plot::timeline(&trace, &answers, question.slo_ms);
            let rows = answers.into_iter().map(|(figures, _)| (figures.policy.clone(), figures)).collect();
            ("policy", rows, svg)
        }
    };
    if options.json {
        output::line(&json(label, &rows));
    } else {
        output::line(&format!("{}: {} s, {:.0} records", trace.name, trace.seconds(), trace.records()));
        output::line(table(label, &rows).trim_end());
    }
    if let Some(path) = &options.plot {
        write(path, &svg)?;
    }
    if let Some(path) = &options.decisions {
        let line = |record| serde_json::to_string(record).expect("plain data") + "\n";
        write(path, &question.decisions(&trace).iter().map(line).collect::<String>())?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)
        .map_err(|error| Error::user(format!("cannot write {}: {error}; give another path", path.display())))
}

fn json(label: &str, rows: &[(String, Figures)]) -> String {
    let row = |(name, figures): &(String, Figures)| {
        let mut value = serde_json::to_value(figures).expect("figures are plain data");
        if label != "policy" {
            value[label] = name.as_str().into();
        }
        value
    };
    serde_json::to_string_pretty(&rows.iter().map(row).collect::<Vec<_>>()).expect("plain data")
}

/// One policy with one value after the other.
fn sweep(
    question: &CompareSettings,
    trace: &Trace,
    rules: &[Rule],
    key: &str,
    values: &[String],
) -> Result<Vec<(String, Figures)>> {
    let mut rows = Vec::new();
    for value in values {
        let time = text::duration(value).map_err(Error::user)?;
        let mut question = question.clone();
        match key {
            "slo" => question.slo_ms = time.as_millis() as u64,
            "start-time" => question.start_ms = time.as_millis() as u64,
            "turn" => question.turn_s = Some(time.as_secs_f64()),
            _ => return Err(Error::user(format!("`{key}` cannot be varied; give slo, start-time or turn"))),
        }
        for (figures, _) in question.answer(trace, rules) {
            let name = if rules.len() > 1 { format!("{value} {}", figures.policy) } else { value.clone() };
            rows.push((name, figures));
        }
    }
    Ok(rows)
}

fn load(options: &SimulateOptions) -> Result<Trace> {
    match (&options.trace, &options.from) {
        (Some(path), None) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Error::user(format!("cannot read {name}: {error}; give a CSV file")))?;
            Trace::from_csv(&name, &text)
        }
        (None, Some(dir)) => past(dir, &usage::read(dir, true)?),
        _ => Err(Error::user("give a trace, or --from with the checkpoint directory of a run")),
    }
}

/// The load of a run, second by second. Arrivals of a period are spread evenly over it.
fn past(dir: &Path, periods: &[UsagePeriod]) -> Result<Trace> {
    let mut arrivals: Vec<f64> = Vec::new();
    let mut end_ms = periods.first().map_or(0, |first| first.at_ms);
    for period in periods {
        let gap = ((period.at_ms - end_ms) / 1000).clamp(0, GAP_SECONDS_MAX);
        arrivals.extend(std::iter::repeat_n(0.0, gap as usize));
        let seconds = period.seconds.round().max(1.0);
        arrivals.extend(std::iter::repeat_n(period.arrived as f64 / seconds, seconds as usize));
        end_ms = period.at_ms + (period.seconds * 1000.0) as i64;
    }
    if arrivals.is_empty() {
        return Err(Error::user(format!("{} has no load of a run yet; let it run for a while", dir.display())));
    }
    Ok(Trace::new(&dir.display().to_string(), arrivals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_past_run_is_a_trace() {
        let period = |at_ms, seconds, arrived| UsagePeriod { at_ms, seconds, arrived, ..UsagePeriod::default() };
        let trace = past(Path::new("c"), &[period(0, 2.0, 10), period(2_000, 1.0, 4), period(5_000, 1.0, 0)]);
        assert_eq!(trace.expect("a load").arrivals, [5.0, 5.0, 4.0, 0.0, 0.0, 0.0]);
    }
}
