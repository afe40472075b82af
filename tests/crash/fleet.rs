//! All the clients of a round: they write until the server is killed, and compare when it is back.

use crate::common::grpc::Clients;
use crate::common::{Random, Server};
use crate::counter::{self, Counter};
use crate::reader::Reader;
use crate::writer::{Kind, Writer, is_lost};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Status;

/// A round must have its acknowledgements, and its clients must notice the end, within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a round ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// SIGKILL, a moment after the last acknowledgement that was waited for.
    Kill { after: Duration },
    /// SIGTERM; the server must end well.
    Term,
}

/// The clients.
pub(crate) struct Fleet {
    writers: Vec<Writer>,
    counters: Vec<Counter>,
    readers: Vec<Reader>,
}

enum Client {
    Writer(Writer),
    Counter(Counter),
    Reader(Reader),
}

impl Client {
    async fn step(&mut self, clients: &mut Clients) -> Result<(), Status> {
        match self {
            Client::Writer(w) => w.write(clients).await,
            Client::Counter(c) => c.write(clients).await,
            Client::Reader(r) => r.read(clients).await,
        }
    }
}

impl Fleet {
    pub(crate) fn new(random: &mut Random) -> Self {
        let kinds = [Kind::Put, Kind::Put, Kind::Put, Kind::Txn, Kind::Txn, Kind::Txn, Kind::Register, Kind::Register];
        let writer = |(i, kind): (usize, Kind)| Writer::new(format!("w{i}"), kind, random.fork());
        let writers: Vec<Writer> = kinds.into_iter().enumerate().map(writer).collect();
        let keys = writers.iter().take(6).flat_map(|w| (0..6).map(|slot| w.key(slot, "a"))).collect();
        let readers = vec![Reader::new(random.fork(), keys)];
        let counters = (0..3).map(|_| Counter::new(random.fork())).collect();
        Fleet { writers, counters, readers }
    }

    /// Everyone at work, until `acks` answers came and the server was ended.
    pub(crate) async fn work(&mut self, server: &mut Server, acks: u64, end: End) {
        let (acked, mut count) = watch::channel(0u64);
        let mut tasks = JoinSet::new();
        let writers = self.writers.drain(..).map(Client::Writer);
        let counters = self.counters.drain(..).map(Client::Counter);
        let readers = self.readers.drain(..).map(Client::Reader);
        for mut client in writers.chain(counters).chain(readers) {
            let mut clients = Clients::connect(server.grpc_addr()).await;
            let acked = acked.clone();
            tasks.spawn(async move {
                loop {
                    match client.step(&mut clients).await {
                        Ok(()) => acked.send_modify(|n| *n += 1),
                        Err(e) if is_lost(&e) => return client,
                        Err(e) => panic!("refused under load: {e:?}"),
                    }
                }
            });
        }
        drop(acked);
        // The reference that `wait_for` gives is a lock: it must not live on.
        let enough = tokio::time::timeout(PATIENCE, async { count.wait_for(|n| *n >= acks).await.is_ok() }).await;
        assert!(enough.unwrap_or(false), "no {acks} answers within {PATIENCE:?}, or a client failed");
        match end {
            End::Kill { after } => {
                // Not waiting for an event: the kill shall hit any phase of a write, not only the one after an answer.
                tokio::time::sleep(after).await;
                tokio::task::block_in_place(|| server.kill9());
            }
            End::Term => {
                let status = tokio::task::block_in_place(|| server.sigterm());
                assert!(status.success(), "ended with {status} after SIGTERM");
            }
        }
        let all = tokio::time::timeout(PATIENCE, tasks.join_all()).await.expect("every client sees the end");
        for client in all {
            match client {
                Client::Writer(w) => self.writers.push(w),
                Client::Counter(c) => self.counters.push(c),
                Client::Reader(r) => self.readers.push(r),
            }
        }
    }

    /// Compares everything, then settles the writes without an answer, then compares again: now exactly.
    pub(crate) async fn check(&mut self, server: &Server) {
        let mut clients = Clients::connect(server.grpc_addr()).await;
        for settled in [false, true] {
            for reader in &mut self.readers {
                reader.check(&mut clients).await;
            }
            for writer in &mut self.writers {
                if settled {
                    writer.retry(&mut clients).await;
                }
                writer.check(&mut clients).await;
            }
            for counter in &mut self.counters {
                if settled {
                    counter.retry(&mut clients).await;
                }
            }
            let (value, _) = counter::read(&mut clients).await.expect("get");
            let least: u64 = self.counters.iter().map(|c| c.raised).sum();
            let most = least + self.counters.iter().map(|c| c.unknown).sum::<u64>();
            assert!((least..=most).contains(&value), "the counter is {value}, acknowledged {least} to {most}");
        }
    }

    /// Acknowledged raises of the counter so far: tells that a test did something.
    pub(crate) fn raised(&self) -> u64 {
        self.counters.iter().map(|c| c.raised).sum()
    }
}
