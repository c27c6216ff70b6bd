//! What is in the place of librdkafka in a binary without the cargo feature `librdkafka`: an error that says so.

use crate::alarm::Alarm;
use crate::ask::Ask;
use crate::choice::without_librdkafka;
use crate::group::SetOffsets;
use crate::options::KafkaOptions;
use crate::properties::Refused;
use crate::read::RangeReader;
use crate::scan::OnRecord;
use tidemill_flow::ports::Extents;
use tidemill_model::{Result, Secret};

pub(crate) fn reader(_: &KafkaOptions) -> Result<Box<dyn RangeReader>> {
    Err(without_librdkafka())
}

pub(crate) fn alarm(_: &KafkaOptions) -> Result<Box<dyn Alarm>> {
    Err(without_librdkafka())
}

pub(crate) fn ask(_: &KafkaOptions) -> Result<Box<dyn Ask>> {
    Err(without_librdkafka())
}

pub(crate) fn group(_: &KafkaOptions, _: &str) -> Result<Box<dyn SetOffsets>> {
    Err(without_librdkafka())
}

pub(crate) fn scan(_: &KafkaOptions, _: &str, _: &Extents, _: OnRecord<'_>) -> Result<()> {
    Err(without_librdkafka())
}

/// Nothing judges librdkafka's properties here: the choice of librdkafka is refused as a whole.
pub(crate) fn refused(_: &str, _: &Secret) -> Option<Refused> {
    None
}

/// As [`refused`].
pub(crate) fn unspoken(_: &str, _: &str) -> Option<&'static str> {
    None
}
