//! Dispatch, members, catalog, version and the client; the key-value commands have tests of their own.

mod agent;
mod servers;

use super::canned::{Canned, Outcome, lictor, named};

fn ok(out: &str) -> Outcome {
    Outcome::new(0, out, "")
}

fn failed(err: &str) -> Outcome {
    Outcome::new(1, "", err)
}

const MEMBERS: &str = r#"[
{"Name":"c1","Addr":"127.0.0.14","Port":28301,"Tags":{"build":"1.8.7:","dc":"dc1","role":"node","vsn":"2"},"Status":4,"ProtocolCur":2},
{"Name":"s1","Addr":"::1","Port":28301,"Tags":{"build":"1.8.7:","dc":"dc1","role":"consul"},"Status":1,"ProtocolCur":2}]"#;

#[tokio::test]
async fn members_in_a_table() {
    let (outcome, sent) = Canned::ask(&[(200, MEMBERS)], &["members"]).await;
    assert_eq!(sent, ["GET /v1/agent/members?segment=_all"]);
    assert_eq!(
        outcome,
        ok("Node  Address           Status  Type    Build  Protocol  DC   Segment\n\
            s1    [::1]:28301       alive   server  1.8.7  2         dc1  <all>\n\
            c1    127.0.0.14:28301  failed  client  1.8.7  2         dc1  <default>\n")
    );
}

#[tokio::test]
async fn members_detailed_and_by_status() {
    let (outcome, sent) = Canned::ask(&[(200, MEMBERS)], &["members", "-detailed", "--wan", "-status", "^fail"]).await;
    assert_eq!(sent, ["GET /v1/agent/members?segment=_all&wan=1"]);
    assert_eq!(
        outcome,
        ok("Node  Address           Status  Tags\n\
            c1    127.0.0.14:28301  failed  build=1.8.7:,dc=dc1,role=node,segment=<default>,vsn=2\n")
    );
}

#[tokio::test]
async fn no_members_is_exit_code_2() {
    let (outcome, _) = Canned::ask(&[(200, MEMBERS)], &["members", "-status=none"]).await;
    assert_eq!(outcome, Outcome::new(2, "", ""));
}

const NODES: &str = r#"[{"ID":"bf598bfb-0000","Node":"c1","Address":"127.0.0.14","Datacenter":"dc1",
"TaggedAddresses":{"lan":"127.0.0.14","wan":"127.0.0.14"},"Meta":null}]"#;

#[tokio::test]
async fn catalog_nodes() {
    let args = ["catalog", "nodes", "-stale", "-near=_agent", "-node-meta", "k=v", "-node-meta=z=1"];
    let (outcome, sent) = Canned::ask(&[(200, NODES)], &args).await;
    assert_eq!(sent, ["GET /v1/catalog/nodes?near=_agent&node-meta=k%3Av&node-meta=z%3A1"]);
    assert_eq!(outcome, ok("Node  ID        Address     DC\nc1    bf598bfb  127.0.0.14  dc1\n"));
    let (outcome, _) = Canned::ask(&[(200, NODES)], &["catalog", "nodes", "-detailed"]).await;
    assert_eq!(
        outcome,
        ok("Node  ID             Address     DC   TaggedAddresses                 Meta\n\
            c1    bf598bfb-0000  127.0.0.14  dc1  lan=127.0.0.14, wan=127.0.0.14  \n")
    );
    let (outcome, sent) = Canned::ask(&[(200, "[]")], &["catalog", "nodes", "-service=we b"]).await;
    assert_eq!(sent, ["GET /v1/catalog/service/we%20b"]);
    assert_eq!(outcome, Outcome::new(0, "", "No nodes match the given query - try expanding your search.\n"));
    assert_eq!(
        lictor(&["catalog", "nodes", "-node-meta=k"], "", &[]).await,
        failed("invalid value \"k\" for flag -node-meta: Missing \"=\" value in argument: k\n")
    );
}

#[tokio::test]
async fn catalog_services() {
    let body = r#"{"web":["b","a"],"consul":[]}"#;
    let (outcome, sent) = Canned::ask(&[(200, body)], &["catalog", "services", "-datacenter=dc2"]).await;
    assert_eq!((outcome, sent), (ok("consul\nweb\n"), vec!["GET /v1/catalog/services?dc=dc2".to_owned()]));
    let (outcome, _) = Canned::ask(&[(200, body)], &["catalog", "services", "-tags"]).await;
    assert_eq!(outcome, ok("consul      \nweb         a,b\n"));
    let none = Outcome::new(0, "", "No services match the given query - try expanding your search.\n");
    let (outcome, sent) = Canned::ask(&[(200, "null")], &["catalog", "services", "-node=zz"]).await;
    assert_eq!((outcome, sent), (none, vec!["GET /v1/catalog/node/zz".to_owned()]));
    let body = r#"{"Node":{},"Services":{"1":{"Service":"web","Tags":["x"]},"2":{"Service":"web","Tags":["y"]}}}"#;
    let (outcome, _) = Canned::ask(&[(200, body)], &["catalog", "services", "-node=n", "-tags"]).await;
    assert_eq!(outcome, ok("web      x,y\n"));
}

#[tokio::test]
async fn catalog_datacenters_and_errors_of_the_agent() {
    let (outcome, sent) = Canned::ask(&[(200, r#"["dc1","dc2"]"#)], &["catalog", "datacenters"]).await;
    assert_eq!((outcome, sent), (ok("dc1\ndc2\n"), vec!["GET /v1/catalog/datacenters".to_owned()]));
    let (outcome, _) = Canned::ask(&[(500, "No path to datacenter")], &["catalog", "services"]).await;
    assert_eq!(outcome, failed("Error listing services: Unexpected response code: 500 (No path to datacenter)\n"));
    assert_eq!(
        lictor(&["catalog", "datacenters", "x"], "", &[]).await,
        failed("Too many arguments (expected 0, got 1)\n")
    );
    let (outcome, _) = Canned::ask(&[(200, "{")], &["catalog", "datacenters"]).await;
    assert!(outcome.err.starts_with("Error listing datacenters: unexpected answer of the agent: "), "{outcome:?}");
}

#[tokio::test]
async fn tokens_and_addresses() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = dir.path().join("token");
    std::fs::write(&file, "from-file\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    for (flags, env, expected) in [
        (vec![], vec![], ""),
        (vec![], vec![("CONSUL_HTTP_TOKEN", "c")], " token=c"),
        (vec![], vec![("CONSUL_HTTP_TOKEN", "c"), ("LICTOR_HTTP_TOKEN", "l")], " token=l"),
        (vec!["-token-file", file], vec![("CONSUL_HTTP_TOKEN", "c")], " token=from-file"),
        (vec!["-token=t", "-token-file", file], vec![("CONSUL_HTTP_TOKEN", "c")], " token=from-file"),
    ] {
        let server = Canned::new(&[(200, "[]")]).await;
        let args = [&["catalog", "datacenters"], &flags[..]].concat();
        // The flag and LICTOR_ come before CONSUL_, which nobody answers.
        let address = [("CONSUL_HTTP_ADDR", "127.0.0.1:1"), ("LICTOR_HTTP_ADDR", server.address.as_str())];
        assert_eq!(lictor(&args, "", &[&address[..], &env[..]].concat()).await, ok(""));
        assert_eq!(server.requests().await, [format!("GET /v1/catalog/datacenters{expected}")]);
    }
}

#[tokio::test]
async fn addresses_and_tls_that_cannot_be_used() {
    for (args, env, expected) in [
        (vec!["-http-addr=ftp://x"], vec![], "Error connecting to Consul agent: Unknown protocol scheme: ftp\n"),
        (
            vec!["-http-addr=https://x", "-client-cert=c"],
            vec![],
            "Error connecting to Consul agent: both client cert and client key must be provided\n",
        ),
        (
            vec!["-token-file=/no/such"],
            vec![("CONSUL_HTTP_SSL", "false")],
            "Error connecting to Consul agent: Error loading token file: open /no/such: no such file or directory\n",
        ),
    ] {
        let args = [&["catalog", "datacenters"], &args[..]].concat();
        assert_eq!(lictor(&args, "", &env).await, failed(expected));
    }
    let env = [("CONSUL_HTTP_SSL", "true"), ("CONSUL_CACERT", "/no/such.pem"), ("CONSUL_HTTP_ADDR", "127.0.0.1:1")];
    let outcome = lictor(&["members"], "", &env).await;
    assert!(outcome.err.starts_with("Error connecting to Consul agent: /no/such.pem: "), "{outcome:?}");
}

#[tokio::test]
async fn namespaces_are_for_the_agent_to_judge() {
    let answer = [(400, "Bad request: no namespaces")];
    let (outcome, sent) = Canned::ask(&answer, &["catalog", "services", "-namespace=x"]).await;
    assert_eq!(sent, ["GET /v1/catalog/services?ns=x"]);
    assert_eq!(outcome, failed("Error listing services: Unexpected response code: 400 (Bad request: no namespaces)\n"));
}

#[tokio::test]
async fn nobody_listens() {
    // A port that was free a moment ago and has no listener now.
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let env = [("CONSUL_HTTP_ADDR", address.to_string())];
    let env: Vec<_> = env.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(
        lictor(&["members"], "", &env).await,
        failed(&format!(
            "Error retrieving members: Get \"http://{address}/v1/agent/members?segment=_all\": dial tcp {address}: \
             connect: connection refused\n"
        ))
    );
    assert_eq!(
        lictor(&["members", "-http-addr=unix:///no/such"], "", &[]).await.err,
        "Error retrieving members: Get \"http://%2Fno%2Fsuch/v1/agent/members?segment=_all\": dial unix /no/such: \
         connect: no such file or directory\n"
    );
}

#[tokio::test]
async fn versions() {
    let own = concat!("Lictor v", env!("CARGO_PKG_VERSION"), "\n");
    for flag in ["version", "-v", "--version"] {
        assert_eq!(lictor(&[flag], "", &[]).await, ok(own));
    }
    let consul = "Consul v1.8.7\nProtocol 2 spoken by default, understands 2 to 3 (agent will automatically use \
                  protocol >2 when speaking to compatible agents)\n\n";
    assert_eq!(named("consul", &["version"], "", &[]).await, ok(consul));
    let json: serde_json::Value =
        serde_json::from_str(&named("consul", &["version", "-format=json"], "", &[]).await.out).expect("JSON");
    assert_eq!((json["Version"].as_str(), json["RPC"]["Max"].as_u64()), (Some("1.8.7"), Some(3)));
    assert_eq!(lictor(&["version", "-format=x"], "", &[]).await, failed("Unknown format: x\n"));
}

#[tokio::test]
async fn help_and_unknown_commands() {
    let help = lictor(&["-h"], "", &[]).await;
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.starts_with("Usage: lictor [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n"));
    assert!(help.out.contains("\n    members        Lists the members of a cluster\n"), "{}", help.out);
    for args in [&[][..], &["bogus"]] {
        assert_eq!(lictor(args, "", &[]).await, Outcome::new(127, "", &help.out));
    }
    let kv = lictor(&["kv"], "", &[]).await;
    assert_eq!(kv.code, 1);
    assert!(kv.err.starts_with("Usage: lictor kv <subcommand> [options] [args]\n\nSubcommands:\n"), "{}", kv.err);
    for (args, name) in [(&["acl", "token", "list"][..], "acl"), (&["snapshot", "agent"], "snapshot agent")] {
        let refused = lictor(args, "", &[]).await;
        assert_eq!((refused.code, refused.out.as_str()), (1, ""));
        assert!(refused.err.starts_with(&format!("The command {name:?} is not available: ")), "{}", refused.err);
    }
    let refused = lictor(&["-autocomplete-install"], "", &[]).await;
    assert_eq!((refused.code, refused.err.contains("-autocomplete-install is not available")), (1, true));
    let misplaced = lictor(&["-http-addr=x", "members"], "", &[]).await;
    assert_eq!(misplaced.code, 1);
    assert!(misplaced.err.starts_with("Invalid flags before the subcommand: -http-addr=x. "), "{}", misplaced.err);
    for args in [&["kv", "put", "k", "v", "-h"][..], &["members", "--help"]] {
        assert!(lictor(args, "", &[]).await.out.starts_with("Usage: lictor "));
    }
    let get = lictor(&["kv", "get", "-h"], "", &[]).await;
    assert_eq!(get.code, 0);
    assert!(get.out.starts_with("Usage: lictor kv get [options] [KEY_OR_PREFIX]\n\n  Reads a key, or lists keys.\n"));
    assert!(get.out.contains("\n  -separator=<value>\n     Where -keys cuts keys.\n"), "{}", get.out);
    let bogus = lictor(&["kv", "get", "-bogus"], "", &[]).await;
    assert_eq!(bogus.code, 1);
    assert!(bogus.err.starts_with("flag provided but not defined: -bogus\n\nOptions\n\n  -base64\n"), "{}", bogus.err);
}

#[tokio::test]
async fn every_command_has_code() {
    fn leaves(path: &[String], command: &clap::Command, found: &mut Vec<Vec<String>>) {
        for sub in command.get_subcommands() {
            let path = [path, &[sub.get_name().to_owned()]].concat();
            if sub.has_subcommands() { leaves(&path, sub, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    leaves(&[], &super::commands::root(), &mut found);
    assert_eq!(found.len(), 37);
    for path in found {
        // An address that no command accepts, but for those that use none.
        let args: Vec<&str> = path.iter().map(String::as_str).collect();
        let outcome = lictor(&args, "", &[("CONSUL_HTTP_ADDR", "ftp://x")]).await;
        assert!(!outcome.err.contains("has no code"), "{path:?}");
    }
}

#[tokio::test]
async fn bad_configurations_end_the_agent() {
    for (args, expected) in [
        (&["-dev", "extra"][..], "==> Unexpected extra arguments: [extra]\n"),
        (&["-dev", "-retry-join-wan=x"], "==> -retry-join-wan is not built yet: this version knows one datacenter\n"),
        (&["--dev", "--http-port", "99999"], "==> 1 error occurred:\n\t* ports.http: invalid port: 99999\n\n"),
        (
            &["-dev", "-config-file=/no/such.json"],
            "==> config: Open failed on /no/such.json. open /no/such.json: no such file or directory\n",
        ),
    ] {
        assert_eq!(lictor(&[&["agent"], args].concat(), "", &[]).await, failed(expected));
    }
}

#[tokio::test]
async fn an_agent_behind_a_unix_socket() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("http.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("bound");
    let agent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut bytes).await.expect("readable"), 0);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n[\"dc1\"]").await.expect("answered");
        bytes
    });
    let address = format!("unix://{}", path.display());
    assert_eq!(lictor(&["catalog", "datacenters", "-http-addr", &address], "", &[]).await, ok("dc1\n"));
    let sent = agent.await.expect("the agent ran");
    assert!(sent.starts_with(b"GET /v1/catalog/datacenters HTTP/1.1\r\n"));
}
