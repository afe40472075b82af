//! Tests over a real loopback server.
