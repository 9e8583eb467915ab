//! What an SMMU says of itself in traces, in words: events with what they mean, and commands that
//! decide over held transactions.

use devices::addr::StreamId;

/// Bits of CR0 [SMMUv3 6.3.9].
const SMMUEN: u32 = 1 << 0;
const EVENTQEN: u32 = 1 << 2;
const CMDQEN: u32 = 1 << 3;
/// Commands [SMMUv3 4.6].
const RESUME: u64 = 0x44;
const STALL_TERM: u64 = 0x45;

/// What a write to CR0 switches, given the value before.
pub(super) fn switches(before: u32, after: u32) -> impl Iterator<Item = String> {
    let changed = before ^ after;
    let parts =
        [(SMMUEN, "the SMMU"), (EVENTQEN, "the SMMU's event queue"), (CMDQEN, "the SMMU's command queue")];
    parts.into_iter().filter(move |(bit, _)| changed & bit != 0).map(move |(bit, what)| {
        format!("The driver turns {what} {}.", if after & bit != 0 { "on" } else { "off" })
    })
}

/// An event record [SMMUv3 7.3].
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    pub stream: StreamId,
    pub kind: u8,
    /// The specification's name.
    pub name: &'a str,
    pub words: [u64; 4],
    pub fate: &'a str,
}

impl Event<'_> {
    /// Who, where, why, and what becomes of the transaction.
    pub(super) fn sentence(&self) -> String {
        let Self { stream, kind, name, words: [low, flags, address, last], fate } = *self;
        // SSV is bit 11, the SubstreamID 31:12.
        let substream = match low >> 11 & 1 {
            1 => format!(", PASID {}", low >> 12 & 0xf_ffff),
            _ => String::new(),
        };
        let held = flags >> 31 & 1 == 1;
        let verb = if held { "holds" } else { "stops" };
        let place = match kind {
            0x07 | 0x0b | 0x10..=0x13 => format!(" at {address:#x}"),
            _ => String::new(),
        };
        let why = reason(kind, flags, last);
        format!("The SMMU {verb} stream {stream}{substream}{place}: {why} ({name}, {fate}).")
    }
}

/// Why, from the type of the record, its S2 and CLASS, and its IPA.
fn reason(kind: u8, flags: u64, last: u64) -> String {
    let plain = match kind {
        0x02 => "the stream table has no entry for it",
        0x03 => "its stream table entry cannot be read from memory",
        0x04 => "its stream table entry makes no sense",
        0x06 => "its stream table entry wants a PASID, or another one",
        0x07 => "it says that its address is translated, and may not",
        0x08 => "its table of context descriptors has none for this PASID",
        0x09 => "its context descriptor cannot be read from memory",
        0x0a => "its context descriptor makes no sense",
        _ => return of_tables(kind, flags, last),
    };
    plain.to_owned()
}

fn of_tables(kind: u8, flags: u64, last: u64) -> String {
    let ipa = last & 0x00ff_ffff_ffff_f000;
    let what = match kind {
        0x0b => "a table cannot be read from memory",
        0x10 => "no page is mapped there",
        0x11 => "an address is wider than it may be",
        0x12 => "the page's access flag is clear",
        0x13 => "the page's rights forbid it",
        _ => "it is not what it should be",
    };
    if flags >> 39 & 1 == 0 {
        return format!("{what}, by the device's own tables");
    }
    // CLASS, bits 105:104.
    let meant = match flags >> 40 & 3 {
        0 => "for the device's context descriptor",
        1 => "for a table of the device's own",
        _ => "for the page that the device means",
    };
    let place = if kind == 0x0b { String::new() } else { format!(" at intermediate address {ipa:#x}") };
    format!("{what}, by the tables of stage 2, {meant}{place}")
}

/// What a command decides over held transactions, if that is what it does.
pub(super) fn decision([low, high]: [u64; 2]) -> Option<String> {
    let stream = StreamId((low >> 32) as u32);
    match low & 0xff {
        RESUME => {
            // Ac is bit 12, Ab bit 13; the STAG is 16 bits.
            let how = match (low >> 12 & 1, low >> 13 & 1) {
                (1, _) => "try again",
                (_, 1) => "end with an abort",
                _ => "end with zeros",
            };
            let stag = high & 0xffff;
            Some(format!(
                "The driver has the transaction {stag} that the SMMU holds for stream {stream} {how}."
            ))
        }
        STALL_TERM => Some(format!("The driver ends all that the SMMU holds for stream {stream}.")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(words: [u64; 4], name: &str, expected: Expect) {
        let stream = StreamId((words[0] >> 32) as u32);
        let event = Event { stream, kind: words[0] as u8, name, words, fate: "recorded" };
        expected.assert_eq(&event.sentence());
    }

    #[test]
    fn events_are_told_with_their_reasons() {
        check(
            [0x8_0000_0004, 0, 0, 0],
            "C_BAD_STE",
            expect![
                "The SMMU stops stream 0x8: its stream table entry makes no sense (C_BAD_STE, recorded)."
            ],
        );
        check(
            [0x1_0000_0000_3810, 0x0000_0208_8000_0007, 0x5000, 0],
            "F_TRANSLATION",
            expect![
                "The SMMU holds stream 0x10000, PASID 3 at 0x5000: no page is mapped there, by the device's own tables (F_TRANSLATION, recorded)."
            ],
        );
        check(
            [0x8_0000_0013, 0x1180_0000_0000, 0x5000, 0x4000_1000],
            "F_PERMISSION",
            expect![
                "The SMMU stops stream 0x8 at 0x5000: the page's rights forbid it, by the tables of stage 2, for a table of the device's own at intermediate address 0x40001000 (F_PERMISSION, recorded)."
            ],
        );
        check(
            [0x8_0000_000b, 0x80_0000_0000, 0x5000, 0x10_0008],
            "F_WALK_EABT",
            expect![
                "The SMMU stops stream 0x8 at 0x5000: a table cannot be read from memory, by the tables of stage 2, for the device's context descriptor (F_WALK_EABT, recorded)."
            ],
        );
    }

    #[test]
    fn decisions_are_told_and_other_commands_are_not() {
        for (words, expected) in [
            ([0x1_0000_0000_1044, 7], "the transaction 7 that the SMMU holds for stream 0x10000 try again."),
            ([0x1_0000_0000_2044, 7], "stream 0x10000 end with an abort."),
            ([0x1_0000_0000_0044, 7], "stream 0x10000 end with zeros."),
            ([0x1_0000_0000_0045, 0], "The driver ends all that the SMMU holds for stream 0x10000."),
        ] {
            let sentence = decision(words).unwrap();
            assert!(sentence.ends_with(expected), "{sentence}");
        }
        assert_eq!(decision([0x46, 0]), None);
    }

    #[test]
    fn switches_are_told_once() {
        let told: Vec<_> = switches(0b1000, 0b0101).collect();
        assert_eq!(
            told,
            [
                "The driver turns the SMMU on.",
                "The driver turns the SMMU's event queue on.",
                "The driver turns the SMMU's command queue off.",
            ]
        );
    }
}
