//! The CPU interface: what a processor sees of interrupts through its system registers [GICv3 12.2].
//!
//! With one Security state and no EL2 the group is also the signal: group 1 is IRQ, group 0 is FIQ.
//! There are 5 bits of priority, all of which may be group priority, so one active-priorities register
//! per group.

use serde::{Deserialize, Serialize};

use super::bank::{Candidate, Group, Groups, PRIORITY_MASK};
use crate::register;

/// Bits of priority, and of group priority.
const PRIORITY_BITS: u32 = 5;
/// Running priority of a processor that handles no interrupt [GICv3 ICC_RPR_EL1].
const IDLE: u8 = 0xff;
/// What ICC_IAR and ICC_HPPIR read where there is no interrupt [GICv3 2.2].
pub const SPURIOUS: u32 = 1023;
/// Least value of ICC_BPR0: all implemented bits are group priority.
const BPR0_MIN: u8 = 7 - PRIORITY_BITS as u8;
/// Least value of ICC_BPR1, which counts from one more [GICv3 4.8.2].
const BPR1_MIN: u8 = BPR0_MIN + 1;

register! {
    /// Interrupt Controller Control Register [GICv3 ICC_CTLR_EL1].
    pub struct IccCtlr: u64 {
        63:20 RsvdZ _r3,
        /// Extended INTID ranges.
        19:19 Ro    ext_range: bool,
        /// Range selectors of SGIs reach affinities above 15.
        18:18 Ro    rss: bool,
        17:16 RsvdZ _r2,
        /// Aff3 of SGIs may be nonzero.
        15:15 Ro    a3v: bool,
        /// Local generation of SErrors.
        14:14 Ro    seis: bool,
        /// INTID bits: 0 for 16.
        13:11 Ro    id_bits: u8,
        /// Priority bits, less one.
        10:8  Ro    pri_bits: u8,
        7:7   RsvdZ _r1,
        6:6   RsvdZ _pmhe,
        5:2   RsvdZ _r0,
        /// The end of an interrupt only drops the priority; ICC_DIR deactivates.
        1:1   Rw    eoi_mode: bool,
        /// ICC_BPR0 serves both groups.
        0:0   Rw    cbpr: bool,
    }
}

/// ICC_CTLR_EL1 after reset.
const CTLR: IccCtlr = IccCtlr::ZERO.with_a3v(true).with_pri_bits(PRIORITY_BITS as u8 - 1);

/// A CPU interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuInterface {
    ctlr: IccCtlr,
    /// Interrupts of lower urgency (higher or equal value) are held back.
    pmr: u8,
    bpr0: u8,
    bpr1: u8,
    groups: Groups,
    /// Active priorities of group 0: bit n for group priority n << 3.
    ap0r: u32,
    /// Those of group 1.
    ap1r: u32,
}

/// A saved [`CpuInterface`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    ctlr: IccCtlr,
    pmr: u8,
    bpr0: u8,
    bpr1: u8,
    igrpen0: bool,
    igrpen1: bool,
    ap0r: u32,
    ap1r: u32,
}

/// A register that has no effect beyond the CPU interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// ICC_PMR_EL1.
    Pmr,
    /// ICC_BPR0_EL1 or ICC_BPR1_EL1.
    Bpr(Group),
    /// ICC_AP0R0_EL1 or ICC_AP1R0_EL1.
    Apr(Group),
    /// ICC_CTLR_EL1.
    Ctlr,
    /// ICC_SRE_EL1.
    Sre,
    /// ICC_IGRPEN0_EL1 or ICC_IGRPEN1_EL1.
    Igrpen(Group),
}

impl CpuInterface {
    /// Everything disabled.
    pub const RESET: Self = Self {
        ctlr: CTLR,
        pmr: 0,
        bpr0: BPR0_MIN,
        bpr1: BPR1_MIN,
        groups: Groups { zero: false, one: false },
        ap0r: 0,
        ap1r: 0,
    };

    /// The groups that the processor takes part in.
    pub const fn groups(&self) -> Groups {
        self.groups
    }

    /// Whether the end of an interrupt leaves it active.
    pub const fn eoi_mode(&self) -> bool {
        self.ctlr.eoi_mode()
    }

    /// Software reads a register.
    pub fn read(&self, register: Local) -> u64 {
        match register {
            Local::Pmr => self.pmr.into(),
            Local::Bpr(Group::Zero) => self.bpr0.into(),
            Local::Bpr(Group::One) if self.ctlr.cbpr() => (self.bpr0 + 1).min(7).into(),
            Local::Bpr(Group::One) => self.bpr1.into(),
            Local::Apr(Group::Zero) => self.ap0r.into(),
            Local::Apr(Group::One) => self.ap1r.into(),
            Local::Ctlr => self.ctlr.raw(),
            // System registers are the only interface; there is no bypass.
            Local::Sre => 0b111,
            Local::Igrpen(Group::Zero) => self.groups.zero.into(),
            Local::Igrpen(Group::One) => self.groups.one.into(),
        }
    }

    /// Software writes a register.
    pub fn write(&mut self, register: Local, value: u64) {
        // The fields are in the low bits.
        let (byte, word, bpr) = (value as u8, value as u32, value as u8 & 7);
        match register {
            Local::Pmr => self.pmr = byte & PRIORITY_MASK,
            Local::Bpr(Group::Zero) => self.bpr0 = bpr.max(BPR0_MIN),
            Local::Bpr(Group::One) if self.ctlr.cbpr() => {}
            Local::Bpr(Group::One) => self.bpr1 = bpr.max(BPR1_MIN),
            Local::Apr(Group::Zero) => self.ap0r = word,
            Local::Apr(Group::One) => self.ap1r = word,
            Local::Ctlr => self.ctlr = self.ctlr.written(value),
            Local::Sre => {}
            Local::Igrpen(Group::Zero) => self.groups.zero = value & 1 != 0,
            Local::Igrpen(Group::One) => self.groups.one = value & 1 != 0,
        }
    }

    /// Priority of what the processor handles now: ICC_RPR_EL1.
    pub fn running_priority(&self) -> u8 {
        match (self.ap0r | self.ap1r).trailing_zeros() {
            32 => IDLE,
            // At most f8h.
            level => (level as u8) << (8 - PRIORITY_BITS),
        }
    }

    /// Whether `candidate` is signalled: beyond the mask, and beyond what runs by its group priority
    /// [GICv3 4.8].
    pub fn signals(&self, candidate: Candidate) -> bool {
        let running = self.running_priority();
        let mask = self.group_mask(candidate.group);
        self.groups.allow(candidate.group)
            && candidate.priority < self.pmr
            && (running == IDLE || candidate.priority & mask < running & mask)
    }

    /// `candidate` was acknowledged: its group priority is active.
    pub fn activate(&mut self, candidate: Candidate) {
        let level = (candidate.priority & self.group_mask(candidate.group)) >> (8 - PRIORITY_BITS);
        *self.apr(candidate.group) |= 1 << level;
    }

    /// Ends the handling at the highest active priority, if it is of `group`; whether it was
    /// [GICv3 ICC_EOIR1_EL1].
    pub fn drop_priority(&mut self, group: Group) -> bool {
        let (zero, one) = (self.ap0r.trailing_zeros(), self.ap1r.trailing_zeros());
        let highest = match zero.min(one) {
            32 => return false,
            _ if zero <= one => Group::Zero,
            _ => Group::One,
        };
        if highest != group {
            return false;
        }
        let apr = self.apr(group);
        *apr &= *apr - 1;
        true
    }

    /// The CPU interface as data.
    pub fn save(&self) -> State {
        let Self { ctlr, pmr, bpr0, bpr1, groups: Groups { zero, one }, ap0r, ap1r } = *self;
        State { ctlr, pmr, bpr0, bpr1, igrpen0: zero, igrpen1: one, ap0r, ap1r }
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        let State { ctlr, pmr, bpr0, bpr1, igrpen0, igrpen1, ap0r, ap1r } = state;
        *self = Self {
            ctlr: CTLR.written(ctlr.raw()),
            pmr: pmr & PRIORITY_MASK,
            bpr0: bpr0.clamp(BPR0_MIN, 7),
            bpr1: bpr1.clamp(BPR1_MIN, 7),
            groups: Groups { zero: igrpen0, one: igrpen1 },
            ap0r,
            ap1r,
        };
    }

    fn apr(&mut self, group: Group) -> &mut u32 {
        match group {
            Group::Zero => &mut self.ap0r,
            Group::One => &mut self.ap1r,
        }
    }

    /// The bits of a priority that are group priority: those above the binary point [GICv3 4.8.2].
    fn group_mask(&self, group: Group) -> u8 {
        let point = match group {
            Group::One if !self.ctlr.cbpr() => self.bpr1 - 1,
            Group::Zero | Group::One => self.bpr0,
        };
        // What leaves the byte is not implemented.
        (0xff_u16 << (point + 1)) as u8
    }
}
