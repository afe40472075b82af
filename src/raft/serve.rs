//! What other servers ask of this one.

use super::error::ProposeError;
use super::handle::Handle;
use super::transfer::Arrival;
use super::types::{Snapshot, TypeConfig};
use super::{codec, superseded, wire};
use crate::command::Record;
use crate::command::codec::encode_reply;
use crate::proto::internal as pb;
use crate::proto::internal::call_request::Body as Question;
use crate::proto::internal::call_response::Body as Answer;
use crate::proto::internal::refusal::Code;
use crate::proto::internal::replicate_response::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::raft::{AppendEntriesRequest, StreamAppendError};
use std::io;
use std::sync::{Arc, OnceLock};

type Outcome = Result<Answer, (Code, String)>;

fn failed(error: impl std::fmt::Display) -> (Code, String) {
    (Code::Failed, error.to_string())
}

fn damaged(error: io::Error) -> (Code, String) {
    (Code::Refused, error.to_string())
}

fn refusal((code, message): (Code, String)) -> pb::Refusal {
    pb::Refusal { code: code.into(), message }
}

/// Why a write was not done, in words for another server.
fn of_write(error: ProposeError) -> (Code, String) {
    let message = error.to_string();
    let code = match error {
        ProposeError::NoLeader { .. } => Code::NotLeader,
        ProposeError::OutcomeUnknown => Code::OutcomeUnknown,
        ProposeError::TooLarge { .. } => Code::TooLarge,
        ProposeError::Refused(_) => Code::Refused,
        ProposeError::Fatal(_) => Code::Failed,
    };
    (code, message)
}

impl Handle {
    /// Answers a question of another server.
    pub async fn serve(&self, request: pb::CallRequest) -> pb::CallResponse {
        let answered = self.answer_if_meant(request).await;
        pb::CallResponse { body: Some(answered.unwrap_or_else(|why| Answer::Refusal(refusal(why)))) }
    }

    async fn answer_if_meant(&self, request: pb::CallRequest) -> Outcome {
        let unknown = || (Code::Refused, "the question is of a kind that this version does not know".to_owned());
        let body = request.body.ok_or_else(unknown)?;
        let anyone = matches!(body, Question::Probe(_) | Question::Adopt(_));
        self.check_meant(&request.cluster, request.to, anyone)?;
        self.answer(request.from, body).await
    }

    /// A message that was meant for another server or cluster must change nothing here.
    fn check_meant(&self, cluster: &[u8], to: u64, any_cluster: bool) -> Result<(), (Code, String)> {
        let own = self.link().cluster.get();
        if let Some(why) = superseded::refusal(self.link(), cluster).filter(|_| !any_cluster) {
            return Err((Code::Superseded, why));
        }
        if !any_cluster && own.map(|id| &id.as_bytes()[..]) != Some(cluster) {
            let own = own.map_or_else(|| "is in no cluster yet".to_owned(), |id| format!("is of cluster {id}"));
            return Err((Code::WrongCluster, format!("this server {own}, the question came from another cluster")));
        }
        match to {
            0 => Ok(()),
            id if id == self.link().id => Ok(()),
            id => {
                Err((Code::WrongServer, format!("this is server {}, the question was meant for {id}", self.link().id)))
            }
        }
    }

    async fn answer(&self, from: u64, question: Question) -> Outcome {
        let raft = self.raft();
        Ok(match question {
            Question::Append(append) => {
                let rpc = wire::append_in(append).map_err(damaged)?;
                let response = raft.append_entries(rpc).await.map_err(failed)?;
                if !matches!(response, openraft::raft::AppendEntriesResponse::HigherVote(_)) {
                    self.note_contact();
                }
                Answer::Append(wire::appended_out(response))
            }
            Question::Vote(ballot) => {
                let voted = raft.vote(wire::ballot_in(ballot).map_err(damaged)?).await.map_err(failed)?;
                Answer::Vote(wire::voted_out(&voted))
            }
            Question::PreVote(ballot) => {
                let voted = raft.pre_vote(wire::ballot_in(ballot).map_err(damaged)?).await.map_err(failed)?;
                Answer::PreVote(wire::voted_out(&voted))
            }
            Question::Transfer(transfer) => {
                let done = raft.handle_transfer_leader(wire::transfer_in(transfer).map_err(damaged)?).await;
                done.map_err(failed)?.map_err(|e| (Code::Refused, e.to_string()))?;
                Answer::Transfer(pb::Done {})
            }
            Question::Propose(propose) => {
                self.link().haste.note(from);
                self.serve_propose(&propose.record).await?
            }
            Question::ReadIndex(read) => {
                self.link().haste.note(from);
                let index = self.read_index_here(read.lease).await.map_err(of_write)?;
                Answer::ReadIndex(pb::ReadIndexed { index })
            }
            Question::Probe(_) => Answer::Probe(self.describe()),
            Question::Adopt(adopt) => {
                let cluster = uuid::Uuid::from_slice(&adopt.cluster);
                let cluster = cluster.map_err(|_| (Code::Refused, "the id of the cluster is no UUID".to_owned()))?;
                self.adopt(cluster, &[]).await.map_err(of_write)?;
                Answer::Adopt(pb::Done {})
            }
            Question::Enrol(enrol) => {
                let node = codec::from_node(enrol.node.unwrap_or_default()).map_err(damaged)?;
                // A newcomer may ask any server; a server passes it on to the leader, and nobody any further.
                let done = match enrol.id == from {
                    true => self.enrol(enrol.id, node).await,
                    false => self.enrol_here(enrol.id, node).await,
                };
                done.map_err(of_write)?;
                Answer::Enrol(pb::Done {})
            }
            Question::Remove(remove) => {
                self.remove_here(remove.id).await.map_err(of_write)?;
                Answer::Remove(pb::Done {})
            }
            Question::HandOver(ask) => {
                let to = Some(ask.to).filter(|id| *id != 0);
                self.hand_over_here(to).await.map_err(of_write)?;
                Answer::HandOver(pb::Done {})
            }
            Question::Ask(question) => Answer::Ask(self.serve_ask(question).await?),
        })
    }

    /// Takes entries from the leader as they come, and answers in their order; see the `Replicate` call.
    pub fn serve_replication(
        &self,
        requests: impl Stream<Item = pb::ReplicateRequest> + Send + 'static,
    ) -> impl Stream<Item = pb::ReplicateResponse> + Send + 'static {
        let refused = Arc::new(OnceLock::new());
        let (handle, refusing) = (self.clone(), refused.clone());
        let entries = requests.scan((), move |(), request| {
            let entries = handle.take_entries(request).map_err(|why| {
                // The first ends it.
                let _ = refusing.set(why);
            });
            std::future::ready(entries.ok())
        });
        let handle = self.clone();
        let answers = self.raft().stream_append(entries).map(move |result| {
            let body = match result {
                Ok(result) => {
                    if !matches!(result, Err(StreamAppendError::HigherVote(_))) {
                        handle.note_contact();
                    }
                    Body::Append(wire::replicated_out(result))
                }
                Err(fatal) => Body::Refusal(refusal(failed(fatal))),
            };
            pb::ReplicateResponse { body: Some(body) }
        });
        let end = futures::stream::once(async move { refused.get().cloned() });
        answers.chain(end.filter_map(|why| {
            let body = why.map(|why| Body::Refusal(refusal(why)));
            std::future::ready(body.map(|body| pb::ReplicateResponse { body: Some(body) }))
        }))
    }

    fn take_entries(&self, request: pb::ReplicateRequest) -> Result<AppendEntriesRequest<TypeConfig>, (Code, String)> {
        self.check_meant(&request.cluster, request.to, false)?;
        let append = request.append.ok_or_else(|| (Code::Refused, "there are no entries".to_owned()))?;
        wire::append_in(append).map_err(damaged)
    }

    async fn serve_propose(&self, record: &[u8]) -> Outcome {
        let record = Record::decode(record).map_err(|e| (Code::Refused, e.to_string()))?;
        let done = self.propose_here(record.request_id, record.command).await;
        let (revision, reply) = done.map_err(of_write)?;
        Ok(Answer::Propose(pb::Proposed { revision, reply: encode_reply(&reply).into() }))
    }

    async fn serve_ask(&self, question: Bytes) -> Result<Bytes, (Code, String)> {
        if !self.leadership().leads {
            return Err((Code::NotLeader, "this server does not lead".to_owned()));
        }
        let answering = self.answering().ok_or_else(|| (Code::NotLeader, "this server is starting".to_owned()))?;
        answering(question).await.map_err(|message| (Code::Refused, message))
    }

    /// Takes a snapshot from the leader, in place of a log that it no longer has.
    pub async fn serve_snapshot(
        &self,
        head: pb::InstallHead,
        mut chunks: impl Stream<Item = io::Result<Bytes>> + Unpin + Send,
    ) -> pb::InstallSnapshotResponse {
        let installed = async {
            self.check_meant(&head.cluster, head.to, false)?;
            let (vote, meta) = wire::install_in(head).map_err(damaged)?;
            let mut arrival = Arrival::begin(self.data_dir());
            while let Some(chunk) = chunks.next().await {
                arrival.push(chunk.map_err(failed)?).await.map_err(failed)?;
                self.note_contact();
            }
            let snapshot = Snapshot { meta, snapshot: arrival.end().await.map_err(failed)? };
            self.raft().install_full_snapshot(vote, snapshot).await.map_err(failed)
        };
        match installed.await {
            Ok(done) => pb::InstallSnapshotResponse { vote: Some(codec::to_vote(&done.vote)), refusal: None },
            Err(why) => {
                tracing::warn!(message = %why.1, "did not take a snapshot of the leader");
                pb::InstallSnapshotResponse { vote: None, refusal: Some(refusal(why)) }
            }
        }
    }
}
