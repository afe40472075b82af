//! Commands beside what Consul 1.8.7's own command line did, as tests/golden/record_cli.py has recorded it; our binary,
//! called `consul`, against our server.

use crate::common::Server;
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A command that has not ended after this waits for what does not come, such as an endpoint that is not built.
const PATIENCE: Duration = Duration::from_secs(20);
const LICTOR: &str = env!("CARGO_BIN_EXE_lictor");

/// What differs from run to run, as tests/golden/record_cli.py replaces it.
struct Normal {
    replaced: Vec<(Regex, &'static str)>,
    blanks: Regex,
}

impl Normal {
    fn new(server: &Server) -> Normal {
        let regex = |text: &str| Regex::new(text).expect("a regex");
        let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
        let mut replaced = vec![(regex(&regex::escape(&server.http_addr().to_string())), "<http>")];
        for (name, port) in ports(server) {
            replaced.push((regex(&format!(r":{port}\b")), name));
        }
        replaced.extend([
            (regex(uuid), "<uuid>"),
            (regex(r#"\b(CreateIndex|ModifyIndex)("?:? *)[1-9][0-9]*"#), "$1$2<index>"),
            (regex(r"\bto index [0-9]+"), "to index <index>"),
            (regex(r"\brtt: [0-9.]+ ms"), "rtt: <time> ms"),
            (regex(r"\bpid [0-9]+"), "pid <pid>"),
            (regex("(?m)^[A-Za-z0-9+/]{43}=$"), "<key>"),
        ]);
        Normal { replaced, blanks: regex(r"[ -]{2,}|\t+") }
    }

    fn text(&self, text: &str, loose: bool) -> String {
        let mut text = text.to_owned();
        for (regex, with) in &self.replaced {
            text = regex.replace_all(&text, *with).into_owned();
        }
        let text = versions(&short_ids(&text));
        if loose { self.blanks.replace_all(&text, " ").into_owned() } else { text }
    }
}

/// Words of eight hexadecimal digits, of which one is a digit.
fn short_ids(text: &str) -> String {
    let words = Regex::new(r"\b[0-9a-f]{8}\b").expect("a regex");
    let id = |found: &regex::Captures<'_>| {
        let word = &found[0];
        if word.contains(|c: char| c.is_ascii_digit()) { "<id>".to_owned() } else { word.to_owned() }
    };
    words.replace_all(text, id).into_owned()
}

/// Three numbers with points, unless they are a part of an address.
fn versions(text: &str) -> String {
    let numbers = Regex::new(r"[0-9.]*[0-9]").expect("a regex");
    let version = Regex::new(r"^[0-9]+\.[0-9]+\.[0-9]+$").expect("a regex");
    let replace = |found: &regex::Captures<'_>| {
        if version.is_match(&found[0]) { "<version>".to_owned() } else { found[0].to_owned() }
    };
    numbers.replace_all(text, replace).into_owned()
}

/// The server's other ports, as its API tells them.
fn ports(server: &Server) -> Vec<(&'static str, u64)> {
    let own: Value = serde_json::from_str(&server.get("/v1/agent/self").text()).expect("JSON");
    let member = &own["Member"];
    let server_port = member["Tags"]["port"].as_str().and_then(|p| p.parse().ok());
    let lan = member["Port"].as_u64();
    [(":<server>", server_port), (":<lan>", lan)]
        .into_iter()
        .filter_map(|(n, p)| Some((n, p.filter(|&p| p > 0)?)))
        .collect()
}

/// Where commands run: our binary under the name that scripts call, and an empty directory.
struct Stage {
    program: PathBuf,
    directory: tempfile::TempDir,
    address: String,
}

impl Stage {
    fn new(server: &Server) -> Stage {
        let directory = tempfile::tempdir().expect("a directory");
        let bin = directory.path().join("bin");
        std::fs::create_dir(&bin).expect("a directory");
        let program = bin.join("consul");
        std::os::unix::fs::symlink(LICTOR, &program).expect("a link");
        std::fs::create_dir(directory.path().join("cwd")).expect("a directory");
        Stage { program, directory, address: server.http_addr().to_string() }
    }

    fn cwd(&self) -> PathBuf {
        self.directory.path().join("cwd")
    }

    fn run(&self, args: &[String], case: &Value) -> Output {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars().filter(|(n, _)| n.starts_with("CONSUL_") || n.starts_with("LICTOR_")) {
            command.env_remove(name);
        }
        command.args(args).current_dir(self.cwd()).env("CONSUL_HTTP_ADDR", &self.address).env("SHELL", "/bin/sh");
        command.env("BINARY", &self.program);
        for (name, value) in case["env"].as_object().into_iter().flatten() {
            command.env(name, value.as_str().expect("a text"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let input = case["stdin"].as_str().unwrap_or_default();
        // A command that does not read its input has closed it.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let (done, ended) = channel::<()>();
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        let watchdog = std::thread::spawn(move || {
            if ended.recv_timeout(PATIENCE).is_err() {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let output = child.wait_with_output().expect("the binary ends");
        let _ = done.send(());
        watchdog.join().expect("the watchdog ends");
        output
    }
}

struct Replay<'a> {
    server: &'a Server,
    stage: Stage,
    normal: Normal,
    captured: BTreeMap<String, String>,
    compared: usize,
    /// Requests that our server does not answer yet. The replay ends at the first.
    not_built: usize,
    /// The arguments of the last command, as failures begin.
    last: String,
    wrong: Vec<String>,
}

impl Replay<'_> {
    fn filled(&self, text: &Value) -> String {
        let mut text = text.as_str().expect("a text").to_owned();
        for (name, value) in &self.captured {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }

    fn case(&mut self, case: &Value) {
        let answer = if let Some(file) = case["file"].as_array() {
            let path = self.stage.cwd().join(file[0].as_str().expect("a name"));
            std::fs::write(path, self.filled(&file[1])).expect("written");
            return;
        } else if let Some(http) = case["http"].as_array() {
            let (target, body) = (self.filled(&http[1]), self.filled(&http[2]));
            let reply = self.server.request(http[0].as_str().expect("a method"), &target, &[], body.as_bytes());
            self.not_built += usize::from(reply.status == 501);
            reply.text()
        } else {
            let args: Vec<String> =
                case["args"].as_array().expect("arguments").iter().map(|a| self.filled(a)).collect();
            let output = self.stage.run(&args, case);
            self.compare(&args, case, &output);
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        if let Some(capture) = case["capture"].as_array() {
            let pattern = format!("(?m){}", capture[1].as_str().expect("a regex"));
            let found = Regex::new(&pattern).expect("a regex").captures(&answer).map(|c| c[1].to_owned());
            let name = capture[0].as_str().expect("a name").to_owned();
            self.captured.insert(name, found.unwrap_or_default());
        }
    }

    fn compare(&mut self, args: &[String], case: &Value, output: &Output) {
        self.compared += 1;
        self.last = format!("{args:?} ");
        let compare = case["compare"].as_str().unwrap_or("all");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut err = text(&output.stderr);
        self.not_built += usize::from(err.contains(" is not built yet"));
        if compare == "first" {
            err = err.split('\n').next().unwrap_or_default().to_owned();
        }
        let clean = |text: &str| Value::from(self.normal.text(text, compare == "loose"));
        let found = [
            ("code", Value::from(output.status.code())),
            ("stdout", clean(&text(&output.stdout))),
            ("stderr", clean(&err)),
        ];
        for (part, found) in found {
            let ours = &case["lictor"][part];
            let expected = if ours.is_null() { &case["outcome"][part] } else { ours };
            if found != *expected {
                self.wrong.push(format!("{args:?} {part}\n     {found}\n  instead of\n     {expected}"));
            }
        }
    }
}

/// Replays one file on a fresh server.
fn replay(name: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::durable_with(dir.path(), &["-node=golden"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli").join(name);
    let cases: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(&path).expect("readable")).expect("a list of cases");
    let (stage, normal) = (Stage::new(&server), Normal::new(&server));
    let mut replay = Replay {
        server: &server,
        stage,
        normal,
        captured: BTreeMap::new(),
        compared: 0,
        not_built: 0,
        last: String::new(),
        wrong: Vec::new(),
    };
    for case in &cases {
        replay.case(case);
        if replay.not_built > 0 {
            break;
        }
    }
    if replay.not_built > 0 {
        // The cases build on each other: those after one that cannot be run say nothing, those before it count.
        eprintln!("CUT SHORT: {name}: case {} of {} needs what is not built yet", replay.compared, cases.len());
        replay.wrong.retain(|text| !text.starts_with(&replay.last));
    }
    let wrong = &replay.wrong;
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), replay.compared, wrong.join("\n"));
}

#[test]
fn arguments() {
    replay("10_arguments.json");
}

#[test]
fn kv() {
    replay("20_kv.json");
}

#[test]
fn catalog() {
    replay("30_catalog.json");
}

#[test]
fn agent() {
    replay("40_agent.json");
}

#[test]
fn operator_and_snapshots() {
    replay("50_operator.json");
}

#[test]
fn lock() {
    replay("60_lock.json");
}
