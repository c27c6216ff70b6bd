//! Places filters above or below the watermark node (rule M1).
//!
//! ```text
//!   Filter HAVING                 Spark's optimizer repeats, from the top down, until nothing changes:
//!   Aggregate                      - two adjacent filters become one, and stay for this round;
//!   [Project] Filter time ≠ NULL   - a filter moves what it can below the next node;
//!   [Expand]                      then constants are propagated and every condition is simplified.
//!   Filter WHERE                  So whether `(a OR b) AND (a OR time > x)` is split before it is simplified to
//!   EventTimeWatermark            `a OR (b AND time > x)` depends on the filters above it. This is copied here.
//! ```
//! Below WHERE there may be subqueries, `[Select] [Filter]`. A filter that passes a Select is rewritten over what the
//! Select's columns are made of. For a UNION ALL this is done for each branch. From what remains above the watermark,
//! Spark infers that columns are not NULL; these conditions go below too.

use super::aggregates::is_aggregate;
use super::conjuncts::{demanded, is_constant, is_deterministic, simplify, split};
use super::constants::{folded, null_is_false};
use super::generators::Generator;
use super::parse_once::EventTimeForm;
use super::{random, relation, windows};
use crate::expr::{Comparison, Expr};
use crate::functions;
use crate::value::Value;
use crate::zone::Zone;
use arrow_schema::DataType;

/// Spark also stops after this many rounds.
const ROUNDS_MAX: usize = 100;

/// A node between the result and the watermark.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Layer {
    Filter(Expr),
    /// Lets conjuncts on its keys pass.
    Aggregate,
    /// Computes a tumbling window; lets everything pass.
    Project,
    /// Computes sliding windows; lets everything pass that does not use the window.
    Expand,
    /// A join that keeps or drops rows: lets conjuncts pass, and stays.
    Join(Expr),
    /// Makes rows of an array: lets pass what does not name its columns.
    Generate(Generator),
    /// The columns of a subquery over what it selects from, alone or as a branch of a UNION ALL.
    Select {
        values: Vec<Expr>,
        in_union: bool,
        /// What is the event time of the source, if the columns are made of the source's.
        event_time: Option<EventTimeForm>,
    },
}

impl Layer {
    /// Rewrites an expression over what is above the layer to one over what is below. The window and aggregate calls
    /// stay.
    pub fn under(&self, mut expr: Expr) -> Expr {
        match self {
            Layer::Select { values, event_time, .. } => {
                expr.substitute(&|column| values.get(column).cloned());
                if let Some(form) = event_time {
                    form.recognise(&mut expr);
                }
                expr
            }
            Layer::Generate(generator) => random::within(expr, &generator.element()),
            Layer::Expand => random::within(expr, &windows::start()),
            Layer::Filter(_) | Layer::Join(_) | Layer::Aggregate | Layer::Project => expr,
        }
    }
}

/// Which conditions may pass which node, and which expressions count as columns.
pub(super) struct Passes<'a> {
    /// Whether an expression is a key of the aggregate.
    pub is_key: &'a dyn Fn(&Expr) -> bool,
    /// May pass the aggregate.
    pub aggregate: &'a dyn Fn(&Expr) -> bool,
    /// May pass the expansion into windows.
    pub expand: &'a dyn Fn(&Expr) -> bool,
    /// May pass the watermark.
    pub watermark: &'a dyn Fn(&Expr) -> bool,
    /// Whether a condition that stays below the aggregate is still about groups: about a window that is folded by
    /// slices.
    pub of_groups: &'a dyn Fn(&Expr) -> bool,
}

/// Filters by their position.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PlacedFilters {
    /// Above the aggregate.
    pub having: Vec<Expr>,
    /// Between the aggregate and the watermark.
    pub above: Vec<Expr>,
    /// Below the watermark.
    pub below: Vec<Expr>,
}

/// Moves the filters among `layers`, given from the top down with the watermark below the last. `zone` is the
/// session's.
pub(super) fn place(mut layers: Vec<Layer>, passes: &Passes, zone: Zone) -> PlacedFilters {
    let mut below = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let before = layers.clone();
        push(&mut layers, &mut below, passes);
        let groups = layers.iter().position(|layer| *layer == Layer::Aggregate).unwrap_or(0);
        for (at, layer) in layers.iter_mut().enumerate() {
            if let Layer::Filter(condition) = layer {
                // Above the aggregate a key counts as a column.
                let is_whole = |x: &Expr| at < groups && (passes.is_key)(x);
                let taken = std::mem::replace(condition, Expr::Now);
                *condition = null_is_false(simplify(folded(taken, zone, &is_whole)));
            }
        }
        if layers == before {
            break;
        }
    }
    let below = below.into_iter().map(|condition| null_is_false(folded(condition, zone, &|_| false)));
    let mut placed =
        PlacedFilters { below: below.filter(|x| !is_constant(x, true)).collect(), ..PlacedFilters::default() };
    let aggregate = layers.iter().position(|layer| *layer == Layer::Aggregate);
    for (at, layer) in layers.iter().enumerate() {
        if let Layer::Join(condition) = layer {
            placed.above.push(layers[at..].iter().fold(condition.clone(), |condition, layer| layer.under(condition)));
        }
        let Layer::Filter(condition) = layer else { continue };
        if aggregate.is_some_and(|aggregate| at < aggregate) {
            placed.having.extend(split(condition.clone()).into_iter().filter(|x| !is_constant(x, true)));
            continue;
        }
        for conjunct in split(condition.clone()) {
            // A condition on the window goes to the groups and is over the relation's columns there.
            let is_of_groups = (passes.of_groups)(&conjunct);
            let under = |conjunct| layers[at..].iter().fold(conjunct, |conjunct, layer| layer.under(conjunct));
            placed.above.push(if is_of_groups { conjunct } else { under(conjunct) });
        }
    }
    placed
}

/// One pass from the top down.
fn push(layers: &mut Vec<Layer>, below: &mut Vec<Expr>, passes: &Passes) {
    let mut at = 0;
    while at < layers.len() {
        if let Layer::Filter(condition) = layers[at].clone() {
            let passes = |x: &Expr| match layers.get(at + 1) {
                Some(Layer::Filter(_)) => unreachable!("they become one"),
                Some(Layer::Aggregate) => (passes.aggregate)(x),
                Some(Layer::Project) => true,
                Some(Layer::Join(_)) => is_deterministic(x) && !is_aggregate(x),
                Some(Layer::Expand) => (passes.expand)(x),
                Some(Layer::Generate(generator)) => passes_generator(generator, x),
                Some(Layer::Select { values, in_union, .. }) => {
                    !is_aggregate(x) && relation::passes(values, *in_union, x)
                }
                None => (passes.watermark)(x),
            };
            if let Some(Layer::Filter(lower)) = layers.get(at + 1) {
                layers[at] = Layer::Filter(both(lower.clone(), condition));
                layers.remove(at + 1);
                at += 1;
                continue;
            }
            let (moving, staying): (Vec<Expr>, Vec<Expr>) = split(condition).into_iter().partition(|x| passes(x));
            if at + 1 == layers.len() {
                below.extend(moving);
            } else {
                let moving = moving.into_iter().map(|x| layers[at + 1].under(x));
                let moving = Expr::all(moving.collect::<Vec<_>>()).map(Layer::Filter);
                layers.splice(at + 2..at + 2, moving);
            }
            match Expr::all(staying) {
                Some(staying) => layers[at] = Layer::Filter(staying),
                // The next layer moves up to this position and is handled next.
                None => drop(layers.remove(at)),
            }
        }
        at += 1;
    }
}

fn passes_generator(generator: &Generator, filter: &Expr) -> bool {
    is_deterministic(filter) && !is_aggregate(filter) && !generator.is_named_in(filter)
}

/// What Spark infers below a generator of a column: that it has elements; and below a left join whose rows without a partner a
/// filter rejects: that the columns of its condition are not NULL. Of each what comes below the watermark.
pub(super) fn inferred_of_generators(layers: &[Layer], passes: &Passes) -> Vec<Expr> {
    let mut found = Vec::new();
    let mut known: Vec<Expr> = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        match layer {
            Layer::Filter(condition) => known.extend(split(condition.clone())),
            Layer::Aggregate => known.clear(),
            Layer::Generate(generator) => {
                let below = |x: &Expr| below_the_watermark(x, &layers[at + 1..], passes);
                let input = generator.input.as_ref().filter(|_| !generator.plan.outer);
                if let Some(input) = input.and_then(below) {
                    found.extend(has_elements(input));
                }
                let own = |x: &Expr| matches!(x, Expr::Column(..)) && generator.is_named_in(x);
                if known.iter().any(|condition| !demanded(condition, &own).is_empty()) {
                    found.extend(generator.needed.iter().filter_map(below));
                }
            }
            _ => {}
        }
        known = known.into_iter().map(|condition| layer.under(condition)).collect();
    }
    found
}

/// An expression over these layers, if it passes all of them and the watermark.
fn below_the_watermark(expr: &Expr, layers: &[Layer], passes: &Passes) -> Option<Expr> {
    let below = layers.iter().try_fold(expr.clone(), |expr, layer| {
        let passes = match layer {
            Layer::Generate(generator) => passes_generator(generator, &expr),
            Layer::Select { values, in_union, .. } => relation::passes(values, *in_union, &expr),
            Layer::Expand => (passes.expand)(&expr),
            _ => true,
        };
        passes.then(|| layer.under(expr))
    });
    below.filter(|x| (passes.watermark)(x) && !is_aggregate(x) && x.has_column(|_| true))
}

fn has_elements(input: Expr) -> [Expr; 2] {
    let size = Expr::Call(functions::find("size").expect("of the table"), vec![input.clone()], DataType::Int32);
    let none = Expr::Literal(Value::Integer(0), DataType::Int32);
    [Expr::Compare(Comparison::Greater, Box::new(size), Box::new(none)), Expr::IsNotNull(Box::new(input))]
}

/// Combines two adjacent filters: the lower one's condition, then the upper one's.
fn both(lower: Expr, upper: Expr) -> Expr {
    let known = split(lower.clone());
    let more = split(upper).into_iter().filter(|conjunct| !known.contains(conjunct));
    Expr::all([lower].into_iter().chain(more)).expect("there is one at least")
}

/// What Spark infers from conditions: the expressions that `is_column` accepts are not NULL if a condition requires it;
/// and if two columns are equal, conditions on one hold for the other.
pub(super) fn inferred(conditions: &[Expr], is_column: &dyn Fn(&Expr) -> bool) -> Vec<Expr> {
    let mut found: Vec<Expr> = Vec::new();
    let mut add = |condition: Expr| {
        if !found.contains(&condition) && !conditions.contains(&condition) {
            found.push(condition);
        }
    };
    for condition in conditions {
        demanded(condition, is_column).into_iter().for_each(|x| add(Expr::IsNotNull(Box::new(x))));
        let Expr::Compare(Comparison::Equal, l, r) = condition else { continue };
        let (Expr::Column(l, _), Expr::Column(r, _)) = (&**l, &**r) else { continue };
        for other in conditions.iter().filter(|other| *other != condition) {
            for (from, to) in [(*l, *r), (*r, *l)] {
                let mut moved = other.clone();
                moved.renumber(&|index| if index == from { to } else { index });
                add(moved);
            }
        }
    }
    found
}
