//! A redistributor: SGIs, PPIs and LPIs of one processor [GICv3 12.11].
//!
//! It has two frames of 64 KiB: control and LPIs, then SGIs and PPIs.

use serde::{Deserialize, Serialize};

use super::bank::{self, Bank, BankRegister, Candidate, Groups};
use super::identification::{IIDR, identification};
use super::its::LpiAction;
use super::lpi::{self, ConfigurationTable, Lpis, Pendbaser, Propbaser};
use super::merge;
use crate::fabric::Effects;
use crate::mem::PhysMem;
use crate::register;
use crate::register::block::{self, DwordSpace, Rules};
use crate::trace::TraceEvent;

/// Bytes of both frames.
pub const FRAMES_SIZE: u64 = 0x2_0000;
const SGI_FRAME: u64 = 0x1_0000;

/// The name of the model in traces.
const UNIT: &str = "gicr";
/// PIDR0.
const PART: u32 = 0x93;

register! {
    /// Redistributor Control Register [GICv3 GICR_CTLR].
    pub struct Ctlr: u32 {
        /// An upstream write is under way.
        31:31 Ro    uwp: bool,
        30:27 RsvdZ _r1,
        26:24 RsvdZ _dpg,
        23:4  RsvdZ _r0,
        /// A write is under way.
        3:3   Ro    rwp: bool,
        /// Invalidation by registers.
        2:2   Ro    ir: bool,
        /// EnableLPIs can be cleared.
        1:1   Ro    ces: bool,
        /// LPIs are enabled.
        0:0   Rw    enable_lpis: bool,
    }
}

register! {
    /// Redistributor Type Register [GICv3 GICR_TYPER].
    pub struct Typer: u64 {
        /// Affinity, Aff3 to Aff0.
        63:32 Ro    affinity: u32,
        /// Largest PPI beyond INTID 31.
        31:27 Ro    ppi_num: u8,
        /// Virtual SGIs.
        26:26 Ro    vsgi: bool,
        /// Redistributors whose affinity is equal to this level share a configuration table.
        25:24 Ro    common_lpi_aff: u8,
        /// Number by which an ITS knows the processor.
        23:8  Ro    processor_number: u16,
        7:6   RsvdZ _r0,
        /// GICR_CTLR.DPG*.
        5:5   Ro    dpgs: bool,
        /// The last of this region.
        4:4   Ro    last: bool,
        /// LPIs without an ITS: GICR_SETLPIR and others.
        3:3   Ro    direct_lpi: bool,
        2:2   RsvdZ _dirty,
        /// Virtual LPIs.
        1:1   Ro    vlpis: bool,
        /// Physical LPIs.
        0:0   Ro    plpis: bool,
    }
}

register! {
    /// Redistributor Wake Register [GICv3 GICR_WAKER].
    pub struct Waker: u32 {
        31:31 RsvdZ _r1,
        30:3  RsvdZ _r0,
        /// The redistributor does not talk to its processor.
        2:2   Ro    children_asleep: bool,
        /// It shall not.
        1:1   Rw    processor_sleep: bool,
        0:0   RsvdZ _r2,
    }
}

/// A redistributor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redistributor {
    number: u16,
    last: bool,
    ctlr: Ctlr,
    waker: Waker,
    propbaser: Propbaser,
    pendbaser: Pendbaser,
    bank: Bank,
    lpis: Lpis,
}

/// A saved [`Redistributor`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    ctlr: Ctlr,
    waker: Waker,
    propbaser: Propbaser,
    pendbaser: Pendbaser,
    bank: Bank,
    lpis: lpi::State,
}

/// LPIs can be switched off again.
const CTLR: Ctlr = Ctlr::ZERO.with_ces(true);

impl Redistributor {
    /// The redistributor of processor `number`, whose Aff0 is that and whose other affinities are 0;
    /// `last` is the one with the highest number.
    pub fn new(number: u16, last: bool) -> Self {
        Self {
            number,
            last,
            ctlr: CTLR,
            waker: Waker::ZERO.with_processor_sleep(true),
            propbaser: Propbaser::ZERO,
            pendbaser: Pendbaser::ZERO,
            bank: Bank::PRIVATE,
            lpis: Lpis::default(),
        }
    }

    /// Registers as after reset.
    pub fn reset(&mut self) {
        *self = Self::new(self.number, self.last);
    }

    /// Whether it talks to its processor.
    pub fn awake(&self) -> bool {
        !self.waker.processor_sleep()
    }

    /// SGIs and PPIs.
    pub fn bank(&mut self) -> &mut Bank {
        &mut self.bank
    }

    /// The most urgent interrupt of its own. LPIs must be [settled](Self::settle).
    pub fn candidate(&self, groups: Groups) -> Option<Candidate> {
        let private =
            self.bank.candidates(groups, 0).fold(None, |best, next| Candidate::best(best, Some(next)));
        Candidate::best(private, self.lpis.candidate().filter(|lpi| groups.allow(lpi.group)))
    }

    /// Reads what invalidations left to be read of the configuration table.
    pub fn settle(&mut self, mem: &PhysMem) {
        self.lpis.settle(ConfigurationTable::new(mem, self.propbaser));
    }

    /// An LPI was acknowledged.
    pub fn acknowledge_lpi(&mut self, intid: u32) {
        self.lpis.clear_pending(intid);
    }

    /// Takes all LPIs that are pending and enabled, most urgent first.
    pub fn take_lpis(&mut self, mem: &PhysMem) -> impl Iterator<Item = u32> + use<> {
        self.settle(mem);
        self.lpis.take_ready()
    }

    /// Software reads `data.len()` bytes at `offset` of the two frames.
    pub fn read(&mut self, offset: u64, data: &mut [u8], mem: &PhysMem, fx: &mut Effects) {
        block::read(&mut Registers { redistributor: self, mem, fx }, rules(offset), offset, data);
    }

    /// Software writes `data` at `offset`.
    pub fn write(&mut self, offset: u64, data: &[u8], mem: &PhysMem, fx: &mut Effects) {
        block::write(&mut Registers { redistributor: self, mem, fx }, rules(offset), offset, data);
    }

    /// The redistributor as data.
    pub fn save(&self) -> State {
        let Self { number: _, last: _, ctlr, waker, propbaser, pendbaser, bank, lpis } = self;
        State {
            ctlr: *ctlr,
            waker: *waker,
            propbaser: *propbaser,
            pendbaser: *pendbaser,
            bank: bank.clone(),
            lpis: lpis.save(),
        }
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        let State { ctlr, waker, propbaser, pendbaser, bank, lpis } = state;
        self.ctlr = CTLR.written(ctlr.raw());
        self.waker = Waker::ZERO.written(waker.raw());
        self.propbaser = Propbaser::ZERO.written(propbaser.raw());
        self.pendbaser = Pendbaser::ZERO.written(pendbaser.raw()).with_ptz(pendbaser.ptz());
        self.bank = bank;
        self.lpis = Lpis::default();
        if self.ctlr.enable_lpis() {
            self.lpis.restore(lpis);
        }
    }

    fn typer(&self) -> Typer {
        Typer::ZERO
            .with_affinity(u32::from(self.number))
            .with_processor_number(self.number)
            .with_last(self.last)
            .with_plpis(true)
    }

    fn read_dword(&self, offset: u64) -> u32 {
        match place(offset) {
            Some(Reg::Ctlr) => self.ctlr.raw(),
            Some(Reg::Iidr) => IIDR,
            Some(Reg::Typer(dword)) => half(self.typer().raw(), dword),
            Some(Reg::Waker) => self.waker.with_children_asleep(self.waker.processor_sleep()).raw(),
            Some(Reg::Propbaser(dword)) => half(self.propbaser.raw(), dword),
            Some(Reg::Pendbaser(dword)) => half(self.pendbaser.with_ptz(false).raw(), dword),
            Some(Reg::Bank(register)) => self.bank.read(register),
            None => identification(offset % SGI_FRAME, PART).unwrap_or(0),
        }
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32, mem: &PhysMem) {
        match place(offset) {
            Some(Reg::Ctlr) => self.control(value, mem),
            Some(Reg::Waker) => self.waker = self.waker.written(value),
            // Both are read-only while LPIs are enabled, where the architecture leaves it open.
            Some(Reg::Propbaser(dword)) if !self.ctlr.enable_lpis() => {
                self.propbaser = self.propbaser.written(merge(self.propbaser.raw(), dword, value));
            }
            Some(Reg::Pendbaser(dword)) if !self.ctlr.enable_lpis() => {
                let raw = merge(self.pendbaser.raw(), dword, value);
                // PTZ is write only, but counts when LPIs are enabled.
                self.pendbaser = self.pendbaser.written(raw).with_ptz(Pendbaser::from_raw(raw).ptz());
            }
            // SGIs are edge triggered.
            Some(Reg::Bank(BankRegister::Config(0))) => {}
            Some(Reg::Bank(register)) => self.bank.write(register, value, lanes),
            Some(Reg::Propbaser(_) | Reg::Pendbaser(_) | Reg::Iidr | Reg::Typer(_)) | None => {}
        }
    }

    /// GICR_CTLR was written.
    fn control(&mut self, value: u32, mem: &PhysMem) {
        let was = self.ctlr.enable_lpis();
        self.ctlr = self.ctlr.written(value);
        let table = ConfigurationTable::new(mem, self.propbaser);
        match (was, self.ctlr.enable_lpis()) {
            (false, true) => self.lpis.enable(mem, self.pendbaser, table),
            (true, false) => self.lpis.disable(mem, self.pendbaser, table),
            _ => {}
        }
    }

    fn enabled_lpis(&mut self) -> Option<&mut Lpis> {
        self.ctlr.enable_lpis().then_some(&mut self.lpis)
    }
}

/// Performs what an ITS asks for. Redistributors with LPIs disabled take no part [GICv3 GICR_CTLR].
pub fn perform(redistributors: &mut [Redistributor], mem: &PhysMem, action: LpiAction) {
    match action {
        LpiAction::SetPending { target, intid } => pend(redistributors, mem, target, intid),
        LpiAction::ClearPending { target, intid } => {
            if let Some(lpis) =
                redistributors.get_mut(usize::from(target)).and_then(Redistributor::enabled_lpis)
            {
                lpis.clear_pending(intid);
            }
        }
        LpiAction::Move { intid, from, to } => {
            let lpis = redistributors.get_mut(usize::from(from)).and_then(Redistributor::enabled_lpis);
            if lpis.is_some_and(|lpis| lpis.clear_pending(intid)) {
                pend(redistributors, mem, to, intid);
            }
        }
        LpiAction::MoveAll { from, to } => {
            let Ok([from, to]) = redistributors.get_disjoint_mut([from, to].map(usize::from)) else { return };
            if let Some(lpis) = from.enabled_lpis() {
                lpis.move_pending(to.enabled_lpis());
            }
        }
        LpiAction::Invalidate { target, intid } => {
            if let Some(redistributor) = redistributors.get_mut(usize::from(target)) {
                let table = ConfigurationTable::new(mem, redistributor.propbaser);
                if let Some(lpis) = redistributor.enabled_lpis() {
                    lpis.invalidate(intid, table);
                }
            }
        }
        LpiAction::InvalidateAll { target } => {
            if let Some(lpis) =
                redistributors.get_mut(usize::from(target)).and_then(Redistributor::enabled_lpis)
            {
                lpis.invalidate_all();
            }
        }
    }
}

fn pend(redistributors: &mut [Redistributor], mem: &PhysMem, target: u16, intid: u32) {
    if let Some(redistributor) = redistributors.get_mut(usize::from(target)) {
        let table = ConfigurationTable::new(mem, redistributor.propbaser);
        if let Some(lpis) = redistributor.enabled_lpis() {
            lpis.set_pending(intid, table);
        }
    }
}

/// The registers that exist, with the dword of those of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reg {
    Ctlr,
    Iidr,
    Typer(u32),
    Waker,
    Propbaser(u32),
    Pendbaser(u32),
    Bank(BankRegister),
}

fn place(offset: u64) -> Option<Reg> {
    // 0 or 1.
    let dword = (offset % 8 / 4) as u32;
    match offset {
        0x0000 => Some(Reg::Ctlr),
        0x0004 => Some(Reg::Iidr),
        0x0008 | 0x000c => Some(Reg::Typer(dword)),
        0x0014 => Some(Reg::Waker),
        0x0070 | 0x0074 => Some(Reg::Propbaser(dword)),
        0x0078 | 0x007c => Some(Reg::Pendbaser(dword)),
        SGI_FRAME..FRAMES_SIZE => {
            let (index, register) = bank::place(offset - SGI_FRAME)?;
            (index == 0).then_some(Reg::Bank(register))
        }
        _ => None,
    }
}

fn name_at(offset: u64) -> &'static str {
    match place(offset) {
        Some(Reg::Ctlr) => "GICR_CTLR",
        Some(Reg::Iidr) => "GICR_IIDR",
        Some(Reg::Typer(_)) => "GICR_TYPER",
        Some(Reg::Waker) => "GICR_WAKER",
        Some(Reg::Propbaser(_)) => "GICR_PROPBASER",
        Some(Reg::Pendbaser(_)) => "GICR_PENDBASER",
        Some(Reg::Bank(register)) => register.name(true),
        None => "",
    }
}

/// Priorities are bytes; other registers only take whole dwords and qwords.
fn rules(offset: u64) -> Rules {
    let bytes = offset.checked_sub(SGI_FRAME).is_some_and(bank::has_bytes);
    if bytes { Rules::ByteLanes } else { Rules::Aligned32Or64 }
}

fn half(raw: u64, dword: u32) -> u32 {
    // The wanted dword is the low one after the shift.
    (raw >> (32 * dword)) as u32
}

/// The frames as software accesses them, traced.
struct Registers<'a> {
    redistributor: &'a mut Redistributor,
    mem: &'a PhysMem,
    fx: &'a mut Effects,
}

impl DwordSpace for Registers<'_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let value = self.redistributor.read_dword(offset);
        self.fx.trace(|| TraceEvent::RegisterRead { unit: UNIT, register: name_at(offset), offset, value });
        value
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        self.fx.trace(|| TraceEvent::RegisterWrite { unit: UNIT, register: name_at(offset), offset, value });
        self.redistributor.write_dword(offset, value, lanes, self.mem);
    }
}
