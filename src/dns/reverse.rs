//! Names of addresses: an index from each address to the nodes, or else the services, that have it. Built when it is
//! first asked for and again when addresses have changed, but not more often than its cost allows.

use super::name::Name;
use super::zone::Zone;
use crate::machine::State;
use crate::model::DEFAULT_NAMESPACE;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Building may take at most one part in so many of the time, however often addresses change.
const COST_DIVISOR: u32 = 20;
/// A cost that does not matter.
const COST_FREE: Duration = Duration::from_millis(1);

/// The index of one state.
#[derive(Debug)]
pub(super) struct Index {
    /// Last changes of instances and nodes that it knows.
    pub(super) revisions: (u64, u64),
    names: HashMap<IpAddr, Vec<Name>>,
    built: Instant,
    cost: Duration,
}

impl Index {
    /// The names of an address, sorted; none if it is not known.
    pub(super) fn names(&self, address: IpAddr) -> &[Name] {
        self.names.get(&address).map_or(&[], Vec::as_slice)
    }

    fn build(state: &State, zone: &Zone) -> Index {
        let built = Instant::now();
        let mut names: HashMap<IpAddr, Vec<Name>> = HashMap::new();
        for node in state.nodes() {
            if let (Ok(address), Some(name)) = (node.record.address.parse(), zone.node_name(&node.record.name)) {
                names.entry(address).or_default().push(name);
            }
        }
        // Nodes win: services are named only where no node is.
        let mut services: HashMap<IpAddr, Vec<Name>> = HashMap::new();
        for service in state.services(DEFAULT_NAMESPACE, "") {
            let Some(name) = zone.service_name(&service.key.name) else { continue };
            for instance in service.instances.iter() {
                let Ok(address) = instance.address.parse() else { continue };
                if !names.contains_key(&address) {
                    services.entry(address).or_default().push(name.clone());
                }
            }
        }
        names.extend(services);
        for list in names.values_mut() {
            list.sort();
            list.dedup();
        }
        Index { revisions: revisions(state), names, built, cost: built.elapsed() }
    }

    fn is_good_for(&self, state: &State) -> bool {
        let is_dear = self.cost > COST_FREE && self.built.elapsed() < self.cost * COST_DIVISOR;
        self.revisions == revisions(state) || is_dear
    }
}

/// Last changes of instances and nodes.
fn revisions(state: &State) -> (u64, u64) {
    (state.meta().services_revision, state.meta().nodes_revision)
}

/// The index of all threads.
#[derive(Debug, Default)]
pub(super) struct ReverseTree {
    current: Mutex<Option<Arc<Index>>>,
}

impl ReverseTree {
    /// The index for this state. If it costs more than a millisecond to build, it may lag behind by 20 times that.
    pub(super) fn index(&self, state: &State, zone: &Zone) -> Arc<Index> {
        // A panic while the lock is held leaves the old index or none: both are sound.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(index) if index.is_good_for(state) => index.clone(),
            _ => current.insert(Arc::new(Index::build(state, zone))).clone(),
        }
    }
}
