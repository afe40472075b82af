//! Requests as messages, answers as bytes that were encoded before.

use bytes::{BufMut, Bytes};
use prost::Message;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// For requests of this type.
#[derive(Debug)]
pub(super) struct FrameCodec<R>(PhantomData<fn() -> R>);

/// See [`FrameCodec`].
#[derive(Debug)]
pub(super) struct FrameEncoder;

/// See [`FrameCodec`].
#[derive(Debug)]
pub(super) struct RequestDecoder<R>(PhantomData<fn() -> R>);

impl<R> Default for FrameCodec<R> {
    fn default() -> FrameCodec<R> {
        FrameCodec(PhantomData)
    }
}

impl<R: Message + Default + Send + 'static> Codec for FrameCodec<R> {
    type Encode = Bytes;
    type Decode = R;
    type Encoder = FrameEncoder;
    type Decoder = RequestDecoder<R>;

    fn encoder(&mut self) -> FrameEncoder {
        FrameEncoder
    }

    fn decoder(&mut self) -> RequestDecoder<R> {
        RequestDecoder(PhantomData)
    }
}

impl Encoder for FrameEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl<R: Message + Default> Decoder for RequestDecoder<R> {
    type Item = R;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<R>, Status> {
        R::decode(from).map(Some).map_err(|e| Status::internal(e.to_string()))
    }
}
