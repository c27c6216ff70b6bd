//! GROUP BY: keys, and sets of them: ROLLUP, CUBE and GROUPING SETS, which are written out here.
//!
//! ```text
//!   ROLLUP(a, b)          (a, b), (a), ()
//!   CUBE(a, b)            (a, b), (a), (b), ()
//!   a, ROLLUP(b)          (a, b), (a): each set of one element with each of the other
//! ```

use super::Fault;
use super::parser::Parser;
use super::query::GroupBy;
use super::tree::Node;
use std::ops::Range;

/// So many sets may a GROUP BY have: each row is repeated for each of them.
const SETS_MAX: usize = 4096;

/// So many keys may the sets have: each is a bit of `grouping_id()`.
const KEYS_MAX: usize = 63;

/// Keys by their position in the list of all keys.
type Set = Vec<usize>;

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Rollup,
    Cube,
    Sets,
}

impl Parser<'_> {
    pub(super) fn group_by(&mut self) -> Result<GroupBy, Fault> {
        if self.is_word("ALL") && !self.is_symbol_at(1, "(") && !self.is_symbol_at(1, ".") {
            self.advance();
            return Ok(GroupBy::All);
        }
        let at = self.here();
        let mut keys = Vec::new();
        let mut sets: Vec<Set> = vec![Vec::new()];
        let mut has_sets = false;
        loop {
            let of_element = match self.form() {
                Some(form) => {
                    has_sets = true;
                    self.sets(form, &mut keys)?
                }
                None => vec![self.key(&mut keys)?],
            };
            sets = sets.iter().flat_map(|set| of_element.iter().map(|more| [&set[..], more].concat())).collect();
            self.check_size(sets.len(), keys.len(), &at)?;
            if !self.take_symbol(",") {
                break;
            }
        }
        if let Some(form) = self.form_behind_keys().filter(|_| !has_sets) {
            let whole: Vec<Set> = (0..keys.len()).map(|key| vec![key]).collect();
            sets = match form {
                Form::Sets => self.sets(form, &mut keys)?,
                _ => self.written_out(form, &whole, &at)?,
            };
            has_sets = true;
            self.check_size(sets.len(), keys.len(), &at)?;
        }
        Ok(if has_sets { GroupBy::Sets { keys, sets } } else { GroupBy::Keys(keys) })
    }

    fn check_size(&self, sets: usize, keys: usize, at: &Range<usize>) -> Result<(), Fault> {
        if sets > SETS_MAX || sets > 1 && keys > 2 * SETS_MAX {
            let message = format!("GROUP BY has more than {SETS_MAX} sets of keys");
            return Err(Fault::new(at.clone(), message, "each row is repeated for each set: name fewer keys"));
        }
        Ok(())
    }

    /// ROLLUP, CUBE or GROUPING SETS, if it comes.
    fn form(&mut self) -> Option<Form> {
        for (words, form) in
            [(&["GROUPING", "SETS"][..], Form::Sets), (&["CUBE"], Form::Cube), (&["ROLLUP"], Form::Rollup)]
        {
            if self.is_symbol_at(words.len(), "(") && self.take_words(words) {
                return Some(form);
            }
        }
        None
    }

    /// Hive's forms: `a, b WITH ROLLUP`, `a, b WITH CUBE`, `a, b GROUPING SETS (…)`.
    fn form_behind_keys(&mut self) -> Option<Form> {
        if self.take_words(&["WITH", "ROLLUP"]) {
            return Some(Form::Rollup);
        }
        if self.take_words(&["WITH", "CUBE"]) {
            return Some(Form::Cube);
        }
        self.take_words(&["GROUPING", "SETS"]).then_some(Form::Sets)
    }

    /// `(…)` behind ROLLUP, CUBE or GROUPING SETS.
    fn sets(&mut self, form: Form, keys: &mut Vec<Node>) -> Result<Vec<Set>, Fault> {
        let at = self.here();
        self.expect_symbol("(")?;
        let mut sets = Vec::new();
        loop {
            match self.form().filter(|_| form == Form::Sets) {
                Some(inner) => sets.extend(self.nested_sets(|parser| parser.sets(inner, keys))?),
                None => sets.push(self.set(keys)?),
            }
            self.check_size(sets.len(), keys.len(), &self.here())?;
            if !self.take_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        match form {
            Form::Sets => Ok(sets),
            _ => self.written_out(form, &sets, &at),
        }
    }

    /// The sets that ROLLUP and CUBE stand for.
    fn written_out(&self, form: Form, elements: &[Set], at: &Range<usize>) -> Result<Vec<Set>, Fault> {
        if form == Form::Rollup {
            return Ok((0..=elements.len()).rev().map(|count| elements[..count].concat()).collect());
        }
        let bits = u32::try_from(elements.len()).unwrap_or(u32::MAX);
        let count = 1usize.checked_shl(bits).unwrap_or(usize::MAX);
        self.check_size(count, 0, at)?;
        let set = |missing: usize| {
            let is_there = |at: &usize| missing & (1 << (elements.len() - 1 - at)) == 0;
            (0..elements.len()).filter(is_there).flat_map(|at| elements[at].clone()).collect()
        };
        Ok((0..count).map(set).collect())
    }

    /// A key, or keys in parentheses, which may be none.
    fn set(&mut self, keys: &mut Vec<Node>) -> Result<Set, Fault> {
        let before = self.place();
        if self.take_symbol("(") {
            if self.take_symbol(")") {
                return Ok(Vec::new());
            }
            let inside = self.list(Self::expression);
            if let Ok(inside) = inside
                && self.take_symbol(")")
                && (self.is_symbol(",") || self.is_symbol(")"))
            {
                let first = keys.len();
                keys.extend(inside);
                return Ok((first..keys.len()).collect());
            }
            // An expression that begins with a parenthesis.
            self.go_back(before);
        }
        self.key(keys)
    }

    fn key(&mut self, keys: &mut Vec<Node>) -> Result<Set, Fault> {
        keys.push(self.expression()?);
        Ok(vec![keys.len() - 1])
    }
}

/// Whether so many different keys are too many.
pub(crate) fn too_many_keys(count: usize) -> Option<String> {
    (count > KEYS_MAX).then(|| format!("the sets of GROUP BY have {count} keys, more than {KEYS_MAX}"))
}
