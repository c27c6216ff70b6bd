//! Builds a [`Pipeline`] from the tree of a pipeline file: the keys, their meaning, their defaults.

use crate::document::{self, Lookup};
use crate::kafka_source::{kafka_source, needs_schema, topic_is_valid};
use crate::reader::Section;
use std::cell::RefCell;
use std::path::{Component, Path};
use tidemill_model::diagnostic::{Diagnostics, Located, SourceText};
use tidemill_model::glob;
use tidemill_model::interval::Interval;
use tidemill_model::pipeline::{
    Autoscale, ClientChoice, DeadLetterTarget, Delivery, EventTime, FilesSource, KafkaConnection, KafkaDeadLetters,
    KafkaFormat, KafkaSink, KafkaSource, NewTopic, OnError, OutputMode, Pipeline, Query, ScaleHooks, ScaleMode, Sink,
    SinkFormat, SinkKind, Source, SourceFormat, SourceKind, Trigger,
};
use tidemill_model::scale_change::EXECUTORS_MAX;

pub(crate) fn parse(
    file_name: &str,
    text: &str,
    set: &[(String, String)],
    lookup: Option<Lookup>,
) -> Result<Pipeline, Diagnostics> {
    let mut source = SourceText::new(file_name, text);
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    let mut root = document::read(&source, lookup, &mut found, &mut faults);
    if faults.is_empty() {
        for (key, value) in set {
            document::set(&mut root, &mut source, key, value, lookup, &mut found, &mut faults);
        }
    }
    source.hide(found);
    if !faults.is_empty() {
        return Err(Diagnostics(faults));
    }
    let faults = RefCell::new(faults);
    let pipeline = pipeline(Section::root(&source, &root, &faults), &source);
    let mut faults = faults.into_inner();
    faults.sort_by_key(|fault| (fault.file != source.file, fault.line, fault.column));
    match pipeline {
        Some(pipeline) if faults.is_empty() => Ok(pipeline),
        _ => {
            assert!(!faults.is_empty(), "a file that is not understood has a fault");
            Err(Diagnostics(faults))
        }
    }
}

fn pipeline(root: Section, source: &SourceText) -> Option<Pipeline> {
    let name = root.string("name").map_or_else(|| stem(&source.file), |name| name.text.clone());
    let session_time_zone = root.string("session_time_zone").cloned().unwrap_or_else(|| Located::unplaced("UTC"));
    let on_error = root.word("on_error", &[("drop", OnError::Drop), ("fail", OnError::Fail)]).unwrap_or_default();
    let sources = sources(&root);
    let query = match root.section("query") {
        Some(section) => query(section),
        None => {
            root.fault(0..0, "there is no [query]", "add a [query] table with sql = \"SELECT …\"");
            None
        }
    };
    check_ends(&root, sources.as_deref().unwrap_or_default(), query.as_ref());
    let mut taken: Vec<String> = sources.iter().flatten().filter_map(files_path).collect();
    let sinks = sinks(&root, &mut taken);
    let checkpoint = root.section("checkpoint").and_then(|section| {
        let path = section.required_string("path", "\"checkpoints/my-query\"");
        if let Some(path) = path {
            is_free(&section, path, &taken, "the checkpoint");
            taken.push(path.text.clone());
        }
        section.finish();
        path.map(|path| path.text.clone())
    });
    let state_bytes_max = root.section("state").and_then(|section| {
        let bytes = section.byte_size("memory_max");
        section.finish();
        bytes
    });
    let dashboard = root.section("dashboard").and_then(|section| {
        let listen = section.required_string("listen", "\"127.0.0.1:8080\"");
        let listen = listen.filter(|listen| addresses(&section, "listen", listen));
        section.finish();
        listen.map(|listen| listen.text.clone())
    });
    let autoscale = root.section("autoscale").map(autoscale).unwrap_or_default();
    let dead_letter = root.section("dead_letter").and_then(|section| dead_letter(section, &taken));
    root.finish();
    Some(Pipeline {
        source_text: source.clone(),
        name,
        session_time_zone,
        on_error,
        sources: sources?,
        query: query?,
        sinks,
        dead_letter,
        checkpoint,
        state_bytes_max,
        dashboard,
        autoscale,
    })
}

/// Reports a source with an end in a query without one. Spark refuses `endingOffsets` in every stream.
fn check_ends(root: &Section, sources: &[Source], query: Option<&Query>) {
    if query.is_none_or(|query| query.trigger == Trigger::AvailableNow) {
        return;
    }
    for source in sources {
        if let SourceKind::Kafka(KafkaSource { ending: Some(ending), .. }) = &source.kind {
            let message = format!("`{}` does not apply to a query without an end", ending.key);
            root.fault(ending.span.clone(), message, "write trigger = \"available now\" in [query], or leave this out");
        }
    }
}

fn stem(file_name: &str) -> String {
    Path::new(file_name).file_stem().map_or_else(|| "pipeline".into(), |stem| stem.to_string_lossy().into_owned())
}

fn sources(root: &Section) -> Option<Vec<Source>> {
    let sections = root.named_sections("sources");
    if sections.is_empty() {
        root.fault(
            root.value_span("sources"),
            "there is no source",
            "add a [sources.NAME] table with type = \"kafka\" or type = \"files\"",
        );
    }
    let sources: Vec<_> = sections.into_iter().map(|(name, section)| source(name, section)).collect();
    sources.into_iter().collect()
}

fn source(name: String, section: Section) -> Option<Source> {
    let span = section.span();
    let word = section.required_string("type", "\"kafka\"")?;
    let kind = match word.text.as_str() {
        "kafka" => kafka_source(&section).map(SourceKind::Kafka),
        "files" => files_source(&section).map(SourceKind::Files),
        other => {
            let message = format!("a source of type \"{other}\" is not supported yet");
            section.fault(word.span.clone(), message, "the types supported are \"kafka\" and \"files\"");
            return None;
        }
    };
    let schema = match &kind {
        // Without a schema, the columns are Kafka's own.
        Some(SourceKind::Kafka(kafka)) if !section.has("schema") => {
            needs_schema(&section, kafka);
            Some(None)
        }
        // The source has other mistakes.
        None if word.text == "kafka" && !section.has("schema") => None,
        _ => section.required_string("schema", "\"timestamp DOUBLE, course STRING\"").map(Some),
    };
    let corrupt_record_column = section.string("column_name_of_corrupt_record").cloned();
    let event_time = section.section("event_time").map(event_time);
    section.finish();
    Some(Source {
        name,
        span,
        kind: kind?,
        schema: schema?.cloned(),
        corrupt_record_column: corrupt_record_column.unwrap_or_else(|| Located::unplaced("_corrupt_record")),
        event_time: match event_time {
            Some(event_time) => Some(event_time?),
            None => None,
        },
    })
}

/// The keys of a cluster. `clients` are the clients that can be chosen, the default first.
pub(crate) fn kafka_connection(section: &Section, clients: &[(&str, ClientChoice)]) -> Option<KafkaConnection> {
    let servers = section.required_string("bootstrap_servers", "\"localhost:9092\"");
    let servers = servers.filter(|servers| addresses(section, "bootstrap_servers", servers));
    let client = section.word("client", clients).unwrap_or(clients[0].1);
    let client_options = section.pairs("options");
    Some(KafkaConnection { bootstrap_servers: servers?.text.clone(), client, client_options })
}

fn files_source(section: &Section) -> Option<FilesSource> {
    let path = section.required_string("path", "\"data/incoming\"");
    let path = path.filter(|path| is_path(section, path));
    let format = section.word("format", &[("json", false), ("csv", true)]);
    let is_csv = format.unwrap_or(section.has("format"));
    let header = section.boolean("header");
    let separator = section.string("sep").and_then(|text| separator(section, text));
    for key in ["header", "sep"] {
        if !is_csv && section.has(key) {
            let message = format!("`{key}` does not apply to format = \"json\"");
            section.fault(section.value_span(key), message, "leave it out, or write format = \"csv\"");
        }
    }
    let format = match is_csv {
        true => SourceFormat::Csv { header: header.unwrap_or(false), separator: separator.unwrap_or(',') },
        false => SourceFormat::Json,
    };
    let max_files_per_trigger = section.integer("max_files_per_trigger", 1).map(|count| count as u64);
    Some(FilesSource { path: path?.text.clone(), format, max_files_per_trigger })
}

/// The text as a CSV separator: one character. Reports any other text.
pub(crate) fn separator(section: &Section, text: &Located) -> Option<char> {
    let mut chars = text.text.chars();
    match (chars.next(), chars.next()) {
        (Some(one), None) if !['"', '\\', '\n', '\r', '\0'].contains(&one) => Some(one),
        _ => {
            let message = format!("`sep` is {:?}", text.text);
            let help = "give one character that is no quote, backslash or line end, for instance \",\" or \"\\t\"";
            section.fault(text.span.clone(), message, help);
            None
        }
    }
}

/// Whether the text is a usable path. Reports one that is not.
fn is_path(section: &Section, text: &Located) -> bool {
    let wrong = if text.text.trim().is_empty() {
        Some("the path is empty".to_owned())
    } else if text.text.contains("://") {
        Some(format!("`{}` is not a path on this machine", text.text))
    } else {
        None
    };
    if let Some(message) = &wrong {
        section.fault(text.span.clone(), message, "give a directory, for instance \"data/incoming\"");
    }
    wrong.is_none()
}

fn event_time(section: Section) -> Option<EventTime> {
    let column = section.required_string("column", "\"event_time\"");
    let expression = section.required_string("expression", "\"CAST(timestamp AS TIMESTAMP)\"");
    let watermark = section.interval("watermark");
    if let Some((interval, span)) = &watermark
        && let Err(message) = interval.delay_millis()
    {
        section.sentence(span.clone(), &message);
    }
    let max_ahead_ms = section.millis("max_event_time_ahead", 0);
    section.finish();
    let watermark = watermark.map(|(interval, _): (Interval, _)| interval);
    Some(EventTime { column: column?.clone(), expression: expression?.clone(), watermark, max_ahead_ms })
}

fn query(section: Section) -> Option<Query> {
    let sql = section.required_string("sql", "\"SELECT …\"");
    let modes = [OutputMode::Append, OutputMode::Update, OutputMode::Complete].map(|mode| (mode.name(), mode));
    let output_mode = section.word("output_mode", &modes).unwrap_or_default();
    let output_mode_span = section.value_span("output_mode");
    let trigger = trigger(&section);
    let no_data_batches = section.boolean("no_data_batches").unwrap_or(true);
    section.finish();
    Some(Query { sql: sql?.clone(), output_mode, output_mode_span, trigger, no_data_batches })
}

fn trigger(section: &Section) -> Trigger {
    let Some(text) = section.string("trigger") else {
        return Trigger::default();
    };
    let words = text.text.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    match words.as_str() {
        "as soon as possible" => return Trigger::AsSoonAsPossible,
        "available now" => return Trigger::AvailableNow,
        _ => {}
    }
    match Interval::parse(&text.text).and_then(Interval::fixed_micros) {
        Ok(micros) if (0..1_000).contains(&micros) => Trigger::AsSoonAsPossible,
        Ok(micros) if micros > 0 => Trigger::Every((micros / 1_000) as u64),
        _ => {
            let message = format!("`trigger` is \"{}\"", text.text);
            let help = "choose \"as soon as possible\", \"available now\" or an interval such as \"5 seconds\"";
            section.fault(text.span.clone(), message, help);
            Trigger::default()
        }
    }
}

fn files_path(source: &Source) -> Option<String> {
    match &source.kind {
        SourceKind::Files(files) => Some(files.path.clone()),
        SourceKind::Kafka(_) => None,
    }
}

/// Reads the sinks. Adds the directories that they write to `taken`.
fn sinks(root: &Section, taken: &mut Vec<String>) -> Vec<Sink> {
    let sections = root.named_sections("sinks");
    if sections.is_empty() {
        let help = "add a [sinks.NAME] table with type = \"console\", type = \"files\" or type = \"kafka\"";
        root.fault(root.value_span("sinks"), "there is no sink", help);
    }
    sections.into_iter().filter_map(|(name, section)| sink(name, section, taken)).collect()
}

fn sink(name: String, section: Section, taken: &mut Vec<String>) -> Option<Sink> {
    let span = section.span();
    let kind = section.required_string("type", "\"console\"")?;
    let kind = match kind.text.as_str() {
        "console" => SinkKind::Console {
            json: section.boolean("json").unwrap_or(false),
            rows_max: section.integer("rows_max", 1).unwrap_or(20) as usize,
        },
        "none" => SinkKind::None,
        "kafka" => {
            let kafka = kafka_sink(&section);
            section.finish();
            return Some(Sink { name, span, kind: SinkKind::Kafka(kafka?) });
        }
        "files" => {
            let formats = [SinkFormat::Json, SinkFormat::Csv, SinkFormat::Parquet];
            let format = section.word("format", &formats.map(|format| (format.name(), format))).unwrap_or_default();
            let format_span = section.value_span("format");
            let path = section.required_string("path", "\"out\"").filter(|path| is_path(&section, path));
            if let Some(path) = path {
                is_free(&section, path, taken, "the sink");
                taken.push(path.text.clone());
            }
            let (roll_bytes, roll_ms) = (section.byte_size("roll_size"), section.millis("roll_interval", 1));
            section.finish();
            let path = path?.text.clone();
            return Some(Sink { name, span, kind: SinkKind::Files { path, format, format_span, roll_bytes, roll_ms } });
        }
        other => {
            let message = format!("a sink of type \"{other}\" is not supported yet");
            let help = "the types supported are \"console\", \"files\", \"kafka\" and \"none\"";
            section.fault(kind.span.clone(), message, help);
            return None;
        }
    };
    section.finish();
    Some(Sink { name, span, kind })
}

/// Only the native client writes, so `client` has no other choice.
const WRITERS: [(&str, ClientChoice); 2] = [("auto", ClientChoice::Native), ("native", ClientChoice::Native)];

fn kafka_sink(section: &Section) -> Option<KafkaSink> {
    let connection = kafka_connection(section, &WRITERS);
    let is_raw = section.word("format", &[("json", false), ("raw", true)]).unwrap_or_default();
    let topic = match is_raw {
        true => section.string("topic"),
        false => section.required_string("topic", "\"my_topic\""),
    };
    let topic = topic.filter(|topic| topic_is_valid(section, topic, &topic.text));
    let key_column = section.string("key_column");
    if let Some(key) = key_column.filter(|_| is_raw) {
        let message = "`key_column` does not apply to format = \"raw\"";
        section.fault(key.span.clone(), message, "leave it out, and name the key's column `key`: SELECT … AS key");
    }
    let deliveries = [("exactly-once", Delivery::ExactlyOnce), ("at-least-once", Delivery::AtLeastOnce)];
    let delivery = section.word("delivery", &deliveries).unwrap_or_default();
    let new_topic = new_topic(section);
    let format = match is_raw {
        true => KafkaFormat::Raw,
        false => KafkaFormat::Json { key_column: key_column.cloned() },
    };
    Some(KafkaSink {
        connection: connection?,
        topic: topic.map(|topic| topic.text.clone()),
        new_topic,
        format,
        delivery,
    })
}

fn new_topic(section: &Section) -> Option<NewTopic> {
    let partitions = section.integer("partitions", 1);
    let options = section.pairs("topic_options");
    if partitions.is_none() && section.has("topic_options") {
        let message = "`topic_options` are the settings of a new topic, and none is to be created";
        section.fault(section.value_span("topic_options"), message, "add `partitions`, for instance partitions = 4");
    }
    let options = options.into_iter().map(|option| (option.name, option.value.expose().to_owned()));
    let partitions = i32::try_from(partitions?).unwrap_or(i32::MAX);
    Some(NewTopic { partitions, options: options.collect() })
}

fn dead_letter(section: Section, taken: &[String]) -> Option<DeadLetterTarget> {
    let kind = section.required_string("type", "\"files\"")?;
    match kind.text.as_str() {
        "files" => {}
        "kafka" => {
            let kafka = kafka_dead_letters(&section);
            section.finish();
            return kafka.map(DeadLetterTarget::Kafka);
        }
        other => {
            let message = format!("dead letters of type \"{other}\" are not supported");
            section.fault(kind.span.clone(), message, "the types supported are \"files\" and \"kafka\"");
            return None;
        }
    }
    let path = section.required_string("path", "\"dead-letters\"").filter(|path| is_path(&section, path));
    path.iter().for_each(|path| is_free(&section, path, taken, "the dead letters"));
    section.finish();
    Some(DeadLetterTarget::Files { path: path?.text.clone() })
}

fn kafka_dead_letters(section: &Section) -> Option<KafkaDeadLetters> {
    let connection = kafka_connection(section, &WRITERS);
    let topic = section.required_string("topic", "\"my_dead_letters\"");
    let topic = topic.filter(|topic| topic_is_valid(section, topic, &topic.text));
    let new_topic = new_topic(section);
    Some(KafkaDeadLetters { span: section.span(), connection: connection?, topic: topic?.text.clone(), new_topic })
}

/// Reports a directory that the pipeline already reads or writes. `taken` holds those paths; `whose` names the
/// directory's use in the message.
fn is_free(section: &Section, dir: &Located, taken: &[String], whose: &str) {
    if let Some(taken) = taken.iter().find(|taken| holds(&dir.text, taken)) {
        let message = format!("`{}` is also the directory of `{taken}`, which the pipeline reads or writes", dir.text);
        section.fault(dir.span.clone(), message, format!("give {whose} another directory"));
    }
}

/// Whether a path lies in the directory, or is a glob that may match the directory or files in it. Looks at the texts
/// only, and only at `*` and `?`.
fn holds(dir: &str, path: &str) -> bool {
    let plain = |path: &str| -> Vec<String> {
        let parts = Path::new(path).components().filter(|part| *part != Component::CurDir);
        parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let (dir, path) = (plain(dir), plain(path));
    let is_glob = |name: &String| name.contains(['*', '?', '[', '{']);
    let inside = path.len() == dir.len() + 1 && path.last().is_some_and(is_glob);
    (path.len() == dir.len() || inside) && path.iter().zip(&dir).all(|(pattern, name)| glob::matches(pattern, name))
}

fn autoscale(section: Section) -> Autoscale {
    let default = Autoscale::default();
    let modes = [("active", ScaleMode::Active), ("advisory", ScaleMode::Advisory), ("pinned", ScaleMode::Pinned)];
    let count = |key, least, default: u32| {
        section.integer(key, least).map_or(default, |count| count.try_into().unwrap_or(u32::MAX))
    };
    let scale = Autoscale {
        is_written: true,
        mode: section.word("mode", &modes).unwrap_or_default(),
        min_executors: count("min_executors", 0, default.min_executors),
        max_executors: count("max_executors", 1, default.max_executors),
        executor_cores: count("executor_cores", 1, default.executor_cores),
        slo_ms: section.millis("slo", 1).unwrap_or(default.slo_ms),
        executor_idle_timeout_ms: section
            .millis("executor_idle_timeout", 0)
            .unwrap_or(default.executor_idle_timeout_ms),
        down_hold_ms: section.millis("down_hold", 0).unwrap_or(default.down_hold_ms),
        task_timeout_ms: section.millis("task_timeout", 1_000).unwrap_or(default.task_timeout_ms),
        max_records_per_second_per_core: section.positive("max_records_per_second_per_core"),
        executor_memory_bytes: section.byte_size("executor_memory"),
        hooks: hooks(&section),
    };
    for (key, count) in [("max_executors", scale.max_executors), ("executor_cores", scale.executor_cores)] {
        if count > EXECUTORS_MAX {
            let message = format!("`{key}` is {count}: more than the limit");
            section.fault(section.value_span(key), message, format!("give at most {EXECUTORS_MAX}"));
        }
    }
    if scale.min_executors > scale.max_executors {
        let message =
            format!("`min_executors` {} exceeds `max_executors` {}", scale.min_executors, scale.max_executors);
        section.fault(section.value_span("min_executors"), message, "lower it or raise `max_executors`");
    }
    section.finish();
    scale
}

/// The commands that change a Spark cluster's size. One without the other would leave Workers behind, or start none.
fn hooks(section: &Section) -> Option<ScaleHooks> {
    const KEYS: [&str; 2] = ["scale_up", "scale_down"];
    match KEYS.map(|key| section.string(key).map(|command| (command.text.clone(), command.span.clone()))) {
        [Some((up, _)), Some((down, _))] => Some(ScaleHooks { up, down }),
        [None, None] => None,
        [Some((_, span)), None] | [None, Some((_, span))] => {
            section.fault(span, "`scale_up` and `scale_down` go together", "give both commands, or none");
            None
        }
    }
}

/// Whether the text is `host:port[,host:port…]`. Reports one that is not.
pub(crate) fn addresses(section: &Section, key: &str, text: &Located) -> bool {
    let is_host = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let legal = |c: char| c.is_alphanumeric() || "-._".contains(c) || inner.is_some() && ":%".contains(c);
        let host = inner.unwrap_or(host);
        !host.is_empty() && host.chars().all(legal)
    };
    let is_address = |address: &str| {
        let (host, port) = address.trim().rsplit_once(':').unwrap_or_default();
        is_host(host) && port.parse::<u16>().is_ok()
    };
    let wrong = text.text.split(',').find(|address| !is_address(address));
    if let Some(wrong) = wrong {
        let message = format!("`{key}` holds `{}`, which is not an address", wrong.trim());
        section.fault(
            text.span.clone(),
            message,
            "write host:port, for instance localhost:9092; several with commas between them",
        );
    }
    wrong.is_none()
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_directory_holds_what_a_glob_finds_in_it() {
        for (dir, path) in [("a", "a/"), ("./a", "a/*"), ("a/b", "a/*"), ("a/b", "a/?"), ("a/in", "a/i*/x-*.json")] {
            assert!(holds(dir, path), "{dir} {path}");
        }
        for (dir, path) in
            [("a", "b"), ("out", "in-*/*.json"), ("a/b/c", "a/*"), ("a", "a/b"), ("a", "a/b/*"), ("a/x", "a/i*")]
        {
            assert!(!holds(dir, path), "{dir} {path}");
        }
    }
}
