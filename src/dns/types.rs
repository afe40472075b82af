//! The numbers of DNS that this server knows: record types and response codes (IANA "Domain Name System Parameters").

/// An IPv4 address.
pub(super) const TYPE_A: u16 = 1;
/// A name server.
pub(super) const TYPE_NS: u16 = 2;
/// The canonical name of an alias.
pub(super) const TYPE_CNAME: u16 = 5;
/// Start of a zone of authority.
pub(super) const TYPE_SOA: u16 = 6;
/// The name of an address.
pub(super) const TYPE_PTR: u16 = 12;
/// Text.
pub(super) const TYPE_TXT: u16 = 16;
/// An IPv6 address.
pub(super) const TYPE_AAAA: u16 = 28;
/// A server for a service (RFC 2782).
pub(super) const TYPE_SRV: u16 = 33;
/// The EDNS pseudo-record (RFC 6891).
pub(super) const TYPE_OPT: u16 = 41;
/// Question only: transfer of a zone.
pub(super) const TYPE_AXFR: u16 = 252;
/// Question only: everything.
pub(super) const TYPE_ANY: u16 = 255;
/// EDNS option: client subnet (RFC 7871).
pub(super) const OPTION_SUBNET: u16 = 8;

/// A response code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Rcode {
    /// No error, with or without records.
    NoError = 0,
    /// The query is malformed.
    FormErr = 1,
    /// The server failed.
    ServFail = 2,
    /// The name does not exist.
    NxDomain = 3,
    /// This kind of query is not known.
    NotImp = 4,
    /// Not this server's zone.
    Refused = 5,
    /// An EDNS version that is not known; its high bits travel in the EDNS record.
    BadVers = 16,
}
