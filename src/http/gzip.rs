//! Packed answers. Small answers to many clients are what this server mostly sends, so speed counts more than the last
//! percent of size. Missing: other encodings; Consul has none either.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use std::io::Write;

/// Whether the client takes gzip: it is named, and its weight is a number above 0. A star does not count, as in Consul.
pub(super) fn accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight| weight > 0.0)
    })
}

/// The body in gzip; `None` if it cannot be packed, which writing to memory does not bring about.
pub(super) fn pack(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4 + 64), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;
    use std::io::Read;

    #[test]
    fn gzip_is_accepted_by_name_and_weight() {
        for (value, expected) in [
            ("gzip", true),
            ("GZIP", true),
            ("gzip, deflate", true),
            ("br;q=1, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0", false),
            ("gzip;q=x", false),
            ("*", false),
            ("deflate", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(accepted(&headers), expected, "{value:?}");
        }
        assert!(!accepted(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(body in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&pack(&body).unwrap()[..]).read_to_end(&mut plain).unwrap();
            prop_assert_eq!(plain, body);
        }

        #[test]
        fn any_header_is_understood(value in "[ -~]{0,40}") {
            if let Ok(value) = HeaderValue::from_str(&value) {
                accepted(&HeaderMap::from_iter([(ACCEPT_ENCODING, value)]));
            }
        }
    }
}
