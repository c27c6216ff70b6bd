//! Operators and other forms that no row of the table of functions describes.
//!
//! `{INT}` is a hole of that type, `{INT; p INT}` one where a lambda's parameter may occur. `T` stands for each of several
//! types.

use super::template::{Hole, Template};

/// Types that `T` stands for.
const TYPES: [&str; 16] = [
    "INT",
    "BIGINT",
    "SMALLINT",
    "DOUBLE",
    "FLOAT",
    "DECIMAL(8,2)",
    "STRING",
    "BOOLEAN",
    "DATE",
    "TIMESTAMP",
    "TIMESTAMP_NTZ",
    "BINARY",
    "ARRAY<INT>",
    "ARRAY<STRING>",
    "MAP<STRING, INT>",
    "STRUCT<a: INT, b: STRING>",
];

/// Result and text.
const FORMS: &[(&str, &str)] = &[
    ("T", "CASE WHEN {BOOLEAN} THEN {T} WHEN {BOOLEAN} THEN {T} ELSE {T} END"),
    ("T", "CASE {INT} WHEN {INT} THEN {T} WHEN 1 THEN {T} END"),
    ("T", "coalesce({T}, {T})"),
    ("T", "nullif({T}, {T})"),
    ("T", "if({BOOLEAN}, {T}, NULL)"),
    ("T", "{ARRAY<STRUCT<a: INT, b: T>>}[0].b"),
    ("BOOLEAN", "({T} = {T})"),
    ("BOOLEAN", "({T} <=> {T})"),
    ("BOOLEAN", "({T} < {T})"),
    ("BOOLEAN", "({T} >= {T})"),
    ("BOOLEAN", "({T} <> {T})"),
    ("BOOLEAN", "({T} BETWEEN {T} AND {T})"),
    ("BOOLEAN", "({T} IN ({T}, {T}, {T}))"),
    ("BOOLEAN", "({T} NOT IN ({T}, NULL))"),
    ("BOOLEAN", "({T} IS NULL)"),
    ("BOOLEAN", "({T} IS DISTINCT FROM {T})"),
    ("STRING", "CAST({T} AS STRING)"),
    ("STRING", "to_json(named_struct('p', {T}, 'q', {T}))"),
    ("ARRAY<T>", "array({T}, {T})"),
    ("STRUCT<a: INT, b: T>", "named_struct('a', {INT}, 'b', {T})"),
    ("MAP<STRING, T>", "map({STRING}, {T})"),
    ("T", "map({STRING}, {T})[{STRING}]"),
    // Spark reads some NULLs of `element_at(array(x, y), 2)` as what they are not, and dies of it.
    ("T", "array({T}, {T})[1]"),
    ("INT", "hash({T}, {T})"),
    ("BIGINT", "xxhash64({T})"),
    ("BOOLEAN", "({BOOLEAN} AND {BOOLEAN})"),
    ("BOOLEAN", "({BOOLEAN} OR {BOOLEAN})"),
    ("BOOLEAN", "(NOT {BOOLEAN})"),
    ("BOOLEAN", "({BOOLEAN} IS TRUE)"),
    ("BOOLEAN", "({BOOLEAN} IS NOT FALSE)"),
    ("BOOLEAN", "({STRING} LIKE '%a_')"),
    ("BOOLEAN", "({STRING} ILIKE ANY ('a%', '%B'))"),
    ("BOOLEAN", "({STRING} RLIKE '[a-c]+')"),
    ("INT", "({INT} + {INT})"),
    ("INT", "({INT} - {SMALLINT})"),
    ("INT", "({INT} * {TINYINT})"),
    ("INT", "({INT} % {INT})"),
    ("BIGINT", "({BIGINT} DIV {INT})"),
    ("BIGINT", "({BIGINT} + {INT})"),
    ("BIGINT", "(- {BIGINT})"),
    ("DOUBLE", "({INT} / {INT})"),
    ("DOUBLE", "({DOUBLE} + {DOUBLE})"),
    ("DOUBLE", "({DOUBLE} * {FLOAT})"),
    ("DOUBLE", "({DOUBLE} % {DOUBLE})"),
    ("DECIMAL(8,2)", "CAST({DECIMAL(8,2)} * {INT} AS DECIMAL(8,2))"),
    ("DECIMAL(9,2)", "({DECIMAL(8,2)} + {DECIMAL(8,2)})"),
    ("DECIMAL(17,4)", "({DECIMAL(8,2)} * {DECIMAL(8,2)})"),
    ("DECIMAL(19,11)", "({DECIMAL(8,2)} / {DECIMAL(8,2)})"),
    ("INT", "({INT} & {INT})"),
    ("INT", "({INT} | {INT})"),
    ("BIGINT", "({BIGINT} ^ {BIGINT})"),
    ("INT", "(~ {INT})"),
    ("INT", "({INT} << {INT})"),
    ("INT", "CAST({BOOLEAN} AS INT)"),
    ("INT", "TRY_CAST({STRING} AS INT)"),
    ("INT", "TRY_CAST({DOUBLE} AS INT)"),
    ("TINYINT", "TRY_CAST({INT} AS TINYINT)"),
    ("BIGINT", "CAST({INT} AS BIGINT)"),
    ("BIGINT", "CAST({TIMESTAMP} AS BIGINT)"),
    ("SMALLINT", "TRY_CAST({BIGINT} AS SMALLINT)"),
    ("DOUBLE", "TRY_CAST({STRING} AS DOUBLE)"),
    ("DOUBLE", "CAST({DECIMAL(8,2)} AS DOUBLE)"),
    ("FLOAT", "CAST({INT} AS FLOAT)"),
    ("DECIMAL(8,2)", "TRY_CAST({DOUBLE} AS DECIMAL(8,2))"),
    ("DECIMAL(8,2)", "TRY_CAST({STRING} AS DECIMAL(8,2))"),
    ("DATE", "TRY_CAST({STRING} AS DATE)"),
    ("DATE", "CAST({TIMESTAMP} AS DATE)"),
    ("TIMESTAMP", "TRY_CAST({STRING} AS TIMESTAMP)"),
    ("TIMESTAMP", "CAST({DATE} AS TIMESTAMP)"),
    ("TIMESTAMP_NTZ", "CAST({TIMESTAMP} AS TIMESTAMP_NTZ)"),
    ("BINARY", "CAST({STRING} AS BINARY)"),
    ("BINARY", "unbase64(base64({STRING}))"),
    ("BOOLEAN", "TRY_CAST({STRING} AS BOOLEAN)"),
    ("ARRAY<STRING>", "CAST({ARRAY<INT>} AS ARRAY<STRING>)"),
    ("STRING", "({STRING} || {STRING})"),
    ("STRING", "substring({STRING} FROM {INT} FOR 3)"),
    ("STRING", "trim(BOTH 'a' FROM {STRING})"),
    ("STRING", "overlay({STRING} PLACING {STRING} FROM 2 FOR 1)"),
    ("INT", "position('a' IN {STRING})"),
    ("INT", "extract(DAYOFWEEK_ISO FROM {DATE})"),
    ("DECIMAL(8,6)", "extract(SECOND FROM {TIMESTAMP})"),
    ("INT", "date_part('WEEK', {TIMESTAMP})"),
    ("DATE", "({DATE} + {INT})"),
    ("INT", "datediff({DATE}, {DATE})"),
    ("TIMESTAMP", "({TIMESTAMP} + INTERVAL 1 MONTH)"),
    ("TIMESTAMP", "({TIMESTAMP} - {INTERVAL DAY TO SECOND})"),
    ("TIMESTAMP", "({TIMESTAMP} + {INTERVAL YEAR TO MONTH})"),
    ("TIMESTAMP_NTZ", "({TIMESTAMP_NTZ} + {INTERVAL DAY TO SECOND})"),
    ("INTERVAL DAY TO SECOND", "({TIMESTAMP} - {TIMESTAMP})"),
    ("INTERVAL DAY TO SECOND", "make_dt_interval({INT}, 2, {INT})"),
    ("INTERVAL DAY TO SECOND", "({INTERVAL DAY TO SECOND} * {INT})"),
    ("INTERVAL DAY TO SECOND", "({INTERVAL DAY TO SECOND} / {DOUBLE})"),
    ("INTERVAL DAY TO SECOND", "({INTERVAL DAY TO SECOND} + INTERVAL '1 02:03:04' DAY TO SECOND)"),
    ("INTERVAL YEAR TO MONTH", "make_ym_interval({INT}, {INT})"),
    ("INTERVAL YEAR TO MONTH", "(- {INTERVAL YEAR TO MONTH})"),
    ("INTERVAL DAY", "({DATE} - {DATE})"),
    ("STRING", "CAST({INTERVAL DAY TO SECOND} AS STRING)"),
    ("STRING", "CAST({INTERVAL YEAR TO MONTH} AS STRING)"),
    ("BOOLEAN", "({INTERVAL DAY TO SECOND} > INTERVAL 1 HOUR)"),
    ("INT", "{ARRAY<INT>}[0]"),
    ("INT", "{MAP<STRING, INT>}['a']"),
    ("INT", "{STRUCT<a: INT, b: STRING>}.a"),
    ("STRING", "{STRUCT<a: INT, b: STRING>}.b"),
    ("ARRAY<STRING>", "{ARRAY<STRUCT<a: INT, b: STRING>>}.b"),
    ("ARRAY<INT>", "transform({ARRAY<INT>}, p -> {INT; p INT})"),
    ("ARRAY<STRING>", "transform({ARRAY<INT>}, (p, q) -> {STRING; p INT, q INT})"),
    ("ARRAY<INT>", "transform({ARRAY<STRING>}, p -> {INT; p STRING})"),
    ("ARRAY<STRING>", "filter({ARRAY<STRING>}, p -> {BOOLEAN; p STRING})"),
    ("ARRAY<INT>", "filter({ARRAY<INT>}, (p, q) -> {BOOLEAN; p INT, q INT})"),
    ("BOOLEAN", "exists({ARRAY<INT>}, p -> {BOOLEAN; p INT})"),
    ("BOOLEAN", "forall({ARRAY<STRING>}, p -> {BOOLEAN; p STRING})"),
    ("BIGINT", "aggregate({ARRAY<INT>}, 0L, (p, q) -> {BIGINT; p BIGINT, q INT})"),
    ("STRING", "aggregate({ARRAY<STRING>}, '', (p, q) -> p || {STRING; q STRING}, p -> upper(p))"),
    ("ARRAY<INT>", "zip_with({ARRAY<INT>}, {ARRAY<INT>}, (p, q) -> {INT; p INT, q INT})"),
    ("MAP<STRING, INT>", "map_filter({MAP<STRING, INT>}, (p, q) -> {BOOLEAN; p STRING, q INT})"),
    ("MAP<STRING, STRING>", "transform_values({MAP<STRING, INT>}, (p, q) -> {STRING; p STRING, q INT})"),
    ("MAP<STRING, INT>", "transform_keys({MAP<STRING, INT>}, (p, q) -> {STRING; p STRING, q INT})"),
    (
        "MAP<STRING, INT>",
        "map_zip_with({MAP<STRING, INT>}, {MAP<STRING, INT>}, (p, q, r) -> {INT; p STRING, q INT, r INT})",
    ),
    ("ARRAY<STRING>", "array_sort({ARRAY<STRING>}, (p, q) -> length(q) - length(p))"),
    ("ARRAY<INT>", "sequence(coalesce({INT}, 1) % 5, coalesce({INT}, 2) % 7 + 5)"),
    ("STRUCT<a: INT, b: STRING>", "from_json({STRING}, 'a INT, b STRING')"),
    ("ARRAY<INT>", "from_json({STRING}, 'ARRAY<INT>')"),
    ("STRING", "get_json_object({STRING}, '$.b[*].c')"),
    ("STRUCT<a: INT, b: STRING>", "from_csv({STRING}, 'a INT, b STRING')"),
    ("STRING", "to_csv({STRUCT<a: INT, b: STRING>})"),
    ("STRING", "to_json({MAP<STRING, INT>})"),
    ("STRING", "to_json({ARRAY<STRUCT<a: INT, b: STRING>>})"),
    ("STRING", "date_format({TIMESTAMP}, 'EEE d MMM yyyy, HH:mm:ss.SSS')"),
    ("STRING", "date_format({TIMESTAMP}, 'yyyyMMdd\\'T\\'hhmmss a D')"),
    ("TIMESTAMP", "try_to_timestamp({STRING}, 'yyyy-MM-dd[ HH:mm:ss]')"),
    ("STRING", "format_string('%5d|%s|%.2f|%x', {INT}, {STRING}, {DOUBLE}, {BIGINT})"),
    ("STRING", "format_number({DOUBLE}, '#,##0.0#')"),
    ("STRING", "format_number({DECIMAL(8,2)}, {INT} % 9)"),
    ("STRING", "lpad({STRING}, {INT} % 30, {STRING})"),
    ("STRING", "rpad({STRING}, {INT} % 30, {STRING})"),
    ("TIMESTAMP", "try_make_timestamp(2014 + {INT} % 9, {INT}, {INT}, {INT}, 30, 45.887)"),
    ("TIMESTAMP_NTZ", "try_make_timestamp_ntz(2014, {INT}, 28, 6, {INT}, 45.887)"),
    ("STRING", "split_part({STRING}, {STRING}, {INT} % 9)"),
    ("STRING", "substring_index({STRING}, 'a', {INT} % 9)"),
    ("STRING", "repeat({STRING}, {INT} % 9)"),
    ("ARRAY<INT>", "array_repeat({INT}, {INT} % 9)"),
    ("ARRAY<INT>", "array_insert({ARRAY<INT>}, 3, {INT})"),
    ("ARRAY<STRING>", "array_insert({ARRAY<STRING>}, -2, {STRING})"),
    ("ARRAY<STRING>", "array_repeat({STRING}, {INT} % 9)"),
    ("INT", "element_at({ARRAY<INT>}, -1)"),
    ("INT", "try_element_at({ARRAY<INT>}, {INT} % 9)"),
    ("INT", "element_at({MAP<STRING, INT>}, {STRING})"),
    ("STRING", "array_join(ss, ',', {STRING})"),
    ("STRING", "array_join({ARRAY<STRING>}, {STRING})"),
    ("STRING", "overlay({STRING}, {STRING}, {INT} % 9)"),
    ("STRING", "to_char({DECIMAL(8,2)}, 'S999,999.99')"),
    ("TIMESTAMP", "date_trunc('WEEK', {TIMESTAMP})"),
    ("TIMESTAMP", "timestampadd(DAY, {INT}, {TIMESTAMP})"),
    ("BIGINT", "timestampdiff(HOUR, {TIMESTAMP}, {TIMESTAMP})"),
    ("STRING", "typeof({T})"),
];

pub(super) fn templates() -> Vec<Template> {
    let mut all = Vec::new();
    for (result, text) in FORMS {
        // Bytes that are no UTF-8 are another STRING here.
        let fits = |t: &&&str| **t != "BINARY" || !text.starts_with("CAST({T} AS STRING)");
        match text.contains("{T}") || text.contains(": T>") {
            true => {
                all.extend(TYPES.iter().filter(fits).map(|t| template(&of_type(result, t), &of_type(text, t))));
            }
            false => all.push(template(result, text)),
        }
    }
    all
}

/// With a type in place of `T`.
fn of_type(text: &str, data_type: &str) -> String {
    match text {
        "T" => data_type.to_owned(),
        _ => {
            let text = text.replace("{T}", &format!("{{{data_type}}}")).replace(": T>", &format!(": {data_type}>"));
            text.replace("<T>", &format!("<{data_type}>")).replace(", T>", &format!(", {data_type}>"))
        }
    }
}

fn template(result: &str, text: &str) -> Template {
    let (mut texts, mut holes, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some((before, behind)) = rest.split_once('{') {
        let (hole, behind) = behind.split_once('}').expect("a hole ends");
        let (data_type, scope) = hole.split_once("; ").unwrap_or((hole, ""));
        let parameters = scope.split(", ").filter_map(|parameter| parameter.split_once(' '));
        let scope = parameters.map(|(name, of)| (name.to_owned(), of.to_owned())).collect();
        holes.push(Hole { data_type: data_type.to_owned(), constant: None, scope });
        texts.push(before.to_owned());
        rest = behind;
    }
    texts.push(rest.to_owned());
    Template { texts, holes, result: result.to_owned(), only_outside: false }
}
