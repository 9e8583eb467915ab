//! Commands, and the queue that takes them [SMMUv3 4].

use super::regs::{self, CMDQ_CONS, CMDQ_ERR, CMDQ_PROD, GERROR, GERRORN};
use super::tables::Granule;
use super::unit::Unit;
use crate::arena::{Arena, PAGE};
use crate::error::Error;
use crate::hw::{Hw, poll};

/// Bytes of a command.
const COMMAND: u64 = 16;
/// Commands that fit into a page, log2.
const LOG2: u32 = 8;

/// A 128-bit command, low word first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command(pub [u64; 2]);

/// How a CMD_SYNC says that it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// CMDQ_CONS passes it.
    None,
    /// Inner Shareable write-back write of a dword.
    Message {
        /// Where to, a multiple of 4.
        address: u64,
        /// What.
        data: u32,
    },
}

/// A range of pages of one granule, as range invalidation counts them [SMMUv3 4.4.1.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Size of a page.
    pub granule: Granule,
    /// One less than the number, 0 to 31, in units of 2^`scale` pages.
    pub num: u8,
    /// Log2 of the unit, 0 to 31.
    pub scale: u8,
}

const fn sid(stream: u32) -> u64 {
    (stream as u64) << 32
}

const fn vmid(vmid: u16) -> u64 {
    (vmid as u64) << 32
}

const fn asid(asid: u16) -> u64 {
    (asid as u64) << 48
}

/// The address word of an invalidation by address.
const fn at(address: u64, leaf: bool) -> u64 {
    address & !0xfff | leaf as u64
}

impl Command {
    /// CMD_CFGI_STE: an STE, and with `leaf` unset the descriptors that lead to it.
    pub const fn cfgi_ste(stream: u32, leaf: bool) -> Self {
        Self([0x03 | sid(stream), leaf as u64])
    }

    /// CMD_CFGI_STE_RANGE: 2^(`range` + 1) STEs, aligned.
    pub const fn cfgi_ste_range(stream: u32, range: u8) -> Self {
        Self([0x04 | sid(stream), range as u64])
    }

    /// CMD_CFGI_ALL, which is a range of 31.
    pub const fn cfgi_all() -> Self {
        Self::cfgi_ste_range(0, 31)
    }

    /// CMD_CFGI_CD: a CD of a stream.
    pub const fn cfgi_cd(stream: u32, substream: u32, leaf: bool) -> Self {
        Self([0x05 | (substream as u64) << 12 | sid(stream), leaf as u64])
    }

    /// CMD_CFGI_CD_ALL: all CDs of a stream.
    pub const fn cfgi_cd_all(stream: u32) -> Self {
        Self([0x06 | sid(stream), 0])
    }

    /// CMD_TLBI_NH_ALL: stage 1 of a VMID.
    pub const fn tlbi_nh_all(id: u16) -> Self {
        Self([0x10 | vmid(id), 0])
    }

    /// CMD_TLBI_NH_ASID: what is not global of an ASID.
    pub const fn tlbi_nh_asid(id: u16, space: u16) -> Self {
        Self([0x11 | vmid(id) | asid(space), 0])
    }

    /// CMD_TLBI_NH_VA: a page of an ASID; last-level entries only if `leaf`.
    pub const fn tlbi_nh_va(id: u16, space: u16, address: u64, leaf: bool) -> Self {
        Self([0x12 | vmid(id) | asid(space), at(address, leaf)])
    }

    /// CMD_TLBI_NH_VAA: a page of all ASIDs.
    pub const fn tlbi_nh_vaa(id: u16, address: u64, leaf: bool) -> Self {
        Self([0x13 | vmid(id), at(address, leaf)])
    }

    /// CMD_TLBI_EL2_ALL.
    pub const fn tlbi_el2_all() -> Self {
        Self([0x20, 0])
    }

    /// CMD_TLBI_S12_VMALL: both stages of a VMID.
    pub const fn tlbi_s12_vmall(id: u16) -> Self {
        Self([0x28 | vmid(id), 0])
    }

    /// CMD_TLBI_S2_IPA: stage 2 of a page.
    pub const fn tlbi_s2_ipa(id: u16, address: u64, leaf: bool) -> Self {
        Self([0x2a | vmid(id), at(address, leaf)])
    }

    /// CMD_TLBI_NSNH_ALL: everything but EL2.
    pub const fn tlbi_nsnh_all() -> Self {
        Self([0x30, 0])
    }

    /// This invalidation by address, for a range of pages mapped at `ttl` (0: at any level).
    #[must_use]
    pub const fn range(self, Pages { granule, num, scale }: Pages, ttl: u8) -> Self {
        let Self([low, high]) = self;
        let range = (num as u64 & 0x1f) << 12 | (scale as u64 & 0x1f) << 20;
        Self([low | range, high | (ttl as u64 & 3) << 8 | granule.tg() << 10])
    }

    /// CMD_RESUME with retry.
    pub const fn retry(stream: u32, stag: u16) -> Self {
        Self([0x44 | 1 << 12 | sid(stream), stag as u64])
    }

    /// CMD_RESUME with terminate: by abort, or read-as-zero and write-ignored.
    pub const fn terminate(stream: u32, stag: u16, abort: bool) -> Self {
        Self([0x44 | (abort as u64) << 13 | sid(stream), stag as u64])
    }

    /// CMD_STALL_TERM: all stalls of a stream end by abort.
    pub const fn stall_term(stream: u32) -> Self {
        Self([0x45 | sid(stream), 0])
    }

    /// CMD_SYNC.
    pub const fn sync(signal: Signal) -> Self {
        match signal {
            Signal::None => Self([0x46, 0]),
            // CS = 01; MSH Inner Shareable, MSIAttr write-back.
            Signal::Message { address, data } => {
                Self([0x46 | 1 << 12 | 0b11 << 22 | 0xf << 24 | (data as u64) << 32, address & !3])
            }
        }
    }

    /// A CMD_SYNC with the reserved CS = 11.
    pub const ILLEGAL_SYNC: Self = Self([0x46 | 0b11 << 12, 0]);
    /// An opcode that no version defines.
    pub const UNKNOWN: Self = Self([0xff, 0]);
}

/// The command queue: 256 commands in a page.
#[derive(Clone, Copy, Debug)]
pub struct CommandQueue {
    base: u64,
    /// Index with the wrap bit.
    prod: u32,
    /// How [`Self::submit`] waits: by a message into the CMD_SYNC itself, or by CMDQ_CONS.
    pub by_message: bool,
}

impl CommandQueue {
    /// A queue in memory, which the unit does not know yet.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new<H: Hw>(hw: &mut H, arena: &mut Arena) -> Result<Self, Error> {
        Ok(Self { base: arena.page(hw)?, prod: 0, by_message: false })
    }

    /// Gives it to the unit, empty, while CR0.CMDQEN is clear.
    pub fn install<H: Hw>(&mut self, hw: &mut H, unit: &Unit) {
        self.prod = 0;
        unit.write64(hw, regs::CMDQ_BASE, regs::ALLOCATE | self.base | u64::from(LOG2));
        unit.write32(hw, CMDQ_PROD, 0);
        unit.write32(hw, CMDQ_CONS, 0);
    }

    /// Where the next command will lie.
    pub fn next_slot(&self) -> u64 {
        self.slot(self.prod)
    }

    /// The slot of an index.
    pub fn slot(&self, index: u32) -> u64 {
        self.base + u64::from(index) * COMMAND % PAGE
    }

    /// The index after the last command, with the wrap bit.
    pub fn prod(&self) -> u32 {
        self.prod
    }

    /// Puts commands into the queue and tells the unit, without waiting for it.
    pub fn post<H: Hw>(&mut self, hw: &mut H, unit: &Unit, commands: &[Command]) {
        for Command([low, high]) in commands {
            let at = self.next_slot();
            hw.mem_write64(at, *low);
            hw.mem_write64(at + 8, *high);
            self.prod = (self.prod + 1) & ((2 << LOG2) - 1);
        }
        unit.write32(hw, CMDQ_PROD, self.prod);
    }

    /// Has the unit process commands, and waits until a CMD_SYNC behind them is complete.
    ///
    /// # Errors
    /// [`Error::Commands`] where the queue stops or does not get there in time.
    pub fn submit<H: Hw>(&mut self, hw: &mut H, unit: &Unit, commands: &[Command]) -> Result<(), Error> {
        self.post(hw, unit, commands);
        self.wait(hw, unit)
    }

    /// Waits until all commands so far are complete.
    ///
    /// # Errors
    /// [`Error::Commands`].
    pub fn wait<H: Hw>(&mut self, hw: &mut H, unit: &Unit) -> Result<(), Error> {
        let slot = self.next_slot();
        // The message clears the first dword of the CMD_SYNC, which no command has at 0.
        let signal = if self.by_message { Signal::Message { address: slot, data: 0 } } else { Signal::None };
        self.post(hw, unit, &[Command::sync(signal)]);
        let (prod, by_message) = (self.prod, self.by_message);
        let done = poll(hw, |hw| {
            let done = if by_message {
                hw.mem_read32(slot) == 0
            } else {
                unit.read32(hw, CMDQ_CONS) & 0xf_ffff == prod
            };
            if done {
                return Some(true);
            }
            let stopped = (unit.read32(hw, GERROR) ^ unit.read32(hw, GERRORN)) & CMDQ_ERR != 0;
            stopped.then_some(false)
        });
        if done == Some(true) {
            return Ok(());
        }
        Err(Error::Commands { gerror: unit.read32(hw, GERROR), cons: unit.read32(hw, CMDQ_CONS) })
    }

    /// Replaces the command that the unit stands at by a CMD_SYNC, which does no harm.
    pub fn replace_current<H: Hw>(&self, hw: &mut H, unit: &Unit) {
        let at = self.slot(unit.read32(hw, CMDQ_CONS) & ((1 << LOG2) - 1));
        let Command([low, high]) = Command::sync(Signal::None);
        hw.mem_write64(at, low);
        hw.mem_write64(at + 8, high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn commands_have_the_words_of_the_specification() {
        let pages = |granule, num, scale| Pages { granule, num, scale };
        let rows = [
            ("CFGI_STE", Command::cfgi_ste(0x1_0008, true), [0x0001_0008_0000_0003, 1]),
            ("CFGI_STE_RANGE", Command::cfgi_ste_range(8, 4), [0x8_0000_0004, 4]),
            ("CFGI_ALL", Command::cfgi_all(), [0x04, 0x1f]),
            ("CFGI_CD", Command::cfgi_cd(8, 0xabcde, false), [0x0000_0008_abcd_e005, 0]),
            ("CFGI_CD_ALL", Command::cfgi_cd_all(8), [0x8_0000_0006, 0]),
            ("TLBI_NH_ALL", Command::tlbi_nh_all(0x1234), [0x1234_0000_0010, 0]),
            ("TLBI_NH_ASID", Command::tlbi_nh_asid(2, 0x5678), [0x5678_0002_0000_0011, 0]),
            (
                "TLBI_NH_VA",
                Command::tlbi_nh_va(2, 1, 0x12_3456_7fff, true),
                [0x0001_0002_0000_0012, 0x12_3456_7001],
            ),
            ("TLBI_NH_VAA", Command::tlbi_nh_vaa(2, 0x1000, false), [0x2_0000_0013, 0x1000]),
            (
                "TLBI_NH_VA, four pages of 4 KiB",
                Command::tlbi_nh_va(0, 1, 0x4000, false).range(pages(Granule::K4, 3, 0), 0),
                [0x0001_0000_0000_3012, 0x4400],
            ),
            (
                "TLBI_S2_IPA, 64 KiB, level 3",
                Command::tlbi_s2_ipa(1, 0x2_0000, true).range(pages(Granule::K64, 1, 2), 3),
                [0x0000_0001_0020_102a, 0x2_0f01],
            ),
            ("TLBI_EL2_ALL", Command::tlbi_el2_all(), [0x20, 0]),
            ("TLBI_S12_VMALL", Command::tlbi_s12_vmall(7), [0x7_0000_0028, 0]),
            ("TLBI_NSNH_ALL", Command::tlbi_nsnh_all(), [0x30, 0]),
            ("RESUME, retry", Command::retry(8, 0xbeef), [0x8_0000_1044, 0xbeef]),
            ("RESUME, abort", Command::terminate(8, 1, true), [0x8_0000_2044, 1]),
            ("RESUME, RAZ/WI", Command::terminate(8, 1, false), [0x8_0000_0044, 1]),
            ("STALL_TERM", Command::stall_term(8), [0x8_0000_0045, 0]),
            ("SYNC", Command::sync(Signal::None), [0x46, 0]),
            (
                "SYNC, message",
                Command::sync(Signal::Message { address: 0x0809_0040, data: 5 }),
                [0x0000_0005_0fc0_1046, 0x0809_0040],
            ),
        ];
        for (name, Command(words), expected) in rows {
            assert_eq!(words, expected, "{name}");
        }
    }

    #[test]
    fn the_queue_wraps_and_a_silent_unit_is_an_error() {
        let hw = &mut Fake::new();
        let mut queue = CommandQueue { base: 0x4000, prod: 0x1ff, by_message: true };
        let unit = Unit::at(0x0905_0000);
        let error = queue.submit(hw, &unit, &[Command::tlbi_nsnh_all()]).unwrap_err();
        assert_eq!(error, Error::Commands { gerror: 0, cons: 0 });
        assert_eq!([hw.mem_read64(0x4ff0), hw.mem_read64(0x4ff8)], [0x30, 0]);
        assert_eq!([hw.mem_read64(0x4000), hw.mem_read64(0x4008)], [0x0fc0_1046, 0x4000]);
        assert_eq!(hw.writes, [(0x0905_0098, 0), (0x0905_0098, 1)]);
        assert!(hw.idled > 0);
    }

    #[test]
    fn a_stopped_queue_is_told_from_silence() {
        let hw = &mut Fake::new();
        hw.registers.insert(0x0905_0060, 1);
        hw.registers.insert(0x0905_009c, 1 << 24 | 3);
        let mut queue = CommandQueue { base: 0x4000, prod: 3, by_message: false };
        let error = queue.submit(hw, &Unit::at(0x0905_0000), &[Command::UNKNOWN]).unwrap_err();
        assert_eq!(error, Error::Commands { gerror: 1, cons: 1 << 24 | 3 });
        assert_eq!(hw.idled, 0);
        queue.replace_current(hw, &Unit::at(0x0905_0000));
        assert_eq!(hw.mem_read64(0x4030), 0x46);
    }
}
