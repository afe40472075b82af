//! Keys: writes with and without conditions, locks, deletes, and every read.

use super::session::session;
use super::{once_in, pick};
use crate::common::Random;
use crate::op::Op;

/// Keys that are in one another's prefixes, one with bytes that must be escaped.
pub(crate) const KEYS: &[&str] =
    &["<<run>>a", "<<run>>a/b", "<<run>>a/b/c", "<<run>>a/c", "<<run>>ab", "<<run>>b%20%C3%BC", "<<run>>lock"];

pub(crate) fn write(random: &mut Random) -> Op {
    let key = pick(random, KEYS);
    let value = pick(random, &["", "one", "two", "\u{1}\u{2}"]);
    let flags = if once_in(random, 3) { "flags=18446744073709551615" } else { "" };
    let cas = match random.below(6) {
        0 => "&cas=0".to_owned(),
        1 => format!("&cas=<<index:{key}>>"),
        2 => "&cas=1".to_owned(),
        _ => String::new(),
    };
    Op::put(format!("/v1/kv/{key}?{flags}{cas}"), value)
}

pub(crate) fn lock(random: &mut Random) -> Op {
    let key = pick(random, &["<<run>>lock", "<<run>>lock", "<<run>>a/b"]);
    let verb = pick(random, &["acquire", "acquire", "release"]);
    Op::put(format!("/v1/kv/{key}?{verb}={}", session(random)), pick(random, &["held", "mine"]))
}

pub(crate) fn delete(random: &mut Random) -> Op {
    let key = pick(random, KEYS);
    Op::delete(match random.below(5) {
        0 => format!("/v1/kv/{}?recurse", pick(random, &["<<run>>a/", "<<run>>a", "zz"])),
        1 => format!("/v1/kv/{key}?cas=<<index:{key}>>"),
        2 => format!("/v1/kv/{key}?cas={}", pick(random, &["0", "1"])),
        _ => format!("/v1/kv/{key}"),
    })
}

pub(crate) fn read(random: &mut Random) -> Op {
    let prefix = pick(random, &["", "<<run>>a", "<<run>>a/", "<<run>>a/b", "zz"]);
    let consistency = pick(random, &["", "", "&stale", "&consistent"]);
    Op::get(match random.below(5) {
        0 => format!("/v1/kv/{prefix}?recurse{consistency}"),
        1 => format!("/v1/kv/{prefix}?keys{consistency}"),
        2 => format!("/v1/kv/{prefix}?keys&separator={}", pick(random, &["/", "%2F", "b", ""])),
        3 => format!("/v1/kv/{}?raw", pick(random, KEYS)),
        _ => format!("/v1/kv/{}?{}", pick(random, KEYS), consistency.trim_start_matches('&')),
    })
}
