//! `fault:REASON@BDF` of VT-d units, `event=NAME,stream=N,address=N` of SMMUs.

use std::fmt;
use std::str::FromStr;

use devices::addr::{SourceId, StreamId};
use devices::iommu::UnitKind;
use devices::smmuv3::names::{EVENTS, EventName};
use devices::vtd::Reason;
use thiserror::Error;

use crate::config::parse_number;

/// A fault that shall come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// As its author wrote it.
    text: String,
    wanted: Wanted,
}

/// What shall come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Fault { reason: Reason, source: Option<SourceId> },
    Event { event: EventName, stream: Option<StreamId>, address: Option<u64> },
}

/// Who caused a fault, as the unit knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Master {
    /// By a requester id, at a VT-d unit.
    Function(SourceId),
    /// By a StreamID, at an SMMU.
    Stream(StreamId),
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(source) => source.fmt(f),
            Self::Stream(stream) => write!(f, "stream {:#x}", stream.0),
        }
    }
}

/// Text that is no [`Expectation`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExpectationError {
    /// Another kind of thing to expect.
    #[error(
        "cannot expect '{0}'; write fault:REASON@BDF, such as fault:0x06@00:01.0, or for an SMMU \
         event=NAME,stream=N,address=N, such as event=F_TRANSLATION,stream=0x8"
    )]
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
    /// No event of that name or code.
    #[error("unknown event '{value}'; give its code, such as 0x10 or 10h, or one of these names: {known}")]
    Event {
        /// What was written.
        value: String,
        /// What would be right.
        known: String,
    },
    /// Something else than stream= and address= after the event.
    #[error("'{0}' after the event is neither stream=NUMBER nor address=NUMBER")]
    Part(String),
}

impl Expectation {
    /// Its code.
    pub fn code(&self) -> u8 {
        match self.wanted {
            Wanted::Fault { reason, .. } => reason.code(),
            Wanted::Event { event, .. } => event.code,
        }
    }

    /// What it is, in words.
    pub fn describe(&self) -> &'static str {
        match self.wanted {
            Wanted::Fault { reason, .. } => reason.describe(),
            Wanted::Event { event, .. } => event.what,
        }
    }

    /// The master it names; `None` is any.
    pub fn master(&self) -> Option<Master> {
        match self.wanted {
            Wanted::Fault { source, .. } => source.map(Master::Function),
            Wanted::Event { stream, .. } => stream.map(Master::Stream),
        }
    }

    /// The model whose faults it is about.
    pub const fn model(&self) -> UnitKind {
        match self.wanted {
            Wanted::Fault { .. } => UnitKind::Vtd,
            Wanted::Event { .. } => UnitKind::Smmuv3,
        }
    }

    /// Whether such a fault is meant.
    pub fn matches(&self, master: Master, code: u8, address: u64) -> bool {
        let addressed = match self.wanted {
            Wanted::Event { address: Some(wanted), .. } => wanted == address,
            Wanted::Event { address: None, .. } | Wanted::Fault { .. } => true,
        };
        let of_model = matches!(
            (self.wanted, master),
            (Wanted::Fault { .. }, Master::Function(_)) | (Wanted::Event { .. }, Master::Stream(_))
        );
        of_model && addressed && self.code() == code && self.master().is_none_or(|wanted| wanted == master)
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
    /// `@BDF` any function is meant. An event is a code or the specification's name; without `stream=` or
    /// `address=` any is meant.
    fn from_str(text: &str) -> Result<Self, ExpectationError> {
        let wanted = if let Some(rest) = text.strip_prefix("fault:") {
            fault(rest)?
        } else if let Some(rest) = text.strip_prefix("event=") {
            event(rest)?
        } else {
            return Err(ExpectationError::Kind(text.to_owned()));
        };
        Ok(Self { text: text.to_owned(), wanted })
    }
}

fn fault(rest: &str) -> Result<Wanted, ExpectationError> {
    let (reason, source) = rest.split_once('@').unwrap_or((rest, "*"));
    Ok(Wanted::Fault {
        reason: parse_reason(reason).ok_or_else(|| unknown_reason(reason))?,
        source: match source {
            "*" => None,
            _ => Some(parse_source(source).ok_or_else(|| ExpectationError::Source(source.to_owned()))?),
        },
    })
}

fn event(rest: &str) -> Result<Wanted, ExpectationError> {
    let mut parts = rest.split(',');
    let name = parts.next().unwrap_or_default();
    let event = parse_code(name).and_then(EventName::of_code).or_else(|| EventName::of_name(name));
    let event = event.ok_or_else(|| {
        let known: Vec<_> = EVENTS.iter().map(|event| event.name).collect();
        ExpectationError::Event { value: name.to_owned(), known: known.join(", ") }
    })?;
    let (mut stream, mut address) = (None, None);
    for part in parts {
        let wrong = || ExpectationError::Part(part.to_owned());
        match part.split_once('=') {
            Some(("stream", value)) => {
                let number = parse_number(value).and_then(|number| u32::try_from(number).ok());
                stream = Some(StreamId(number.ok_or_else(wrong)?));
            }
            Some(("address", value)) => address = Some(parse_number(value).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        }
    }
    Ok(Wanted::Event { event, stream, address })
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
            let source = source.map(|source| Master::Function(SourceId(source)));
            assert_eq!((expectation.code(), expectation.master()), (code, source), "{text}");
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
        let seen = |expectation: &Expectation| {
            [(a, 6), (b, 6), (a, 5)].map(|(at, code)| expectation.matches(Master::Function(at), code, 0))
        };
        assert_eq!(seen(&one), [true, false, false]);
        assert_eq!(seen(&any), [true, true, false]);
        assert!(!any.matches(Master::Stream(StreamId(8)), 6, 0), "an event of an SMMU is no fault");
    }

    #[test]
    fn events_are_expected_by_name_or_code_of_a_stream_at_an_address() {
        let stream = |number| Master::Stream(StreamId(number));
        for (text, code, master, matches) in [
            ("event=F_TRANSLATION,stream=0x8,address=0x1000", 0x10, Some(stream(8)), [true, false, false]),
            ("event=f_translation,address=4096", 0x10, None, [true, false, true]),
            ("event=10h,stream=8", 0x10, Some(stream(8)), [true, true, false]),
            ("event=0x10", 0x10, None, [true, true, true]),
            ("event=C_BAD_STE", 0x04, None, [false; 3]),
        ] {
            let expectation: Expectation = text.parse().unwrap();
            assert_eq!((expectation.code(), expectation.master()), (code, master), "{text}");
            assert_eq!(expectation.model(), UnitKind::Smmuv3);
            let seen = [(8, 0x1000), (8, 0x2000), (9, 0x1000)];
            let seen = seen.map(|(number, address)| expectation.matches(stream(number), 0x10, address));
            assert_eq!(seen, matches, "{text}");
        }
        for (text, message) in [
            (
                "event=",
                "unknown event ''; give its code, such as 0x10 or 10h, or one of these names: F_UUT, ",
            ),
            ("event=0x05", "unknown event '0x05'"),
            ("event=F_ACCESS,source=1", "'source=1' after the event is neither stream=NUMBER nor"),
            ("event=F_ACCESS,stream=0x100000000", "'stream=0x100000000' after the event"),
            ("event=F_ACCESS,", "'' after the event"),
        ] {
            let error = text.parse::<Expectation>().unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
