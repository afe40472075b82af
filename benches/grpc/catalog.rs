//! The facts that every server is filled with before it is measured, and the names they go by.
//!
//! All names start with `bench-` (services) or `bench/` (keys), so that a run against a live server can take them
//! away again.

use lictor::proto::v1::{Instance, InstanceKey};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Services of ten instances.
pub(crate) const SERVICES: u64 = 1000;
/// Instances of each of them.
pub(crate) const INSTANCES: u64 = 10;
/// The service of a hundred instances.
pub(crate) const WIDE: &str = "bench-wide";
/// Its instances.
pub(crate) const WIDE_INSTANCES: u64 = 100;
/// Keys that `put` writes and `get` reads.
pub(crate) const KEYS: u64 = 10_000;
/// Bytes of a value.
pub(crate) const VALUE: usize = 256;

pub(crate) fn service(number: u64) -> String {
    format!("bench-{:04}", number % SERVICES)
}

pub(crate) fn key(number: u64) -> String {
    format!("bench/{:05}", number % KEYS)
}

/// A value of [`VALUE`] bytes that differs for each number: an equal value would be no write.
pub(crate) fn value(number: u64) -> Vec<u8> {
    let mut value = vec![b'v'; VALUE];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

/// An instance as a real deployment has it: two tags, two pairs of metadata.
pub(crate) fn instance(service: &str, number: u64) -> Instance {
    let key = InstanceKey {
        service: service.into(),
        instance_id: format!("{service}-{number:06}"),
        node: format!("node-{:03}", number % 200),
        ..Default::default()
    };
    let metadata = [("build", "2026-11-22T10:00:00Z"), ("protocol", "http/1.1")];
    Instance {
        key: Some(key),
        address: format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255),
        port: 8000 + (number % 1000) as u32,
        tags: vec!["v1".into(), "primary".into()],
        metadata: BTreeMap::from(metadata.map(|(k, v)| (k.into(), v.into()))),
        ..Default::default()
    }
}

/// Everything there is before the first measurement.
pub(crate) fn seed() -> impl Iterator<Item = Instance> {
    let small = (0..SERVICES).flat_map(|s| (0..INSTANCES).map(move |i| instance(&service(s), i)));
    small.chain((0..WIDE_INSTANCES).map(|i| instance(WIDE, i)))
}

/// The instances that the registering workloads add, spread over services of their own.
pub(crate) fn addition(number: u64) -> Instance {
    instance(&format!("bench-added-{:03}", number % 500), number)
}

/// Services as a server answers them, by name: what the do-nothing server sends.
pub(crate) fn seeded_services() -> HashMap<String, Vec<Instance>> {
    let mut all: HashMap<String, Vec<Instance>> = HashMap::new();
    for instance in seed() {
        let service = instance.key.as_ref().map(|k| k.service.clone()).unwrap_or_default();
        all.entry(service).or_default().push(instance);
    }
    all
}

/// A repeatable shuffle of operation numbers (splitmix64): no server profits from their order.
pub(crate) fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A new UUID, unlike those of any other run.
pub(crate) fn fresh_id() -> String {
    static RUN: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let run = RUN.get_or_init(|| RandomState::new().build_hasher().finish());
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let bytes = (u128::from(*run) << 64 | u128::from(scatter(number))).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
