//! A reader of Watch that knows what may come next.

use super::grpc::Clients;
use super::soon;
use bytes::Bytes;
use lictor::proto::v1::watch_response::{Cause, Delta, Snapshot, Update};
use lictor::proto::v1::{
    HealthPolicy, Instance, InstanceView, ListInstancesRequest, ServiceSelector, ServiceState, WatchRequest,
    WatchResponse,
};
use std::collections::BTreeMap;
use tonic::{Status, Streaming};

/// Instances by service and id.
pub(crate) type Set = BTreeMap<(String, String), Instance>;

/// What a message was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Part,
    Complete(Cause),
    Delta,
    Progress,
}

/// Reads one stream, and goes on with another from its token.
pub(crate) struct SetReader {
    request: WatchRequest,
    stream: Streaming<WatchResponse>,
    /// The last token.
    pub(crate) token: Bytes,
    /// Everything up to here is in the set.
    pub(crate) revision: u64,
    /// What is there now.
    pub(crate) set: Set,
    /// What is known of each service.
    pub(crate) services: BTreeMap<String, ServiceState>,
    parts: (Set, BTreeMap<String, ServiceState>),
    /// A snapshot is on its way.
    incomplete: bool,
}

fn place(instance: &Instance) -> (String, String) {
    let key = instance.key.clone().expect("an instance has a key");
    (key.service, key.instance_id)
}

/// A request for everything of the instances that a selector picks.
pub(crate) fn ask(selector: ServiceSelector) -> WatchRequest {
    WatchRequest { selector: Some(selector), view: InstanceView::Full.into(), ..Default::default() }
}

impl SetReader {
    /// Opens a stream; it has no message yet.
    pub(crate) async fn open(clients: &mut Clients, request: WatchRequest) -> Self {
        let stream = Self::stream(clients, request.clone()).await;
        let token = request.resume_token.clone();
        let incomplete = token.is_empty();
        let (set, services, parts) = Default::default();
        SetReader { request, stream, token, revision: 0, set, services, parts, incomplete }
    }

    /// The same, and reads the snapshot.
    pub(crate) async fn begin(clients: &mut Clients, request: WatchRequest) -> Self {
        let mut reader = Self::open(clients, request).await;
        loop {
            match reader.read().await.expect("a snapshot") {
                Kind::Part => {}
                Kind::Complete(Cause::Initial) => return reader,
                other => panic!("{other:?} at the beginning"),
            }
        }
    }

    async fn stream(clients: &mut Clients, request: WatchRequest) -> Streaming<WatchResponse> {
        soon("the stream", clients.discovery.watch(request)).await.expect("watch").into_inner()
    }

    /// Goes on with a new stream from the last token.
    pub(crate) async fn resume(&mut self, clients: &mut Clients) {
        let request = WatchRequest { resume_token: self.token.clone(), ..self.request.clone() };
        self.stream = Self::stream(clients, request).await;
        self.parts = Default::default();
        self.incomplete = self.token.is_empty();
    }

    /// Takes the next message; `Err` with what ended the stream.
    pub(crate) async fn read(&mut self) -> Result<Kind, Status> {
        let message = soon("a message", self.stream.message()).await?.expect("the stream has no end");
        let shown = format!("{message:.600?}");
        let revision = message.header.as_ref().expect("header").revision;
        assert!(revision >= self.revision, "back from {} to {revision}: {shown}", self.revision);
        let kind = match message.update.unwrap_or_else(|| panic!("nothing in {shown}")) {
            Update::Snapshot(snapshot) => self.take_snapshot(snapshot),
            Update::Delta(delta) => {
                assert!(!self.incomplete, "a delta inside a snapshot: {shown}");
                self.take_delta(delta, revision, &shown);
                Kind::Delta
            }
            Update::Progress(_) => {
                assert!(!self.incomplete, "progress inside a snapshot: {shown}");
                Kind::Progress
            }
        };
        assert_eq!(message.resume_token.is_empty(), kind == Kind::Part, "{shown}");
        if kind != Kind::Part {
            self.token = message.resume_token;
            self.revision = revision;
            self.assert_consistent(&shown);
        }
        Ok(kind)
    }

    /// Reads until the set is as wished.
    pub(crate) async fn until(&mut self, wish: impl Fn(&Self) -> bool) {
        while !wish(self) {
            self.read().await.expect("a message");
        }
    }

    /// The version of an instance as a number.
    pub(crate) fn version(&self, service: &str, id: &str) -> Option<u64> {
        self.set.get(&(service.to_owned(), id.to_owned())).and_then(|i| i.version.parse().ok())
    }

    fn take_snapshot(&mut self, snapshot: Snapshot) -> Kind {
        self.incomplete = !snapshot.complete;
        self.parts.0.extend(snapshot.instances.into_iter().map(|i| (place(&i), i)));
        self.parts.1.extend(snapshot.services.into_iter().map(|s| (s.service.clone(), s)));
        if self.incomplete {
            return Kind::Part;
        }
        (self.set, self.services) = std::mem::take(&mut self.parts);
        Kind::Complete(Cause::try_from(snapshot.cause).expect("a known cause"))
    }

    fn take_delta(&mut self, delta: Delta, revision: u64, shown: &str) {
        assert!(delta != Delta::default(), "an empty delta: {shown}");
        for instance in delta.upserts {
            assert!(instance.modify_revision <= revision, "from the future of {revision}: {shown}");
            let before = self.set.insert(place(&instance), instance.clone());
            let older = before.is_some_and(|before| before.modify_revision > instance.modify_revision);
            assert!(!older, "an instance went back in time: {shown}");
        }
        for key in delta.removed {
            self.set.remove(&(key.service, key.instance_id));
        }
        for service in delta.services {
            let before = self.services.insert(service.service.clone(), service.clone());
            // A service that is gone has no revision.
            let older = service.exists && before.is_some_and(|b| b.modify_revision > service.modify_revision);
            assert!(!older, "a service went back in time: {shown}");
        }
    }

    /// What a service says of itself fits its instances, if all of them are asked for.
    fn assert_consistent(&self, shown: &str) {
        let selector = self.request.selector.as_ref().expect("selector");
        if selector.health != i32::from(HealthPolicy::Any) || !selector.tags.is_empty() {
            return;
        }
        for service in self.services.values() {
            let found = self.set.keys().filter(|(name, _)| *name == service.service).count();
            assert_eq!((found, found > 0), (service.total as usize, service.exists), "half a change: {shown}");
        }
    }

    /// Compares with what the server has; nothing may be written meanwhile.
    pub(crate) async fn assert_same(&self, clients: &mut Clients) {
        let request =
            ListInstancesRequest { selector: self.request.selector.clone(), page_size: 1000, ..Default::default() };
        let answer = clients.discovery.list_instances(request).await.expect("list").into_inner();
        let set: Set = answer.instances.into_iter().map(|i| (place(&i), i)).collect();
        assert_eq!(self.set, set);
    }
}
