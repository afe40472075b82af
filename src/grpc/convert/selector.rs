//! Selectors and views of the read path.

use super::instance::namespace;
use super::{count, known};
use crate::grpc::filter::InstanceFilter;
use crate::grpc::select::{Policy, Selector, Which};
use crate::model::names::{self, Invalid};
use crate::model::{ServiceKey, fold, limits};
use crate::proto::v1 as pb;
use prost::Message;
use sha2::{Digest, Sha256};

/// A selector; `default` is what an unspecified health policy means for this rpc.
pub(in crate::grpc) fn selector(s: &pb::ServiceSelector, default: Policy) -> Result<Selector, Invalid> {
    let namespace = namespace(&s.namespace)?;
    let which = match &s.name {
        None => return Err(Invalid::new("service", "service or service_prefix is required")),
        Some(pb::service_selector::Name::Service(name)) => {
            names::name("service", name)?;
            Which::Service(ServiceKey { namespace, name: name.as_str().into() })
        }
        Some(pb::service_selector::Name::ServicePrefix(prefix)) => {
            names::optional_name("service_prefix", prefix)?;
            Which::Prefix { namespace, prefix: prefix.as_str().into() }
        }
    };
    count("tags", s.tags.len(), 0, limits::TAGS_MAX)?;
    for (index, tag) in s.tags.iter().enumerate() {
        names::name("tags", tag).map_err(|e| Invalid::new(format!("tags[{index}]"), e.reason))?;
    }
    let mut tags: Vec<_> = s.tags.iter().map(|t| fold(t)).collect();
    tags.sort_unstable();
    tags.dedup();
    names::pairs("metadata", limits::META_PAIRS_MAX, s.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())))?;
    let metadata = s.metadata.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect();
    let health = policy(s.health)?.unwrap_or(default);
    let filter = InstanceFilter::parse(&s.filter)?;
    let mut selector = Selector { which, tags, metadata, health, filter, digest: 0 };
    selector.digest = digest(&selector, &s.filter);
    Ok(selector)
}

fn policy(number: i32) -> Result<Option<Policy>, Invalid> {
    Ok(match known::<pb::HealthPolicy>("health", number)? {
        pb::HealthPolicy::Unspecified => None,
        pb::HealthPolicy::Serving => Some(Policy::Serving),
        pb::HealthPolicy::Passing => Some(Policy::Passing),
        pb::HealthPolicy::Any => Some(Policy::Any),
        pb::HealthPolicy::FailOpen => Some(Policy::FailOpen),
    })
}

/// Whether everything of an instance is asked for.
pub(in crate::grpc) fn full_view(number: i32) -> Result<bool, Invalid> {
    Ok(match known::<pb::InstanceView>("view", number)? {
        pb::InstanceView::Unspecified | pb::InstanceView::Routing => false,
        pb::InstanceView::Full => true,
    })
}

/// The same for every spelling of the same selector, and on every server: resume tokens carry it.
fn digest(s: &Selector, filter: &str) -> u64 {
    let (namespace, name) = match &s.which {
        Which::Service(key) => {
            let key = key.folded();
            (key.namespace, pb::service_selector::Name::Service(key.name.to_string()))
        }
        Which::Prefix { namespace, prefix } => {
            (fold(namespace), pb::service_selector::Name::ServicePrefix(fold(prefix).to_string()))
        }
    };
    let canonical = pb::ServiceSelector {
        namespace: namespace.to_string(),
        tags: s.tags.iter().map(|t| t.to_string()).collect(),
        metadata: s.metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        health: s.health as i32,
        filter: filter.to_owned(),
        name: Some(name),
    };
    hash64(&canonical.encode_to_vec())
}

/// A hash that is the same on every server and in every version.
pub(in crate::grpc) fn hash64(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
