//! Outputs, within their limits.

use crate::agent::Settings;
use crate::model::{CheckDefinition, Text, names};
use compact_str::format_compact;
use std::collections::VecDeque;

/// No setting keeps more than this.
const BYTES_MAX: usize = 64 * 1024;

/// Bytes of output that are kept of a check.
pub(in crate::agent) fn max(definition: &CheckDefinition, settings: &Settings) -> usize {
    let own = usize::try_from(definition.output_max_size).unwrap_or_default();
    let max = if own > 0 { own } else { settings.check_output_max_size };
    max.min(BYTES_MAX)
}

/// What a client reported: its beginning, with a word on the rest.
pub(in crate::agent) fn of_report(output: &str, max: usize) -> Text {
    if output.len() <= max {
        return output.into();
    }
    let cut = names::cut(output, max);
    format_compact!("{cut} ... (captured {} of {} bytes)", cut.len(), output.len())
}

/// The end of an output, however long it is.
#[derive(Debug)]
pub(super) struct Tail {
    max: usize,
    kept: VecDeque<u8>,
    total: u64,
}

impl Tail {
    pub(super) fn new(max: usize) -> Tail {
        Tail { max, kept: VecDeque::new(), total: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let bytes = &bytes[bytes.len().saturating_sub(self.max)..];
        let over = (self.kept.len() + bytes.len()).saturating_sub(self.max);
        self.kept.drain(..over.min(self.kept.len()));
        self.kept.extend(bytes);
    }

    /// What was kept; bytes that are no UTF-8 become U+FFFD.
    pub(super) fn text(mut self) -> Text {
        String::from_utf8_lossy(self.kept.make_contiguous()).as_ref().into()
    }

    /// The same, with a word on what was not kept.
    pub(super) fn captured(self) -> Text {
        let (kept, total) = (self.kept.len(), self.total);
        let text = self.text();
        if total > kept as u64 { format_compact!("Captured {kept} of {total} bytes\n...\n{text}") } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reports_keep_their_beginning_and_commands_their_end() {
        assert_eq!(of_report("abcdef", 4), "abcd ... (captured 4 of 6 bytes)");
        assert_eq!(of_report("aé", 2), "a ... (captured 1 of 3 bytes)");
        let mut tail = Tail::new(5);
        tail.push(b"abcdefgh");
        tail.push(b"ijkl\n");
        assert_eq!(tail.captured(), "Captured 5 of 13 bytes\n...\nijkl\n");
    }

    proptest! {
        #[test]
        fn a_tail_is_the_end(parts in proptest::collection::vec("[a-z]{0,9}", 0..9), max in 0usize..12) {
            let mut tail = Tail::new(max);
            parts.iter().for_each(|part| tail.push(part.as_bytes()));
            let whole = parts.concat();
            prop_assert_eq!(tail.text(), &whole[whole.len().saturating_sub(max)..]);
        }
    }
}
