//! The messages that members exchange beside those of the failure detector, as protocol buffers: fields may be added,
//! numbers never change their meaning.

use super::member::Status;
use super::peer::{Peer, get_peer, put_peer};
use prost::Message;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Bytes of a name, at most.
const NAME_BYTES_MAX: usize = 256;
/// Bytes of all tags with their names, at most.
pub(super) const TAG_BYTES_MAX: usize = 640;
/// Tags of one member, at most.
const TAGS_MAX: usize = 64;

/// A tag.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Tag {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// What a member says about itself.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RecordBody {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    peer: Vec<u8>,
    #[prost(uint32, tag = "4")]
    version: u32,
    #[prost(message, repeated, tag = "5")]
    tags: Vec<Tag>,
    #[prost(bool, tag = "6")]
    leaving: bool,
}

/// An operator's decision that a member will not come back.
#[derive(Clone, PartialEq, Message)]
pub(super) struct VerdictBody {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    generation: u64,
    #[prost(bool, tag = "3")]
    prune: bool,
}

/// A message for all nodes.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EventBody {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) body: Vec<u8>,
    /// Lamport time: later than all that its sender had heard of.
    #[prost(uint64, tag = "3")]
    pub(super) time: u64,
}

/// One piece of news.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ItemBody {
    #[prost(message, optional, tag = "1")]
    pub(super) record: Option<RecordBody>,
    #[prost(message, optional, tag = "2")]
    pub(super) verdict: Option<VerdictBody>,
    #[prost(message, optional, tag = "3")]
    pub(super) event: Option<EventBody>,
}

/// What one member knows of another.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EntryBody {
    #[prost(message, optional, tag = "1")]
    pub(super) record: Option<RecordBody>,
    /// As in Consul's API; 0: not known.
    #[prost(uint32, tag = "2")]
    pub(super) status: u32,
}

/// What the failure detector knows of a peer.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LifeBody {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) peer: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(super) incarnation: u32,
    #[prost(uint32, tag = "3")]
    pub(super) state: u32,
}

/// All that a member knows.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExchangeBody {
    /// The sender, who need not be known yet.
    #[prost(message, optional, tag = "1")]
    pub(super) from: Option<RecordBody>,
    #[prost(message, repeated, tag = "2")]
    pub(super) entries: Vec<EntryBody>,
    #[prost(message, repeated, tag = "3")]
    pub(super) lives: Vec<LifeBody>,
    /// The sender wants to become a member.
    #[prost(bool, tag = "4")]
    pub(super) join: bool,
    /// Why the receiver of an exchange refuses it; nothing else is set then.
    #[prost(string, tag = "5")]
    pub(super) refusal: String,
    /// Which key the sender encrypts with.
    #[prost(bytes = "vec", tag = "6")]
    pub(super) primary_key: Vec<u8>,
    /// The Lamport time of the latest event that the sender has heard of.
    #[prost(uint64, tag = "7")]
    pub(super) event_time: u64,
    /// The latest events, for those whom they have not reached.
    #[prost(message, repeated, tag = "8")]
    pub(super) events: Vec<EventBody>,
}

/// A request about keys.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyBody {
    /// 1 list, 2 install, 3 use, 4 remove.
    #[prost(uint32, tag = "1")]
    pub(super) verb: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) key: Vec<u8>,
}

/// Its answer.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyAnswerBody {
    /// Why it was refused; empty if it was done.
    #[prost(string, tag = "1")]
    pub(super) error: String,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) keys: Vec<Vec<u8>>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) primary: Vec<u8>,
}

/// The answer to whether somebody is there.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HereBody {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) id: Vec<u8>,
}

/// What a member says about itself, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) id: Uuid,
    pub(super) peer: Peer,
    /// Grows with every change within a life.
    pub(super) version: u32,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) leaving: bool,
}

impl Record {
    /// Later statements of the same member are greater.
    pub(super) fn age(&self) -> (u64, u32) {
        (self.peer.generation, self.version)
    }

    pub(super) fn body(&self) -> RecordBody {
        RecordBody {
            name: self.name.clone(),
            id: self.id.as_bytes().to_vec(),
            peer: peer_bytes(&self.peer),
            version: self.version,
            tags: self.tags.iter().map(|(name, value)| Tag { name: name.clone(), value: value.clone() }).collect(),
            leaving: self.leaving,
        }
    }

    /// `None` if it breaks a limit, or something is missing.
    pub(super) fn of(body: RecordBody) -> Option<Record> {
        let id = Uuid::from_slice(&body.id).ok()?;
        let peer = peer_of(&body.peer)?;
        if body.name.is_empty() || body.name.len() > NAME_BYTES_MAX {
            return None;
        }
        let tags: BTreeMap<String, String> = body.tags.into_iter().map(|tag| (tag.name, tag.value)).collect();
        if !tags_fit(&tags) {
            return None;
        }
        Some(Record { name: body.name, id, peer, version: body.version, tags, leaving: body.leaving })
    }
}

/// Whether a member may have these tags.
pub(super) fn tags_fit(tags: &BTreeMap<String, String>) -> bool {
    let bytes: usize = tags.iter().map(|(name, value)| name.len() + value.len()).sum();
    tags.len() <= TAGS_MAX && bytes <= TAG_BYTES_MAX
}

/// An operator's decision, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) id: Uuid,
    /// The life that is over; a later one is not meant.
    pub(super) generation: u64,
    pub(super) prune: bool,
}

impl Verdict {
    pub(super) fn body(&self) -> VerdictBody {
        VerdictBody { id: self.id.as_bytes().to_vec(), generation: self.generation, prune: self.prune }
    }

    pub(super) fn of(body: &VerdictBody) -> Option<Verdict> {
        let id = Uuid::from_slice(&body.id).ok()?;
        Some(Verdict { id, generation: body.generation, prune: body.prune })
    }
}

pub(super) fn peer_bytes(peer: &Peer) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    // A vector always has room.
    let _ = put_peer(peer, &mut bytes);
    bytes
}

pub(super) fn peer_of(mut bytes: &[u8]) -> Option<Peer> {
    let peer = get_peer(&mut bytes).ok()?;
    bytes.is_empty().then_some(peer)
}

/// The status of a number in Consul's API.
pub(super) fn status_of(number: u32) -> Option<Status> {
    [Status::Alive, Status::Leaving, Status::Left, Status::Failed]
        .into_iter()
        .find(|status| u32::from(status.number()) == number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_round_trip(name in "[a-zA-Z0-9._-]{1,40}", id: u128, version: u32, leaving: bool, generation: u64,
                              tags in proptest::collection::btree_map("[a-z]{1,8}", "\\PC{0,10}", 0..8)) {
            let peer = Peer { address: "10.0.0.1:8301".parse().unwrap(), generation };
            let record = Record { name, id: Uuid::from_u128(id), peer, version, tags, leaving };
            let bytes = record.body().encode_to_vec();
            prop_assert_eq!(Record::of(RecordBody::decode(&bytes[..]).unwrap()), Some(record));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            if let Ok(item) = ItemBody::decode(&bytes[..]) {
                let _ = item.record.and_then(Record::of);
                let _ = item.verdict.as_ref().and_then(Verdict::of);
            }
            let _ = ExchangeBody::decode(&bytes[..]);
            let _ = peer_of(&bytes);
        }
    }

    #[test]
    fn what_breaks_a_limit_is_refused() {
        let peer = Peer { address: "10.0.0.1:8301".parse().unwrap(), generation: 1 };
        let good =
            Record { name: "a".into(), id: Uuid::nil(), peer, version: 0, tags: BTreeMap::new(), leaving: false };
        assert!(Record::of(good.body()).is_some());
        let long = Record { name: "a".repeat(NAME_BYTES_MAX + 1), ..good.clone() };
        assert!(Record::of(long.body()).is_none());
        let tags = BTreeMap::from([("a".to_owned(), "b".repeat(TAG_BYTES_MAX))]);
        assert!(Record::of(Record { tags, ..good }.body()).is_none());
    }
}
