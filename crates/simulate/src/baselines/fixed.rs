//! No rule: always the same size. What everyone without an autoscaler runs, and the price to beat.

use crate::{Observation, Scaler};
use tidemill_scale::Facts;

/// Always so many.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub u32);

impl Scaler for Fixed {
    fn size(&mut self, _: &Facts, _: &Observation) -> u32 {
        self.0
    }
}
