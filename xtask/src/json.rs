//! Reads numbers and plain names from JSON text that our own programs wrote, without a JSON parser.

use std::str::FromStr;

/// The number after the first occurrence of a name; `None` if the name is missing or has another kind of value.
pub fn number<T: FromStr>(json: &str, name: &str) -> Option<T> {
    let (_, rest) = json.split_once(&format!("\"{name}\":"))?;
    rest.split([',', '}', '\n']).next()?.trim().parse().ok()
}

/// Whether a progress record is of a batch that has read records.
pub fn is_batch_with_data(record: &&str) -> bool {
    number::<u64>(record, "numInputRows").is_some_and(|rows| rows > 0)
}

/// The text after the first occurrence of a name; `None` if the name is missing. The text has no escapes.
pub fn text<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(&format!("\"{name}\":"))?;
    rest.trim_start().strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::{number, text};

    #[test]
    fn names_in_json() {
        let json = "{\"topic\": \"a-1\",\"empty\":\"\",\"runs\":1}";
        assert_eq!(
            ["topic", "empty", "runs", "other"].map(|name| text(json, name)),
            [Some("a-1"), Some(""), None, None]
        );
    }

    #[test]
    fn numbers_in_json() {
        let json = "{\"lost\": 12,\n\"batchId\":3,\"least\":null,\"rate\": 2.5\n}";
        assert_eq!(
            ["lost", "batchId", "least", "other"].map(|name| number::<u64>(json, name)),
            [Some(12), Some(3), None, None]
        );
        assert_eq!(number::<f64>(json, "rate"), Some(2.5));
    }
}
