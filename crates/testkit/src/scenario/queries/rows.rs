//! The records of a generated case of expressions: a column of each type, with edges and NULLs.

use tidemill_model::random::Random;

/// Names and types. `et` is made of `t`.
pub(super) const COLUMNS: [(&str, &str); 23] = [
    ("k", "STRING"),
    ("s", "STRING"),
    ("j", "STRING"),
    ("y", "TINYINT"),
    ("h", "SMALLINT"),
    ("i", "INT"),
    ("n", "BIGINT"),
    ("f", "FLOAT"),
    ("x", "DOUBLE"),
    ("d", "DECIMAL(8,2)"),
    ("e", "DECIMAL(20,4)"),
    ("b", "BOOLEAN"),
    ("dt", "DATE"),
    ("ts", "TIMESTAMP"),
    ("et", "TIMESTAMP"),
    ("ntz", "TIMESTAMP_NTZ"),
    ("bin", "BINARY"),
    ("a", "ARRAY<INT>"),
    ("ss", "ARRAY<STRING>"),
    ("aa", "ARRAY<ARRAY<INT>>"),
    ("m", "MAP<STRING, INT>"),
    ("st", "STRUCT<a: INT, b: STRING>"),
    ("so", "ARRAY<STRUCT<a: INT, b: STRING>>"),
];

/// The source's schema.
pub(super) fn schema() -> String {
    let read = COLUMNS.iter().filter(|(name, _)| *name != "et");
    let columns: Vec<String> = read.map(|(name, data_type)| format!("{name} {data_type}")).collect();
    format!("t BIGINT, {}", columns.join(", "))
}

/// One to three batches.
pub(super) fn batches(random: &mut Random) -> Vec<Vec<String>> {
    let mut now = random.one(&[100, 1_700_000_000, 951_782_390]);
    let mut batches = Vec::new();
    for _ in 0..random.between(1, 3) {
        batches.push((0..random.between(1, 6)).map(|_| record(random, now)).collect());
        now += random.between(1, 30);
    }
    batches
}

fn record(random: &mut Random, now: i64) -> String {
    let mut members = vec![format!("\"t\":{}", now + random.between(-8, 8))];
    for (name, data_type) in COLUMNS.iter().filter(|(name, _)| *name != "et") {
        match random.between(1, 100) {
            1..=8 => members.push(format!("\"{name}\":null")),
            9..=11 => {}
            _ => members.push(format!("\"{name}\":{}", value(random, name, data_type))),
        }
    }
    format!("{{{}}}", members.join(","))
}

/// JSON of a value.
fn value(random: &mut Random, name: &str, data_type: &str) -> String {
    match data_type {
        "STRING" if name == "k" => text(random, &["a", "a", "b", "c", "ab", "", "é"]),
        "STRING" if name == "j" => text(
            random,
            &[
                r#"{"a":1,"b":"x"}"#,
                r#"{"a":null,"b":[{"c":1},{"c":"é"}]}"#,
                "[1,2,3]",
                "{}",
                r#"{"a":1.5e3,"b":{"c":true}}"#,
                "1,x",
                "7",
            ],
        ),
        "STRING" => text(
            random,
            &[
                "",
                "a",
                "Hello World",
                " 12 ",
                "2024-02-29",
                "2024-02-29 12:34:56",
                "-3.5",
                "é😀z",
                "a,b;c",
                "ABC",
                "true",
            ],
        ),
        "TINYINT" => random.one(&[0, 1, -1, 5, 127, -128]).to_string(),
        "SMALLINT" => random.one(&[0, 1, -7, 300, 32_767]).to_string(),
        "INT" => small(random),
        "BIGINT" => random.one(&[0_i64, 1, -1, 42, 86_400, 1_700_000_000, -5_000_000_000]).to_string(),
        "FLOAT" => random.one(&["0.0", "-0.0", "1.5", "-2.25", "0.1", "\"NaN\""]).to_owned(),
        "DOUBLE" => random.one(&["0.0", "-0.0", "1.5", "-2.25", "100.125", "0.75", "12345.678", "\"NaN\""]).to_owned(),
        "DECIMAL(8,2)" => random.one(&["0", "1.50", "-3.25", "999999.99", "0.01"]).to_owned(),
        "DECIMAL(20,4)" => random.one(&["0", "1.5", "-12345678.9999", "1234567890123.4567"]).to_owned(),
        "BOOLEAN" => random.one(&["true", "false"]).to_owned(),
        "DATE" => text(random, &["2024-02-29", "1970-01-01", "1969-12-31", "2023-12-31", "1900-03-01"]),
        "TIMESTAMP" | "TIMESTAMP_NTZ" => {
            let time = random.one(&[
                "2024-02-29T12:34:56.789",
                "1970-01-01T00:00:00",
                "1969-12-31T23:59:59.999",
                "2023-12-31T23:00:00",
            ]);
            format!("\"{time}{}\"", if data_type == "TIMESTAMP" { "Z" } else { "" })
        }
        // UTF-8, as other bytes are not the same STRING here.
        "BINARY" => text(random, &["", "YQ==", "AEE=", "w6k="]),
        "ARRAY<INT>" => random.one(&["[]", "[1]", "[3,1,2]", "[1,null,1]", "[-1,0,7,7]"]).to_owned(),
        "ARRAY<STRING>" => random.one(&["[]", r#"["b","a"]"#, r#"["x",null]"#, r#"["a","a","é"]"#]).to_owned(),
        "ARRAY<ARRAY<INT>>" => random.one(&["[]", "[[1],[2,3]]", "[[],null]", "[[1,null]]"]).to_owned(),
        "MAP<STRING, INT>" => random.one(&["{}", r#"{"a":1}"#, r#"{"b":2,"a":null}"#, r#"{"c":3,"d":4}"#]).to_owned(),
        "STRUCT<a: INT, b: STRING>" => structure(random),
        _ => {
            let items: Vec<String> = (0..random.between(0, 3)).map(|_| structure(random)).collect();
            format!("[{}]", items.join(","))
        }
    }
}

fn text(random: &mut Random, of: &[&str]) -> String {
    serde_json::to_string(random.one(of)).expect("a text is JSON")
}

fn small(random: &mut Random) -> String {
    match random.chance(6) {
        true => random.one(&["2147483647", "-2147483648"]).to_owned(),
        false => random.between(-5, 20).to_string(),
    }
}

fn structure(random: &mut Random) -> String {
    random.one(&[r#"{"a":1,"b":"x"}"#, r#"{"a":2}"#, r#"{"b":"y"}"#, "{}", r#"{"a":-1,"b":""}"#]).to_owned()
}
