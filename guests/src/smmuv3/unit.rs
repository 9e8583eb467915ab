//! The unit: registers, the protocols they follow, and bringing it up [SMMUv3 6.3.9, 6.3.15].

use super::command::{Command, CommandQueue};
use super::event::{self, EventQueue};
use super::regs::{self, CMDQEN, CR0, CR0ACK, EVENTQEN, GERROR, GERRORN, Idr0, Idr1, Idr3, Idr5, SMMUEN};
use super::stream_table::StreamTable;
use crate::arena::Arena;
use crate::error::Error;
use crate::hw::{Hw, poll};

/// Where the `virt` machine has its first unit.
pub const BASE: u64 = 0x0905_0000;
/// DeviceID of that unit's own messages.
pub const DEVICE_ID: u32 = 0xf_0000;
/// INTIDs of that unit's wires: event queue, page requests, CMD_SYNC, global errors.
pub const FIRST_INTID: u32 = 32 + 74;
/// StreamID bits that a two-level table is made for at most: 4096 descriptors of the first level.
const STREAM_BITS: u32 = 20;

/// An SMMUv3's registers.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    base: u64,
    /// What it can do.
    pub idr0: Idr0,
    /// How large its queues and ids are.
    pub idr1: Idr1,
    /// What later versions can do.
    pub idr3: Idr3,
    /// Granules and output size.
    pub idr5: Idr5,
}

impl Unit {
    /// Finds the unit at `base` and switches off whatever was left on. While it is off everything
    /// passes, unless it was on: then everything is aborted until software says otherwise.
    ///
    /// # Errors
    /// [`Error::NoUnit`] where nothing answers, [`Error::Update`] where it cannot be switched off.
    pub fn new<H: Hw>(hw: &mut H, base: u64) -> Result<Self, Error> {
        let [idr0, idr1, idr3, idr5] =
            [regs::IDR0, regs::IDR1, regs::IDR3, regs::IDR5].map(|offset| hw.mmio_read32(base + offset));
        if idr0 == u32::MAX || idr0 == 0 {
            return Err(Error::NoUnit { base });
        }
        let unit = Self { base, idr0: Idr0(idr0), idr1: Idr1(idr1), idr3: Idr3(idr3), idr5: Idr5(idr5) };
        if unit.read32(hw, CR0) & SMMUEN != 0 {
            unit.set_bypass(hw, false)?;
        }
        unit.set_cr0(hw, 0)?;
        Ok(unit)
    }

    /// A unit without capabilities, whatever its registers say.
    #[cfg(test)]
    pub(super) fn at(base: u64) -> Self {
        let (idr0, idr1, idr3, idr5) = Default::default();
        Self { base, idr0, idr1, idr3, idr5 }
    }

    /// Minor version: SMMUv3.n.
    pub fn minor<H: Hw>(&self, hw: &mut H) -> u32 {
        self.read32(hw, regs::AIDR) & 0xf
    }

    /// Reads a register of 32 bits.
    pub fn read32<H: Hw>(&self, hw: &mut H, offset: u64) -> u32 {
        hw.mmio_read32(self.base + offset)
    }

    /// Writes a register of 32 bits.
    pub fn write32<H: Hw>(&self, hw: &mut H, offset: u64, value: u32) {
        hw.mmio_write32(self.base + offset, value);
    }

    /// Writes a register of 64 bits.
    pub fn write64<H: Hw>(&self, hw: &mut H, offset: u64, value: u64) {
        hw.mmio_write64(self.base + offset, value);
    }

    /// Writes CR0 and waits for CR0ACK to follow.
    ///
    /// # Errors
    /// [`Error::Update`].
    pub fn set_cr0<H: Hw>(&self, hw: &mut H, value: u32) -> Result<(), Error> {
        self.update(hw, (CR0, CR0ACK), "CR0", value)
    }

    /// Writes IRQ_CTRL and waits for IRQ_CTRLACK to follow.
    ///
    /// # Errors
    /// [`Error::Update`].
    pub fn set_irq_ctrl<H: Hw>(&self, hw: &mut H, value: u32) -> Result<(), Error> {
        self.update(hw, (regs::IRQ_CTRL, regs::IRQ_CTRLACK), "IRQ_CTRL", value)
    }

    fn update<H: Hw>(
        &self,
        hw: &mut H,
        (offset, ack): (u64, u64),
        register: &'static str,
        value: u32,
    ) -> Result<(), Error> {
        self.write32(hw, offset, value);
        let done = poll(hw, |hw| (self.read32(hw, ack) == value).then_some(()));
        done.ok_or_else(|| Error::Update { register, value: self.read32(hw, ack) })
    }

    /// Says whether transactions pass, or are aborted, while the unit is off.
    ///
    /// # Errors
    /// [`Error::Update`].
    pub fn set_bypass<H: Hw>(&self, hw: &mut H, passes: bool) -> Result<(), Error> {
        let abort = if passes { regs::SHCFG_INCOMING } else { regs::SHCFG_INCOMING | regs::ABORT };
        let idle = |hw: &mut H| {
            let value = self.read32(hw, regs::GBPA);
            (value & regs::UPDATE == 0).then_some(value)
        };
        let taken = poll(hw, idle).and_then(|_| {
            self.write32(hw, regs::GBPA, abort | regs::UPDATE);
            poll(hw, idle)
        });
        match taken {
            Some(value) if value & regs::ABORT == abort & regs::ABORT => Ok(()),
            _ => Err(Error::Update { register: "GBPA", value: self.read32(hw, regs::GBPA) }),
        }
    }

    /// The global errors that are active.
    pub fn errors<H: Hw>(&self, hw: &mut H) -> u32 {
        self.read32(hw, GERROR) ^ self.read32(hw, GERRORN)
    }

    /// Acknowledges the global errors that are active.
    pub fn acknowledge_errors<H: Hw>(&self, hw: &mut H) {
        let errors = self.read32(hw, GERROR);
        self.write32(hw, GERRORN, errors);
    }

    /// Programs the message of an interrupt, while it is disabled; an address of 0 means that there is
    /// none. `config` is the first of its registers.
    pub fn set_message<H: Hw>(&self, hw: &mut H, config: u64, (address, data): (u64, u32)) {
        self.write64(hw, config, address);
        self.write32(hw, config + 8, data);
        // Device-nGnRE.
        self.write32(hw, config + 12, 1);
    }
}

/// A unit with its queues and its stream table.
#[derive(Clone, Copy, Debug)]
pub struct Smmu {
    /// Registers.
    pub unit: Unit,
    /// Commands.
    pub commands: CommandQueue,
    /// Events.
    pub events: EventQueue,
    /// Streams.
    pub streams: StreamTable,
}

impl Smmu {
    /// Makes the structures of a unit that is off; the stream table has two levels where the unit
    /// takes them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] or [`Error::OutOfMemory`].
    pub fn new<H: Hw>(hw: &mut H, arena: &mut Arena, unit: Unit) -> Result<Self, Error> {
        if unit.idr0.ttf() & 0b10 == 0 || unit.idr0.ttendian() == 3 {
            return Err(Error::Unsupported("little-endian VMSAv8-64 tables"));
        }
        if unit.idr1.cmdqs() < 8 || unit.idr1.eventqs() < event::LOG2 {
            return Err(Error::Unsupported("queues of 256 commands and 128 events"));
        }
        let bits = unit.idr1.sidsize();
        let streams = if unit.idr0.st_level() == 0 || bits <= 8 {
            StreamTable::linear(hw, arena, bits)?
        } else {
            StreamTable::two_level(hw, arena, bits.min(STREAM_BITS))?
        };
        let (commands, events) = (CommandQueue::new(hw, arena)?, EventQueue::new(hw, arena)?);
        Ok(Self { unit, commands, events, streams })
    }

    /// Takes the unit from off to translating, in the order in which Linux does it.
    ///
    /// # Errors
    /// [`Error::Update`] or [`Error::Commands`].
    pub fn bring_up<H: Hw>(&mut self, hw: &mut H) -> Result<(), Error> {
        let unit = self.unit;
        unit.set_cr0(hw, 0)?;
        unit.write32(hw, regs::CR1, regs::CR1_WRITE_BACK);
        unit.write32(hw, regs::CR2, regs::PTM | regs::RECINVSID);
        self.streams.install(hw, &unit);
        self.commands.install(hw, &unit);
        unit.set_cr0(hw, CMDQEN)?;
        self.forget_all(hw)?;
        self.events.install(hw, &unit, event::LOG2);
        unit.set_cr0(hw, CMDQEN | EVENTQEN)?;
        unit.set_irq_ctrl(hw, 0)?;
        unit.set_cr0(hw, CMDQEN | EVENTQEN | SMMUEN)
    }

    /// Drops everything that the unit has cached.
    ///
    /// # Errors
    /// [`Error::Commands`].
    pub fn forget_all<H: Hw>(&mut self, hw: &mut H) -> Result<(), Error> {
        self.commands.submit(hw, &self.unit, &[Command::cfgi_all()])?;
        if self.unit.idr0.hyp() == 1 {
            self.commands.submit(hw, &self.unit, &[Command::tlbi_el2_all()])?;
        }
        self.commands.submit(hw, &self.unit, &[Command::tlbi_nsnh_all()])
    }

    /// Has the unit process commands, and waits for them.
    ///
    /// # Errors
    /// [`Error::Commands`].
    pub fn submit<H: Hw>(&mut self, hw: &mut H, commands: &[Command]) -> Result<(), Error> {
        self.commands.submit(hw, &self.unit, commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn an_update_that_is_not_acknowledged_ends_in_an_error() {
        let hw = &mut Fake::new();
        let error = Unit::at(0x0905_0000).set_cr0(hw, 8).unwrap_err();
        assert_eq!(error, Error::Update { register: "CR0", value: 0 });
        assert_eq!(hw.writes, [(0x0905_0020, 8)]);
        hw.registers.insert(0x0905_0054, 5);
        assert_eq!(Unit::at(0x0905_0000).set_irq_ctrl(hw, 5), Ok(()));
    }

    #[test]
    fn gbpa_is_written_only_while_no_update_is_under_way() {
        let hw = &mut Fake::new();
        hw.registers.insert(0x0905_0044, 1 << 31);
        // The fake never completes the update.
        assert!(Unit::at(0x0905_0000).set_bypass(hw, false).is_err());
        assert_eq!(hw.writes, []);
        hw.registers.insert(0x0905_0044, 0);
        assert!(Unit::at(0x0905_0000).set_bypass(hw, false).is_err());
        assert_eq!(hw.writes, [(0x0905_0044, 0x8010_1000)]);
    }

    #[test]
    fn no_unit_where_nothing_answers() {
        for value in [0, u32::MAX] {
            let hw = &mut Fake::new();
            hw.registers.insert(0x0905_0000, value);
            assert_eq!(Unit::new(hw, BASE).unwrap_err(), Error::NoUnit { base: 0x0905_0000 });
        }
    }

    #[test]
    fn active_errors_are_those_that_differ() {
        let hw = &mut Fake::new();
        hw.registers.extend([(0x0905_0060, 0b101), (0x0905_0064, 0b100)]);
        let unit = Unit::at(0x0905_0000);
        assert_eq!(unit.errors(hw), 1);
        unit.acknowledge_errors(hw);
        assert_eq!((unit.errors(hw), hw.writes.as_slice()), (0, &[(0x0905_0064, 0b101)][..]));
    }
}
