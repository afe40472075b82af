//! Domain names in wire form. Owns: building, splitting and reading them, and the two encodings of addresses in names
//! (`<hex>.addr` and the reverse trees). A name here is always absolute, uncompressed and valid by RFC 1035 §3.1:
//! labels of 1-63 bytes, 255 bytes in all. Never panics on what came from the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the longest name, root byte included.
pub(super) const NAME_BYTES_MAX: usize = 255;
/// Bytes of the longest label.
const LABEL_BYTES_MAX: usize = 63;

/// An absolute, uncompressed name with its root byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(Box<[u8]>);

impl Name {
    /// From dotted text, with or without the last dot. `None` if a label or the whole is empty or too long.
    pub(super) fn parse(text: &str) -> Option<Name> {
        Name::under(text.strip_suffix('.').unwrap_or(text), &[])
    }

    /// A name of `labels` (dotted text) and then `suffix`, wire bytes with the root byte, or nothing for the root.
    pub(super) fn under(labels: &str, suffix: &[u8]) -> Option<Name> {
        let mut wire = Vec::with_capacity(labels.len() + suffix.len() + 2);
        for label in labels.split('.') {
            if label.is_empty() || label.len() > LABEL_BYTES_MAX {
                return None;
            }
            wire.push(label.len() as u8);
            wire.extend_from_slice(label.as_bytes());
        }
        wire.extend_from_slice(if suffix.is_empty() { &[0] } else { suffix });
        (wire.len() <= NAME_BYTES_MAX).then(|| Name(wire.into()))
    }

    /// From wire bytes that are known to be a valid name, root byte included.
    pub(super) fn of_wire(wire: Vec<u8>) -> Name {
        Name(wire.into())
    }

    /// Wire bytes, root byte included.
    pub(super) fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The same name in lower case, for comparing.
    pub(super) fn folded(&self) -> Name {
        // Length bytes are below 64 and so never look like capital letters.
        Name(self.0.to_ascii_lowercase().into())
    }
}

/// The labels of an uncompressed name that was checked before, left to right, without the root.
pub(super) fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (&len, tail) = rest.split_first()?;
        let label = tail.get(..usize::from(len)).filter(|label| !label.is_empty())?;
        rest = &tail[label.len()..];
        Some(label)
    })
}

/// Where in `name` the name `suffix` begins, if `name` is that name or below it; both folded.
pub(super) fn suffix_at(name: &[u8], suffix: &[u8]) -> Option<usize> {
    let at = name.len().checked_sub(suffix.len())?;
    if &name[at..] != suffix {
        return None;
    }
    // The bytes agree; they are a suffix only if they begin where a label begins.
    let mut start = 0;
    while start < at {
        start += usize::from(name[start]) + 1;
    }
    (start == at).then_some(at)
}

/// The label that stands for an address below `addr`: its bytes in hexadecimal.
pub(super) fn address_label(address: IpAddr) -> String {
    match address {
        IpAddr::V4(a) => format!("{:08x}", u32::from(a)),
        IpAddr::V6(a) => format!("{:032x}", u128::from(a)),
    }
}

/// The address that a label below `addr` stands for.
pub(super) fn address_of_label(label: &[u8]) -> Option<IpAddr> {
    if !label.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let text = std::str::from_utf8(label).ok()?;
    match label.len() {
        8 => u32::from_str_radix(text, 16).ok().map(|bits| Ipv4Addr::from(bits).into()),
        32 => u128::from_str_radix(text, 16).ok().map(|bits| Ipv6Addr::from(bits).into()),
        _ => None,
    }
}

/// What a name below one of the reverse trees asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reverse {
    /// A whole address.
    Address(IpAddr),
    /// Part of an address, or nonsense.
    Other,
}

/// Reads a folded name below `in-addr.arpa` (RFC 1035 §3.5) or `ip6.arpa` (RFC 3596 §2.5). `None`: neither.
pub(super) fn reverse(name: &[u8]) -> Option<Reverse> {
    if let Some(at) = suffix_at(name, b"\x07in-addr\x04arpa\0") {
        return Some(reverse_v4(&name[..at]).map_or(Reverse::Other, |a| Reverse::Address(a.into())));
    }
    let at = suffix_at(name, b"\x03ip6\x04arpa\0")?;
    Some(reverse_v6(&name[..at]).map_or(Reverse::Other, |a| Reverse::Address(a.into())))
}

fn reverse_v4(head: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut count = 0;
    for label in labels(head) {
        // Leading zeros would give one address several names.
        let plain = label.iter().all(u8::is_ascii_digit) && (label.len() == 1 || label[0] != b'0');
        let octet = std::str::from_utf8(label).ok().filter(|_| plain)?.parse().ok()?;
        *octets.get_mut(3usize.checked_sub(count)?)? = octet;
        count += 1;
    }
    (count == 4).then(|| octets.into())
}

fn reverse_v6(head: &[u8]) -> Option<Ipv6Addr> {
    let mut bits = 0u128;
    let mut count = 0u32;
    for label in labels(head) {
        let [digit] = label else { return None };
        let nibble = char::from(*digit).to_digit(16)?;
        bits |= u128::from(nibble).checked_shl(4 * count)?;
        count += 1;
    }
    (count == 32).then(|| bits.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        Name::parse(text).unwrap().wire().to_vec()
    }

    #[test]
    fn parse_takes_only_valid_names() {
        assert_eq!(wire("Web.consul."), b"\x03Web\x06consul\0");
        assert_eq!(wire("a.b"), b"\x01a\x01b\0");
        for bad in ["", ".", "a..b", ".a", &"x".repeat(64), &"abc.".repeat(64)] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
        assert!(Name::parse(&"x".repeat(63)).is_some());
    }

    #[test]
    fn suffix_is_found_only_at_a_label() {
        let zone = wire("consul");
        assert_eq!(suffix_at(&wire("a.consul"), &zone), Some(2));
        assert_eq!(suffix_at(&zone, &zone), Some(0));
        assert_eq!(suffix_at(&wire("a.consul.x"), &zone), None);
        // The label "x\x06consul" ends in the zone's bytes, but is one label.
        assert_eq!(suffix_at(b"\x08x\x06consul\0", &zone), None);
    }

    #[test]
    fn addresses_round_trip_through_labels() {
        for text in ["127.0.0.1", "0.0.0.0", "::1", "2001:db8::7"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(address_of_label(address_label(address).as_bytes()), Some(address));
        }
        for bad in ["7f00000", "7f00000g", "+f000001", "", "7f0000010"] {
            assert_eq!(address_of_label(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn reverse_reads_whole_addresses_only() {
        let read = |text: &str| reverse(&wire(text));
        assert_eq!(read("4.3.2.10.in-addr.arpa"), Some(Reverse::Address("10.2.3.4".parse().unwrap())));
        let v6 = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
        assert_eq!(read(&v6), Some(Reverse::Address("2001:db8::1".parse().unwrap())));
        for other in ["3.2.10.in-addr.arpa", "in-addr.arpa", "04.3.2.10.in-addr.arpa", "5.4.3.2.1.in-addr.arpa"] {
            assert_eq!(read(other), Some(Reverse::Other), "{other}");
        }
        assert_eq!(read(&format!("{}ip6.arpa", "0.".repeat(33))), Some(Reverse::Other));
        assert_eq!(read("a.consul"), None);
    }
}
