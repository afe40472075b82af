//! Names of nodes. Health does not matter here.

use super::{Lookup, Question};
use crate::dns::answer::{Answer, Data, Dependency, Group, Owner, Record};
use crate::dns::name::Name;
use crate::dns::types::{Rcode, TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_TXT};
use crate::model::{NodeRecord, Text};
use std::net::IpAddr;

/// Metadata keys with this prefix give TXT records of their value alone.
const BARE_PREFIX: &str = "rfc1035-";

impl Lookup<'_> {
    /// `<node>.node`; `here`: in the data center of this server.
    pub(super) fn node(&mut self, name: &str, here: bool, question: Question<'_>) -> Answer {
        if !matches!(question.qtype, TYPE_A | TYPE_AAAA | TYPE_ANY | TYPE_TXT) {
            return Answer::new(Rcode::NoError);
        }
        if !here {
            return self.unknown();
        }
        let depends = Dependency::node(self.state, name);
        let Some(node) = self.state.node(name) else { return Answer { depends: vec![depends], ..self.unknown() } };
        let (node, ttl) = (node.record.clone(), self.zone.node_ttl);
        let mut answer = Answer { keep: true, depends: vec![depends], ..Answer::new(Rcode::NoError) };
        let texts = texts(&node).map(|text| Record::of_question(ttl, Data::Txt(text)));
        if question.qtype == TYPE_TXT {
            answer.answers.extend(texts.map(Group::of));
            return answer;
        }
        let records = match node.address.parse::<IpAddr>() {
            Ok(address) if question.wants(address) => vec![Record::of_question(ttl, Data::Address(address))],
            Ok(_) => Vec::new(),
            Err(_) => match Name::parse(&node.address) {
                Some(target) => self.alias(target, question, ttl, &mut answer),
                None => Vec::new(),
            },
        };
        let mut group = Group { records, extras: Vec::new() };
        if question.qtype == TYPE_ANY {
            answer.answers.push(group);
            answer.answers.extend(texts.map(Group::of));
        } else if self.zone.options.node_meta_txt {
            group.extras = texts.collect();
            answer.answers.push(group);
        } else {
            answer.answers.push(group);
        }
        answer
    }

    /// A node's metadata as additional records of its name, which may be the target itself.
    pub(super) fn node_texts(&self, node: &NodeRecord, target: Option<&Name>, ttl: u32) -> Vec<Record> {
        if !self.zone.options.node_meta_txt || node.meta.as_ref().is_none_or(|m| m.is_empty()) {
            return Vec::new();
        }
        let Some(name) = self.zone.node_name(&node.name) else { return Vec::new() };
        let owner = if target == Some(&name) { Owner::Target } else { Owner::Named(name) };
        texts(node).map(|text| Record { owner: owner.clone(), ttl, data: Data::Txt(text) }).collect()
    }
}

/// A node's metadata as texts.
fn texts(node: &NodeRecord) -> impl Iterator<Item = String> + use<> {
    let pairs: Vec<(Text, Text)> = node.meta.as_deref().unwrap_or_default().to_vec();
    pairs.into_iter().map(|(key, value)| text(&key, &value))
}

/// `key=value` (RFC 1464), or the bare value.
fn text(key: &str, value: &str) -> String {
    let has_prefix = key.get(..BARE_PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(BARE_PREFIX));
    if has_prefix {
        return value.to_owned();
    }
    let mut text = String::with_capacity(key.len() + value.len() + 1);
    let inner = key.trim_matches(' ');
    let leading = key.len() - key.trim_start_matches(' ').len();
    let trailing = key.len() - leading.min(key.len()) - inner.len();
    text.push_str(&"` ".repeat(leading));
    for c in inner.chars() {
        if matches!(c, '`' | '=') {
            text.push('`');
        }
        text.push(c);
    }
    text.push_str(&"` ".repeat(trailing));
    text.push('=');
    text.push_str(&value.replace('`', "``"));
    text
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn text_quotes_as_rfc_1464_says() {
        for (key, value, expected) in [
            ("color", "blue", "color=blue"),
            ("equation", "a=4", "equation=a=4"),
            ("a=a", "true", "a`=a=true"),
            ("a\\=a", "false", "a\\`=a=false"),
            ("=", "\\=", "`==\\="),
            ("string", "\"Cat\"", "string=\"Cat\""),
            ("string2", "`abc`", "string2=``abc``"),
            ("novalue", "", "novalue="),
            ("a b", "c d", "a b=c d"),
            (" abc ", " ", "` abc` = "),
            ("  ", "x", "` ` =x"),
            ("rfc1035-x", "v=spf1 `a`", "v=spf1 `a`"),
        ] {
            assert_eq!(text(key, value), expected);
        }
    }
}
