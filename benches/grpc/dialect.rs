//! One operation in the words of each server: Lictor's own API, and the nearest thing in etcd's.
//!
//! In etcd an instance is a key `bench-svc/SERVICE/ID` whose value is the same protobuf; a lookup is a range read of
//! the service's prefix, a batch is a transaction.

use crate::catalog;
use crate::client::Call;
use crate::etcd;
use lictor::proto::v1::{
    DeleteRequest, DeregisterInstancesRequest, GetRequest, Instance, InstanceKey, PutRequest, ReadOptions,
    RegisterInstancesRequest, ResolveRequest, ServiceSelector, WatchRequest, WatchResponse, delete_request::Target,
    read_options::Consistency, service_selector::Name, watch_response::Update,
};
use prost::Message;

pub(crate) const RESOLVE: &str = "/lictor.v1.DiscoveryService/Resolve";
pub(crate) const WATCH: &str = "/lictor.v1.DiscoveryService/Watch";
pub(crate) const REGISTER: &str = "/lictor.v1.RegistryService/RegisterInstances";
pub(crate) const DEREGISTER: &str = "/lictor.v1.RegistryService/DeregisterInstances";
pub(crate) const PUT: &str = "/lictor.v1.KvService/Put";
pub(crate) const GET: &str = "/lictor.v1.KvService/Get";
pub(crate) const DELETE: &str = "/lictor.v1.KvService/Delete";

/// Most instances of one call: the smaller of Lictor's limit (500) and etcd's operations of a transaction (128).
pub(crate) const BATCH: usize = 100;

/// What a message on a watch stream says.
#[derive(PartialEq, Eq)]
pub(crate) enum Event {
    /// The stream stands: every later change will come.
    Ready,
    /// A change.
    Change,
    /// Neither.
    Other,
}

/// Whose words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `lictor.v1`; `request_ids`: each write carries a fresh id, as the SDKs send it.
    Lictor { request_ids: bool },
    /// etcd v3.
    Etcd,
}

impl Dialect {
    pub(crate) fn resolve(self, service: &str) -> Call {
        match self {
            Dialect::Lictor { .. } => {
                let selector = Some(selector(service));
                Call::new(RESOLVE, &ResolveRequest { selector, ..Default::default() })
            }
            Dialect::Etcd => {
                let key = instance_prefix(service);
                let range_end = etcd::prefix_end(&key);
                Call::new(etcd::RANGE, &etcd::Range { key, range_end, serializable: true })
            }
        }
    }

    /// The stream, and whether its request side must stay open.
    pub(crate) fn watch(self, service: &str) -> (Call, bool) {
        match self {
            Dialect::Lictor { .. } => {
                let quiet = prost_types::Duration { seconds: 600, nanos: 0 };
                let request = WatchRequest {
                    selector: Some(selector(service)),
                    progress_interval: Some(quiet),
                    ..Default::default()
                };
                (Call::new(WATCH, &request), false)
            }
            Dialect::Etcd => {
                let key = instance_prefix(service);
                let range_end = etcd::prefix_end(&key);
                let create = Some(etcd::WatchCreate { key, range_end });
                (Call::new(etcd::WATCH, &etcd::Watch { create }), true)
            }
        }
    }

    /// Reads a message of a watch stream.
    pub(crate) fn event(self, message: &[u8]) -> Event {
        match self {
            Dialect::Lictor { .. } => match WatchResponse::decode(message).ok().and_then(|m| m.update) {
                Some(Update::Snapshot(s)) if s.complete => Event::Ready,
                Some(Update::Delta(_)) => Event::Change,
                _ => Event::Other,
            },
            Dialect::Etcd => match etcd::WatchReply::decode(message) {
                Ok(m) if m.created => Event::Ready,
                Ok(m) if !m.events.is_empty() => Event::Change,
                _ => Event::Other,
            },
        }
    }

    pub(crate) fn put(self, number: u64, key: String) -> Call {
        let value = catalog::value(number);
        match self {
            Dialect::Lictor { .. } => {
                let request_id = self.request_id();
                let request = PutRequest { request_id, key: key.into(), value: value.into(), ..Default::default() };
                Call::new(PUT, &request)
            }
            Dialect::Etcd => Call::new(etcd::PUT, &etcd::Put { key: key.into(), value }),
        }
    }

    pub(crate) fn get(self, key: String, linearizable: bool) -> Call {
        match self {
            Dialect::Lictor { .. } => {
                let consistency = if linearizable { Consistency::Linearizable } else { Consistency::Local };
                let read = Some(ReadOptions { consistency: consistency.into(), ..Default::default() });
                Call::new(GET, &GetRequest { key: key.into(), read, ..Default::default() })
            }
            Dialect::Etcd => {
                let range = etcd::Range { key: key.into(), range_end: Vec::new(), serializable: !linearizable };
                Call::new(etcd::RANGE, &range)
            }
        }
    }

    /// Registers up to [`BATCH`] instances, all or nothing.
    pub(crate) fn register(self, instances: Vec<Instance>) -> Call {
        match self {
            Dialect::Lictor { .. } => {
                let request_id = self.request_id();
                Call::new(REGISTER, &RegisterInstancesRequest { request_id, instances, ..Default::default() })
            }
            Dialect::Etcd => {
                let mut puts: Vec<etcd::Put> = instances.iter().map(stored).collect();
                match puts.pop() {
                    Some(only) if puts.is_empty() => Call::new(etcd::PUT, &only),
                    last => {
                        puts.extend(last);
                        let success = puts.into_iter().map(|put| etcd::RequestOp { put: Some(put) }).collect();
                        Call::new(etcd::TXN, &etcd::Txn { success })
                    }
                }
            }
        }
    }

    /// Takes instances away again.
    pub(crate) fn deregister(self, instances: Vec<Instance>) -> Vec<Call> {
        match self {
            Dialect::Lictor { .. } => {
                let keys: Vec<InstanceKey> = instances.into_iter().filter_map(|i| i.key).collect();
                vec![Call::new(DEREGISTER, &DeregisterInstancesRequest { keys, ..Default::default() })]
            }
            Dialect::Etcd => instances.iter().map(|i| delete_etcd(&stored(i).key, &[])).collect(),
        }
    }

    /// Takes every key away that starts with `prefix`.
    pub(crate) fn delete_prefix(self, prefix: &str) -> Call {
        match self {
            Dialect::Lictor { .. } => {
                let target = Some(Target::Prefix(prefix.to_owned().into()));
                Call::new(DELETE, &DeleteRequest { target, ..Default::default() })
            }
            Dialect::Etcd => delete_etcd(prefix.as_bytes(), &etcd::prefix_end(prefix.as_bytes())),
        }
    }

    fn request_id(self) -> String {
        match self {
            Dialect::Lictor { request_ids: true } => catalog::fresh_id(),
            _ => String::new(),
        }
    }
}

fn selector(service: &str) -> ServiceSelector {
    ServiceSelector { name: Some(Name::Service(service.into())), ..Default::default() }
}

fn instance_prefix(service: &str) -> Vec<u8> {
    format!("bench-svc/{service}/").into_bytes()
}

fn stored(instance: &Instance) -> etcd::Put {
    let (service, id) = instance.key.as_ref().map_or(("", ""), |k| (&*k.service, &*k.instance_id));
    etcd::Put { key: format!("bench-svc/{service}/{id}").into_bytes(), value: instance.encode_to_vec() }
}

fn delete_etcd(key: &[u8], end: &[u8]) -> Call {
    Call::new(etcd::DELETE, &etcd::Delete { key: key.into(), range_end: end.into() })
}
