//! Pipeline files: a valid one, and each kind of mistake with its message.

use tidemill_config::Reference;
use tidemill_model::pipeline::{
    Autoscale, DeadLetterTarget, FilesSource, KafkaSource, MinOffsets, OutputMode, Position, ScaleHooks, SinkFormat,
    SinkKind, Source, SourceFormat, SourceKind, Topics, Trigger,
};
use tidemill_model::{Pipeline, Secret};

const REFERENCE: &str = include_str!("reference.toml");

fn set(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn parse(pairs: &[(&str, &str)]) -> Pipeline {
    tidemill_config::parse("p.toml", REFERENCE, &set(pairs)).unwrap()
}

fn kafka(source: &Source) -> &KafkaSource {
    let SourceKind::Kafka(kafka) = &source.kind else { panic!("{source:?}") };
    kafka
}

#[test]
fn the_reference_pipeline() {
    let pipeline = parse(&[]);
    assert_eq!(pipeline.name, "cs-student-activity");
    let source = &pipeline.sources[0];
    let kafka = kafka(source);
    assert_eq!((source.name.as_str(), kafka.topics.name().as_str()), ("cs_student_logs", "topic `cs_student_logs`"));
    assert_eq!(kafka.connection.bootstrap_servers, "localhost:9092");
    assert_eq!(kafka.starting, Position::Latest);
    let event_time = source.event_time.as_ref().unwrap();
    assert_eq!(event_time.column.text, "event_time");
    assert_eq!(event_time.watermark.unwrap().delay_millis(), Ok(60_000));
    assert_eq!((pipeline.query.output_mode, pipeline.query.trigger), (OutputMode::Update, Trigger::AsSoonAsPossible));
    assert_eq!(pipeline.sinks[0].kind, SinkKind::Console { json: false, rows_max: 20 });
    assert_eq!(pipeline.checkpoint.as_deref(), Some("checkpoints/cs-student-activity"));
    assert_eq!(pipeline.dashboard.as_deref(), Some("127.0.0.1:8080"));
    assert_eq!(pipeline.autoscale, Autoscale { is_written: true, ..Autoscale::default() });
}

#[test]
fn every_byte_of_the_query_knows_its_line_and_column() {
    let pipeline = parse(&[]);
    let sql = &pipeline.query.sql;
    let at = sql.text.find("lines_of_code").unwrap();
    let fault = pipeline.source_text.diagnostic(sql.file_span(at..at + 1), "here", "look");
    assert_eq!(fault.to_string(), "p.toml:20:14: here; look");
}

#[test]
fn set_replaces_and_adds_values() {
    let pipeline = parse(&[
        ("sinks.screen.json", "true"),
        ("autoscale.max_executors", "2"),
        ("autoscale.max_records_per_second_per_core", "1500.5"),
        ("query.trigger", "5 seconds"),
        ("sources.cs_student_logs.max_offsets_per_trigger", "1_000"),
        ("name", "\"a \\\"quoted\\\" name\""),
        ("sources.cs_student_logs.options.fetch.min.bytes", "10"),
    ]);
    let check = |pipeline: &Pipeline| {
        assert_eq!(pipeline.sinks[0].kind, SinkKind::Console { json: true, rows_max: 20 });
        assert_eq!(pipeline.autoscale.max_executors, 2);
        assert_eq!(pipeline.autoscale.max_records_per_second_per_core, Some(1500.5));
        assert_eq!(pipeline.query.trigger, Trigger::Every(5_000));
        assert_eq!(pipeline.name, "a \"quoted\" name");
        let kafka = kafka(&pipeline.sources[0]);
        assert_eq!(kafka.max_offsets_per_trigger, Some(1_000));
        let options =
            kafka.connection.client_options.iter().map(|option| (option.name.as_str(), option.value.expose()));
        assert_eq!(options.collect::<Vec<_>>(), [("fetch.min.bytes", "10")]);
        assert!(pipeline.query.sql.text.contains("GROUP BY window"));
    };
    check(&pipeline);
}

#[test]
fn a_pipeline_without_a_name_has_that_of_its_file() {
    let text = REFERENCE.replace("name = \"cs-student-activity\"", "");
    let pipeline = tidemill_config::parse("dir/my job.toml", &text, &[]).unwrap();
    assert_eq!(pipeline.name, "my job");
}

#[test]
fn values_of_the_environment() {
    let text = REFERENCE.replace("topic = \"cs_student_logs\"", "topic = \"a${ENV:T}b\"");
    let lookup = |reference: Reference<'_>| match reference {
        Reference::Env("T") => Ok(Secret::new("-xyz-")),
        Reference::File("/run/secrets/t") => Ok(Secret::new("-file-")),
        other => Err(format!("{other:?} is not there; make it")),
    };
    let pipeline = tidemill_config::parse_with("p.toml", &text, &[], &lookup).unwrap();
    let kafka = kafka(&pipeline.sources[0]);
    assert_eq!(kafka.topics, Topics::Named(vec!["a-xyz-b".into()]));
    let text = text.replace("${ENV:T}", "${ENV:U}");
    let faults = tidemill_config::parse_with("p.toml", &text, &[], &lookup).unwrap_err();
    assert_eq!(faults.to_string(), "p.toml:6:11: Env(\"U\") is not there; make it");
    let text = text.replace("${ENV:U}", "${FILE:/run/secrets/t}${ENV:T} ${ENV}${FILE:");
    let faults = tidemill_config::parse_with("p.toml", &text, &[], &lookup).unwrap_err();
    let expected = "p.toml:6:9: `a${FILE:/run/secrets/t}${ENV:T} ${ENV}${FILE:b` is not the name of a topic; use 1 to 249 letters, digits, `.`, `_` and `-`";
    assert_eq!(faults.to_string(), expected, "what references stand for is not shown");
}

/// Replaces `from` by `to` in the reference pipeline and expects these messages.
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(REFERENCE.contains(from), "{from}");
    let faults = tidemill_config::parse("p.toml", &REFERENCE.replacen(from, to, 1), &[]).unwrap_err();
    assert_eq!(faults.to_string().lines().collect::<Vec<_>>(), expected, "{to}");
}

#[test]
fn mistakes_are_named_at_their_place() {
    check(
        "topic =",
        "topik =",
        &[
            "p.toml:3:10: `topic` is missing in [sources.cs_student_logs]; add topic = \"my_topic\"",
            "p.toml:6:1: unknown key `sources.cs_student_logs.topik`; did you mean `topic`?",
        ],
    );
    check(
        "[dashboard]",
        "[colours]",
        &[
            "p.toml:34:2: unknown key `colours`; the known keys here are `autoscale`, `checkpoint`, `dashboard`, `dead_letter`, `name`, `on_error`, `query`, `session_time_zone`, `sinks`, `sources`, `state`",
        ],
    );
    check(
        "max_executors = 4",
        "max_executors = \"four\"",
        &["p.toml:39:17: `max_executors` must be an integer, not a string; change the value"],
    );
    check(
        "max_executors = 4",
        "max_executors = 0",
        &["p.toml:39:17: `max_executors` is 0; give a number of at least 1"],
    );
    check(
        "max_executors = 4",
        "max_executors = 200000",
        &["p.toml:39:17: `max_executors` is 200000: more than the limit; give at most 256"],
    );
    check(
        "min_executors = 0",
        "min_executors = 5",
        &["p.toml:38:17: `min_executors` 5 exceeds `max_executors` 4; lower it or raise `max_executors`"],
    );
    check(
        "\"update\"",
        "\"updated\"",
        &["p.toml:25:15: `output_mode` is \"updated\"; choose \"append\" or \"update\" or \"complete\""],
    );
    check(
        "\"as soon as possible\"",
        "\"soon\"",
        &[
            "p.toml:26:11: `trigger` is \"soon\"; choose \"as soon as possible\", \"available now\" or an interval such as \"5 seconds\"",
        ],
    );
    check(
        "\"1 minute\"",
        "\"1 min\"",
        &[
            "p.toml:15:13: `1 min` is not an interval: `min` is not a unit; the units are year, month, week, day, hour, minute, second, millisecond, microsecond",
        ],
    );
    check("\"1 minute\"", "\"-1 minute\"", &["p.toml:15:13: a watermark delay must not be negative; change the value"]);
    check(
        "\"console\"",
        "\"postgres\"",
        &[
            "p.toml:29:8: a sink of type \"postgres\" is not supported yet; the types supported are \"console\", \"files\", \"kafka\" and \"none\"",
        ],
    );
    check(
        "\"kafka\"",
        "\"socket\"",
        &[
            "p.toml:4:8: a source of type \"socket\" is not supported yet; the types supported are \"kafka\" and \"files\"",
        ],
    );
    check(
        "[sinks.screen]",
        "[sources.other]",
        &[
            "p.toml:1:1: there is no sink; add a [sinks.NAME] table with type = \"console\", type = \"files\" or type = \"kafka\"",
            "p.toml:29:8: a source of type \"console\" is not supported yet; the types supported are \"kafka\" and \"files\"",
        ],
    );
    let section = "[dead_letter]\ntype = \"kafka\"\ntopic = \"broken\"\n[sinks.screen]";
    let kafka =
        "p.toml:28:2: `bootstrap_servers` is missing in [dead_letter]; add bootstrap_servers = \"localhost:9092\"";
    check("[sinks.screen]", section, &[kafka]);
    let other =
        "p.toml:29:8: dead letters of type \"s3\" are not supported; the types supported are \"files\" and \"kafka\"";
    check("[sinks.screen]", &section.replace("kafka", "s3"), &[other]);
    check(
        "[sinks.screen]",
        &section.replace("kafka", "files"),
        &[
            "p.toml:28:2: `path` is missing in [dead_letter]; add path = \"dead-letters\"",
            "p.toml:30:1: unknown key `dead_letter.topic`; the known keys here are `path`, `type`",
        ],
    );
    check(
        "\"1 minute\"",
        "\"1 minute\"\nmax_event_time_ahead = \"-1 hour\"",
        &["p.toml:16:24: `max_event_time_ahead` is too short; give at least 0 milliseconds"],
    );
    check(
        "\"1 minute\"",
        "\"1 minute\"\nmax_event_time_ahead = \"1 month\"",
        &["p.toml:16:24: months and years have no fixed length and are not allowed here; use days or weeks"],
    );
    let several = ["localhost", "http://h:9092", "h:9092,,g:9092", "h:9092 g", "h h:1", "h:0x1", "h:70000", ""];
    for servers in several {
        let wrong = ["localhost", "http://h:9092", "", "h:9092 g", "h h:1", "h:0x1", "h:70000", ""];
        let wrong = wrong[several.iter().position(|known| *known == servers).unwrap()];
        let expected = format!(
            "p.toml:5:21: `bootstrap_servers` holds `{wrong}`, which is not an address; write host:port, for instance localhost:9092; several with commas between them"
        );
        check("localhost:9092", servers, &[&expected]);
    }
    check(
        "[query]",
        "query = 1\n[other]",
        &[
            "p.toml:1:1: there is no [query]; add a [query] table with sql = \"SELECT …\"",
            "p.toml:17:1: unknown key `sources.cs_student_logs.event_time.query`; the known keys here are `column`, `expression`, `max_event_time_ahead`, `watermark`",
            "p.toml:18:2: unknown key `other`; the known keys here are `autoscale`, `checkpoint`, `dashboard`, `dead_letter`, `name`, `on_error`, `query`, `session_time_zone`, `sinks`, `sources`, `state`",
        ],
    );
    check(
        "type = \"kafka\"",
        "type = kafka",
        &["p.toml:4:8: string values must be quoted, expected literal string; correct the TOML"],
    );
    check(
        "SELECT window.start",
        "SELECT '\\d', window.start",
        &[
            "p.toml:19:12: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\\`, `\"`, `x`, `u`, `U`; \\ begins an escape inside \" and \"\"\"; use ' or ''', where it is a plain character",
        ],
    );
}

/// The reference with `topic = "cs_student_logs"` replaced by these lines, at its end `trigger`.
fn source_with(lines: &str, trigger: &str) -> Result<KafkaSource, String> {
    let text = REFERENCE
        .replace("topic = \"cs_student_logs\"\nstarting_offsets = \"latest\"\n", &format!("{lines}\n"))
        .replace("as soon as possible\"      #", &format!("{trigger}\" #"));
    assert!(text.contains(lines) && text.contains(trigger));
    let pipeline = tidemill_config::parse("p.toml", &text, &[]).map_err(|error| error.to_string())?;
    Ok(kafka(&pipeline.sources[0]).clone())
}

#[test]
fn what_a_source_reads_and_from_where() {
    let read = |lines: &str| source_with(lines, "available now").unwrap();
    let each = |topic: &str, numbers: &[(i32, i64)]| [(topic.into(), numbers.iter().copied().collect())].into();
    assert_eq!(read("topic = \"a, b,a\"").topics, Topics::Named(vec!["a".into(), "b".into()]));
    assert_eq!(read("subscribe_pattern = 'logs-.*'").topics.description(), "SubscribePattern[logs-.*]");
    let assigned = read("assign = '{\"b\":[0],\"a\":[2,1]}'").topics;
    assert_eq!(assigned.description(), "Assign[a-1, a-2, b-0]");
    for (lines, starting) in [
        ("", Position::Latest),
        ("starting_offsets = \"earliest\"", Position::Earliest),
        ("starting_offsets = '{\"t\":{\"0\":23,\"1\":-2}}'", Position::Offsets(each("t", &[(0, 23), (1, -2)]))),
        ("starting_timestamp = 5", Position::Timestamp(5)),
        ("starting_offsets_by_timestamp = '{\"t\":{\"0\":7}}'", Position::Timestamps(each("t", &[(0, 7)]))),
        // Spark's precedence.
        (
            "starting_offsets = \"earliest\"\nstarting_offsets_by_timestamp = '{\"t\":{\"0\":7}}'\nstarting_timestamp = 5",
            Position::Timestamp(5),
        ),
        (
            "starting_offsets = \"earliest\"\nstarting_offsets_by_timestamp = '{\"t\":{\"0\":7}}'",
            Position::Timestamps(each("t", &[(0, 7)])),
        ),
    ] {
        assert_eq!(read(&format!("topic = \"t\"\n{lines}")).starting, starting, "{lines}");
    }
    let ends = read("topic = \"t\"\nending_offsets = '{\"t\":{\"0\":9,\"1\":-1}}'").ending.unwrap();
    assert_eq!((ends.position, ends.key), (Position::Offsets(each("t", &[(0, 9), (1, -1)])), "ending_offsets"));
    let kafka = read(
        "topic = \"t\"\nmin_offsets_per_trigger = 5\nmax_trigger_delay = \"2 seconds\"\nfail_on_data_loss = false\n\
         group_id = \"g\"\nstarting_timestamp = 0\nstarting_offsets_by_timestamp_strategy = \"latest\"",
    );
    assert_eq!(kafka.min_offsets, Some(MinOffsets { offsets: 5, delay_max_ms: 2_000 }));
    assert_eq!((kafka.fail_on_data_loss, kafka.starts_at_end_without_match), (false, true));
    assert_eq!(kafka.group_id.unwrap().text, "g");
    let quarter = read("topic = \"t\"\nmin_offsets_per_trigger = 5").min_offsets.unwrap();
    assert_eq!(quarter.delay_max_ms, 900_000);
}

#[test]
fn combinations_that_spark_refuses() {
    for (lines, expected) in [
        ("", "`topic` is missing in [sources.cs_student_logs]; add topic = \"my_topic\""),
        ("topic = \"t\"\nassign = '{\"t\":[0]}'", "a source has `topic` or `assign`, not both; leave one of them out"),
        (
            "subscribe_pattern = \"t\"\nassign = '{\"t\":[0]}'",
            "a source has `subscribe_pattern` or `assign`, not both; leave one of them out",
        ),
        ("topic = \"a,,b\"", "`` is not the name of a topic; use 1 to 249 letters, digits, `.`, `_` and `-`"),
        (
            "subscribe_pattern = \" \"",
            "`subscribe_pattern` is empty; give a regular expression that matches the names of the topics, such as \"logs-.*\"",
        ),
        ("assign = \"t\"", "`assign` is `t`; write JSON such as '{\"orders\":[0,1]}'"),
        ("assign = '{}'", "`assign` names no partition; write, for instance, '{\"orders\":[0,1]}'"),
        (
            "topic = \"t\"\nstarting_offsets = \"first\"",
            "`starting_offsets` is \"first\"; choose \"earliest\", \"latest\", or an offset of each partition as '{\"orders\":{\"0\":23,\"1\":-1}}'",
        ),
        (
            "topic = \"t\"\nstarting_offsets = '{\"t\":[0]}'",
            "`starting_offsets` is `{\"t\":[0]}`; write JSON such as '{\"orders\":{\"0\":23,\"1\":-1}}'",
        ),
        (
            "topic = \"t\"\nstarting_offsets = '{\"t\":{\"0\":-3}}'",
            "`starting_offsets` holds -3; the least number is -2",
        ),
        (
            "topic = \"t\"\nstarting_offsets = '{\"u\":{\"0\":1}}'",
            "`starting_offsets` names topic `u`, which is not read; name each partition that is read and no other (-1 stands for the end, -2 for the first offset)",
        ),
        (
            "topic = \"t,u\"\nstarting_offsets = '{\"u\":{\"0\":1}}'",
            "`starting_offsets` lacks topic `t`; name each partition that is read and no other (-1 stands for the end, -2 for the first offset)",
        ),
        (
            "assign = '{\"t\":[0,1]}'\nstarting_offsets_by_timestamp = '{\"t\":{\"0\":1}}'",
            "`starting_offsets_by_timestamp` lacks partition 1 of `t`; name each partition that is read and no other (a timestamp is in milliseconds)",
        ),
        (
            "topic = \"t\"\nending_offsets = \"earliest\"",
            "`ending_offsets` is \"earliest\", and a query cannot end before its start; write \"latest\", or an offset of each partition",
        ),
        (
            "topic = \"t\"\nending_offsets = '{\"t\":{\"0\":-2}}'",
            "`ending_offsets` holds -2, and a query cannot end at the first offset; write -1 for the end",
        ),
        (
            "topic = \"t\"\nmin_offsets_per_trigger = 9\nmax_offsets_per_trigger = 8",
            "`min_offsets_per_trigger` 9 exceeds `max_offsets_per_trigger` 8; lower it, or raise the other",
        ),
        (
            "topic = \"t\"\nmax_trigger_delay = \"1 minute\"",
            "`max_trigger_delay` limits how long `min_offsets_per_trigger` may hold a batch back; add `min_offsets_per_trigger`, or leave this out",
        ),
        (
            "topic = \"t\"\nstarting_offsets_by_timestamp_strategy = \"latest\"",
            "`starting_offsets_by_timestamp_strategy` is about timestamps without a match, and there is no starting timestamp; add `starting_timestamp`, or leave this out",
        ),
        (
            "topic = \"t\"\ngroup_id = \"\"",
            "`` is not the name of a consumer group; give a name of 1 to 249 bytes, such as \"tidemill-orders\"",
        ),
    ] {
        let error = source_with(lines, "available now").expect_err(lines);
        assert!(error.contains(&format!(": {expected}")) && !error.contains('\n'), "{lines}: {error}");
    }
    let error = source_with("topic = \"t\"\nending_timestamp = 5", "5 seconds").unwrap_err();
    let expected = "`ending_timestamp` does not apply to a query without an end; write trigger = \"available now\" in [query], or leave this out";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn hooks_come_in_pairs() {
    let hooks = parse(&[("autoscale.scale_up", "\"up $N\""), ("autoscale.scale_down", "\"down\"")]).autoscale.hooks;
    assert_eq!(hooks, Some(ScaleHooks { up: "up $N".into(), down: "down".into() }));
}

#[test]
fn mistakes_in_set_name_the_set() {
    for (key, value, expected) in [
        (
            "autoscale.scale_up",
            "\"up\"",
            "--set autoscale.scale_up:1:1: `scale_up` and `scale_down` go together; give both commands, or none",
        ),
        (
            "autoscale.max_executors",
            "x",
            "--set autoscale.max_executors:1:1: `max_executors` must be an integer, not a string; change the value",
        ),
        (
            "autoscale.maxexecutors",
            "2",
            "--set autoscale.maxexecutors:1:1: unknown key `autoscale.maxexecutors`; did you mean `max_executors`?",
        ),
        ("name.x", "2", "--set name.x:1:1: `name` is a string, not a table; name an option inside a table"),
        (
            "a..b",
            "2",
            "--set a..b:1:1: `a..b` is not a key; write --set key=value with a dotted key, for instance --set autoscale.max_executors=2",
        ),
    ] {
        let faults = tidemill_config::parse("p.toml", REFERENCE, &set(&[(key, value)])).unwrap_err();
        assert_eq!(faults.to_string(), expected);
    }
}

const FILES: &str = r#"
[sources.t]
type = "files"
path = "in/*.csv"
format = "csv"
header = true
sep = ";"
max_files_per_trigger = 2
schema = "a STRING"
[query]
sql = "SELECT a FROM t"
[sinks.out]
type = "files"
path = "out"
format = "parquet"
"#;

#[test]
fn sizes_in_bytes() {
    let base =
        "[sources.t]\ntype = 'files'\npath = 'in'\nschema = 'a INT'\n[query]\nsql = 'x'\n[sinks.s]\ntype = 'none'\n";
    let parse = |size: &str| tidemill_config::parse("p.toml", &format!("{base}[state]\nmemory_max = \"{size}\""), &[]);
    for (size, expected) in [("2 GB", 2_000_000_000), ("512 mb", 512_000_000), ("1 KB", 1_000)] {
        assert_eq!(parse(size).unwrap().state_bytes_max, Some(expected), "{size}");
    }
    for size in ["", "2", "2GB", "GB", "-1 GB", "1.5 GB", "0 MB", "2 TB", "99999999999999 GB"] {
        let message = parse(size).unwrap_err().to_string();
        let help = "write a whole number and KB, MB or GB, such as \"2 GB\"";
        assert!(
            message.contains(&format!("p.toml:10:14: `memory_max` is \"{size}\"")) && message.contains(help),
            "{message}"
        );
    }
    let pipeline = tidemill_config::parse("p.toml", base, &[]).unwrap();
    assert_eq!((pipeline.state_bytes_max, &pipeline.sinks[0].kind), (None, &SinkKind::None));
}

#[test]
fn a_pipeline_of_files() {
    let pipeline = tidemill_config::parse("p.toml", FILES, &[]).unwrap();
    let check = |pipeline: &Pipeline| {
        let SourceKind::Files(files) = &pipeline.sources[0].kind else { panic!("{:?}", pipeline.sources) };
        let format = SourceFormat::Csv { header: true, separator: ';' };
        assert_eq!(*files, FilesSource { path: "in/*.csv".into(), format, max_files_per_trigger: Some(2) });
        let SinkKind::Files { path, format, .. } = &pipeline.sinks[0].kind else { panic!("{:?}", pipeline.sinks) };
        assert_eq!((path.as_str(), *format), ("out", SinkFormat::Parquet));
    };
    check(&pipeline);
    let least = "[sources.t]\ntype = 'files'\npath = 'in'\nschema = 'a INT'\n[query]\nsql = 'x'\n[sinks.s]\ntype = 'files'\npath = 'o'";
    let pipeline = tidemill_config::parse("p.toml", least, &[]).unwrap();
    let SourceKind::Files(files) = &pipeline.sources[0].kind else { panic!("{:?}", pipeline.sources) };
    assert_eq!((files.format, files.max_files_per_trigger), (SourceFormat::Json, None));
    assert!(matches!(pipeline.sinks[0].kind, SinkKind::Files { format: SinkFormat::Json, .. }));
}

#[test]
fn dead_letters_and_the_bound_of_event_times() {
    let text = format!("{REFERENCE}\n[dead_letter]\ntype = \"files\"\npath = \"out/letters\"\n")
        .replace("\"1 minute\"", "\"1 minute\"\nmax_event_time_ahead = \"1 hour 500 milliseconds\"");
    let check = |pipeline: &Pipeline| {
        assert_eq!(pipeline.dead_letter, Some(DeadLetterTarget::Files { path: "out/letters".into() }));
        assert_eq!(pipeline.sources[0].event_time.as_ref().unwrap().max_ahead_ms, Some(3_600_500));
    };
    let pipeline = tidemill_config::parse("p.toml", &text, &[]).unwrap();
    check(&pipeline);
    // A directory beside the pipeline's files, or around them, may be used.
    for path in ["", "in/letters", "out/letters", "letters"] {
        let section = format!("[dead_letter]\ntype = \"files\"\npath = \"./{path}\"\n[query]");
        tidemill_config::parse("p.toml", &FILES.replacen("[query]", &section, 1), &[]).unwrap();
    }
}

#[test]
fn mistakes_in_files_are_named_at_their_place() {
    let check = |from: &str, to: &str, expected: &[&str]| {
        assert!(FILES.contains(from), "{from}");
        let faults = tidemill_config::parse("p.toml", &FILES.replacen(from, to, 1), &[]).unwrap_err();
        assert_eq!(faults.to_string().lines().collect::<Vec<_>>(), expected, "{to}");
    };
    check(
        "format = \"csv\"",
        "format = \"json\"",
        &[
            "p.toml:6:10: `header` does not apply to format = \"json\"; leave it out, or write format = \"csv\"",
            "p.toml:7:7: `sep` does not apply to format = \"json\"; leave it out, or write format = \"csv\"",
        ],
    );
    check("\"csv\"", "\"avro\"", &["p.toml:5:10: `format` is \"avro\"; choose \"json\" or \"csv\""]);
    check(
        "header = true",
        "header = \"yes\"",
        &["p.toml:6:10: `header` must be true or false, not a string; change the value"],
    );
    let help = "give one character that is no quote, backslash or line end, for instance \",\" or \"\\t\"";
    check("\";\"", "\";;\"", &[&format!("p.toml:7:7: `sep` is \";;\"; {help}")]);
    check("\";\"", "'\"'", &[&format!("p.toml:7:7: `sep` is \"\\\"\"; {help}")]);
    check(
        "max_files_per_trigger = 2",
        "max_files_per_trigger = 0",
        &["p.toml:8:25: `max_files_per_trigger` is 0; give a number of at least 1"],
    );
    check(
        "max_files_per_trigger",
        "max_file_per_trigger",
        &["p.toml:8:1: unknown key `sources.t.max_file_per_trigger`; did you mean `max_files_per_trigger`?"],
    );
    check("path = \"in/*.csv\"", "", &["p.toml:2:10: `path` is missing in [sources.t]; add path = \"data/incoming\""]);
    check(
        "in/*.csv",
        "s3://bucket/in",
        &[
            "p.toml:4:8: `s3://bucket/in` is not a path on this machine; give a directory, for instance \"data/incoming\"",
        ],
    );
    let letters = |path: &str| format!("[dead_letter]\ntype = \"files\"\npath = \"{path}\"\n[query]");
    for (path, taken) in [("./in/", "in/*.csv"), ("out", "out"), ("out/.", "out")] {
        let message =
            format!("p.toml:12:8: `{path}` is also the directory of `{taken}`, which the pipeline reads or writes");
        check("[query]", &letters(path), &[&format!("{message}; give the dead letters another directory")]);
    }
    // A sink must not write where a source of the same query reads: the query would read its own output.
    let taken =
        |path: &str| format!("`{path}` is also the directory of `in/*.csv`, which the pipeline reads or writes");
    for path in ["in", "./in/"] {
        let message = format!("p.toml:14:8: {}; give the sink another directory", taken(path));
        check("\"out\"", &format!("\"{path}\""), &[&message]);
    }
    let message = format!("p.toml:11:8: {}; give the checkpoint another directory", taken("in"));
    check("[query]", "[checkpoint]\npath = \"in\"\n[query]", &[&message]);
    check("\"out\"", "\" \"", &["p.toml:14:8: the path is empty; give a directory, for instance \"data/incoming\""]);
    check("\"parquet\"", "\"orc\"", &["p.toml:15:10: `format` is \"orc\"; choose \"json\" or \"csv\" or \"parquet\""]);
}
