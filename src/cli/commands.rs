//! The tree of all commands.

use super::flags::group;
use super::{
    agent, catalog, cluster, debug, event, info, keygen, keyring, kv, lock, maint, members, monitor, operator, rtt,
    services, snapshot, validate, version, watch,
};
use clap::Command;

/// Commands of Consul that this version does not have, each with the reason that it gives.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("acl", "access control is not built yet"),
    ("config", "there is no service mesh, and so there are no central configuration entries"),
    ("connect", "there is no service mesh"),
    ("exec", "nodes do not run commands for others"),
    ("intention", "there is no service mesh"),
    ("login", "access control is not built yet"),
    ("logout", "access control is not built yet"),
    ("snapshot agent", "it is a part of Consul Enterprise; run `snapshot save` from a timer instead"),
    ("tls", "certificates are made by other tools"),
];

/// All commands.
pub(crate) fn root() -> Command {
    group("lictor", "")
        .subcommand(agent::command())
        .subcommand(catalog::command())
        .subcommand(debug::command())
        .subcommand(event::command())
        .subcommand(cluster::force_leave_command())
        .subcommand(info::command())
        .subcommand(cluster::join_command())
        .subcommand(keygen::command())
        .subcommand(keyring::command())
        .subcommand(kv::command())
        .subcommand(cluster::leave_command())
        .subcommand(lock::command())
        .subcommand(maint::command())
        .subcommand(members::command())
        .subcommand(monitor::command())
        .subcommand(operator::command())
        .subcommand(cluster::reload_command())
        .subcommand(rtt::command())
        .subcommand(services::command())
        .subcommand(snapshot::command())
        .subcommand(validate::command())
        .subcommand(version::command())
        .subcommand(watch::command())
}
