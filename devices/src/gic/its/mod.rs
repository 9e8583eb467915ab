//! The interrupt translation service (ITS): DeviceID and EventID of a message become an LPI at a
//! redistributor [GICv3 5].
//!
//! Device, collection and interrupt translation tables lie in guest memory, in the format of
//! [`tables`]; software hands out the memory (GITS_BASER, MAPD) and fills it through the commands of
//! a queue. What is to happen to LPIs leaves as [`LpiAction`]s for the [`Redistributors`], so the ITS
//! knows of no processor and also serves a machine that has none.
//!
//! - A command with wrong parameters is skipped and the queue goes on; a message that no valid entry
//!   translates is dropped. Nobody is told, except traces.
//! - A queue that lies outside memory stalls (GITS_CREADR.Stalled) until software asks for a retry or
//!   gives another queue.
//! - GITS_CBASER and GITS_BASER are read-only while the ITS is enabled, where the architecture leaves
//!   writes UNPREDICTABLE. An offset in GITS_CWRITER beyond the queue stops it likewise.
//! - Tables are looked up for each message; nothing is cached, so nothing can be stale.
//!
//! What is absent: virtual LPIs, collections without memory (GITS_TYPER.HCC = 0), physical addresses
//! in RDbase (PTA = 0), error reports (SEIS = 0). Processors have no DeviceID, so a write of theirs to
//! GITS_TRANSLATER translates to nothing; messages come through [`Its::message`].

pub mod command;
mod error;
mod execute;
mod redistributors;
pub mod regs;
pub mod tables;
#[cfg(test)]
pub(in crate::gic) mod tests;

use serde::{Deserialize, Serialize};

use super::identification::{IIDR, identification};
use super::{INTID_BITS, merge};
use crate::addr::Pa;
use crate::events::DeviceEvent;
use crate::fabric::Effects;
use crate::mem::{NotRam, PhysMem};
use crate::register::block::{self, DwordSpace, Rules};
use crate::trace::TraceEvent;
use command::COMMAND_BYTES;
pub use error::Error;
pub use redistributors::{LpiAction, Redistributors};
use regs::{Baser, Cbaser, Creadr, Ctlr, Cwriter, Reg, Typer, name_at, place};
pub use regs::{FRAMES_SIZE, TRANSLATER};

/// The name of the model in traces.
const UNIT: &str = "its";
/// PIDR0.
const PART: u32 = 0x94;
/// Commands processed before the ITS lets others run.
const QUEUE_STEP: u32 = 256;
/// EventIDs are as wide as INTIDs: more could not be mapped to different LPIs.
const EVENT_BITS: u32 = INTID_BITS;

/// What a machine decides about its ITS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width of DeviceIDs, 1 to 32.
    pub device_bits: u8,
    /// Number of redistributors; their processor numbers start at 0.
    pub redistributors: u16,
}

impl Config {
    /// GITS_TYPER.
    pub const fn typer(self) -> Typer {
        Typer::ZERO
            .with_physical(true)
            .with_itt_entry_size(tables::ENTRY_BYTES as u8 - 1)
            .with_id_bits(EVENT_BITS as u8 - 1)
            .with_devbits(self.device_bits.saturating_sub(1))
    }

    /// Whether a device can have this DeviceID.
    const fn has_device(self, device: u32) -> bool {
        (device as u64) >> (self.typer().devbits() + 1) == 0
    }
}

/// An LPI at a redistributor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lpi {
    /// INTID.
    pub intid: u32,
    /// Processor number of the redistributor.
    pub target: u16,
}

/// An interrupt translation service.
pub struct Its {
    config: Config,
    mem: PhysMem,
    state: State,
}

/// A saved [`Its`]: its registers; the tables are in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    ctlr: Ctlr,
    cbaser: Cbaser,
    cwriter: Cwriter,
    creadr: Creadr,
    devices: Baser,
    collections: Baser,
    /// An event to continue the queue is on its way.
    queue_scheduled: bool,
}

impl State {
    const RESET: Self = Self {
        ctlr: Ctlr::ZERO,
        cbaser: Cbaser::ZERO,
        cwriter: Cwriter::ZERO,
        creadr: Creadr::ZERO,
        devices: table(1),
        collections: table(4),
        queue_scheduled: false,
    };
}

/// GITS_BASER of a table of this type that has no memory yet.
const fn table(table_type: u8) -> Baser {
    Baser::ZERO.with_table_type(table_type).with_entry_size(tables::ENTRY_BYTES as u8 - 1)
}

impl Its {
    /// An ITS as after reset, whose queue and tables lie in `mem`.
    pub fn new(config: Config, mem: PhysMem) -> Self {
        Self { config, mem, state: State::RESET }
    }

    /// Software reads `data.len()` bytes at `offset` of the two frames. Only aligned dwords and qwords
    /// reach a register; anything else reads zero.
    pub fn read(&mut self, offset: u64, data: &mut [u8], fx: &mut Effects) {
        // Reading has no side effects.
        let mut registers = Registers { its: self, redistributors: &mut Vec::new(), fx };
        block::read(&mut registers, Rules::Aligned32Or64, offset, data);
    }

    /// Software writes `data` at `offset`; what [`Self::read`] would not serve is ignored.
    pub fn write(
        &mut self,
        offset: u64,
        data: &[u8],
        redistributors: &mut impl Redistributors,
        fx: &mut Effects,
    ) {
        let mut registers = Registers { its: self, redistributors, fx };
        block::write(&mut registers, Rules::Aligned32Or64, offset, data);
    }

    /// Delivers an event that the ITS asked for.
    pub fn event(&mut self, event: DeviceEvent, redistributors: &mut impl Redistributors, fx: &mut Effects) {
        match event {
            DeviceEvent::Work => {
                self.state.queue_scheduled = false;
                self.run_queue(redistributors, fx);
            }
            // The ITS never asks for one.
            DeviceEvent::Timer(_) => {}
        }
    }

    /// A device wrote `event` to GITS_TRANSLATER: the LPI that becomes pending, or `None` if the
    /// message is dropped.
    pub fn message(
        &mut self,
        device: u32,
        event: u32,
        redistributors: &mut impl Redistributors,
        fx: &mut Effects,
    ) -> Option<Lpi> {
        let enabled = self.state.ctlr.enabled();
        let found = if enabled { self.translate(device, event, fx) } else { Err(Error::Disabled) };
        fx.trace(|| TraceEvent::Message {
            unit: UNIT,
            device_id: device,
            event_id: event,
            interrupt: found.ok().map(|lpi| lpi.intid),
            processor: found.ok().map(|lpi| lpi.target),
            dropped: found.err().map(Error::describe),
        });
        let Lpi { intid, target } = found.ok()?;
        redistributors.act(LpiAction::SetPending { target, intid }, fx);
        Some(Lpi { intid, target })
    }

    /// Returns the registers to their reset values; tables in memory stay.
    pub fn reset(&mut self) {
        self.state = State::RESET;
    }

    /// The registers as data.
    pub fn save(&self) -> State {
        let Self { config: _, mem: _, state } = self;
        state.clone()
    }

    /// Continues from what was saved.
    pub fn restore(&mut self, state: State) {
        self.state = state;
    }

    fn read_dword(&self, offset: u64) -> u32 {
        let Some((reg, dword)) = place(offset) else { return identification(offset, PART).unwrap_or(0) };
        let s = &self.state;
        let value = match reg {
            // Nothing goes on while the ITS is off.
            Reg::Ctlr => u64::from(s.ctlr.with_quiescent(!s.ctlr.enabled()).raw()),
            Reg::Iidr => u64::from(IIDR),
            Reg::Typer => self.config.typer().raw(),
            Reg::Cbaser => s.cbaser.raw(),
            Reg::Cwriter => s.cwriter.raw(),
            Reg::Creadr => s.creadr.raw(),
            Reg::Baser(0) => s.devices.raw(),
            Reg::Baser(1) => s.collections.raw(),
            Reg::Baser(_) => 0,
        };
        // The wanted dword is the low one after the shift.
        (value >> (32 * dword)) as u32
    }

    fn write_dword(&mut self, offset: u64, value: u32, rds: &mut impl Redistributors, fx: &mut Effects) {
        let Some((reg, dword)) = place(offset) else { return };
        let s = &mut self.state;
        match reg {
            Reg::Ctlr => {
                s.ctlr = s.ctlr.written(value);
                self.run_queue(rds, fx);
            }
            Reg::Cbaser if !s.ctlr.enabled() => {
                s.cbaser = s.cbaser.written(merge(s.cbaser.raw(), dword, value));
                s.creadr = Creadr::ZERO;
            }
            // The high dword is reserved; the low one is the doorbell.
            Reg::Cwriter if dword == 0 => {
                s.cwriter = s.cwriter.written(u64::from(value));
                if Cwriter::from_raw(u64::from(value)).retry() {
                    s.creadr = s.creadr.with_stalled(false);
                }
                self.run_queue(rds, fx);
            }
            Reg::Baser(0) if !s.ctlr.enabled() => {
                s.devices = s.devices.written(merge(s.devices.raw(), dword, value));
            }
            Reg::Baser(1) if !s.ctlr.enabled() => {
                s.collections = s.collections.written(merge(s.collections.raw(), dword, value));
            }
            Reg::Cbaser | Reg::Cwriter | Reg::Baser(_) | Reg::Iidr | Reg::Typer | Reg::Creadr => {}
        }
    }

    /// Processes commands until the queue is empty, stalls, or the bound of one step is reached.
    fn run_queue(&mut self, redistributors: &mut impl Redistributors, fx: &mut Effects) {
        for _ in 0..QUEUE_STEP {
            if !self.waiting() {
                return;
            }
            let Ok(words) = self.fetch() else {
                self.state.creadr = self.state.creadr.with_stalled(true);
                return;
            };
            let index = self.state.creadr.offset();
            let next = if u32::from(index) + 1 < self.commands() { index + 1 } else { 0 };
            self.state.creadr = self.state.creadr.with_offset(next);
            let result = self.execute(words, redistributors, fx);
            fx.trace(|| TraceEvent::ItsCommand {
                unit: UNIT,
                index: u64::from(index),
                // Bits 7:0.
                command: command::name(words[0] as u8),
                words,
                skipped: result.err().map(Error::describe),
            });
        }
        if self.waiting() && !self.state.queue_scheduled {
            self.state.queue_scheduled = true;
            fx.schedule_after(0, DeviceEvent::Work);
        }
    }

    /// Whether there is a command to process.
    fn waiting(&self) -> bool {
        let State { ctlr, cbaser, cwriter, creadr, .. } = &self.state;
        ctlr.enabled()
            && cbaser.valid()
            && !creadr.stalled()
            && creadr.offset() != cwriter.offset()
            && u32::from(cwriter.offset()) < self.commands()
    }

    /// Commands that the queue has room for, 128 to 32,768.
    fn commands(&self) -> u32 {
        (u32::from(self.state.cbaser.size()) + 1) * (0x1000 / COMMAND_BYTES as u32)
    }

    /// The command at the read pointer.
    fn fetch(&self) -> Result<[u64; 4], NotRam> {
        // 52 bits and 20 bits.
        let at =
            Pa((self.state.cbaser.address() << 12) + u64::from(self.state.creadr.offset()) * COMMAND_BYTES);
        let [low, high] =
            [0, 16].map(|half| at.checked_add(half).ok_or(NotRam).and_then(|at| self.mem.load128(at)));
        let ([w0, w1], [w2, w3]) = (low?, high?);
        Ok([w0, w1, w2, w3])
    }
}

/// The frames as software accesses them, traced.
struct Registers<'a, R> {
    its: &'a mut Its,
    redistributors: &'a mut R,
    fx: &'a mut Effects,
}

impl<R: Redistributors> DwordSpace for Registers<'_, R> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let value = self.its.read_dword(offset);
        self.fx.trace(|| TraceEvent::RegisterRead { unit: UNIT, register: name_at(offset), offset, value });
        value
    }

    fn write_dword(&mut self, offset: u64, value: u32, _lanes: u32) {
        self.fx.trace(|| TraceEvent::RegisterWrite { unit: UNIT, register: name_at(offset), offset, value });
        self.its.write_dword(offset, value, self.redistributors, self.fx);
    }
}
