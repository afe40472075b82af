//! Who gossips: an address and the life of the process behind it, as the failure detector knows it, and the bytes of its
//! messages.

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Identity, Member, Message, State};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use thiserror::Error;

/// One life of a process that gossips. A process that starts again on the same address is another peer, and so is one
/// that was declared dead and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Peer {
    /// Where it listens, for datagrams and streams.
    pub(super) address: SocketAddr,
    /// Grows with every life; milliseconds since the epoch when the process started, and one more per comeback.
    pub(super) generation: u64,
}

impl Identity for Peer {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Peer> {
        Some(Peer { generation: self.generation.saturating_add(1), ..*self })
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    fn win_addr_conflict(&self, adversary: &Peer) -> bool {
        self.generation > adversary.generation
    }
}

/// Why bytes are no message of the failure detector.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum Malformed {
    /// There are fewer bytes than they announce.
    #[error("the message is cut short")]
    Short,
    /// A number stands for nothing.
    #[error("unknown {0} {1}")]
    Unknown(&'static str, u8),
    /// The receiver's buffer is too small.
    #[error("there is no room for the message")]
    NoRoom,
}

/// What the first byte of a message says it is.
pub(super) mod tag {
    pub(in super::super) const PING: u8 = 1;
    pub(in super::super) const ACK: u8 = 2;
    pub(super) const PING_REQ: u8 = 3;
    pub(super) const INDIRECT_PING: u8 = 4;
    pub(super) const INDIRECT_ACK: u8 = 5;
    pub(super) const FORWARDED_ACK: u8 = 6;
    pub(super) const ANNOUNCE: u8 = 7;
    pub(super) const FEED: u8 = 8;
    pub(super) const GOSSIP: u8 = 9;
    pub(super) const BROADCAST: u8 = 10;
    pub(super) const TURN_UNDEAD: u8 = 11;
}

/// Encodes what the failure detector says. Its first byte is the kind of message, so that it can be told without
/// decoding the rest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeerCodec;

/// The bytes of a peer in its longest form.
const PEER_BYTES_MAX: usize = 1 + 16 + 2 + 8;

pub(super) fn put_peer(peer: &Peer, buf: &mut impl BufMut) -> Result<(), Malformed> {
    let ip_bytes = if peer.address.is_ipv4() { 4 } else { 16 };
    if buf.remaining_mut() < PEER_BYTES_MAX - 16 + ip_bytes {
        return Err(Malformed::NoRoom);
    }
    match peer.address.ip() {
        IpAddr::V4(ip) => {
            buf.put_u8(4);
            buf.put_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            buf.put_u8(6);
            buf.put_slice(&ip.octets());
        }
    }
    buf.put_u16(peer.address.port());
    buf.put_u64(peer.generation);
    Ok(())
}

pub(super) fn get_peer(buf: &mut impl Buf) -> Result<Peer, Malformed> {
    let ip: IpAddr = match take_u8(buf)? {
        4 => {
            let mut octets = [0; 4];
            buf.try_copy_to_slice(&mut octets).map_err(|_| Malformed::Short)?;
            Ipv4Addr::from(octets).into()
        }
        6 => {
            let mut octets = [0; 16];
            buf.try_copy_to_slice(&mut octets).map_err(|_| Malformed::Short)?;
            Ipv6Addr::from(octets).into()
        }
        other => return Err(Malformed::Unknown("address family", other)),
    };
    let port = take_u16(buf)?;
    let generation = buf.try_get_u64().map_err(|_| Malformed::Short)?;
    Ok(Peer { address: SocketAddr::new(ip, port), generation })
}

fn take_u8(buf: &mut impl Buf) -> Result<u8, Malformed> {
    buf.try_get_u8().map_err(|_| Malformed::Short)
}

fn take_u16(buf: &mut impl Buf) -> Result<u16, Malformed> {
    buf.try_get_u16().map_err(|_| Malformed::Short)
}

fn put_u8(value: u8, buf: &mut impl BufMut) -> Result<(), Malformed> {
    if buf.remaining_mut() < 1 {
        return Err(Malformed::NoRoom);
    }
    buf.put_u8(value);
    Ok(())
}

fn put_u16(value: u16, buf: &mut impl BufMut) -> Result<(), Malformed> {
    if buf.remaining_mut() < 2 {
        return Err(Malformed::NoRoom);
    }
    buf.put_u16(value);
    Ok(())
}

fn tag_of(message: &Message<Peer>) -> u8 {
    match message {
        Message::Ping(_) => tag::PING,
        Message::Ack(_) => tag::ACK,
        Message::PingReq { .. } => tag::PING_REQ,
        Message::IndirectPing { .. } => tag::INDIRECT_PING,
        Message::IndirectAck { .. } => tag::INDIRECT_ACK,
        Message::ForwardedAck { .. } => tag::FORWARDED_ACK,
        Message::Announce => tag::ANNOUNCE,
        Message::Feed => tag::FEED,
        Message::Gossip => tag::GOSSIP,
        Message::Broadcast => tag::BROADCAST,
        Message::TurnUndead => tag::TURN_UNDEAD,
    }
}

impl Codec<Peer> for PeerCodec {
    type Error = Malformed;

    fn encode_header(&mut self, header: &Header<Peer>, mut buf: impl BufMut) -> Result<(), Malformed> {
        put_u8(tag_of(&header.message), &mut buf)?;
        put_peer(&header.src, &mut buf)?;
        put_u16(header.src_incarnation, &mut buf)?;
        put_peer(&header.dst, &mut buf)?;
        match &header.message {
            Message::Ping(number) | Message::Ack(number) => put_u8(*number, &mut buf),
            Message::PingReq { target: peer, probe_number }
            | Message::IndirectPing { origin: peer, probe_number }
            | Message::IndirectAck { target: peer, probe_number }
            | Message::ForwardedAck { origin: peer, probe_number } => {
                put_peer(peer, &mut buf)?;
                put_u8(*probe_number, &mut buf)
            }
            Message::Announce | Message::Feed | Message::Gossip | Message::Broadcast | Message::TurnUndead => Ok(()),
        }
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Peer>, Malformed> {
        let kind = take_u8(&mut buf)?;
        let src = get_peer(&mut buf)?;
        let src_incarnation = take_u16(&mut buf)?;
        let dst = get_peer(&mut buf)?;
        let message = match kind {
            tag::PING => Message::Ping(take_u8(&mut buf)?),
            tag::ACK => Message::Ack(take_u8(&mut buf)?),
            tag::PING_REQ | tag::INDIRECT_PING | tag::INDIRECT_ACK | tag::FORWARDED_ACK => {
                let peer = get_peer(&mut buf)?;
                let probe_number = take_u8(&mut buf)?;
                match kind {
                    tag::PING_REQ => Message::PingReq { target: peer, probe_number },
                    tag::INDIRECT_PING => Message::IndirectPing { origin: peer, probe_number },
                    tag::INDIRECT_ACK => Message::IndirectAck { target: peer, probe_number },
                    _ => Message::ForwardedAck { origin: peer, probe_number },
                }
            }
            tag::ANNOUNCE => Message::Announce,
            tag::FEED => Message::Feed,
            tag::GOSSIP => Message::Gossip,
            tag::BROADCAST => Message::Broadcast,
            tag::TURN_UNDEAD => Message::TurnUndead,
            other => return Err(Malformed::Unknown("message", other)),
        };
        Ok(Header { src, src_incarnation, dst, message })
    }

    fn encode_member(&mut self, member: &Member<Peer>, mut buf: impl BufMut) -> Result<(), Malformed> {
        if buf.remaining_mut() < PEER_BYTES_MAX + 3 {
            return Err(Malformed::NoRoom);
        }
        put_peer(member.id(), &mut buf)?;
        put_u16(member.incarnation(), &mut buf)?;
        put_u8(state_number(member.state()), &mut buf)
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Peer>, Malformed> {
        let peer = get_peer(&mut buf)?;
        let incarnation = take_u16(&mut buf)?;
        let state = take_u8(&mut buf)?;
        let state = state_of(state).ok_or(Malformed::Unknown("state", state))?;
        Ok(Member::new(peer, incarnation, state))
    }
}

/// The number of a state on the wire.
pub(super) fn state_number(state: State) -> u8 {
    match state {
        State::Alive => 1,
        State::Suspect => 2,
        State::Down => 3,
    }
}

/// The state of a number on the wire.
pub(super) fn state_of(number: u8) -> Option<State> {
    match number {
        1 => Some(State::Alive),
        2 => Some(State::Suspect),
        3 => Some(State::Down),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peer() -> impl Strategy<Value = Peer> {
        (any::<IpAddr>(), any::<u16>(), any::<u64>())
            .prop_map(|(ip, port, generation)| Peer { address: SocketAddr::new(ip, port), generation })
    }

    fn message() -> impl Strategy<Value = Message<Peer>> {
        prop_oneof![
            any::<u8>().prop_map(Message::Ping),
            any::<u8>().prop_map(Message::Ack),
            (peer(), any::<u8>()).prop_map(|(target, probe_number)| Message::PingReq { target, probe_number }),
            (peer(), any::<u8>()).prop_map(|(origin, probe_number)| Message::IndirectPing { origin, probe_number }),
            (peer(), any::<u8>()).prop_map(|(target, probe_number)| Message::IndirectAck { target, probe_number }),
            (peer(), any::<u8>()).prop_map(|(origin, probe_number)| Message::ForwardedAck { origin, probe_number }),
            Just(Message::Announce),
            Just(Message::Feed),
            Just(Message::Gossip),
            Just(Message::Broadcast),
            Just(Message::TurnUndead),
        ]
    }

    proptest! {
        #[test]
        fn headers_and_members_round_trip(src in peer(), src_incarnation: u16, dst in peer(), message in message()) {
            let header = Header { src, src_incarnation, dst, message };
            let mut bytes = Vec::new();
            PeerCodec.encode_header(&header, &mut bytes).unwrap();
            prop_assert_eq!(PeerCodec.decode_header(&bytes[..]).unwrap(), header);
            for cut in 0..bytes.len() {
                prop_assert!(PeerCodec.decode_header(&bytes[..cut]).is_err());
            }
            for state in [State::Alive, State::Suspect, State::Down] {
                let member = Member::new(src, src_incarnation, state);
                let mut bytes = Vec::new();
                PeerCodec.encode_member(&member, &mut bytes).unwrap();
                prop_assert_eq!(PeerCodec.decode_member(&bytes[..]).unwrap(), member);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = PeerCodec.decode_header(&bytes[..]);
            let _ = PeerCodec.decode_member(&bytes[..]);
        }
    }
}
