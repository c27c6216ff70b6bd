//! Rows that no group of theirs wants: HAVING refuses all their windows, so nothing of theirs is computed (rule T4).
//!
//! Asked only where a row has failed; the driver's merge refuses the groups of the others.

use crate::key::{Encoder, Zeros};
use crate::merge::GroupId;
use crate::output::refused;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, new_null_array};
use tidemill_sql::eval::EvalContext;
use tidemill_sql::expr::Expr;
use tidemill_sql::plan::AggregatePlan;

/// A batch whose rows one may ask about.
pub(super) struct Refusal<'a> {
    pub plan: &'a AggregatePlan,
    /// Times of the windows; a row that is asked about has one.
    pub times: Option<&'a ArrayRef>,
    pub context: EvalContext,
}

impl Refusal<'_> {
    /// Whether the filters that ask for nothing but the window refuse all the row's windows; its keys need not be known.
    pub fn by_window(&self, row: usize) -> bool {
        if !self.asks() {
            return false;
        }
        let names_a_key = |filter: &Expr| {
            let mut found = false;
            filter.columns(&mut |column| found |= column > 0);
            found
        };
        let nulls = self.plan.keys.iter().map(|key| new_null_array(&key.expr.data_type(), 1));
        let filters = self.plan.group_filters.iter().filter(|filter| !names_a_key(filter));
        self.by(row, encoded(&nulls.collect::<Vec<_>>(), 0), filters.cloned().collect())
    }

    /// Whether the filters refuse all the row's groups.
    pub fn by_groups(&self, row: usize, keys: &[ArrayRef]) -> bool {
        self.asks() && self.by(row, encoded(keys, row), self.plan.group_filters.clone())
    }

    /// Whether there is anything to ask.
    fn asks(&self) -> bool {
        self.plan.window.is_some() && !self.plan.group_filters.is_empty()
    }

    fn by(&self, row: usize, key: Box<[u8]>, filters: Vec<Expr>) -> bool {
        let (Some(window), Some(times)) = (&self.plan.window, self.times) else { return false };
        let windows = window.spec.windows_of(times.as_primitive::<TimestampMicrosecondType>().value(row));
        let groups: Vec<GroupId> = windows.map(|start| (start, key.clone())).collect();
        let refused = refused(self.plan, filters, &groups.iter().collect::<Vec<_>>(), &self.context);
        refused.into_iter().all(|refused| refused)
    }
}

fn encoded(keys: &[ArrayRef], row: usize) -> Box<[u8]> {
    let mut key = Vec::new();
    keys.iter().for_each(|values| Encoder::new(values, Zeros::Normalize).encode(row, &mut key));
    key.into()
}
