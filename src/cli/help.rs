//! Help, rendered from the command tree in the shape that Consul's help has.

use clap::{Arg, Command};

const WIDTH: usize = 76;

/// The list of the commands of a group, or of all.
pub(crate) fn commands(program: &str, path: &[&str], group: &Command) -> String {
    let (usage, title) = if path.is_empty() {
        (format!("Usage: {program} [--version] [--help] <command> [<args>]"), "Available commands are:")
    } else {
        // The operator's commands take no arguments.
        let arguments = if path[0] == "operator" { "" } else { " [args]" };
        (format!("Usage: {program} {} <subcommand> [options]{arguments}", path.join(" ")), "Subcommands:")
    };
    let width = group.get_subcommands().map(|c| c.get_name().len()).max().unwrap_or(0);
    let mut text = format!("{usage}\n\n{title}\n");
    for command in group.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        text += &format!("    {:width$}    {about}\n", command.get_name());
    }
    text
}

/// The help of one command.
pub(crate) fn command(program: &str, path: &[&str], command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    // clap renders "Usage: " before the overridden text.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    format!("Usage: {program} {} {usage}\n\n  {about}.\n\n{}", path.join(" "), flags(command))
}

/// The flags of a command that are built.
pub(crate) fn flags(command: &Command) -> String {
    let mut text = "Options\n".to_owned();
    let mut flags: Vec<&Arg> = command.get_arguments().filter(|a| a.get_long().is_some()).collect();
    flags.sort_by_key(|a| a.get_long());
    for flag in flags {
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        if help.is_empty() {
            continue;
        }
        let value = if super::go_flags::is_switch(flag) { "" } else { "=<value>" };
        text += &format!("\n  -{}{value}\n", flag.get_long().unwrap_or_default());
        for line in wrap(&help) {
            text += &format!("     {line}\n");
        }
    }
    text
}

fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|l| !l.is_empty() && l.len() + 1 + word.len() > WIDTH - 5);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
