//! Log entries, votes and membership as bytes: our own protobuf, so that the files outlive any version of openraft.

use super::types::{Entry, LeaderId, LogId, Membership, Node, Payload, Proposal, StoredMembership, Vote};
use crate::proto::internal as pb;
use bytes::Bytes;
use openraft::entry::RaftEntry;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, message};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Bytes on disk that are not what they should be.
fn invalid(what: &str, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot decode {what}: {why}"))
}

pub(super) fn to_log_id(id: &LogId) -> pb::LogId {
    pb::LogId { term: id.leader_id.term, index: id.index }
}

pub(super) fn from_log_id(id: &pb::LogId) -> LogId {
    LogId::new(id.term.into(), id.index)
}

pub(super) fn encode_log_id(id: &LogId) -> Vec<u8> {
    to_log_id(id).encode_to_vec()
}

pub(super) fn decode_log_id(bytes: &[u8]) -> io::Result<LogId> {
    pb::LogId::decode(bytes).map(|id| from_log_id(&id)).map_err(|e| invalid("a log id", e))
}

pub(super) fn to_vote(vote: &Vote) -> pb::Vote {
    let LeaderId { term, voted_for } = vote.leader_id;
    pb::Vote { term, node: voted_for, committed: vote.committed }
}

pub(super) fn from_vote(vote: &pb::Vote) -> Vote {
    Vote { leader_id: LeaderId { term: vote.term, voted_for: vote.node }, committed: vote.committed }
}

pub(super) fn encode_vote(vote: &Vote) -> Vec<u8> {
    to_vote(vote).encode_to_vec()
}

pub(super) fn decode_vote(bytes: &[u8]) -> io::Result<Vote> {
    pb::Vote::decode(bytes).map(|vote| from_vote(&vote)).map_err(|e| invalid("the vote", e))
}

pub(super) fn to_node(node: &Node) -> pb::Node {
    let id = if node.id.is_nil() { Bytes::new() } else { Bytes::copy_from_slice(node.id.as_bytes()) };
    let Node { name, address, read_only, grpc, version, .. } = node.clone();
    pb::Node { name, address, id, read_only, grpc, version }
}

pub(super) fn from_node(node: pb::Node) -> io::Result<Node> {
    let id = match node.id.len() {
        0 => uuid::Uuid::nil(),
        _ => uuid::Uuid::from_slice(&node.id).map_err(|e| invalid("the id of a node", e))?,
    };
    let pb::Node { name, address, read_only, grpc, version, .. } = node;
    Ok(Node { id, name, address, read_only, grpc, version })
}

fn to_membership(membership: &Membership) -> pb::Membership {
    let configs = membership.get_joint_config().iter();
    let node = |(id, node): (&u64, &Node)| (*id, to_node(node));
    pb::Membership {
        configs: configs.map(|voters| pb::Voters { nodes: voters.iter().copied().collect() }).collect(),
        nodes: membership.nodes().map(node).collect(),
    }
}

fn from_membership(membership: pb::Membership) -> io::Result<Membership> {
    let configs: Vec<BTreeSet<u64>> = membership.configs.into_iter().map(|c| c.nodes.into_iter().collect()).collect();
    let nodes = membership.nodes.into_iter().map(|(id, node)| Ok((id, from_node(node)?)));
    let nodes: BTreeMap<u64, Node> = nodes.collect::<io::Result<_>>()?;
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|e| invalid("a membership", e))
}

pub(super) fn to_stored_membership(stored: &StoredMembership) -> pb::StoredMembership {
    let log_id = stored.log_id().as_ref().map(to_log_id);
    pb::StoredMembership { log_id, membership: Some(to_membership(stored.membership())) }
}

pub(super) fn from_stored_membership(stored: pb::StoredMembership) -> io::Result<StoredMembership> {
    let membership = from_membership(stored.membership.unwrap_or_default())?;
    Ok(StoredMembership::new(stored.log_id.as_ref().map(from_log_id), membership))
}

pub(super) fn encode_stored_membership(stored: &StoredMembership) -> Vec<u8> {
    to_stored_membership(stored).encode_to_vec()
}

pub(super) fn decode_stored_membership(bytes: &[u8]) -> io::Result<StoredMembership> {
    from_stored_membership(pb::StoredMembership::decode(bytes).map_err(|e| invalid("the membership", e))?)
}

pub(super) fn encode_entry(entry: &Entry) -> Bytes {
    let mut bytes = Vec::new();
    append_entry(entry, &mut bytes);
    bytes.into()
}

/// Each of these, in memory that they share.
pub(super) fn encode_entries(entries: &[Entry]) -> Vec<Bytes> {
    let mut bytes = Vec::with_capacity(entries.iter().map(size_hint).sum());
    let append = |entry: &Entry| {
        let start = bytes.len();
        append_entry(entry, &mut bytes);
        start..bytes.len()
    };
    let places: Vec<_> = entries.iter().map(append).collect();
    let bytes = Bytes::from(bytes);
    places.into_iter().map(|place| bytes.slice(place)).collect()
}

/// About how many bytes it takes.
fn size_hint(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Normal(proposal) => proposal.bytes().len() + 32,
        Payload::Blank | Payload::Membership(_) => 32,
    }
}

/// Appends a [`pb::LogEntry`], whose record is not copied before.
fn append_entry(entry: &Entry, out: &mut Vec<u8>) {
    message::encode(1, &to_log_id(&entry.log_id), out);
    match &entry.payload {
        Payload::Blank => {}
        Payload::Normal(proposal) => {
            encode_key(2, WireType::LengthDelimited, out);
            encode_varint(proposal.bytes().len() as u64, out);
            out.extend_from_slice(proposal.bytes());
        }
        Payload::Membership(m) => message::encode(3, &to_membership(m), out),
    }
}

/// Decodes the entry at `index`.
pub(super) fn decode_entry(index: u64, bytes: impl Into<Bytes>) -> io::Result<Entry> {
    let what = "a log entry";
    let entry = pb::LogEntry::decode(bytes.into()).map_err(|e| invalid(what, e))?;
    let log_id = from_log_id(&entry.log_id.ok_or_else(|| invalid(what, "it has no log id"))?);
    if log_id.index != index {
        return Err(invalid(what, format_args!("entry {index} says that it is {}", log_id.index)));
    }
    let payload = match entry.payload {
        None => Payload::Blank,
        Some(pb::log_entry::Payload::Record(bytes)) => {
            Payload::Normal(Proposal::decode(bytes).map_err(|e| invalid("a record", e))?)
        }
        Some(pb::log_entry::Payload::Membership(m)) => Payload::Membership(from_membership(m)?),
    };
    Ok(Entry::new(log_id, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Put, Record};

    fn round_trip(entry: &Entry) -> Entry {
        decode_entry(entry.log_id.index, encode_entry(entry).to_vec()).expect("decodes")
    }

    #[test]
    fn blank_and_membership_entries_survive() {
        let log_id = LogId::new(3.into(), 11);
        let blank = round_trip(&Entry::new(log_id, Payload::Blank));
        assert_eq!(log_id, blank.log_id);
        assert!(matches!(blank.payload, Payload::Blank));

        let node = Node { name: "a".into(), address: "10.0.0.1:8300".into(), ..Node::default() };
        let nodes = BTreeMap::from([(1, node.clone()), (2, node)]);
        let joint = vec![BTreeSet::from([1]), BTreeSet::from([1, 2])];
        let membership = Membership::new(joint, nodes).expect("valid");
        let entry = round_trip(&Entry::new(log_id, Payload::Membership(membership.clone())));
        assert_eq!(Some(membership), entry.get_membership());
    }

    #[test]
    fn entries_are_written_as_their_message_is() {
        let record = Record { time_ms: 7, request_id: None, command: Command::Put(Put::default()) };
        let proposal = Proposal::new(record);
        let of = |index, payload| Entry::new(LogId::new(1.into(), index), payload);
        let entries = [of(200, Payload::Normal(proposal.clone())), of(201, Payload::Blank)];
        let payload = Some(pb::log_entry::Payload::Record(proposal.bytes().clone()));
        let log_id = |index| Some(pb::LogId { term: 1, index });
        let [first, second] = [(log_id(200), payload), (log_id(201), None)]
            .map(|(log_id, payload)| pb::LogEntry { log_id, payload }.encode_to_vec());
        assert_eq!(vec![first, second], encode_entries(&entries));
    }

    #[test]
    fn an_entry_in_the_wrong_place_is_refused() {
        let log_id = LogId::new(1.into(), 5);
        let bytes = encode_entry(&Entry::new(log_id, Payload::Blank));
        let error = decode_entry(6, bytes.to_vec()).expect_err("refused");
        assert_eq!("cannot decode a log entry: entry 6 says that it is 5", error.to_string());
    }

    #[test]
    fn vote_and_stored_membership_survive() {
        let vote = Vote { leader_id: LeaderId { term: 9, voted_for: 2 }, committed: true };
        assert_eq!(vote, decode_vote(&encode_vote(&vote)).expect("decodes"));
        let none = StoredMembership::default();
        assert_eq!(none, decode_stored_membership(&encode_stored_membership(&none)).expect("decodes"));
    }
}
