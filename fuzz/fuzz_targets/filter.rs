//! See `lictor::fuzzing::filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lictor::fuzzing::filter(bytes));
