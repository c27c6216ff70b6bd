//! `tidemill check FILE`: is the file right, and how is it understood.

use crate::args::CheckOptions;
use crate::{tell, wiring};
use tidemill_model::Result;
use tidemill_model::pipeline::DeadLetter;

pub(crate) fn run(options: &CheckOptions) -> Result<()> {
    let job = wiring::load(&options.pipeline, &options.set)?;
    tell::out(job.plan.describe().trim_end());
    if let Some(DeadLetter::Files { path }) = &job.pipeline.dead_letter {
        tell::out(&format!("{:<12} each fault of a record, as JSON lines in {path}", "dead letters"));
    }
    Ok(())
}
