//! A fluid simulator: any load trace, any rule, in milliseconds; the field's rules and the optimum beside ours.
//!
//! Its figures are those of a model, for comparing rules with each other and for asking what a trace would have cost.

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
pub use shapes::{Noise, Shapes};
pub use trace::Trace;
