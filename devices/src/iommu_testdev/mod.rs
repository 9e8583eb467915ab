//! iommu-testdev, PCI 1b36:0005: a DMA on request, for tests that drive an IOMMU without a CPU.
//!
//! A trigger writes a pattern through the IOMMU and then looks in memory, past the IOMMU, whether it
//! has arrived where the test expects it. That look is why this model alone holds [`PhysMem`].
//!
//! | offset | register | |
//! |---|---|---|
//! | 0x00 | TRIGGER | a read runs the armed DMA and returns 0 |
//! | 0x04, 0x08 | IOVA | low and high half of where to write |
//! | 0x0c | LENGTH | bytes |
//! | 0x10 | RESULT | RW; see [`Verdict`] |
//! | 0x14 | DOORBELL | bit 0: 1 arms and sets RESULT to busy, 0 disarms and sets it to idle; reads as 0 |
//! | 0x18 | ATTRS | bit 0 secure; 2:1 space (0 secure, 1 non-secure); bit 3 space is valid |
//! | 0x1c, 0x20 | GPA | low and high half of where to look |
//!
//! Accesses have 4 bytes and are aligned; any other reads zero and writes nothing. DMA works without
//! Bus Master Enable.
//!
//! DEVIATION: a length above [`MAX_LENGTH`] is a bad length, because the DMA happens within one read.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::addr::{Iova, PAGE_SIZE, Pa};
use crate::fabric::{Attrs, Outcome, Request};
use crate::mem::PhysMem;
use crate::pci::{
    BarKind, BarSpec, Context, Description, Endpoint, EndpointState, Mastering, StateError, Timer,
};
use crate::register;
use crate::register::block::{self, DwordSpace, Rules};

/// What the device is to configuration software.
pub const DESCRIPTION: Description = Description {
    model: "iommu-testdev",
    vendor: 0x1b36,
    device: 0x0005,
    revision: 0,
    class: 0x00_ff00,
    subsystem_vendor: 0x1af4,
    subsystem: 0x1100,
    bars: &[BarSpec::new(0, BarKind::Memory32, 0x1000)],
    pin: None,
    msi: None,
    msix: None,
    express: false,
    mastering: Mastering::Always,
};

/// The longest DMA, in bytes.
pub const MAX_LENGTH: u32 = 1 << 20;

/// The word that is written, again and again, little-endian.
const PATTERN: [u8; 4] = 0x1234_5678_u32.to_le_bytes();
const SPACE_SECURE: u8 = 0;
const SPACE_NON_SECURE: u8 = 1;

register! {
    /// ATTRS, offset 0x18.
    struct Attributes: u32 {
        31:4 Rw _kept,
        3:3  Rw space_valid: bool,
        2:1  Rw space: u8,
        0:0  Rw secure: bool,
    }
}

/// Values of RESULT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Verdict {
    /// What was written has arrived.
    Ok = 0,
    /// Nothing was asked for.
    Idle = 0xffff_ffff,
    /// Armed.
    Busy = 0xffff_fffe,
    /// LENGTH is 0 or too long.
    BadLength = 0xdead_0001,
    /// The DMA was refused.
    WriteFailed = 0xdead_0002,
    /// There is no memory at GPA.
    ReadFailed = 0xdead_0003,
    /// Memory at GPA holds something else.
    Mismatch = 0xdead_0004,
    /// Triggered without being armed.
    NotArmed = 0xdead_0005,
    /// The secure bit contradicts a valid space.
    BadAttributes = 0xdead_0006,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Registers {
    iova: u64,
    gpa: u64,
    length: u32,
    result: u32,
    armed: bool,
    attributes: Attributes,
}

impl Registers {
    const RESET: Self = Self {
        iova: 0,
        gpa: 0,
        length: 0,
        result: Verdict::Idle as u32,
        armed: false,
        attributes: Attributes::ZERO.with_space(SPACE_NON_SECURE),
    };
}

/// The test device.
pub struct IommuTestdev {
    /// For the look at GPA and for nothing else.
    probe: PhysMem,
    registers: Registers,
}

/// A saved [`IommuTestdev`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    registers: Registers,
}

impl IommuTestdev {
    /// A device that looks for its writes in `probe`, the memory of the machine.
    pub fn new(probe: PhysMem) -> Self {
        Self { probe, registers: Registers::RESET }
    }

    fn trigger(&mut self, cx: &mut Context<'_>) {
        let verdict = if self.registers.armed { self.run(cx) } else { Verdict::NotArmed };
        self.registers.result = verdict as u32;
        self.registers.armed = false;
    }

    fn run(&self, cx: &mut Context<'_>) -> Verdict {
        let Registers { iova, gpa, length, attributes, .. } = self.registers;
        if !(1..=MAX_LENGTH).contains(&length) {
            return Verdict::BadLength;
        }
        let contradiction = match attributes.space() {
            SPACE_SECURE => !attributes.secure(),
            SPACE_NON_SECURE => attributes.secure(),
            _ => false,
        };
        if attributes.space_valid() && contradiction {
            return Verdict::BadAttributes;
        }
        let page: Vec<u8> = PATTERN.into_iter().cycle().take(PAGE_SIZE as usize).collect();
        let pieces = || (0..u64::from(length)).step_by(page.len());
        // At most a page.
        let piece = |at: u64| &page[..(u64::from(length) - at).min(PAGE_SIZE) as usize];
        let attrs = Attrs { secure: attributes.secure(), ..Attrs::default() };
        for at in pieces() {
            let Some(address) = Iova(iova).checked_add(at) else { return Verdict::WriteFailed };
            let request = Request { address, attrs, ..Request::default() };
            if cx.dma_write(request, piece(at)).outcome != Outcome::Done {
                return Verdict::WriteFailed;
            }
        }
        let mut found = vec![0; length as usize];
        if self.probe.read(Pa(gpa), &mut found).is_err() {
            return Verdict::ReadFailed;
        }
        let arrived = found.iter().zip(PATTERN.iter().cycle()).all(|(found, written)| found == written);
        if arrived { Verdict::Ok } else { Verdict::Mismatch }
    }
}

/// The device, with what it may use during an access.
struct View<'a, 'b> {
    device: &'a mut IommuTestdev,
    cx: &'a mut Context<'b>,
}

impl DwordSpace for View<'_, '_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        if offset == 0 {
            self.device.trigger(self.cx);
        }
        let Registers { iova, gpa, length, result, attributes, .. } = self.device.registers;
        match offset {
            // Addresses are read by halves.
            0x04 => iova as u32,
            0x08 => (iova >> 32) as u32,
            0x0c => length,
            0x10 => result,
            0x18 => attributes.raw(),
            0x1c => gpa as u32,
            0x20 => (gpa >> 32) as u32,
            _ => 0,
        }
    }

    fn write_dword(&mut self, offset: u64, value: u32, _: u32) {
        let Registers { iova, gpa, length, result, armed, attributes } = &mut self.device.registers;
        match offset {
            0x04 => *iova = (*iova & !0xffff_ffff) | u64::from(value),
            0x08 => *iova = (*iova & 0xffff_ffff) | u64::from(value) << 32,
            0x0c => *length = value,
            0x10 => *result = value,
            0x14 => {
                *armed = value & 1 != 0;
                *result = (if *armed { Verdict::Busy } else { Verdict::Idle }) as u32;
            }
            0x18 => *attributes = attributes.written(value),
            0x1c => *gpa = (*gpa & !0xffff_ffff) | u64::from(value),
            0x20 => *gpa = (*gpa & 0xffff_ffff) | u64::from(value) << 32,
            _ => {}
        }
    }
}

impl Endpoint for IommuTestdev {
    fn describe(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn read(&mut self, _: u8, offset: u64, data: &mut [u8], cx: &mut Context<'_>) {
        block::read(&mut View { device: self, cx }, Rules::Aligned32, offset, data);
    }

    fn write(&mut self, _: u8, offset: u64, data: &[u8], cx: &mut Context<'_>) {
        block::write(&mut View { device: self, cx }, Rules::Aligned32, offset, data);
    }

    /// It sets none.
    fn timer(&mut self, _: Timer, _: &mut Context<'_>) {}

    fn reset(&mut self) {
        let Self { probe: _, registers } = self;
        *registers = Registers::RESET;
    }

    fn save(&self) -> EndpointState {
        let Self { probe: _, registers } = self;
        EndpointState::IommuTestdev(State { registers: registers.clone() })
    }

    fn restore(&mut self, state: EndpointState) -> Result<(), StateError> {
        let EndpointState::IommuTestdev(State { registers }) = state else {
            return Err(StateError::Model { expected: DESCRIPTION.model, found: state.model() });
        };
        self.registers = registers;
        Ok(())
    }
}
