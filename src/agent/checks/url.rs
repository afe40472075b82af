//! URLs of HTTP checks, as Go takes them: an IPv4 address may stand in brackets, which stricter parsers refuse.

/// The parts that a request is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) tls: bool,
    /// `user:password`, unescaped.
    pub(super) user: Option<String>,
    /// Host and port as written, for the Host header.
    pub(super) authority: String,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query, with a slash at the start.
    pub(super) target: String,
}

impl Url {
    /// Reads an absolute URL; the error is Go's.
    pub(super) fn parse(text: &str) -> Result<Url, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
                (scheme.to_ascii_lowercase(), rest)
            }
            _ => (String::new(), text),
        };
        let tls = match scheme.as_str() {
            "http" => false,
            "https" => true,
            other => return Err(format!("unsupported protocol scheme {other:?}")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(unescape(user)), authority),
            None => (None, authority),
        };
        let (host, port) = host_and_port(authority, if tls { 443 } else { 80 })?;
        if host.is_empty() {
            return Err("http: no Host in request URL".to_owned());
        }
        Ok(Url { tls, user, authority: authority.to_owned(), host: host.to_owned(), port, target: clean(target) })
    }

    /// Where a Location header of this page leads.
    pub(super) fn join(&self, location: &str) -> Result<Url, String> {
        if location.contains("://") {
            return Url::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", if self.tls { "https" } else { "http" }));
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = match location.as_bytes().first() {
            Some(b'/') => clean(location),
            None | Some(b'#') => self.target.clone(),
            Some(b'?') => clean(&format!("{path}{location}")),
            Some(_) => {
                let folder = &path[..path.rfind('/').map_or(0, |at| at + 1)];
                clean(&format!("{folder}{location}"))
            }
        };
        Ok(Url { target, ..self.clone() })
    }
}

fn host_and_port(authority: &str, default: u16) -> Result<(&str, u16), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("missing ']' in host")?;
            (host, rest.strip_prefix(':').unwrap_or(rest))
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    if port.is_empty() {
        return Ok((host, default));
    }
    let port = port.parse().map_err(|_| format!("invalid port {:?} after host", format!(":{port}")))?;
    Ok((host, port))
}

/// A target without its fragment, and without bytes that may not stand in a request line.
fn clean(target: &str) -> String {
    let target = target.split('#').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    let mut out = slash.to_owned();
    for byte in target.bytes() {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(&byte) => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn unescape(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> Result<(String, u16, String), String> {
        Url::parse(text).map(|url| (url.host, url.port, url.target))
    }

    #[test]
    fn urls_are_taken_as_go_takes_them() {
        let ok = |host: &str, port, target: &str| Ok((host.to_owned(), port, target.to_owned()));
        assert_eq!(parts("http://a"), ok("a", 80, "/"));
        assert_eq!(parts("HTTPS://a:1/b c?d#e"), ok("a", 1, "/b%20c?d"));
        assert_eq!(parts("http://[127.0.0.1]:28392/health"), ok("127.0.0.1", 28392, "/health"));
        assert_eq!(parts("http://[::1]?x"), ok("::1", 80, "/?x"));
        assert_eq!(parts("nonsense"), Err("unsupported protocol scheme \"\"".to_owned()));
        assert_eq!(parts("ftp://x/"), Err("unsupported protocol scheme \"ftp\"".to_owned()));
        assert!(parts("http:///x").is_err() && parts("http://a:b/").is_err());
        assert_eq!(Url::parse("http://u:p%40@h/").unwrap().user.as_deref(), Some("u:p@"));
    }

    #[test]
    fn locations_are_relative_to_the_page() {
        let page = Url::parse("http://a:1/b/c?d").unwrap();
        for (location, target) in [("/x", "/x"), ("x", "/b/x"), ("?y", "/b/c?y"), ("", "/b/c?d"), ("//a:1/z", "/z")] {
            assert_eq!(page.join(location).unwrap().target, target, "{location}");
        }
        assert_eq!(page.join("https://q/").unwrap().port, 443);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,60}", location in ".{0,30}") {
            let _ = Url::parse(&text);
            if let Ok(url) = Url::parse(&format!("http://h/{text}")) {
                prop_assert!(url.target.bytes().all(|b| b.is_ascii_graphic()));
                let _ = url.join(&location);
            }
        }
    }
}
