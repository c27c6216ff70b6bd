//! Decode against real Spark's answers, against a slow decoder of another make, and against hostile bytes.

mod case;
mod goldens;
mod hostile;
mod reference;
mod rules;
mod show;
