//! See `lictor::fuzzing::dns`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lictor::fuzzing::dns(bytes));
