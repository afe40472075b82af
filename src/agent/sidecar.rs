//! Sidecars: the proxies that services ask for beside them, and the ports that these get.
//!
//! A sidecar is a service of its own as soon as its port is known: it is stored, shown and checked as such, and goes
//! with the service that it stands beside ([`super::local::Local::remove_service`]). A port belongs to whoever has it,
//! for as long as it is in the range: registering again and reading files again change none.

use super::Error;
use super::api::Wanted;
use super::handle::Agent;
use super::local::{Local, OwnService};
use crate::model::definition::Refused;
use crate::model::{Text, fold};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

impl Agent {
    /// The services with their sidecars behind them, as services of their own. `stays`: which of the others are not
    /// about to go; `failed` says whose sidecar it was.
    ///
    /// # Errors
    /// [`Error::Sidecar`]: there is no port for one.
    pub(super) fn with_sidecars(
        &self,
        local: &Local,
        services: Vec<Wanted>,
        stays: impl Fn(&OwnService) -> bool,
        failed: impl Fn(&str, Error) -> Error,
    ) -> Result<Vec<Wanted>, Error> {
        if services.iter().all(|wanted| wanted.sidecar.is_none()) {
            return Ok(services);
        }
        let mut ports = Ports::of(local, &services, stays, self.settings().sidecar_ports.clone());
        let mut all = Vec::with_capacity(services.len() + 1);
        for mut wanted in services {
            let sidecar = wanted.sidecar.take();
            let name = wanted.service.instance.service.name.clone();
            let source = wanted.service.source;
            all.push(wanted);
            if let Some(sidecar) = sidecar {
                let port = sidecar.port().map_or_else(|| ports.take(sidecar.id()), Ok);
                let made = port.map_err(Error::Sidecar).and_then(|port| self.prepare_service(sidecar.at(port), source));
                all.push(made.map_err(|error| failed(&name, error))?);
            }
        }
        Ok(all)
    }
}

/// The ports of sidecars.
#[derive(Debug)]
struct Ports {
    range: Option<RangeInclusive<u16>>,
    /// Those that somebody has.
    used: BTreeSet<i64>,
    /// Those that services with these folded ids have, and keep.
    kept: BTreeMap<Text, i64>,
}

impl Ports {
    /// What is left when these services are put.
    fn of(
        local: &Local,
        services: &[Wanted],
        stays: impl Fn(&OwnService) -> bool,
        range: Option<RangeInclusive<u16>>,
    ) -> Ports {
        let in_range = |port: i64| u16::try_from(port).is_ok_and(|p| range.as_ref().is_some_and(|r| r.contains(&p)));
        let new: BTreeSet<Text> = services.iter().map(|wanted| fold(&wanted.service.instance.id)).collect();
        let sidecars = services.iter().filter_map(|wanted| wanted.sidecar.as_ref());
        let given = sidecars.clone().filter_map(|sidecar| Some((fold(sidecar.id()), sidecar.port()?)));
        let given: BTreeMap<Text, i64> = given.collect();
        let others =
            local.services.iter().filter(|(id, own)| !new.contains(*id) && !given.contains_key(*id) && stays(own));
        let mut used: BTreeSet<i64> = others.map(|(_, own)| own.instance.port.into()).collect();
        used.extend(services.iter().map(|wanted| i64::from(wanted.service.instance.port)));
        used.extend(given.values());
        let kept = sidecars.filter_map(|sidecar| {
            // As in Consul, whoever else has it by now.
            let id = fold(sidecar.id());
            let port = i64::from(local.services.get(&id)?.instance.port);
            (sidecar.port().is_none() && in_range(port)).then_some((id, port))
        });
        let kept: BTreeMap<Text, i64> = kept.collect();
        used.extend(kept.values());
        Ports { range, used, kept }
    }

    /// The port that a sidecar has, else the first free one.
    fn take(&mut self, id: &str) -> Result<i64, Refused> {
        if let Some(port) = self.kept.get(&fold(id)) {
            return Ok(*port);
        }
        const MISSING: &str = "Invalid SidecarService: no port provided for sidecar_service and";
        let Some(range) = &self.range else {
            return Err(Refused::because(format!("{MISSING} auto-assignment disabled in config")));
        };
        match range.clone().map(i64::from).find(|port| !self.used.contains(port)) {
            Some(port) => {
                self.used.insert(port);
                Ok(port)
            }
            None => {
                let (first, last) = (range.start(), range.end());
                let why = format!("{MISSING} none left in the configured range [{first}, {last}]");
                Err(Refused::because(why))
            }
        }
    }
}
