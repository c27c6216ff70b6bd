//! What this engine makes of a generated text: its type, and whether its rows can be computed.

use super::super::{Scenario, run};
use std::sync::Arc;
use tidemill_flow::alone;
use tidemill_model::Millis;
use tidemill_sql::eval::EvalContext;
use tidemill_sql::plan::QueryPlan;
use tidemill_sql::zone::Zone;

const CONTEXT: EvalContext = EvalContext { timestamp: Millis(1_700_000_000_123), zone: Zone::UTC, seed: 0 };

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The planner refuses it.
    Refused,
    /// A row fails.
    Failed,
    /// Rows came out, or none.
    Rows,
}

/// What a case gives in one batch.
pub(super) fn outcome(scenario: &Scenario, records: &[String]) -> Outcome {
    let Some(plan) = plan(scenario) else {
        return Outcome::Refused;
    };
    match alone::run(&Arc::new(plan), records, &CONTEXT) {
        Ok(_) => Outcome::Rows,
        Err(_) => Outcome::Failed,
    }
}

/// The type of an expression over the generated columns, as SQL writes it; `None` if it is refused.
pub(super) fn type_of(expression: &str) -> Option<String> {
    types_of(&format!("SELECT {expression} AS c FROM events")).pop()
}

/// The types of a query's columns; none if it is refused.
pub(super) fn types_of(sql: &str) -> Vec<String> {
    let plan = plan(&super::scenario(sql, "update"));
    let name = |plan: QueryPlan| {
        plan.output_schema.fields().iter().map(|field| tidemill_sql::types::name(field.data_type())).collect()
    };
    plan.map_or(Vec::new(), name)
}

fn plan(scenario: &Scenario) -> Option<QueryPlan> {
    let pipeline = tidemill_config::parse("scenario.toml", &run::pipeline(scenario), &[]).ok()?;
    tidemill_sql::plan(&pipeline).ok()
}
