//! Durations of machine time: `10ms`.

/// A day: longer runs are mistyped ones.
const MAX: u64 = 86_400_000_000_000;

/// Nanoseconds, from 1 to a day: a number, or one with the unit `ns`, `us`, `ms` or `s`.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => 0,
    };
    // The standard parser would accept a sign.
    let number = digits.parse().ok().filter(|_| digits.starts_with(|c: char| c.is_ascii_digit()));
    number
        .and_then(|number: u64| number.checked_mul(unit))
        .filter(|ns| (1..=MAX).contains(ns))
        .ok_or_else(|| "expected nanoseconds, or a number with ns, us, ms or s, up to 86400s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("1", Some(1)),
            ("250ns", Some(250)),
            ("3us", Some(3_000)),
            ("10ms", Some(10_000_000)),
            ("2s", Some(2_000_000_000)),
            ("86400s", Some(86_400_000_000_000)),
            ("86401s", None),
            ("0", None),
            ("0ms", None),
            ("", None),
            ("ms", None),
            ("+1ms", None),
            ("1.5s", None),
            ("1m", None),
            ("1sms", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
