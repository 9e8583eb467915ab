//! A minimal performance monitor [Arm D13]: the cycle counter, and no event counters.
//!
//! A cycle is a unit of time, so an instruction takes one. The count is kept as a value and the
//! time since which it has grown, and brought up to date when something about it changes.

use serde::{Deserialize, Serialize};

use super::{Key, Outcome, key};
use crate::a64::core::{Core, Env};
use crate::a64::regs::El;

/// PMCR: counters are enabled.
const E: u64 = 1 << 0;
/// PMCR: reset the cycle counter.
const C: u64 = 1 << 2;
/// PMCR: the counter overflows at 64 bits, not 32.
const LC: u64 = 1 << 6;
/// PMCR bits that are kept: E, D, X, DP, LC. D divides by 64 where LC is clear.
const KEPT: u64 = E | D | 1 << 4 | 1 << 5 | LC;
/// PMCR: count every 64th cycle.
const D: u64 = 1 << 3;
/// The cycle counter's bit in the enable, overflow and interrupt registers.
const CYCLES: u64 = 1 << 31;
/// PMCCFILTR: not at EL1, not at EL0.
const NOT_EL1: u64 = 1 << 31;
const NOT_EL0: u64 = 1 << 30;
/// PMUSERENR, for EL0: all registers; software increment; reading the cycle counter; reading event
/// counters and selecting one.
const EN: u64 = 1 << 0;
const SW: u64 = 1 << 1;
const CR: u64 = 1 << 2;
const ER: u64 = 1 << 3;
/// PMCEID0: CPU_CYCLES.
const EVENTS: u64 = 1 << 0x11;

/// The performance monitor's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::a64) struct Pmu {
    control: u64,
    /// The cycle counter is enabled.
    enabled: bool,
    /// It has overflowed.
    overflow: bool,
    /// Its overflow makes an interrupt.
    interrupt: bool,
    filter: u64,
    user: u64,
    select: u64,
    count: u64,
    /// The time at which `count` was right.
    since: u64,
    /// The interrupt line as the bus knows it.
    pub(super) line: bool,
}

impl Pmu {
    fn counts(&self, el: El) -> bool {
        let filtered = self.filter & if el == El::El1 { NOT_EL1 } else { NOT_EL0 } != 0;
        self.control & E != 0 && self.enabled && !filtered
    }

    /// Units of time for one count.
    fn scale(&self) -> u64 {
        if self.control & (D | LC) == D { 64 } else { 1 }
    }

    /// The highest count before an overflow.
    fn top(&self) -> u64 {
        if self.control & LC != 0 { u64::MAX } else { u64::from(u32::MAX) }
    }

    /// Brings the count up to `now`, all of it spent at `el`.
    pub(in crate::a64) fn advance(&mut self, now: u64, el: El) {
        let scale = self.scale();
        let counts = now.saturating_sub(self.since) / scale;
        if !self.counts(el) {
            self.since = now;
            return;
        }
        self.since += counts * scale;
        let left = self.top() - (self.count & self.top());
        self.overflow |= counts > left;
        self.count = self.count.wrapping_add(counts);
    }

    /// When the counter will overflow at `el`, if that makes an interrupt.
    pub(in crate::a64) fn deadline(&self, el: El) -> Option<u64> {
        let armed = self.counts(el) && self.interrupt && !self.overflow;
        let left = (self.top() - (self.count & self.top())).saturating_add(1);
        armed.then(|| self.since.saturating_add(left.saturating_mul(self.scale())))
    }

    fn level(&self) -> bool {
        self.control & E != 0 && self.overflow && self.interrupt
    }
}

impl Core {
    /// Brings the performance monitor up to now, before something about it changes.
    pub(in crate::a64) fn advance_pmu(&mut self) {
        let (now, el) = (self.now(), self.pstate.el);
        self.sys.pmu.advance(now, el);
    }

    /// Tells the bus where the overflow interrupt's level changed.
    pub(in crate::a64) fn update_pmu(&mut self, env: &mut Env<'_>) {
        self.advance_pmu();
        let level = self.sys.pmu.level();
        if level != self.sys.pmu.line {
            self.sys.pmu.line = level;
            let at = self.at(env);
            env.bus.pmu_line(at, level);
            self.poll_lines(env);
        }
    }
}

/// Is it one of this room's registers?
pub(super) fn owns(key: Key) -> bool {
    key.crn() == 9 || key == key::PMCCFILTR_EL0 || (key.op1() == 3 && key.crn() == 14 && key.crm() >= 8)
}

/// Is there such a register to read, or to write, from `el`? Event counters do not exist.
fn exists(key: Key, read: bool, el: El) -> bool {
    match key {
        key::PMCEID0_EL0 | key::PMCEID1_EL0 => read,
        key::PMSWINC_EL0 => !read,
        key::PMUSERENR_EL0 => read || el == El::El1,
        key::PMCR_EL0
        | key::PMCNTENSET_EL0
        | key::PMCNTENCLR_EL0
        | key::PMOVSCLR_EL0
        | key::PMOVSSET_EL0
        | key::PMINTENSET_EL1
        | key::PMINTENCLR_EL1
        | key::PMSELR_EL0
        | key::PMCCNTR_EL0
        | key::PMCCFILTR_EL0
        | key::PMXEVTYPER_EL0
        | key::PMXEVCNTR_EL0 => true,
        _ => false,
    }
}

/// Does PMUSERENR_EL0 let the exception level in?
fn allowed(core: &Core, key: Key, read: bool) -> bool {
    let user = core.sys.pmu.user;
    let alone = match key {
        key::PMUSERENR_EL0 => read,
        key::PMCCNTR_EL0 => read && user & CR != 0,
        key::PMSWINC_EL0 => user & SW != 0,
        key::PMSELR_EL0 => user & ER != 0,
        key::PMXEVCNTR_EL0 => read && user & ER != 0,
        _ => false,
    };
    core.pstate.el == El::El1 || user & EN != 0 || alone
}

pub(super) fn read(core: &mut Core, env: &Env<'_>, key: Key) -> Outcome<u64> {
    if !env.settings.features.pmu || !exists(key, true, core.pstate.el) {
        return Outcome::Undefined;
    }
    if !allowed(core, key, true) {
        return Outcome::Trap;
    }
    core.advance_pmu();
    let pmu = &core.sys.pmu;
    let bit = |set: bool| if set { CYCLES } else { 0 };
    Outcome::Done(match key {
        key::PMCR_EL0 => pmu.control,
        key::PMCNTENSET_EL0 | key::PMCNTENCLR_EL0 => bit(pmu.enabled),
        key::PMOVSCLR_EL0 | key::PMOVSSET_EL0 => bit(pmu.overflow),
        key::PMINTENSET_EL1 | key::PMINTENCLR_EL1 => bit(pmu.interrupt),
        key::PMSELR_EL0 => pmu.select,
        key::PMCEID0_EL0 => EVENTS,
        key::PMCEID1_EL0 => 0,
        key::PMCCNTR_EL0 => pmu.count,
        key::PMCCFILTR_EL0 => pmu.filter,
        // The selected counter is the cycle counter or none.
        key::PMXEVTYPER_EL0 => {
            if pmu.select == 31 {
                pmu.filter
            } else {
                0
            }
        }
        key::PMXEVCNTR_EL0 => 0,
        key::PMUSERENR_EL0 => pmu.user,
        _ => return Outcome::Undefined,
    })
}

pub(super) fn write(core: &mut Core, env: &mut Env<'_>, key: Key, value: u64) -> Outcome {
    if !env.settings.features.pmu || !exists(key, false, core.pstate.el) {
        return Outcome::Undefined;
    }
    if !allowed(core, key, false) {
        return Outcome::Trap;
    }
    core.advance_pmu();
    let pmu = &mut core.sys.pmu;
    let cycles = value & CYCLES != 0;
    match key {
        key::PMCR_EL0 => {
            pmu.control = value & KEPT;
            if value & C != 0 {
                pmu.count = 0;
            }
        }
        key::PMCNTENSET_EL0 => pmu.enabled |= cycles,
        key::PMCNTENCLR_EL0 => pmu.enabled &= !cycles,
        key::PMOVSSET_EL0 => pmu.overflow |= cycles,
        key::PMOVSCLR_EL0 => pmu.overflow &= !cycles,
        key::PMINTENSET_EL1 => pmu.interrupt |= cycles,
        key::PMINTENCLR_EL1 => pmu.interrupt &= !cycles,
        key::PMSELR_EL0 => pmu.select = value & 31,
        key::PMCCNTR_EL0 => pmu.count = value,
        key::PMCCFILTR_EL0 => pmu.filter = value & (NOT_EL1 | NOT_EL0),
        key::PMXEVTYPER_EL0 if pmu.select == 31 => pmu.filter = value & (NOT_EL1 | NOT_EL0),
        key::PMXEVTYPER_EL0 | key::PMXEVCNTR_EL0 | key::PMSWINC_EL0 => {}
        key::PMUSERENR_EL0 if core.pstate.el == El::El1 => pmu.user = value & 0xf,
        _ => return Outcome::Undefined,
    }
    core.update_pmu(env);
    core.reschedule = true;
    core.kick();
    Outcome::Done(())
}
