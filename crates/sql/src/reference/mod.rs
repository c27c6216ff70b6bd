//! What a query can call and what it cannot, for readers: `tidemill functions` and the pages in `docs/functions` are printed
//! from it.
//!
//! Scalar functions describe themselves in their own table ([`crate::functions`]). The tables here describe what the planner
//! handles by name: aggregates, lambdas, generators and windows. [`REFUSED`] names what Spark has and Tidemill does not.

mod calls;
mod refused;

use crate::functions::{FAMILIES, Function};
pub use refused::{REFUSED, Refused};
use tidemill_model::diagnostic::nearest;

/// What is said about a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in SQL, in lower case.
    pub name: &'static str,
    /// Other names of the same function.
    pub aliases: &'static [&'static str],
    /// How it is called: `lpad(text, length[, pad])`.
    pub usage: &'static str,
    /// What it gives, in a sentence or two.
    pub about: &'static str,
    /// What shows it.
    pub example: Example,
}

impl Entry {
    /// All its names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        [self.name].into_iter().chain(self.aliases.iter().copied())
    }
}

/// A call that shows a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    /// An expression of constants.
    Constant(&'static str),
    /// Items of a select list over rows: the elements of an array, in columns of these names.
    Rows {
        /// The items.
        items: &'static str,
        /// The array, and the names of the columns: `array(1, 2)` and `x`, or `array(struct(1, 2))` and `x, y`.
        rows: (&'static str, &'static str),
    },
    /// A part of a query, too long to be run alone.
    Text(&'static str),
}

impl Example {
    /// As it is printed.
    pub fn text(&self) -> String {
        match self {
            Example::Constant(text) | Example::Text(text) => (*text).to_string(),
            Example::Rows { items, rows: (rows, names) } => format!("{items} for {names} in {rows}"),
        }
    }

    /// A query over a table `t` of one row that gives its value; none for a text.
    pub fn query(&self) -> Option<String> {
        match self {
            Example::Constant(text) => Some(format!("SELECT {text} AS example FROM t")),
            Example::Rows { items, rows: (rows, names) } => {
                let generator = if names.contains(',') { "inline" } else { "explode" };
                Some(format!("SELECT {items} FROM (SELECT {generator}({rows}) AS ({names}) FROM t)"))
            }
            Example::Text(_) => None,
        }
    }
}

/// Functions that belong together: a page of the documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The name of its page: `strings`.
    pub name: &'static str,
    /// Its title: `Strings`.
    pub title: &'static str,
    /// Its functions.
    pub entries: Vec<Entry>,
}

/// All sections.
pub fn sections() -> Vec<Section> {
    let of_table = FAMILIES.iter().map(|family| Section {
        name: family.name,
        title: family.title,
        entries: family.functions().filter(|function| !function.name.contains(' ')).map(entry).collect(),
    });
    let of_planner =
        calls::SECTIONS.iter().map(|(name, title, entries)| Section { name, title, entries: entries.to_vec() });
    of_planner.chain(of_table.filter(|section| !section.entries.is_empty())).collect()
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A function that a query can call.
    Function(Entry),
    /// A function of Spark that Tidemill refuses.
    Refused(&'static Refused),
}

/// The function of a name, whatever its case. A name may stand for several: `filter` is one.
pub fn find(name: &str) -> Vec<Found> {
    let name = name.to_ascii_lowercase();
    let entries = sections().into_iter().flat_map(|section| section.entries);
    let named = entries.filter(|entry| entry.names().any(|known| known == name));
    named.map(Found::Function).chain(refused(&name).map(Found::Refused)).collect()
}

/// Names of functions that are nearest to an unknown one, nearest first; none if all are too different.
pub fn near(name: &str) -> Vec<&'static str> {
    let entries = sections().into_iter().flat_map(|section| section.entries);
    nearest(name, entries.flat_map(|entry| entry.names()))
}

/// Why Spark's function of this name is refused, if it is.
pub(crate) fn refused(name: &str) -> Option<&'static Refused> {
    REFUSED.iter().find(|refused| refused.names.contains(&name))
}

fn entry(function: &Function) -> Entry {
    let Function { name, aliases, usage, about, example, .. } = *function;
    Entry { name, aliases, usage, about, example: Example::Constant(example) }
}
