//! The query's sources: what each holds, and whether it can be reached. A query starts when all sources have been seen.

use crate::Source;
use crate::level::{Level, SourceUnavailable};
use std::time::{Duration, Instant};
use tidemill_flow::ports::{Admission, Extents, Timeline, Watch};
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

    /// Where the query starts in what the sources hold.
    pub(crate) fn beginnings(&self, extents: &Extents) -> Offsets {
        let begin = |(partition, extent): (&PartitionId, &tidemill_flow::ports::Extent)| {
            let offset = match self.0[partition.source as usize].starting_offsets {
                StartingOffsets::Earliest => extent.start,
                StartingOffsets::Latest => extent.end,
            };
            (partition.clone(), offset)
        };
        Offsets(extents.iter().map(begin).collect())
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
