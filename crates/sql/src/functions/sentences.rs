//! `sentences`: the words of each sentence, cut as Java's `BreakIterator` cuts them.
//!
//! Two machines, one for sentences and one for words, run over classes of characters. They were learned from Java itself by
//! `tests/spark/Breaks.java`, and `breaks.txt` holds them. A machine reads a text from its start to find the first end, and
//! begins anew behind it. Java has one set of rules for all languages but Thai, which needs a dictionary.

use super::{Arguments, Function, Param};
use crate::regex;
use crate::types;
use arrow_array::ArrayRef;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_schema::{DataType, Field};
use std::sync::{Arc, OnceLock};

pub(super) const FUNCTIONS: &[Function] = &[Function {
    name: "sentences",
    usage: "sentences(text[, language[, country]])",
    about: "The words of each sentence, as Java finds them. The language makes no difference, but Thai fails the row: its words \
            need a dictionary.",
    example: "sentences('Hi there! Good morning.')",
    params: &[Param::String, Param::String, Param::String],
    gives: |_| types::array(types::array(DataType::Utf8)),
    order: crate::eval::Order::Whole,
    kernel: sentences,
    ..Function::BLANK
}];

fn sentences(arguments: &mut Arguments) -> ArrayRef {
    let texts = arguments.columns[0].texts();
    let words = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true));
    let mut out = ListBuilder::new(words).with_field(Field::new("element", types::array(DataType::Utf8), true));
    for row in 0..arguments.rows {
        let language = arguments.columns.get(1).and_then(|language| language.texts().get(row));
        let Some(text) = texts.get(row) else {
            out.append(false);
            continue;
        };
        if language.is_some_and(|language| language.eq_ignore_ascii_case("th")) {
            let message = || "the words of Thai texts are not known; leave the language out".to_string();
            arguments.errors.record(row, "UNSUPPORTED_LANGUAGE", message);
            out.append(false);
            continue;
        }
        for sentence in Machine::sentences().parts(text) {
            let words = Machine::words().parts(sentence).filter(|word| word.chars().next().is_some_and(begins_a_word));
            words.for_each(|word| out.values().values().append_value(word));
            out.values().append(true);
        }
        out.append(true);
    }
    Arc::new(out.finish())
}

/// Whether Spark takes what begins so for a word. It looks at Java's half characters, so none beyond U+FFFF does.
fn begins_a_word(c: char) -> bool {
    match c {
        '\0'..='\u{7f}' => c.is_ascii_alphanumeric(),
        '\u{80}'..='\u{ffff}' => regex::is_letter_or_digit(c),
        _ => false,
    }
}

/// Finds the ends of the parts of a text.
struct Machine {
    /// The class of each ASCII character.
    ascii: [u8; 128],
    /// First and last code point and class, sorted.
    ranges: Vec<(u32, u32, u8)>,
    states: Vec<State>,
}

struct State {
    /// Whether a part may end here.
    ends: bool,
    /// Whether it may if the text ends here, or if a later state comes back.
    may_end: bool,
    /// By class.
    next: Vec<Next>,
}

#[derive(Clone, Copy)]
enum Next {
    State(u8),
    /// The part ends at the last place where one may.
    End,
    /// It ends at the last place that was left open.
    Back,
}

const TABLE: &str = include_str!("breaks.txt");

impl Machine {
    fn sentences() -> &'static Machine {
        static MACHINE: OnceLock<Machine> = OnceLock::new();
        MACHINE.get_or_init(|| Machine::read("sentence "))
    }

    fn words() -> &'static Machine {
        static MACHINE: OnceLock<Machine> = OnceLock::new();
        MACHINE.get_or_init(|| Machine::read("word "))
    }

    fn read(name: &str) -> Machine {
        let lines = || TABLE.lines().filter_map(|line| line.strip_prefix(name));
        let (mut ranges, mut states) = (Vec::new(), Vec::new());
        for (class, line) in lines().filter_map(|line| line.strip_prefix("class")).enumerate() {
            let code = |text: &str| u32::from_str_radix(text, 16).expect("a code point");
            ranges.extend(line.split_whitespace().map(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                (code(first), code(last), class as u8)
            }));
        }
        ranges.sort_unstable();
        for line in lines().filter_map(|line| line.strip_prefix("state ")) {
            let (end, next) = line.split_once(' ').expect("an end and the states behind");
            let next = next.split(' ').map(|next| match next {
                "." => Next::End,
                "<" => Next::Back,
                number => Next::State(number.parse().expect("a state's number")),
            });
            states.push(State { ends: end == "+", may_end: end != "-", next: next.collect() });
        }
        let mut machine = Machine { ascii: [0; 128], ranges, states };
        machine.ascii = std::array::from_fn(|code| machine.class_beyond(code as u32));
        machine
    }

    fn class(&self, c: char) -> usize {
        let class = self.ascii.get(c as usize).copied();
        class.unwrap_or_else(|| self.class_beyond(c as u32)).into()
    }

    fn class_beyond(&self, code: u32) -> u8 {
        let behind = self.ranges.partition_point(|(first, ..)| *first <= code);
        let range = behind.checked_sub(1).map(|at| self.ranges[at]);
        range.filter(|(_, last, _)| code <= *last).map_or(0, |(.., class)| class)
    }

    /// The parts, which together are the text.
    fn parts<'t>(&self, mut text: &'t str) -> impl Iterator<Item = &'t str> {
        std::iter::from_fn(move || {
            let (part, rest) = text.split_at(self.first_end(text)?);
            text = rest;
            Some(part)
        })
    }

    /// `None` of an empty text.
    fn first_end(&self, text: &str) -> Option<usize> {
        let mut state = &self.states[0];
        let (mut sure, mut open) = (0, 0);
        for (at, c) in text.char_indices() {
            match state.next[self.class(c)] {
                Next::End => return Some(sure),
                Next::Back => return Some(open),
                Next::State(number) => state = &self.states[usize::from(number)],
            }
            let behind = at + c.len_utf8();
            sure = if state.ends { behind } else { sure };
            open = if state.may_end { behind } else { open };
        }
        match text.is_empty() {
            true => None,
            false => Some(if state.may_end { text.len() } else { sure }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_is_empty() {
        for machine in [Machine::sentences(), Machine::words()] {
            let texts =
                ["", "a", "a.", "a. b", ". ", "\r\n\n", "'", "a'b 'c' 3.14,5 1,2.", "\u{300}\u{300}", "x\u{2029}y"];
            for text in texts {
                let parts: Vec<&str> = machine.parts(text).collect();
                assert_eq!(parts.concat(), text);
                assert!(parts.iter().all(|part| !part.is_empty()), "{text:?}: {parts:?}");
            }
        }
    }
}
