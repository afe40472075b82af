//! Where the two servers differ on purpose.

use super::normal::Normal;
use super::op::Op;

/// One deviation.
struct Deviation {
    /// Whether it explains this difference: request, our answer, Consul's answer.
    explains: fn(&Op, &Normal, &Normal) -> bool,
    /// Why it is so.
    reason: &'static str,
}

const DEVIATIONS: &[Deviation] = &[];

/// Why the answers differ, if it is on purpose.
pub(crate) fn reason(op: &Op, ours: &Normal, theirs: &Normal) -> Option<&'static str> {
    DEVIATIONS.iter().find(|d| (d.explains)(op, ours, theirs)).map(|d| d.reason)
}
