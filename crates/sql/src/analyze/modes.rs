//! Checks which output modes a query may have (rules O1, O6).

use super::Faults;
use super::relation::Relation;
use crate::plan::{AggregatePlan, Body};
use tidemill_model::pipeline::{OutputMode, Pipeline};

/// Refuses an output mode that the query cannot have.
pub(super) fn check(pipeline: &Pipeline, body: &Body, relation: &Relation, faults: &mut Faults) -> Option<()> {
    // With several branches the first one decides, as in Spark.
    let columns = relation.branches[0].columns;
    let (has_watermark, of_groups) = (columns.has_watermark(), columns.kind.is_none());
    let fault = match (pipeline.query.output_mode, body) {
        (OutputMode::Append, Body::Aggregate(plan)) if !plan.watermarked => {
            let help = if of_groups && !has_watermark {
                "select the window of the subquery, or window_time(window), and group by a window over it"
            } else if has_watermark {
                "group by window(event time, …) or by the event time itself, or take output_mode = \"update\""
            } else {
                "declare a watermark in [sources.NAME.event_time], or take output_mode = \"update\""
            };
            let message = if of_groups && !has_watermark {
                "append mode cannot tell when a group is final: the rows of the subquery have no event time"
            } else if has_watermark {
                "append mode cannot tell when a group is final: neither the event time nor a window over it is a key"
            } else if relation.branches.len() == 1 {
                "append mode cannot tell when a group is final: the source has no watermark"
            } else {
                "append mode cannot tell when a group is final: the source of the first branch has no watermark"
            };
            Some((message, help))
        }
        (OutputMode::Update, Body::Aggregate(plan)) if plan.session.is_some() => {
            Some(("Spark has no sessions in update mode", "take output_mode = \"append\" or \"complete\""))
        }
        (_, Body::Aggregate(plan)) if plan.watermarked && has_two_times(plan) => Some((
            "both the event time and a window over it are keys, and only one of them can say when a group is final",
            "group by one of them, or leave out the watermark",
        )),
        (OutputMode::Complete, Body::Project(_)) => Some((
            "complete mode is for aggregations, and this query has none",
            "take output_mode = \"append\" or \"update\"",
        )),
        _ => None,
    };
    let Some((message, help)) = fault else {
        return Some(());
    };
    let span = pipeline.query.output_mode_span.clone();
    faults.found.push(pipeline.source_text.diagnostic(span, message, help));
    None
}

/// Spark fails at the first batch: "More than one event time columns are available".
fn has_two_times(plan: &AggregatePlan) -> bool {
    let mut times = plan.keys.iter().filter(|key| key.is_event_time).map(|key| &key.expr);
    times.clone().count() > 1 || times.any(|time| plan.window.as_ref().is_some_and(|window| window.time == *time))
}
