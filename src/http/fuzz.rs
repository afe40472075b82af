//! What fuzzing asks of the HTTP edge: any target and any body is read or refused in words.
//!
//! Must never: be part of the program.

use super::consul;
use super::json::{Layout, Raw, encode, parse};
use super::read::Read;
use super::route::Router;
use super::target::{Path, Query};
use std::cell::OnceCell;

thread_local! {
    static ROUTER: OnceCell<Router> = const { OnceCell::new() };
}

/// A path with a query, as in a request line.
pub(crate) fn target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if let (Ok(strict), Ok(loose)) = (Path::parse(path, false), Path::parse(path, true)) {
        assert_eq!(strict, loose, "{path}");
    }
    if let Ok(Path::Clean(path)) = Path::parse(path, true) {
        ROUTER.with(|router| {
            let _ = router.get_or_init(|| Router::new(consul::ROUTES)).find(&path);
        });
    }
    if let Ok(Path::Moved(to)) = Path::parse(path, true) {
        assert!(
            matches!(Path::parse(&to, true), Ok(Path::Clean(_)) | Err(_)),
            "{path} is moved to {to}, which is moved"
        );
    }
    if let Ok(query) = Query::parse(query) {
        let _ = Read::parse(&query, true);
        let again = Query::parse(&query.encode());
        assert_eq!(again.map(|q| q.encode()).ok(), Some(query.encode()), "{text}");
        let _ = query.content_key(path.as_bytes());
    }
}

/// A JSON document: read, written, read again; and then as the body of an endpoint.
pub(crate) fn body(bytes: &[u8]) {
    let Some((&which, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    if parse(&text).is_ok() {
        let write =
            |text: &str| encode(&Raw(text), Layout::Compact).map(|json| String::from_utf8_lossy(&json).into_owned());
        let once = write(&text).unwrap_or_else(|e| panic!("{text} is read and not written: {e}"));
        assert_eq!(write(&once).ok(), Some(once), "{text}");
    }
    consul::fuzz::body(which, &text);
}
