//! `keygen`: a key for the encryption of gossip.

use super::console::{Console, Exit};
use super::flags;
use crate::clock::Clock;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Command;

pub(super) fn command() -> Command {
    flags::command("keygen", "Generates a key for the encryption of gossip", "")
}

pub(super) fn run(console: &mut Console<'_>) -> Result<(), Exit> {
    let clock = Clock::system();
    console.line(&STANDARD.encode([clock.random(), clock.random()].concat()))
}
