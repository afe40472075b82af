//! The client libraries of the ecosystem, unmodified, against this server: their own tests where they carry some, else
//! a program that calls every method. Of the Go client's harness one wait is left out. What runs and what is expected is
//! in `tests/ecosystem`; this starts it, one test per client, and a tool that is missing is told loudly and skipped.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// The runner's exit status for a tool that is not installed.
const MISSING_TOOL: i32 = 3;

/// One suite at a time: each of them keeps all cores busy, and some have time limits of their own.
static ALONE: Mutex<()> = Mutex::new(());

fn suite(name: &str) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command.arg(root.join("tests/ecosystem/run"));
    let server = std::env::var_os("LICTOR_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lictor").into());
    command.arg("--lictor").arg(server).arg(name);
    let output = match command.output() {
        Ok(output) => output,
        Err(e) => return skipped(name, &format!("python3 does not start: {e}")),
    };
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    match output.status.code() {
        Some(0) => println!("{text}"),
        Some(MISSING_TOOL) => skipped(name, text.trim()),
        _ => panic!("{name}: {}\n{text}", output.status),
    }
}

/// A skip is an error where everything must be installed.
fn skipped(name: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{name}: {why}");
    eprintln!("SKIPPED: {name}: {why}");
}

#[test]
fn go_api_of_the_time_of_consul_1_8() {
    suite("go-api-1.7");
}

#[test]
fn go_api_newest() {
    suite("go-api-1.34");
}

#[test]
fn npm_consul() {
    suite("npm-consul");
}

#[test]
fn py_consul() {
    suite("py-consul");
}

#[test]
fn rs_consul() {
    suite("rs-consul");
}
