//! What fuzzing asks of gossip: whatever bytes come, by datagram or stream, sealed or not, are taken or refused, and this
//! member goes on as itself.
//!
//! Must never: be part of the program.

use super::engine::{Engine, Identity, Output, kind};
use super::envelope::OpenError;
use super::keyring::{KeyVerb, Keyring, Protection};
use super::member::Status;
use super::stream;
use super::swim::Path;
use super::tuning::Tuning;
use super::wire::{HereBody, KeyAnswerBody, KeyBody};
use crate::clock::Clock;
use futures::FutureExt;
use prost::Message;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use uuid::Uuid;

/// A datagram that is sent must not be longer.
const DATAGRAM_BYTES: usize = 1_400;
/// The own name.
const NAME: &str = "n0";

/// Takes bytes as they come from the network; the first byte says in which way.
pub(crate) fn received(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    match how & 7 {
        0 => heard(&[(rest, Path::Datagram)]),
        1 => heard(&[(rest, Path::Stream)]),
        // Several in a row: what one leaves behind meets the next.
        2 => heard(&parts(rest).map(|part| (part, Path::Datagram)).collect::<Vec<_>>()),
        3 => exchanged(rest, how & 8 != 0),
        4 => keys(rest),
        5 => sealed(rest),
        6 => framed(rest),
        _ => answers(rest),
    }
}

/// Parts of a length byte and as many bytes each.
fn parts(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, after) = rest.split_first()?;
        let (part, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        Some(part)
    })
}

fn identity(number: u8) -> Identity {
    Identity {
        name: format!("n{number}"),
        id: Uuid::from_u128(number.into()),
        address: SocketAddr::from(([10, 0, 0, number], 8301)),
        tags: BTreeMap::from([("dc".to_owned(), "dc1".to_owned())]),
        datacenter: "dc1".to_owned(),
    }
}

/// A member that knows another one.
fn member(clock: &Clock) -> Engine {
    let engine = |number| Engine::new(identity(number), Tuning::default(), clock.clone(), 1_000);
    let (Ok(mut own), Ok(mut other)) = (engine(0), engine(1)) else { panic!("the tags fit") };
    let request = own.exchange_request(true);
    let answer = other.answer_exchange(&request[1..]).unwrap_or_else(|| panic!("our own request is well-formed"));
    assert_eq!(own.finish_exchange(&answer[1..], true), Ok(()));
    own
}

fn heard(packets: &[(&[u8], Path)]) {
    let clock = Clock::manual(1_000_000, 1);
    let mut own = member(&clock);
    for (packet, path) in packets {
        // Refusing is as good as taking.
        let _ = own.receive(packet, *path);
        goes_on(&mut own, &clock, 1);
    }
    goes_on(&mut own, &clock, 8);
}

fn exchanged(body: &[u8], joining: bool) {
    let clock = Clock::manual(1_000_000, 1);
    let mut own = member(&clock);
    let answer = own.answer_exchange(body);
    assert!(answer.is_none_or(|answer| answer.first() == Some(&kind::EXCHANGE_ANSWER)));
    goes_on(&mut own, &clock, 2);
    if let Err(refusal) = own.finish_exchange(body, joining) {
        assert!(!refusal.is_empty());
    }
    goes_on(&mut own, &clock, 8);
}

/// Time passes; what is sent has its size, and this member is alive for itself.
fn goes_on(own: &mut Engine, clock: &Clock, steps: u32) {
    for _ in 0..steps {
        for output in own.outputs() {
            if let Output::Packet { bytes, path: Path::Datagram, .. } = output {
                assert!(bytes.len() <= DATAGRAM_BYTES, "a datagram of {} bytes", bytes.len());
            }
        }
        if let Some(members) = own.members() {
            let status = members.named(NAME).map(|member| (member.id, member.status));
            assert_eq!(status, Some((Uuid::from_u128(0), Status::Alive)));
        }
        assert!(own.places().0.is_finite() && own.events().len() <= 1_024);
        clock.advance(500);
        own.fire();
    }
}

fn keyring(keys: Vec<Vec<u8>>) -> Keyring {
    let protection = Protection { keys, label: "pool".to_owned(), ..Protection::default() };
    Keyring::new(protection).unwrap_or_else(|e| panic!("{e}"))
}

/// A question about keys, to one who has two.
fn keys(body: &[u8]) {
    let Ok(body) = KeyBody::decode(body) else { return };
    let ring = keyring(vec![vec![1; 16], vec![2; 32]]);
    let Some(verb) = KeyVerb::of(body.verb) else { return };
    if let Err(error) = ring.apply(verb, &body.key) {
        assert!(!error.to_string().is_empty());
    }
    assert!(ring.encrypts(), "the last key cannot be removed");
}

/// A packet from the network, to one who takes only what is encrypted, and to one who has no keys.
fn sealed(packet: &[u8]) {
    let ring = keyring(vec![vec![1; 16]]);
    assert!(matches!(ring.open(&mut packet.to_vec()), Err(error) if error != OpenError::Plain || packet.len() >= 3));
    let mut plain = packet.to_vec();
    if let Ok(body) = keyring(Vec::new()).open(&mut plain) {
        heard(&[(&plain[body], Path::Datagram)]);
    }
    // As a member would have sealed it.
    let mut whole = ring.seal(packet, [9; 16]);
    let body = ring.open(&mut whole).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(&whole[body], packet);
}

/// A stream of frames.
fn framed(mut bytes: &[u8]) {
    let ring = keyring(Vec::new());
    while let Some(Ok(Some(packet))) = stream::read_frame(&mut bytes).now_or_never() {
        let Ok(body) = stream::open(&ring, packet) else { return };
        match body.split_first() {
            Some((&kind::EXCHANGE, rest)) => exchanged(rest, false),
            Some((&kind::KEYS, rest)) => keys(rest),
            Some(_) => heard(&[(&body, Path::Stream)]),
            None => return,
        }
    }
}

/// Answers to questions of our own.
fn answers(body: &[u8]) {
    let _ = KeyAnswerBody::decode(body);
    let _ = HereBody::decode(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What fuzzing has found, and what it starts from.
    #[test]
    fn the_kept_inputs_disturb_nobody() {
        let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/gossip");
        let files: Vec<_> = std::fs::read_dir(kept).expect("kept").map(|file| file.expect("a file").path()).collect();
        assert!(!files.is_empty());
        for file in files {
            received(&std::fs::read(file).expect("read"));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_disturb_a_member(bytes: Vec<u8>) {
            received(&bytes);
        }

        /// Bytes that begin as real ones do get further.
        #[test]
        fn no_bytes_that_look_real_disturb_a_member(
            how in 0_u8..4, kind in prop::sample::select(vec![1_u8, 2, 3, 4]), tag in 1_u8..12, from in 0_u8..3,
            rest in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..60,
        ) {
            let peer = |number: u8| {
                let mut peer = vec![4, 10, 0, 0, number];
                peer.extend(8301_u16.to_be_bytes());
                peer.extend(1_000_u64.to_be_bytes());
                peer
            };
            let mut packet = vec![how, kind];
            if kind == 2 {
                packet.extend([0; 88]);
            }
            packet.push(tag);
            packet.extend(peer(from));
            packet.extend([0, 0]);
            packet.extend(peer(0));
            packet.extend(rest);
            packet.truncate(packet.len() - cut.min(packet.len() - 1));
            received(&packet);
        }

        #[test]
        fn exchanges_of_others_are_taken_or_refused(
            number in 0_u8..4, generation: u64, name in "n[0-3]", join: bool, flip in any::<prop::sample::Index>(), by: u8,
        ) {
            let clock = Clock::manual(1_000_000, 2);
            let identity = Identity { name, ..identity(number) };
            let other = Engine::new(identity, Tuning::default(), clock, generation).expect("the tags fit");
            let mut request = other.exchange_request(join);
            request[0] = 3 | u8::from(join) << 3;
            let at = 1 + flip.index(request.len() - 1);
            request[at] ^= by;
            received(&request);
        }
    }
}
