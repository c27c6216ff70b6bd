//! The filters of a branch, each where Spark's optimizer leaves it, and the order of the steps above the watermark.

use super::aggregates::{WINDOW, has_calls, has_window, is_aggregate, onto_groups};
use super::generators::Generator;
use super::pushdown::{Layer, Passes, PlacedFilters};
use super::relation::Branch;
use super::resolve::Resolver;
use super::{conjuncts, constants, generators, pushdown, random, sessions, windows};
use crate::expr::Expr;
use crate::plan::{Step, WindowPlan};

/// A branch's filters, each where Spark's optimizer leaves it.
#[derive(Default)]
pub(super) struct BranchFilters {
    /// On rows, below the watermark.
    pub pushed: Vec<Expr>,
    /// The implicit one of `pushed`: the window's time is not NULL.
    pub time: Option<Expr>,
    /// On rows, above the watermark; and the generators, and the window as a column.
    pub steps: Vec<Step>,
    /// Numbers of the columns that the steps add, in their order.
    pub added: Vec<usize>,
    /// On groups, on output.
    pub having: Vec<Expr>,
    /// Those of `having` that use only the window and keys: groups that they reject are not created.
    pub on_groups: Vec<Expr>,
}

impl BranchFilters {
    /// `keys` are the keys of an aggregation other than the window, `None` without aggregation. The resulting filters
    /// on rows are over the branch's source, those on groups over the relation.
    pub fn place(
        filter: Option<Expr>,
        having: Option<Expr>,
        keys: Option<&[Expr]>,
        folded: bool,
        resolver: &Resolver,
        branch: &Branch,
    ) -> BranchFilters {
        let columns = branch.columns;
        let own = resolver.aggregates.window.as_ref();
        let event_time = columns.event_time_column();
        let names_time = |x: &Expr| {
            event_time.is_some_and(|column| conjuncts::names(x, column)) || is_aggregate(x) || generators::names_one(x)
        };
        let is_key = |x: &Expr| keys.is_some_and(|keys| keys.contains(x));
        let passes = Passes {
            is_key: &is_key,
            aggregate: &|x| keys.is_some_and(|keys| is_on_keys(x, keys, folded)),
            expand: &|x| !is_aggregate(x) && !random::is_random(x),
            watermark: &|x| conjuncts::is_deterministic(x) && !names_time(x),
            of_groups: &|x| folded && is_aggregate(x),
        };
        let mut layers: Vec<Layer> = having.map(Layer::Filter).into_iter().collect();
        layers.extend(keys.map(|_| Layer::Aggregate));
        layers.extend(own.into_iter().flat_map(windows::layers));
        layers.extend(resolver.aggregates.session.iter().flat_map(sessions::layers));
        let is_written = |x: &Expr| filter.iter().cloned().flat_map(conjuncts::split).any(|known| known == *x);
        layers.extend(filter.clone().map(Layer::Filter));
        layers.extend(branch.layers.iter().cloned());
        let zone = resolver.scope.zone;
        // Over the table, for whichever window there is.
        let own = own.map(|window| WindowPlan { time: branch.over_source(&window.time), ..window.clone() });
        let window = own.or_else(|| branch.window.clone());
        // The fold itself keeps the rows that have a session.
        let session = keys.and_then(|keys| Some(branch.over_source(&keys[sessions::key(keys, branch)?])));
        let (of_session, kept) =
            session.as_ref().and_then(sessions::conditions).map_or((None, None), |[a, b]| (Some(a), Some(b)));
        let kept = kept.map(|condition| constants::computed(condition, zone));
        let known_time = window.as_ref().and_then(windows::known_time).or(of_session);
        let is_own = known_time.as_ref().is_some_and(|x| !is_written(x));
        let known_time = known_time.map(|condition| constants::computed(condition, zone));
        let of_generators = pushdown::inferred_of_generators(&layers, &passes);
        let PlacedFilters { having, mut above, mut below } = pushdown::place(layers, &passes, zone);
        below.extend(of_generators.into_iter().filter(|x| !below.contains(x)).collect::<Vec<_>>());
        let is_column = |x: &Expr| matches!(x, Expr::Column(..)) && !is_aggregate(x);
        below.extend(pushdown::inferred(&above, &is_column).into_iter().filter(|x| (passes.watermark)(x)));
        let of_keys = pushdown::inferred(&having, &is_key).into_iter().filter(|x| (passes.aggregate)(x));
        let (lower, higher): (Vec<Expr>, Vec<Expr>) = of_keys.partition(|x| (passes.watermark)(x));
        below.extend(lower);
        above.extend(higher);
        // The fold counts NULL times, unless the rows do not reach the watermark.
        below.retain(|x| columns.has_watermark() || Some(x) != known_time.as_ref());
        let time = known_time.clone().filter(|x| is_own && below.contains(x));
        let mut parts = BranchFilters { pushed: below, time, having, ..BranchFilters::default() };
        let above = above.into_iter().filter(|x| Some(x) != known_time.as_ref() && Some(x) != kept.as_ref());
        let (of_windows, filters): (Vec<Expr>, Vec<Expr>) = above.partition(has_window);
        if folded {
            parts.having.extend(of_windows.iter().cloned());
            parts.on_groups = of_windows;
            parts.order_steps(generators::over_source(branch), None, filters);
        } else {
            parts.order_steps(generators::over_source(branch), window, [filters, of_windows].concat());
        }
        parts
    }

    /// The generators and the window, each as soon as what it names is there, and each filter as early as it can be.
    fn order_steps(&mut self, generators: Vec<Generator>, window: Option<WindowPlan>, mut filters: Vec<Expr>) {
        let (after, before): (Vec<_>, Vec<_>) = generators.into_iter().partition(|x| has_window(&x.plan.array));
        let generate = |generator: Generator| (generator.numbers(), Step::Generate(generator.plan));
        let adding = before.into_iter().map(generate);
        let adding = adding.chain(window.map(|window| (WINDOW..WINDOW + 1, Step::Window(window))));
        for (numbers, step) in adding.chain(after.into_iter().map(generate)).collect::<Vec<_>>() {
            self.take_filters(&mut filters);
            self.added.extend(numbers);
            self.steps.push(step);
        }
        self.take_filters(&mut filters);
        assert!(filters.is_empty(), "a filter names columns that are there");
    }

    /// Those filters whose columns are there.
    fn take_filters(&mut self, filters: &mut Vec<Expr>) {
        let added = &self.added;
        let is_there = |x: &Expr| {
            let mut there = true;
            x.columns(&mut |column| there &= column < generators::FIRST || added.contains(&column));
            there
        };
        let (ready, later): (Vec<Expr>, Vec<Expr>) = std::mem::take(filters).into_iter().partition(is_there);
        self.steps.extend(ready.into_iter().map(Step::Filter));
        *filters = later;
    }
}

/// Whether a conjunct of HAVING uses only keys or the window.
fn is_on_keys(conjunct: &Expr, keys: &[Expr], folded: bool) -> bool {
    let names_a_key = conjunct.has_column(|_| true);
    let on_keys = !has_calls(conjunct) && onto_groups(conjunct.clone(), keys, folded).is_ok();
    on_keys && names_a_key && conjuncts::is_deterministic(conjunct)
}
