//! What fuzzing asks of the bodies of requests: each is read or refused in words.
//!
//! Must never: be part of the program.

use super::{catalog_register, service_body::ServiceBody};
use crate::http::json::Object;

/// Reads a body as that of one of the endpoints.
pub(crate) fn body(which: u8, text: &str) {
    let Ok(body) = Object::parse(text, "", "struct") else { return };
    match which & 1 {
        0 => drop(catalog_register::decode(&body)),
        _ => {
            if let Ok(mut service) = ServiceBody::decode(&body, "Name") {
                let valid = service.0.validate().is_ok();
                service.0.add_default_addresses();
                let instance = service.into_instance();
                assert!(!valid || instance.is_ok() || text.len() > 128, "{text}");
            }
        }
    }
}
