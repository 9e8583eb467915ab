//! 32 interrupts side by side, as both the distributor and a redistributor's SGI frame show them.
//!
//! The two frames have the same registers at the same offsets; bank 0 (SGIs and PPIs) is each
//! redistributor's, the others (SPIs) are the distributor's [GICv3 12.8].

use serde::{Deserialize, Serialize};

/// Bits of a priority that are implemented: 32 levels [GICv3 4.8].
pub const PRIORITY_MASK: u8 = 0xf8;

/// An interrupt's group. With one Security state there are two [GICv3 4.6].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Group {
    /// Group 0, signalled as FIQ.
    Zero,
    /// Group 1, signalled as IRQ.
    One,
}

/// Which groups are enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Group 0.
    pub zero: bool,
    /// Group 1.
    pub one: bool,
}

impl Groups {
    /// Whether interrupts of `group` pass.
    pub const fn allow(self, group: Group) -> bool {
        match group {
            Group::Zero => self.zero,
            Group::One => self.one,
        }
    }

    /// The groups that are in both.
    pub const fn and(self, other: Self) -> Self {
        Self { zero: self.zero && other.zero, one: self.one && other.one }
    }
}

/// An interrupt that waits to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub intid: u32,
    /// How urgent: lower is more.
    pub priority: u8,
    /// Its group.
    pub group: Group,
}

impl Candidate {
    /// The more urgent of the two; between equals, that with the lower INTID.
    pub fn best(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        a.into_iter().chain(b).min_by_key(|candidate| (candidate.priority, candidate.intid))
    }
}

/// State of 32 interrupts, a bit each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bank {
    group: u32,
    enabled: u32,
    /// Pending by an edge, or by software. For level-sensitive interrupts, the input adds to it.
    latched: u32,
    /// Inputs asserted.
    inputs: u32,
    active: u32,
    /// Edge triggered; the others are level sensitive.
    edge: u32,
    priority: [u8; 32],
}

/// A register of a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankRegister {
    /// IGROUPR.
    Group,
    /// ISENABLER.
    SetEnable,
    /// ICENABLER.
    ClearEnable,
    /// ISPENDR.
    SetPending,
    /// ICPENDR.
    ClearPending,
    /// ISACTIVER.
    SetActive,
    /// ICACTIVER.
    ClearActive,
    /// IPRIORITYR of four interrupts, 0 to 7.
    Priority(usize),
    /// ICFGR of 16 interrupts, 0 or 1.
    Config(u32),
}

/// First offset of IPRIORITYR, the registers that take single bytes.
const PRIORITIES: u64 = 0x400;
const PRIORITIES_END: u64 = 0x800;

/// Whether an access at `offset` may be to a byte.
pub const fn has_bytes(offset: u64) -> bool {
    offset >= PRIORITIES && offset < PRIORITIES_END
}

/// The bank and the register at `offset`, a multiple of 4.
pub fn place(offset: u64) -> Option<(usize, BankRegister)> {
    let (start, bytes, register) = match offset {
        0x080..0x100 => (0x080, 4, BankRegister::Group),
        0x100..0x180 => (0x100, 4, BankRegister::SetEnable),
        0x180..0x200 => (0x180, 4, BankRegister::ClearEnable),
        0x200..0x280 => (0x200, 4, BankRegister::SetPending),
        0x280..0x300 => (0x280, 4, BankRegister::ClearPending),
        0x300..0x380 => (0x300, 4, BankRegister::SetActive),
        0x380..0x400 => (0x380, 4, BankRegister::ClearActive),
        // 0 to 7, and 0 or 1.
        PRIORITIES..PRIORITIES_END => (PRIORITIES, 32, BankRegister::Priority((offset % 32 / 4) as usize)),
        0xc00..0xd00 => (0xc00, 8, BankRegister::Config((offset % 8 / 4) as u32)),
        _ => return None,
    };
    // At most 31.
    Some((((offset - start) / bytes) as usize, register))
}

impl BankRegister {
    /// The specification's name, in a redistributor if `private`.
    pub const fn name(self, private: bool) -> &'static str {
        match (self, private) {
            (Self::Group, false) => "GICD_IGROUPR",
            (Self::Group, true) => "GICR_IGROUPR0",
            (Self::SetEnable, false) => "GICD_ISENABLER",
            (Self::SetEnable, true) => "GICR_ISENABLER0",
            (Self::ClearEnable, false) => "GICD_ICENABLER",
            (Self::ClearEnable, true) => "GICR_ICENABLER0",
            (Self::SetPending, false) => "GICD_ISPENDR",
            (Self::SetPending, true) => "GICR_ISPENDR0",
            (Self::ClearPending, false) => "GICD_ICPENDR",
            (Self::ClearPending, true) => "GICR_ICPENDR0",
            (Self::SetActive, false) => "GICD_ISACTIVER",
            (Self::SetActive, true) => "GICR_ISACTIVER0",
            (Self::ClearActive, false) => "GICD_ICACTIVER",
            (Self::ClearActive, true) => "GICR_ICACTIVER0",
            (Self::Priority(_), false) => "GICD_IPRIORITYR",
            (Self::Priority(_), true) => "GICR_IPRIORITYR",
            (Self::Config(_), false) => "GICD_ICFGR",
            (Self::Config(_), true) => "GICR_ICFGR",
        }
    }
}

impl Bank {
    /// Disabled, inactive, group 0, priority 0, level sensitive.
    pub const RESET: Self =
        Self { group: 0, enabled: 0, latched: 0, inputs: 0, active: 0, edge: 0, priority: [0; 32] };

    /// As [`Self::RESET`], with SGIs edge triggered.
    pub const PRIVATE: Self = Self { edge: 0xffff, ..Self::RESET };

    /// Interrupts that are pending, active ones included.
    fn pending(&self) -> u32 {
        self.latched | self.inputs & !self.edge
    }

    /// Software reads a register.
    pub fn read(&self, register: BankRegister) -> u32 {
        match register {
            BankRegister::Group => self.group,
            BankRegister::SetEnable | BankRegister::ClearEnable => self.enabled,
            BankRegister::SetPending | BankRegister::ClearPending => self.pending(),
            BankRegister::SetActive | BankRegister::ClearActive => self.active,
            BankRegister::Priority(word) => {
                u32::from_le_bytes(self.priority.as_chunks().0.get(word).copied().unwrap_or_default())
            }
            BankRegister::Config(half) => spread(self.edge >> (16 * half)),
        }
    }

    /// Software writes the bytes of `value` that `lanes` selects. Only priorities take less than a
    /// dword.
    pub fn write(&mut self, register: BankRegister, value: u32, lanes: u32) {
        match register {
            BankRegister::Group => self.group = value,
            BankRegister::SetEnable => self.enabled |= value,
            BankRegister::ClearEnable => self.enabled &= !value,
            BankRegister::SetPending => self.latched |= value,
            BankRegister::ClearPending => self.latched &= !value,
            BankRegister::SetActive => self.active |= value,
            BankRegister::ClearActive => self.active &= !value,
            BankRegister::Priority(word) => {
                let old = self.read(register);
                let new = (old & !lanes | value & lanes).to_le_bytes();
                if let Some(bytes) = self.priority.as_chunks_mut().0.get_mut(word) {
                    *bytes = new.map(|priority| priority & PRIORITY_MASK);
                }
            }
            BankRegister::Config(half) => {
                let shift = 16 * half;
                self.edge = self.edge & !(0xffff << shift) | gather(value) << shift;
            }
        }
    }

    /// An input changed. A rising edge makes an edge-triggered interrupt pending, active or not.
    pub fn set_input(&mut self, bit: u32, asserted: bool) {
        let mask = 1 << bit;
        if asserted {
            self.latched |= mask & self.edge & !self.inputs;
            self.inputs |= mask;
        } else {
            self.inputs &= !mask;
        }
    }

    /// Makes an interrupt pending, if it is of this group.
    pub fn pend(&mut self, bit: u32, group: Group) {
        if self.group_of(bit) == group {
            self.latched |= 1 << bit;
        }
    }

    /// An interrupt was acknowledged: active, and not pending unless its level still is
    /// [GICv3 4.1].
    pub fn acknowledge(&mut self, bit: u32) {
        self.active |= 1 << bit;
        self.latched &= !(1 << bit);
    }

    /// An interrupt is no longer active.
    pub fn deactivate(&mut self, bit: u32) {
        self.active &= !(1 << bit);
    }

    /// The interrupts that may be signalled, in the order of their numbers; that of bit 0 is `first`.
    pub fn candidates(&self, groups: Groups, first: u32) -> impl Iterator<Item = Candidate> {
        let allowed = if groups.one { self.group } else { 0 } | if groups.zero { !self.group } else { 0 };
        let mut waiting = self.pending() & self.enabled & !self.active & allowed;
        std::iter::from_fn(move || {
            if waiting == 0 {
                return None;
            }
            let bit = waiting.trailing_zeros();
            waiting &= waiting - 1;
            let priority = self.priority[bit as usize] & PRIORITY_MASK;
            Some(Candidate { intid: first + bit, priority, group: self.group_of(bit) })
        })
    }

    fn group_of(&self, bit: u32) -> Group {
        if self.group >> bit & 1 != 0 { Group::One } else { Group::Zero }
    }
}

/// Bit n of the low 16 bits at bit 2n + 1, as ICFGR shows it.
fn spread(bits: u32) -> u32 {
    (0..16).filter(|bit| bits >> bit & 1 != 0).fold(0, |out, bit| out | 2 << (2 * bit))
}

/// The reverse of [`spread`].
fn gather(config: u32) -> u32 {
    (0..16).filter(|bit| config >> (2 * bit + 1) & 1 != 0).fold(0, |out, bit| out | 1 << bit)
}
