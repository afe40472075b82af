//! Writes of these tests.

use crate::common::Random;
use crate::common::grpc::{Clients, instance};
use lictor::proto::v1::delete_request::Target;
use lictor::proto::v1::txn_op::Op;
use lictor::proto::v1::{
    DeleteRequest, DeregisterInstancesRequest, Instance, InstanceKey, PutRequest, RegisterInstancesRequest, TxnOp,
    TxnRequest,
};
use tonic::Status;

/// A put.
pub(crate) fn put_request(key: &str, value: impl Into<bytes::Bytes>) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.into(), ..Default::default() }
}

/// Sets a key; the revision of the answer.
pub(crate) async fn put(clients: &mut Clients, key: &str, value: impl Into<bytes::Bytes>) -> u64 {
    let answer = clients.kv.put(put_request(key, value)).await.expect("put").into_inner();
    answer.header.expect("header").revision
}

/// Deletes a key; the revision of the answer.
pub(crate) async fn delete(clients: &mut Clients, key: &str) -> u64 {
    let target = Some(Target::Key(key.to_owned().into()));
    let answer = clients.kv.delete(DeleteRequest { target, ..Default::default() }).await.expect("delete").into_inner();
    answer.header.expect("header").revision
}

/// One revision.
pub(crate) async fn txn(clients: &mut Clients, ops: impl IntoIterator<Item = Op>) -> Result<u64, Status> {
    let success = ops.into_iter().map(|op| TxnOp { op: Some(op) }).collect();
    let answer = clients.kv.txn(TxnRequest { success, ..Default::default() }).await?.into_inner();
    assert!(answer.succeeded, "a transaction without conditions");
    Ok(answer.header.expect("header").revision)
}

/// A write at random among a few keys: a put, a deletion, or a transaction of both.
pub(crate) async fn any(clients: &mut Clients, random: &mut Random, prefix: &str, number: u64) -> Result<u64, Status> {
    let keys: Vec<String> = (0..3).map(|part| format!("{prefix}{}-{part}", random.below(4))).collect();
    let put = |key: &String| Op::Put(put_request(key, number.to_string()));
    let delete = |key: &String| {
        let target = Some(Target::Key(key.clone().into()));
        Op::Delete(DeleteRequest { target, ..Default::default() })
    };
    match random.below(4) {
        0 | 1 => txn(clients, [put(&keys[0])]).await,
        2 => txn(clients, [delete(&keys[1])]).await,
        _ => txn(clients, [put(&keys[0]), delete(&keys[1]), put(&keys[2])]).await,
    }
}

/// Registers instances in one revision; the revision of the answer.
pub(crate) async fn register(clients: &mut Clients, instances: Vec<Instance>) -> u64 {
    let request = RegisterInstancesRequest { instances, ..Default::default() };
    let answer = clients.registry.register_instances(request).await.expect("register").into_inner();
    answer.header.expect("header").revision
}

/// Removes one instance.
pub(crate) async fn deregister(clients: &mut Clients, service: &str, id: &str) -> u64 {
    let request = DeregisterInstancesRequest { keys: vec![key(service, id)], ..Default::default() };
    let answer = clients.registry.deregister_instances(request).await.expect("deregister").into_inner();
    answer.header.expect("header").revision
}

/// Identity of an instance.
pub(crate) fn key(service: &str, id: &str) -> InstanceKey {
    instance(service, id, 0).key.expect("the key was set")
}

/// An instance with this version.
pub(crate) fn versioned(service: &str, id: &str, version: u64) -> Instance {
    Instance { version: version.to_string(), ..instance(service, id, 80) }
}
