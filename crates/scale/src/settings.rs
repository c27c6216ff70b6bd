//! Settings of the policy: the user's options and the constants of the rules.

use serde::{Deserialize, Serialize};
use tidemill_model::limits::{BATCH_TARGET_MS, TASK_RECORDS};
use tidemill_model::pipeline::{Autoscale, ScaleMode};

/// The options of `[autoscale]`, and the policy's constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `min_executors`.
    pub min: u32,
    /// `max_executors`.
    pub max: u32,
    /// `executor_cores`: worker threads of an executor.
    pub cores: u32,
    /// `slo`: greatest acceptable age of a record, ms.
    pub slo_ms: u64,
    /// `executor_idle_timeout`: upper limit of Z, ms.
    pub idle_timeout_ms: u64,
    /// `down_hold`: upper limit of the first W, ms.
    pub down_hold_ms: u64,
    /// `max_records_per_second_per_core`: the rate limit of an executor's core.
    pub max_records_per_second_per_core: Option<f64>,
    /// `mode`, or a user's pin.
    pub mode: Mode,
    /// The constants of the rules.
    pub policy: Policy,
}

/// Who chooses the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The policy decides and the driver follows.
    Active,
    /// The policy decides, but the driver keeps `max` executors.
    Advisory,
    /// A fixed size.
    Pinned(u32),
}

/// The constants of the rules, named as in the formulas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// θ: the share of the service level that a queue may use.
    pub theta: f64,
    /// T_c: time in which a backlog over the budget is to be drained, seconds.
    pub catch_up_s: f64,
    /// T_up: the runway to keep beyond the start of an executor, seconds.
    pub up_s: f64,
    /// T_dn = gain · price of a start: a smaller size must save this many times what returning costs.
    pub gain: f64,
    /// Upper limit of T_dn, seconds.
    pub down_s: f64,
    /// Lower limit of W, seconds, against noise.
    pub hold_min_s: f64,
    /// Two sizes may serve a load in turns where starts then cost no more than this share of the executor-seconds.
    pub turn_share: f64,
    /// Records gather for that no longer than this share of the service level.
    pub turn_slo: f64,
    /// Records that come so rarely that a start for each costs no more than this share of an executor do not wait for others.
    pub lone_share: f64,
    /// A load that needs more than this share of the greater size's last executor is not served in turns.
    pub turn_above: f64,
    /// A size that is not enough for the load is left for the next smaller one when the backlog is below this share of
    /// what may wait.
    pub drained: f64,
    /// Flaps lengthen the hold of a size only where the load is above this share of its capacity.
    pub near: f64,
    /// Share of the measured capacity that the policy relies on.
    pub dependable: f64,
    /// A step: λ1 is this many times λ15 of 2 s before.
    pub step: f64,
    /// A step is answered after this many seconds.
    pub step_s: f64,
    /// A size that was barely outgrown is taken again below this share of its capacity.
    pub cautious: f64,
    /// W doubles up to this many times its first value.
    pub hold_max: f64,
    /// W returns to its first value after this many seconds without a flap.
    pub flap_forget_s: f64,
    /// A growth that brought nothing blocks further growth for this many seconds.
    pub block_s: f64,
    /// A growth is assessed after this many seconds at one size with the backlog over the budget.
    pub assess_s: f64,
    /// An executor that adds less than this share of its expected capacity is not worth keeping.
    pub effective: f64,
    /// Executors that do this share of their capacity do what they should: a blocked growth is released.
    pub fulfilled: f64,
    /// Half-life of the measured capacity, busy-seconds.
    pub half_life_s: f64,
    /// Busy-seconds after a start that are not used to learn capacity.
    pub warm_up_s: f64,
    /// A shorter task is mostly fixed cost and does not lower the measured capacity, ms.
    pub task_min_ms: f64,
    /// Capacity per core before any is measured and without a limit, records/s.
    pub assumed_per_core: f64,
    /// T_start before any start was seen, ms.
    pub assumed_start_ms: u64,
    /// ε is one task: at most this many records, and at most what one executor does in one batch.
    pub task_records: f64,
    /// Target length of a batch, ms.
    pub batch_ms: f64,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            theta: 0.7,
            catch_up_s: 10.0,
            up_s: 3.0,
            gain: 20.0,
            down_s: 600.0,
            hold_min_s: 0.25,
            turn_share: 0.008,
            turn_slo: 0.35,
            lone_share: 0.02,
            turn_above: 0.85,
            drained: 0.3,
            near: 0.3,
            dependable: 0.97,
            step: 1.3,
            step_s: 2.0,
            cautious: 0.92,
            hold_max: 8.0,
            flap_forget_s: 600.0,
            block_s: 300.0,
            assess_s: 10.0,
            effective: 0.1,
            fulfilled: 0.9,
            half_life_s: 30.0,
            warm_up_s: 5.0,
            task_min_ms: 10.0,
            assumed_per_core: 200_000.0,
            assumed_start_ms: 500,
            task_records: TASK_RECORDS as f64,
            batch_ms: BATCH_TARGET_MS as f64,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::from(&Autoscale::default())
    }
}

impl From<&Autoscale> for Settings {
    fn from(autoscale: &Autoscale) -> Settings {
        Settings {
            min: autoscale.min_executors,
            max: autoscale.max_executors,
            cores: autoscale.executor_cores,
            slo_ms: autoscale.slo_ms,
            idle_timeout_ms: autoscale.executor_idle_timeout_ms,
            down_hold_ms: autoscale.down_hold_ms,
            max_records_per_second_per_core: autoscale.max_records_per_second_per_core,
            mode: match autoscale.mode {
                ScaleMode::Active => Mode::Active,
                ScaleMode::Advisory => Mode::Advisory,
                ScaleMode::Pinned => Mode::Pinned(autoscale.max_executors),
            },
            policy: Policy::default(),
        }
    }
}
