//! A dead letter as a JSON object.

use tidemill_flow::ports::{DeadLetter, Place};
use tidemill_sql::text::json::{write_base64, write_string};

/// Appends a dead letter as a line. Unknown members are omitted. A value that is not UTF-8 is written in Base64.
pub fn write_line(out: &mut String, letter: &DeadLetter<'_>) {
    let mut members = Members(out);
    if let Some((partition, offset)) = letter.at {
        members.text("topic", &partition.topic);
        members.number("partition", i64::from(partition.partition));
        members.number("offset", offset);
    }
    if let Some(Place { file, line }) = &letter.place {
        members.text("file", file);
        members.number("line", i64::try_from(*line).expect("a file has fewer lines"));
    }
    if let Some(timestamp) = letter.timestamp {
        members.number("timestamp", timestamp);
    }
    members.text("reason", letter.fault.name());
    if let Some(detail) = letter.detail {
        members.text("detail", detail);
    }
    match letter.value.map(|bytes| str::from_utf8(bytes).map_err(|_| bytes)) {
        Some(Ok(text)) => members.text("value", text),
        Some(Err(bytes)) => write_base64(members.name("value_base64"), bytes),
        None => {}
    }
    out.push_str("}\n");
}

/// Writes the members of an object.
struct Members<'a>(&'a mut String);

impl Members<'_> {
    fn name(&mut self, name: &str) -> &mut String {
        self.0.push(if self.0.is_empty() || self.0.ends_with('\n') { '{' } else { ',' });
        write_string(self.0, name);
        self.0.push(':');
        self.0
    }

    fn text(&mut self, name: &str, text: &str) {
        write_string(self.name(name), text);
    }

    fn number(&mut self, name: &str, number: i64) {
        self.name(name).push_str(&number.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::{PartitionId, RecordFault};

    #[test]
    fn what_is_known_is_written() {
        let partition = PartitionId { source: 0, topic: "a \"b\"".into(), partition: 3 };
        let bare = DeadLetter {
            at: None,
            place: None,
            timestamp: None,
            fault: RecordFault::AnsiError,
            detail: Some("[DIVIDE_BY_ZERO] x"),
            key: None,
            value: None,
            headers: &[],
        };
        let place = Place { file: "in/a.jsonl".into(), line: 12 };
        let whole = DeadLetter {
            at: Some((&partition, 7)),
            place: Some(place),
            timestamp: Some(0),
            fault: RecordFault::Malformed,
            detail: None,
            key: None,
            headers: &[],
            value: Some("{\"x\":\n\u{1}é".as_bytes()),
        };
        let binary = DeadLetter { place: None, value: Some(b"\xff\x00"), ..whole.clone() };
        let empty = DeadLetter { timestamp: None, value: Some(b""), ..binary.clone() };
        let mut out = String::new();
        [bare, whole, binary, empty].iter().for_each(|letter| write_line(&mut out, letter));
        let lines = [
            r#"{"reason":"ansi_error","detail":"[DIVIDE_BY_ZERO] x"}"#,
            r#"{"topic":"a \"b\"","partition":3,"offset":7,"file":"in/a.jsonl","line":12,"timestamp":0,"reason":"malformed","value":"{\"x\":\n\u0001é"}"#,
            r#"{"topic":"a \"b\"","partition":3,"offset":7,"timestamp":0,"reason":"malformed","value_base64":"/wA="}"#,
            r#"{"topic":"a \"b\"","partition":3,"offset":7,"reason":"malformed","value":""}"#,
        ];
        assert_eq!(out.lines().collect::<Vec<_>>(), lines);
    }
}
