//! The autoscaler: how many executors, and why. Facts in, a decision with every term out.
//!
//! Knows facts and settings. Knows no clock, I/O, randomness, threads, and no room but `model`: time is an argument,
//! and the same state, settings and facts give the same [`Decision`] to the bit. A call costs about a microsecond.
//!
//! # The idea
//! The service level on record age makes the queue a budget. Scale up when the *runway*, the time until that budget is
//! spent at the present size, is shorter than a start takes: at once, and straight to the size needed. Scale down when a
//! smaller size would have a long runway, held for as long as an executor takes to pay for its start. Executors hold no
//! state, so a change of size costs the start of a process and nothing else, and there are few sizes: each is evaluated.
//!
//! # The terms, all in [`Terms`]
//! ```text
//! λ1 λ2 λ5 λ15  arrivals/s over so many seconds, from end offsets                                          rates
//! λ↑            λ5 + its slope over 15 s · (T_start + 2 s): the rate when a start will have taken effect    terms
//! μ             records per busy-second of a core, half-life 30 busy-seconds, a start's first 5 left out  capacity
//! C(n)          0.97 · min(μ, limit) · cores · n · α(n); before any μ the limit, else an assumption       capacity
//! B  B′         records that wait, now and when a start will have taken effect                              terms
//! B_lim         θ · slo · λ5, at least one task: what may wait
//! runway(n)     (B_lim − B) / (λ − C(n)); endless where C(n) is enough
//! W             how long a smaller size must have been enough; doubles with each flap                       state
//! ```
//! # The rules, in the order in which they speak ([`decide`])
//! ```text
//! bound      a pin, min, max                                                        → that size
//! unknown    any offset unknown                                                     → hold, all timers at zero
//! activate   n = 0, records wait or a plan is unfinished  → min{n : C(n) ≥ max(λ5, λ2) + B/T_c}
//! guard      10 s over the budget and growing, cores idle, the last executors brought < 10 % of their promise
//!                                                                                   → back, growth blocked for 5 min
//! up         B > B_lim and not gone in 1.5·T_c; or runway(n, λ↑) < T_start + T_up; or a step: for 2 s,
//!            λ1 > 1.3 · λ15 of before and > 1.05 · C(n)   → min{n′ > n : C(n′) ≥ λ + (B′ − B_lim/2)⁺/T_c}
//! zero       B = 0, λ2 = 0, all committed for Z, and λ5 = 0                         → 0, from any size
//! down       B ≤ 0.6·B_lim and runway(n′, max(λ5, λ15)) ≥ T_dn for W                → the smallest such n′
//! ```
//! Why the rules are these, and what was measured, is in `docs/decisions/autoscaler.md`.
//!
#![deny(clippy::modulo_arithmetic, clippy::iter_over_hash_type)]

mod bottleneck;
mod capacity;
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
pub use decide::decide;
pub use decision::{Decision, Difference, Kind, Record, Terms, replay};
pub use facts::{Facts, Work};
pub use settings::{Mode, Policy, Settings};
pub use state::State;
