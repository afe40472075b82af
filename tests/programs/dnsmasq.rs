//! dnsmasq forwards the domain `consul` to this server and everything else to nobody.

use super::common::Server;
use super::common::dns::{self, kind};
use super::program::{Program, find, free_port};
use super::register;
use std::net::{IpAddr, SocketAddr};

#[test]
fn dnsmasq_forwards_the_domain() {
    let Some(program) = find("dnsmasq") else { return };
    let server = Server::dev();
    register(&server, "web", 8080, &["v1"], "passing");
    let folder = tempfile::tempdir().expect("temporary folder");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (to, port) = (server.dns_addr(), address.port());
    let pid_file = format!("--pid-file={}", folder.path().join("pid").display());
    let fixed = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"];
    let mut args: Vec<String> = fixed.iter().map(|&arg| arg.to_owned()).collect();
    args.extend([format!("--server=/consul/{}#{}", to.ip(), to.port()), "--user=".to_owned(), pid_file]);
    args.extend(["--listen-address=127.0.0.1".to_owned(), format!("--port={port}")]);
    let mut dnsmasq = Program::start(&program, &args, folder.path());
    let ask = |name: &str, kind: u16| dns::udp(address, name, kind, Some(1232)).ok();
    let answer = dnsmasq.until("an address", || ask("web.service.consul.", kind::A));
    assert_eq!((answer.rcode, answer.addresses()), (0, vec![IpAddr::from([127, 0, 0, 1])]), "{answer:?}");
    let answer = ask("v1.web.service.consul.", kind::SRV).expect("an answer");
    assert_eq!(answer.targets().len(), 1, "{answer:?}");
    assert_eq!(answer.targets()[0].0, 8080);
    let absent = ask("absent.service.consul.", kind::A).expect("an answer");
    assert_eq!((absent.rcode, absent.counts[1]), (3, 0), "{absent:?}");
    let over_tcp = dns::tcp(address, "web.service.consul.", kind::A).expect("an answer");
    assert_eq!(over_tcp.addresses(), [IpAddr::from([127, 0, 0, 1])]);
}
