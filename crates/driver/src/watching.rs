//! Source watching: what there is to read, which source is out of reach, and where a bounded run ends.

use crate::level::SourceUnavailable;
use crate::reporter::Reporter;
use crate::sources::Sources;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use tidemill_flow::ports::Extents;
use tidemill_model::{Error, OffsetRange, Offsets, PartitionId, Result};
use tidemill_os::clock;
use tidemill_os::retry::BOUNDED_SOURCE;

pub(crate) struct Watching {
    sources: Sources,
    /// What all sources hold, as last seen; `None` until all were seen.
    extents: Option<Extents>,
    /// The run reads what is there now, and ends.
    bounded: bool,
    /// Where a bounded run ends.
    until: Option<Extents>,
    /// How often `extents` has changed.
    version: u64,
    /// By source: where the watch is asked that waits for it after news.
    asks: Vec<Ask>,
}

/// How a source is asked for news.
struct Ask {
    to: SyncSender<()>,
    /// It has reported news and waits until the driver asks.
    waits: bool,
}

impl Watching {
    pub(crate) fn new(sources: Sources, asks: Vec<SyncSender<()>>, bounded: bool) -> Watching {
        let asks = asks.into_iter().map(|to| Ask { to, waits: false }).collect();
        Watching { sources, extents: None, bounded, until: None, version: 0, asks }
    }

    /// Asks the sources that wait for it what they hold by now.
    pub(crate) fn ask(&mut self) {
        for ask in self.asks.iter_mut().filter(|ask| ask.waits) {
            ask.waits = false;
            // A watch that is gone has said why: its last event is in the inbox.
            let _ = ask.to.try_send(());
        }
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    pub(crate) fn sources_mut(&mut self) -> &mut Sources {
        &mut self.sources
    }

    /// Whether the run reads what is there now, and ends.
    pub(crate) fn is_bounded(&self) -> bool {
        self.bounded
    }

    /// Step 1: a source reports what it holds. Returns whether all sources are known now.
    ///
    /// # Errors
    /// User: a source does not exist, and the run does not wait for it. External: a source failed for good.
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
        let changed = source.extents.as_ref() != Some(&extents);
        self.asks[number].waits = changed && !extents.is_empty();
        let news = source.extents.as_ref().is_none_or(|known| known.is_empty() != extents.is_empty());
        if source.see(extents) {
            reporter.note("the source is back");
        }
        if news && source.is_missing() {
            if self.bounded {
                let message = "does not exist; create it, or correct its name in the pipeline file";
                return Err(Error::user(format!("{} {message}", source.name)));
            }
            reporter.note(&format!("{} does not exist yet; waiting for it", source.name));
        }
        if let Some(warning) = source.warning().filter(|_| news) {
            reporter.note(warning);
        }
        if !changed {
            return Ok(self.extents.is_some());
        }
        let Some(extents) = self.sources.extents() else { return Ok(false) };
        self.version += 1;
        self.extents = Some(extents);
        Ok(true)
    }

    /// Decides once where a bounded run ends: at what the sources hold now, or before.
    pub(crate) fn decide_end(&mut self) -> std::result::Result<(), SourceUnavailable> {
        let Some(mut end) = self.extents.clone().filter(|_| self.bounded && self.until.is_none()) else {
            return Ok(());
        };
        self.sources.cut_at_endings(&mut end)?;
        self.until = Some(end);
        self.version += 1;
        Ok(())
    }

    /// What all sources hold, as last seen.
    pub(crate) fn extents(&self) -> Option<&Extents> {
        self.extents.as_ref()
    }

    /// Changes with what the sources hold.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The same while all can be reached.
    pub(crate) fn reachable(&self) -> Option<&Extents> {
        self.extents().filter(|_| self.sources.error().is_none())
    }

    /// What there is to read: up to the ends, or up to where a bounded run stops.
    pub(crate) fn readable(&self) -> Option<&Extents> {
        self.until.as_ref().or(self.extents.as_ref())
    }

    /// What of it the sources let into the batch that begins at these positions; `None` where that is all of it.
    pub(crate) fn admitted(&self, positions: &Offsets) -> Option<Extents> {
        if !self.sources.admit_less() {
            return None;
        }
        let mut admitted = self.readable()?.clone();
        self.sources.admit(positions, &mut admitted);
        Some(admitted)
    }

    /// A batch begins with these records.
    pub(crate) fn begin_batch(&mut self, read: &[(PartitionId, OffsetRange)], now: Instant) {
        for (partition, _) in read {
            if let Some(hold) = &mut self.sources.0[partition.source as usize].hold {
                hold.begin(now);
            }
        }
    }

    /// Whether a bounded run knows where it ends.
    pub(crate) fn has_end(&self) -> bool {
        self.until.is_some()
    }

    /// Time since the least recently seen source was seen.
    pub(crate) fn age(&self) -> Duration {
        self.sources.age()
    }

    /// Why a source cannot be reached just now.
    pub(crate) fn error(&self) -> Option<&str> {
        self.sources.error().map(|(error, _)| error.as_str())
    }

    /// Fails when a bounded run has waited long enough for a source that cannot be reached.
    pub(crate) fn check_patience(&self) -> Result<()> {
        let lost =
            self.sources.error().filter(|(_, since)| self.bounded && BOUNDED_SOURCE.is_over(clock::since(*since)));
        let Some((error, since)) = lost else { return Ok(()) };
        let seconds = clock::since(*since).as_secs();
        Err(Error::external(format!(
            "{error}; waited {seconds} s for it: check that it runs and can be reached, then start again"
        )))
    }

    /// A source that has not been seen yet, or does not exist.
    pub(crate) fn awaited(&self) -> Option<&str> {
        let source = self.sources.0.iter().find(|source| source.extents.is_none() || source.is_missing());
        source.map(|source| source.name.as_str())
    }
}
