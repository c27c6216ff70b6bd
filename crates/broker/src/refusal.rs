//! Why a request or a part of it is refused: the protocol's code and a sentence.

use kafka_protocol::ResponseError as Code;
use kafka_protocol::protocol::StrBytes;

/// Texts are truncated to this length, so that they fit in a message of any version.
const WHY_BYTES_MAX: usize = 1000;

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: Code,
    pub why: String,
}

impl Refusal {
    pub fn new(code: Code, why: impl Into<String>) -> Refusal {
        Refusal { code, why: why.into() }
    }

    /// The sentence, truncated for a message.
    pub fn text(&self) -> StrBytes {
        StrBytes::from_string(start_of(&self.why, WHY_BYTES_MAX).to_owned())
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Refusal {
        Refusal::new(code, code.to_string())
    }
}

/// The start of a text: at most `bytes`, in whole characters.
pub(crate) fn start_of(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
