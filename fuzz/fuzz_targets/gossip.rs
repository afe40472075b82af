//! See `lictor::fuzzing::gossip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lictor::fuzzing::gossip(bytes));
