//! See `lictor::fuzzing::hcl`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lictor::fuzzing::hcl(bytes));
