//! Composition root.

use crate::config::Config;

/// Runs the agent until it is told to stop.
///
/// # Errors
/// A listener or store that cannot be opened.
pub async fn run(_config: Config) -> anyhow::Result<()> {
    Ok(())
}
