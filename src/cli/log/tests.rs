//! Times, and the two shapes of a line.

use super::*;
use std::io::Write;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn times() {
    for (ms, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
        (1_795_341_618_302, "2026-11-22T10:00:18.302Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(timestamp(ms), expected);
    }
}

/// What two events look like.
fn logged(json: bool) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .event_format(Lines { clock: Clock::manual(1_795_341_618_302, 1), json })
        .finish();
    tracing::subscriber::with_default(log, || {
        tracing::info!(target: "lictor::agent::checks", name = "a b", empty = "", port = 8500, on = true, "it \"works\"");
        tracing::error!(target: "h2::client", "one\nline");
    });
    String::from_utf8(sink.0.lock().expect("not poisoned").clone()).expect("UTF-8")
}

#[test]
fn a_line_is_like_consul_s() {
    assert_eq!(
        logged(false),
        "    2026-11-22T10:00:18.302Z [INFO]  agent: it \"works\": empty=\"\" name=\"a b\" on=true port=8500\n    \
         2026-11-22T10:00:18.302Z [ERROR] h2: one\\nline\n"
    );
}

#[test]
fn json_has_consul_s_keys() {
    let lines: Vec<Value> = logged(true).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(
        lines[0],
        serde_json::json!({"@level": "info", "@message": "it \"works\"", "@module": "agent",
            "@timestamp": "2026-11-22T10:00:18.302Z", "empty": "", "name": "a b", "on": true, "port": 8500})
    );
    assert_eq!(lines[1]["@message"], "one\nline");
}
