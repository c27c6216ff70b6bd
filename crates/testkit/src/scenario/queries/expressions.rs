//! Generates expressions of a type from templates, columns and constants.

use super::rows::COLUMNS;
use super::template::{Hole, Template, templates};
use tidemill_model::random::Random;

/// How deep calls are nested.
const DEPTH: u32 = 3;

/// Constants that the examples lack, by type.
const CONSTANTS: [(&str, &[&str]); 17] = [
    ("TINYINT", &["1Y", "-128Y", "127Y"]),
    ("SMALLINT", &["0S", "-1S", "32767S"]),
    ("INT", &["0", "1", "-1", "2", "3", "7", "2147483647", "-2147483648", "CAST(NULL AS INT)"]),
    ("BIGINT", &["0L", "1L", "-1L", "100L", "9223372036854775807L"]),
    ("FLOAT", &["0.5F", "CAST('NaN' AS FLOAT)", "-0.0F"]),
    ("DOUBLE", &["0.0D", "-0.0D", "1.5D", "-2.5D", "1e10D", "CAST('NaN' AS DOUBLE)", "CAST('Infinity' AS DOUBLE)"]),
    // A literal beside an integral number is another one in Spark's name of the column.
    ("DECIMAL(8,2)", &["CAST(1.50 AS DECIMAL(8,2))", "CAST(-3.25 AS DECIMAL(8,2))", "CAST(0 AS DECIMAL(8,2))"]),
    ("STRING", &["''", "'a'", "' b '", "'é😀'", "'12'", "'-3.5'", "'2024-02-29'", "'a,b,c'", "CAST(NULL AS STRING)"]),
    ("BOOLEAN", &["true", "false", "CAST(NULL AS BOOLEAN)"]),
    ("DATE", &["DATE '2024-02-29'", "DATE '1969-12-31'", "CAST(NULL AS DATE)"]),
    ("TIMESTAMP", &["TIMESTAMP '2024-02-29 12:34:56.789'", "TIMESTAMP '1969-12-31 23:59:59'"]),
    ("TIMESTAMP_NTZ", &["TIMESTAMP_NTZ '2024-12-31 00:00:00'"]),
    ("BINARY", &["X''", "X'007F41'", "X'C3A9'"]),
    ("INTERVAL DAY TO SECOND", &["INTERVAL '1 02:03:04.5' DAY TO SECOND", "INTERVAL '-0 00:00:01' DAY TO SECOND"]),
    ("INTERVAL YEAR TO MONTH", &["INTERVAL '1-2' YEAR TO MONTH", "INTERVAL '-0-1' YEAR TO MONTH"]),
    ("ARRAY<INT>", &["array(1, 2, 2)", "array(3, NULL)"]),
    ("MAP<STRING, INT>", &["map('a', 1, 'b', NULL)"]),
];

/// Numeric types; one often stands where another is expected.
const NUMBERS: [&str; 7] = ["TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(8,2)"];

/// Any expression. `None`: a part of it has a type of which nothing is known; try again.
pub(super) fn any(random: &mut Random) -> Option<String> {
    let all = &templates().all;
    let template = &all[random.between(0, all.len() as i64 - 1) as usize];
    let depth = random.between(1, i64::from(DEPTH)) as u32;
    filled(random, template, depth - 1, &[])
}

/// An expression of a type.
pub(super) fn of_type(random: &mut Random, data_type: &str, depth: u32) -> Option<String> {
    within(random, data_type, depth, &[])
}

/// The template with expressions in its holes.
pub(super) fn filled(
    random: &mut Random,
    template: &Template,
    depth: u32,
    scope: &[(String, String)],
) -> Option<String> {
    let mut text = template.texts[0].clone();
    for (hole, behind) in template.holes.iter().zip(&template.texts[1..]) {
        text.push_str(&in_hole(random, hole, depth, scope)?);
        text.push_str(behind);
    }
    Some(text)
}

fn in_hole(random: &mut Random, hole: &Hole, depth: u32, scope: &[(String, String)]) -> Option<String> {
    if let Some(constant) = hole.constant.as_ref().filter(|_| random.chance(30)) {
        return Some(constant.clone());
    }
    let scope: Vec<_> = hole.scope.iter().chain(scope).cloned().collect();
    let data_type = match hole.data_type.as_str() {
        number if NUMBERS.contains(&number) && random.chance(20) => random.one(&NUMBERS),
        other => other,
    };
    within(random, data_type, depth, &scope).or_else(|| hole.constant.clone())
}

fn within(random: &mut Random, data_type: &str, depth: u32, scope: &[(String, String)]) -> Option<String> {
    let calls: Vec<&Template> =
        templates().all.iter().filter(|template| template.result == data_type && !template.only_outside).collect();
    if depth > 0 && !calls.is_empty() && random.chance(75) {
        let template = random.one(&calls);
        return filled(random, template, depth - 1, scope);
    }
    let of_type = |known: &&(String, String)| known.1 == data_type;
    let parameters: Vec<&str> = scope.iter().filter(of_type).map(|(name, _)| name.as_str()).collect();
    if !parameters.is_empty() && random.chance(60) {
        return Some(random.one(&parameters).to_owned());
    }
    let columns: Vec<&str> = COLUMNS.iter().filter(|(_, of)| *of == data_type).map(|(name, _)| *name).collect();
    if !columns.is_empty() && random.chance(75) {
        return Some(random.one(&columns).to_owned());
    }
    let own = CONSTANTS.iter().find(|(of, _)| *of == data_type).map_or(&[][..], |(_, constants)| constants);
    let of_examples = templates().constants.get(data_type).map_or(&[][..], Vec::as_slice);
    let constants: Vec<&str> = own.iter().copied().chain(of_examples.iter().map(String::as_str)).collect();
    match constants.as_slice() {
        [] => columns.first().map(|column| (*column).to_owned()),
        constants => Some(random.one(constants).to_owned()),
    }
}
