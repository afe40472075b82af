//! Flags in all ways of writing them, and whatever else may be typed.

use super::*;
use crate::cli::commands;
use crate::cli::flags::Flags;
use proptest::prelude::*;

fn args(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn agent() -> Command {
    commands::root().find_subcommand("agent").expect("listed").clone()
}

fn rewritten(list: &[&str]) -> Result<Parsed, Fault> {
    rewrite(&agent(), &args(list))
}

#[test]
fn both_ways_of_writing_flags() {
    let expected = args(&["agent", "--server=true", "--bootstrap-expect=1", "--http-port=8500", "--", "x", "-y"]);
    for given in [
        &["-server", "-bootstrap-expect=1", "-http-port", "8500", "x", "-y"][..],
        &["--server", "--bootstrap-expect", "1", "--http-port=8500", "--", "x", "-y"],
    ] {
        assert_eq!(rewritten(given), Ok(Parsed::Arguments(expected.clone())));
    }
}

#[test]
fn values_that_look_like_flags() {
    let expected = args(&["agent", "--http-port=-1", "--node=-dev", "--server=false", "--", "-"]);
    assert_eq!(
        rewritten(&["-http-port", "-1", "-node", "-dev", "-server=false", "-"]),
        Ok(Parsed::Arguments(expected))
    );
}

#[test]
fn faults() {
    assert_eq!(rewritten(&["-bogus"]), Err(Fault::Unknown("bogus".to_owned())));
    assert_eq!(rewritten(&["--bogus=1"]), Err(Fault::Unknown("bogus".to_owned())));
    assert_eq!(rewritten(&["-node"]), Err(Fault::NoValue("node".to_owned())));
    assert_eq!(rewritten(&["---dev"]), Err(Fault::Syntax("---dev".to_owned())));
    assert_eq!(rewritten(&["-=x"]), Err(Fault::Syntax("-=x".to_owned())));
    for help in ["-h", "-help", "--help", "--h"] {
        assert_eq!(rewritten(&["-dev", help]), Ok(Parsed::Help));
    }
}

/// A flag of the agent as someone may write it, with its name and value.
fn flag() -> impl Strategy<Value = (Vec<String>, String, String)> {
    let names: Vec<(String, bool)> =
        agent().get_arguments().filter_map(|a| Some((a.get_long()?.to_owned(), is_switch(a)))).collect();
    (proptest::sample::select(names), "[ -~]{0,8}", any::<bool>(), any::<bool>()).prop_map(
        |((name, switch), text, two, joined)| {
            let dashes = if two { "--" } else { "-" };
            let (words, value) = match (switch, joined) {
                (true, false) => (vec![format!("{dashes}{name}")], "true".to_owned()),
                (false, false) => (vec![format!("{dashes}{name}"), text.clone()], text),
                (_, true) => (vec![format!("{dashes}{name}={text}")], text),
            };
            (words, name, value)
        },
    )
}

proptest! {
    /// However flags are written, the command gets each name with its values in order, and the arguments untouched.
    #[test]
    fn nothing_is_lost_or_changed(
        flags in proptest::collection::vec(flag(), 0..6),
        rest in proptest::collection::vec("[ -~]{0,6}", 0..4),
    ) {
        let mut given: Vec<String> = flags.iter().flat_map(|(words, ..)| words.clone()).collect();
        given.push("--".to_owned());
        given.extend(rest.iter().cloned());
        let Ok(Parsed::Arguments(rewritten)) = rewrite(&agent(), &given) else {
            return Err(TestCaseError::fail("refused"));
        };
        let matches = agent().try_get_matches_from(&rewritten).map_err(|e| TestCaseError::fail(e.to_string()))?;
        for (_, name, _) in &flags {
            let expected: Vec<&String> = flags.iter().filter(|(_, n, _)| n == name).map(|(.., v)| v).collect();
            let got = matches.all(name);
            prop_assert_eq!(got.iter().collect::<Vec<_>>(), expected);
        }
        prop_assert_eq!(matches.arguments(), rest);
    }

    /// Whatever is typed, it is rewritten or refused; nothing panics, here or in clap.
    #[test]
    fn anything_may_be_typed(given in proptest::collection::vec("-{0,3}[a-z=]{0,6}", 0..6)) {
        for command in [agent(), commands::root().find_subcommand("members").expect("listed").clone()] {
            if let Ok(Parsed::Arguments(rewritten)) = rewrite(&command, &given) {
                // Values of switches may be wrong; that is said, not panicked about.
                let _ = command.clone().try_get_matches_from(rewritten);
            }
        }
    }
}
