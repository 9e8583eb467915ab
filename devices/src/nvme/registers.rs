//! BAR 0 as dwords.

use super::controller::{Controller, Outside};
use super::regs::{Aqa, CAP, Csts, Doorbell, QUEUE_BASE, VERSION};
use crate::register::block::DwordSpace;

/// The controller, with what it may use during an access.
pub(super) struct Registers<'a, 'b, 'c> {
    pub(super) controller: &'a mut Controller,
    pub(super) out: &'a mut Outside<'b, 'c>,
}

/// The halves of a 64-bit register.
const fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

impl DwordSpace for Registers<'_, '_, '_> {
    fn read_dword(&mut self, offset: u64) -> u32 {
        let Controller { cc, aqa, asq, acq, ready, fatal, shutdown, interrupts, .. } = &*self.controller;
        match offset {
            0x00 => halves(CAP.raw())[0],
            0x04 => halves(CAP.raw())[1],
            0x08 => VERSION,
            // INTMS and INTMC.
            0x0c | 0x10 => interrupts.mask,
            0x14 => cc.raw(),
            0x1c => Csts::ZERO.with_rdy(*ready).with_cfs(*fatal).with_shst(*shutdown as u8).raw(),
            0x24 => aqa.raw(),
            0x28 => halves(*asq)[0],
            0x2c => halves(*asq)[1],
            0x30 => halves(*acq)[0],
            0x34 => halves(*acq)[1],
            // NSSR, and registers of memory buffers and boot partitions: CAP has none of them. Doorbells
            // read as zero.
            _ => 0,
        }
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        let Self { controller, out } = self;
        let low = |old: u64| old & !0xffff_ffff | u64::from(value);
        let high = |old: u64| old & 0xffff_ffff | u64::from(value) << 32;
        // Every access has whole dwords.
        debug_assert_eq!(lanes, u32::MAX);
        match offset {
            0x0c => controller.interrupts.mask |= value,
            0x10 => controller.interrupts.mask &= !value,
            0x14 => return controller.configure(controller.cc.written(value), out),
            0x24 => controller.aqa = Aqa::from_raw(value & Aqa::RW),
            0x28 => controller.asq = low(controller.asq) & QUEUE_BASE,
            0x2c => controller.asq = high(controller.asq),
            0x30 => controller.acq = low(controller.acq) & QUEUE_BASE,
            0x34 => controller.acq = high(controller.acq),
            // CAP, VS and CSTS are read only, and nothing else is there but doorbells.
            _ => {
                if let Some(doorbell) = Doorbell::at(offset) {
                    controller.doorbell(doorbell, value, out);
                }
                return;
            }
        }
        controller.end_step(out);
    }
}
