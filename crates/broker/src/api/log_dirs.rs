//! DescribeLogDirs shows the size of the logs. DeleteRecords moves their start.

use super::{Call, once, text};
use crate::catalog::{Topic, storage_error};
use crate::wire::Answer;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName,
};
use std::sync::Arc;

/// The offset that asks to delete all records.
const ALL: i64 = -1;

/// Describes the only directory: the bytes of each requested partition, or of all.
pub(super) fn describe_log_dirs(call: &Call<'_>, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let catalog = &call.shared.catalog;
    let topics = match &request.topics {
        None => catalog.all().iter().map(|topic| describe(topic, 0..topic.partitions().len() as i32)).collect(),
        Some(topics) => {
            let describe = |wanted: &DescribableLogDirTopic| {
                let topic = catalog.get(&wanted.topic)?;
                Some(describe(&topic, once(wanted.partitions.iter(), |index| *index).copied()))
            };
            once(topics.iter(), |topic| topic.topic.as_str()).filter_map(describe).collect()
        }
    };
    let dir = text(&call.shared.config.dir.display().to_string());
    // −1: the broker does not report the size of the disk.
    let result = DescribeLogDirsResult::default().with_log_dir(dir).with_topics(topics);
    DescribeLogDirsResponse::default().with_results(vec![result.with_total_bytes(-1).with_usable_bytes(-1)])
}

fn describe(topic: &Arc<Topic>, indexes: impl Iterator<Item = i32>) -> DescribeLogDirsTopic {
    let describe = |index: i32| {
        let bytes = topic.partition(index)?.with_log(|log| log.bytes());
        Some(DescribeLogDirsPartition::default().with_partition_index(index).with_partition_size(bytes as i64))
    };
    let partitions = indexes.filter_map(describe).collect();
    DescribeLogDirsTopic::default().with_name(TopicName(text(&topic.name))).with_partitions(partitions)
}

/// Deletes the records before an offset of each partition.
pub(super) fn delete_records(call: &Call<'_>, request: DeleteRecordsRequest) -> Answer {
    let delete = |topic: &DeleteRecordsTopic| {
        let found = call.shared.catalog.get(&topic.name);
        let delete = |asked: &DeleteRecordsPartition| {
            let result = DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
            match delete(found.as_ref(), asked) {
                Ok(start) => result.with_low_watermark(start),
                Err(code) => result.with_low_watermark(-1).with_error_code(code.code()),
            }
        };
        let partitions = once(topic.partitions.iter(), |asked| asked.partition_index).map(delete).collect();
        DeleteRecordsTopicResult::default().with_name(topic.name.clone()).with_partitions(partitions)
    };
    let topics = once(request.topics.iter(), |topic| topic.name.as_str());
    call.listed((&DeleteRecordsResponse::default(), 0), topics.map(delete))
}

/// Returns the new start of the log.
fn delete(topic: Option<&Arc<Topic>>, asked: &DeleteRecordsPartition) -> Result<i64, Code> {
    let partition = topic.and_then(|topic| topic.partition(asked.partition_index));
    let partition = partition.ok_or(Code::UnknownTopicOrPartition)?;
    partition.with_log(|log| {
        // What is only compacted has no start that moves.
        if !log.config().delete {
            return Err(Code::PolicyViolation);
        }
        let offset = if asked.offset == ALL { log.end_offset() } else { asked.offset };
        if !(0..=log.end_offset()).contains(&offset) {
            return Err(Code::OffsetOutOfRange);
        }
        log.delete_before(offset).map_err(storage_error)?;
        Ok(log.start_offset())
    })
}
