//! Watches: what is looked at (`target`, of its parameters in `params`), and what is run when it changes (`handler`).
//!
//! The runners are [`crate::agent`]'s, for the `watches` of configuration files, and the command line's. Missing: the
//! types of the mesh.

mod handler;
mod params;
mod target;

pub use handler::WatchHandler;
pub use params::Params;
use serde_json::Value;
pub use target::{Seen, Watch, WatchTarget};

/// One of the `watches` of configuration files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchPlan {
    /// What is looked at.
    pub watch: Watch,
    /// What is done with a new result.
    pub handler: WatchHandler,
}

/// Reads one of the `watches`; errors are in Consul's words where it has some.
pub(super) fn parse(value: Value) -> Result<WatchPlan, String> {
    let Value::Object(params) = value else {
        return Err(format!("'watches' expected a map, got '{}'", super::kind::go_type(&value)));
    };
    let mut params = Params::new(params);
    // There is one datacenter, and no access control.
    for name in ["datacenter", "token", "token_file"] {
        params.text(name)?;
    }
    let type_name = match params.text("type")?.as_str() {
        "" => return Err("Watch type must be specified".to_owned()),
        mesh if mesh.starts_with("connect_") => {
            return Err(format!("Watch type {mesh} is not allowed in agent config"));
        }
        other => other.to_owned(),
    };
    let handler = WatchHandler::take(&mut params)?;
    let watch = Watch::take(&type_name, &mut params)?;
    params.end()?;
    Ok(WatchPlan { watch, handler })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plan_has_a_target_and_a_handler() {
        let plan = parse(json!({"type": "nodes", "datacenter": "dc1", "token": "x", "stale": true, "args": ["true"]}));
        let expected = WatchPlan {
            watch: Watch { target: WatchTarget::Nodes, stale: true },
            handler: WatchHandler::Program(vec!["true".to_owned()]),
        };
        assert_eq!(plan, Ok(expected));
    }

    #[test]
    fn refusals() {
        for (value, expected) in [
            (json!({"args": ["a"]}), "Watch type must be specified"),
            (json!({"type": "bogus", "args": ["a"]}), "Unsupported watch type: bogus"),
            (json!({"type": "connect_leaf", "args": ["a"]}), "Watch type connect_leaf is not allowed in agent config"),
            (json!({"type": "nodes", "datacenter": 5, "args": ["a"]}), "Expecting datacenter to be a string"),
            (json!({"type": "nodes"}), "Must define a watch handler"),
            (json!({"type": "nodes", "args": ["a"], "x": 1}), "Invalid parameters: [x]"),
            (json!(["a"]), "'watches' expected a map, got 'slice'"),
        ] {
            assert_eq!(parse(value), Err(expected.to_owned()));
        }
    }
}
