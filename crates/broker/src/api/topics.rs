//! CreateTopics, DeleteTopics and CreatePartitions.

use super::cluster::NODE;
use super::{Call, once, text};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::wire::Answer;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use std::collections::HashMap;
use uuid::Uuid;

/// First version that names topics by name or by id.
const FIRST_DELETE_VERSION_WITH_IDS: i16 = 6;
/// First version whose answer says why a topic was not deleted.
const FIRST_DELETE_VERSION_WITH_TEXT: i16 = 5;
/// First version whose answer describes the created topic.
const FIRST_CREATE_VERSION_WITH_DETAILS: i16 = 5;

/// Creates each topic. A topic that is named twice is refused.
pub(super) fn create_topics(call: &Call<'_>, request: CreateTopicsRequest) -> Answer {
    let mut count: HashMap<&TopicName, usize> = HashMap::new();
    request.topics.iter().for_each(|topic| *count.entry(&topic.name).or_default() += 1);
    let create = |topic: &CreatableTopic| {
        let response = CreatableTopicResult::default().with_name(topic.name.clone());
        let created = if count[&topic.name] > 1 {
            Err(Refusal::new(Code::InvalidRequest, "the request names this topic more than once"))
        } else {
            create_topic(call, topic, request.validate_only)
        };
        match created {
            Ok((id, partitions, settings)) if call.version >= FIRST_CREATE_VERSION_WITH_DETAILS => response
                .with_topic_id(if call.version >= 7 { id } else { Uuid::nil() })
                .with_num_partitions(partitions)
                .with_replication_factor(1)
                .with_configs(Some(describe(call, &settings))),
            Ok(_) => response,
            Err(refusal) => response.with_error_code(refusal.code.code()).with_error_message(Some(refusal.text())),
        }
    };
    let topics = once(request.topics.iter(), |topic| &topic.name).map(create);
    call.listed((&CreateTopicsResponse::default(), 0), topics)
}

fn create_topic(
    call: &Call<'_>,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<(Uuid, i32, Settings), Refusal> {
    call.shared.catalog.check_new_name(&topic.name)?;
    let mut settings = Settings::default();
    for config in &topic.configs {
        let value = config.value.as_deref().unwrap_or_default();
        settings.set(&config.name, value).map_err(|why| Refusal::new(Code::InvalidConfig, why))?;
    }
    let partitions = if topic.assignments.is_empty() {
        if topic.replication_factor != 1 && topic.replication_factor != -1 {
            let why = "the cluster has one broker; use a replication factor of 1";
            return Err(Refusal::new(Code::InvalidReplicationFactor, why));
        }
        if topic.num_partitions == -1 { call.shared.config.default_partitions } else { topic.num_partitions }
    } else {
        assigned_partitions(topic)?
    };
    if validate_only {
        call.shared.catalog.check_new(&topic.name, partitions)?;
        return Ok((Uuid::nil(), partitions, settings));
    }
    let created = call.shared.catalog.create(&topic.name, partitions, settings.clone())?;
    Ok((created.id, partitions, settings))
}

/// The number of partitions in a manual assignment. Each must be on this broker.
fn assigned_partitions(topic: &CreatableTopic) -> Result<i32, Refusal> {
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let why = "with a replica assignment, the number of partitions and the replication factor must be -1";
        return Err(Refusal::new(Code::InvalidRequest, why));
    }
    check_assignment(0, topic.assignments.iter().map(|a| (a.partition_index, &a.broker_ids[..])))?;
    Ok(topic.assignments.len() as i32)
}

/// Checks that partitions are numbered consecutively from `first` on, and that each is on this broker only.
fn check_assignment<'a>(first: i32, assignments: impl Iterator<Item = (i32, &'a [BrokerId])>) -> Result<(), Refusal> {
    let mut assignments: Vec<(i32, &[BrokerId])> = assignments.collect();
    assignments.sort_by_key(|(index, _)| *index);
    for (expected, (index, brokers)) in (first..).zip(assignments) {
        let why = if index != expected {
            format!("partitions must be consecutive from {first} on; {expected} is missing, or {index} occurs twice")
        } else if *brokers != [NODE] {
            let named: Vec<String> = brokers.iter().map(|broker| broker.0.to_string()).collect();
            format!("partition {index} is assigned to [{}], and the only broker is {}", named.join(", "), NODE.0)
        } else {
            continue;
        };
        return Err(Refusal::new(Code::InvalidReplicaAssignment, why));
    }
    Ok(())
}

fn describe(call: &Call<'_>, settings: &Settings) -> Vec<CreatableTopicConfigs> {
    let describe = |config: crate::settings::Described| {
        CreatableTopicConfigs::default()
            .with_name(text(config.name))
            .with_value(Some(text(&config.value)))
            .with_read_only(config.read_only)
            .with_config_source(super::configs::source(config.own))
    };
    settings.describe(&call.shared.config).into_iter().map(describe).collect()
}

/// Deletes each topic with its records and its committed offsets.
pub(super) fn delete_topics(call: &Call<'_>, request: DeleteTopicsRequest) -> Answer {
    let wanted = if call.version >= FIRST_DELETE_VERSION_WITH_IDS {
        request.topics
    } else {
        let by_name = |name: TopicName| DeleteTopicState::default().with_name(Some(name));
        request.topic_names.into_iter().map(by_name).collect()
    };
    let delete = |topic: DeleteTopicState| {
        let by_id = topic.name.is_none();
        let found = match &topic.name {
            Some(name) => Ok(name.to_string()),
            None if topic.topic_id.is_nil() => {
                Err(Refusal::new(Code::InvalidRequest, "the topic has no name and no id; give one of them"))
            }
            None => match call.shared.catalog.get_by_id(topic.topic_id) {
                Some(topic) => Ok(topic.name.clone()),
                None => Err(Refusal::from(Code::UnknownTopicId)),
            },
        };
        let name = found.as_ref().ok().map(|name| TopicName(text(name)));
        let deleted = found.and_then(|name| {
            call.shared.catalog.delete(&name)?;
            call.shared.groups.offsets().delete_topic(&name);
            Ok(())
        });
        let response = DeletableTopicResult::default().with_name(name);
        let response = if by_id { response.with_topic_id(topic.topic_id) } else { response };
        match deleted {
            Ok(()) => response,
            Err(refusal) => {
                let why = (call.version >= FIRST_DELETE_VERSION_WITH_TEXT).then(|| refusal.text());
                response.with_error_code(refusal.code.code()).with_error_message(why)
            }
        }
    };
    call.listed((&DeleteTopicsResponse::default(), 0), wanted.into_iter().map(delete))
}

/// Increases each topic's number of partitions.
pub(super) fn create_partitions(call: &Call<'_>, request: CreatePartitionsRequest) -> Answer {
    let mut count: HashMap<&TopicName, usize> = HashMap::new();
    request.topics.iter().for_each(|topic| *count.entry(&topic.name).or_default() += 1);
    let grow = |topic: &CreatePartitionsTopic| {
        let grown = if count[&topic.name] > 1 {
            Err(Refusal::new(Code::InvalidRequest, "the request names this topic more than once"))
        } else {
            grow(call, topic, request.validate_only)
        };
        let result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        match grown {
            Ok(()) => result,
            Err(refusal) => result.with_error_code(refusal.code.code()).with_error_message(Some(refusal.text())),
        }
    };
    let results = once(request.topics.iter(), |topic| &topic.name).map(grow);
    call.listed((&CreatePartitionsResponse::default(), 0), results)
}

fn grow(call: &Call<'_>, topic: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refusal> {
    if let Some(assignments) = &topic.assignments {
        let found = call.shared.catalog.get(&topic.name).ok_or(Code::UnknownTopicOrPartition)?;
        let before = found.partitions().len() as i32;
        check_assignment(before, (before..).zip(assignments.iter().map(|a| &a.broker_ids[..])))?;
        if before + assignments.len() as i32 != topic.count {
            let why =
                format!("the assignment has {} partitions, but {} are added", assignments.len(), topic.count - before);
            return Err(Refusal::new(Code::InvalidReplicaAssignment, why));
        }
    }
    call.shared.catalog.grow(&topic.name, topic.count, validate_only)
}
