//! Well-formed requests for keys, transactions and their watches whose fields hold what is not allowed.

use crate::common::Server;
use crate::common::grpc::{Clients, instance};
use crate::grpc_fields::{assert_names, refused, seconds};
use crate::{assert_grpc_lives, run};
use lictor::proto::v1::compare::Expect;
use lictor::proto::v1::delete_request::Target as Deleted;
use lictor::proto::v1::read_options::Consistency;
use lictor::proto::v1::txn_op::Op;
use lictor::proto::v1::watch_keys_request::{Start, Target};
use lictor::proto::v1::*;
use prost_types::Duration;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn keys() {
    let server = &Server::dev();
    let put = |key: &[u8]| PutRequest { key: key.to_vec().into(), ..Default::default() };
    let large = vec![b'x'; 512 * 1024 + 1];
    run(async {
        refused!(server, kv.put:
            "key" => put(b""),
            "key" => put(&[b'k'; 1025]),
            "value" => PutRequest { value: large.clone().into(), ..put(b"k") },
            "request_id" => PutRequest { request_id: "not-a-uuid".into(), ..put(b"k") },
            "session_id" => PutRequest { session_id: "\u{0}".into(), ..put(b"k") },
            "ttl" => PutRequest { ttl: seconds(-1), ..put(b"k") },
            "ttl" => PutRequest { ttl: seconds(0), ..put(b"k") },
            "ttl" => PutRequest { ttl: seconds(i64::MAX), ..put(b"k") },
            "ttl" => PutRequest { ttl: seconds(i64::MIN), ..put(b"k") },
            "ttl" => PutRequest { ttl: Some(Duration { seconds: 1, nanos: i32::MAX }), ..put(b"k") },
            "ttl" => PutRequest { ttl: Some(Duration { seconds: 1, nanos: -1 }), ..put(b"k") },
        );
        let read = |read| Some(ReadOptions { ..read });
        let get = |read| GetRequest { key: "k".into(), read, ..Default::default() };
        refused!(server, kv.get:
            "key" => GetRequest::default(),
            "read.consistency" => get(read(ReadOptions { consistency: 77, ..Default::default() })),
            "read.max_staleness" => get(read(ReadOptions {
                max_staleness: seconds(-5), consistency: Consistency::Local.into(), ..Default::default()
            })),
        );
        refused!(server, kv.list:
            "prefix" => ListRequest { prefix: vec![b'p'; 1025].into(), ..Default::default() },
            "delimiter" => ListRequest { delimiter: vec![b'/'; 17].into(), ..Default::default() },
            "page_size" => ListRequest { page_size: -1, ..Default::default() },
            "page_size" => ListRequest { page_size: i32::MAX, ..Default::default() },
            "page_token" => ListRequest { page_token: "%%%".into(), ..Default::default() },
            "page_token" => ListRequest { page_token: "A".repeat(100_000), ..Default::default() },
        );
        let prefix = Some(Deleted::Prefix("p".into()));
        refused!(server, kv.delete:
            "key" => DeleteRequest::default(),
            "key" => DeleteRequest { target: Some(Deleted::Key("".into())), ..Default::default() },
            "precondition" => DeleteRequest { target: prefix, precondition: Some(Precondition { modify_revision: Some(1) }), ..Default::default() },
        );
        let op = |op| TxnOp { op: Some(op) };
        let txn = |success| TxnRequest { success, ..Default::default() };
        let expect = |expect| TxnRequest { compares: vec![Compare { key: "k".into(), expect }], ..Default::default() };
        let values =
            (0..7).map(|n| op(Op::Put(PutRequest { value: vec![b'x'; 512 * 1024].into(), ..put(&[n + 1]) }))).collect();
        refused!(server, kv.txn:
            "success[0].op" => txn(vec![TxnOp { op: None }]),
            "success[1].put.key" => txn(vec![op(Op::Put(put(b"k"))), op(Op::Put(put(b"k")))]),
            "success[0].put.value" => txn(vec![op(Op::Put(PutRequest { value: large.into(), ..put(b"k") }))]),
            "success[0].get.at_revision" => txn(vec![op(Op::Get(GetRequest { at_revision: 1, ..get(None) }))]),
            "success[0].register.instances[0].port" => txn(vec![op(Op::Register(RegisterInstancesRequest {
                instances: vec![instance("a", "b", 1 << 17)], ..Default::default()
            }))]),
            "success" => txn(vec![op(Op::Get(get(None))); 129]),
            "failure" => TxnRequest { failure: vec![op(Op::Get(get(None))); 129], ..Default::default() },
            "success" => txn(values),
            "compares[0].expect" => expect(None),
            "compares[0].session_id" => expect(Some(Expect::SessionId("x".into()))),
            "compares" => TxnRequest { compares: vec![Compare::default(); 129], ..Default::default() },
            "request_id" => TxnRequest { request_id: "-".repeat(36), ..Default::default() },
        );
        let watch = |target, start| WatchKeysRequest { target, start, ..Default::default() };
        let all = || Some(Target::Prefix("".into()));
        refused!(server, kv.watch_keys:
            "key" => watch(None, None),
            "key" => watch(Some(Target::Key("".into())), None),
            "prefix" => watch(Some(Target::Prefix(vec![b'p'; 1025].into())), None),
            "resume_token" => watch(all(), Some(Start::ResumeToken("rubbish".into()))),
            "progress_interval" => WatchKeysRequest { progress_interval: seconds(0), ..watch(all(), None) },
            "progress_interval" => WatchKeysRequest { progress_interval: seconds(601), ..watch(all(), None) },
        );
    });
}
