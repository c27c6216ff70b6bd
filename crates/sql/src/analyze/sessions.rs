//! `session_window(time, gap)`: each row's own session, `[time, time + gap)`, as an expression. As a key it makes the groups of
//! the other keys sessions (rule W7).
//!
//! ```text
//!   GROUP BY session_window(ts, '5 minutes'), k      a key: AggregatePlan::session
//!   HAVING session_window.start > …                  a condition on keys alone goes to the rows, as in Spark: each row's own
//!   max(session_window.end); SELECT session_window(…) without groups                                  session is meant
//! ```
//! Rows without a time, and those whose gap is NULL or not above 0, are left out.

use super::aggregates::{Aggregates, OVER_GROUPS};
use super::calls::check_count;
use super::constants;
use super::pushdown::Layer;
use super::relation::{self, Branch};
use super::resolve::{Resolver, sentence};
use crate::expr::{Comparison, Expr};
use crate::functions::{self, SESSION};
use crate::intervals;
use crate::plan::{KeyPlan, SessionPlan};
use crate::syntax::{Call, Fault};
use crate::types;
use crate::value::Value;
use arrow_schema::DataType;
use std::ops::Range;
use tidemill_model::CalendarInterval;

/// The name in SQL, also of the column.
pub(super) const NAME: &str = "session_window";

impl Resolver<'_> {
    /// `session_window(time, gap)`.
    pub(super) fn session_window(&mut self, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        check_count(NAME, 2, 2, call)?;
        let allowed = ["WHERE", "GROUP BY", OVER_GROUPS, relation::CLAUSE];
        let clause = self.no_aggregates.filter(|clause| !allowed.contains(clause));
        if let Some(clause) = clause.or(self.is_in_lambda().then_some("a lambda")) {
            let message = format!("session_window(…) is not allowed in {clause}");
            let help =
                "name it in a subquery: SELECT … FROM (SELECT *, session_window(…) AS w FROM …) WHERE w.start > …";
            return Err(Fault::new(at.clone(), message, help));
        }
        let time = self.time_of_windows(NAME, &call.arguments[0])?;
        let (gap, gap_at) = self.placed(&call.arguments[1])?;
        let gap = constants::computed(gap, self.scope.zone);
        check_gap(&gap, &gap_at)?;
        let function = functions::find(SESSION).expect("a function of the table");
        let session = constants::computed(Expr::Call(function, vec![time, gap], types::window()), self.scope.zone);
        let Aggregates { window, session: known, .. } = &mut self.aggregates;
        if window.is_some() || known.as_ref().is_some_and(|known| *known != session) {
            let message = "the query has another window(…) or session_window(…) already";
            let help =
                "group by one of them; a subquery may have the other: SELECT … FROM (SELECT *, window(…) AS w FROM …)";
            return Err(Fault::new(at.clone(), message, help));
        }
        *known = Some(session.clone());
        Ok(session)
    }
}

/// Refuses a gap that is no length of time, and a constant one that leaves out every row.
fn check_gap(gap: &Expr, at: &Range<usize>) -> Result<(), Fault> {
    let help = "write for instance '5 minutes', or CASE WHEN … THEN '5 minutes' ELSE '1 hour' END";
    let data_type = gap.data_type();
    if data_type != DataType::Utf8 && data_type != intervals::calendar() {
        let message = format!("the gap of `{NAME}` is a text, not {}", types::name(&data_type));
        return Err(Fault::new(at.clone(), message, help));
    }
    let nothing =
        |message: &str| Err(Fault::new(at.clone(), format!("{message}, so no row would have a session"), help));
    match gap {
        Expr::Literal(Value::Null, _) => nothing("the gap is NULL"),
        Expr::Literal(Value::String(text), _) => {
            let parsed = CalendarInterval::parse(text).map_err(|message| sentence(at.clone(), &message))?;
            match [parsed.months, parsed.days, parsed.micros].iter().any(|part| *part > 0) {
                true => Ok(()),
                false => nothing("the gap is not above 0"),
            }
        }
        _ => Ok(()),
    }
}

/// Time and gap of a session window.
fn parts(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match expr {
        Expr::Call(function, arguments, _) if function.name == SESSION => Some((&arguments[0], &arguments[1])),
        _ => None,
    }
}

/// The time of a session window.
pub(super) fn time_of(expr: &Expr) -> Option<&Expr> {
    parts(expr).map(|(time, _)| time)
}

/// What Spark keeps of the rows: those with a time and with a session that is not empty.
pub(super) fn conditions(session: &Expr) -> Option<[Expr; 2]> {
    let (time, _) = parts(session)?;
    let bound = |number| Box::new(Expr::Field(Box::new(session.clone()), number, types::timestamp()));
    let known = Expr::IsNotNull(Box::new(time.clone()));
    Some([known, Expr::Compare(Comparison::Greater, bound(1), bound(0))])
}

/// The layers that Spark makes of a session window, from the top down.
pub(super) fn layers(session: &Expr) -> Vec<Layer> {
    let kept = Expr::all(conditions(session).into_iter().flatten());
    kept.map(Layer::Filter).into_iter().chain([Layer::Project]).collect()
}

/// Puts the session window of a WHERE or a subquery on its branches.
pub(super) fn put(branches: &mut [Branch], session: &Expr) {
    branches.iter_mut().for_each(|branch| drop(branch.layers.splice(0..0, layers(session))));
}

/// Which of the keys is a session window over the table. In a UNION ALL the first branch decides, as in Spark.
pub(super) fn key(keys: &[Expr], branch: &Branch) -> Option<usize> {
    keys.iter().position(|key| parts(&branch.over_source(key)).is_some())
}

/// The session window among the keys of an aggregation. Refuses those that Spark refuses.
pub(super) fn planned(
    keys: &[KeyPlan],
    exprs: &[Expr],
    first: &Branch,
    at: &Range<usize>,
) -> Result<Option<SessionPlan>, Fault> {
    let Some(key) = key(exprs, first) else { return Ok(None) };
    let fault = |message: &str, help: &str| Err(Fault::new(at.clone(), message, help));
    let is_constant = |expr: &Expr| !first.over_source(expr).has_column(|_| true);
    if exprs.iter().enumerate().all(|(number, expr)| number == key || is_constant(expr)) {
        return fault(
            "session_window(…) is the only key, and on streams Spark takes it only beside others",
            "add a key: GROUP BY session_window(…), k",
        );
    }
    let drops_late = first.columns.has_watermark() && keys[key].is_event_time;
    if drops_late && keys.iter().filter(|key| key.is_event_time).count() > 1 {
        return fault(
            "both the event time and sessions of it are keys, and only one of them can say when a group is final",
            "group by one of them",
        );
    }
    Ok(Some(SessionPlan { key, drops_late }))
}
