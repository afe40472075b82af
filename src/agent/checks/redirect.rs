//! What a request becomes when it is sent elsewhere, by the rules of Go's client.

use super::url::Url;
use http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION};
use http::{HeaderMap, Method, StatusCode};

/// More of them are an error.
pub(super) const REDIRECTS_MAX: usize = 10;

/// A request on its way.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Request {
    /// The next request, if the answer asks for one.
    pub(super) fn follow(&self, status: StatusCode, headers: &HeaderMap) -> Option<Result<Request, String>> {
        let keeps = match status.as_u16() {
            301..=303 => false,
            307 | 308 => true,
            _ => return None,
        };
        let location = headers.get(LOCATION)?;
        let url = match location.to_str().map_err(|e| e.to_string()).and_then(|to| self.url.join(to)) {
            Ok(url) => url,
            Err(error) => return Some(Err(error)),
        };
        let mut next = Request { url, ..self.clone() };
        if !keeps {
            next.body.clear();
            if next.method != Method::HEAD {
                next.method = Method::GET;
            }
        }
        if next.url.host != self.url.host {
            // They were meant for the first host.
            for name in [AUTHORIZATION, COOKIE, HOST] {
                next.headers.remove(name);
            }
        }
        Some(Ok(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn follow(status: u16, location: &'static str) -> Option<Result<Request, String>> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("x"))]);
        let url = Url::parse("http://a/b").unwrap();
        let request = Request { method: Method::POST, url, headers, body: "b".to_owned() };
        let answer = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
        request.follow(StatusCode::from_u16(status).unwrap(), &answer)
    }

    #[test]
    fn a_redirect_is_a_get_unless_it_says_otherwise() {
        let found = follow(302, "/c").unwrap().unwrap();
        assert_eq!((found.method, found.body.as_str(), found.url.target.as_str()), (Method::GET, "", "/c"));
        assert!(found.headers.contains_key(AUTHORIZATION));
        let kept = follow(307, "http://other/").unwrap().unwrap();
        assert_eq!((kept.method, kept.body.as_str()), (Method::POST, "b"));
        assert!(!kept.headers.contains_key(AUTHORIZATION));
        assert!(follow(200, "/c").is_none() && follow(304, "/c").is_none());
        assert!(follow(301, "ftp://x").unwrap().is_err());
    }
}
