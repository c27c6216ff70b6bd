//! Constants that more than one crate depends on, with the argument beside each and their relations asserted.

/// Records in one task. A pure cut of the plan's ranges: the same plan gives the same tasks at any number of executors.
/// Small enough that four executors of two cores share a hot partition, large enough that a task's overhead
/// (a frame each way, one partial) is lost in its work.
pub const TASK_RECORDS: i64 = 50_000;

/// Default length of a batch that a plan aims at when no `max_offsets_per_trigger` bounds it, milliseconds.
pub const BATCH_TARGET_MS: i64 = 500;

/// Plans that may be logged but not committed: the one in its output steps and the one being dispatched.
pub const UNCOMMITTED_PLANS_MAX: usize = 2;

/// A record whose task has killed its executor so often is isolated and set aside.
pub const POISON_KILLS: u32 = 3;

/// Greatest frame between driver and executor, bytes.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

/// A task of several records whose partial is larger is split, bytes as sent. What a task comes to depends on its records
/// alone, so the same plan is split into the same pieces wherever it runs.
pub const PARTIAL_BYTES_MAX: usize = 64 << 20;

/// So is a task whose records' values are larger together: whatever it builds of them, it holds no more than that.
pub const TASK_BYTES_MAX: usize = 256 << 20;

// Only a single record may be too large for a frame.
const _: () = assert!(PARTIAL_BYTES_MAX < FRAME_BYTES_MAX);

const _: () = assert!(TASK_RECORDS > 0 && BATCH_TARGET_MS > 0 && UNCOMMITTED_PLANS_MAX == 2);
