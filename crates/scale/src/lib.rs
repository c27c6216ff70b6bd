//! The autoscaler: how many executors, and why. Facts in, a decision with every term out.
//!
//! Knows facts and settings. Knows no clock, I/O, randomness or threads, and no crate but `model`: time is an argument,
//! and the same state, settings and facts give the same [`Decision`] to the bit. A call costs about a microsecond.
//!
//! # The idea
//! The service level on record age makes the queue a budget. The *runway* is the time until that budget is spent at the
//! present size. If it is shorter than a start takes, the policy scales up at once, straight to the size needed. How
//! long an executor is kept depends on the *price of a start*, which is measured: its time without work from spawn to
//! the first record, and from the last record to its end. On one machine that is milliseconds. A load that needs one
//! and a half executors is then served by one and two in turns: records gather at one executor, and two process them
//! together. A turn is so long that starts cost less than 1 %. The less of an executor a load needs, the longer a turn
//! would have to be. Below about half an executor's load a turn has its greatest length, if starts then cost less than
//! 1 % of an executor that stays. If a start costs many seconds, the same rules keep executors for minutes.
//!
//! # The terms, all in [`Terms`]
//! ```text
//! λ1 λ2 λ5 λ15  arrivals/s over so many seconds, from end offsets                                          rates
//! λ↑            λ5 + its slope over 15 s · (T_start + 2 s): the rate when a start will have taken effect    terms
//! μ             records per busy-second of a core, half-life 30 busy-seconds, a start's first 5 left out  capacity
//! C(n)          0.97 · min(μ, limit) · cores · n · α(n); before any μ the limit, else an assumption       capacity
//! P             price of a start, executor-seconds: mean of the last 20                                   capacity
//! B  B′         records that wait, now and when a start will have taken effect                              terms
//! B_lim         θ · slo · λ5, at least one task: what may wait
//! f  S          the share that λ5 needs of the executor n + 1, where n are too few for it; P/0.008 · (1 − f)/(n + f): how long
//!               records gather at n, then to be done at n + 1, so that starts cost 0.8 %. Beyond 0.35 · slo: no turns
//! B_slack       S · (λ5 − C(n)), at least one task: what gathers; B_lim where there are no turns
//! runway(n)     (limit − B) / (λ − C(n)); endless where C(n) is enough
//! W             P, from 0.25 s to `down_hold`; doubles with each flap, near a size's capacity only          state
//! T_dn          20 · P, at least two starts, at most 600 s
//! ```
//! # The rules, in the order in which they apply ([`decide`])
//! ```text
//! bound      a pin, min, max                                                        → that size
//! unknown    any offset unknown                                                     → hold, all timers at zero
//! activate   n = 0 and records wait: at once; in turns when the oldest has waited for S, or B_slack waits
//!                                                                   → min{n : C(n) ≥ max(λ5, λ2) + (B − B_slack)⁺/T_c}
//! guard      10 s over the slack and growing, and driver, sink, source or machine is the bottleneck, and the last
//!            executors brought < 10 % of their promise               → back, growth blocked for 5 min
//!            released when the executors that stay do 90 % of C(n) for 10 s, unless it comes back within 10 min
//!            the same at a size that stays, B > B_lim: the user learns who is busy, once in 5 min
//! up         B > B_lim and not gone in 1.5·T_c; or runway(n, λ↑, B_lim) < T_start + T_up; or B_slack is used and λ↑ > C(n);
//!            or a step: for 2 s, λ1 > 1.3 · λ15 of before and > 1.05 · C(n)
//!                                                   → min{n′ > n : C(n′) ≥ λ + (B′ − B_lim/2)⁺/T_c}
//! zero       B = 0, λ1 = 0, all committed for P (at most `executor_idle_timeout`)   → 0, from any size
//! down       C(n′) ≥ max(λ5, λ15) and B ≤ 0.6·B_slack for W                         → the smallest such n′
//!            or B ≤ 0.3·B_slack and runway(n − 1, λ, B_slack) ≥ T_dn for W; to none in turns alone   → n − 1
//! ```
//! Why the rules are these, and what was measured, is in `docs/decisions/autoscaler.md`.
//!
#![forbid(unsafe_code)]
#![deny(clippy::modulo_arithmetic, clippy::iter_over_hash_type)]

mod bottleneck;
mod capacity;
mod changes;
mod decide;
mod decision;
mod facts;
mod rates;
mod reason;
mod settings;
mod state;
mod terms;

pub use bottleneck::Bottleneck;
pub use capacity::Prior;
pub use changes::Changes;
pub use decide::decide;
pub use decision::{Decision, Difference, Kind, Record, Terms, replay};
pub use facts::{Facts, Work};
pub use settings::{Mode, Policy, Settings};
pub use state::State;
