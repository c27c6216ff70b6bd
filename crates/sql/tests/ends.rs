//! No input panics: every function, cast and operator over the ends of every type, picked at random.
//!
//! The right values at the ends are in `goldens/edges.golden`, by real Spark. Here it counts that there is one, or NULL, or
//! a failed row.

use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use std::sync::Arc;
use tidemill_model::Millis;
use tidemill_sql::eval::{RowErrors, evaluate};
use tidemill_sql::functions::{self, Param};
use tidemill_sql::plan::{Body, QueryPlan};
use tidemill_sql::text::{json, show};

const COLUMNS: &str = "b BOOLEAN, i8 TINYINT, i16 SMALLINT, i INT, l BIGINT, f FLOAT, d DOUBLE, n0 DECIMAL(38,0), \
                       n38 DECIMAL(38,38), n DECIMAL(10,2), s STRING, dt DATE, ts TIMESTAMP, ntz TIMESTAMP_NTZ, \
                       bin BINARY, arr ARRAY<BIGINT>, m MAP<STRING, BIGINT>";

const NUMBERS: [&str; 9] = ["i8", "i16", "i", "l", "f", "d", "n0", "n38", "n"];
const TIMES: [&str; 3] = ["ts", "ntz", "dt"];
const ZONES: [&str; 4] = ["UTC", "America/New_York", "Asia/Kolkata", "+18:00"];
const TYPES: [&str; 15] = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL(38,0)",
    "DECIMAL(38,38)",
    "DECIMAL(5,2)",
    "STRING",
    "DATE",
    "TIMESTAMP",
    "TIMESTAMP_NTZ",
    "BINARY",
];

/// Constants where a function wants one, or where a column says less.
const INTEGERS: [&str; 7] = ["-2147483648", "2147483647", "-1", "0", "1", "-38", "39"];
const TEXTS: [&str; 22] = [
    "''",
    "'a'",
    "'DAY'",
    "'YEAR'",
    "'WEEK'",
    "'QUARTER'",
    "'SECOND'",
    "'MILLISECOND'",
    "'HOUR'",
    "'MON'",
    "'$.a[0].b'",
    "'(a)(b)?'",
    "'[0-9]*'",
    "'yyyy-MM-dd HH:mm:ss.SSSSSS XXX'",
    "'D'",
    "'y'",
    "'QQQ E a h k K'",
    "'Asia/Kolkata'",
    "'+18:00'",
    "','",
    "'%_%'",
    "'2024-02-30'",
];

fn arguments(param: Param) -> Vec<&'static str> {
    let numbers = NUMBERS.iter().chain(&INTEGERS).copied();
    match param {
        Param::String => TEXTS.into_iter().chain(["s", "l", "d", "ts"]).collect(),
        Param::Binary | Param::Text | Param::Alike => TEXTS.into_iter().chain(["s", "bin"]).collect(),
        Param::Int => INTEGERS.into_iter().chain(["i", "i8", "i16"]).collect(),
        Param::Long => INTEGERS.into_iter().chain(["l", "i"]).collect(),
        Param::Double | Param::Number => numbers.collect(),
        Param::Boolean => vec!["b", "i > 0"],
        Param::Date | Param::Timestamp | Param::Clock => TIMES.to_vec(),
        _ => numbers.chain(TIMES).chain(["b", "s", "bin", "arr", "m", "'a'"]).collect(),
    }
}

/// A call of any function of the table that SQL can name.
fn call() -> impl Strategy<Value = String> {
    let named: Vec<_> = functions::all().filter(|function| !function.name.contains([' ', '['])).collect();
    proptest::sample::select(named).prop_flat_map(|function| {
        let most = function.params.len() + if function.repeats { 2 } else { 0 };
        let name = function.name;
        (function.required..=most).prop_flat_map(move |count| {
            let argument = |at: usize| {
                let param = function.params.get(at).or(function.params.last()).copied().unwrap_or(Param::Any);
                proptest::sample::select(arguments(param))
            };
            let arguments: Vec<_> = (0..count).map(argument).collect();
            arguments.prop_map(move |arguments| format!("{name}({})", arguments.join(", ")))
        })
    })
}

fn operation() -> impl Strategy<Value = String> {
    let any = || proptest::sample::select(COLUMNS.split(", ").filter_map(|c| c.split(' ').next()).collect::<Vec<_>>());
    let number = || proptest::sample::select(NUMBERS.to_vec());
    let time = || proptest::sample::select(TIMES.to_vec());
    let units = ["MICROSECOND", "SECOND", "DAY", "WEEK", "MONTH", "YEAR"];
    let fields = ["YEAR", "QUARTER", "WEEK", "DAY", "HOUR", "SECOND"];
    prop_oneof![
        (number(), proptest::sample::select(vec!["+", "-", "*", "/", "%", "DIV", "<", "="]), number())
            .prop_map(|(l, operator, r)| format!("{l} {operator} {r}")),
        (any(), proptest::sample::select(TYPES.to_vec()), proptest::sample::select(vec!["CAST", "TRY_CAST"]))
            .prop_map(|(x, to, cast)| format!("{cast}({x} AS {to})")),
        (time(), proptest::sample::select(vec!["+", "-"]), 0i64..200_000_000, proptest::sample::select(units.to_vec()))
            .prop_map(|(x, sign, count, unit)| format!("{x} {sign} INTERVAL {count} {unit}")),
        (proptest::sample::select(fields.to_vec()), time()).prop_map(|(field, x)| format!("EXTRACT({field} FROM {x})")),
        (number()).prop_map(|x| format!("-{x}")),
        (proptest::sample::select(INTEGERS.to_vec()), proptest::sample::select(vec!["arr", "m"]))
            .prop_map(|(at, x)| format!("{x}[{at}]")),
        (time(), time()).prop_map(|(x, y)| format!("CASE WHEN {x} < {y} THEN {x} ELSE {y} END")),
        time().prop_map(|x| format!("unix_timestamp({x})")),
    ]
}

/// The ends of each type, and what is near.
fn column(name: &str, rows: &[usize]) -> ArrayRef {
    fn pick<T: Clone>(values: &[T], rows: &[usize]) -> Vec<Option<T>> {
        let pick = |row: &usize| row.checked_sub(1).map(|row| values[row.rem_euclid(values.len())].clone());
        rows.iter().map(pick).collect()
    }
    const LONGS: [i64; 9] =
        [i64::MIN, i64::MIN + 1, -9_223_372_036_854, -1, 0, 1, 9_223_372_036_854, i64::MAX - 1, i64::MAX];
    const NINES: i128 = 10i128.pow(38) - 1;
    let decimal = |scale: i8, precision: u8, values: &[i128]| -> ArrayRef {
        let array = Decimal128Array::from(pick(values, rows));
        Arc::new(array.with_precision_and_scale(precision, scale).expect("the values fit"))
    };
    match name {
        "b" => Arc::new(BooleanArray::from(pick(&[true, false], rows))),
        "i8" => Arc::new(Int8Array::from(pick(&[i8::MIN, -1, 0, 1, i8::MAX], rows))),
        "i16" => Arc::new(Int16Array::from(pick(&[i16::MIN, -1, 0, 1, i16::MAX], rows))),
        "i" => Arc::new(Int32Array::from(pick(&[i32::MIN, i32::MIN + 1, -1, 0, 1, 7, i32::MAX], rows))),
        "l" => Arc::new(Int64Array::from(pick(&LONGS, rows))),
        "f" => Arc::new(Float32Array::from(pick(&[f32::MIN, -0.0, f32::NAN, 1.5, f32::MAX, f32::INFINITY], rows))),
        "d" => {
            let values = [f64::MIN, -9.3e18, -0.0, f64::NAN, 0.1, 5e-324, 9.3e18, f64::MAX, f64::NEG_INFINITY];
            Arc::new(Float64Array::from(pick(&values, rows)))
        }
        "n0" => decimal(0, 38, &[-NINES, -1, 0, 1, NINES, NINES / 2]),
        "n38" => decimal(38, 38, &[-NINES, -1, 0, 1, NINES, NINES / 2]),
        "n" => decimal(2, 10, &[-9_999_999_999, -1, 0, 1, 9_999_999_999]),
        "s" => {
            let values = [
                "",
                " ",
                "añ𝄞z",
                "-9223372036854775809",
                "1e-9223372036854775808",
                "1e2147483647",
                "294247-01-10 04:00:55",
                "-290308-12-21 19:59:05",
                "999999999",
                "{\"a\":[{\"b\":1e400}]}",
                "{\"a\":[{\"b\":\"\\ud800\"}]}",
                "NaN",
                "\0",
                "%",
                "0x1p3",
                "99999999999999999999999999999999999999.5",
            ];
            Arc::new(StringArray::from(pick(&values, rows)))
        }
        "dt" => Arc::new(Date32Array::from(pick(&[i32::MIN, -719_529, -1, 0, 19_782, i32::MAX], rows))),
        "ts" => Arc::new(TimestampMicrosecondArray::from(pick(&LONGS, rows)).with_timezone("UTC")),
        "ntz" => Arc::new(TimestampMicrosecondArray::from(pick(&LONGS, rows))),
        "bin" => Arc::new(BinaryArray::from_iter(pick(&[&b""[..], b"\xff\x00", b"abc"], rows))),
        "arr" => {
            let mut lists = ListBuilder::new(Int64Builder::new());
            for list in pick(&[vec![], vec![i64::MIN, i64::MAX]], rows) {
                lists.append_option(list.map(|list| list.into_iter().map(Some)));
            }
            Arc::new(lists.finish())
        }
        "m" => {
            let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
            let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), Int64Builder::new());
            for map in pick(&[None, Some(i64::MAX)], rows) {
                if let Some(Some(value)) = map {
                    maps.keys().append_value("a");
                    maps.values().append_value(value);
                }
                maps.append(map.is_some()).expect("keys and values are as many");
            }
            Arc::new(maps.finish())
        }
        other => panic!("{other} is no column here"),
    }
}

fn plan(zone: &str, expression: &str) -> Option<QueryPlan> {
    let text = format!(
        "session_time_zone = \"{zone}\"\n[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\n\
         schema = \"{COLUMNS}\"\n[query]\nsql = '''SELECT {expression} AS x FROM t'''\n[sinks.out]\ntype = \"console\"\n"
    );
    tidemill_sql::plan(&tidemill_config::parse("p.toml", &text, &[]).expect("the file is right")).ok()
}

/// Evaluates an expression over rows that name, for each column, which of its values they have; 0 is NULL.
fn check(zone: &str, expression: &str, rows: &[[usize; 4]]) {
    let Some(plan) = plan(zone, expression) else { return };
    let fields = plan.branches[0].decode_schema.fields();
    let of = |(at, field): (usize, &Arc<Field>)| {
        let rows: Vec<usize> = rows.iter().map(|row| row[at.min(3)]).collect();
        let array = column(field.name(), &rows);
        let data = array.to_data().into_builder().data_type(field.data_type().clone()).build();
        arrow_array::make_array(data.expect("the column has its type"))
    };
    let mut columns: Vec<ArrayRef> = fields.iter().enumerate().map(of).collect();
    let mut fields: Vec<Field> = fields.iter().map(|field| field.as_ref().clone()).collect();
    for position in &plan.branches[0].positions {
        columns.push(arrow_array::new_null_array(position.field().data_type(), rows.len()));
        fields.push(position.field());
    }
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .expect("columns are the schema's");
    let Body::Project(outputs) = plan.body() else { panic!("no aggregate here") };
    let mut errors = RowErrors::default();
    let values = evaluate(&outputs[0], &batch, &plan.context(Millis(i64::MAX)), &mut errors);
    assert_eq!((values.len(), values.data_type()), (rows.len(), &outputs[0].data_type()), "{expression}");
    // What was computed can be shown and written.
    let schema = Arc::new(Schema::new(vec![Field::new("x", values.data_type().clone(), true)]));
    let clock = tidemill_sql::zone::WallClock::new(plan.zone());
    for row in 0..rows.len() {
        if values.data_type() != &DataType::Null {
            show::value(&values, row, &clock);
        }
        let batch = RecordBatch::try_new(schema.clone(), vec![values.clone()]).expect("one column");
        json::write_row(&mut String::new(), &batch, row, &clock);
    }
}

fn rows() -> impl Strategy<Value = Vec<[usize; 4]>> {
    proptest::collection::vec(proptest::array::uniform4(0usize..17), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn functions_take_the_ends_of_all_types(zone in proptest::sample::select(ZONES.to_vec()), call in call(), rows in rows()) {
        check(zone, &call, &rows);
    }

    #[test]
    fn operators_and_casts_take_the_ends_of_all_types(
        zone in proptest::sample::select(ZONES.to_vec()),
        operation in operation(),
        rows in rows(),
    ) {
        check(zone, &operation, &rows);
    }
}

/// Constants are computed with the file.
#[test]
fn constants_at_the_ends_are_computed_with_the_file() {
    for expression in [
        "date_trunc('HOUR', timestamp_micros(-9223372036854775808L))",
        "CAST('1e-9223372036854775808' AS DECIMAL(10,2))",
        "round(1.5D, -2147483648)",
        "repeat('ab', 2147483647)",
        "space(2147483647)",
        "lpad('a', 2147483647, 'b')",
        "rpad(CAST('a' AS BINARY), 2147483647)",
        "DATE '1970-01-01' + INTERVAL 3000000000 MONTH",
    ] {
        check("UTC", expression, &[[0; 4]; 3]);
    }
}
