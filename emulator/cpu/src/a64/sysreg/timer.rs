//! The generic timer [Arm D12]: the counter, and a core's virtual and physical timers.
//!
//! Both counters are the same, as there is no EL2 to offset one.

use serde::{Deserialize, Serialize};

use super::{Key, Outcome, key};
use crate::a64::core::{Core, Env, Settings};
use crate::a64::regs::El;

const ENABLE: u64 = 1 << 0;
const MASK: u64 = 1 << 1;
const STATUS: u64 = 1 << 2;

/// One timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::a64) struct Timer {
    /// CTL without its status bit.
    pub(in crate::a64) control: u64,
    /// CVAL.
    pub(in crate::a64) compare: u64,
    /// The output as the bus knows it.
    pub(in crate::a64) line: bool,
}

impl Timer {
    fn met(&self, counter: u64) -> bool {
        self.control & ENABLE != 0 && counter >= self.compare
    }

    /// The output.
    pub(in crate::a64) fn output(&self, counter: u64) -> bool {
        self.met(counter) && self.control & MASK == 0
    }

    /// When the output will rise, in units of time; `None` where it will not or is high.
    pub(in crate::a64) fn deadline(&self, settings: &Settings, counter: u64) -> Option<u64> {
        let armed = self.control & (ENABLE | MASK) == ENABLE && counter < self.compare;
        armed.then(|| self.compare.saturating_mul(settings.time_per_tick))
    }
}

impl Settings {
    /// The system counter at a time.
    pub(in crate::a64) fn counter(&self, time: u64) -> u64 {
        time / self.time_per_tick
    }
}

impl Core {
    /// Tells the bus what changed of the timers' outputs, and asks what that did to the interrupt
    /// lines.
    pub(in crate::a64) fn update_timers(&mut self, env: &mut Env<'_>) {
        let counter = env.settings.counter(self.now());
        for timer in 0..self.sys.timers.len() {
            let level = self.sys.timers[timer].output(counter);
            if level != self.sys.timers[timer].line {
                self.sys.timers[timer].line = level;
                let at = self.at(env);
                env.bus.timer_line(at, timer, level);
                self.poll_lines(env);
            }
        }
    }

    /// When a timer's output will rise, or the performance monitor's.
    pub(in crate::a64) fn timer_deadline(&self, settings: &Settings, now: u64) -> Option<u64> {
        let counter = settings.counter(now);
        let pmu = self.sys.pmu.deadline(self.pstate.el);
        self.sys.timers.iter().filter_map(|timer| timer.deadline(settings, counter)).chain(pmu).min()
    }

    /// When the event stream will set the event register [Arm D12.2.3].
    pub(in crate::a64) fn stream_deadline(&self, settings: &Settings, now: u64) -> Option<u64> {
        const ENABLE: u64 = 1 << 2;
        const FALLING: u64 = 1 << 3;
        let control = self.sys.cntkctl;
        if control & ENABLE == 0 {
            return None;
        }
        let half = 1u64 << (control >> 4 & 15);
        let phase = if control & FALLING != 0 { 0 } else { half };
        let counter = settings.counter(now);
        let ahead = (phase.wrapping_sub(counter) & (2 * half - 1)).wrapping_sub(1) & (2 * half - 1);
        Some(counter.saturating_add(ahead + 1).saturating_mul(settings.time_per_tick))
    }
}

/// CNTKCTL_EL1 bits that let EL0 in: the counter's, and those of the virtual and physical timer.
const VIRTUAL_COUNTER: u64 = 1 << 1;
const PHYSICAL_COUNTER: u64 = 1 << 0;
const VIRTUAL_TIMER: u64 = 1 << 8;
const PHYSICAL_TIMER: u64 = 1 << 9;

/// A timer's registers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Register {
    /// TVAL
    Value,
    /// CTL
    Control,
    /// CVAL
    Compare,
}

/// Index of the timer, the register of it, and the bit that lets EL0 in.
fn timer_of(key: Key) -> Option<(usize, Register, u64)> {
    Some(match key {
        key::CNTV_TVAL_EL0 => (0, Register::Value, VIRTUAL_TIMER),
        key::CNTV_CTL_EL0 => (0, Register::Control, VIRTUAL_TIMER),
        key::CNTV_CVAL_EL0 => (0, Register::Compare, VIRTUAL_TIMER),
        key::CNTP_TVAL_EL0 => (1, Register::Value, PHYSICAL_TIMER),
        key::CNTP_CTL_EL0 => (1, Register::Control, PHYSICAL_TIMER),
        key::CNTP_CVAL_EL0 => (1, Register::Compare, PHYSICAL_TIMER),
        _ => return None,
    })
}

pub(super) fn read(core: &mut Core, env: &mut Env<'_>, key: Key) -> Outcome<u64> {
    let counter = env.settings.counter(core.now());
    let control = core.sys.cntkctl;
    match key {
        key::CNTKCTL_EL1 => Outcome::Done(control),
        key::CNTFRQ_EL0 => {
            let allowed = control & (VIRTUAL_COUNTER | PHYSICAL_COUNTER) != 0;
            let frequency = core.sys.cntfrq.unwrap_or(env.settings.counter_frequency);
            Outcome::unless_trapped(core, allowed, || u64::from(frequency))
        }
        key::CNTPCT_EL0 => Outcome::unless_trapped(core, control & PHYSICAL_COUNTER != 0, || counter),
        key::CNTVCT_EL0 => Outcome::unless_trapped(core, control & VIRTUAL_COUNTER != 0, || counter),
        _ => {
            let Some((timer, register, bit)) = timer_of(key) else { return Outcome::Undefined };
            let timer = core.sys.timers[timer];
            Outcome::unless_trapped(core, control & bit != 0, || match register {
                Register::Value => timer.compare.wrapping_sub(counter) & 0xffff_ffff,
                Register::Control => timer.control | if timer.met(counter) { STATUS } else { 0 },
                Register::Compare => timer.compare,
            })
        }
    }
}

pub(super) fn write(core: &mut Core, env: &mut Env<'_>, key: Key, value: u64) -> Outcome {
    if key == key::CNTKCTL_EL1 {
        // EVNTI to EL0PCTEN, EL0VTEN, EL0PTEN.
        core.sys.cntkctl = value & 0x3ff;
        return Outcome::Done(());
    }
    // CNTFRQ_EL0 can be written at the highest exception level, which is EL1.
    if key == key::CNTFRQ_EL0 && core.pstate.el == El::El1 {
        // 32 bits.
        core.sys.cntfrq = Some(value as u32);
        return Outcome::Done(());
    }
    let Some((timer, register, bit)) = timer_of(key) else { return Outcome::Undefined };
    if core.pstate.el == El::El0 && core.sys.cntkctl & bit == 0 {
        return Outcome::Trap;
    }
    let counter = env.settings.counter(core.now());
    let timer = &mut core.sys.timers[timer];
    match register {
        // TVAL is signed, 32 bits.
        Register::Value => timer.compare = counter.wrapping_add(value as i32 as u64),
        Register::Control => timer.control = value & (ENABLE | MASK),
        Register::Compare => timer.compare = value,
    }
    core.update_timers(env);
    core.reschedule = true;
    core.kick();
    Outcome::Done(())
}
