//! A reader of WatchKeys that knows what may come next.

use super::grpc::Clients;
use super::soon;
use bytes::Bytes;
use lictor::proto::v1::watch_keys_request::{Start, Target};
use lictor::proto::v1::watch_keys_response::{Events, KeyEvent, Snapshot, Update};
use lictor::proto::v1::{KeyValue, ListRequest, WatchKeysRequest, WatchKeysResponse};
use std::collections::BTreeMap;
use tonic::{Status, Streaming};

/// Keys with all that is known of them.
pub(crate) type Keys = BTreeMap<Bytes, KeyValue>;

/// A request for all keys with a prefix, with what was there before each change.
pub(crate) fn ask(prefix: &str, start: Option<Start>) -> WatchKeysRequest {
    let target = Some(Target::Prefix(prefix.to_owned().into()));
    WatchKeysRequest { target, start, previous: true, ..Default::default() }
}

/// Reads one stream, and goes on with another from its token. All keys it knows are as the messages said.
pub(crate) struct KeyReader {
    stream: Streaming<WatchKeysResponse>,
    /// The last token.
    pub(crate) token: Bytes,
    /// Everything up to here has come.
    pub(crate) revision: u64,
    /// All events since the beginning.
    pub(crate) events: Vec<KeyEvent>,
    /// How many messages of progress came.
    pub(crate) progress: u64,
    /// What is there now.
    pub(crate) keys: Keys,
    /// The contents of `keys` are complete: a snapshot came, or the stream began with none.
    whole: bool,
    /// A part of this revision has come.
    inside: Option<u64>,
    parts: Vec<KeyValue>,
}

impl KeyReader {
    /// Opens a stream. `keys`: what was there at its start, `None` if unknown.
    pub(crate) async fn open(clients: &mut Clients, request: WatchKeysRequest, keys: Option<Keys>) -> Self {
        let revision = if let Some(Start::AfterRevision(after)) = request.start { after } else { 0 };
        let stream = soon("the stream", clients.kv.watch_keys(request)).await.expect("watch keys").into_inner();
        let (whole, keys) = (keys.is_some(), keys.unwrap_or_default());
        let (events, parts) = (Vec::new(), Vec::new());
        KeyReader { stream, token: Bytes::new(), revision, events, progress: 0, keys, whole, inside: None, parts }
    }

    /// The same with a snapshot of a prefix first.
    pub(crate) async fn snapshot(clients: &mut Clients, prefix: &str) -> Self {
        let mut reader = Self::open(clients, ask(prefix, Some(Start::WithSnapshot(true))), None).await;
        while !reader.whole {
            reader.read().await.expect("a part of the snapshot");
        }
        reader
    }

    /// Goes on with a new stream from the last token.
    pub(crate) async fn resume(&mut self, clients: &mut Clients, request: WatchKeysRequest) {
        let start = Some(Start::ResumeToken(self.token.clone()));
        let request = WatchKeysRequest { start, ..request };
        self.stream = soon("the stream", clients.kv.watch_keys(request)).await.expect("resume").into_inner();
        // The token is of before the revision that was cut off: it comes again, from its beginning.
        if let Some(revision) = self.inside.take() {
            while self.events.last().is_some_and(|e| e.revision == revision) {
                let event = self.events.pop().expect("there is a last one");
                match event.previous {
                    Some(before) => self.keys.insert(event.key, before),
                    None => self.keys.remove(&event.key),
                };
            }
        }
    }

    /// Takes the next message; `Err` with what ended the stream.
    pub(crate) async fn read(&mut self) -> Result<(), Status> {
        let message = soon("a message", self.stream.message()).await?.expect("the stream has no end");
        let shown = format!("{message:.400?}");
        let revision = message.header.as_ref().expect("header").revision;
        let token = !message.resume_token.is_empty();
        match message.update.unwrap_or_else(|| panic!("nothing in {shown}")) {
            Update::Snapshot(snapshot) => self.take_snapshot(snapshot, token, &shown),
            Update::Events(events) => self.take_events(events, token, &shown),
            Update::Progress(_) => {
                assert!(token && self.inside.is_none(), "progress inside a revision: {shown}");
                self.progress += 1;
            }
        }
        if token {
            assert!(revision >= self.revision, "back from {} to {revision}: {shown}", self.revision);
            self.revision = revision;
            self.token = message.resume_token;
        }
        Ok(())
    }

    /// Reads until the key has this value.
    pub(crate) async fn until(&mut self, key: &str, value: &str) {
        while self.keys.get(key.as_bytes()).is_none_or(|kv| kv.value != value) {
            self.read().await.expect("a message");
        }
    }

    fn take_snapshot(&mut self, snapshot: Snapshot, token: bool, shown: &str) {
        assert!(self.events.is_empty() && !self.whole, "a snapshot in the middle: {shown}");
        assert_eq!(snapshot.complete, token, "a token before the snapshot is complete, or none after it: {shown}");
        self.parts.extend(snapshot.kvs);
        assert!(self.parts.windows(2).all(|w| w[0].key < w[1].key), "the snapshot is not in order: {shown}");
        if snapshot.complete {
            self.keys = self.parts.drain(..).map(|kv| (kv.key.clone(), kv)).collect();
            self.whole = true;
        }
    }

    fn take_events(&mut self, Events { events, more_in_revision }: Events, token: bool, shown: &str) {
        assert_ne!(more_in_revision, token, "a token inside a revision, or none at its end: {shown}");
        let first = events.first().unwrap_or_else(|| panic!("no events in {shown}")).revision;
        match self.inside.take() {
            Some(revision) => assert_eq!(first, revision, "a revision was cut off: {shown}"),
            None => assert!(first > self.revision, "after everything up to {} came: {shown}", self.revision),
        }
        assert!(events.windows(2).all(|w| w[0].revision <= w[1].revision), "not in order: {shown}");
        let last = events.last().map_or(first, |e| e.revision);
        events.into_iter().for_each(|event| self.take(event));
        self.inside = more_in_revision.then_some(last);
    }

    /// One event: it must follow from what is known of the key. Versions count by one, so a gap shows.
    fn take(&mut self, event: KeyEvent) {
        let twice = self.events.iter().rev().take_while(|e| e.revision == event.revision).any(|e| e.key == event.key);
        assert!(!twice, "twice in one revision: {event:.300?}");
        let before = self.keys.get(&event.key);
        if self.whole {
            assert_eq!(event.previous.as_ref(), before, "previous is not what was there: {event:.300?}");
        }
        if let Some(now) = &event.current {
            assert_eq!((&now.key, now.modify_revision), (&event.key, event.revision), "{event:.300?}");
            if let Some(before) = &event.previous {
                let follows = now.version == before.version + 1 && now.create_revision == before.create_revision;
                assert!(follows, "a change is missing: {event:.300?}");
            } else if self.whole {
                assert_eq!((now.version, now.create_revision), (1, event.revision), "{event:.300?}");
            }
            self.keys.insert(event.key.clone(), now.clone());
        } else {
            assert!(!self.whole || before.is_some(), "deleted what was not there: {event:.300?}");
            self.keys.remove(&event.key);
        }
        self.events.push(event);
    }

    /// Compares with what the server has under the prefix; nothing may be written meanwhile.
    pub(crate) async fn assert_same(&self, clients: &mut Clients, prefix: &str) {
        assert_eq!(self.keys, list(clients, prefix).await);
    }
}

/// All keys with a prefix, as they are now.
pub(crate) async fn list(clients: &mut Clients, prefix: &str) -> Keys {
    let mut keys = Keys::new();
    let mut page_token = String::new();
    loop {
        let prefix = prefix.to_owned().into();
        let request = ListRequest { prefix, page_size: 1000, page_token, ..Default::default() };
        let page = clients.kv.list(request).await.expect("list").into_inner();
        keys.extend(page.kvs.into_iter().map(|kv| (kv.key.clone(), kv)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return keys;
        }
    }
}
