//! Plots as SVG, without a library: four panels over one time axis, or a curve.
//!
//! A plotting library would add fonts and rasterisers to the binary for a few polylines.

use crate::compare::Figures;
use crate::outcome::Outcome;
use crate::trace::Trace;
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const PANEL: f64 = 130.0;
const GAP: f64 = 34.0;
const TOP: f64 = 52.0;
/// Room for the label of a point: width, height.
const LABEL: f64 = 110.0;
const LINE: f64 = 14.0;
/// More points than pixels add nothing.
const POINTS_MAX: usize = 800;
const COLOURS: [&str; 8] = ["#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#846358", "#868e96", "#1864ab"];

/// Load, size by policy, backlog and age over time.
pub fn timeline(trace: &Trace, answers: &[(Figures, Outcome)], slo_ms: u64) -> String {
    let mut svg = Svg::new(TOP + 4.0 * (PANEL + GAP) + 16.0);
    let names: Vec<&str> = answers.iter().map(|(figures, _)| figures.policy.as_str()).collect();
    svg.legend(&names);
    let seconds = trace.seconds() as f64;
    let of = |pick: &dyn Fn(&crate::Sample) -> f64| -> Vec<Vec<f64>> {
        answers.iter().map(|(_, outcome)| outcome.samples.iter().map(pick).collect()).collect()
    };
    svg.panel(0, "load, records/s", seconds, std::slice::from_ref(&trace.arrivals), None);
    svg.panel(1, "executors", seconds, &of(&|sample| f64::from(sample.size)), None);
    svg.panel(2, "backlog, records", seconds, &of(&|sample| sample.backlog), None);
    let slo_s = slo_ms as f64 / 1000.0;
    svg.panel(3, "oldest waiting record, s (dashed: slo)", seconds, &of(&|s| s.oldest_ms as f64 / 1000.0), Some(slo_s));
    svg.end()
}

/// Executor-seconds against the 99th percentile of ages, one point per swept value.
pub fn curve(key: &str, points: &[(String, Figures)]) -> String {
    let mut svg = Svg::new(TOP + 3.0 * PANEL + GAP);
    let (height, bottom) = (3.0 * PANEL, TOP + 3.0 * PANEL);
    let most = |pick: fn(&Figures) -> f64| points.iter().map(|(_, f)| pick(f)).fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let (x_most, y_most) = (most(|f| f.age_p99_s), most(|f| f.executor_seconds));
    svg.text(LEFT, 20.0, &format!("executor-seconds (up) against age p99, s (right), by {key}"));
    svg.frame(TOP, height, 0.0, y_most);
    svg.text(WIDTH - RIGHT - 40.0, bottom + 18.0, &number(x_most));
    let at = |figures: &Figures| {
        let x = LEFT + (WIDTH - LEFT - RIGHT) * figures.age_p99_s / x_most;
        (x, bottom - height * figures.executor_seconds / y_most)
    };
    let line: Vec<(f64, f64)> = points.iter().map(|(_, figures)| at(figures)).collect();
    svg.line(&line, COLOURS[0], "");
    let mut labels: Vec<(f64, f64)> = Vec::new();
    for (value, figures) in points {
        let (x, y) = at(figures);
        let _ = write!(svg.0, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{}\"/>", COLOURS[0]);
        let (x, mut y) = ((x + 5.0).min(WIDTH - RIGHT - LABEL), y - 6.0);
        // Points that lie together have their labels below each other.
        while labels.iter().any(|(left, top)| (left - x).abs() < LABEL && (top - y).abs() < LINE) {
            y += LINE;
        }
        labels.push((x, y));
        svg.text(x, y, &format!("{value}: {:.2} % late", figures.late_percent));
    }
    svg.end()
}

struct Svg(String);

impl Svg {
    fn new(height: f64) -> Svg {
        let mut svg = Svg(String::new());
        let _ = write!(
            svg.0,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\"><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>"
        );
        svg
    }

    fn legend(&mut self, names: &[&str]) {
        for (index, name) in names.iter().enumerate() {
            let x = LEFT + index as f64 * 105.0;
            let colour = COLOURS[index.min(COLOURS.len() - 1)];
            let _ = write!(self.0, "<rect x=\"{x}\" y=\"10\" width=\"14\" height=\"4\" fill=\"{colour}\"/>");
            self.text(x + 18.0, 16.0, name);
        }
    }

    fn panel(&mut self, row: usize, title: &str, seconds: f64, series: &[Vec<f64>], mark: Option<f64>) {
        let top = TOP + row as f64 * (PANEL + GAP);
        let seen = series.iter().flatten().copied().fold(0.0, f64::max);
        let most = (seen.max(mark.unwrap_or(0.0)) * 1.05).max(1.0);
        self.text(LEFT, top - 6.0, title);
        self.frame(top, PANEL, seconds, most);
        let y = |value: f64| top + PANEL * (1.0 - value / most);
        for (index, values) in series.iter().enumerate() {
            let points: Vec<(f64, f64)> = steps(values, seconds).into_iter().map(|(x, value)| (x, y(value))).collect();
            self.line(&points, COLOURS[index.min(COLOURS.len() - 1)], "");
        }
        if let Some(mark) = mark {
            self.line(&[(LEFT, y(mark)), (WIDTH - RIGHT, y(mark))], "#c92a2a", " stroke-dasharray=\"5 4\"");
        }
    }

    /// Axes labelled at their ends. With `seconds` = 0 there is no time axis.
    fn frame(&mut self, top: f64, height: f64, seconds: f64, most: f64) {
        let (right, bottom) = (WIDTH - RIGHT, top + height);
        self.line(&[(LEFT, top), (LEFT, bottom), (right, bottom)], "#adb5bd", "");
        self.text(4.0, top + 10.0, &number(most));
        self.text(4.0, bottom, "0");
        for part in 0..=4 {
            if seconds > 0.0 {
                let share = f64::from(part) / 4.0;
                let x = LEFT + share * (right - LEFT) - if part == 4 { 22.0 } else { 12.0 };
                self.text(x, bottom + 14.0, &format!("{:.0} s", share * seconds));
            }
        }
    }

    fn line(&mut self, points: &[(f64, f64)], colour: &str, more: &str) {
        let points: String = points.iter().map(|(x, y)| format!("{x:.1},{y:.1} ")).collect();
        let points = points.trim_end();
        let _ = write!(
            self.0,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\"{more}/>"
        );
    }

    fn text(&mut self, x: f64, y: f64, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = write!(self.0, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"#343a40\">{text}</text>");
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// A step line of (x, value). Of many values it shows the greatest in each interval.
fn steps(values: &[f64], seconds: f64) -> Vec<(f64, f64)> {
    let width = values.len().div_ceil(POINTS_MAX).max(1);
    let x = |second: usize| LEFT + (WIDTH - LEFT - RIGHT) * second as f64 / seconds.max(1.0);
    let stretch = |(index, part): (usize, &[f64])| {
        let value = part.iter().copied().fold(0.0, f64::max);
        [(x(index * width), value), (x(index * width + part.len()), value)]
    };
    let mut points: Vec<(f64, f64)> = Vec::new();
    for point in values.chunks(width).enumerate().flat_map(stretch) {
        // The middle of a level stretch adds nothing.
        if points.len() > 1 && points.iter().rev().take(2).all(|before| before.1 == point.1) {
            points.pop();
        }
        points.push(point);
    }
    points
}

fn number(value: f64) -> String {
    if value >= 10_000.0 { format!("{:.0}k", value / 1000.0) } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{CompareSettings, Rule};

    #[test]
    fn a_plot_is_well_formed_and_has_all_series() {
        let question =
            CompareSettings { per_executor: 5_000.0, slo_ms: 10_000, start_ms: 25, max: 4, price: 0.1, turn_s: None };
        let trace = Trace::new("t", vec![7_000.0; 1_700]);
        let rules = Rule::parse("all", 4).expect("rules");
        let answers = question.answer(&trace, &rules);
        let svg = timeline(&trace, &answers, 10_000);
        assert_eq!(svg.matches("<polyline").count(), 1 + 3 * rules.len() + 4 + 1, "load, series, axes, slo");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let level = steps(&[2.0; 60], 60.0);
        assert_eq!(level.len(), 2, "a level stretch is one line: {level:?}");
        assert_eq!(steps(&[2.0, 2.0, 3.0], 3.0).len(), 4);
        let figures = vec![("5s".to_owned(), answers[0].0.clone()), ("<10s".to_owned(), answers[1].0.clone())];
        let svg = curve("slo", &figures);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("&lt;10s: "));
    }
}
