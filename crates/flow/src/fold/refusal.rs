//! Rows whose groups are all refused by HAVING: nothing of them is evaluated (rule T4).
//!
//! Used only for rows that have failed. The driver's merge refuses the groups of all other rows.

use crate::key::{Encoder, Zeros};
use crate::output::refused;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, new_null_array};
use tidemill_sql::eval::EvalContext;
use tidemill_sql::expr::Expr;
use tidemill_sql::plan::AggregatePlan;

/// The refusing filters, evaluated on a batch when first needed.
pub(super) struct Refusal<'a> {
    plan: &'a AggregatePlan,
    /// Times for the windows. A row that is asked about has one.
    times: Option<&'a ArrayRef>,
    context: EvalContext,
    /// The filters on groups; `None` if there are none.
    of_groups: Option<Expr>,
    /// Those filters that use only the window.
    of_windows: Option<Expr>,
}

impl<'a> Refusal<'a> {
    pub fn new(plan: &'a AggregatePlan, times: Option<&'a ArrayRef>, context: EvalContext) -> Refusal<'a> {
        let names_a_key = |filter: &Expr| {
            let mut found = false;
            filter.columns(&mut |column| found |= column > 0);
            found
        };
        let filters = plan.group_filters.iter();
        let of_windows = Expr::all(filters.clone().filter(|filter| !names_a_key(filter)).cloned());
        Refusal { plan, times, context, of_groups: Expr::all(filters.cloned()), of_windows }
    }

    /// Whether the filters on the window alone refuse all windows of the row. Its keys need not be known.
    pub fn by_window(&self, row: usize) -> bool {
        let nulls = || self.plan.keys.iter().map(|key| new_null_array(&key.expr.data_type(), 1)).collect::<Vec<_>>();
        self.of_windows.as_ref().is_some_and(|filter| self.all_windows(row, &encoded(&nulls(), 0), filter))
    }

    /// Whether the filters refuse all groups of the row.
    pub fn by_groups(&self, row: usize, keys: &[ArrayRef]) -> bool {
        self.of_groups.as_ref().is_some_and(|filter| self.all_windows(row, &encoded(keys, row), filter))
    }

    fn all_windows(&self, row: usize, key: &[u8], filter: &Expr) -> bool {
        let (Some(window), Some(times)) = (&self.plan.window, self.times) else { return false };
        let windows = window.spec.windows_of(times.as_primitive::<TimestampMicrosecondType>().value(row));
        let windows: Vec<i64> = windows.collect();
        let refused = refused(self.plan, filter, &windows, &vec![key; windows.len()], &self.context);
        refused.into_iter().all(|refused| refused)
    }
}

fn encoded(keys: &[ArrayRef], row: usize) -> Box<[u8]> {
    let mut key = Vec::new();
    keys.iter().for_each(|values| Encoder::new(values, Zeros::Normalize).encode(row, &mut key));
    key.into()
}
