//! Constants that more than one crate depends on, each with its reason. Their relations are asserted at compile time.

/// Records in one task. The cut depends on the plan's ranges alone, so the same plan gives the same tasks at any number
/// of executors. The value is small enough for four executors of two cores to share a hot partition, and large enough
/// to make a task's overhead (one frame each way, one partial) negligible.
pub const TASK_RECORDS: i64 = 50_000;

/// Target length of a batch in ms, when no `max_offsets_per_trigger` limits it.
pub const BATCH_TARGET_MS: i64 = 500;

/// The status shows so many rows of a batch, the last of them.
pub const ROWS_SHOWN: usize = 30;

/// A task sends so many bytes of rows for the status at most. Rows that are larger are not shown.
pub const SHOWN_BYTES_MAX: usize = 64 << 10;

/// Plans that may be logged but not committed: one in its output steps and one being dispatched.
pub const UNCOMMITTED_PLANS_MAX: usize = 2;

/// A record whose task has killed this many executors is isolated and set aside.
pub const POISON_KILLS: u32 = 3;

/// Largest frame between driver and executor, in bytes.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

/// A task of several records is split if its encoded partial is larger than this, in bytes. The size depends on the
/// records alone, so the same plan is split into the same pieces wherever it runs; unless a disk is full, where rows that would
/// be staged are part of it. No row depends on the pieces.
pub const PARTIAL_BYTES_MAX: usize = 64 << 20;

/// A task of several records is split if their values together are larger than this, in bytes.
pub const TASK_BYTES_MAX: usize = 256 << 20;

// Only a single record can be too large for a frame.
const _: () = assert!(PARTIAL_BYTES_MAX < FRAME_BYTES_MAX);

const _: () = assert!(TASK_RECORDS > 0 && BATCH_TARGET_MS > 0 && UNCOMMITTED_PLANS_MAX == 2);
