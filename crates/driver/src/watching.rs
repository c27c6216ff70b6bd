//! Source watching: what there is to read, who is out of reach, up to where a run reads that ends by itself.

use crate::reporter::Reporter;
use crate::sources::Sources;
use std::time::Duration;
use tidemill_flow::ports::Extents;
use tidemill_model::{Error, Offsets, Result};
use tidemill_os::retry::BOUNDED_SOURCE;

pub(crate) struct Watching {
    sources: Sources,
    /// What all sources hold, as last seen; `None` until all were seen.
    extents: Option<Extents>,
    /// The run reads what is there now, and ends.
    bounded: bool,
    /// What such a run reads up to.
    until: Option<Extents>,
}

impl Watching {
    pub(crate) fn new(sources: Sources, bounded: bool) -> Watching {
        Watching { sources, extents: None, bounded, until: None }
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Step 1: what a source holds. Whether it is known now what all of them hold.
    ///
    /// # Errors
    /// User: a source is not there, and the run is not to wait for it. External: one failed for good.
    pub(crate) fn observed(&mut self, number: usize, seen: Result<Extents>, reporter: &mut Reporter) -> Result<bool> {
        let source = &mut self.sources.0[number];
        let extents = match seen {
            Ok(extents) => extents,
            Err(error) if error.retry => {
                if source.lose(error.to_string()) {
                    reporter.note(&format!("{error}; waiting for it to come back"));
                }
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let news = source.extents.as_ref().is_none_or(|known| known.is_empty() != extents.is_empty());
        if source.see(extents) {
            reporter.note("the source is back");
        }
        if news && source.is_missing() {
            if self.bounded {
                let message = "does not exist; make it, or correct its name in the pipeline file";
                return Err(Error::user(format!("{} {message}", source.name)));
            }
            reporter.note(&format!("{} does not exist yet; waiting for it", source.name));
        }
        let Some(extents) = self.sources.extents() else { return Ok(false) };
        if self.until.is_none() && self.bounded {
            self.until = Some(extents.clone());
        }
        self.extents = Some(extents);
        Ok(true)
    }

    /// What all sources hold, as last seen.
    pub(crate) fn extents(&self) -> Option<&Extents> {
        self.extents.as_ref()
    }

    /// The same while all can be reached.
    pub(crate) fn reachable(&self) -> Option<&Extents> {
        self.extents().filter(|_| self.sources.error().is_none())
    }

    /// What there is to read: up to the ends, or up to where a bounded run stops.
    pub(crate) fn readable(&self) -> Option<&Extents> {
        self.until.as_ref().or(self.extents.as_ref())
    }

    /// What of it the sources let into the batch that begins at these positions.
    pub(crate) fn admitted(&self, positions: &Offsets) -> Option<Extents> {
        let mut admitted = self.readable()?.clone();
        self.sources.admit(positions, &mut admitted);
        Some(admitted)
    }

    /// Whether a bounded run knows where it ends.
    pub(crate) fn has_end(&self) -> bool {
        self.until.is_some()
    }

    /// How long ago the source was seen that was not seen the longest.
    pub(crate) fn age(&self) -> Duration {
        self.sources.age()
    }

    /// Why a source cannot be reached just now.
    pub(crate) fn error(&self) -> Option<&str> {
        self.sources.error().map(|(error, _)| error.as_str())
    }

    /// Fails when a bounded run, which is to end by itself, has waited long enough for a lost source.
    pub(crate) fn check_patience(&self) -> Result<()> {
        let lost = self.sources.error().filter(|(_, since)| self.bounded && BOUNDED_SOURCE.is_over(since.elapsed()));
        let Some((error, since)) = lost else { return Ok(()) };
        let seconds = since.elapsed().as_secs();
        Err(Error::external(format!(
            "{error}; waited {seconds} s for it: see that it runs and can be reached, then start again"
        )))
    }

    /// A source that was not seen yet, or is not there.
    pub(crate) fn awaited(&self) -> Option<&str> {
        let source = self.sources.0.iter().find(|source| source.extents.is_none() || source.is_missing());
        source.map(|source| source.name.as_str())
    }
}
