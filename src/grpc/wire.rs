//! Messages that are encoded once and sent often.
//!
//! Owns: the codec that sends ready bytes, and the few rules of protobuf's encoding that are used by hand: fields may
//! come in any order, and a message is its fields one after the other. So a fresh header in front of cached fields is a
//! whole message.

use super::convert::time::duration;
use super::token::cluster_digest;
use crate::proto::v1 as pb;
use crate::service::{Core, View};
use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// A message in two parts: what is made for this reader, and what all readers share.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    /// Header and token.
    pub(super) head: Vec<u8>,
    /// The rest.
    pub(super) body: Bytes,
}

/// Makes the headers of one server's answers; what never changes is encoded once.
#[derive(Clone)]
pub(super) struct Stamp {
    core: Core,
    /// Set when the cluster is known.
    fixed: Arc<OnceLock<Fixed>>,
}

#[derive(Clone)]
struct Fixed {
    header: Bytes,
    /// Digest of the cluster's identity.
    cluster: u64,
}

impl Stamp {
    /// For this server.
    pub(super) fn new(core: &Core) -> Stamp {
        Stamp { core: core.clone(), fixed: Arc::default() }
    }

    fn fixed(&self) -> Fixed {
        if let Some(known) = self.fixed.get() {
            return known.clone();
        }
        let cluster = self.core.cluster_id();
        let header = pb::ResponseHeader {
            cluster_id: cluster.map(|id| id.to_string()).unwrap_or_default(),
            node_id: self.core.facts().node_id.to_string(),
            ..pb::ResponseHeader::default()
        };
        let fixed = Fixed { header: header.encode_to_vec().into(), cluster: cluster_digest(&self.core) };
        match cluster {
            Some(_) => self.fixed.get_or_init(|| fixed).clone(),
            None => fixed,
        }
    }

    /// Digest of the cluster's identity, for tokens.
    pub(super) fn cluster(&self) -> u64 {
        self.fixed().cluster
    }

    /// The first part of every answer: its header, in field 1.
    pub(super) fn head(&self, view: &View, revision: u64) -> Vec<u8> {
        let rest = pb::ResponseHeader {
            revision,
            term: view.term,
            staleness: Some(duration(view.staleness_ms)),
            leader: view.leader.as_deref().unwrap_or_default().to_owned(),
            ..pb::ResponseHeader::default()
        };
        let fixed = self.fixed().header;
        let mut out = Vec::with_capacity(fixed.len() + 128);
        put_parts(1, &[&fixed, &rest.encode_to_vec()], &mut out);
        out
    }
}

/// A field of bytes; empty ones are not sent.
pub(super) fn put_bytes(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        put_parts(tag, &[bytes], out);
    }
}

/// A field that holds a message, given as parts that are sent one after the other.
pub(super) fn put_parts(tag: u32, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|p| p.len()).sum();
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// A field that holds a message.
pub(super) fn put_message(tag: u32, message: &impl Message, out: &mut Vec<u8>) {
    prost::encoding::message::encode(tag, message, out);
}

/// Bytes that [`put_parts`] adds for this many bytes of content.
pub(super) fn field_len(tag: u32, content: usize) -> usize {
    key_len(tag) + encoded_len_varint(content as u64) + content
}

/// A request as its bytes.
#[derive(Debug, Default)]
pub(super) struct AsBytes;

/// A request as a message.
#[derive(Debug)]
pub(super) struct As<M>(PhantomData<M>);

impl<M> Default for As<M> {
    fn default() -> Self {
        As(PhantomData)
    }
}

impl Decoder for AsBytes {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(src.copy_to_bytes(src.remaining())))
    }
    fn buffer_settings(&self) -> BufferSettings {
        small()
    }
}

impl<M: Message + Default> Decoder for As<M> {
    type Item = M;
    type Error = Status;
    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        // The same code that tonic's own codec gives for bytes that are no such message.
        M::decode(src).map(Some).map_err(|e| Status::internal(e.to_string()))
    }
    fn buffer_settings(&self) -> BufferSettings {
        small()
    }
}

/// Thousands of streams wait at the same time: none of them keeps a large buffer.
fn small() -> BufferSettings {
    BufferSettings::new(512, 32 * 1024)
}

/// Sends [`Frame`]s; `D` reads the request.
#[derive(Debug, Default)]
pub(super) struct FrameCodec<D>(PhantomData<D>);

/// See [`FrameCodec`].
#[derive(Debug)]
pub(super) struct FrameEncoder;

impl<D: Decoder<Error = Status> + Default + Send + 'static> Codec for FrameCodec<D>
where
    D::Item: Send + 'static,
{
    type Encode = Frame;
    type Decode = D::Item;
    type Encoder = FrameEncoder;
    type Decoder = D;
    fn encoder(&mut self) -> FrameEncoder {
        FrameEncoder
    }
    fn decoder(&mut self) -> D {
        D::default()
    }
}

impl Encoder for FrameEncoder {
    type Item = Frame;
    type Error = Status;
    fn encode(&mut self, frame: Frame, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.reserve(frame.head.len() + frame.body.len());
        dst.put_slice(&frame.head);
        dst.put_slice(&frame.body);
        Ok(())
    }
    fn buffer_settings(&self) -> BufferSettings {
        small()
    }
}
