//! Tests of decode: against answers of real Spark, against a slow second decoder, and with hostile bytes.

mod case;
mod goldens;
mod hostile;
mod reference;
mod rules;
mod show;
