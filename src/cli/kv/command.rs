//! The commands of `kv`, their flags and help.

use crate::cli::flags;
use clap::Command;

/// All of them.
pub(in crate::cli) fn command() -> Command {
    let cas = || flags::switch("cas", "Writes only if the key is still at -modify-index.");
    let index = || flags::number("modify-index", "ModifyIndex that the key must have, with -cas.").default_value("0");
    flags::group("kv", "Reads and writes the key-value store")
        .subcommand(
            flags::command("delete", "Removes keys", "[options] KEY_OR_PREFIX")
                .args(flags::server_flags())
                .arg(flags::namespace())
                .args([cas(), index(), flags::switch("recurse", "Removes all keys with the prefix.")]),
        )
        .subcommand(
            flags::command("export", "Prints keys as JSON", "[options] [PREFIX]")
                .args(flags::server_flags())
                .arg(flags::namespace()),
        )
        .subcommand(
            flags::command("get", "Reads a key, or lists keys", "[options] [KEY_OR_PREFIX]")
                .args(flags::server_flags())
                .arg(flags::namespace())
                .args([
                    flags::switch("base64", "Prints values in base 64."),
                    flags::switch("detailed", "Prints indexes, flags and session too."),
                    flags::switch("keys", "Lists the keys with the prefix, without values."),
                    flags::switch("recurse", "Prints all keys with the prefix."),
                    flags::value("separator", "Where -keys cuts keys.").default_value("/"),
                ]),
        )
        .subcommand(
            flags::command("import", "Writes keys from JSON", "[options] DATA|@FILE|-")
                .args(flags::server_flags())
                .arg(flags::namespace()),
        )
        .subcommand(
            flags::command("put", "Writes a key", "[options] KEY [DATA|@FILE|-]")
                .args(flags::server_flags())
                .arg(flags::namespace())
                .args([
                    flags::switch("acquire", "Takes the lock on the key for -session."),
                    flags::switch("base64", "Reads the data as base 64."),
                    cas(),
                    flags::number("flags", "Number to keep with the key.").default_value("0"),
                    index(),
                    flags::switch("release", "Gives up the lock on the key of -session."),
                    flags::value("session", "Session for -acquire and -release.").default_value(""),
                ]),
        )
}
