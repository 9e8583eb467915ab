//! Events: what a refused DMA leaves in the queue, bit by bit [SMMUv3 7.3].

use super::bench::Bench;
use crate::error::Error;
use crate::exerciser::{Dma, Op, Status};
use crate::hw::Hw;
use crate::smmuv3::Record;

pub const C_BAD_STREAMID: u8 = 0x02;
pub const F_STE_FETCH: u8 = 0x03;
pub const C_BAD_STE: u8 = 0x04;
pub const F_STREAM_DISABLED: u8 = 0x06;
pub const F_TRANSL_FORBIDDEN: u8 = 0x07;
pub const C_BAD_SUBSTREAMID: u8 = 0x08;
pub const F_CD_FETCH: u8 = 0x09;
pub const C_BAD_CD: u8 = 0x0a;
pub const F_WALK_EABT: u8 = 0x0b;
pub const F_TRANSLATION: u8 = 0x10;
pub const F_ADDR_SIZE: u8 = 0x11;
pub const F_ACCESS: u8 = 0x12;
pub const F_PERMISSION: u8 = 0x13;

/// SSV.
const SSV: u64 = 1 << 11;
/// RnW, S2, CLASS and TTRnW, in the second word.
const RNW: u64 = 1 << 35;
const S2: u64 = 1 << 39;
const TTRNW: u64 = 1 << 44;
const STALL: u64 = 1 << 31;
/// PnU and InD.
const PNU: u64 = 1 << 33;
const IND: u64 = 1 << 34;
/// STAG, or a reason that is the implementation's own.
const STAG: u64 = 0xffff;
/// Bits 55:12 of an IPA, and 55:3 of a fetch address.
const IPA: u64 = 0x00ff_ffff_ffff_f000;
const FETCH: u64 = 0x00ff_ffff_ffff_fff8;

/// What stage 2 was translating.
#[derive(Clone, Copy, Debug)]
pub enum Class {
    /// A CD's or an L1CD's address.
    Cd = 0,
    /// A stage-1 descriptor's address.
    Tt = 1,
    /// The address that came in, or out of stage 1.
    In = 2,
}

/// What a record should say, beside the stream.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    words: [u64; 4],
    /// Bits that the specification defines for such a record.
    mask: [u64; 4],
}

impl Expected {
    /// An event of the configuration.
    pub const fn new(kind: u8) -> Self {
        Self { words: [kind as u64, 0, 0, 0], mask: [!0, !STAG, !0, !0] }
    }

    /// The transaction had a SubstreamID.
    pub const fn substream(mut self, substream: u32) -> Self {
        self.words[0] |= SSV | (substream as u64) << 12;
        self
    }

    /// The SubstreamID of C_BAD_SUBSTREAMID, which has no SSV.
    pub const fn bad_substream(mut self, substream: u32) -> Self {
        self.words[0] |= (substream as u64) << 12;
        self
    }

    /// The transaction was a read at `address`.
    pub const fn read(mut self, address: u64) -> Self {
        self.words[1] |= RNW;
        self.words[2] = address;
        self
    }

    /// It was a write, or an atomic, at `address`.
    pub const fn write(mut self, address: u64) -> Self {
        self.words[2] = address;
        self
    }

    /// The transaction of an operation.
    pub const fn access(self, op: Op, address: u64) -> Self {
        match op {
            Op::Read { .. } | Op::Copy { .. } | Op::ZeroLengthRead | Op::Nop => self.read(address),
            Op::Write { .. } | Op::FetchAdd(_) | Op::Swap(_) | Op::CompareSwap { .. } => self.write(address),
        }
    }

    /// The transaction was privileged, or made so.
    pub const fn privileged(mut self) -> Self {
        self.words[1] |= PNU;
        self
    }

    /// The transaction was an instruction fetch, or made one.
    pub const fn instruction(mut self) -> Self {
        self.words[1] |= IND;
        self
    }

    /// Stage 1 found it, for the address that came in; what the record says of an IPA is unknown.
    pub const fn by_stage1(mut self) -> Self {
        self.words[1] |= (Class::In as u64) << 40;
        self.mask[3] = 0;
        self
    }

    /// Stage 2 found it, translating `ipa`.
    pub const fn by_stage2(mut self, class: Class, ipa: u64) -> Self {
        self.words[1] |= S2 | (class as u64) << 40;
        self.words[3] = ipa & IPA;
        self
    }

    /// The fault was a read of a stage-1 descriptor.
    pub const fn of_a_descriptor_read(mut self) -> Self {
        self.words[1] |= TTRNW;
        self
    }

    /// An external abort of a walk by stage 1.
    pub const fn aborted_stage1(mut self, fetch: u64) -> Self {
        self.words[1] |= (Class::Tt as u64) << 40;
        self.fetched(fetch)
    }

    /// An external abort of a walk by stage 2.
    pub const fn aborted_stage2(mut self, class: Class, fetch: u64) -> Self {
        self.words[1] |= S2 | (class as u64) << 40;
        self.fetched(fetch)
    }

    /// The access that was aborted.
    pub const fn fetched(mut self, address: u64) -> Self {
        self.words[3] = address & FETCH;
        self
    }

    /// The transaction is held.
    pub const fn stalled(mut self) -> Self {
        self.words[1] |= STALL;
        self
    }

    /// The record of a stream.
    const fn of(self, stream: u32) -> Self {
        let Self { words: [w0, w1, w2, w3], mask } = self;
        Self { words: [w0 | (stream as u64) << 32, w1, w2, w3], mask }
    }

    fn matches(&self, Record(words): Record) -> bool {
        let Self { words: expected, mask } = self;
        (0..4).all(|index| (words[index] ^ expected[index]) & mask[index] == 0)
    }
}

impl<H: Hw> Bench<'_, H> {
    /// The oldest event, taken from the queue.
    pub fn take_event(&mut self) -> Option<Record> {
        let unit = self.parts.smmu.unit;
        self.parts.smmu.events.take(self.hw, &unit)
    }

    /// Empties the queue.
    pub fn drop_events(&mut self) {
        if !self.parts.on {
            return;
        }
        while self.take_event().is_some() {}
        let unit = self.parts.smmu.unit;
        self.parts.smmu.events.acknowledge_overflow(self.hw, &unit);
    }

    /// Whether the oldest event is the expected one, and the only one; takes it.
    pub fn is_recorded(&mut self, stream: u32, expected: Expected) -> Option<Record> {
        let expected = expected.of(stream);
        let Some(record) = self.take_event() else {
            self.note(format_args!("  no event is recorded, expected {}", Record(expected.words)));
            return None;
        };
        let left = self.take_event();
        if let Some(left) = left {
            self.note(format_args!("  another event is recorded: {left}"));
        }
        let matches = expected.matches(record);
        if !matches {
            self.note(format_args!("  expected {}, recorded {record}", Record(expected.words)));
        }
        (matches && left.is_none()).then_some(record)
    }

    /// Whether no event waits.
    pub fn is_silent(&mut self) -> bool {
        let event = self.take_event();
        if let Some(record) = event {
            self.note(format_args!("  an event is recorded: {record}"));
        }
        event.is_none()
    }

    /// Checks that a DMA of the first function is refused and recorded as expected, once.
    pub fn faults(&mut self, what: &str, dma: &Dma, expected: Expected) {
        let kind = expected.words[0] as u8;
        self.drop_events();
        let refused = self.is_refused(dma);
        let recorded = self.is_recorded(self.stream(), expected).is_some();
        self.check(refused.map(|refused| refused && recorded), format_args!("event {kind:02x}h: {what}"));
        if refused == Ok(false) {
            self.note(format_args!("  the device was not refused"));
        }
    }

    /// Checks that a DMA is refused and that nobody is told.
    pub fn is_refused_silently(&mut self, what: &str, dma: &Dma) {
        self.drop_events();
        let refused = self.is_refused(dma);
        let silent = self.is_silent();
        self.check(refused.map(|refused| refused && silent), format_args!("no event: {what}"));
    }

    /// Whether the device is told of an abort; that of its ring stands for that of a nop.
    fn is_refused(&mut self, dma: &Dma) -> Result<bool, Error> {
        match self.parts.device.run(self.hw, dma) {
            Ok(completion) => Ok(matches!(completion.status, Status::Ur | Status::Ca)),
            Err(Error::RingFault) => {
                self.parts.device.restart(self.hw);
                Ok(matches!(dma.op, Op::Nop))
            }
            Err(error) => Err(error),
        }
    }

    /// Checks that the first function is refused its first descriptor, where the ring begins.
    pub fn fetch_faults(&mut self, what: &str, expected: Expected) {
        self.parts.device.restart(self.hw);
        self.faults(what, &Dma::new(Op::Nop, 0), expected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_words_of_the_specification() {
        let read = Expected::new(F_TRANSLATION).read(0x12_3456_7abc);
        let rows = [
            ("C_BAD_STE", Expected::new(C_BAD_STE), [0x8_0000_0004, 0, 0, 0]),
            (
                "F_STE_FETCH",
                Expected::new(F_STE_FETCH).fetched(0x0010_0007),
                [0x8_0000_0003, 0, 0, 0x0010_0000],
            ),
            ("C_BAD_CD", Expected::new(C_BAD_CD).substream(0xabcde), [0x8_abcd_e80a, 0, 0, 0]),
            (
                "C_BAD_SUBSTREAMID",
                Expected::new(C_BAD_SUBSTREAMID).bad_substream(5),
                [0x8_0000_5008, 0, 0, 0],
            ),
            ("stage 1", read.by_stage1(), [0x8_0000_0010, 0x208_0000_0000, 0x12_3456_7abc, 0]),
            (
                "stage 2 for a descriptor, stalled",
                Expected::new(F_PERMISSION)
                    .write(0x1000)
                    .by_stage2(Class::Tt, 0x5_4321_0fff)
                    .of_a_descriptor_read()
                    .stalled(),
                [0x8_0000_0013, 0x1180_8000_0000, 0x1000, 0x5_4321_0000],
            ),
            (
                "walk aborted",
                Expected::new(F_WALK_EABT).read(0x1000).aborted_stage2(Class::Cd, 0x0010_0008),
                [0x8_0000_000b, 0x88_0000_0000, 0x1000, 0x0010_0008],
            ),
        ];
        for (name, expected, words) in rows {
            assert_eq!(expected.of(8).words, words, "{name}");
            assert!(expected.of(8).matches(Record(words)), "{name}");
            let [a, b, c, d] = words;
            assert!(!expected.of(8).matches(Record([a, b ^ 1 << 35, c, d])), "{name}");
        }
        // The STAG is the unit's to choose, and so is the IPA of stage 1.
        assert!(read.by_stage1().of(8).matches(Record([0x8_0000_0010, 0x208_0000_beef, 0x12_3456_7abc, 7])));
    }
}
