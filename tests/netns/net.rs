//! Network namespaces on one bridge, and what can go wrong between them.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;

/// Namespaces for servers, and one for clients, all on one bridge. Removed when dropped.
pub(crate) struct Net {
    /// Begins the name of everything that is made.
    prefix: String,
    members: u8,
}

/// The last byte of the clients' address.
const CLIENT: u8 = 100;

fn ip(args: &str) -> Result<(), String> {
    let done = Command::new("ip").args(args.split_whitespace()).output().map_err(|e| format!("ip: {e}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("ip {args}: {}", String::from_utf8_lossy(&done.stderr).trim())),
    }
}

/// The address that ends with this byte.
pub(crate) fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

impl Net {
    /// Namespaces for so many servers.
    pub(crate) fn new(name: &str, members: u8) -> Result<Net, String> {
        let net = Net { prefix: format!("lt{}{name}", std::process::id() % 100_000), members };
        let hub = net.hub();
        ip(&format!("netns add {hub}"))?;
        ip(&format!("-n {hub} link add br0 type bridge"))?;
        ip(&format!("-n {hub} link set br0 up"))?;
        for member in (0..members).chain([CLIENT]) {
            let own = net.name(member);
            ip(&format!("netns add {own}"))?;
            ip(&format!("link add v{member} netns {hub} type veth peer name eth0 netns {own}"))?;
            ip(&format!("-n {hub} link set v{member} master br0 up"))?;
            ip(&format!("-n {own} addr add {}/24 dev eth0", address(Self::byte(member))))?;
            ip(&format!("-n {own} link set eth0 up"))?;
            ip(&format!("-n {own} link set lo up"))?;
        }
        Ok(net)
    }

    /// Servers count from 0, addresses from 1.
    fn byte(member: u8) -> u8 {
        if member == CLIENT { CLIENT } else { member + 1 }
    }

    fn hub(&self) -> String {
        format!("{}h", self.prefix)
    }

    fn name(&self, member: u8) -> String {
        format!("{}n{member}", self.prefix)
    }

    /// The namespace of a server.
    pub(crate) fn namespace(&self, server: usize) -> String {
        self.name(server as u8)
    }

    /// From now on this thread lives where the clients are.
    pub(crate) fn enter(&self) {
        let path = format!("/var/run/netns/{}", self.name(CLIENT));
        let namespace = File::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("enter the namespace");
    }

    fn hub_side(&self, server: usize, what: &str) {
        ip(&format!("-n {} link set v{server} {what}", self.hub())).expect("set a link");
    }

    /// Nothing goes in or out any more, silently.
    pub(crate) fn cut(&self, server: usize) {
        self.hub_side(server, "nomaster");
    }

    /// All is well again.
    pub(crate) fn mend(&self, server: usize) {
        self.hub_side(server, "master br0");
    }

    /// What it sends is lost; it still receives.
    pub(crate) fn mute(&self, server: usize) {
        self.neighbours(server, "replace", "lladdr 02:00:00:00:00:99 dev eth0 nud permanent");
    }

    /// It is heard again.
    pub(crate) fn unmute(&self, server: usize) {
        self.neighbours(server, "del", "dev eth0");
    }

    /// What it sends goes to a station that is not there.
    fn neighbours(&self, server: usize, verb: &str, rest: &str) {
        let own = self.namespace(server);
        for other in (0..self.members).chain([CLIENT]).filter(|other| usize::from(*other) != server) {
            ip(&format!("-n {own} neigh {verb} {} {rest}", address(Self::byte(other)))).expect("set a neighbour");
        }
    }

    /// Gives a server another address in place of its own.
    pub(crate) fn readdress(&self, server: usize, from: Ipv4Addr, to: Ipv4Addr) {
        let own = self.namespace(server);
        ip(&format!("-n {own} addr del {from}/24 dev eth0")).expect("take the address");
        ip(&format!("-n {own} addr add {to}/24 dev eth0")).expect("give the address");
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for member in (0..self.members).chain([CLIENT]) {
            let _ = ip(&format!("netns del {}", self.name(member)));
        }
        let _ = ip(&format!("netns del {}", self.hub()));
    }
}
