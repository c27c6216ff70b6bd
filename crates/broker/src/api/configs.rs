//! DescribeConfigs for topics and for the broker.

use super::cluster::NODE;
use super::{Call, once, text};
use crate::catalog::check_legal;
use crate::settings::{Described, Settings};
use crate::wire::Answer;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

/// Resource types.
pub(super) const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// The protocol's number for the source of a value: the topic itself, or a default.
pub(super) fn source(own: bool) -> i8 {
    if own { 1 } else { 5 }
}

/// Describes each resource.
pub(super) fn describe_configs(call: &Call<'_>, request: DescribeConfigsRequest) -> Answer {
    let describe = |resource: &DescribeConfigsResource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match described(call, resource) {
            Err(code) => result.with_error_code(code.code()).with_error_message(Some(text(&code.to_string()))),
            Ok(configs) => {
                let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
                let wanted = |config: &Described| {
                    keys.as_ref().is_none_or(|keys| keys.iter().any(|key| key.as_str() == config.name))
                };
                result.with_configs(configs.into_iter().filter(wanted).map(encode).collect())
            }
        }
    };
    let resources = once(request.resources.iter(), |resource| (resource.resource_type, &resource.resource_name));
    call.listed((&DescribeConfigsResponse::default(), 0), resources.map(describe))
}

fn described(call: &Call<'_>, resource: &DescribeConfigsResource) -> Result<Vec<Described>, Code> {
    match resource.resource_type {
        TOPIC => {
            check_legal(&resource.resource_name).map_err(|refusal| refusal.code)?;
            let topic = call.shared.catalog.get(&resource.resource_name).ok_or(Code::UnknownTopicOrPartition)?;
            Ok(topic.settings().describe(&call.shared.config))
        }
        BROKER if resource.resource_name.is_empty() || *resource.resource_name == NODE.0.to_string() => {
            let mut configs = broker(call);
            configs.extend(Settings::default().describe(&call.shared.config).into_iter().map(read_only));
            Ok(configs)
        }
        _ => Err(Code::InvalidRequest),
    }
}

fn broker(call: &Call<'_>) -> Vec<Described> {
    let config = &call.shared.config;
    let values = [
        ("num.partitions", config.default_partitions.to_string()),
        ("auto.create.topics.enable", config.auto_create_topics.to_string()),
        ("default.replication.factor", "1".to_owned()),
        ("log.dirs", config.dir.display().to_string()),
    ];
    values.map(|(name, value)| Described { name, value, own: false, read_only: true }).into()
}

fn read_only(config: Described) -> Described {
    Described { read_only: true, ..config }
}

fn encode(config: Described) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(text(config.name))
        .with_value(Some(text(&config.value)))
        .with_read_only(config.read_only)
        .with_config_source(source(config.own))
}
