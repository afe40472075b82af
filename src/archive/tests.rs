//! Round trips, and what foreign, damaged and hostile archives do.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;

const LIMITS: Limits = Limits { state_bytes_max: 1 << 20 };

fn archive(state: &[u8]) -> Vec<u8> {
    let meta = Meta { version: 1, id: "2-5-7".into(), index: 5, term: 2, ..Meta::default() };
    write(Vec::new(), meta, 7, |out| out.write_all(state)).expect("memory does not fail")
}

fn unpack(bytes: &[u8]) -> Result<(Meta, Vec<u8>), String> {
    let mut found = Vec::new();
    let meta =
        read(bytes, LIMITS, |state| state.read_to_end(&mut found).map(drop).map_err(|e| ArchiveError::state_data(&e)));
    meta.map(|meta| (meta, found)).map_err(|error| error.to_string())
}

/// An archive of these files, whatever they are.
fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, *content).expect("memory does not fail");
    }
    tar.into_inner().and_then(GzEncoder::finish).expect("memory does not fail")
}

#[test]
fn it_is_refused_with_what_is_wrong() {
    let sums = |meta: &str, state: &str| format!("{meta}  meta.json\n{state}  state.bin\n");
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let braces = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let good = sums(braces, empty);
    let large = vec![0; 100_000];
    let huge = vec![0; 2 << 20];
    let whole = packed(&[("meta.json", b"{}"), ("state.bin", b""), ("SHA256SUMS", good.as_bytes())]);
    assert_eq!(unpack(&whole), Ok((Meta::default(), Vec::new())));
    let with = |sums: &str| packed(&[("meta.json", b"{}"), ("state.bin", b""), ("SHA256SUMS", sums.as_bytes())]);
    let mut more = GzEncoder::new(whole.clone(), Compression::fast());
    more.write_all(b"more").expect("memory does not fail");
    let more = more.finish().expect("memory does not fail");
    for (bytes, error) in [
        (Vec::new(), "failed to decompress snapshot: EOF"),
        (b"short".to_vec(), "failed to decompress snapshot: unexpected EOF"),
        (b"this is no archive".to_vec(), "failed to decompress snapshot: gzip: invalid header"),
        (archive(b"x")[..20].to_vec(), "failed to read snapshot file: failed reading snapshot: unexpected EOF"),
        (packed(&[("evil", b"")]), "unexpected file \"evil\" in snapshot"),
        (packed(&[("meta.json", b"{}"), ("meta.json", b"{}")]), "unexpected file \"meta.json\" in snapshot"),
        (packed(&[("sub/meta.json", b"{}")]), "unexpected file"),
        (packed(&[("meta.json", b"{"), ("state.bin", b"")]), "failed to decode snapshot metadata: EOF while parsing"),
        (packed(&[("meta.json", b"{}"), ("state.bin", b"")]), "integrity of snapshot: file missing for \"meta.json\""),
        (packed(&[("meta.json", b"{}"), ("SHA256SUMS", good.as_bytes())]), "hash check failed for \"state.bin\""),
        (packed(&[("state.bin", b""), ("SHA256SUMS", good.as_bytes())]), "hash check failed for \"meta.json\""),
        (packed(&[("meta.json", &large)]), "meta.json has 100000 bytes, at most 65536 are allowed"),
        (packed(&[("state.bin", &huge)]), "state.bin has 2097152 bytes, at most 1048576 are allowed"),
        (with(&sums(empty, empty)), "hash check failed for \"meta.json\""),
        (with(&sums(braces, braces)), "hash check failed for \"state.bin\""),
        (with(&format!("{braces}  meta.json\n")), "file missing for \"state.bin\""),
        (with(&format!("{good}{empty}  other\n")), "list missing hash for \"other\""),
        (with("x"), "line is not a hash and a name: \"x\""),
        (more, "4 unread uncompressed bytes remain"),
        ([&whole[..], b"junk"].concat(), "unexpected EOF"),
    ] {
        let found = unpack(&bytes).expect_err(error);
        assert!(found.contains(error), "{found:?} instead of {error:?}");
    }
}

#[test]
fn a_long_name_is_not_read_into_memory() {
    // A name that stands in a file of its own, as GNU tar writes long ones, here of a gigabyte of zeros.
    let mut header = tar::Header::new_gnu();
    header.set_path("././@LongLink").expect("a short path");
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(header.as_bytes()).expect("memory does not fail");
    out.write_all(&[0; 4096]).expect("memory does not fail");
    let error = unpack(&out.finish().expect("memory does not fail")).unwrap_err();
    assert!(error.contains("unexpected file"), "{error}");
}

proptest! {
    #[test]
    fn what_was_written_is_read(state in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let (meta, found) = unpack(&archive(&state)).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&found, &state);
        prop_assert_eq!((meta.index, meta.term, meta.size), (5, 2, state.len() as u64));
    }

    #[test]
    fn damage_is_noticed(
        state in proptest::collection::vec(any::<u8>(), 1..500), at in any::<prop::sample::Index>(), bit in 0u8..8,
        cut in any::<bool>(),
    ) {
        let mut bytes = archive(&state);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        match unpack(&bytes) {
            Err(_) => {}
            // Some bits of the two headers mean nothing, such as a time; the content must be the same.
            Ok((_, found)) => prop_assert_eq!(found, state),
        }
    }

    #[test]
    fn any_bytes_are_answered(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
        if magic {
            bytes.splice(0..0, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]);
        }
        let _ = unpack(&bytes);
    }

    #[test]
    fn any_tar_is_answered(content in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(&content).expect("memory does not fail");
        let _ = unpack(&out.finish().expect("memory does not fail"));
    }
}
