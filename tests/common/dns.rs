//! A small DNS client: queries built by hand, answers read without help, over UDP and TCP.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// Types of records (RFC 1035, 2782, 3596).
pub(crate) mod kind {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const TXT: u16 = 16;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const SRV: u16 = 33;
    pub(crate) const OPT: u16 = 41;
    pub(crate) const ANY: u16 = 255;
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Address(IpAddr),
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
    /// NS, CNAME, PTR.
    Name(String),
    Txt(Vec<String>),
    /// Primary server, mailbox, and serial, refresh, retry, expire, minimum.
    Soa(String, String, [u32; 5]),
    Other(Vec<u8>),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) data: Data,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The whole message.
    pub(crate) bytes: Vec<u8>,
    pub(crate) rcode: u8,
    pub(crate) authoritative: bool,
    pub(crate) truncated: bool,
    pub(crate) recursion_available: bool,
    /// Counts of the header: questions, answers, authorities, additionals.
    pub(crate) counts: [u16; 4],
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

impl Answer {
    /// The addresses of the answer section, sorted.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let address = |r: &Record| if let Data::Address(a) = r.data { Some(a) } else { None };
        let mut all: Vec<IpAddr> = self.answers.iter().filter_map(address).collect();
        all.sort();
        all
    }

    /// The SRV records of the answer section: port and target, sorted.
    pub(crate) fn targets(&self) -> Vec<(u16, String)> {
        let target = |r: &Record| match &r.data {
            Data::Srv { port, target, .. } => Some((*port, target.clone())),
            _ => None,
        };
        let mut all: Vec<_> = self.answers.iter().filter_map(target).collect();
        all.sort();
        all
    }
}

/// Asks over UDP; `edns`: the payload size to offer, if any.
pub(crate) fn udp(server: SocketAddr, name: &str, kind: u16, edns: Option<u16>) -> Result<Answer> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    socket.send(&query(name, kind, edns))?;
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer)?;
    buffer.truncate(length);
    parse(buffer)
}

/// Asks over TCP.
pub(crate) fn tcp(server: SocketAddr, name: &str, kind: u16) -> Result<Answer> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let query = query(name, kind, None);
    let length = u16::try_from(query.len()).map_err(|_| invalid("query too long"))?;
    stream.write_all(&[&length.to_be_bytes()[..], &query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    parse(message)
}

/// The bytes of a query with id 0x1234 that wishes for recursion.
pub(crate) fn query(name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
    let mut out = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    for label in name.trim_end_matches('.').split('.').filter(|l| !l.is_empty()) {
        out.push(u8::try_from(label.len()).expect("label under 64 bytes"));
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    if let Some(size) = edns {
        out.push(0);
        out.extend_from_slice(&kind::OPT.to_be_bytes());
        out.extend_from_slice(&size.to_be_bytes());
        out.extend_from_slice(&[0; 6]);
    }
    out
}

fn parse(bytes: Vec<u8>) -> Result<Answer> {
    let mut at = 12;
    let mut counts = [0; 4];
    for (i, count) in counts.iter_mut().enumerate() {
        *count = u16_at(&bytes, 4 + 2 * i)?;
    }
    if bytes[..2] != [0x12, 0x34] || bytes[2] & 0x80 == 0 {
        return Err(invalid("not the answer to our query"));
    }
    for _ in 0..counts[0] {
        read_name(&bytes, &mut at)?;
        at += 4;
    }
    let mut section = |count: u16| (0..count).map(|_| record(&bytes, &mut at)).collect::<Result<Vec<_>>>();
    let (answers, authorities, additionals) = (section(counts[1])?, section(counts[2])?, section(counts[3])?);
    Ok(Answer {
        rcode: bytes[3] & 15,
        authoritative: bytes[2] & 4 != 0,
        truncated: bytes[2] & 2 != 0,
        recursion_available: bytes[3] & 0x80 != 0,
        counts,
        answers,
        authorities,
        additionals,
        bytes,
    })
}

fn record(bytes: &[u8], at: &mut usize) -> Result<Record> {
    let name = read_name(bytes, at)?;
    let (kind, class) = (u16_at(bytes, *at)?, u16_at(bytes, *at + 2)?);
    let ttl = u32_at(bytes, *at + 4)?;
    let start = *at + 10;
    let end = start + usize::from(u16_at(bytes, *at + 8)?);
    let raw = bytes.get(start..end).ok_or_else(|| invalid("record is cut off"))?;
    *at = end;
    let data = match kind {
        kind::A => Data::Address(Ipv4Addr::from(<[u8; 4]>::try_from(raw).map_err(|_| invalid("A"))?).into()),
        kind::AAAA => Data::Address(Ipv6Addr::from(<[u8; 16]>::try_from(raw).map_err(|_| invalid("AAAA"))?).into()),
        kind::SRV => Data::Srv {
            priority: u16_at(bytes, start)?,
            weight: u16_at(bytes, start + 2)?,
            port: u16_at(bytes, start + 4)?,
            target: read_name(bytes, &mut (start + 6))?,
        },
        kind::NS | kind::CNAME | kind::PTR => Data::Name(read_name(bytes, &mut start.clone())?),
        kind::TXT => Data::Txt(texts(raw)?),
        kind::SOA => {
            let mut at = start;
            let (primary, contact) = (read_name(bytes, &mut at)?, read_name(bytes, &mut at)?);
            let mut numbers = [0; 5];
            for (i, number) in numbers.iter_mut().enumerate() {
                *number = u32_at(bytes, at + 4 * i)?;
            }
            Data::Soa(primary, contact, numbers)
        }
        _ => Data::Other(raw.to_vec()),
    };
    Ok(Record { name, kind, class, ttl, data })
}

fn texts(mut raw: &[u8]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    while let Some((&length, rest)) = raw.split_first() {
        let text = rest.get(..length.into()).ok_or_else(|| invalid("text is cut off"))?;
        all.push(String::from_utf8_lossy(text).into_owned());
        raw = &rest[length.into()..];
    }
    Ok(all)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from(u16_at(bytes, at)?) << 16 | u32::from(u16_at(bytes, at + 2)?))
}

/// Reads a name, with its pointers (at most 64: a loop is an error), and moves behind it.
fn read_name(bytes: &[u8], at: &mut usize) -> Result<String> {
    let (mut name, mut here, mut behind) = (String::new(), *at, None);
    for _ in 0..64 {
        let length = usize::from(*bytes.get(here).ok_or_else(|| invalid("name is cut off"))?);
        match length {
            0 => {
                *at = behind.unwrap_or(here + 1);
                return Ok(name);
            }
            0xc0.. => {
                behind.get_or_insert(here + 2);
                here = usize::from(u16_at(bytes, here)? & 0x3fff);
            }
            _ => {
                let label = bytes.get(here + 1..here + 1 + length).ok_or_else(|| invalid("label is cut off"))?;
                name.push_str(&String::from_utf8_lossy(label));
                name.push('.');
                here += 1 + length;
            }
        }
    }
    Err(invalid("name does not end"))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    let pair = bytes.get(at..at + 2).ok_or_else(|| invalid("message is cut off"))?;
    Ok(u16::from_be_bytes([pair[0], pair[1]]))
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("bad DNS message: {what}"))
}
