//! AlterConfigs and IncrementalAlterConfigs: change the settings of topics. The broker's own settings are fixed when it
//! starts.

use super::configs::TOPIC;
use super::{Call, once};
use crate::catalog::check_legal;
use crate::refusal::Refusal;
use crate::settings::{Settings, is_list};
use crate::wire::Answer;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    alter_configs_request, alter_configs_response, incremental_alter_configs_request,
    incremental_alter_configs_response,
};
use std::collections::{HashMap, HashSet};

/// Operations on a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Replaces all settings of each topic with the named ones.
pub(super) fn alter_configs(call: &Call<'_>, request: AlterConfigsRequest) -> Answer {
    type Resource = alter_configs_request::AlterConfigsResource;
    let key = |resource: &Resource| (resource.resource_type, resource.resource_name.clone());
    let count = counted(request.resources.iter().map(key));
    let alter = |resource: &Resource| {
        let altered = check_resource(count[&key(resource)], resource.resource_type, &resource.resource_name);
        let altered = altered.and_then(|()| {
            call.shared.catalog.alter(&resource.resource_name, request.validate_only, |settings| {
                *settings = Settings::default();
                resource.configs.iter().try_for_each(|config| set(settings, &config.name, config.value.as_deref()))
            })
        });
        let response = alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match altered {
            Ok(()) => response,
            Err(refusal) => response.with_error_code(refusal.code.code()).with_error_message(Some(refusal.text())),
        }
    };
    let resources = once(request.resources.iter(), key);
    call.listed((&AlterConfigsResponse::default(), 0), resources.map(alter))
}

/// Changes the named settings of each topic.
pub(super) fn incremental_alter_configs(call: &Call<'_>, request: IncrementalAlterConfigsRequest) -> Answer {
    type Resource = incremental_alter_configs_request::AlterConfigsResource;
    let key = |resource: &Resource| (resource.resource_type, resource.resource_name.clone());
    let count = counted(request.resources.iter().map(key));
    let alter = |resource: &Resource| {
        let altered = check_resource(count[&key(resource)], resource.resource_type, &resource.resource_name);
        let altered = altered.and_then(|()| check_names(&resource.configs)).and_then(|()| {
            call.shared.catalog.alter(&resource.resource_name, request.validate_only, |settings| {
                resource.configs.iter().try_for_each(|config| change(settings, config))
            })
        });
        let response = incremental_alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match altered {
            Ok(()) => response,
            Err(refusal) => response.with_error_code(refusal.code.code()).with_error_message(Some(refusal.text())),
        }
    };
    let resources = once(request.resources.iter(), key);
    call.listed((&IncrementalAlterConfigsResponse::default(), 0), resources.map(alter))
}

fn counted<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
    let mut count = HashMap::new();
    keys.for_each(|key| *count.entry(key).or_default() += 1);
    count
}

fn check_resource(count: usize, kind: i8, name: &str) -> Result<(), Refusal> {
    if count > 1 {
        return Err(Refusal::new(Code::InvalidRequest, "the request names this resource more than once"));
    }
    if kind != TOPIC {
        let why = "only topic settings can be changed; restart the broker to change its own settings";
        return Err(Refusal::new(Code::InvalidRequest, why));
    }
    check_legal(name)
}

fn check_names(configs: &[AlterableConfig]) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    let twice = configs.iter().find(|config| !seen.insert(&config.name));
    twice.map_or(Ok(()), |config| {
        Err(Refusal::new(Code::InvalidRequest, format!("the request names `{}` more than once", config.name.as_str())))
    })
}

fn set(settings: &mut Settings, name: &str, value: Option<&str>) -> Result<(), Refusal> {
    let Some(value) = value else {
        return Err(Refusal::new(Code::InvalidRequest, format!("`{name}` has no value")));
    };
    settings.set(name, value).map_err(|why| Refusal::new(Code::InvalidConfig, why))
}

fn change(settings: &mut Settings, config: &AlterableConfig) -> Result<(), Refusal> {
    let (name, value) = (config.name.as_str(), config.value.as_deref());
    match config.config_operation {
        SET => set(settings, name, value),
        DELETE => {
            settings.unset(name);
            Ok(())
        }
        APPEND | SUBTRACT if is_list(name) => {
            let named: Vec<&str> = value.unwrap_or_default().split(',').filter(|item| !item.is_empty()).collect();
            let before = settings.value(name).unwrap_or_default();
            let kept = before.split(',').filter(|item| !item.is_empty() && !named.contains(item));
            let added = named.iter().copied().filter(|_| config.config_operation == APPEND);
            let list = kept.chain(added).collect::<Vec<_>>().join(",");
            set(settings, name, Some(&list))
        }
        APPEND | SUBTRACT => Err(Refusal::new(Code::InvalidConfig, format!("`{name}` is not a list"))),
        other => Err(Refusal::new(Code::InvalidRequest, format!("operation {other} on a setting does not exist"))),
    }
}
