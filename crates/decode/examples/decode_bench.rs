//! Benchmark of decode on one core: `cargo run --release -p tidemill-flow --example decode_bench [SECONDS [CASE]]`.
//!
//! Prints records per CPU-second for the five columns of the reference pipeline, for all nine, and for records that
//! defeat the decoder's fast paths.

use arrow_array::StringArray;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::fs;
use std::sync::Arc;
use tidemill_decode::{Decoder, Options};
use tidemill_model::random::Random;

const FIELDS: [(&str, DataType); 9] = [
    ("timestamp", DataType::Float64),
    ("student_id", DataType::Utf8),
    ("student_name", DataType::Utf8),
    ("course", DataType::Utf8),
    ("activity", DataType::Utf8),
    ("tool_used", DataType::Utf8),
    ("lines_of_code", DataType::Int32),
    ("last_error", DataType::Utf8),
    ("cpu_usage_pct", DataType::Float64),
];
const WANTED: [&str; 5] = ["timestamp", "course", "activity", "lines_of_code", "cpu_usage_pct"];
const RECORDS: usize = 20_000;
const CHUNK_RECORDS: usize = 2_000;

fn main() {
    let seconds: f64 = std::env::args().nth(1).map_or(2.0, |text| text.parse().expect("seconds, such as 2.5"));
    let only = std::env::args().nth(2).unwrap_or_default();
    let all: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    let variants: [(&str, &[&str], Style); 6] = [
        ("5 of 9 fields", &WANTED, Style::Plain),
        ("9 of 9 fields", &all, Style::Plain),
        ("5 of 9, no spaces", &WANTED, Style::Compact),
        ("5 of 9, 17-digit doubles", &WANTED, Style::LongDoubles),
        ("5 of 9, fields in changing order", &WANTED, Style::Shuffled),
        ("5 of 9, names beyond ASCII", &WANTED, Style::NonAscii),
    ];
    for (name, wanted, style) in variants.into_iter().filter(|(name, ..)| name.contains(&only)) {
        let chunks = chunks(style);
        let bytes: usize = chunks.iter().map(|chunk| chunk.value_data().len()).sum();
        let rate = measure(&schema(wanted), &chunks, seconds);
        let figure = name.replace(", ", "_").replace([' ', '-'], "_");
        println!(
            "figure {figure} {rate:.0} records/CPU-s\n{name:34} {:5.0} MB/s, {} bytes a record",
            rate * bytes as f64 / RECORDS as f64 / 1e6,
            bytes / RECORDS
        );
    }
}

/// Records per CPU-second.
fn measure(schema: &SchemaRef, chunks: &[StringArray], seconds: f64) -> f64 {
    let mut decoder = Decoder::new(schema, Options::default());
    let mut records = 0;
    let start = cpu_seconds();
    while cpu_seconds() - start < seconds {
        for chunk in chunks {
            let decoded = decoder.decode(chunk);
            assert_eq!((decoded.malformed, decoded.wrong_type), (0, 0));
            records += decoded.batch.num_rows();
        }
    }
    records as f64 / (cpu_seconds() - start)
}

/// CPU time of this thread, in seconds, from the kernel.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux, with scheduler statistics");
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).expect("nanoseconds first") / 1e9
}

fn schema(wanted: &[&str]) -> SchemaRef {
    let fields = FIELDS.iter().filter(|(name, _)| wanted.contains(name));
    Arc::new(Schema::new(
        fields.map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect::<Vec<_>>(),
    ))
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    Compact,
    LongDoubles,
    Shuffled,
    NonAscii,
}

fn chunks(style: Style) -> Vec<StringArray> {
    let mut random = Random::new(42);
    let mut chunks = Vec::new();
    for first in (0..RECORDS).step_by(CHUNK_RECORDS) {
        let records = (first..first + CHUNK_RECORDS).map(|offset| Some(record(&mut random, style, offset)));
        chunks.push(records.collect());
    }
    chunks
}

fn record(random: &mut Random, style: Style, offset: usize) -> String {
    let courses =
        ["Operating Systems", "Data Structures", "Web Engineering", "Artificial Intelligence", "Linear Algebra"];
    let activities = ["coding", "debugging", "reading_docs", "committing_code", "running_tests"];
    let tools = ["VS Code", "PyCharm", "Vim", "Jupyter Notebook", "Terminal", "Sublime Text"];
    let names = ["Zoha", "Amelia Fischer", "Bo Li", "Maximiliane Oberländer", "José Ñíguez", "Ngozi Adeyemi"];
    let errors = ["SyntaxError", "SegmentationFault", "NullPointer", "IndentationError"];
    let activity = random.one(&activities);
    let failing = (activity == "debugging" || activity == "running_tests") && random.chance(50);
    let (timestamp, cpu) = if style == Style::LongDoubles {
        (
            format!("{}.{:07}", 1_700_000_000 + offset, random.between(0, 9_999_999)),
            format!("{}", 10.5 + random.unit() * 84.5),
        )
    } else {
        (
            format!("{}.{:03}", 1_700_000_000 + offset, random.between(0, 999)),
            format!("{:.8}", 10.5 + random.unit() * 84.5),
        )
    };
    let quoted = |text: &str| format!("\"{text}\"");
    let name = if style == Style::NonAscii { names[3 + offset % 2] } else { names[offset % 3] };
    let mut members = vec![
        ("timestamp", timestamp),
        ("student_id", quoted(&format!("CS-{}", 2_021_000 + random.between(0, 4_999)))),
        ("student_name", quoted(name)),
        ("course", quoted(random.one(&courses))),
        ("activity", quoted(activity)),
        ("tool_used", quoted(random.one(&tools))),
        ("lines_of_code", if activity == "coding" { random.between(5, 150) } else { 0 }.to_string()),
        ("last_error", quoted(if failing { random.one(&errors) } else { "None" })),
        ("cpu_usage_pct", cpu),
    ];
    if style == Style::Shuffled {
        members.rotate_left(random.between(0, 8) as usize);
    }
    let (comma, colon) = if style == Style::Compact { (",", ":") } else { (", ", ": ") };
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\"{colon}{value}")).collect();
    format!("{{{}}}", members.join(comma))
}
