//! The Arm generic interrupt controller, version 3, with an interrupt translation service.
//!
//! A [`Gic`] is a [`distributor`] for SPIs, a [`redistributor`] and a [`cpu_interface`] for each of 1
//! to 8 processors, and an [`its`]. It has one Security state (GICD_CTLR.DS = 1), no EL3 and no EL2;
//! affinity routing and the system register interface cannot be switched off. Processor n has affinity
//! 0.0.0.n. Citations [GICv3 …] are of Arm IHI 0069, by section, register or command.
//!
//! An interrupt goes from a device to [`Gic::set_spi`], [`Gic::pulse_spi`], [`Gic::set_ppi`] or
//! [`Gic::message`]; the outcome is a pair of levels for each processor, [`Gic::lines`]. The processor
//! takes part through [`Gic::read_register`] and [`Gic::write_register`]. A machine without one takes
//! LPIs by [`Gic::take_lpis`].
//!
//! - Which interrupt is most urgent is worked out after each access that may change it, and is not
//!   part of a snapshot.
//! - An SPI that any processor may take (GICD_IROUTER, 1 of N) is offered to the one with the lowest
//!   number among those that are awake and have its group enabled.
//! - A redistributor whose processor sleeps (GICR_WAKER) forwards nothing.
//!
//! What is absent: SPIs by message (GICD_SETSPI), extended ranges of SPIs and PPIs, LPIs by register
//! (GICR_SETLPIR), virtual interrupts, non-maskable interrupts. What the type registers do not report
//! reads zero.

pub mod bank;
pub mod cpu_interface;
pub mod distributor;
mod identification;
pub mod its;
pub mod lpi;
mod processor;
pub mod redistributor;
pub mod sysreg;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::events::DeviceEvent;
use crate::fabric::Effects;
use crate::mem::PhysMem;
use bank::{Candidate, Groups};
use cpu_interface::CpuInterface;
use distributor::{Distributor, FIRST_SPI};
use its::{Its, Lpi, LpiAction, Redistributors};
use redistributor::{Redistributor, perform};

/// The name of the model in traces.
const UNIT: &str = "gic";
/// The first locality-specific peripheral interrupt (LPI) [GICv3 2.2].
pub const FIRST_LPI: u32 = 8192;
/// Width of an INTID: LPIs are 8192 to 65535.
pub const INTID_BITS: u32 = 16;
/// INTID of PPI 0; those below are SGIs.
pub const FIRST_PPI: u32 = 16;
/// Processors that a controller serves at most.
pub const PROCESSORS_MAX: u8 = 8;
/// Bytes of the distributor's frame.
pub const DISTRIBUTOR_SIZE: u64 = 0x1_0000;
/// Bytes of a redistributor's frames; those of the next processor follow.
pub const REDISTRIBUTOR_SIZE: u64 = redistributor::FRAMES_SIZE;

/// Whether `intid` is an LPI that this controller has.
pub const fn is_lpi(intid: u32) -> bool {
    intid >= FIRST_LPI && intid < 1 << INTID_BITS
}

/// What a machine decides about its interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Processors, 1 to [`PROCESSORS_MAX`]; a number outside is taken as the nearest inside.
    pub processors: u8,
    /// SPIs, 32 to [`distributor::SPIS_MAX`] in steps of 32; rounded up, and else to the nearest.
    pub spis: u16,
    /// Width of DeviceIDs, 1 to 32.
    pub device_bits: u8,
}

impl Default for Config {
    /// One processor, 256 SPIs, 16-bit DeviceIDs.
    fn default() -> Self {
        Self { processors: 1, spis: 256, device_bits: 16 }
    }
}

/// The interrupt inputs of a processor, as levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// An interrupt of group 1.
    pub irq: bool,
    /// An interrupt of group 0.
    pub fiq: bool,
}

/// An interrupt controller.
pub struct Gic {
    mem: PhysMem,
    distributor: Distributor,
    redistributors: Vec<Redistributor>,
    interfaces: Vec<CpuInterface>,
    its: Its,
    /// The most urgent interrupt of each processor, as [`Self::update`] found it.
    candidates: Vec<Option<Candidate>>,
}

/// A saved [`Gic`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    distributor: distributor::State,
    redistributors: Vec<redistributor::State>,
    interfaces: Vec<cpu_interface::State>,
    its: its::State,
}

/// The redistributors as the ITS sees them.
struct Served<'a> {
    redistributors: &'a mut [Redistributor],
    mem: &'a PhysMem,
}

impl Redistributors for Served<'_> {
    fn act(&mut self, action: LpiAction, _fx: &mut Effects) {
        perform(self.redistributors, self.mem, action);
    }
}

impl Gic {
    /// A controller as after reset, whose LPI tables and command queue lie in `mem`.
    pub fn new(config: Config, mem: PhysMem) -> Self {
        let count = u16::from(config.processors.clamp(1, PROCESSORS_MAX));
        let its = its::Config { device_bits: config.device_bits, redistributors: count };
        Self {
            distributor: Distributor::new(config.spis),
            redistributors: (0..count).map(|n| Redistributor::new(n, n + 1 == count)).collect(),
            interfaces: vec![CpuInterface::RESET; count.into()],
            its: Its::new(its, mem.clone()),
            candidates: vec![None; count.into()],
            mem,
        }
    }

    /// Number of processors.
    pub fn processors(&self) -> usize {
        self.interfaces.len()
    }

    /// Software reads `data.len()` bytes at `offset` of the distributor's frame.
    pub fn read_distributor(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        self.distributor.read(offset, data, fx);
    }

    /// Software writes `data` at `offset` of the distributor's frame.
    pub fn write_distributor(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        self.distributor.write(offset, data, fx);
        self.update();
    }

    /// Software reads `data.len()` bytes at `offset` of the redistributors' frames. Behind those of the
    /// last processor everything reads zero.
    pub fn read_redistributors(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        match self.redistributors.get_mut(number(offset)) {
            Some(redistributor) => redistributor.read(offset % REDISTRIBUTOR_SIZE, data, &self.mem, fx),
            None => data.fill(0),
        }
    }

    /// Software writes `data` at `offset` of the redistributors' frames.
    pub fn write_redistributors(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        if let Some(redistributor) = self.redistributors.get_mut(number(offset)) {
            redistributor.write(offset % REDISTRIBUTOR_SIZE, data, &self.mem, fx);
            self.update();
        }
    }

    /// Software reads `data.len()` bytes at `offset` of the ITS's frames.
    pub fn read_its(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        self.its.read(offset, data, fx);
    }

    /// Software writes `data` at `offset` of the ITS's frames.
    pub fn write_its(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        let mut served = Served { redistributors: &mut self.redistributors, mem: &self.mem };
        self.its.write(offset, data, &mut served, fx);
        self.update();
    }

    /// Delivers an event that the controller asked for.
    pub fn event(&mut self, event: DeviceEvent, fx: &mut Effects) {
        let mut served = Served { redistributors: &mut self.redistributors, mem: &self.mem };
        self.its.event(event, &mut served, fx);
        self.update();
    }

    /// The device `device` wrote `event` to GITS_TRANSLATER: the LPI that it is, or `None` where it is
    /// dropped. An LPI still gets lost at a redistributor whose LPIs are disabled.
    pub fn message(&mut self, device: u32, event: u32, fx: &mut Effects) -> Option<Lpi> {
        let mut served = Served { redistributors: &mut self.redistributors, mem: &self.mem };
        let lpi = self.its.message(device, event, &mut served, fx);
        self.update();
        lpi
    }

    /// The input of a shared interrupt changed; `spi` counts from 0 (INTID 32), and one that does not
    /// exist is ignored.
    pub fn set_spi(&mut self, spi: u32, asserted: bool) {
        let bank = spi.checked_add(FIRST_SPI).and_then(|intid| self.distributor.spi(intid));
        if let Some((bank, bit)) = bank {
            bank.set_input(bit, asserted);
            self.update();
        }
    }

    /// A pulse at the input of a shared interrupt: one that software configured as level sensitive
    /// misses it.
    pub fn pulse_spi(&mut self, spi: u32) {
        self.set_spi(spi, true);
        self.set_spi(spi, false);
    }

    /// The input of a private interrupt changed; `ppi` counts from 0 (INTID 16) to 15.
    pub fn set_ppi(&mut self, processor: usize, ppi: u32, asserted: bool) {
        if let Some(redistributor) = self.redistributors.get_mut(processor).filter(|_| ppi < 16) {
            redistributor.bank().set_input(FIRST_PPI + ppi, asserted);
            self.update();
        }
    }

    /// Takes all LPIs that are pending and enabled, of processor after processor, most urgent first: what
    /// a machine without processors does in their place.
    pub fn take_lpis(&mut self) -> Vec<Lpi> {
        let mut taken = Vec::new();
        for (target, redistributor) in (0..).zip(&mut self.redistributors) {
            taken.extend(redistributor.take_lpis(&self.mem).map(|intid| Lpi { intid, target }));
        }
        self.update();
        taken
    }

    /// Returns to the state after reset.
    pub fn reset(&mut self) {
        let Self { mem: _, distributor, redistributors, interfaces, its, candidates: _ } = self;
        distributor.reset();
        redistributors.iter_mut().for_each(Redistributor::reset);
        interfaces.fill(CpuInterface::RESET);
        its.reset();
        self.update();
    }

    /// The controller as data.
    pub fn save(&self) -> State {
        let Self { mem: _, distributor, redistributors, interfaces, its, candidates: _ } = self;
        State {
            distributor: distributor.save(),
            redistributors: redistributors.iter().map(Redistributor::save).collect(),
            interfaces: interfaces.iter().map(CpuInterface::save).collect(),
            its: its.save(),
        }
    }

    /// Continues from what was saved; of another number of processors, those that both have.
    pub fn restore(&mut self, state: State) {
        let State { distributor, redistributors, interfaces, its } = state;
        self.reset();
        self.distributor.restore(distributor);
        for (redistributor, saved) in self.redistributors.iter_mut().zip(redistributors) {
            redistributor.restore(saved);
        }
        for (interface, saved) in self.interfaces.iter_mut().zip(interfaces) {
            interface.restore(saved);
        }
        self.its.restore(its);
        self.update();
    }

    /// Finds the most urgent interrupt of each processor [GICv3 4.8].
    fn update(&mut self) {
        let Self { mem, distributor, redistributors, interfaces, its: _, candidates } = self;
        let forwarded = distributor.groups();
        for ((redistributor, interface), best) in
            redistributors.iter_mut().zip(&*interfaces).zip(&mut *candidates)
        {
            redistributor.settle(mem);
            let groups = taking(redistributor, interface).and(forwarded);
            *best = redistributor.candidate(groups);
        }
        let processors = || redistributors.iter().zip(&*interfaces).map(|(r, i)| taking(r, i));
        distributor.offer(
            |group| processors().position(|groups| groups.allow(group)),
            |processor, candidate| {
                let allowed = processors().nth(processor).is_some_and(|groups| groups.allow(candidate.group));
                if let Some(best) = candidates.get_mut(processor).filter(|_| allowed) {
                    *best = Candidate::best(*best, Some(candidate));
                }
            },
        );
    }
}

/// The groups of interrupts that a processor takes: none while it sleeps.
fn taking(redistributor: &Redistributor, interface: &CpuInterface) -> Groups {
    let awake = redistributor.awake();
    interface.groups().and(Groups { zero: awake, one: awake })
}

/// Number of the redistributor whose frames `offset` lies in; beyond all of them if it is large.
fn number(offset: u64) -> usize {
    usize::try_from(offset / REDISTRIBUTOR_SIZE).unwrap_or(usize::MAX)
}

/// `old` with one of its dwords replaced.
fn merge(old: u64, dword: u32, value: u32) -> u64 {
    let shift = 32 * dword;
    (old & !(0xffff_ffff << shift)) | u64::from(value) << shift
}
