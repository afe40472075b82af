//! Where lines go: standard output, and a file and syslog where they are asked for.

use super::file::Rotating;
use crate::clock::Clock;
use crate::config::LogSettings;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, PoisonError};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Where syslog listens, by system.
const SYSLOG_SOCKETS: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];
/// What syslog calls us.
const TAG: &str = "lictor";

/// All outputs of the log.
pub(super) struct Outputs {
    file: Option<Mutex<Rotating>>,
    syslog: Option<Syslog>,
}

struct Syslog {
    socket: UnixDatagram,
    facility: u8,
}

impl Outputs {
    /// Opens them.
    pub(super) fn open(settings: &LogSettings, clock: &Clock) -> Result<Outputs, String> {
        let file = settings.file.as_ref().map(|file| {
            let opened = Rotating::open(file, clock.clone());
            opened.map(Mutex::new).map_err(|e| format!("log_file {}: cannot open it: {e}", file.path.display()))
        });
        let syslog = settings.syslog.map(|facility| {
            let socket =
                UnixDatagram::unbound().and_then(|socket| {
                    SYSLOG_SOCKETS.iter().map(|path| socket.connect(path)).find(Result::is_ok).unwrap_or_else(
                        || Err(io::Error::new(io::ErrorKind::NotFound, "no socket of syslog was found")),
                    )?;
                    // A syslog that does not read must not stop the agent.
                    socket.set_nonblocking(true)?;
                    Ok(socket)
                });
            socket
                .map(|socket| Syslog { socket, facility })
                .map_err(|e| format!("enable_syslog: Syslog setup failed: {e}"))
        });
        Ok(Outputs { file: file.transpose()?, syslog: syslog.transpose()? })
    }
}

/// One line on its way.
pub(super) struct Line<'a> {
    outputs: &'a Outputs,
    level: Level,
}

impl<'a> MakeWriter<'a> for Outputs {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { outputs: self, level: Level::INFO }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { outputs: self, level: *meta.level() }
    }
}

impl Write for Line<'_> {
    /// A line whose file or syslog cannot be written is still on standard output.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = io::stdout().lock().write_all(line);
        if let Some(file) = &self.outputs.file {
            // A panic elsewhere cannot leave half a line: it is one call.
            let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write(line);
        }
        if let Some(syslog) = &self.outputs.syslog {
            let severity = match self.level {
                Level::ERROR => 3,
                Level::WARN => 4,
                Level::INFO => 6,
                Level::DEBUG | Level::TRACE => 7,
            };
            let priority = u32::from(syslog.facility) * 8 + severity;
            let text = String::from_utf8_lossy(line);
            let message = format!("<{priority}>{TAG}[{}]: {}", std::process::id(), text.trim());
            let _ = syslog.socket.send(message.as_bytes());
        }
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}
