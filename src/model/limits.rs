//! Every limit on stored values, in one place. Sizes are bytes, times are milliseconds.

/// Names of namespaces, services, instances, nodes, checks, locks and elections, and addresses.
pub const NAME_BYTES_MAX: usize = 255;
/// A key of the KV store.
pub const KEY_BYTES_MAX: usize = 1024;
/// A value of the KV store; the same as Consul's.
pub const VALUE_BYTES_MAX: usize = 512 * 1024;
/// Tags of an instance.
pub const TAGS_MAX: usize = 64;
/// Metadata pairs of an instance or node; the same as Consul's.
pub const META_PAIRS_MAX: usize = 64;
/// A metadata key; the same as Consul's.
pub const META_KEY_BYTES_MAX: usize = 128;
/// A metadata value; the same as Consul's.
pub const META_VALUE_BYTES_MAX: usize = 512;
/// Further named ports of an instance.
pub const NAMED_PORTS_MAX: usize = 16;
/// Checks of an instance or node.
pub const CHECKS_MAX: usize = 32;
/// The output of a check; longer text is cut. The same as Consul's.
pub const CHECK_OUTPUT_BYTES_MAX: usize = 4096;
/// Instances or keys in one request.
pub const BATCH_MAX: usize = 500;
/// Compares, success operations and failure operations of one transaction, each.
pub const TXN_OPS_MAX: usize = 128;
/// All values of one transaction together, and so about the size of a log entry.
pub const TXN_BYTES_MAX: usize = 3 * 1024 * 1024;
/// The value shown with a lock or election.
pub const LOCK_VALUE_BYTES_MAX: usize = 4096;
/// Holders of a semaphore.
pub const LOCK_PERMITS_MAX: u32 = 1024;
/// Waiters of one lock.
pub const LOCK_WAITERS_MAX: usize = 10_000;
/// How long a lock may be waited for.
pub const LOCK_WAIT_MS_MAX: u64 = 24 * 3600 * 1000;
/// Labels of a session.
pub const LABELS_MAX: usize = 16;
/// Time to live of a session.
pub const SESSION_TTL_MS_MIN: u64 = 3_000;
/// Time to live of a session.
pub const SESSION_TTL_MS_MAX: u64 = 24 * 3600 * 1000;
/// Time to live of a session of Consul's API, unless it is 0: an operator may ask for more, 10 s by default.
pub const BOUND_SESSION_TTL_MS_MIN: u64 = 1_000;
/// Checks that a session depends on.
pub const SESSION_CHECKS_MAX: usize = 64;
/// Network coordinates in one request.
pub const COORDINATES_MAX: usize = 500;
/// Time to live of a session that names none.
pub const SESSION_TTL_MS_DEFAULT: u64 = 15_000;
/// Grace after a broken stream for a session that names none.
pub const SESSION_GRACE_MS_DEFAULT: u64 = 5_000;
/// Time to live of a key.
pub const KEY_TTL_MS_MIN: u64 = 1_000;
/// Time to live of a key.
pub const KEY_TTL_MS_MAX: u64 = 365 * 24 * 3600 * 1000;
/// How long the result of a write is kept for a retry with its request id.
pub const REQUEST_KEEP_MS: u64 = 10 * 60 * 1000;
/// How many results of writes are kept.
pub const REQUESTS_MAX: usize = 100_000;
/// How long the revision of a deleted key is kept for prefix indexes; the same as Consul's.
pub const TOMBSTONE_KEEP_MS: u64 = 15 * 60 * 1000;
/// How many deleted keys are remembered.
pub const TOMBSTONES_MAX: usize = 100_000;
/// An expression of a selector.
pub const FILTER_BYTES_MAX: usize = 8192;
/// One page of a list.
pub const PAGE_SIZE_MAX: usize = 1000;
/// One page of a list whose request names no size.
pub const PAGE_SIZE_DEFAULT: usize = 100;
