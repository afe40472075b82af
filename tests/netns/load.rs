//! Writers that retry, and a record of what was acknowledged.

use super::common::http;
use super::net::Net;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An attempt that has no answer by then is given up, and made again elsewhere.
const ATTEMPT: Duration = Duration::from_secs(4);
/// A call that has failed for so long is given up.
const CALL: Duration = Duration::from_secs(45);
/// The cluster must take writes again within this after a fault.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    given_up: AtomicUsize,
    /// Key and value of every write that was acknowledged.
    written: Mutex<BTreeMap<String, String>>,
}

impl Shared {
    fn written(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writers at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What was acknowledged.
pub(crate) struct Acknowledged {
    written: BTreeMap<String, String>,
    given_up: usize,
}

impl Load {
    /// `padding`: bytes that are added to every value.
    pub(crate) fn start(net: &Net, servers: Vec<Ipv4Addr>, writers: usize, padding: usize) -> Load {
        let shared = Arc::new(Shared::default());
        // Threads inherit the namespace of the one that makes them.
        net.enter();
        let thread = |writer: usize| {
            let (shared, servers) = (shared.clone(), servers.clone());
            std::thread::spawn(move || write(&shared, &servers, writer, padding))
        };
        Load { threads: (0..writers).map(thread).collect(), shared }
    }

    /// Waits for so many more acknowledged writes.
    pub(crate) fn progress(&self, count: usize) {
        let begun = (Instant::now(), self.shared.acknowledged.load(Ordering::Relaxed));
        while self.shared.acknowledged.load(Ordering::Relaxed) < begun.1 + count {
            assert!(begun.0.elapsed() < PATIENCE, "no {count} writes within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the writers.
    pub(crate) fn end(self) -> Acknowledged {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a writer ends well");
        }
        let written = std::mem::take(&mut *self.shared.written());
        Acknowledged { written, given_up: self.shared.given_up.load(Ordering::Relaxed) }
    }
}

impl Acknowledged {
    pub(crate) fn len(&self) -> usize {
        self.written.len()
    }

    /// Calls that failed after all their retries.
    pub(crate) fn given_up(&self) -> usize {
        self.given_up
    }

    /// Every acknowledged write must be at this server, read from its own state.
    pub(crate) fn check(&self, net: &Net, server: Ipv4Addr) {
        net.enter();
        let to = SocketAddr::new(server.into(), 8500);
        // The server has everything that the leader has committed after this.
        http::request(to, "GET", "/v1/kv/none?consistent", &[], b"").expect("an answer");
        let answer = http::request(to, "GET", "/v1/kv/w/?recurse&stale", &[], b"").expect("an answer").ok();
        let found: BTreeMap<String, String> =
            answer.json().as_array().expect("a list").iter().map(|e| (text(&e["Key"]), text(&e["Value"]))).collect();
        let lost: Vec<&String> =
            self.written.iter().filter(|(k, v)| found.get(*k) != Some(&encoded(v))).map(|(k, _)| k).collect();
        assert!(lost.is_empty(), "{} of {} acknowledged writes are not at {server}: {lost:?}", lost.len(), self.len());
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn encoded(value: &str) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value)
}

fn write(shared: &Shared, servers: &[Ipv4Addr], writer: usize, padding: usize) {
    let mut at = writer;
    for n in 0.. {
        let (key, value) = (format!("w/{writer}/{n}"), format!("{writer}-{n}{}", ".".repeat(padding)));
        let begun = Instant::now();
        loop {
            if shared.stop.load(Ordering::Relaxed) {
                return;
            }
            let to = SocketAddr::new(servers[at % servers.len()].into(), 8500);
            let answer = http::request_within(to, "PUT", &format!("/v1/kv/{key}"), value.as_bytes(), ATTEMPT);
            if answer.is_ok_and(|r| r.status == 200 && r.text().trim() == "true") {
                shared.written().insert(key, value);
                shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                break;
            }
            // The same write at another server: it does no harm twice.
            at += 1;
            if begun.elapsed() > CALL {
                shared.given_up.fetch_add(1, Ordering::Relaxed);
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
