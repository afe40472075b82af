//! Addresses that are host names: followed inside the zone, named outside of it.

use super::{Lookup, Question};
use crate::dns::answer::{Answer, Data, Owner, Record};
use crate::dns::name::Name;
use crate::dns::types::{TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_CNAME};

impl Lookup<'_> {
    /// The records that `name` leads to, as records of a target. What they depend on is added to `answer`.
    ///
    /// Loops end because every step lowers the depth.
    pub(super) fn follow(&mut self, name: &Name, question: Question<'_>, ttl: u32, answer: &mut Answer) -> Vec<Record> {
        let folded = name.folded();
        let Some(depth) = question.depth.checked_sub(1) else { return Vec::new() };
        let Some(head) = self.zone.within(folded.wire()) else { return self.beyond(folded) };
        let mut found = self.inside(head, Question { name: folded.wire(), qtype: TYPE_ANY, depth });
        answer.depends.append(&mut found.depends);
        if found.shuffle && found.groups_max < found.answers.len() {
            let chosen = self.dice.below(found.answers.len() as u32) as usize;
            found.answers.swap(0, chosen);
            found.answers.truncate(1);
        }
        // Addresses of both kinds, as in Consul: who asks for one of them skips the other.
        let wanted = |record: &Record| matches!(record.data.rtype(), TYPE_CNAME | TYPE_A | TYPE_AAAA);
        let records = found.answers.into_iter().flat_map(|g| g.records).filter(wanted);
        records
            .map(|record| match record.owner {
                Owner::Question => Record { owner: Owner::Target, ttl, ..record },
                Owner::Target | Owner::Named(_) => Record { ttl, ..record },
            })
            .collect()
    }

    /// What recursors said about a folded name; if they were not asked yet, it is noted.
    fn beyond(&mut self, name: Name) -> Vec<Record> {
        if let Some(records) = self.outside.get(&name) {
            return records.clone();
        }
        if !self.zone.options.recursors.is_empty() && !self.missing.contains(&name) {
            self.missing.push(name);
        }
        Vec::new()
    }

    /// An alias and what it leads to.
    pub(super) fn alias(&mut self, name: Name, question: Question<'_>, ttl: u32, answer: &mut Answer) -> Vec<Record> {
        let followed = self.follow(&name, question, ttl, answer);
        let mut records = vec![Record::of_question(ttl, Data::Cname(name))];
        records.extend(followed);
        records
    }
}
