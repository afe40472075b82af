//! Names of prepared queries: what the query finds, as addresses or as SRV records.

use super::{Lookup, Question};
use crate::dns::answer::{Answer, Dependency};
use crate::dns::types::Rcode;
use crate::model::ServiceKey;
use crate::service::{near_first, query_instances};

impl Lookup<'_> {
    /// `<name>.query`, where the name may have dots; or the id of a query.
    pub(super) fn query(&mut self, name: &str, question: Question<'_>) -> Answer {
        let state = self.state;
        let defined = Dependency::queries(state);
        let Ok(query) = state.resolve_query(name) else { return Answer { depends: vec![defined], ..self.unknown() } };
        let key = ServiceKey::of(&query.service.service);
        let mut answer = Answer { keep: true, shuffle: true, ..Answer::new(Rcode::NoError) };
        answer.depends = vec![defined, Dependency::service(state, key)];
        let mut instances = query_instances(state, &query.service);
        let near = query.service.near.as_str();
        let near = if near == "_agent" { self.zone.own.0.as_str() } else { near };
        if near_first(state, &mut instances, near) {
            answer.shuffle = false;
        }
        let own_ttl = || self.zone.options.service_ttl(&query.service.service);
        let ttl = query.dns_ttl_s().unwrap_or_else(own_ttl);
        self.instances(instances.into_iter(), ttl, question, answer, "")
    }
}
