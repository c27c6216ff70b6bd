//! A fluid simulator: runs any policy on any load trace in milliseconds, next to other policies and the optimum.
//!
//! Its figures are those of a model. They serve to compare policies and to estimate what a trace would have cost.

#![forbid(unsafe_code)]

pub mod baselines;
pub mod compare;
mod machine;
mod oracle;
mod outcome;
pub mod plot;
mod scaler;
mod shapes;
mod trace;

pub use machine::{Mechanism, run};
pub use oracle::{Optimum, optimum};
pub use outcome::{Outcome, Sample};
pub use scaler::{Observation, Runway, Scaler};
pub use shapes::Shapes;
pub use trace::Trace;
