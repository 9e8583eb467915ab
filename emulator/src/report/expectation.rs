//! `fault:REASON@BDF`.

use std::fmt;
use std::str::FromStr;

use devices::addr::SourceId;
use devices::vtd::Reason;
use thiserror::Error;

/// A fault that shall come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// As its author wrote it.
    text: String,
    reason: Reason,
    source: Option<SourceId>,
}

/// Text that is no [`Expectation`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExpectationError {
    /// Another kind of thing to expect.
    #[error("cannot expect '{0}'; write fault:REASON@BDF, such as fault:0x06@00:01.0")]
    Kind(String),
    /// No reason of that name or code.
    #[error(
        "unknown fault reason '{value}'; give its code, such as 0x06 or 06h, or one of these names: {known}"
    )]
    Reason {
        /// What was written.
        value: String,
        /// What would be right.
        known: String,
    },
    /// Not a PCI function.
    #[error("'{0}' is not a PCI function; write BUS:DEVICE.FUNCTION in hexadecimal, such as 00:01.0, or *")]
    Source(String),
}

impl Expectation {
    /// The reason it names.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The function it names; `None` is any.
    pub fn source(&self) -> Option<SourceId> {
        self.source
    }

    /// Whether such a fault is meant.
    pub fn matches(&self, source: SourceId, code: u8) -> bool {
        self.reason.code() == code && self.source.is_none_or(|wanted| wanted == source)
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Expectation {
    type Err = ExpectationError;

    /// The reason is a code (`6`, `0x06`, `06h`), the specification's name of the condition
    /// (`LGN.3`) or [`Reason::name`] (`no-read`), the function `00:01.0`, `0000:00:01.0` or `*`; without
    /// `@BDF` any function is meant.
    fn from_str(text: &str) -> Result<Self, ExpectationError> {
        let rest = text.strip_prefix("fault:").ok_or_else(|| ExpectationError::Kind(text.to_owned()))?;
        let (reason, source) = rest.split_once('@').unwrap_or((rest, "*"));
        Ok(Self {
            text: text.to_owned(),
            reason: parse_reason(reason).ok_or_else(|| unknown_reason(reason))?,
            source: match source {
                "*" => None,
                _ => Some(parse_source(source).ok_or_else(|| ExpectationError::Source(source.to_owned()))?),
            },
        })
    }
}

fn parse_reason(text: &str) -> Option<Reason> {
    let named = |reason: &Reason| {
        let condition = reason.condition().is_some_and(|condition| condition.eq_ignore_ascii_case(text));
        condition || reason.name().eq_ignore_ascii_case(text)
    };
    parse_code(text).and_then(Reason::from_code).or_else(|| Reason::ALL.into_iter().find(named))
}

fn parse_code(text: &str) -> Option<u8> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_suffix(['h', 'H'])) {
        return number(digits, 16);
    }
    number(text, 10)
}

/// `[0000:]BB:DD.F`: there is one segment.
fn parse_source(text: &str) -> Option<SourceId> {
    let (rest, function) = text.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let bus = match rest.split_once(':') {
        Some((segment, bus)) if number::<u16>(segment, 16) == Some(0) => bus,
        Some(_) => return None,
        None => rest,
    };
    let (bus, device, function) = (number(bus, 16)?, number(device, 16)?, number(function, 16)?);
    (device < 32 && function < 8).then(|| SourceId::new(bus, device, function))
}

/// The standard parser would accept a sign.
fn number<T: TryFrom<u32>>(digits: &str, radix: u32) -> Option<T> {
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    T::try_from(u32::from_str_radix(digits, radix).ok()?).ok()
}

fn unknown_reason(value: &str) -> ExpectationError {
    let name = |reason: Reason| match reason.condition() {
        Some(condition) => format!("{} ({condition})", reason.name()),
        None => reason.name().to_owned(),
    };
    let known: Vec<String> = Reason::ALL.into_iter().map(name).collect();
    ExpectationError::Reason { value: value.to_owned(), known: known.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_expected() {
        for (text, code, source) in [
            ("fault:0x06@00:01.0", 0x06, Some(0x0008)),
            ("fault:6@*", 0x06, None),
            ("fault:06h", 0x06, None),
            ("fault:LGN.3@0000:00:01.1", 0x06, Some(0x0009)),
            ("fault:lgn.3", 0x06, None),
            ("fault:no-read@1:2.3", 0x06, Some(0x0113)),
            ("fault:12@ff:1f.7", 0x0c, Some(0xffff)),
            ("fault:0ch", 0x0c, None),
            ("fault:0x22", 0x22, None),
            ("fault:interrupt-not-present", 0x22, None),
            ("fault:LRT.2", 0x01, None),
        ] {
            let expectation: Expectation = text.parse().unwrap();
            let found = (expectation.reason().code(), expectation.source().map(|source| source.0));
            assert_eq!(found, (code, source), "{text}");
            assert_eq!(expectation.to_string(), text);
        }
    }

    #[test]
    fn what_cannot() {
        for (text, message) in [
            ("", "cannot expect ''; write fault:REASON@BDF"),
            ("irq:3", "cannot expect 'irq:3'"),
            (
                "fault:",
                "unknown fault reason ''; give its code, such as 0x06 or 06h, or one of these names: root-not-present (LRT.2), ",
            ),
            ("fault:0x0f", "unknown fault reason '0x0f'"),
            ("fault:+6", "unknown fault reason '+6'"),
            ("fault:262", "unknown fault reason '262'"),
            ("fault:LGN@00:01.0", "unknown fault reason 'LGN'"),
            ("fault:6@", "'' is not a PCI function"),
            ("fault:6@00:01", "'00:01' is not a PCI function"),
            ("fault:6@00:20.0", "'00:20.0' is not a PCI function"),
            ("fault:6@00:01.8", "'00:01.8' is not a PCI function"),
            ("fault:6@100:01.0", "'100:01.0' is not a PCI function"),
            ("fault:6@0001:00:01.0", "'0001:00:01.0' is not a PCI function"),
            ("fault:6@00:01.0@00:01.0", "'00:01.0@00:01.0' is not a PCI function"),
        ] {
            let error = text.parse::<Expectation>().unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_function_is_matched_exactly_and_a_star_by_all() {
        let one: Expectation = "fault:6@00:01.0".parse().unwrap();
        let any: Expectation = "fault:6".parse().unwrap();
        let (a, b) = (SourceId::new(0, 1, 0), SourceId::new(0, 1, 1));
        assert_eq!([one.matches(a, 6), one.matches(b, 6), one.matches(a, 5)], [true, false, false]);
        assert_eq!([any.matches(a, 6), any.matches(b, 6), any.matches(a, 5)], [true, true, false]);
    }
}
