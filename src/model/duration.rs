//! Durations as Go writes them, which is what Consul takes and prints: `300ms`, `1.5h`, `2h45m`.

/// Nanoseconds of a Go duration; the error is Go's.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let scale = unit_ns(unit).ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        total += scaled(whole, fraction, scale).ok_or_else(invalid)?;
        if total > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

fn unit_ns(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn scaled(whole: &str, fraction: &str, scale: i128) -> Option<i128> {
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More digits than these are below a nanosecond.
    let fraction = &fraction[..fraction.len().min(18)];
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? };
    whole.checked_mul(scale)?.checked_add(part * scale / 10i128.pow(fraction.len() as u32))
}

/// A duration as Go prints it: `1h30m0s`, `1.5s`, `10ms`, `0s`.
pub(crate) fn format_duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let with_fraction = |unit_ns: u64, unit: &str, of: u64| {
        let digits = unit_ns.ilog10() as usize;
        let fraction = format!("{:0digits$}", of % unit_ns);
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() { "" } else { "." };
        format!("{}{dot}{fraction}{unit}", of / unit_ns)
    };
    match ns {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{ns}ns"),
        1_000..1_000_000 => format!("{sign}{}", with_fraction(1_000, "µs", ns)),
        1_000_000..1_000_000_000 => format!("{sign}{}", with_fraction(1_000_000, "ms", ns)),
        _ => {
            let (minutes, rest) = (ns / 60_000_000_000, ns % 60_000_000_000);
            let seconds = with_fraction(1_000_000_000, "s", rest);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_prints_like_go() {
        for (text, ns, printed) in [
            ("300ms", 300_000_000, "300ms"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("2h45m", 9_900_000_000_000, "2h45m0s"),
            ("90s", 90_000_000_000, "1m30s"),
            ("0", 0, "0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("-10us", -10_000, "-10µs"),
            (".5ms", 500_000, "500µs"),
        ] {
            assert_eq!(parse_duration(text), Ok(ns), "{text}");
            assert_eq!(format_duration(ns), printed);
        }
    }

    #[test]
    fn errors_have_gos_words() {
        for (text, error) in [
            ("x", r#"time: invalid duration "x""#),
            ("", r#"time: invalid duration """#),
            ("5", r#"time: missing unit in duration "5""#),
            ("5x", r#"time: unknown unit "x" in duration "5x""#),
            ("99999999999999h", r#"time: invalid duration "99999999999999h""#),
        ] {
            assert_eq!(parse_duration(text), Err(error.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn what_is_printed_can_be_read(ns in any::<i64>()) {
            prop_assume!(ns != i64::MIN);
            prop_assert_eq!(parse_duration(&format_duration(ns)), Ok(ns));
        }
    }
}
