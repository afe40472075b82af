//! Round trips, and what damaged bytes do.

use super::*;
use crate::command::{Command, Put, arbitrary, convert};
use bytes::Bytes;
use proptest::prelude::*;

/// What decodes again to what was decoded is understood; anything else is an error. Neither may panic.
fn settles<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, CodecError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(value) = decode(bytes) {
        assert_eq!(decode(&encode(&value)).expect("what was encoded decodes"), value);
    }
}

fn every_decoder_settles(bytes: &[u8]) {
    settles(bytes, Record::decode, Record::encode);
    settles(bytes, decode_reply, encode_reply);
    settles(bytes, decode_instance, encode_instance);
    settles(bytes, decode_check, encode_check);
    settles(bytes, decode_node, encode_node);
    settles(bytes, decode_kv, encode_kv);
    settles(bytes, decode_tombstone, encode_tombstone);
    settles(bytes, decode_session, encode_session);
    settles(bytes, decode_lock, encode_lock);
    settles(bytes, decode_coordinate, encode_coordinate);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn record_round_trip(record in arbitrary::record()) {
        prop_assert_eq!(Record::decode(&record.encode())?, record);
    }

    #[test]
    fn reply_round_trip(reply in arbitrary::reply()) {
        prop_assert_eq!(decode_reply(&encode_reply(&reply))?, reply);
    }

    #[test]
    fn registry_rows_round_trip(
        instance in arbitrary::instance(), check in arbitrary::check(), node in arbitrary::node(),
    ) {
        prop_assert_eq!(decode_instance(&encode_instance(&instance))?, instance);
        prop_assert_eq!(decode_check(&encode_check(&check))?, check);
        prop_assert_eq!(decode_node(&encode_node(&node))?, node);
    }

    #[test]
    fn other_rows_round_trip(
        kv in arbitrary::kv(), tombstone in arbitrary::tombstone(),
        session in arbitrary::session(), lock in arbitrary::lock(), coordinate in arbitrary::coordinate(),
    ) {
        prop_assert_eq!(decode_kv(&encode_kv(&kv))?, kv);
        prop_assert_eq!(decode_tombstone(&encode_tombstone(&tombstone))?, tombstone);
        prop_assert_eq!(decode_session(&encode_session(&session))?, session);
        prop_assert_eq!(decode_lock(&encode_lock(&lock))?, lock);
        prop_assert_eq!(decode_coordinate(&encode_coordinate(&coordinate))?, coordinate);
    }

    #[test]
    fn random_bytes_settle(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        every_decoder_settles(&bytes);
        bytes.insert(0, FORMAT);
        every_decoder_settles(&bytes);
    }

    #[test]
    fn damaged_records_settle(
        record in arbitrary::record(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = record.encode();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        settles(&bytes, Record::decode, Record::encode);
    }

    #[test]
    fn damaged_replies_settle(
        reply in arbitrary::reply(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = encode_reply(&reply);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        settles(&bytes, decode_reply, encode_reply);
    }
}

#[test]
fn foreign_formats_are_named() {
    assert_eq!(Record::decode(&[]), Err(CodecError::Empty { message: "Record" }));
    let newer = Record::decode(&[FORMAT + 1, 8, 1]).expect_err("a newer format");
    assert_eq!(newer.to_string(), "Record has format version 2, this release reads up to 1");
}

#[test]
fn errors_name_message_and_field() {
    // Field 3 is the put, whose field 6 is a release by a session of two bytes.
    let short = Record::decode(&[FORMAT, 0x1a, 4, 0x32, 2, 7, 7]).expect_err("no UUID");
    assert_eq!(short.to_string(), "Put.release must have 16 bytes");
    // Field 900 is a command of a later release.
    let unknown = Record::decode(&[FORMAT, 0xa2, 0x38, 0]).expect_err("no command");
    assert_eq!(unknown.to_string(), "Record.command is missing or of a kind that this version does not know");
    let health = decode_check(&[0x18, 9]).expect_err("no state");
    assert_eq!(health.to_string(), "Check.health is no value that this version knows");
    let weight = decode_instance(&[0x38, 2, 0x62, 4, 0x20, 0x80, 0x80, 4]).expect_err("more than 65535");
    assert_eq!(weight.to_string(), "Extra.weight must be at most 65535");
    let malformed = Record::decode(&[FORMAT, 0x1a, 2, 0x0a, 9]).expect_err("cut short");
    assert!(matches!(&malformed, CodecError::Malformed { message: "Record", .. }), "{malformed}");
}

#[test]
fn claimed_lengths_are_not_trusted() {
    // A key of 2^62 bytes, of which none are there.
    let mut bytes = vec![FORMAT, 0x1a, 10, 0x0a];
    bytes.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]);
    assert!(matches!(Record::decode(&bytes), Err(CodecError::Malformed { .. })));
}

#[test]
fn deep_nesting_is_an_error() {
    // Transaction results within transaction results; each level is Outcome.txn with TxnOutcome.results.
    let mut outcome = Vec::new();
    for _ in 0..10_000 {
        let mut txn = vec![0x12];
        prost::encode_length_delimiter(outcome.len(), &mut txn).expect("a Vec grows");
        txn.append(&mut outcome);
        outcome = vec![0x52];
        prost::encode_length_delimiter(txn.len(), &mut outcome).expect("a Vec grows");
        outcome.append(&mut txn);
    }
    let mut bytes = vec![FORMAT, 0x0a];
    prost::encode_length_delimiter(outcome.len(), &mut bytes).expect("a Vec grows");
    bytes.append(&mut outcome);
    assert!(matches!(decode_reply(&bytes), Err(CodecError::Malformed { message: "Reply", .. })));
}

#[test]
fn put_shares_its_value_while_encoding() {
    let value = Bytes::from(vec![7; 1000]);
    let put = Put { key: "k".into(), value: value.clone(), ..Put::default() };
    let wire = pb::Put::from(&put);
    assert_eq!(wire.value.as_ptr(), value.as_ptr());
    let record = Record { time_ms: 1, request_id: None, command: Command::Put(put) };
    let bytes = record.encode();
    assert_eq!(bytes.capacity(), bytes.len());
    assert!(convert::reply(pb::Reply::default()).is_err());
}
