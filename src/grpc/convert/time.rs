//! Durations and timestamps: whole milliseconds inside, protobuf's seconds and nanoseconds outside.

use crate::model::names::Invalid;
use prost_types::{Duration, Timestamp};

/// Largest duration of protobuf's JSON and of most libraries: about 10,000 years.
const SECONDS_MAX: i64 = 315_576_000_000;
/// The last second of the year 9999.
const TIMESTAMP_MAX: i64 = 253_402_300_799;

/// Milliseconds of a duration that may be unset; a part of a millisecond counts as a whole one.
pub(in crate::grpc) fn duration_ms(field: &'static str, value: Option<Duration>) -> Result<Option<u64>, Invalid> {
    let Some(value) = value else { return Ok(None) };
    if value.seconds < 0 || value.nanos < 0 {
        return Err(Invalid::new(field, "must not be negative"));
    }
    if value.seconds > SECONDS_MAX || value.nanos > 999_999_999 {
        return Err(Invalid::new(field, "is not a valid duration"));
    }
    // Both are not negative and small enough, as checked above.
    Ok(Some(value.seconds as u64 * 1000 + (value.nanos as u64).div_ceil(1_000_000)))
}

/// The same within bounds; unset: the default.
pub(in crate::grpc) fn bounded_ms(
    field: &'static str,
    value: Option<Duration>,
    min: u64,
    max: u64,
    default: u64,
) -> Result<u64, Invalid> {
    match duration_ms(field, value)? {
        None => Ok(default),
        Some(ms) if (min..=max).contains(&ms) => Ok(ms),
        Some(ms) => Err(Invalid::new(field, format!("is {ms} ms, {min} ms to {max} ms are allowed"))),
    }
}

/// A duration of so many milliseconds.
pub(in crate::grpc) fn duration(ms: u64) -> Duration {
    let seconds = i64::try_from(ms / 1000).unwrap_or(SECONDS_MAX);
    Duration { seconds, nanos: (ms % 1000) as i32 * 1_000_000 }
}

/// Milliseconds since the epoch of a point in time that may be unset.
pub(in crate::grpc) fn timestamp_ms(field: &'static str, value: Option<Timestamp>) -> Result<Option<u64>, Invalid> {
    let Some(value) = value else { return Ok(None) };
    if !(0..=TIMESTAMP_MAX).contains(&value.seconds) || !(0..=999_999_999).contains(&value.nanos) {
        return Err(Invalid::new(field, "must be a time between 1970 and 9999"));
    }
    Ok(Some(value.seconds as u64 * 1000 + value.nanos as u64 / 1_000_000))
}

/// The point in time so many milliseconds after the epoch.
pub(in crate::grpc) fn timestamp(ms: u64) -> Timestamp {
    let seconds = i64::try_from(ms / 1000).unwrap_or(TIMESTAMP_MAX);
    Timestamp { seconds, nanos: (ms % 1000) as i32 * 1_000_000 }
}
