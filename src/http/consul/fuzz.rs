//! What fuzzing asks of the bodies of requests: each is read or refused in words.
//!
//! Must never: be part of the program.

use super::service_body::ServiceBody;
use super::{catalog_register, check_body, query_body, session_create, txn_body};
use crate::http::json::Object;
use std::time::Duration;

/// Reads a body as that of one of the endpoints.
pub(crate) fn body(which: u8, text: &str) {
    if which % 6 == 5 {
        return drop(txn_body::decode(text, 64));
    }
    let Ok(body) = Object::parse(text, "", "struct") else { return };
    match which % 6 {
        0 => drop(catalog_register::decode(&body)),
        2 => drop(check_body::decode(&body).map(|check| check.validate())),
        3 => drop(query_body::decode(&body)),
        4 => drop(session_create::decode(&body, "n", Duration::from_secs(10))),
        _ => {
            if let Ok(mut service) = ServiceBody::decode(&body, "Name") {
                let _ = service.0.validate();
                if let Ok(Some(sidecar)) = service.0.take_sidecar() {
                    let _ = sidecar.at(1).validate();
                }
                service.0.add_default_addresses();
                if let Err(error) = service.into_instance() {
                    assert!(!error.text.is_empty(), "{text}");
                }
            }
        }
    }
}
