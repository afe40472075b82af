//! The deadline of a call, as the client gave it.

use std::time::Duration;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;

/// The answer must be on its way before the client gives up.
const MARGIN_MAX: Duration = Duration::from_millis(100);

/// Until when an answer is of use; `None`: the client set no deadline, or one that cannot be read.
pub(super) fn of(metadata: &MetadataMap) -> Option<Instant> {
    let timeout = parse(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    Instant::now().checked_add(timeout - (timeout / 10).min(MARGIN_MAX))
}

/// gRPC over HTTP/2: at most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit_and_nothing_else() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(359_999_996_400)));
        assert_eq!(parse("5M"), Some(Duration::from_secs(300)));
        assert_eq!(parse("15S"), Some(Duration::from_secs(15)));
        assert_eq!(parse("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(parse("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse("9n"), Some(Duration::from_nanos(9)));
        for wrong in ["", "S", "5", "5x", "-5S", "+5S", "123456789S", "5 S", "5ä", "ä"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
