//! A transaction as clients write it. What is wrong with an operation by itself is its own failure; what is no
//! transaction at all is an error.

use super::catalog_register::{CheckBody, node_id};
use super::service_body::ServiceBody;
use crate::command::{BatchFailure, BatchOp, CatalogVerb, CheckOp, KvOp, KvVerb, NodeOp, ServiceOp};
use crate::http::error::Error;
use crate::http::json::{DecodeError, Json, Object};
use crate::model::limits::META_PAIRS_MAX;
use crate::model::{Check, Instance, InstanceKey, NodeRecord, ServiceKey, Text, names};
use bytes::Bytes;
use http::StatusCode;

/// What an object of the list may hold.
const KINDS: [&str; 4] = ["KV", "Node", "Service", "Check"];

/// An operation, or why it cannot even be tried.
type Decoded = Result<BatchOp, String>;

/// A transaction as it came.
#[derive(Debug, Default)]
pub(super) struct TxnBody {
    /// What to do.
    pub(super) ops: Vec<BatchOp>,
    /// Operations that fail whatever the state is.
    pub(super) failures: Vec<BatchFailure>,
    /// An operation of it may change something. As in Consul, an unknown verb on a key does not count, and one on
    /// anything else does.
    pub(super) writes: bool,
}

/// Reads a transaction of at most so many operations.
pub(super) fn decode(text: &str, ops_max: usize) -> Result<TxnBody, Error> {
    let unreadable = |reason: &dyn std::fmt::Display| Error::bad_request(format!("Failed to parse body: {reason}"));
    let list = Object::parse_list(text, "TxnOp", "api.TxnOps", "api.TxnOp").map_err(|e| unreadable(&e))?;
    if list.len() > ops_max {
        let text = format!("Transaction contains too many operations ({} > {ops_max})", list.len());
        return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let mut txn = TxnBody::default();
    for (index, object) in list.iter().enumerate() {
        if let Some(other) = object.names().find(|name| !KINDS.iter().any(|kind| kind.eq_ignore_ascii_case(name))) {
            return Err(unreadable(&format!("json: unknown field {other:?}")));
        }
        let Some((decoded, writes)) = operation(object).map_err(|e| unreadable(&e))? else { continue };
        txn.writes |= writes;
        match decoded {
            Ok(op) => txn.ops.push(op),
            Err(reason) => txn.failures.push(BatchFailure { index: index as u32, reason }),
        }
    }
    Ok(txn)
}

/// What reads the operation of a kind.
type Decode = fn(&Object<'_>) -> Result<Decoded, DecodeError>;

/// The operation, and whether it may change something.
fn operation(object: &Object<'_>) -> Result<Option<(Decoded, bool)>, DecodeError> {
    if let Some(op) = object.object("KV", "KVTxnOp", "api.KVTxnOp")? {
        let verb = op.text_of_type("Verb", "api.KVOp")?;
        let writes = matches!(verb, "set" | "cas" | "lock" | "unlock" | "delete" | "delete-tree" | "delete-cas");
        return Ok(Some((kv(&op)?, writes)));
    }
    let kinds: [(&str, &'static str, &str, Decode); 3] = [
        ("Node", "NodeTxnOp", "api.NodeTxnOp", node),
        ("Service", "ServiceTxnOp", "api.ServiceTxnOp", service),
        ("Check", "CheckTxnOp", "api.CheckTxnOp", check),
    ];
    for (kind, name, go_type, decode) in kinds {
        if let Some(op) = object.object(kind, name, go_type)? {
            let writes = !matches!(op.get("Verb"), Some(Json::String(verb)) if verb == "get");
            return Ok(Some((decode(&op)?, writes)));
        }
    }
    Ok(None)
}

fn kv(op: &Object<'_>) -> Result<Decoded, DecodeError> {
    let word = op.text_of_type("Verb", "api.KVOp")?;
    let key = op.text("Key")?;
    let (value, flags, index) = (op.bytes("Value")?, op.unsigned("Flags")?, op.unsigned("Index")?);
    let session: Text = op.text("Session")?.into();
    let verb = match word {
        "set" => KvVerb::Set,
        "cas" => KvVerb::Cas,
        "lock" => KvVerb::Lock,
        "unlock" => KvVerb::Unlock,
        "get" => KvVerb::Get,
        "get-tree" => KvVerb::GetTree,
        "check-index" => KvVerb::CheckIndex,
        "check-session" => KvVerb::CheckSession,
        "check-not-exists" => KvVerb::CheckNotExists,
        "delete" => KvVerb::Delete,
        "delete-tree" => KvVerb::DeleteTree,
        "delete-cas" => KvVerb::DeleteCas,
        other => return Ok(Ok(BatchOp::Unknown(format!("unknown KV verb {other:?}").into()))),
    };
    if key.is_empty() && verb != KvVerb::DeleteTree {
        return Ok(Err("Must provide key".to_owned()));
    }
    if let Err(invalid) = names::key("key", key.as_bytes())
        && !key.is_empty()
    {
        return Ok(Err(invalid.to_string()));
    }
    let key = Bytes::copy_from_slice(key.as_bytes());
    Ok(Ok(BatchOp::Kv(KvOp { verb, key, value: value.into(), flags, index, session })))
}

/// The verb, or why the operation fails.
fn catalog_verb(word: &str, kind: &str) -> Result<CatalogVerb, Text> {
    Ok(match word {
        "get" => CatalogVerb::Get,
        "set" => CatalogVerb::Set,
        "cas" => CatalogVerb::Cas,
        "delete" => CatalogVerb::Delete,
        "delete-cas" => CatalogVerb::DeleteCas,
        other => return Err(format!("unknown {kind} verb {other:?}").into()),
    })
}

fn writes(verb: CatalogVerb) -> bool {
    matches!(verb, CatalogVerb::Set | CatalogVerb::Cas)
}

fn node(op: &Object<'_>) -> Result<Decoded, DecodeError> {
    let verb = catalog_verb(op.text_of_type("Verb", "api.NodeOp")?, "Node");
    let Some(body) = op.object("Node", "Node", "api.Node")? else {
        return Ok(verb.map_or_else(|reason| Ok(BatchOp::Unknown(reason)), |_| Err("Must provide node".to_owned())));
    };
    let id = body.text("ID")?;
    let record = NodeRecord {
        name: body.text("Node")?.into(),
        address: body.text("Address")?.into(),
        tagged_addresses: body.pairs("TaggedAddresses")?.map(Into::into),
        meta: body.pairs("Meta")?.map(Into::into),
        ..NodeRecord::default()
    };
    let index = body.unsigned("ModifyIndex")?;
    let verb = match verb {
        Ok(verb) => verb,
        Err(reason) => return Ok(Ok(BatchOp::Unknown(reason))),
    };
    if verb != CatalogVerb::Get && record.name.is_empty() {
        return Ok(Err("Must provide node".to_owned()));
    }
    let id = match node_id(id) {
        Ok(id) => id,
        Err(bad) if verb == CatalogVerb::Get => {
            let why = bad.text.trim_start_matches("Bad node ID: ").to_owned();
            return Ok(Ok(BatchOp::Unknown(format!("node lookup by ID failed, wrong UUID: {why} for '{id}'").into())));
        }
        Err(bad) => return Ok(Err(bad.text.into_owned())),
    };
    let node = NodeRecord { id, ..record };
    if let Err(invalid) = if writes(verb) { check_node(&node) } else { Ok(()) } {
        return Ok(Err(invalid.to_string()));
    }
    Ok(Ok(BatchOp::Node(NodeOp { verb, node, index })))
}

fn check_node(node: &NodeRecord) -> Result<(), crate::model::Invalid> {
    names::name("Node", &node.name)?;
    names::optional_name("Address", &node.address)?;
    for (field, pairs) in [("TaggedAddresses", &node.tagged_addresses), ("Meta", &node.meta)] {
        let pairs = pairs.as_deref().unwrap_or_default().iter().map(|(k, v)| (k.as_str(), v.as_str()));
        names::pairs(field, META_PAIRS_MAX, pairs)?;
    }
    Ok(())
}

fn service(op: &Object<'_>) -> Result<Decoded, DecodeError> {
    let verb = catalog_verb(op.text_of_type("Verb", "api.ServiceOp")?, "Service");
    let node: Text = op.text("Node")?.into();
    let body = op.object("Service", "AgentService", "api.AgentService")?;
    let (name, id, index) = match &body {
        Some(body) => (body.text("Service")?, body.text("ID")?, body.unsigned("ModifyIndex")?),
        None => ("", "", 0),
    };
    let verb = match verb {
        Ok(verb) => verb,
        Err(reason) => return Ok(Ok(BatchOp::Unknown(reason))),
    };
    if !writes(verb) {
        // Only a write guesses it.
        let id = if id.is_empty() && verb != CatalogVerb::Get { name } else { id };
        let key = InstanceKey { service: ServiceKey::of(name), node, id: id.into() };
        let service = Instance::new(key, Text::default(), 0);
        return Ok(Ok(BatchOp::Service(ServiceOp { verb, service, index })));
    }
    let body = match body {
        Some(body) if !name.is_empty() => body,
        _ if id.is_empty() => return Ok(Err("failed inserting service: object missing primary index".to_owned())),
        _ => return Ok(Err("Must provide service name with ID".to_owned())),
    };
    let service = ServiceBody::decode_kept(&body).and_then(ServiceBody::into_instance);
    Ok(match service {
        Ok(service) => Ok(BatchOp::Service(ServiceOp { verb, service: Instance { node, ..service }, index })),
        Err(error) => Err(error.text.into_owned()),
    })
}

fn check(op: &Object<'_>) -> Result<Decoded, DecodeError> {
    let verb = catalog_verb(op.text_of_type("Verb", "api.CheckOp")?, "Check");
    let Some(body) = op.object("Check", "HealthCheck", "api.HealthCheck")? else {
        return Ok(
            verb.map_or_else(|reason| Ok(BatchOp::Unknown(reason)), |_| Err("Missing node registration".to_owned()))
        );
    };
    let index = body.unsigned("ModifyIndex")?;
    let (node, id, kind) = (Text::from(body.text("Node")?), body.text("CheckID")?, body.text("Type")?);
    let verb = match verb {
        Ok(verb) => verb,
        Err(reason) => return Ok(Ok(BatchOp::Unknown(reason))),
    };
    if !writes(verb) {
        let check = Check { id: id.into(), ..Check::default() };
        return Ok(Ok(BatchOp::Check(CheckOp { verb, node, service_id: Text::default(), check, index })));
    }
    if node.is_empty() {
        return Ok(Err("Missing node registration".to_owned()));
    }
    let decoded = CheckBody::decode(&body).and_then(|mut decoded| {
        // Unlike a registration, a transaction does not guess it.
        decoded.check.kind = kind.into();
        decoded.into_check(&node)
    });
    Ok(match decoded {
        Ok(found) => {
            let (service_id, check) = (found.service_id, found.check);
            Ok(BatchOp::Check(CheckOp { verb, node, service_id, check, index }))
        }
        Err(error) => Err(error.text.into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn failures_keep_the_place_of_their_operation() {
        let text = r#"[{},{"KV":{"Verb":"set","Key":""}},null,{"KV":{"Verb":"set","Key":"a","Value":"aGk="}}]"#;
        let txn = decode(text, 64).unwrap();
        assert_eq!((txn.ops.len(), txn.writes), (1, true));
        assert_eq!(txn.failures, [BatchFailure { index: 1, reason: "Must provide key".to_owned() }]);
        let error = decode(r#"[{"KV":{"Verb":"set","Key":"a","Value":"aGk$"}}]"#, 64).unwrap_err();
        assert_eq!(error.text, "Failed to parse body: illegal base64 data at input byte 3");
    }

    proptest! {
        #[test]
        fn any_body_is_answered(text in r#"[\[\]{}:,"a-zKVNodeServiceCheckVrbI0-9=-]{0,60}"#) {
            let _ = decode(&text, 64);
        }

        #[test]
        fn any_operation_is_answered(
            kind in prop::sample::select(KINDS.to_vec()), verb in "[a-z-]{0,10}", key in "\\PC{0,8}",
            value in prop_oneof![Just("null".to_owned()), "[0-9]{1,20}", "\"[A-Za-z0-9=]{0,8}\"", Just("{}".to_owned())],
            field in prop::sample::select(vec!["Key", "Value", "Flags", "Index", "Node", "Service", "Check", "ModifyIndex"]),
        ) {
            let key = serde_json::to_string(&key).unwrap();
            let _ = decode(&format!(r#"[{{"{kind}":{{"Verb":"{verb}","Key":{key},"{field}":{value}}}}}]"#), 64);
        }
    }
}
