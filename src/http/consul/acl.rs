//! /v1/acl and what belongs to it: access control is off, and every one of these endpoints says so, whatever is asked.
//! Missing: access control.

use crate::http::call::Call;
use crate::http::error::Error;
use crate::http::reply::Answer;
use http::StatusCode;

/// Any of the endpoints.
pub(super) async fn disabled(_: Call) -> Result<Answer, Error> {
    Err(Error::new(StatusCode::UNAUTHORIZED, "ACL support disabled"))
}
