//! Resume tokens and page tokens: opaque to clients, checked on return.
//!
//! Owns: their bytes. A token names the cluster, so that those of the time before a restore are refused, and carries a
//! checksum, so that a damaged one is refused rather than misread. They protect against accidents, not against forgery:
//! nothing in them grants a right.

use super::convert::selector::hash64;
use crate::model::names::Invalid;
use crate::service::Core;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

const VERSION: u8 = 1;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Watch.
    Discovery = 1,
    /// WatchKeys.
    Keys = 2,
    /// Pages of ListServices.
    Services = 3,
    /// Pages of ListInstances.
    Instances = 4,
    /// Pages of ListSessions.
    Sessions = 5,
    /// Pages of List.
    KeyPages = 6,
}

/// A position in the history of one selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// What it is for.
    pub(super) purpose: Purpose,
    /// Digest of the cluster's identity.
    pub(super) cluster: u64,
    /// Digest of what was asked.
    pub(super) asked: u64,
    /// The position.
    pub(super) revision: u64,
    /// For pages: the last item given.
    pub(super) last: Vec<u8>,
}

/// Digest of a cluster's identity.
pub(super) fn cluster_digest(core: &Core) -> u64 {
    hash64(core.cluster_id().unwrap_or_default().as_bytes())
}

impl Token {
    /// Its bytes.
    pub(super) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(30 + self.last.len());
        out.extend([VERSION, self.purpose as u8]);
        for number in [self.cluster, self.asked, self.revision] {
            out.extend(number.to_be_bytes());
        }
        out.extend(&self.last);
        out.extend(crc32c::crc32c(&out).to_be_bytes());
        out.into()
    }

    /// `None` if these are not the bytes of a token for this purpose.
    pub(super) fn decode(purpose: Purpose, bytes: &[u8]) -> Option<Token> {
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_be_bytes(*sum) {
            return None;
        }
        let ([version, kind], body) = body.split_first_chunk::<2>()?;
        if *version != VERSION || *kind != purpose as u8 {
            return None;
        }
        let (cluster, body) = body.split_first_chunk::<8>()?;
        let (asked, body) = body.split_first_chunk::<8>()?;
        let (revision, last) = body.split_first_chunk::<8>()?;
        Some(Token {
            purpose,
            cluster: u64::from_be_bytes(*cluster),
            asked: u64::from_be_bytes(*asked),
            revision: u64::from_be_bytes(*revision),
            last: last.to_vec(),
        })
    }

    /// Its form in a `page_token`.
    pub(super) fn encode_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.encode())
    }

    /// A `page_token` that came back, for the same question to the same cluster.
    pub(super) fn decode_text(purpose: Purpose, text: &str, cluster: u64, asked: u64) -> Result<Token, Invalid> {
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let Some(token) = Token::decode(purpose, &bytes) else {
            return Err(Invalid::new("page_token", "is not a token of this rpc"));
        };
        if token.cluster != cluster {
            return Err(Invalid::new("page_token", "is of another cluster: start again without it"));
        }
        if token.asked != asked {
            return Err(Invalid::new("page_token", "is of another request: all fields but page_size must be the same"));
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(last: Vec<u8>) -> Token {
        Token { purpose: Purpose::Services, cluster: 1, asked: u64::MAX, revision: 42, last }
    }

    #[test]
    fn the_bytes_of_a_token_do_not_change() {
        let hex: String = token(b"x".to_vec()).encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(&hex[..54], "01030000000000000001ffffffffffffffff000000000000002a78");
    }

    #[test]
    fn a_page_token_fits_only_its_own_question() {
        let text = token(b"web".to_vec()).encode_text();
        let read = |purpose, cluster, asked| Token::decode_text(purpose, &text, cluster, asked);
        assert_eq!(read(Purpose::Services, 1, u64::MAX).map(|t| t.last), Ok(b"web".to_vec()));
        for wrong in [
            read(Purpose::Instances, 1, u64::MAX),
            read(Purpose::Services, 2, u64::MAX),
            read(Purpose::Services, 1, 0),
            Token::decode_text(Purpose::Services, "", 1, u64::MAX),
            Token::decode_text(Purpose::Services, "%", 1, u64::MAX),
        ] {
            assert_eq!(wrong.map_err(|e| e.field), Err("page_token".into()));
        }
    }

    proptest! {
        #[test]
        fn a_token_survives_and_a_damaged_one_is_refused(last: Vec<u8>, at: usize, flip in 1u8..) {
            let bytes = token(last.clone()).encode();
            prop_assert_eq!(Token::decode(Purpose::Services, &bytes), Some(token(last)));
            let mut damaged = bytes.to_vec();
            let at = at % damaged.len();
            damaged[at] ^= flip;
            prop_assert_eq!(Token::decode(Purpose::Services, &damaged), None);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = Token::decode(Purpose::Discovery, &bytes);
        }
    }
}
