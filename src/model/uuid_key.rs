//! How Consul reads a UUID as the key of an index: hyphens may stand anywhere, and what has another number of digits is no
//! error but the key of nothing.

use uuid::Uuid;

/// Hyphens of a key, at most.
const HYPHENS_MAX: usize = 4;

/// The UUID that a key means; `None` for a key that nothing can have.
///
/// # Errors
/// Text that is no key, in Consul's words.
pub fn uuid_key(text: &str) -> Result<Option<Uuid>, String> {
    if text.len() != 36 {
        return Err("index error: UUID must be 36 characters".to_owned());
    }
    let hyphens = text.matches('-').count();
    if hyphens > HYPHENS_MAX {
        return Err(format!("index error: UUID should have maximum of {HYPHENS_MAX} \"-\"; got {hyphens}"));
    }
    if !(text.len() - hyphens).is_multiple_of(2) {
        return Err("index error: Input (without hyphens) must be even length".to_owned());
    }
    if let Some(other) = text.chars().find(|c| !c.is_ascii_hexdigit() && *c != '-') {
        let code = u32::from(other);
        return Err(format!("index error: Invalid UUID: encoding/hex: invalid byte: U+{code:04X} {other:?}"));
    }
    Ok(Uuid::try_parse(&text.replace('-', "")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_read_as_consul_reads_them() {
        let id = "11111111-1111-1111-1111-111111111111";
        assert_eq!(uuid_key(id), Ok(Some(Uuid::from_u128(0x1111_1111_1111_1111_1111_1111_1111_1111))));
        assert_eq!(uuid_key(&format!("----{}", id.replace('-', ""))), uuid_key(id));
        assert_eq!(uuid_key(&"1".repeat(36)), Ok(None));
        for (text, why) in [
            ("abc".to_owned(), "UUID must be 36 characters"),
            (format!("11-11-11-11-11-{}", "1".repeat(21)), "UUID should have maximum of 4 \"-\"; got 5"),
            (format!("1-1-1-{}", "1".repeat(30)), "Input (without hyphens) must be even length"),
            (format!("zz{}", "1".repeat(34)), "Invalid UUID: encoding/hex: invalid byte: U+007A 'z'"),
        ] {
            assert_eq!(uuid_key(&text), Err(format!("index error: {why}")));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "[0-9a-f-]{34,37}|.{0,40}") {
            let _ = uuid_key(&text);
        }

        #[test]
        fn ids_are_read_back(id: u128) {
            let id = Uuid::from_u128(id);
            prop_assert_eq!(uuid_key(&id.to_string()), Ok(Some(id)));
        }
    }
}
