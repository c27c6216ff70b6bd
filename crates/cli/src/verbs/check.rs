//! `tidemill check FILE`: checks a pipeline file and prints how it is understood.

use crate::args::CheckOptions;
use crate::wiring;
use tidemill_model::Result;
use tidemill_model::pipeline::DeadLetterTarget;
use tidemill_os::output;

pub(crate) fn run(options: &CheckOptions) -> Result<()> {
    let job = wiring::load(&options.pipeline, &options.set)?;
    if options.engine == "spark" {
        return super::spark::check(&job);
    }
    output::line(job.plan.describe().trim_end());
    for (source, chosen) in wiring::clients(&job.pipeline) {
        output::line(&format!("{:<12} {} reads `{source}`: {}", "client", chosen.name(), chosen.why));
    }
    let dead_letters = match &job.pipeline.dead_letter {
        None => return Ok(()),
        Some(DeadLetterTarget::Files { path }) => format!("as JSON lines in {path}"),
        Some(DeadLetterTarget::Kafka(kafka)) => format!("as a record of topic {}", kafka.topic),
    };
    output::line(&format!("{:<12} each fault of a record, {dead_letters}", "dead letters"));
    Ok(())
}
