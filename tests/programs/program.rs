//! A program as a child process, and waiting for what it says.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a program must show within this; some of them gather changes for five seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// These programs tell nobody of a change; they can only be asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Where a program is: in the path, in the folder of the system's programs, or where `.ci/install` unpacks.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bullseye/usr/bin");
    // Debian's newer Prometheus has no consul_sd: the unpacked one comes first.
    let folders = std::iter::once(unpacked).chain(std::env::split_paths(&path)).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
        eprintln!("SKIPPED: {name} is not installed (.ci/install brings it)");
    }
    found
}

/// A running program; killed when dropped, and its output shown when the test fails.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it with its output in `folder`.
    pub(crate) fn start(program: &Path, args: &[String], folder: &Path) -> Self {
        let log = folder.join("output");
        let file = std::fs::File::create(&log).expect("a file for the output");
        let errors = file.try_clone().expect("the same file");
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        Program { child, log }
    }

    /// Asks until the answer is some; panics when it takes too long or the program has ended.
    pub(crate) fn until<T>(&mut self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            let ended = self.child.try_wait().expect("the state of the child");
            assert!(ended.is_none(), "waiting for {what}: the program has ended: {ended:?}");
            assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
            std::thread::sleep(ASK_AGAIN);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = std::fs::read(&self.log).unwrap_or_default();
            eprintln!("--- the program's output ---\n{}", String::from_utf8_lossy(&text));
        }
    }
}

/// A port that is free for TCP and UDP: these programs cannot say which port they were given.
pub(crate) fn free_port() -> u16 {
    let both = || {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let port = tcp.local_addr().ok()?.port();
        UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
    };
    (0..100).find_map(|_| both()).expect("a free port")
}
