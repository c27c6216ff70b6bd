//! The batch in flight: its tasks and whether each is waiting, running or done. Bookkeeping only; it does not choose
//! executors.

use crate::finish::SourceTotals;
use std::cmp::Reverse;
use tidemill_flow::ports::DriverDeadLetter;
use tidemill_model::batch::task_len;
use tidemill_model::limits::POISON_KILLS;
use tidemill_model::{BatchPlan, OffsetRange, Partial, RecordFault, TaskCut};

/// A batch whose tasks are running.
pub(crate) struct Batch {
    pub(crate) plan: BatchPlan,
    /// True if the plan was found in the log after a restart.
    pub(crate) replayed: bool,
    /// In merge order. A task is one piece unless it was split.
    pieces: Vec<Piece>,
    next_number: u64,
    /// True if the pipeline keeps dead letters. A record that kills executors is then written there.
    keeps_dead_letters: bool,
    /// Dead letters of records that no executor could read.
    unreadable: Vec<DriverDeadLetter>,
    /// Pieces that ran again because their executor was lost.
    pub(crate) retried: u64,
}

struct Piece {
    number: u64,
    ranges: TaskCut,
    kills: u32,
    /// The piece is one record that kills executors. It is written to the dead letters without being decoded.
    set_aside: bool,
    state: PieceState,
}

/// What the loss of an executor says about a piece that it was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// The piece may have killed the executor.
    Suspect,
    /// As `Suspect`, but the piece was late: it already waits or runs elsewhere.
    SuspectLate,
}

impl Piece {
    fn records(&self) -> i64 {
        task_len(&self.ranges)
    }

    fn first(&self) -> &OffsetRange {
        &self.ranges[0]
    }

    fn last(&self) -> &OffsetRange {
        self.ranges.last().expect("a task has a range")
    }

    /// Whether an executor died while it ran.
    fn is_suspect(&self) -> bool {
        self.kills > 0 || self.set_aside
    }
}

/// A piece handed to an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskAssignment {
    pub(crate) number: u64,
    pub(crate) ranges: TaskCut,
    pub(crate) set_aside: bool,
    /// The piece is a suspect. Nothing else runs on the executor meanwhile, so that a death has one cause.
    pub(crate) alone: bool,
}

enum PieceState {
    Waiting,
    Running,
    Done(Partial),
}

/// What happens to a piece whose executor is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PieceOutcome {
    /// It waits to run again.
    Again,
    /// It killed too many executors and was split in two.
    Split,
    /// It is one record that kills executors: it is set aside.
    Poison(OffsetRange),
    /// It is one record that kills executors even when they only read it: it stays in the source.
    Unreadable(OffsetRange),
}

impl Batch {
    pub(crate) fn new(plan: BatchPlan, replayed: bool, keeps_dead_letters: bool) -> Batch {
        let piece = |(number, task): (usize, &TaskCut)| Piece {
            number: number as u64,
            ranges: task.clone(),
            kills: 0,
            set_aside: false,
            state: PieceState::Waiting,
        };
        let pieces: Vec<Piece> = plan.tasks.iter().enumerate().map(piece).collect();
        let next_number = pieces.len() as u64;
        Batch { plan, replayed, pieces, next_number, keeps_dead_letters, unreadable: Vec::new(), retried: 0 }
    }

    /// Takes the next piece to run: one that `goes_on` (begins where a free core has read up to); otherwise the begin of
    /// the longest stretch of waiting pieces, or its middle where somebody is about to reach its begin. A suspect is only
    /// given to an executor that is `idle`.
    pub(crate) fn take(&mut self, goes_on: impl Fn(&[OffsetRange]) -> bool, idle: bool) -> Option<TaskAssignment> {
        let waiting = |piece: &Piece| matches!(piece.state, PieceState::Waiting) && (idle || !piece.is_suspect());
        let at = self.pieces.iter().position(|p| waiting(p) && goes_on(&p.ranges)).or_else(|| self.apart(waiting))?;
        let piece = &mut self.pieces[at];
        piece.state = PieceState::Running;
        let (number, ranges, set_aside) = (piece.number, piece.ranges.clone(), piece.set_aside);
        Some(TaskAssignment { number, ranges, set_aside, alone: piece.is_suspect() })
    }

    /// The waiting piece from which the most pieces can be read in a row.
    fn apart(&self, waiting: impl Fn(&Piece) -> bool) -> Option<usize> {
        let follows =
            |a: &Piece, b: &Piece| a.last().partition == b.first().partition && a.last().end == b.first().start;
        let mut best = None;
        let mut end = 0;
        for stretch in self.pieces.chunk_by(|a, b| follows(a, b) && waiting(a) && waiting(b)) {
            let begin = end;
            end += stretch.len();
            if !waiting(&stretch[0]) {
                continue;
            }
            let before = begin.checked_sub(1).map(|before| &self.pieces[before]);
            let reached = before.is_some_and(|p| follows(p, &stretch[0]) && matches!(p.state, PieceState::Running));
            let at = if reached { begin + stretch.len() / 2 } else { begin };
            best = best.max(Some((end - at, !reached, Reverse(at))));
        }
        best.map(|(_, _, Reverse(at))| at)
    }

    /// Records that a piece is done. The first of two answers counts; returns whether this one did.
    pub(crate) fn done(&mut self, number: u64, partial: Partial) -> bool {
        let Some(piece) = self.open_piece(number) else { return false };
        piece.state = PieceState::Done(partial);
        true
    }

    /// Queues a piece once more: it failed in a way that may pass, or its executor is late.
    pub(crate) fn again(&mut self, number: u64) {
        if let Some(piece) = self.open_piece(number) {
            piece.state = PieceState::Waiting;
        }
    }

    /// Like [`Batch::again`], but counts as a retry: the executor is being replaced.
    pub(crate) fn elsewhere(&mut self, number: u64) {
        if self.open_piece(number).is_some() {
            self.retried += 1;
            self.again(number);
        }
    }

    /// Splits a piece whose partial would be larger than a task may build. Every executor reports the same for the same
    /// piece, unless its disk is full. Returns the records of the larger half; `None` if the piece
    /// is no longer open.
    pub(crate) fn too_large(&mut self, number: u64) -> Option<i64> {
        let open = |piece: &Piece| piece.number == number && !matches!(piece.state, PieceState::Done(_));
        let at = self.pieces.iter().position(open)?;
        let (records, kills) = (self.pieces[at].records(), self.pieces[at].kills);
        self.split(at, kills);
        Some(records - records / 2)
    }

    /// Handles the loss of the executor that ran a piece. A piece that is done stays done.
    pub(crate) fn lost(&mut self, number: u64, loss: Suspicion) -> PieceOutcome {
        let open = |piece: &Piece| piece.number == number && !matches!(piece.state, PieceState::Done(_));
        let Some(at) = self.pieces.iter().position(open) else { return PieceOutcome::Again };
        let piece = &mut self.pieces[at];
        piece.kills += 1;
        match loss {
            Suspicion::Suspect => {
                self.retried += 1;
                piece.state = PieceState::Waiting;
            }
            // The executor that runs it now may still finish it.
            Suspicion::SuspectLate if matches!(piece.state, PieceState::Running) => return PieceOutcome::Again,
            Suspicion::SuspectLate => {}
        }
        if piece.kills < POISON_KILLS {
            return PieceOutcome::Again;
        }
        if piece.records() == 1 {
            return self.poison(at);
        }
        // One more kill splits the half that killed again.
        self.split(at, POISON_KILLS - 1);
        PieceOutcome::Split
    }

    /// Cuts a piece in the middle. Both halves get new numbers, so a late answer for the whole piece matches nothing.
    fn split(&mut self, at: usize, kills: u32) {
        let whole = self.pieces.remove(at);
        for (offset, ranges) in halves(whole.ranges).into_iter().enumerate() {
            let (number, state) = (self.next_number, PieceState::Waiting);
            self.next_number += 1;
            self.pieces.insert(at + offset, Piece { number, ranges, kills, set_aside: whole.set_aside, state });
        }
    }

    /// Handles a one-record piece that has killed too often. With dead letters, an executor first writes the record
    /// there without decoding it. If that kills too, the record stays in the source.
    fn poison(&mut self, at: usize) -> PieceOutcome {
        let piece = &mut self.pieces[at];
        let range = piece.first().clone();
        if self.keeps_dead_letters && !piece.set_aside {
            (piece.set_aside, piece.kills) = (true, 0);
            return PieceOutcome::Poison(range);
        }
        let mut partial = Partial { records: 1, ..Partial::default() };
        partial.leave_out(RecordFault::Malformed, 1);
        piece.state = PieceState::Done(partial);
        if !piece.set_aside {
            return PieceOutcome::Poison(range);
        }
        self.unreadable.push(DriverDeadLetter {
            at: Some((range.partition.clone(), range.start)),
            fault: RecordFault::Malformed,
            detail: "it killed every executor that read it: its value was left where it is".into(),
        });
        PieceOutcome::Unreadable(range)
    }

    /// Dead letters of records that no executor could read.
    pub(crate) fn take_unreadable(&mut self) -> Vec<DriverDeadLetter> {
        std::mem::take(&mut self.unreadable)
    }

    /// Whether every piece is done.
    pub(crate) fn complete(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece.state, PieceState::Done(_)))
    }

    /// Whether no piece has run yet and none is running.
    pub(crate) fn untouched(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece.state, PieceState::Waiting))
    }

    /// Number of pieces done, and of all pieces.
    pub(crate) fn progress(&self) -> (usize, usize) {
        (self.pieces.iter().filter(|piece| matches!(piece.state, PieceState::Done(_))).count(), self.pieces.len())
    }

    /// Records of the pieces that are not done.
    pub(crate) fn unfinished(&self) -> u64 {
        let open = self.pieces.iter().filter(|piece| !matches!(piece.state, PieceState::Done(_)));
        open.map(|piece| piece.records() as u64).sum()
    }

    /// Totals of each of the `sources` sources. Panics unless [`Batch::complete`].
    pub(crate) fn by_source(&self, sources: usize) -> Vec<SourceTotals> {
        let mut totals = vec![SourceTotals::default(); sources];
        for piece in &self.pieces {
            let PieceState::Done(partial) = &piece.state else { panic!("only complete batches are summed up") };
            let totals = &mut totals[piece.first().partition.source as usize];
            totals.records += partial.records;
            totals.event_time.merge(&partial.event_time);
        }
        totals
    }

    /// The partials in (source, topic, partition, offset) order. Panics unless [`Batch::complete`].
    pub(crate) fn into_partials(self) -> Vec<Partial> {
        let partial = |piece: Piece| match piece.state {
            PieceState::Done(partial) => partial,
            _ => panic!("only complete batches are merged"),
        };
        self.pieces.into_iter().map(partial).collect()
    }

    /// A piece that is not done; `None` if there is none of this number, also after a split.
    fn open_piece(&mut self, number: u64) -> Option<&mut Piece> {
        let open = |piece: &&mut Piece| piece.number == number && !matches!(piece.state, PieceState::Done(_));
        self.pieces.iter_mut().find(open)
    }
}

/// Ranges cut in the middle of their offsets.
fn halves(ranges: TaskCut) -> [TaskCut; 2] {
    let mut left = task_len(&ranges) / 2;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for range in ranges {
        let middle = range.start + range.len().min(left);
        left -= middle - range.start;
        let parts = [(range.start, middle, &mut before), (middle, range.end, &mut after)];
        for (start, end, half) in parts.into_iter().filter(|(start, end, _)| start < end) {
            half.push(OffsetRange { start, end, ..range.clone() });
        }
    }
    [before, after]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_model::{Millis, Offsets, PartitionId};

    fn batch(ranges: &[(i64, i64)]) -> Batch {
        let range = |(start, end): &(i64, i64)| OffsetRange {
            partition: PartitionId { source: 0, topic: "t".into(), partition: 0 },
            start: *start,
            end: *end,
        };
        let ranges: Vec<OffsetRange> = ranges.iter().map(range).collect();
        let plan = BatchPlan {
            batch_id: 0,
            tasks: ranges.iter().map(|range| vec![range.clone()]).collect(),
            ranges,
            watermark: Millis(0),
            late_watermark: Millis(0),
            timestamp: Millis(0),
            start_offsets: Offsets::default(),
            end_offsets: Offsets::default(),
        };
        Batch::new(plan, false, false)
    }

    fn partial(records: u64) -> Partial {
        Partial { records, ..Partial::default() }
    }

    #[test]
    fn partials_are_merged_in_offset_order_whatever_ends_first() {
        let mut batch = batch(&[(0, 2), (2, 4), (4, 6)]);
        let numbers: Vec<u64> = std::iter::from_fn(|| batch.take(|_| false, true)).map(|taken| taken.number).collect();
        assert_eq!(numbers, [0, 2, 1]);
        batch.done(2, partial(30));
        batch.done(0, partial(10));
        assert_eq!(batch.lost(1, Suspicion::Suspect), PieceOutcome::Again);
        assert_eq!(batch.take(|_| false, true).unwrap().number, 1);
        assert!(!batch.complete());
        batch.done(1, partial(20));
        assert!(batch.complete());
        assert_eq!(batch.into_partials().iter().map(|p| p.records).collect::<Vec<_>>(), [10, 20, 30]);
    }

    /// Records of two bytes, pieces of at most nine bytes: pieces are halved again and again, and end up in order.
    #[test]
    fn a_piece_that_is_too_large_is_split() {
        let mut batch = batch(&[(0, 16), (16, 18)]);
        let mut least = i64::MAX;
        while let Some(taken) = batch.take(|_| false, true) {
            let records = task_len(&taken.ranges);
            match records * 2 > 9 {
                true => least = least.min(batch.too_large(taken.number).expect("it is open")),
                false => assert!(batch.done(taken.number, partial(records as u64))),
            }
        }
        assert_eq!((least, batch.too_large(0)), (4, None));
        let records: Vec<u64> = batch.into_partials().iter().map(|partial| partial.records).collect();
        assert_eq!(records, [4, 4, 4, 4, 2]);
    }

    /// Ranges `(partition, start, end)` → the two halves of a task of them.
    #[test]
    fn a_task_of_several_ranges_is_cut_in_the_middle() {
        let range = |(partition, start, end): &(i32, i64, i64)| OffsetRange {
            partition: PartitionId { source: 0, topic: "t".into(), partition: *partition },
            start: *start,
            end: *end,
        };
        type Ranges<'a> = &'a [(i32, i64, i64)];
        let check = |whole: Ranges<'_>, expected: [Ranges<'_>; 2]| {
            let halves = halves(whole.iter().map(range).collect());
            assert_eq!(halves, expected.map(|half| half.iter().map(range).collect::<Vec<_>>()), "{whole:?}");
        };
        check(&[(0, 0, 3), (1, 5, 8)], [&[(0, 0, 3)], &[(1, 5, 8)]]);
        check(&[(0, 0, 1), (1, 5, 10), (2, 0, 1)], [&[(0, 0, 1), (1, 5, 7)], &[(1, 7, 10), (2, 0, 1)]]);
        check(&[(0, 4, 7)], [&[(0, 4, 5)], &[(0, 5, 7)]]);
    }

    /// A piece is late: it runs once more. The first answer counts, and the second is ignored.
    #[test]
    fn of_two_answers_the_first_wins() {
        let mut batch = batch(&[(0, 2)]);
        let taken = |batch: &mut Batch| batch.take(|_| false, true).map(|taken| taken.number);
        assert_eq!(taken(&mut batch), Some(0));
        batch.elsewhere(0);
        assert_eq!(taken(&mut batch), Some(0));
        assert!(batch.done(0, partial(1)));
        assert!(!batch.done(0, partial(2)));
        batch.again(0);
        assert_eq!(batch.lost(0, Suspicion::SuspectLate), PieceOutcome::Again);
        assert_eq!((batch.complete(), batch.retried), (true, 1));
        assert_eq!(batch.into_partials()[0].records, 1);
    }

    /// Executors that loop over a piece are replaced one after the other. The piece is split like one that kills, and
    /// an answer for the whole piece is ignored afterwards.
    #[test]
    fn a_piece_that_is_late_again_and_again_is_split() {
        let mut batch = batch(&[(0, 64)]);
        for round in 1..=POISON_KILLS {
            assert_eq!(batch.take(|_| false, true).map(|taken| taken.number), Some(0));
            batch.elsewhere(0);
            let split = if round == POISON_KILLS { PieceOutcome::Split } else { PieceOutcome::Again };
            assert_eq!(batch.lost(0, Suspicion::SuspectLate), split);
        }
        assert!(!batch.done(0, partial(64)));
        let halves: Vec<i64> =
            std::iter::from_fn(|| batch.take(|_| false, true)).map(|half| task_len(&half.ranges)).collect();
        assert_eq!(halves, [32, 32]);
    }

    #[test]
    fn an_executor_goes_on_where_it_has_read() {
        let mut batch = batch(&[(0, 2), (2, 4), (4, 6)]);
        assert_eq!(batch.take(|ranges| ranges[0].start == 2, true).unwrap().number, 1);
        assert_eq!(batch.take(|ranges| ranges[0].start == 2, true).unwrap().number, 0);
        assert_eq!(batch.take(|_| true, true).unwrap().number, 2);
        assert!(batch.take(|_| true, true).is_none());
    }

    /// Pieces of two records: w = waiting, r = running, d = done, blank = gap → the piece that a core without a
    /// position reads next.
    #[test]
    fn cores_read_stretches_of_their_own() {
        for (states, expected) in [
            ("wwww", Some(0)),
            ("rwww", Some(2)),
            ("drww", Some(3)),
            ("dwww", Some(1)),
            ("rw ww", Some(2)),
            ("rw w", Some(2)),
            ("rwwwwwww ww", Some(4)),
            ("rd", None),
        ] {
            let targets = states.char_indices().filter(|(_, state)| *state != ' ');
            let ranges: Vec<(i64, i64)> = targets.clone().map(|(at, _)| (at as i64 * 2, at as i64 * 2 + 2)).collect();
            let mut batch = batch(&ranges);
            for (piece, (_, state)) in batch.pieces.iter_mut().zip(targets) {
                match state {
                    'r' => piece.state = PieceState::Running,
                    'd' => piece.state = PieceState::Done(partial(2)),
                    _ => {}
                }
            }
            assert_eq!(batch.take(|_| false, true).map(|taken| taken.number), expected, "{states}");
        }
    }

    /// One record of 64 kills every executor that decodes it, or even every executor that reads it. It alone is set
    /// aside; the others are all read. Without dead letters it is only counted.
    #[test]
    fn a_poison_record_is_isolated() {
        let poison = 41;
        for (keeps_dead_letters, kills_readers, expected_kills) in
            [(false, false, POISON_KILLS + 6), (true, false, POISON_KILLS + 6), (true, true, 2 * POISON_KILLS + 6)]
        {
            let mut batch = Batch { keeps_dead_letters, ..batch(&[(0, 64)]) };
            let (mut kills, mut read, mut aside) = (0, 0, 0);
            while let Some(TaskAssignment { number, ranges, set_aside, .. }) = batch.take(|_| false, true) {
                let range = &ranges[0];
                if (range.start..range.end).contains(&poison) && (!set_aside || kills_readers) {
                    kills += 1;
                    if let PieceOutcome::Poison(range) | PieceOutcome::Unreadable(range) =
                        batch.lost(number, Suspicion::Suspect)
                    {
                        assert_eq!((range.start, range.end), (poison, poison + 1));
                    }
                } else {
                    *(if set_aside { &mut aside } else { &mut read }) += range.len();
                    batch.done(number, partial(range.len() as u64));
                }
            }
            assert_eq!((read, kills), (63, expected_kills));
            assert_eq!(aside, i64::from(keeps_dead_letters && !kills_readers));
            let unreadable: Vec<i64> =
                batch.take_unreadable().iter().map(|letter| letter.at.as_ref().unwrap().1).collect();
            assert_eq!(unreadable, if kills_readers { vec![poison] } else { vec![] });
            assert_eq!(batch.into_partials().iter().map(|p| p.records).sum::<u64>(), 64);
        }
    }

    /// Two pieces run on an executor that one of them kills: the other is suspected once and then cleared.
    #[test]
    fn who_runs_beside_a_poison_record_is_not_split() {
        let mut batch = batch(&[(0, 64), (64, 128), (128, 192)]);
        let poison = 41;
        let (mut running, mut read) = (Vec::<TaskAssignment>::new(), 0);
        while !batch.complete() {
            let room = running.len() < 2 && !running.iter().any(|taken| taken.alone);
            let idle = running.is_empty();
            if let Some(taken) = room.then(|| batch.take(|_| false, idle)).flatten() {
                assert!(!taken.alone || idle);
                running.push(taken);
                continue;
            }
            if running.iter().any(|taken| (taken.ranges[0].start..taken.ranges[0].end).contains(&poison)) {
                for taken in running.drain(..) {
                    if let PieceOutcome::Poison(range) = batch.lost(taken.number, Suspicion::Suspect) {
                        assert_eq!((range.start, range.end), (poison, poison + 1));
                    }
                }
                continue;
            }
            let taken = running.pop().expect("something runs");
            read += task_len(&taken.ranges);
            batch.done(taken.number, partial(task_len(&taken.ranges) as u64));
        }
        assert_eq!(read, 191);
    }
}
