//! Templates of addresses, as `{{ GetInterfaceIP "eth0" }}` or
//! `{{ GetPrivateInterfaces | include "network" "10.0.0.0/8" | attr "address" }}`.
//!
//! Owns: the sources, filters and ends of Consul's templates that make addresses out of this machine's interfaces.
//! Missing: sorting by other than the interfaces' own order, arithmetic on networks, and attributes but `address` and
//! `name`; what is missing is refused by name.

use crate::model::Network;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address of an interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    /// Traffic without another route leaves here.
    pub(crate) default: bool,
}

/// RFC 1918 and its like, the shared space of RFC 6598 that clouds use as private, and unique local IPv6.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xC0 == 64)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => is_link_local_v6(ip),
    }
}

fn is_link_local_v6(ip: Ipv6Addr) -> bool {
    ip.is_unicast_link_local()
}

/// What a step of a template gives to the next.
enum Flow {
    Interfaces(Vec<Interface>),
    Text(String),
}

/// Replaces every `{{ … }}` of a text. The error says which part is not understood.
pub(crate) fn fill(text: &str, interfaces: &[Interface]) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inner, tail) = after.split_once("}}").ok_or("a template that is opened with {{ must end with }}")?;
        filled.push_str(before);
        filled.push_str(&run(inner, interfaces)?);
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn run(template: &str, interfaces: &[Interface]) -> Result<String, String> {
    let mut steps = split(template)?.into_iter();
    let first = steps.next().unwrap_or_default();
    let mut flow = source(&first, interfaces)?;
    for step in steps {
        flow = filter(&step, flow)?;
    }
    match flow {
        Flow::Text(text) => Ok(text),
        Flow::Interfaces(_) => Err("end it with `attr \"address\"` or `join \"address\" \" \"`".to_owned()),
    }
}

/// Words and quoted texts of each step between bars.
fn split(template: &str) -> Result<Vec<Vec<String>>, String> {
    let mut steps = vec![Vec::new()];
    let mut rest = template.trim_start();
    while let Some(c) = rest.chars().next() {
        let (word, tail) = match c {
            '|' => {
                steps.push(Vec::new());
                rest = rest[1..].trim_start();
                continue;
            }
            '"' | '`' => rest[1..].split_once(c).ok_or_else(|| format!("a text that is opened with {c} must end"))?,
            _ => rest.split_at(rest.find(|c: char| c.is_whitespace() || c == '|').unwrap_or(rest.len())),
        };
        if let Some(step) = steps.last_mut() {
            step.push(word.to_owned());
        }
        rest = tail.trim_start();
    }
    Ok(steps)
}

fn source(step: &[String], interfaces: &[Interface]) -> Result<Flow, String> {
    let words: Vec<&str> = step.iter().map(String::as_str).collect();
    let those = |wanted: &dyn Fn(&Interface) -> bool| interfaces.iter().filter(|i| wanted(i)).cloned().collect();
    let private = |i: &Interface| i.address.is_ipv4() && is_private(i.address);
    let public = |i: &Interface| {
        let special = is_private(i.address) || is_link_local(i.address) || i.address.is_loopback();
        i.address.is_ipv4() && !special
    };
    let texts = |found: Vec<Interface>| joined(&found, "address", " ").map(Flow::Text);
    let first = |mut found: Vec<Interface>| {
        found.truncate(1);
        joined(&found, "address", " ").map(Flow::Text)
    };
    match words[..] {
        ["GetAllInterfaces"] => Ok(Flow::Interfaces(interfaces.to_vec())),
        ["GetDefaultInterfaces"] => Ok(Flow::Interfaces(those(&|i| i.default))),
        ["GetPrivateInterfaces"] => Ok(Flow::Interfaces(those(&|i| i.default && private(i)))),
        ["GetPublicInterfaces"] => Ok(Flow::Interfaces(those(&|i| i.default && public(i)))),
        ["GetPrivateIP"] => first(those(&private)),
        ["GetPrivateIPs"] => texts(those(&private)),
        ["GetPublicIP"] => first(those(&public)),
        ["GetPublicIPs"] => texts(those(&public)),
        ["GetInterfaceIP", name] => first(ipv4_first(those(&|i| i.name == name && !is_link_local(i.address)))),
        ["GetInterfaceIPs", name] => texts(ipv4_first(those(&|i| i.name == name && !is_link_local(i.address)))),
        _ => Err(format!("{:?} is not known", step.join(" "))),
    }
}

fn ipv4_first(mut found: Vec<Interface>) -> Vec<Interface> {
    found.sort_by_key(|i| i.address.is_ipv6());
    found
}

fn filter(step: &[String], flow: Flow) -> Result<Flow, String> {
    let words: Vec<&str> = step.iter().map(String::as_str).collect();
    let Flow::Interfaces(mut found) = flow else {
        return Err(format!("{:?} must follow interfaces, not a text", step.join(" ")));
    };
    match words[..] {
        [verb @ ("include" | "exclude"), by, what] => {
            let keep = verb == "include";
            let mut kept = Vec::with_capacity(found.len());
            for interface in found {
                if matches(&interface, by, what)? == keep {
                    kept.push(interface);
                }
            }
            Ok(Flow::Interfaces(kept))
        }
        ["sort", _] => Ok(Flow::Interfaces(found)),
        ["limit", count] => {
            found.truncate(count.parse().map_err(|_| format!("limit {count}: not a number"))?);
            Ok(Flow::Interfaces(found))
        }
        ["attr", what] => {
            found.truncate(1);
            joined(&found, what, " ").map(Flow::Text)
        }
        ["join", what, between] => joined(&found, what, between).map(Flow::Text),
        _ => Err(format!("{:?} is not known", step.join(" "))),
    }
}

fn matches(interface: &Interface, by: &str, what: &str) -> Result<bool, String> {
    let any_of = |test: &dyn Fn(&str) -> Result<bool, String>| -> Result<bool, String> {
        what.split('|').try_fold(false, |found, one| Ok(found || test(one)?))
    };
    let address = interface.address;
    match by {
        "name" => {
            let pattern = regex::Regex::new(what).map_err(|e| format!("name {what:?}: {e}"))?;
            Ok(pattern.is_match(&interface.name))
        }
        "address" => any_of(&|one| Ok(one.parse() == Ok(address))),
        "network" => {
            any_of(&|one| Network::parse(one).map(|n| n.holds(address)).ok_or(format!("{one:?} is no network")))
        }
        "type" => any_of(&|one| match one.to_ascii_lowercase().as_str() {
            "ip" => Ok(true),
            "ipv4" => Ok(address.is_ipv4()),
            "ipv6" => Ok(address.is_ipv6()),
            other => Err(format!("the type {other:?} is not known")),
        }),
        "flag" | "flags" => any_of(&|one| match one {
            "up" => Ok(true),
            "loopback" => Ok(address.is_loopback()),
            other => Err(format!("the flag {other:?} is not known")),
        }),
        "rfc" | "rfcs" => any_of(&|one| match one {
            "1918" => Ok(matches!(address, IpAddr::V4(ip) if ip.is_private())),
            "6890" => Ok(is_private(address) || is_link_local(address) || address.is_loopback()),
            other => Err(format!("the RFC {other:?} is not known")),
        }),
        other => Err(format!("filtering by {other:?} is not known")),
    }
}

fn joined(found: &[Interface], what: &str, between: &str) -> Result<String, String> {
    let text = |i: &Interface| match what {
        "address" => Ok(i.address.to_string()),
        "name" => Ok(i.name.clone()),
        other => Err(format!("the attribute {other:?} is not known")),
    };
    Ok(found.iter().map(text).collect::<Result<Vec<_>, _>>()?.join(between))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interfaces() -> Vec<Interface> {
        [
            ("lo", "127.0.0.1", false),
            ("eth0", "fe80::1", true),
            ("eth0", "fd00::2", true),
            ("eth0", "10.0.0.5", true),
            ("eth1", "192.168.0.5", false),
            ("eth2", "8.8.4.4", false),
        ]
        .map(|(name, ip, default)| Interface { name: name.into(), address: ip.parse().expect("an address"), default })
        .into()
    }

    #[test]
    fn templates() {
        for (text, expected) in [
            ("10.1.1.1", "10.1.1.1"),
            (r#"{{ GetInterfaceIP "eth0" }}"#, "10.0.0.5"),
            ("{{GetPrivateIP}}", "10.0.0.5"),
            ("{{ GetPrivateIPs }} 127.0.0.1", "10.0.0.5 192.168.0.5 127.0.0.1"),
            ("{{ GetPublicIP }}", "8.8.4.4"),
            (r#"{{ GetPrivateInterfaces | attr "address" }}"#, "10.0.0.5"),
            (r#"{{ GetAllInterfaces | include "network" "192.168.0.0/16" | attr "address" }}"#, "192.168.0.5"),
            (
                r#"{{ GetAllInterfaces | exclude "type" "ipv6"|include "name" "^eth" | limit 2 | join "address" " " }}"#,
                "10.0.0.5 192.168.0.5",
            ),
            (
                r#"{{ GetAllInterfaces | include "rfc" "1918" | exclude "flags" "loopback" | join "name" "," }}"#,
                "eth0,eth1",
            ),
            (r#"{{ GetInterfaceIP "nope" }}"#, ""),
        ] {
            assert_eq!(fill(text, &interfaces()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn refusals() {
        for (text, expected) in [
            ("{{ Nope }}", "\"Nope\" is not known"),
            ("{{ GetPrivateIP", "a template that is opened with {{ must end with }}"),
            ("{{ GetAllInterfaces }}", "end it with `attr \"address\"` or `join \"address\" \" \"`"),
            ("{{ GetPrivateIP | limit 1 }}", "\"limit 1\" must follow interfaces, not a text"),
            (r#"{{ GetAllInterfaces | include "x" "y" }}"#, "filtering by \"x\" is not known"),
            (r#"{{ GetAllInterfaces | attr "size" }}"#, "the attribute \"size\" is not known"),
        ] {
            assert_eq!(fill(text, &interfaces()), Err(expected.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[{}|\" a-zA-Z0-9]{0,60}") {
            let _ = fill(&text, &interfaces());
            let _ = fill(&format!("{{{{ GetAllInterfaces | {text} }}}}"), &interfaces());
        }
    }
}
