//! A reader that remembers what it was shown: what was read once must not be gone after a crash, acknowledged or not.

use crate::common::Random;
use crate::common::grpc::Clients;
use lictor::proto::v1::GetRequest;
use std::collections::BTreeMap;
use tonic::Status;

/// Follows some keys.
pub(crate) struct Reader {
    random: Random,
    keys: Vec<String>,
    /// Highest version seen of each key.
    seen: BTreeMap<String, u64>,
    revision: u64,
}

impl Reader {
    pub(crate) fn new(random: Random, keys: Vec<String>) -> Self {
        Reader { random, keys, seen: BTreeMap::new(), revision: 0 }
    }

    /// Reads one key at random.
    pub(crate) async fn read(&mut self, clients: &mut Clients) -> Result<(), Status> {
        let at = self.random.below(self.keys.len() as u64) as usize;
        let key = self.keys[at].clone();
        self.read_key(clients, key).await
    }

    /// Reads every key: none may be older than it was.
    pub(crate) async fn check(&mut self, clients: &mut Clients) {
        for key in self.keys.clone() {
            self.read_key(clients, key).await.expect("get");
        }
    }

    async fn read_key(&mut self, clients: &mut Clients, key: String) -> Result<(), Status> {
        let request = GetRequest { key: key.clone().into(), ..Default::default() };
        let answer = clients.kv.get(request).await?.into_inner();
        let revision = answer.header.expect("header").revision;
        assert!(revision >= self.revision, "revision went back from {} to {revision}", self.revision);
        self.revision = revision;
        let version = answer.kv.map_or(0, |kv| kv.version);
        let before = self.seen.insert(key.clone(), version).unwrap_or(0);
        assert!(version >= before, "{key}: version {before} was read, now it is {version}");
        Ok(())
    }
}
