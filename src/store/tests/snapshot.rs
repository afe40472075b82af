//! Snapshots: whole or not at all.

use super::{CLUSTER, batch, contents};
use crate::machine::State;
use crate::store::{Checkpoint, Fatal, Image, Loaded, Medium, SnapshotError, StoreError};
use bytes::Bytes;
use proptest::prelude::*;
use std::io::Read;
use std::sync::LazyLock;

async fn filled(keys: usize) -> (Checkpoint, State) {
    let (checkpoint, _) = Checkpoint::open(&Medium::Memory, CLUSTER, Fatal::new()).expect("opens");
    let mut state = State::new();
    checkpoint.push(batch(&mut state, 1, (0..keys).map(|n| format!("key {n}")))).await;
    checkpoint.flush().await.expect("flushes");
    (checkpoint, state)
}

async fn encoded(checkpoint: &Checkpoint) -> Vec<u8> {
    let view = checkpoint.view().expect("reads").expect("is not empty");
    let mut bytes = Vec::new();
    Image::View(Box::new(view)).into_reader().expect("opens").read_to_end(&mut bytes).expect("reads");
    bytes
}

async fn install(medium: &Medium, bytes: Vec<u8>) -> (Checkpoint, Result<Loaded, StoreError>) {
    let (checkpoint, _) = Checkpoint::open(medium, CLUSTER, Fatal::new()).expect("opens");
    let installed = checkpoint.install(Image::Bytes(Bytes::from(bytes))).await;
    (checkpoint, installed)
}

#[tokio::test]
async fn a_snapshot_carries_the_whole_state() {
    let (checkpoint, state) = filled(20_000).await;
    let bytes = encoded(&checkpoint).await;
    assert!(bytes.len() > (256 << 10), "several frames are tested");
    let dir = tempfile::tempdir().expect("a directory");
    let medium = Medium::Directory(dir.path().to_owned());
    let (installed, loaded) = install(&medium, bytes.clone()).await;
    let loaded = loaded.expect("installs");
    assert_eq!(contents(&state), contents(&loaded.state));
    assert_eq!(state.meta(), loaded.state.meta());
    assert_eq!(checkpoint.view().expect("reads").map(|v| v.position().clone()), loaded.position);
    assert_eq!(Some(20_000), *installed.durable().borrow());

    // It took the place of the file, and works as a checkpoint.
    let mut state = loaded.state;
    installed.push(batch(&mut state, 20_001, ["one more".into()])).await;
    installed.close().await.expect("closes");
    let (_, loaded) = Checkpoint::open(&medium, CLUSTER, Fatal::new()).expect("opens");
    assert_eq!(contents(&state), contents(&loaded.state));
    assert_eq!(Some(20_001), loaded.position.map(|p| p.index));
}

#[tokio::test]
async fn a_view_does_not_move() {
    let (checkpoint, mut state) = filled(10).await;
    let before = encoded(&checkpoint).await;
    let view = checkpoint.view().expect("reads").expect("is not empty");
    checkpoint.push(batch(&mut state, 11, ["later".into()])).await;
    checkpoint.flush().await.expect("flushes");
    let mut after = Vec::new();
    Image::View(Box::new(view)).into_reader().expect("opens").read_to_end(&mut after).expect("reads");
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_bad_snapshot_changes_nothing() {
    let (checkpoint, state) = filled(10).await;
    let bytes = encoded(&checkpoint).await;
    let errors = [
        ("this is not a lictor snapshot", vec![b'x'; 100]),
        ("the snapshot is damaged: it is cut short; take another one", bytes[..bytes.len() - 3].to_vec()),
        ("the snapshot is damaged: it is cut short; take another one", Vec::new()),
        ("the snapshot is damaged: bytes follow its end; take another one", [&bytes[..], b"x"].concat()),
    ];
    for (message, bytes) in errors {
        let error = checkpoint.install(Image::Bytes(bytes.into())).await.expect_err("is refused");
        assert_eq!(message, error.to_string());
    }
    let (other, _) = Checkpoint::open(&Medium::Memory, [8; 16], Fatal::new()).expect("opens");
    let error = other.install(Image::Bytes(bytes.into())).await.expect_err("is refused");
    assert_eq!("the snapshot is damaged: it belongs to another cluster; take another one", error.to_string());
    let mut state = state;
    checkpoint.push(batch(&mut state, 11, ["later".into()])).await;
    checkpoint.flush().await.expect("still works");
}

static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async { encoded(&filled(40).await.0).await })
});

#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
    Swap(usize, usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0..SAMPLE.len();
    let length = 1..SAMPLE.len() / 2;
    prop_oneof![
        (at.clone(), 1u8..=255).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        at.clone().prop_map(Damage::Cut),
        (at.clone(), proptest::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, b)| Damage::Insert(at, b)),
        (at.clone(), length.clone()).prop_map(|(at, n)| Damage::Remove(at, n)),
        (at.clone(), length.clone()).prop_map(|(at, n)| Damage::Repeat(at, n)),
        (at.clone(), at, length).prop_map(|(a, b, n)| Damage::Swap(a, b, n)),
    ]
}

fn damaged(bytes: &[u8], damage: &Damage) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let clamp = |at: usize, n: usize| at..(at + n).min(bytes.len());
    match damage {
        Damage::Flip(at, bits) => out[*at] ^= bits,
        Damage::Cut(at) => out.truncate(*at),
        Damage::Insert(at, more) => drop(out.splice(at..at, more.iter().copied())),
        Damage::Remove(at, n) => drop(out.drain(clamp(*at, *n))),
        Damage::Repeat(at, n) => drop(out.splice(at..at, bytes[clamp(*at, *n)].iter().copied())),
        Damage::Swap(a, b, n) => {
            let (a, b) = (clamp(*a, *n), clamp(*b, *n));
            let n = a.len().min(b.len());
            for i in 0..n {
                out.swap(a.start + i, b.start + i);
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_snapshot_is_never_loaded(damage in damage()) {
        let bytes = damaged(&SAMPLE, &damage);
        prop_assume!(bytes != *SAMPLE);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (checkpoint, result) = runtime.block_on(install(&Medium::Memory, bytes));
        prop_assert!(matches!(result, Err(StoreError::Snapshot(e)) if !matches!(e, SnapshotError::Io(_))));
        prop_assert!(checkpoint.view().expect("reads").is_none());
    }
}
