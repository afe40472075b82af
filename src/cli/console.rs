//! What a command reads and writes besides HTTP, and how it ends.

use std::io::{Read, Write};

/// Standard streams and environment, handed in so that a test can look at them.
pub struct Console<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// Standard input.
    pub input: &'a mut dyn Read,
    /// A variable of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl Console<'_> {
    /// Writes text and a line end to standard output.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Exit> {
        self.print(text)?;
        self.print("\n")
    }

    /// Writes text to standard output.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Exit> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes to standard output.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Exit> {
        self.out.write_all(bytes).map_err(|e| Exit::failed(format!("Error writing output: {e}")))
    }

    /// Writes text and a line end to standard error; for what does not end the command.
    pub(crate) fn warn(&mut self, text: &str) {
        // There is nobody left to tell when standard error is gone.
        let _ = writeln!(self.err, "{text}");
    }

    /// Brings what was printed to its reader, before a command waits.
    pub(crate) fn flush(&mut self) -> Result<(), Exit> {
        self.out.flush().map_err(|e| Exit::failed(format!("Error writing output: {e}")))
    }

    /// The environment variable `LICTOR_<name>`, else `CONSUL_<name>`; an empty one is the same as none.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        ["LICTOR", "CONSUL"].iter().find_map(|p| (self.env)(&format!("{p}_{name}")).filter(|v| !v.is_empty()))
    }

    /// The data an argument stands for: `@file`, `-` for standard input, else itself.
    pub(crate) fn data(&mut self, argument: &str) -> Result<Vec<u8>, Exit> {
        if argument == "-" {
            let mut data = Vec::new();
            // One byte more than is allowed, so that too much is noticed.
            let read = (&mut self.input).take(DATA_BYTES_MAX + 1).read_to_end(&mut data);
            read.map_err(|e| Exit::failed(format!("Error! Failed to read stdin: {e}")))?;
            if data.len() as u64 > DATA_BYTES_MAX {
                return Err(Exit::failed(format!("Error! Failed to read stdin: more than {DATA_BYTES_MAX} bytes")));
            }
            return Ok(data);
        }
        match argument.strip_prefix('@') {
            Some(path) => std::fs::read(path)
                .map_err(|e| Exit::failed(format!("Error! Failed to read file: {}", open_error(path, &e)))),
            None => Ok(argument.as_bytes().to_vec()),
        }
    }
}

/// Go's text for a file that cannot be opened.
pub(crate) fn open_error(path: &str, error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    // The system's texts begin with a capital letter, Go's do not.
    format!("open {path}: {}", text.to_lowercase())
}

/// Standard input may not hold more.
const DATA_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The end of a command that has something to say on standard error, or a code of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    /// Without the line end; may be empty.
    pub(crate) message: String,
}

impl Exit {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Exit {
        Exit { code, message: message.into() }
    }

    /// Exit code 1 with a message.
    pub(crate) fn failed(message: impl Into<String>) -> Exit {
        Exit::new(1, message)
    }
}
