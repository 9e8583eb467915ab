//! The distributor: SPIs, their state and their routes [GICv3 12.9].

use serde::{Deserialize, Serialize};

use super::bank::{self, Bank, BankRegister, Candidate, Group, Groups};
use super::identification::{IIDR, identification};
use super::{INTID_BITS, merge};
use crate::fabric::Effects;
use crate::register;
use crate::register::block::{self, DwordSpace, Rules};
use crate::trace::TraceEvent;

/// The name of the model in traces.
const UNIT: &str = "gicd";
/// PIDR0.
const PART: u32 = 0x92;
/// INTID of SPI 0.
pub const FIRST_SPI: u32 = 32;
/// SPIs that a distributor has at most: multiples of 32 below the special INTIDs, from 1020 on.
pub const SPIS_MAX: u16 = 960;

register! {
    /// Distributor Control Register [GICv3 GICD_CTLR].
    pub struct Ctlr: u32 {
        /// A write is under way.
        31:31 Ro    rwp: bool,
        30:8  RsvdZ _r1,
        /// 1 of N wakeup; there is none.
        7:7   RsvdZ _e1nwf,
        /// Security is disabled.
        6:6   Ro    ds: bool,
        5:5   RsvdZ _r0,
        /// Affinity routing is enabled.
        4:4   Ro    are: bool,
        3:2   RsvdZ _r2,
        /// Group 1 is enabled.
        1:1   Rw    enable_group1: bool,
        /// Group 0 is enabled.
        0:0   Rw    enable_group0: bool,
    }
}

register! {
    /// Interrupt Controller Type Register [GICv3 GICD_TYPER].
    pub struct Typer: u32 {
        31:27 RsvdZ _r2,
        /// Range selectors of SGIs reach affinities above 15.
        26:26 Ro    rss: bool,
        /// No 1 of N routing.
        25:25 Ro    no1n: bool,
        /// Aff3 may be nonzero.
        24:24 Ro    a3v: bool,
        /// INTID bits, less one.
        23:19 Ro    id_bits: u8,
        /// Direct injection of virtual LPIs.
        18:18 Ro    dvis: bool,
        /// LPIs.
        17:17 Ro    lpis: bool,
        /// SPIs by messages: GICD_SETSPI.
        16:16 Ro    mbis: bool,
        /// LPIs are 2^(this + 1); 0: as `id_bits` says.
        15:11 Ro    num_lpis: u8,
        /// Two Security states.
        10:10 Ro    security_extn: bool,
        9:8   RsvdZ _r0,
        /// Processors without affinity routing, less one.
        7:5   Ro    cpu_number: u8,
        /// INTIDs of SPIs are below 32 * (this + 1).
        4:0   Ro    it_lines_number: u8,
    }
}

register! {
    /// Interrupt Routing Register [GICv3 GICD_IROUTER].
    pub struct Irouter: u64 {
        63:40 RsvdZ _r1,
        /// Affinity level 3.
        39:32 Rw    aff3: u8,
        /// To any processor that takes part; the affinity does not count.
        31:31 Rw    interrupt_routing_mode: bool,
        30:24 RsvdZ _r0,
        /// Affinity level 2.
        23:16 Rw    aff2: u8,
        /// Affinity level 1.
        15:8  Rw    aff1: u8,
        /// Affinity level 0.
        7:0   Rw    aff0: u8,
    }
}

impl Irouter {
    /// Index of the processor with this affinity: Aff0 is the index, the others are 0.
    pub const fn processor(self) -> Option<usize> {
        if self.aff3() == 0 && self.aff2() == 0 && self.aff1() == 0 {
            Some(self.aff0() as usize)
        } else {
            None
        }
    }
}

const ROUTERS: u64 = 0x6000;
const ROUTERS_END: u64 = 0x8000;

/// A distributor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distributor {
    ctlr: Ctlr,
    /// From INTID 32 on.
    banks: Vec<Bank>,
    routes: Vec<Irouter>,
}

/// A saved [`Distributor`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    ctlr: Ctlr,
    banks: Vec<Bank>,
    routes: Vec<Irouter>,
}

/// Security is disabled and affinity routing enabled for good.
const CTLR: Ctlr = Ctlr::ZERO.with_ds(true).with_are(true);

impl Distributor {
    /// With at least this many SPIs, in steps of 32, from 32 to [`SPIS_MAX`].
    pub fn new(spis: u16) -> Self {
        let banks = usize::from(spis.clamp(1, SPIS_MAX).div_ceil(32));
        Self { ctlr: CTLR, banks: vec![Bank::RESET; banks], routes: vec![Irouter::ZERO; 32 * banks] }
    }

    /// Registers as after reset. Inputs too: what drives them is reset with them.
    pub fn reset(&mut self) {
        let Self { ctlr, banks, routes } = self;
        *ctlr = CTLR;
        banks.fill(Bank::RESET);
        routes.fill(Irouter::ZERO);
    }

    /// The groups that it forwards.
    pub fn groups(&self) -> Groups {
        Groups { zero: self.ctlr.enable_group0(), one: self.ctlr.enable_group1() }
    }

    /// Bank and bit of the interrupt `intid`.
    pub fn spi(&mut self, intid: u32) -> Option<(&mut Bank, u32)> {
        let spi = intid.checked_sub(FIRST_SPI)?;
        Some((self.banks.get_mut(usize::try_from(spi / 32).ok()?)?, spi % 32))
    }

    /// Gives every SPI that may be signalled to the processor that its route names; `any` chooses one
    /// for those of a group that may go anywhere [GICv3 GICD_IROUTER].
    pub fn offer(&self, any: impl Fn(Group) -> Option<usize>, mut to: impl FnMut(usize, Candidate)) {
        let groups = self.groups();
        for (bank, first) in self.banks.iter().zip((FIRST_SPI..).step_by(32)) {
            for candidate in bank.candidates(groups, first) {
                let route = self.routes.get((candidate.intid - FIRST_SPI) as usize);
                let target = route.and_then(|route| match route.interrupt_routing_mode() {
                    true => any(candidate.group),
                    false => route.processor(),
                });
                if let Some(target) = target {
                    to(target, candidate);
                }
            }
        }
    }

    /// Software reads `data.len()` bytes at `offset` of the frame.
    pub fn read(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        block::read(&mut Registers { distributor: self, fx }, rules(offset), offset, data);
    }

    /// Software writes `data` at `offset`.
    pub fn write(&mut self, offset: u64, data: &[u8], fx: &mut Effects) {
        block::write(&mut Registers { distributor: self, fx }, rules(offset), offset, data);
    }

    /// The distributor as data.
    pub fn save(&self) -> State {
        let Self { ctlr, banks, routes } = self;
        State { ctlr: *ctlr, banks: banks.clone(), routes: routes.clone() }
    }

    /// Continues from what was saved; of another number of SPIs, those that both have.
    pub fn restore(&mut self, state: State) {
        let State { ctlr, banks, routes } = state;
        self.reset();
        self.ctlr = CTLR.written(ctlr.raw());
        for (bank, saved) in self.banks.iter_mut().zip(banks) {
            *bank = saved;
        }
        for (route, saved) in self.routes.iter_mut().zip(routes) {
            *route = Irouter::ZERO.written(saved.raw());
        }
    }

    fn typer(&self) -> Typer {
        Typer::ZERO
            .with_a3v(true)
            .with_id_bits(INTID_BITS as u8 - 1)
            .with_lpis(true)
            // At most 30; bank 0 is not here.
            .with_it_lines_number(self.banks.len() as u8)
    }

    fn read_dword(&self, offset: u64) -> u32 {
        match place(offset) {
            Some(Reg::Ctlr) => self.ctlr.raw(),
            Some(Reg::Typer) => self.typer().raw(),
            Some(Reg::Iidr) => IIDR,
            Some(Reg::Bank(index, register)) => self.banks.get(index).map_or(0, |bank| bank.read(register)),
            Some(Reg::Irouter(index, dword)) => {
                // The wanted dword is the low one after the shift.
                self.routes.get(index).map_or(0, |route| (route.raw() >> (32 * dword)) as u32)
            }
            None => identification(offset, PART).unwrap_or(0),
        }
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        match place(offset) {
            Some(Reg::Ctlr) => self.ctlr = self.ctlr.written(value),
            Some(Reg::Bank(index, register)) => {
                if let Some(bank) = self.banks.get_mut(index) {
                    bank.write(register, value, lanes);
                }
            }
            Some(Reg::Irouter(index, dword)) => {
                if let Some(route) = self.routes.get_mut(index) {
                    *route = route.written(merge(route.raw(), dword, value));
                }
            }
            Some(Reg::Typer | Reg::Iidr) | None => {}
        }
    }
}

/// The registers that exist. What is without one reads zero: with affinity routing, a single Security
/// state and no messages that are GICD_ITARGETSR, GICD_SGIR, GICD_IGRPMODR, GICD_NSACR, GICD_SETSPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reg {
    Ctlr,
    Typer,
    Iidr,
    /// A register of this bank of SPIs.
    Bank(usize, BankRegister),
    /// A dword of the route of this SPI.
    Irouter(usize, u32),
}

fn place(offset: u64) -> Option<Reg> {
    match offset {
        0x0000 => Some(Reg::Ctlr),
        0x0004 => Some(Reg::Typer),
        0x0008 => Some(Reg::Iidr),
        ROUTERS..ROUTERS_END => {
            // Below 1024, and 0 or 1.
            let (intid, dword) = ((offset - ROUTERS) / 8, (offset % 8 / 4) as u32);
            Some(Reg::Irouter(usize::try_from(intid).ok()?.checked_sub(FIRST_SPI as usize)?, dword))
        }
        _ => {
            let (index, register) = bank::place(offset)?;
            // Bank 0 is each redistributor's.
            Some(Reg::Bank(index.checked_sub(1)?, register))
        }
    }
}

fn name_at(offset: u64) -> &'static str {
    match place(offset) {
        Some(Reg::Ctlr) => "GICD_CTLR",
        Some(Reg::Typer) => "GICD_TYPER",
        Some(Reg::Iidr) => "GICD_IIDR",
        Some(Reg::Bank(_, register)) => register.name(false),
        Some(Reg::Irouter(..)) => "GICD_IROUTER",
        None => "",
    }
}

/// Priorities are bytes; other registers only take whole dwords and qwords.
fn rules(offset: u64) -> Rules {
    if bank::has_bytes(offset) { Rules::ByteLanes } else { Rules::Aligned32Or64 }
}

/// The frame as software accesses it, traced.
struct Registers<'a> {
    distributor: &'a mut Distributor,
    fx: &'a mut Effects,
}

impl DwordSpace for Registers<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let value = self.distributor.read_dword(offset);
        self.fx.trace(|| TraceEvent::RegisterRead { unit: UNIT, register: name_at(offset), offset, value });
        value
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        self.fx.trace(|| TraceEvent::RegisterWrite { unit: UNIT, register: name_at(offset), offset, value });
        self.distributor.write_dword(offset, value, lanes);
    }
}
