//! `tidemill dead-letters replay FILE --to TOPIC`: sends the records of a pipeline's dead letters again.

use crate::args::{DeadLettersAction, DeadLettersOptions};
use crate::wiring;
use tidemill_kafka::dead_letters::replay;
use tidemill_model::pipeline::DeadLetterTarget;
use tidemill_model::{Error, RecordFault, Result, counted};
use tidemill_os::output;

pub(crate) fn run(options: &DeadLettersOptions) -> Result<()> {
    let DeadLettersAction::Replay { pipeline: file, to, reason, set } = &options.action;
    let reasons = RecordFault::ALL.map(RecordFault::name);
    if let Some(unknown) = reason.as_deref().filter(|reason| !reasons.contains(reason)) {
        return Err(Error::user(format!("`{unknown}` is no reason; choose one of {}", reasons.join(", "))));
    }
    let job = wiring::load(file, set)?;
    let Some(DeadLetterTarget::Kafka(kafka)) = &job.pipeline.dead_letter else {
        return Err(Error::user(format!(
            "{}: the dead letters of this pipeline are not in a topic; only those of [dead_letter] type = \"kafka\" can be \
             sent again",
            file.display()
        )));
    };
    let letters = wiring::kafka_options(&kafka.connection);
    // The topic is one that the pipeline may read.
    let to_options = wiring::first_source(&job.pipeline).unwrap_or_else(|| letters.clone());
    let replayed = replay((&letters, &kafka.topic), (&to_options, to), reason.as_deref())?;
    let mut words = format!("{} sent to topic {to}", counted(replayed.sent, "record"));
    for (count, what) in [
        (replayed.repeated, "further faults of these records"),
        (replayed.groups, "dead letters of groups, which have no record"),
        (replayed.others, "dead letters with other reasons"),
    ] {
        if count > 0 {
            words.push_str(&format!("; not sent: {count} {what}"));
        }
    }
    output::line(&words);
    Ok(())
}
