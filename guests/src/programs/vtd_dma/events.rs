//! Interrupts: the unit's own events, and the devices' messages, which no page table touches.

use super::bench::{BYTES, Bench};
use crate::error::Error;
use crate::exerciser::{Dma, Op};
use crate::hw::{Hw, Pc, interrupt_soon, message, next_interrupt};
use crate::vtd::regs::{ICS, IWC};
use crate::vtd::{Descriptor, Event};

const FAULT_VECTOR: u8 = 0x41;
const WAIT_VECTOR: u8 = 0x42;
const MSIX_VECTOR: u8 = 0x43;
const WRITTEN_VECTOR: u8 = 0x44;
/// The MSI-X vector, in the device's numbering.
const MSIX: u16 = 3;
/// Never mapped.
const UNMAPPED: u64 = 0x31_0000_0000;

pub fn run<H: Pc>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let stray = interrupt_soon(bench.hw);
    bench.check(Ok(stray.is_none()), format_args!("no interrupt came that nobody asked for"));
    fault_event(bench)?;
    invalidation_event(bench)?;
    msix(bench)?;
    written_message(bench)
}

impl<H: Hw> Bench<'_, H> {
    /// Checks that `vector` is the next interrupt.
    pub fn expect_interrupt(&mut self, vector: u8, what: &str) {
        let vector = u32::from(vector);
        let got = next_interrupt(self.hw);
        self.check(Ok(got == Some(vector)), format_args!("{what}"));
        match got {
            None => self.note(format_args!("  no interrupt came, expected vector {vector:#x}")),
            Some(other) if other != vector => {
                self.note(format_args!("  vector {other:#x} came, expected {vector:#x}"));
            }
            Some(_) => {}
        }
    }

    /// Checks that no interrupt is on its way.
    pub fn expect_silence(&mut self, what: &str) {
        let got = interrupt_soon(self.hw);
        self.check(Ok(got.is_none()), format_args!("{what}"));
    }
}

fn fault_event<H: Pc>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.unit;
    let target = message(bench.hw, FAULT_VECTOR);
    let dma = Dma::new(Op::Read { len: BYTES, buffer: 0 }, UNMAPPED);
    unit.mask_event(bench.hw, Event::Fault, true);
    unit.set_event(bench.hw, Event::Fault, target);

    bench.dma(&dma)?;
    bench.expect_silence("a masked fault event raises no interrupt");
    let pending = unit.is_event_pending(bench.hw, Event::Fault);
    bench.check(Ok(pending), format_args!("it is pending instead"));
    unit.mask_event(bench.hw, Event::Fault, false);
    bench.expect_interrupt(FAULT_VECTOR, "unmasking it raises the interrupt");
    let pending = unit.is_event_pending(bench.hw, Event::Fault);
    bench.check(Ok(!pending), format_args!("and it is pending no more"));

    bench.dma(&dma)?;
    bench.expect_silence("a second fault raises none while the first is not cleared");
    unit.clear_faults(bench.hw);
    bench.dma(&dma)?;
    bench.expect_interrupt(FAULT_VECTOR, "once they are cleared, the next fault does");

    unit.clear_faults(bench.hw);
    unit.mask_event(bench.hw, Event::Fault, true);
    bench.dma(&dma)?;
    unit.clear_faults(bench.hw);
    let pending = unit.is_event_pending(bench.hw, Event::Fault);
    bench.check(Ok(!pending), format_args!("clearing all faults takes a pending event back"));
    unit.mask_event(bench.hw, Event::Fault, false);
    bench.expect_silence("and unmasking raises nothing");
    unit.mask_event(bench.hw, Event::Fault, true);
    Ok(())
}

fn invalidation_event<H: Pc>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.unit;
    let target = message(bench.hw, WAIT_VECTOR);
    unit.set_event(bench.hw, Event::Invalidation, target);
    unit.mask_event(bench.hw, Event::Invalidation, false);
    let Some(queue) = &mut bench.parts.queue else {
        return Err(Error::Unsupported("queued invalidation"));
    };
    queue.post(bench.hw, &unit, Descriptor::wait_interrupt());
    bench.expect_interrupt(WAIT_VECTOR, "an invalidation wait raises the interrupt it asked for");
    let status = unit.read32(bench.hw, ICS);
    bench.check(Ok(status & IWC != 0), format_args!("its completion status says so"));
    unit.write32(bench.hw, ICS, IWC);
    let status = unit.read32(bench.hw, ICS);
    bench.check(Ok(status & IWC == 0), format_args!("writing 1 clears it"));
    unit.mask_event(bench.hw, Event::Invalidation, true);
    Ok(())
}

fn msix<H: Pc>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let target = message(bench.hw, MSIX_VECTOR);
    let (function, msix) = (bench.parts.device.function(), bench.parts.device.msix());
    msix.set(bench.hw, MSIX, target);
    function.enable_msix(bench.hw)?;
    let dma = Dma { interrupt: Some(MSIX), ..Dma::new(Op::Nop, 0) };
    bench.dma(&dma)?;
    bench.expect_interrupt(MSIX_VECTOR, "the exerciser's MSI-X message arrives, page tables or not");

    msix.set_mask(bench.hw, MSIX, true);
    bench.dma(&dma)?;
    bench.expect_silence("a masked MSI-X vector raises no interrupt");
    let pending = msix.is_pending(bench.hw, MSIX);
    bench.check(Ok(pending), format_args!("its pending bit is set instead"));
    msix.set_mask(bench.hw, MSIX, false);
    bench.expect_interrupt(MSIX_VECTOR, "unmasking it sends the message");
    let pending = msix.is_pending(bench.hw, MSIX);
    bench.check(Ok(!pending), format_args!("and the pending bit is clear"));
    Ok(())
}

/// A dword that a device writes into the message window is an interrupt, whoever meant it.
fn written_message<H: Pc>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (address, data) = message(bench.hw, WRITTEN_VECTOR);
    bench.parts.device.write_buffer(bench.hw, 0, &[data]);
    bench.dma(&Dma::new(Op::Write { len: 4, buffer: 0 }, address))?;
    bench.expect_interrupt(WRITTEN_VECTOR, "a dword written into the message window is an interrupt");
    Ok(())
}
