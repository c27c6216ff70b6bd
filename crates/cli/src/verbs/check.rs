//! `tidemill check FILE`: is the file right, and how is it understood.

use crate::args::CheckOptions;
use crate::{tell, wiring};
use tidemill_model::Result;

pub(crate) fn run(options: &CheckOptions) -> Result<()> {
    let job = wiring::load(&options.pipeline, &options.set)?;
    tell::out(job.plan.describe().trim_end());
    Ok(())
}
