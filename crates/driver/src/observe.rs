//! What the sources say: where the query begins, what there is to read, who is out of reach.

use crate::plan;
use crate::run::Driver;
use tidemill_flow::ports::Extents;
use tidemill_model::pipeline::Trigger;
use tidemill_model::{Error, Result};

impl Driver {
    /// Step 1: what a source holds.
    pub(crate) fn observed(&mut self, number: usize, seen: Result<Extents>) -> Result<()> {
        let source = &mut self.sources.0[number];
        let extents = match seen {
            Ok(extents) => extents,
            Err(error) if error.retry => {
                if source.lose(error.to_string()) {
                    self.observer.note(&format!("{error}; waiting for it to come back"));
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let news = source.extents.as_ref().is_none_or(|known| known.is_empty() != extents.is_empty());
        if source.see(extents) {
            self.observer.note("the source is back");
        }
        if news && source.is_missing() {
            if self.job.trigger == Trigger::AvailableNow {
                return Err(Error::user(format!(
                    "{} does not exist; make it, or correct its name in the pipeline file",
                    source.name
                )));
            }
            self.observer.note(&format!("{} does not exist yet; waiting for it", source.name));
        }
        let Some(extents) = self.sources.extents() else { return Ok(()) };
        self.begin(&extents)?;
        plan::check_loss(self.positions.as_ref().expect("decided above"), &extents)?;
        self.extents = Some(extents);
        if self.fleet.is_empty() && self.keep == 0 {
            // Nobody works: a record that has just come should not wait for the next tick.
            self.rescale()?;
        }
        Ok(())
    }

    /// Decides, once, where the query begins.
    fn begin(&mut self, extents: &Extents) -> Result<()> {
        if self.until.is_none() && self.job.trigger == Trigger::AvailableNow {
            self.until = Some(extents.clone());
        }
        if self.positions.is_none() {
            let positions = self.sources.beginnings(extents);
            self.plans.write_start(&positions)?;
            self.positions = Some(positions);
        }
        Ok(())
    }
}
