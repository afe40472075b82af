//! See `lictor::fuzzing::snapshot_archive`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lictor::fuzzing::snapshot_archive(bytes));
