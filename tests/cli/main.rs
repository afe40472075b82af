//! The binary itself: exit codes, streams, and the name it is started by.

#[path = "../common/mod.rs"]
mod common;
mod golden;
mod peer;

use std::path::Path;
use std::process::{Command, Output};

const LICTOR: &str = env!("CARGO_BIN_EXE_lictor");

fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).env_remove("CONSUL_HTTP_ADDR").output().expect("the binary starts")
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn version_and_the_name_of_the_program() {
    let own = format!("Lictor v{}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(texts(&run(LICTOR.as_ref(), &["version"])), (Some(0), own, String::new()));
    let dir = tempfile::tempdir().expect("temporary directory");
    let link = dir.path().join("consul");
    std::os::unix::fs::symlink(LICTOR, &link).expect("linked");
    let (code, out, err) = texts(&run(&link, &["version"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("Consul v1.8.7\nProtocol 2 spoken by default"), "{out}");
}

#[test]
fn unknown_commands_and_none() {
    for args in [&[][..], &["bogus"]] {
        let (code, out, err) = texts(&run(LICTOR.as_ref(), args));
        assert_eq!((code, out.as_str()), (Some(127), ""));
        assert!(err.starts_with("Usage: lictor [--version] [--help] <command> [<args>]\n"), "{err}");
    }
    let (code, out, err) = texts(&run(LICTOR.as_ref(), &["-h"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("\n    agent          Runs an agent\n"), "{out}");
}

#[test]
fn a_bad_configuration_is_named_on_standard_error() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = dir.path().join("bad.json");
    std::fs::write(&file, r#"{"bogus":1}"#).expect("written");
    let file = file.to_str().expect("UTF-8");
    let (code, out, err) = texts(&run(LICTOR.as_ref(), &["agent", "-dev", "-config-file", file]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, format!("==> failed to parse {file}: 1 error occurred:\n\t* invalid config key bogus\n\n"));
}

#[test]
fn an_argument_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let arg = std::ffi::OsStr::from_bytes(b"\xff");
    let output = Command::new(LICTOR).arg("version").arg(arg).output().expect("the binary starts");
    let (code, _, err) = texts(&output);
    assert_eq!(code, Some(1));
    assert!(err.contains("argument 2 is not UTF-8"), "{err}");
}
