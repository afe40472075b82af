//! The bytes around every packet: version, the pool's label, and encryption with AES-GCM.
//!
//! `version (1) | mode (1) | label length (1) | label | [key id (4) | nonce (12) | sealed body and tag] or body`. What
//! comes before the body is authenticated with it. A nonce is 96 random bits. Missing: protection against old packets
//! that somebody has kept and sends again; the failure detector takes each for what it was when it was made.

use super::keyring::KeyError;
use aes_gcm::aead::consts::U12;
use aes_gcm::aes::Aes192;
use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm, AesGcm, Error, KeyInit, Tag};
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const SEALED: u8 = 1;
const KEY_ID_LEN: usize = 4;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// Bytes of a label, at most.
pub(super) const LABEL_BYTES_MAX: usize = 64;

/// Why a packet is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum OpenError {
    /// It ends too early.
    #[error("the packet is cut short")]
    Short,
    /// It is of a later version, or not ours at all.
    #[error("unknown version {0}")]
    Version(u8),
    /// Another pool has sent it.
    #[error("the packet is of another pool")]
    Label,
    /// It is plain, and that is not accepted.
    #[error("the packet is not encrypted")]
    Plain,
    /// It was encrypted with a key that is not installed.
    #[error("the packet is encrypted with an unknown key")]
    Key,
    /// It was altered, or made by somebody without the key.
    #[error("the packet is not authentic")]
    Forged,
}

/// A key, ready for use.
pub(super) struct Seal {
    key: Vec<u8>,
    id: [u8; KEY_ID_LEN],
    cipher: Cipher,
}

/// AES-GCM with one of the three sizes of keys.
enum Cipher {
    Aes128(Aes128Gcm),
    Aes192(AesGcm<Aes192, U12>),
    Aes256(Aes256Gcm),
}

impl Cipher {
    fn new(key: &[u8]) -> Result<Cipher, KeyError> {
        let made = match key.len() {
            16 => Aes128Gcm::new_from_slice(key).map(Cipher::Aes128),
            24 => AesGcm::new_from_slice(key).map(Cipher::Aes192),
            _ => Aes256Gcm::new_from_slice(key).map(Cipher::Aes256),
        };
        made.map_err(|_| KeyError::Size)
    }

    /// Encrypts in place; returns the tag.
    fn seal(&self, nonce: [u8; NONCE_LEN], head: &[u8], body: &mut [u8]) -> Result<[u8; TAG_LEN], Error> {
        let (nonce, body) = (nonce.into(), body.into());
        let tag = match self {
            Cipher::Aes128(cipher) => cipher.encrypt_inout_detached(&nonce, head, body),
            Cipher::Aes192(cipher) => cipher.encrypt_inout_detached(&nonce, head, body),
            Cipher::Aes256(cipher) => cipher.encrypt_inout_detached(&nonce, head, body),
        };
        tag.map(Into::into)
    }

    /// Decrypts in place what has this tag.
    fn open(&self, nonce: [u8; NONCE_LEN], head: &[u8], body: &mut [u8], tag: [u8; TAG_LEN]) -> Result<(), Error> {
        let (nonce, body, tag) = (nonce.into(), body.into(), Tag::from(tag));
        match self {
            Cipher::Aes128(cipher) => cipher.decrypt_inout_detached(&nonce, head, body, &tag),
            Cipher::Aes192(cipher) => cipher.decrypt_inout_detached(&nonce, head, body, &tag),
            Cipher::Aes256(cipher) => cipher.decrypt_inout_detached(&nonce, head, body, &tag),
        }
    }
}

impl Seal {
    pub(super) fn new(key: &[u8]) -> Result<Seal, KeyError> {
        let cipher = Cipher::new(key)?;
        let digest = Sha256::digest(key);
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&digest[..KEY_ID_LEN]);
        Ok(Seal { key: key.to_vec(), id, cipher })
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// Wraps a body; `random`: used once only.
pub(super) fn seal(label: &str, seal: Option<&Seal>, body: &[u8], random: [u8; 16]) -> Vec<u8> {
    let label = &label.as_bytes()[..label.len().min(LABEL_BYTES_MAX)];
    let mut packet = Vec::with_capacity(3 + label.len() + KEY_ID_LEN + NONCE_LEN + body.len() + TAG_LEN);
    packet.extend([VERSION, if seal.is_some() { SEALED } else { PLAIN }, label.len() as u8]);
    packet.extend(label);
    let Some(seal) = seal else {
        packet.extend(body);
        return packet;
    };
    packet.extend(seal.id);
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(&random[..NONCE_LEN]);
    let head = packet.clone();
    packet.extend(nonce);
    let start = packet.len();
    packet.extend(body);
    match seal.cipher.seal(nonce, &head, &mut packet[start..]) {
        Ok(tag) => packet.extend(tag),
        // Only a body of many gigabytes can fail; nobody accepts an empty packet.
        Err(_) => packet.clear(),
    }
    packet
}

/// Unwraps a packet in place: where in it the body is.
pub(super) fn open(
    label: &str,
    seals: &[Arc<Seal>],
    accept_plain: bool,
    packet: &mut [u8],
) -> Result<Range<usize>, OpenError> {
    let (mode, label_len) = match packet {
        [VERSION, mode, label_len, ..] => (*mode, usize::from(*label_len)),
        [VERSION] | [VERSION, _] | [] => return Err(OpenError::Short),
        [version, ..] => return Err(OpenError::Version(*version)),
    };
    let body = 3 + label_len;
    if packet.get(3..body).ok_or(OpenError::Short)? != label.as_bytes() {
        return Err(OpenError::Label);
    }
    match mode {
        PLAIN if accept_plain => return Ok(body..packet.len()),
        PLAIN => return Err(OpenError::Plain),
        SEALED => {}
        other => return Err(OpenError::Version(other)),
    }
    let head = body + KEY_ID_LEN;
    let start = head + NONCE_LEN;
    if packet.len() < start + TAG_LEN {
        return Err(OpenError::Short);
    }
    let seal = seals.iter().find(|seal| seal.id == packet[body..head]).ok_or(OpenError::Key)?;
    let end = packet.len() - TAG_LEN;
    let (mut nonce, mut tag) = ([0; NONCE_LEN], [0; TAG_LEN]);
    nonce.copy_from_slice(&packet[head..start]);
    tag.copy_from_slice(&packet[end..]);
    let (head, rest) = packet.split_at_mut(head);
    let body = &mut rest[NONCE_LEN..end - head.len()];
    seal.cipher.open(nonce, head, body, tag).map_err(|_| OpenError::Forged)?;
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seals(keys: &[u8]) -> Vec<Arc<Seal>> {
        keys.iter().map(|n| Arc::new(Seal::new(&[*n; 32]).unwrap())).collect()
    }

    #[test]
    fn the_bytes_of_a_sealed_packet_do_not_change() {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let golden = [
            (16, "010103646331d761d406090909090909090909090909cacb063d362b004a3eca8423128a19b5abbea37dc5"),
            (24, "010103646331bb7a0e28090909090909090909090909ec44e166263f4342404808b10ef0a4040bb5787cd6"),
            (32, "0101036463314bb06f8e0909090909090909090909094fe0e8f8d121a3aa24084224587c51c96089e7ec58"),
        ];
        for (size, bytes) in golden {
            let key = Seal::new(&vec![7; size]).unwrap();
            assert_eq!(hex(&seal("dc1", Some(&key), b"hello", [9; 16])), bytes);
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(body: Vec<u8>, random: [u8; 16], label in "[a-z]{0,20}", size in 0usize..4) {
            let seal_with = (size > 0).then(|| Seal::new(&vec![5; 8 + 8 * size]).unwrap());
            let mut packet = seal(&label, seal_with.as_ref(), &body, random);
            let ring: Vec<_> = seal_with.into_iter().map(Arc::new).collect();
            let range = open(&label, &ring, size == 0, &mut packet).unwrap();
            prop_assert_eq!(&packet[range], &body[..]);
        }

        #[test]
        fn no_altered_byte_goes_unnoticed(body: Vec<u8>, at: prop::sample::Index, by in 1u8..) {
            let ring = seals(&[1, 2]);
            let mut packet = seal("pool", Some(&ring[1]), &body, [3; 16]);
            let at = at.index(packet.len());
            packet[at] ^= by;
            prop_assert!(open("pool", &ring, false, &mut packet).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>) {
            let _ = open("", &seals(&[1]), true, &mut bytes);
        }
    }
}
