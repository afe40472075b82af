//! DNS messages that are none, over UDP and TCP.

use crate::common::dns::{kind, query};
use crate::common::{Random, Server};
use crate::{PATIENCE, assert_dns_lives, talk};
use std::net::{Ipv4Addr, UdpSocket};

const NAME: &str = "consul.service.consul.";
const FORMERR: u8 = 1;
const NOTIMP: u8 = 4;

/// A good query in which bytes were changed, and which code is the answer; `None`: silence.
fn packets() -> Vec<(&'static str, Vec<u8>, Option<u8>)> {
    let good = || query(NAME, kind::A, None);
    let with = |at: usize, bytes: &[u8]| {
        let mut packet = good();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        packet
    };
    let cut = |to: usize| good()[..to].to_vec();
    let header = |questions: u16| [&[0x12, 0x34, 1, 0][..], &questions.to_be_bytes(), &[0; 6]].concat();
    let asking = |name: &[u8]| [&header(1)[..], name, &[0, 1, 0, 1]].concat();
    let edns = |record: &[u8]| {
        let mut packet = good();
        packet[11] = 1;
        [&packet[..], record].concat()
    };
    let long: Vec<u8> = (0..5).flat_map(|_| [&[63][..], &[b'a'; 63]].concat()).chain([0]).collect();
    vec![
        ("nothing", Vec::new(), None),
        ("one byte", vec![0x12], None),
        ("a header cut off", cut(11), None),
        ("an answer", with(2, &[0x81]), None),
        ("a header alone", cut(12), Some(FORMERR)),
        ("a status query", with(2, &[0x11]), Some(NOTIMP)),
        ("an update", with(2, &[0x29]), Some(NOTIMP)),
        ("no question", header(0), Some(FORMERR)),
        ("no question but a name", with(4, &[0, 0]), Some(FORMERR)),
        ("two questions, one there", with(4, &[0, 2]), Some(FORMERR)),
        ("65535 questions", with(4, &[0xff, 0xff]), Some(FORMERR)),
        ("65535 answers", with(6, &[0xff, 0xff]), Some(FORMERR)),
        ("65535 additional records", with(10, &[0xff, 0xff]), Some(FORMERR)),
        ("an additional record that is not there", with(10, &[0, 1]), Some(FORMERR)),
        ("a name cut off", cut(20), Some(FORMERR)),
        ("a type cut off", cut(good().len() - 3), Some(FORMERR)),
        ("a label beyond the end", with(12, &[63]), Some(FORMERR)),
        ("a pointer to itself", asking(&[0xc0, 0x0c]), Some(FORMERR)),
        ("a pointer beyond the end", asking(&[0xff, 0xff]), Some(FORMERR)),
        ("a reserved label type", asking(&[0x40, 0]), Some(FORMERR)),
        ("another reserved label type", asking(&[0x80, 0]), Some(FORMERR)),
        ("a name of 321 bytes", asking(&long), Some(FORMERR)),
        ("a name without an end", asking(&[1, b'a']), Some(FORMERR)),
        ("EDNS that lies about its length", edns(&[0, 0, 41, 16, 0, 0, 0, 0, 0, 0xff, 0xff]), Some(FORMERR)),
        ("EDNS cut off", edns(&[0, 0, 41, 16, 0]), Some(FORMERR)),
        ("an EDNS option that lies", edns(&[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 4, 0, 8, 0, 9]), Some(FORMERR)),
        ("EDNS with a name", edns(&[1, b'x', 0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]), Some(FORMERR)),
    ]
}

#[test]
fn a_bad_packet_is_refused_or_ignored_over_udp() {
    let server = Server::dev();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.connect(server.dns_addr()).expect("connect");
    for (number, (what, packet, rcode)) in (0u16..).zip(packets()) {
        socket.send(&packet).expect("send");
        // A good query behind it, with another id: that it is answered shows that the bad one did no harm. An answer to
        // one that deserves silence would be noticed here or at the next.
        let mut good = query(NAME, kind::A, None);
        let id = (0x4000 + number).to_be_bytes();
        good[..2].copy_from_slice(&id);
        socket.send(&good).expect("send");
        let (mut refusal, mut answered) = (None, false);
        while !answered || refusal != rcode {
            let mut answer = [0; 4096];
            let length =
                socket.recv(&mut answer).unwrap_or_else(|e| panic!("{what}: answered {answered}, {refusal:?}: {e}"));
            assert!(length >= 12 && answer[2] & 0x80 != 0, "{what}: {:?}", &answer[..length]);
            let code = answer[3] & 15;
            if answer[..2] == id {
                assert_eq!(code, 0, "{what}: the good query");
                answered = true;
            } else {
                assert_eq!(answer[..2], [0x12, 0x34], "{what}: another id");
                assert_eq!((refusal, Some(code)), (None, rcode), "{what}");
                refusal = Some(code);
            }
        }
    }
    assert_dns_lives(&server);
}

#[test]
fn a_bad_message_is_refused_or_ends_the_connection_over_tcp() {
    let server = Server::dev();
    for (what, packet, rcode) in packets() {
        let length = u16::try_from(packet.len()).expect("a short packet").to_be_bytes();
        let answer = talk(server.dns_addr(), &[&length[..], &packet].concat());
        assert_eq!(answer.get(5).map(|flags| flags & 15), rcode, "{what}: {answer:?}");
        assert_dns_lives(&server);
    }
}

#[test]
fn a_length_that_lies_ends_the_connection_only() {
    let server = Server::dev();
    let good = query(NAME, kind::A, None);
    let length = good.len() as u16;
    for (what, said, bytes, answers) in [
        ("nothing but a length", 100, &[][..], 0),
        ("half a length", length, &good[..0], 0),
        ("one byte too few", length, &good[..good.len() - 1], 0),
        ("a length of zero", 0, &good[..], 0),
        ("the longest length", u16::MAX, &good[..], 0),
        ("one byte less than there is", length - 1, &good[..], 1),
        ("all right", length, &good[..], 1),
    ] {
        let answer = talk(server.dns_addr(), &[&said.to_be_bytes()[..], bytes].concat());
        assert_eq!(usize::from(!answer.is_empty()), answers, "{what}: {answer:?}");
        assert_dns_lives(&server);
    }
    let answer = talk(server.dns_addr(), &length.to_be_bytes()[..1]);
    assert!(answer.is_empty(), "half a length");
    assert_dns_lives(&server);
}

#[test]
fn damaged_packets_without_number_do_no_harm() {
    let server = Server::dev();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.connect(server.dns_addr()).expect("connect");
    let mut random = Random::new(1035);
    for number in 0..4000 {
        let mut packet = query(NAME, kind::SRV, Some(1232));
        for _ in 0..=random.below(6) {
            let at = random.below(packet.len() as u64) as usize;
            packet[at] = random.next() as u8;
        }
        if number % 3 == 0 {
            packet.truncate(random.below(packet.len() as u64) as usize);
        }
        // An answer that nobody reads may come back as an error of the next send.
        let _ = socket.send(&packet);
        // Never more on the way than the server's socket holds: the good question would be dropped with the rest.
        if number % 50 == 49 {
            assert_dns_lives(&server);
        }
    }
}
