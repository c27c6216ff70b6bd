//! Formats rows as a text table. Columns are as wide as their widest cell; numbers are right-aligned.
//!
//! Widths are terminal widths: a wide character takes two columns. Knows no batches and no output.

use arrow_array::RecordBatch;
use std::fmt::Write;
use tidemill_sql::text::show;
use tidemill_sql::zone::WallClock;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Longer cells are cut, so that one long text does not push other columns off the screen.
const CELL_WIDTH_MAX: usize = 60;

/// Appends column names, a rule and the first `rows_max` rows. Two spaces separate columns; lines have no trailing
/// space.
pub fn write_table(out: &mut String, rows: &RecordBatch, rows_max: usize, clock: &WallClock) {
    let shown = show::result_rows(rows, rows_max, clock);
    let right: Vec<bool> = rows.columns().iter().map(|column| column.data_type().is_numeric()).collect();
    let head: Vec<String> = shown.columns.iter().map(|name| cell(name)).collect();
    let body: Vec<Vec<String>> = shown.rows.iter().map(|row| row.iter().map(|text| cell(text)).collect()).collect();
    let width = |column: usize| {
        let cells = body.iter().map(|row| &row[column]).chain([&head[column]]);
        cells.map(|text| text.width()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    for line in [&head, &rule].into_iter().chain(&body) {
        write_line(out, line, &widths, &right);
    }
}

fn write_line(out: &mut String, cells: &[String], widths: &[usize], right: &[bool]) {
    let start = out.len();
    for (column, text) in cells.iter().enumerate() {
        let gap = if column > 0 { "  " } else { "" };
        let pad = " ".repeat(widths[column] - text.width());
        let (before, after) = if right[column] { (pad.as_str(), "") } else { ("", pad.as_str()) };
        write!(out, "{gap}{before}{text}{after}").expect("a String takes any text");
    }
    out.truncate(start + out[start..].trim_end().len());
    out.push('\n');
}

/// A text that is safe on a terminal: control characters are escaped, and it is cut to [`CELL_WIDTH_MAX`].
fn cell(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    if out.width() <= CELL_WIDTH_MAX {
        return out;
    }
    let mut width = 1;
    let keep = |(_, character): &(usize, char)| {
        width += character.width().unwrap_or_default();
        width <= CELL_WIDTH_MAX
    };
    let end = out.char_indices().take_while(keep).last().map_or(0, |(at, character)| at + character.len_utf8());
    format!("{}…", &out[..end])
}
