//! The query's sources: what each holds, and whether it can be reached. A query starts when all sources have been seen.

use crate::Source;
use crate::hold::Hold;
use crate::level::{Level, SourceUnavailable};
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Admission, Extent, Extents, Positions, Timeline, Watch};
use tidemill_model::pipeline::StartingOffsets;
use tidemill_model::{Offsets, PartitionId, Result};
use tidemill_os::clock;

/// All sources, by number.
pub(crate) struct Sources(pub(crate) Vec<SourceState>);

/// A source.
pub(crate) struct SourceState {
    /// Name in messages.
    pub(crate) name: String,
    warning_if_empty: Option<String>,
    starting_offsets: StartingOffsets,
    /// Where the query starts and ends, if the source says it.
    starting: Option<Positions>,
    ending: Option<Positions>,
    /// Whether the run ends when records are gone that it has not read.
    pub(crate) fail_on_data_loss: bool,
    /// Holds records back until there are enough.
    pub(crate) hold: Option<Hold>,
    max_offsets_per_trigger: Option<u64>,
    /// Limits a batch, if the source has a limit.
    admission: Option<Admission>,
    /// What the source holds, as last seen; `None` until it was seen.
    pub(crate) extents: Option<Extents>,
    /// When it was last seen.
    at: Instant,
    /// Why it cannot be reached, and since when.
    error: Option<(String, Instant)>,
}

/// How much of a source a batch may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// All that the source admits.
    Whole,
    /// At most this many offsets.
    Own(u64),
    /// A share of what the executors can do.
    Capacity,
}

impl Sources {
    /// The sources, their watches, and the [`Level`] over those that support timestamp lookups.
    pub(crate) fn new(sources: Vec<Source>) -> (Sources, Vec<Box<dyn Watch>>, Level) {
        let mut timelines = Vec::new();
        let (mut seen, mut watches) = (Vec::new(), Vec::new());
        for source in sources {
            timelines.push(source.watch.timeline());
            seen.push(SourceState {
                name: source.watch.name(),
                warning_if_empty: source.watch.warning_if_empty(),
                starting_offsets: source.starting_offsets,
                starting: source.watch.starting(),
                ending: source.watch.ending(),
                fail_on_data_loss: source.fail_on_data_loss,
                hold: source.min_offsets.map(Hold::new),
                max_offsets_per_trigger: source.max_offsets_per_trigger,
                admission: source.watch.admission(),
                extents: None,
                at: clock::now(),
                error: None,
            });
            watches.push(source.watch);
        }
        let levelled = timelines.iter().map(Option::is_some).collect();
        (
            Sources(seen),
            watches,
            Level::new(levelled, Box::new(move |partitions, time| ask(&mut timelines, partitions, time))),
        )
    }

    /// What all sources hold; `None` until all were seen.
    pub(crate) fn extents(&self) -> Option<Extents> {
        let each: Option<Vec<&Extents>> = self.0.iter().map(|source| source.extents.as_ref()).collect();
        Some(each?.into_iter().flatten().map(|(partition, extent)| (partition.clone(), *extent)).collect())
    }

    /// Time since the least recently seen source was seen.
    pub(crate) fn age(&self) -> Duration {
        self.0.iter().map(|source| clock::since(source.at)).max().unwrap_or_default()
    }

    /// Why a source cannot be reached, and since when.
    pub(crate) fn error(&self) -> Option<&(String, Instant)> {
        self.0.iter().find_map(|source| source.error.as_ref())
    }

    /// Where the query starts in what the sources hold. `None` while a source that says where does not exist.
    pub(crate) fn beginnings(&mut self, extents: &Extents) -> Result<Option<Offsets>, SourceUnavailable> {
        let mut found = Offsets::default();
        for (number, source) in (0..).zip(&mut self.0) {
            let own = of_source(extents, number);
            let at = |extent: &Extent| match source.starting_offsets {
                StartingOffsets::Earliest => extent.start,
                StartingOffsets::Latest => extent.end,
            };
            match &mut source.starting {
                Some(_) if own.is_empty() => return Ok(None),
                Some(find) => {
                    found.0.extend(find(&own).map_err(|error| SourceUnavailable { source: number, error })?.0)
                }
                None => found.0.extend(own.iter().map(|(partition, extent)| (partition.clone(), at(extent)))),
            }
        }
        Ok(Some(found))
    }

    /// Cuts extents to where the query ends in them.
    pub(crate) fn cut_at_endings(&mut self, extents: &mut Extents) -> Result<(), SourceUnavailable> {
        for (number, source) in (0..).zip(&mut self.0) {
            let Some(find) = &mut source.ending else { continue };
            let own = of_source(extents, number);
            let ends = find(&own).map_err(|error| SourceUnavailable { source: number, error })?;
            for (partition, end) in ends.0 {
                extents.entry(partition).and_modify(|extent| extent.end = end);
            }
        }
        Ok(())
    }

    /// Whether any has a say in how far a batch may go.
    pub(crate) fn admit_less(&self) -> bool {
        self.0.iter().any(|source| source.admission.is_some())
    }

    /// Cuts extents to what they let into one batch.
    pub(crate) fn admit(&self, positions: &Offsets, extents: &mut Extents) {
        self.0.iter().filter_map(|source| source.admission.as_ref()).for_each(|admit| admit(positions, extents));
    }

    /// How much of a source a batch may read.
    pub(crate) fn share(&self, source: u32) -> Share {
        let source = &self.0[source as usize];
        match (source.max_offsets_per_trigger, &source.admission) {
            (Some(most), _) => Share::Own(most),
            (None, Some(_)) => Share::Whole,
            (None, None) => Share::Capacity,
        }
    }
}

impl SourceState {
    /// Records what the source holds. Returns true if it was out of reach until now.
    pub(crate) fn see(&mut self, extents: Extents) -> bool {
        self.extents = Some(extents);
        self.at = clock::now();
        self.error.take().is_some()
    }

    /// Records that the source cannot be reached. Returns true if it could be until now.
    pub(crate) fn lose(&mut self, why: String) -> bool {
        let since = self.error.as_ref().map(|(_, since)| *since);
        self.error = Some((why, since.unwrap_or_else(clock::now)));
        since.is_none()
    }

    /// The warning about a source that exists and has never held a record.
    pub(crate) fn warning(&self) -> Option<&str> {
        let extents = self.extents.as_ref().filter(|extents| !extents.is_empty())?;
        self.warning_if_empty.as_deref().filter(|_| extents.values().all(|extent| extent.end == 0))
    }

    /// Whether the source was looked for and does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        self.extents.as_ref().is_some_and(Extents::is_empty)
    }
}

/// The partitions of one source.
fn of_source(extents: &Extents, source: u32) -> Extents {
    let own = extents.iter().filter(|(partition, _)| partition.source == source);
    own.map(|(partition, extent)| (partition.clone(), *extent)).collect()
}

/// Asks each source about its own partitions.
fn ask(
    timelines: &mut [Option<Timeline>],
    partitions: &[PartitionId],
    time: i64,
) -> Result<Vec<Option<i64>>, SourceUnavailable> {
    let mut found = Vec::with_capacity(partitions.len());
    for group in partitions.chunk_by(|a, b| a.source == b.source) {
        let source = group[0].source;
        let timeline = timelines[source as usize].as_mut().expect("only who has timestamps is asked");
        found.extend(timeline(group, time).map_err(|error| SourceUnavailable { source, error })?);
    }
    Ok(found)
}
