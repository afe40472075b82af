//! Many datagrams per system call, by Linux's `recvmmsg(2)` and `sendmmsg(2)`, which std does not offer. On a socket
//! that is bound to every address, each reply leaves from the address that its query was sent to (`IP_PKTINFO`).

#![allow(unsafe_code, reason = "recvmmsg, sendmmsg and setsockopt are foreign functions without a safe wrapper")]

use super::{Datagrams, QUERY_BYTES_MAX, Reply};
use crate::dns::recursor::SendReply;
use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::null_mut;
use std::sync::Arc;

/// Messages per system call.
const BATCH: usize = 32;
/// Words of a buffer for control messages: enough for a header and either structure, and aligned for both.
const CONTROL_WORDS: usize = 8;
/// Where the content of the first control message begins.
const CONTROL_DATA: usize = size_of::<libc::cmsghdr>();

/// Buffers for one batch.
pub(super) struct Batch {
    buffers: Box<[[u8; QUERY_BYTES_MAX]; BATCH]>,
    names: Box<[libc::sockaddr_storage; BATCH]>,
    controls: Box<[[u64; CONTROL_WORDS]; BATCH]>,
    /// Of the message, the sender's name and the control messages.
    lengths: [(usize, libc::socklen_t, usize); BATCH],
    wants_control: bool,
}

impl Datagrams for Batch {
    /// What comes in before the option is set could not be answered from the address that it was sent to.
    fn prepare(socket: &socket2::Socket, address: SocketAddr) -> io::Result<()> {
        if address.ip().is_unspecified() { ask_for_destination(socket.as_raw_fd(), address.is_ipv4()) } else { Ok(()) }
    }

    fn new(socket: &UdpSocket) -> io::Result<Batch> {
        let wants_control = socket.local_addr()?.ip().is_unspecified();
        Ok(Batch {
            buffers: Box::new([[0; QUERY_BYTES_MAX]; BATCH]),
            // SAFETY: sockaddr_storage is plain old data, for which all zeros are a value.
            names: Box::new(unsafe { zeroed() }),
            controls: Box::new([[0; CONTROL_WORDS]; BATCH]),
            lengths: [(0, 0, 0); BATCH],
            wants_control,
        })
    }

    fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let mut vectors: [libc::iovec; BATCH] = std::array::from_fn(|at| libc::iovec {
            iov_base: self.buffers[at].as_mut_ptr().cast(),
            iov_len: QUERY_BYTES_MAX,
        });
        let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|at| {
            let mut header = header(&mut vectors[at]);
            header.msg_hdr.msg_name = (&raw mut self.names[at]).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            if self.wants_control {
                header.msg_hdr.msg_control = self.controls[at].as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = size_of_val(&self.controls[at]) as _;
            }
            header
        });
        // SAFETY: there are BATCH headers, and each points to buffers of the lengths it says, which live in `self` and
        // `vectors` and are not touched until the call returns. No time-out is passed.
        let count = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), BATCH as _, libc::MSG_WAITFORONE as _, null_mut())
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        #[allow(clippy::unnecessary_cast, reason = "some C libraries have a smaller type here")]
        for (lengths, header) in self.lengths.iter_mut().zip(&headers[..count]) {
            let hdr = &header.msg_hdr;
            let control = if self.wants_control { hdr.msg_controllen as usize } else { 0 };
            *lengths = (header.msg_len as usize, hdr.msg_namelen, control);
        }
        Ok(count)
    }

    fn message(&self, at: usize) -> &[u8] {
        let bytes = self.lengths[at].0.min(QUERY_BYTES_MAX);
        &self.buffers[at][..bytes]
    }

    fn sender(&self, socket: &Arc<UdpSocket>, at: usize) -> SendReply {
        let (socket, mut name, mut control) = (socket.clone(), self.names[at], self.controls[at]);
        let (_, name_bytes, control_bytes) = self.lengths[at];
        Box::new(move |bytes| {
            // The kernel only reads what this points to; the type has no const form.
            let mut vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            let mut header = header(&mut vector).msg_hdr;
            header.msg_name = (&raw mut name).cast();
            header.msg_namelen = name_bytes;
            if control_bytes > 0 {
                forget_interface(&mut control);
                header.msg_control = control.as_mut_ptr().cast();
                header.msg_controllen = control_bytes.min(size_of_val(&control)) as _;
            }
            // SAFETY: the header points to buffers of the lengths it says, which live until the call returns.
            // What cannot be sent is dropped, as the network may do with any.
            let _ = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) };
        })
    }

    fn send(&mut self, socket: &UdpSocket, replies: &[Reply], bytes: &[u8]) {
        let Some(replies) = replies.get(..replies.len().min(BATCH)) else { return };
        // The kernel only reads what these point to; the type has no const form.
        let mut vectors: [libc::iovec; BATCH] = std::array::from_fn(|at| {
            let reply = replies.get(at).map_or(&[][..], |(_, range)| &bytes[range.clone()]);
            libc::iovec { iov_base: reply.as_ptr().cast_mut().cast(), iov_len: reply.len() }
        });
        let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|at| {
            let mut header = header(&mut vectors[at]);
            if let Some(&(to, _)) = replies.get(at) {
                let (_, name_bytes, control_bytes) = self.lengths[to];
                header.msg_hdr.msg_name = (&raw mut self.names[to]).cast();
                header.msg_hdr.msg_namelen = name_bytes;
                if control_bytes > 0 {
                    forget_interface(&mut self.controls[to]);
                    header.msg_hdr.msg_control = self.controls[to].as_mut_ptr().cast();
                    header.msg_hdr.msg_controllen = control_bytes.min(size_of_val(&self.controls[to])) as _;
                }
            }
            header
        });
        let mut rest = &mut headers[..replies.len()];
        while !rest.is_empty() {
            // SAFETY: there are `rest.len()` headers, and each points to buffers of the lengths it says, which live in
            // `self`, `vectors` and `bytes` until the call returns.
            let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as _, 0) };
            let done = match usize::try_from(sent) {
                Ok(sent) => sent,
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => 0,
                // The first one failed; the others may not.
                Err(_) => 1,
            };
            rest = &mut rest[done..];
        }
    }
}

/// A header for one buffer, without a name and control messages.
fn header(vector: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: mmsghdr is plain old data, for which all zeros are a value; some systems have private padding in it.
    let mut header: libc::mmsghdr = unsafe { zeroed() };
    header.msg_hdr.msg_iov = vector;
    header.msg_hdr.msg_iovlen = 1;
    header
}

/// Asks the kernel to say for each message to which address it was sent.
fn ask_for_destination(socket: RawFd, is_v4: bool) -> io::Result<()> {
    let on: libc::c_int = 1;
    let (level, name) = match is_v4 {
        true => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        false => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    // SAFETY: the value is a c_int that outlives the call, and its size is given.
    let done =
        unsafe { libc::setsockopt(socket, level, name, (&raw const on).cast(), size_of_val(&on) as libc::socklen_t) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Turns "came to this address by this interface" into "leave from this address": the way back may be another one.
/// Addresses of one link keep their interface, for they mean nothing without.
fn forget_interface(control: &mut [u64; CONTROL_WORDS]) {
    // SAFETY: the buffer is larger than a cmsghdr, aligned for it, and was zeroed and then filled by the kernel.
    let kind = unsafe { *control.as_ptr().cast::<libc::cmsghdr>() };
    let content = control[CONTROL_DATA / size_of::<u64>()..].as_mut_ptr();
    if (kind.cmsg_level, kind.cmsg_type) == (libc::IPPROTO_IP, libc::IP_PKTINFO) {
        // SAFETY: the kernel put this structure there; the buffer has room for it after the header and is aligned.
        unsafe { (*content.cast::<libc::in_pktinfo>()).ipi_ifindex = 0 };
    } else if (kind.cmsg_level, kind.cmsg_type) == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) {
        // SAFETY: as above, for the structure of IPv6.
        let info = unsafe { &mut *content.cast::<libc::in6_pktinfo>() };
        if info.ipi6_addr.s6_addr[0] != 0xFE || info.ipi6_addr.s6_addr[1] & 0xC0 != 0x80 {
            info.ipi6_ifindex = 0;
        }
    }
}
