//! See `lictor::fuzzing::http_target`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lictor::fuzzing::http_target(bytes));
