//! `tidemill ctl`: asks and commands a running pipeline through its dashboard.

use crate::args::{CtlAction, CtlOptions};
use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use tidemill_dash::client;
use tidemill_load::text;
use tidemill_model::pipeline::ScaleMode;
use tidemill_model::scale_change::ScaleChange;
use tidemill_model::status::{Command, Status};
use tidemill_model::{Error, Result};
use tidemill_os::output;

pub(crate) fn run(options: &CtlOptions) -> Result<()> {
    let address = &options.dashboard;
    let command = match &options.action {
        CtlAction::Status { json } => return status(address, *json),
        CtlAction::Set { changes } => Command::Scale(change(changes)?),
        CtlAction::Pin { executors } => Command::Pin(*executors),
        CtlAction::Unpin => Command::Unpin,
        CtlAction::Stop => Command::Stop,
    };
    let body = serde_json::to_string(&command).expect("a command is plain data");
    ask(address, "POST /api/command", &body)?;
    output::line("done; `tidemill ctl status` shows what holds now");
    Ok(())
}

fn status(address: &str, json: bool) -> Result<()> {
    let text = ask(address, "GET /api/status", "")?;
    if json {
        output::line(&text);
        return Ok(());
    }
    let status: Status = serde_json::from_str(&text)
        .map_err(|error| Error::external(format!("{address} answers with no status ({error}); is that a Tidemill?")))?;
    output::line(&lines(&status));
    Ok(())
}

fn lines(status: &Status) -> String {
    let mode = match status.executors_pinned {
        Some(size) => format!("pinned to {size}"),
        None => format!("{:?}", status.mode).to_lowercase(),
    };
    let decision = status.decisions.last();
    let decision = decision.map_or("none yet".into(), |line| format!("{} -> {}: {}", line.from, line.to, line.reason));
    format!(
        "pipeline       {}: {}\n\
         mode           {mode}\n\
         executors      {} of {} wanted; {} to {} allowed\n\
         slo            {} ms; age p50 {} ms, p99 {} ms\n\
         backlog        {} records; {:.0}/s arrive, {:.0}/s are processed\n\
         limits         {}\n\
         last decision  {decision}",
        status.name,
        status.activity,
        status.executors.len(),
        status.executors_target,
        status.executors_min,
        status.executors_max,
        status.slo_ms,
        status.age_p50_ms,
        status.age_p99_ms,
        status.backlog,
        status.rate_in,
        status.rate_done,
        status.limits,
    )
}

fn change(changes: &[(String, String)]) -> Result<ScaleChange> {
    let mut change = ScaleChange::default();
    for (key, value) in changes {
        let wrong = |what: &str| Error::user(format!("{key}={value}: {what}"));
        let number = || value.parse::<u32>().map_err(|_| wrong("give a whole number"));
        match key.as_str() {
            "mode" => {
                let mode = serde_json::from_value::<ScaleMode>(value.as_str().into());
                change.mode = Some(mode.map_err(|_| wrong("give active, advisory or pinned"))?);
            }
            "min_executors" => change.min_executors = Some(number()?),
            "max_executors" => change.max_executors = Some(number()?),
            "slo" => change.slo_ms = Some(text::duration(value).map_err(Error::user)?.as_millis() as u64),
            _ => return Err(wrong("there are mode, min_executors, max_executors and slo")),
        }
    }
    Ok(change)
}

/// One request to the dashboard, as its own page would make it; its answer, or what it refuses.
fn ask(address: &str, request: &str, body: &str) -> Result<String> {
    let cannot = |error: std::io::Error| {
        Error::external(format!(
            "no dashboard answers on {address}: {error}; name the run's with --dashboard ADDRESS:PORT"
        ))
    };
    let place = address.to_socket_addrs().map_err(cannot)?.next();
    let place = place.ok_or_else(|| Error::user(format!("{address} is no address; write ADDRESS:PORT")))?;
    match client::ask(place, request, body) {
        Ok(answer) if answer.code == 200 => Ok(answer.body),
        Ok(answer) => Err(Error::user(answer.body.trim_end().to_owned())),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(Error::external(format!(
            "{address} does not answer as a dashboard does; name the run's with --dashboard"
        ))),
        Err(error) => Err(cannot(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: std::result::Result<&str, &str>) {
        let pairs: Vec<(String, String)> = text
            .split_whitespace()
            .map(|pair| pair.split_once('=').map(|(key, value)| (key.into(), value.into())).expect("KEY=VALUE"))
            .collect();
        let answer = change(&pairs).map(|change| serde_json::to_string(&Command::Scale(change)).expect("plain data"));
        assert_eq!(answer.as_deref().map_err(Error::message), expected, "{text}");
    }

    #[test]
    fn changes_are_read() {
        let json = r#"{"scale":{"mode":"advisory","min_executors":1,"max_executors":3,"slo_ms":5000}}"#;
        check("mode=advisory min_executors=1 max_executors=3 slo=5s", Ok(json));
        check("mode=on", Err("mode=on: give active, advisory or pinned"));
        check("min_executors=-1", Err("min_executors=-1: give a whole number"));
        check("cores=2", Err("cores=2: there are mode, min_executors, max_executors and slo"));
    }
}
