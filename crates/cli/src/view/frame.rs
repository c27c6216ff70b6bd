//! Renders a run as lines of styled text, for any size of terminal. Pure.
//!
//! The page is a column of blocks. Each block has a least number of lines. A low terminal omits later blocks; a high
//! one gives the remaining lines to the results.

use super::samples::{Sample, SampleHistory};
use super::text::{clean, count, cut, decimals, duration, rate, width as columns_of};
use tidemill_model::status::{ExecutorStatus, Status};

/// A colour by its meaning, the same meanings as on the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// The terminal's default.
    Plain,
    /// The most important text.
    Strong,
    /// Text around the figures.
    Quiet,
    /// Arrival.
    In,
    /// Processing.
    Done,
    /// Backlog.
    Backlog,
    /// Executors and decisions.
    Fleet,
}

/// Text in one colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// One line, never wider than the terminal.
pub(super) type Line = Vec<Span>;

/// Everything that a frame shows.
pub(super) struct Screen<'a> {
    pub(super) title: &'a str,
    pub(super) status: &'a Status,
    pub(super) extra: &'a [String],
    pub(super) notes: &'a [String],
    pub(super) samples: &'a SampleHistory,
}

/// A block of the page: lines in order, and its least number of lines if it is shown.
struct Block {
    lines: Vec<Line>,
    min: usize,
    /// From this height of the terminal on, a blank line separates it from the block above.
    apart: usize,
}

/// Heights from which on blocks are separated: the main blocks, and all.
const ROOMY: usize = 20;
const VERY_ROOMY: usize = 30;

/// Lines of decisions, with their title, before the results get the rest; fewer on a low terminal.
const DECISIONS_FIRST: usize = 5;
const DECISIONS_LOW: usize = 2;

/// Renders a frame of at most `height` lines.
pub(super) fn render(scene: &Screen, width: usize, height: usize) -> Vec<Line> {
    let decisions_first = if height < ROOMY { DECISIONS_LOW } else { DECISIONS_FIRST };
    let blocks = vec![
        block(head(scene, width), usize::MAX, ROOMY),
        block(figures(scene.status), usize::MAX, ROOMY),
        block(fleet(scene.status), usize::MAX, VERY_ROOMY),
        block(trails(scene, width), usize::MAX, ROOMY),
        block(decisions(scene.status, width), decisions_first, ROOMY),
        block(results(scene.status, width), 3, ROOMY),
        block(notes(scene.notes, width), usize::MAX, VERY_ROOMY),
    ];
    let mut lines = stack(blocks, height);
    for line in &mut lines {
        clip(line, width);
    }
    lines
}

fn block(lines: Vec<Line>, min: usize, apart: usize) -> Block {
    let min = min.min(lines.len());
    Block { lines, min, apart }
}

/// Stacks the blocks: first their least lines, from the top; then the remaining lines from the bottom, so that results
/// grow before older decisions reappear. The first block is always shown.
fn stack(mut blocks: Vec<Block>, height: usize) -> Vec<Line> {
    blocks.retain(|block| !block.lines.is_empty());
    let gap = |i: usize, block: &Block| usize::from(i > 0 && height >= block.apart);
    let mut left = height;
    let mut given = vec![0; blocks.len()];
    for (i, block) in blocks.iter().enumerate() {
        let cost = block.min + gap(i, block);
        if cost <= left || i == 0 {
            given[i] = block.min;
            left -= cost.min(left);
        }
    }
    for (i, block) in blocks.iter().enumerate().rev() {
        let more = if given[i] > 0 { left.min(block.lines.len() - given[i]) } else { 0 };
        given[i] += more;
        left -= more;
    }
    let mut page: Vec<Line> = Vec::new();
    for (i, block) in blocks.into_iter().enumerate().filter(|(i, _)| given[*i] > 0) {
        page.extend(vec![Vec::new(); gap(i, &block)]);
        page.extend(block.lines.into_iter().take(given[i]));
    }
    page.truncate(height);
    page
}

fn head(scene: &Screen, width: usize) -> Vec<Line> {
    let status = scene.status;
    let left = format!(" {}", clean(scene.title));
    let right = format!("{} · {}", clean(&status.activity), duration(status.uptime_ms));
    let space = width.saturating_sub(columns_of(&left) + columns_of(&right) + 1);
    let mut lines = vec![vec![strong(left), plain(" ".repeat(space.max(2))), quiet(right)]];
    lines.extend(scene.extra.iter().map(|text| vec![plain(format!(" {}", clean(text)))]));
    lines
}

fn figures(status: &Status) -> Vec<Line> {
    let ages = match status.records {
        0 => "–".to_string(),
        _ => format!("{} / {}", duration(status.age_p50_ms), duration(status.age_p99_ms)),
    };
    let cells = [
        ("arriving /s", rate(status.rate_in), Tone::In),
        ("processed /s", rate(status.rate_done), Tone::Done),
        ("backlog", count(status.backlog), Tone::Backlog),
        ("records", count(status.records), Tone::Strong),
        ("age p50 / p99", ages, Tone::Strong),
    ];
    let names = cells.iter().map(|(name, _, _)| quiet(format!(" {name:<14}"))).collect();
    let values = cells.iter().map(|(_, value, tone)| Span { text: format!(" {value:<14}"), tone: *tone }).collect();
    vec![names, values]
}

/// `executors ██ ██ ░░ ··  3, wanted 4: 2 ready, 1 starting`.
fn fleet(status: &Status) -> Vec<Line> {
    let running = &status.executors;
    let places = running.len().max(status.executors_max as usize);
    let mut line = vec![quiet(" executors  ")];
    for place in 0..places {
        line.push(match running.get(place) {
            Some(executor) => Span { text: format!("{} ", tile(executor)), tone: Tone::Fleet },
            None => quiet("·· "),
        });
    }
    let of = |state: &str| match running.iter().filter(|executor| executor.state == state).count() {
        0 => None,
        n => Some(format!("{n} {state}")),
    };
    let states: Vec<String> = ["ready", "starting", "draining"].into_iter().filter_map(of).collect();
    let tasks: u32 = running.iter().map(|executor| executor.tasks_running).sum();
    line.push(Span { text: format!(" {}", running.len()), tone: Tone::Strong });
    line.push(plain(format!(", wanted {}", status.executors_target)));
    if !running.is_empty() {
        line.push(quiet(format!(": {}; {tasks} task{}", states.join(", "), if tasks == 1 { "" } else { "s" })));
    }
    vec![line]
}

fn tile(executor: &ExecutorStatus) -> &'static str {
    match executor.state.as_str() {
        "starting" => "░░",
        "draining" => "▒▒",
        _ => "██",
    }
}

fn trails(scene: &Screen, width: usize) -> Vec<Line> {
    let samples = scene.samples;
    let rates = samples.highest(|sample| sample.rate_in).max(samples.highest(|sample| sample.rate_done));
    let backlog = samples.highest(|sample| sample.backlog);
    let executors = samples.highest(|sample| sample.executors).max(f64::from(scene.status.executors_max)).max(1.0);
    let rows: [(&str, f64, fn(&Sample) -> f64, Tone); 4] = [
        ("arriving", rates, |sample| sample.rate_in, Tone::In),
        ("processed", rates, |sample| sample.rate_done, Tone::Done),
        ("backlog", backlog, |sample| sample.backlog, Tone::Backlog),
        ("executors", executors, |sample| sample.executors, Tone::Fleet),
    ];
    let columns = width.saturating_sub(12 + 20);
    let row = |(name, top, of, tone): (&str, f64, fn(&Sample) -> f64, Tone)| {
        let bars = samples.bars(columns, top, of);
        let space = " ".repeat(columns.saturating_sub(columns_of(&bars)));
        let said = match tone {
            Tone::Fleet => format!("  the last {}", duration(samples.span_ms())),
            _ => format!("  at most {}", rate(samples.highest(of))),
        };
        vec![quiet(format!(" {name:<11}")), Span { text: bars, tone }, quiet(space + &said)]
    };
    rows.into_iter().map(row).collect()
}

/// Newest first, each with the run's age at that time. A reason takes as many lines as it needs.
fn decisions(status: &Status, width: usize) -> Vec<Line> {
    if status.decisions.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![vec![strong(" Decisions")]];
    for decision in status.decisions.iter().rev() {
        let ago = u64::try_from(status.now_ms - decision.at_ms).unwrap_or(0);
        let seconds = status.uptime_ms.saturating_sub(ago) as f64 / 1000.0;
        let when = format!(" {seconds:7.1} s  ");
        let step = format!("{} → {}  ", decision.from, decision.to);
        let indent = columns_of(&when) + columns_of(&step);
        let mut reason = wrap(&clean(&decision.reason), width.saturating_sub(indent)).into_iter();
        let first = plain(reason.next().unwrap_or_default());
        lines.push(vec![quiet(when), Span { text: step, tone: Tone::Fleet }, first]);
        lines.extend(reason.map(|more| vec![plain(" ".repeat(indent) + &more)]));
    }
    lines
}

/// Wraps at blanks. On a very narrow terminal it gives one line, which is cut later.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    if columns < 20 {
        return vec![text.to_string()];
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if columns_of(line) + 1 + columns_of(word) <= columns {
            line.extend([" ", word]);
        } else {
            lines.push(word.to_string());
        }
    }
    lines
}

fn results(status: &Status, width: usize) -> Vec<Line> {
    let (columns, rows) = (&status.windows.columns, &status.windows.rows);
    if rows.is_empty() {
        return Vec::new();
    }
    let rows: Vec<Vec<String>> = rows.iter().rev().map(|row| row.iter().map(|value| clean(value)).collect()).collect();
    let day = shared_day(&rows);
    let title = match &day {
        Some(day) => format!(" Newest results, of {}", day.trim_end()),
        None => " Newest results".to_string(),
    };
    let short = |value: &String| match &day {
        Some(day) if value.starts_with(day.as_str()) => value[day.len()..].to_string(),
        _ => decimals(value),
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(short).collect()).collect();
    let right: Vec<bool> = (0..columns.len()).map(|i| rows.iter().all(|row| is_number(row.get(i)))).collect();
    let names: Vec<String> = columns.iter().map(|name| clean(name)).collect();
    let widths = fit(&names, &rows, width.saturating_sub(1));
    let mut lines = vec![vec![strong(title)], vec![quiet(table_line(&names, &widths, &right))]];
    lines.extend(rows.iter().map(|row| vec![plain(table_line(row, &widths, &right))]));
    lines
}

/// The day that all times of all rows share, with a trailing blank. It is shown once, which saves space.
fn shared_day(rows: &[Vec<String>]) -> Option<String> {
    let mut day: Option<&str> = None;
    for value in rows.iter().flatten() {
        let bytes = value.as_bytes();
        let is_time = bytes.len() >= 16 && value.is_char_boundary(11) && [4, 7, 10, 13].map(|i| bytes[i]) == *b"-- :";
        match day {
            _ if !is_time => {}
            None => day = Some(&value[..11]),
            Some(known) if known == &value[..11] => {}
            Some(_) => return None,
        }
    }
    day.map(String::from)
}

fn is_number(value: Option<&String>) -> bool {
    value.is_none_or(|value| value == "NULL" || value.parse::<f64>().is_ok())
}

/// Widths of the columns: each as wide as its widest value; then the widest columns shrink until the line fits.
fn fit(names: &[String], rows: &[Vec<String>], width: usize) -> Vec<usize> {
    let widest = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|value| columns_of(value)).max().unwrap_or(0);
    let mut widths: Vec<usize> = names.iter().enumerate().map(|(i, name)| columns_of(name).max(widest(i))).collect();
    let mut over = (widths.iter().sum::<usize>() + 2 * widths.len()).saturating_sub(width);
    while over > 0 {
        match widths.iter_mut().max().filter(|widest| **widest > 3) {
            Some(widest) => *widest -= 1,
            None => break,
        }
        over -= 1;
    }
    widths
}

fn table_line(values: &[String], widths: &[usize], right: &[bool]) -> String {
    let mut line = String::from(" ");
    for ((value, &width), &right) in values.iter().zip(widths).zip(right) {
        let value = cut(value, width);
        let space = " ".repeat(width.saturating_sub(columns_of(&value)));
        let (before, after) = if right { (space.as_str(), "") } else { ("", space.as_str()) };
        line.extend([before, &value, after, "  "]);
    }
    line.trim_end().to_string()
}

fn notes(notes: &[String], width: usize) -> Vec<Line> {
    let lines = notes.iter().flat_map(|text| wrap(&clean(text), width.saturating_sub(1)));
    lines.map(|line| vec![quiet(format!(" {line}"))]).collect()
}

fn clip(line: &mut Line, width: usize) {
    let mut left = width;
    for span in line.iter_mut() {
        span.text = cut(&span.text, left);
        left -= columns_of(&span.text).min(left);
    }
    line.retain(|span| !span.text.is_empty());
}

fn plain(text: impl Into<String>) -> Span {
    Span { text: text.into(), tone: Tone::Plain }
}

fn strong(text: impl Into<String>) -> Span {
    Span { text: text.into(), tone: Tone::Strong }
}

fn quiet(text: impl Into<String>) -> Span {
    Span { text: text.into(), tone: Tone::Quiet }
}

#[cfg(test)]
mod tests;
