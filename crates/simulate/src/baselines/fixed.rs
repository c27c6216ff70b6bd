//! A fixed size, as without an autoscaler.

use crate::{Observation, Scaler};
use tidemill_scale::Facts;

/// Always this many executors.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub u32);

impl Scaler for Fixed {
    fn size(&mut self, _: &Facts, _: &Observation) -> u32 {
        self.0
    }
}
