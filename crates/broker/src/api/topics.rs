//! CreateTopics, DeleteTopics and CreatePartitions.

use super::{Call, code_of, text};
use crate::catalog::storage_error;
use crate::settings::Settings;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, TopicName,
};
use uuid::Uuid;

/// From this version on a request names topics one by one, by name or id.
const FIRST_DELETE_VERSION_WITH_IDS: i16 = 6;
/// From this version on the answer tells what was created.
const FIRST_CREATE_VERSION_WITH_DETAILS: i16 = 5;

type Refusal = (Code, Option<String>);

/// Creates each topic, or says why not.
pub(super) fn create_topics(call: &Call<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let create = |topic: &CreatableTopic| {
        let response = CreatableTopicResult::default().with_name(topic.name.clone());
        match create_topic(call, topic, request.validate_only) {
            Ok((id, partitions, settings)) if call.version >= FIRST_CREATE_VERSION_WITH_DETAILS => response
                .with_topic_id(if call.version >= 7 { id } else { Uuid::nil() })
                .with_num_partitions(partitions)
                .with_replication_factor(1)
                .with_configs(Some(describe(call, &settings))),
            Ok(_) => response,
            Err((code, why)) => {
                let why = why.unwrap_or_else(|| code.to_string());
                response.with_error_code(code.code()).with_error_message(Some(text(&why)))
            }
        }
    };
    CreateTopicsResponse::default().with_topics(request.topics.iter().map(create).collect())
}

fn create_topic(
    call: &Call<'_>,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<(Uuid, i32, Settings), Refusal> {
    let mut settings = Settings::default();
    for config in &topic.configs {
        let value = config.value.as_deref().unwrap_or_default();
        settings.set(&config.name, value).map_err(|why| (Code::InvalidConfig, Some(why)))?;
    }
    let (partitions, replicas) = if topic.assignments.is_empty() {
        (topic.num_partitions, i32::from(topic.replication_factor))
    } else {
        (topic.assignments.len() as i32, 1)
    };
    if replicas != 1 && replicas != -1 {
        let why = "this broker is alone; use a replication factor of 1".to_owned();
        return Err((Code::InvalidReplicationFactor, Some(why)));
    }
    let partitions = if partitions == -1 { call.shared.config.default_partitions } else { partitions };
    let without_words = |code| (code, None);
    if validate_only {
        call.shared.catalog.check_new(&topic.name, partitions).map_err(without_words)?;
        return Ok((Uuid::nil(), partitions, settings));
    }
    let created = call.shared.catalog.create(&topic.name, partitions, settings.clone()).map_err(without_words)?;
    Ok((created.id, partitions, settings))
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
pub(super) fn delete_topics(call: &Call<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
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
            None => match call.shared.catalog.get_by_id(topic.topic_id) {
                Some(topic) => Ok(topic.name.clone()),
                None => Err(Code::UnknownTopicId),
            },
        };
        let name = found.as_ref().ok().map(|name| TopicName(text(name)));
        let deleted = found.and_then(|name| {
            call.shared.catalog.delete(&name)?;
            call.shared.groups.offsets().delete_topic(&name).map_err(storage_error)
        });
        let response = DeletableTopicResult::default().with_name(name).with_error_code(code_of(&deleted));
        if by_id { response.with_topic_id(topic.topic_id) } else { response }
    };
    DeleteTopicsResponse::default().with_responses(wanted.into_iter().map(delete).collect())
}

/// Raises each topic's number of partitions.
pub(super) fn create_partitions(call: &Call<'_>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let grow = |topic: CreatePartitionsTopic| {
        let grown = call.shared.catalog.grow(&topic.name, topic.count, request.validate_only);
        let why = grown.as_ref().err().map(|code| text(&code.to_string()));
        let result = CreatePartitionsTopicResult::default().with_name(topic.name);
        result.with_error_code(code_of(&grown)).with_error_message(why)
    };
    CreatePartitionsResponse::default().with_results(request.topics.into_iter().map(grow).collect())
}
