//! dig asks this server every kind of question that people ask by hand.

use super::common::Server;
use super::program::find;
use super::register;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Dig {
    program: PathBuf,
    server: Server,
}

impl Dig {
    fn start() -> Option<Dig> {
        let program = find("dig")?;
        Some(Dig { program, server: Server::dev_with(&["-node=srv1"]) })
    }

    /// What dig prints; it must have had an answer.
    fn ask(&self, arguments: &str) -> String {
        let at = self.server.dns_addr();
        let mut command = Command::new(&self.program);
        command.args(["-r", &format!("@{}", at.ip()), "-p", &at.port().to_string(), "+timeout=5"]);
        let output = command.args(arguments.split(' ')).output().expect("dig");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "dig {arguments}: {}\n{text}", output.status);
        assert!(!text.contains("Warning"), "dig {arguments}: {text}");
        text
    }

    /// The data of the answer section, sorted.
    fn short(&self, arguments: &str) -> Vec<String> {
        let text = self.ask(&format!("{arguments} +short"));
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

fn node(server: &Server, name: &str, address: &str, meta: &str) {
    let meta: serde_json::Value = serde_json::from_str(meta).expect("JSON");
    let body = serde_json::json!({"Node": name, "Address": address, "NodeMeta": meta});
    server.put("/v1/catalog/register", body.to_string()).ok();
}

#[test]
fn dig_finds_every_kind_of_record() {
    let Some(dig) = Dig::start() else { return };
    register(&dig.server, "web", 8080, &["v1"], "passing");
    register(&dig.server, "web", 8081, &[], "critical");
    node(&dig.server, "n1", "10.1.0.1", r#"{"os": "linux", "rfc1035-00": "v=spf1 -all"}"#);
    node(&dig.server, "n6", "2001:db8::6", "{}");
    assert_eq!(dig.short("web.service.consul A"), ["127.0.0.1"]);
    assert_eq!(dig.short("_web._tcp.service.consul SRV"), ["1 1 8080 node-web-8080.node.dc1.consul."]);
    assert_eq!(dig.short("v1.web.service.dc1.consul SRV"), ["1 1 8080 node-web-8080.node.dc1.consul."]);
    assert_eq!(dig.short("n6.node.consul AAAA"), ["2001:db8::6"]);
    assert_eq!(dig.short("n1.node.consul TXT"), ["\"os=linux\"", "\"v=spf1 -all\""]);
    assert_eq!(dig.short("-x 10.1.0.1"), ["n1.node.dc1.consul."]);
    assert_eq!(dig.short("consul NS"), ["srv1.node.dc1.consul."]);
    let soa = dig.short("consul SOA");
    assert!(soa.len() == 1 && soa[0].starts_with("ns.consul. hostmaster.consul. "), "{soa:?}");
    assert!(soa[0].ends_with(" 3600 600 86400 0"), "{soa:?}");
}

#[test]
fn dig_reads_status_and_flags() {
    let Some(dig) = Dig::start() else { return };
    register(&dig.server, "web", 8080, &[], "passing");
    let found = dig.ask("web.service.consul A");
    assert!(found.contains("status: NOERROR") && found.contains("flags: qr aa rd;"), "{found}");
    let absent = dig.ask("absent.service.consul A");
    assert!(absent.contains("status: NXDOMAIN") && absent.contains("AUTHORITY: 1"), "{absent}");
    assert!(absent.contains("\tSOA\tns.consul. hostmaster.consul. "), "{absent}");
    let no_such_type = dig.ask("web.service.consul AAAA");
    assert!(no_such_type.contains("status: NOERROR") && no_such_type.contains("ANSWER: 0"), "{no_such_type}");
    let foreign = dig.ask("www.example.com A");
    assert!(foreign.contains("status: REFUSED"), "{foreign}");
    let edns = dig.ask("web.service.consul A +edns=0 +bufsize=1232");
    assert!(edns.contains("EDNS: version: 0, flags:; udp: 1232"), "{edns}");
    let plain = dig.ask("web.service.consul A +noedns");
    assert!(!plain.contains("EDNS"), "{plain}");
}

#[test]
fn dig_goes_on_over_tcp_when_an_answer_is_cut() {
    let Some(dig) = Dig::start() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    let Dig { program, .. } = dig;
    let dig = Dig { program, server: truncating(folder.path()) };
    for port in 7000..7060 {
        register(&dig.server, "many", port, &[], "passing");
    }
    let cut = dig.ask("many.service.consul SRV +noedns +ignore");
    assert!(cut.contains("flags: qr aa tc rd;"), "{cut}");
    assert!(dig.short("many.service.consul SRV +noedns").len() == 60, "all come over TCP");
    assert!(dig.short("many.service.consul SRV +tcp").len() == 60, "all come over TCP");
}

fn truncating(folder: &Path) -> Server {
    let file = folder.join("options.json");
    std::fs::write(&file, r#"{"dns_config": {"enable_truncate": true}}"#).expect("the file of options");
    Server::dev_with(&[&format!("-config-file={}", file.display())])
}
