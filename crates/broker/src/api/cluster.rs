//! Metadata, DescribeCluster and FindCoordinator. The only broker leads and coordinates everything.

use super::{Call, once, text};
use crate::catalog::Topic;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::wire::Answer;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// This broker's id.
pub(super) const NODE: BrokerId = BrokerId(1);
/// First version that says whether topics may be created.
const FIRST_VERSION_WITH_CREATION: i16 = 4;
/// The versions whose answer ends with the operations that the client may perform on the cluster.
const VERSIONS_WITH_OPERATIONS: RangeInclusive<i16> = 8..=10;
const OPERATIONS_BYTES: usize = 4;
/// FindCoordinator's key types that this broker coordinates: consumer groups and transactional ids.
const COORDINATED_KEYS: [i8; 2] = [0, 1];
/// First version of FindCoordinator that asks for several keys at once.
const FIRST_VERSION_WITH_KEYS: i16 = 4;

/// Topics and partitions. Each topic is answered once, however often it is requested. Creates missing topics if client
/// and config allow it.
pub(super) fn metadata(call: &Call<'_>, request: MetadataRequest) -> Answer {
    let may_create = call.version < FIRST_VERSION_WITH_CREATION || request.allow_auto_topic_creation;
    // In version 0 an empty list means all topics.
    let wanted = request.topics.filter(|topics| call.version > 0 || !topics.is_empty());
    let (host, port) = advertised(call);
    let broker = MetadataResponseBroker::default().with_node_id(NODE).with_host(host).with_port(port);
    let response = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(&call.shared.cluster_id)))
        .with_controller_id(NODE);
    let body = (&response, if VERSIONS_WITH_OPERATIONS.contains(&call.version) { OPERATIONS_BYTES } else { 0 });
    match &wanted {
        None => call.listed(body, call.shared.catalog.all().iter().map(describe)),
        Some(topics) => {
            let topics = once(topics.iter(), |topic| (&topic.name, topic.topic_id));
            call.listed(body, topics.map(|topic| find_or_create(call, topic, may_create)))
        }
    }
}

fn find_or_create(call: &Call<'_>, wanted: &MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    let Some(name) = &wanted.name else {
        let found = call.shared.catalog.get_by_id(wanted.topic_id);
        let unknown = || MetadataResponseTopic::default().with_topic_id(wanted.topic_id).with_name(None);
        return found.map_or_else(|| unknown().with_error_code(Code::UnknownTopicId.code()), |topic| describe(&topic));
    };
    let catalog = &call.shared.catalog;
    let config = &call.shared.config;
    let found = match catalog.get(name) {
        Some(topic) => Ok(topic),
        None if may_create && config.auto_create_topics => {
            match catalog.create(name, config.default_partitions, Settings::default()) {
                // Another client created it first.
                Err(Refusal { code: Code::TopicAlreadyExists, .. }) => {
                    catalog.get(name).ok_or(Code::UnknownTopicOrPartition)
                }
                created => created.map_err(|refusal| refusal.code),
            }
        }
        None => Err(Code::UnknownTopicOrPartition),
    };
    match found {
        Ok(topic) => describe(&topic),
        Err(code) => MetadataResponseTopic::default().with_name(Some(name.clone())).with_error_code(code.code()),
    }
}

fn describe(topic: &Arc<Topic>) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(topic.id)
        .with_partitions((0..topic.partitions().len() as i32).map(partition).collect())
}

/// Describes the single node.
pub(super) fn describe_cluster(call: &Call<'_>, _: DescribeClusterRequest) -> DescribeClusterResponse {
    let (host, port) = advertised(call);
    let broker = DescribeClusterBroker::default().with_broker_id(NODE).with_host(host).with_port(port);
    DescribeClusterResponse::default()
        .with_cluster_id(text(&call.shared.cluster_id))
        .with_controller_id(NODE)
        .with_brokers(vec![broker])
}

/// This broker coordinates every consumer group and every transactional id.
pub(super) fn find_coordinator(call: &Call<'_>, request: FindCoordinatorRequest) -> Answer {
    let (host, port) = advertised(call);
    let found = |key: &StrBytes| {
        let coordinator = Coordinator::default().with_key(key.clone());
        if COORDINATED_KEYS.contains(&request.key_type) {
            return coordinator.with_node_id(NODE).with_host(host.clone()).with_port(port);
        }
        let why = text("this broker coordinates only consumer groups and transactions");
        let coordinator = coordinator.with_error_code(Code::InvalidRequest.code()).with_error_message(Some(why));
        coordinator.with_node_id(BrokerId(-1)).with_port(-1)
    };
    if call.version >= FIRST_VERSION_WITH_KEYS {
        let keys = once(request.coordinator_keys.iter(), |key| key.as_str());
        return call.listed((&FindCoordinatorResponse::default(), 0), keys.map(found));
    }
    let found = found(&request.key);
    let response = FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(found.error_message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port);
    call.whole(&response)
}

fn advertised(call: &Call<'_>) -> (StrBytes, i32) {
    match &call.shared.config.advertised {
        Some((host, port)) => (text(host), i32::from(*port)),
        None => (text(&call.client.local.ip().to_string()), i32::from(call.client.local.port())),
    }
}
