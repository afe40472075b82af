//! Changes of keys: every event, in order. What counts is where a reader is, not what there is.

use super::ring::Frame;
use super::watched::{MESSAGE_MAX, Own, Position, Taken, Watched, Why, aged, progress_every};
use crate::proto::v1 as pb;
use crate::proto::v1::kv_service_client::KvServiceClient;
use crate::proto::v1::watch_keys_request::Start;
use crate::proto::v1::watch_keys_response::{Progress, Update};
use bytes::Bytes;
use futures::future::BoxFuture;
use prost::Message;
use std::sync::Arc;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

/// How often the server moves the topic's position on; each reader here has its own time for that.
const PROGRESS_SECONDS: i64 = 5;

/// Where a topic of keys is.
pub(super) struct Keys {
    /// After the last whole revision, and when that was heard.
    position: Option<Arc<Position>>,
    heard: Instant,
    /// Events that came since: those of a revision whose rest is still to come.
    inside: usize,
    /// Events that come again because a stream broke inside of a revision.
    again: usize,
}

impl Watched for Keys {
    type Request = pb::WatchKeysRequest;
    type Answer = pb::WatchKeysResponse;
    const HAS_WHOLE: bool = false;

    /// A reader's own stream needs all of its request.
    fn own(request: &mut pb::WatchKeysRequest) -> Result<Own, Status> {
        let every = progress_every(request.progress_interval.as_ref())?;
        Ok(Own { token: Bytes::new(), progress_every: Some(every), shares: true })
    }

    fn open(
        channel: Channel,
        request: pb::WatchKeysRequest,
    ) -> BoxFuture<'static, Result<Response<Streaming<pb::WatchKeysResponse>>, Status>> {
        let mut client = KvServiceClient::new(channel).max_decoding_message_size(MESSAGE_MAX);
        Box::pin(async move { client.watch_keys(request).await })
    }

    fn begin(at: Option<&Arc<Position>>) -> Keys {
        Keys { position: at.cloned(), heard: Instant::now(), inside: 0, again: 0 }
    }

    fn resume(&mut self, request: &mut pb::WatchKeysRequest) {
        request.start = self.position.as_ref().map(|position| Start::ResumeToken(position.token.clone()));
        self.again = self.inside;
    }

    fn take(&mut self, mut message: pb::WatchKeysResponse) -> Taken {
        let position = Keys::position(&message).map(Arc::new);
        let revision = message.header.as_ref().map_or(0, |header| header.revision);
        let taken = match &mut message.update {
            Some(Update::Events(part)) => {
                let known = self.again.min(part.events.len());
                part.events.drain(..known);
                self.again -= known;
                self.inside += part.events.len();
                match part.events.first().map(|event| event.revision) {
                    Some(first) => {
                        let bytes = message.encode_to_vec().into();
                        Taken::Change(Frame { bytes, after: position.clone(), first, last: revision })
                    }
                    // The last event of a revision comes with its token, so nobody waits for this.
                    None => Taken::Nothing,
                }
            }
            // A topic asks for none.
            Some(Update::Snapshot(_) | Update::Progress(_)) | None => Taken::Nothing,
        };
        if position.is_some() {
            (self.position, self.heard, self.inside, self.again) = (position, Instant::now(), 0, 0);
        }
        taken
    }

    fn is_ready(&self) -> bool {
        self.position.is_some()
    }

    fn token(&self) -> &[u8] {
        self.position.as_ref().map_or(&[], |position| &position.token)
    }

    /// A reader may be further than the topic: another server has told it more.
    fn progress(&self, reader: Option<&Position>) -> Option<Bytes> {
        let known = self.position.as_deref()?;
        let further = |reader: &&Position| reader.header.revision > known.header.revision;
        let position = reader.filter(further).unwrap_or(known);
        let header = Some(aged(&position.header, self.heard));
        let (resume_token, update) = (position.token.clone(), Some(Update::Progress(Progress {})));
        Some(pb::WatchKeysResponse { header, resume_token, update }.encode_to_vec().into())
    }

    fn whole(&self, _: Why) -> Option<Vec<Bytes>> {
        None
    }

    fn position(answer: &pb::WatchKeysResponse) -> Option<Position> {
        let token = answer.resume_token.clone();
        (!token.is_empty()).then(|| Position { token, header: answer.header.clone().unwrap_or_default() })
    }

    fn shared(request: &pb::WatchKeysRequest) -> pb::WatchKeysRequest {
        pb::WatchKeysRequest {
            target: request.target.clone(),
            start: None,
            previous: request.previous,
            snapshot_if_compacted: false,
            progress_interval: Some(prost_types::Duration { seconds: PROGRESS_SECONDS, nanos: 0 }),
        }
    }

    fn alone(request: &pb::WatchKeysRequest, at: Option<&Position>) -> pb::WatchKeysRequest {
        let mut request = request.clone();
        if let Some(position) = at {
            request.start = Some(Start::ResumeToken(position.token.clone()));
        }
        request
    }

    fn trim(frame: &Frame, at: Option<&Position>) -> Option<Bytes> {
        let has = at.map_or(0, |position| position.header.revision);
        if frame.last <= has {
            return None;
        }
        if frame.first > has {
            return Some(frame.bytes.clone());
        }
        let mut message = pb::WatchKeysResponse::decode(&frame.bytes[..]).ok()?;
        if let Some(Update::Events(part)) = &mut message.update {
            part.events.retain(|event| event.revision > has);
        }
        Some(message.encode_to_vec().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::watch_keys_response::{Events, KeyEvent};

    /// Events of these revisions; the last one is not whole if `more`.
    fn events(revisions: &[u64], more: bool) -> pb::WatchKeysResponse {
        let event = |(at, revision): (usize, &u64)| KeyEvent {
            key: format!("{revision}/{at}").into(),
            revision: *revision,
            ..KeyEvent::default()
        };
        let revision = *revisions.last().expect("an event");
        let events = revisions.iter().enumerate().map(event).collect();
        pb::WatchKeysResponse {
            header: Some(pb::ResponseHeader { revision, ..Default::default() }),
            resume_token: if more { Bytes::new() } else { revision.to_string().into() },
            update: Some(Update::Events(Events { events, more_in_revision: more })),
        }
    }

    fn revisions(bytes: &[u8]) -> Vec<u64> {
        match pb::WatchKeysResponse::decode(bytes).expect("a message").update {
            Some(Update::Events(part)) => part.events.iter().map(|event| event.revision).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn taken(keys: &mut Keys, message: pb::WatchKeysResponse) -> Frame {
        match keys.take(message) {
            Taken::Change(frame) => frame,
            Taken::Nothing | Taken::Whole => panic!("no change"),
        }
    }

    #[tokio::test]
    async fn a_stream_that_broke_inside_of_a_revision_repeats_nothing() {
        let start = Position { token: "3".into(), header: pb::ResponseHeader { revision: 3, ..Default::default() } };
        let mut keys = Keys::begin(Some(&Arc::new(start)));
        let mut request = pb::WatchKeysRequest::default();
        assert!(taken(&mut keys, events(&[4, 5, 5], true)).after.is_none());
        assert!(taken(&mut keys, events(&[5], true)).after.is_none());
        // It breaks twice; the second time before anything new has come.
        keys.resume(&mut request);
        assert!(matches!(keys.take(events(&[4, 5], true)), Taken::Nothing), "all of it came before");
        keys.resume(&mut request);
        assert_eq!(request.start, Some(Start::ResumeToken("3".into())));
        let frame = taken(&mut keys, events(&[4, 5, 5, 5, 5, 6], false));
        assert_eq!((revisions(&frame.bytes), frame.first, frame.last), (vec![5, 6], 5, 6));
        assert_eq!(keys.token(), b"6");
        keys.resume(&mut request);
        assert_eq!(revisions(&taken(&mut keys, events(&[7], false)).bytes), [7]);
    }

    #[tokio::test]
    async fn readers_get_what_they_do_not_have() {
        let mut keys = Keys::begin(None);
        let frame = taken(&mut keys, events(&[4, 5, 5, 6], false));
        let at =
            |revision| Position { token: "t".into(), header: pb::ResponseHeader { revision, ..Default::default() } };
        let trimmed = |revision| Keys::trim(&frame, Some(&at(revision))).map(|bytes| revisions(&bytes));
        assert_eq!(trimmed(3), Some(vec![4, 5, 5, 6]));
        assert_eq!(trimmed(5), Some(vec![6]));
        assert_eq!(trimmed(6), None);
        let progress = |reader: &Position| {
            let bytes = keys.progress(Some(reader)).expect("known");
            pb::WatchKeysResponse::decode(&bytes[..]).expect("a message").header.expect("a header").revision
        };
        assert_eq!((progress(&at(2)), progress(&at(9))), (6, 9), "never behind where the reader is");
    }
}
