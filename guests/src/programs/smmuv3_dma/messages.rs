//! Interrupts: the unit's own, by wire and by message, and the devices' messages, which are writes that
//! it translates like any other [SMMUv3 3.18].

use super::bench::{Bench, READ};
use super::events::{Expected, F_TRANSLATION};
use super::stage1::attach;
use crate::error::Error;
use crate::exerciser::{Dma, Op};
use crate::gic::{self, DOORBELL, FIRST_LPI, Its};
use crate::hw::{Hw, interrupt_soon, next_interrupt};
use crate::smmuv3::regs::{EVENTQ_IRQ_CFG0, EVENTQ_IRQEN, GERROR_IRQ_CFG0, GERROR_IRQEN};
use crate::smmuv3::tables::STAGE1;
use crate::smmuv3::{Command, DEVICE_ID, FIRST_INTID, Signal};

/// Wires.
const EVENTQ_WIRE: u32 = FIRST_INTID;
const SYNC_WIRE: u32 = FIRST_INTID + 2;
const GERROR_WIRE: u32 = FIRST_INTID + 3;
/// EventIDs of the unit's messages; the LPIs follow [`FIRST_LPI`].
const EVENTQ: u32 = 1;
const GERROR: u32 = 2;
const SYNC: u32 = 3;
/// LPIs of the exerciser.
const DEVICE_LPI: u32 = FIRST_LPI + 32;
/// EventID of the exerciser's message, and its MSI-X vector.
const WRITTEN: u32 = 4;
const MSIX: u16 = 3;
/// Where the exerciser sees the doorbell.
const DOORBELL_IOVA: u64 = 0x2c_0000_0000;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let stray = interrupt_soon(bench.hw);
    bench.check(Ok(stray.is_none()), format_args!("no interrupt came that nobody asked for"));
    wires(bench)?;
    let mut its = Its::enable(bench.hw, &mut bench.parts.arena)?;
    if bench.needs(bench.parts.smmu.unit.idr0.msi() == 1, "messages of the unit", "IDR0.MSI is 0") {
        its.map(bench.hw, &mut bench.parts.arena, DEVICE_ID, FIRST_LPI)?;
        own_messages(bench)?;
    }
    let stream = bench.stream();
    its.map(bench.hw, &mut bench.parts.arena, stream, DEVICE_LPI)?;
    messages_of_devices(bench)
}

impl<H: Hw> Bench<'_, H> {
    /// Checks that `intid` is the next interrupt.
    fn expect_interrupt(&mut self, intid: u32, what: &str) {
        let got = next_interrupt(self.hw);
        self.check(Ok(got == Some(intid)), format_args!("{what}: INTID {intid}"));
        match got {
            None => self.note(format_args!("  no interrupt came")),
            Some(other) if other != intid => self.note(format_args!("  INTID {other} came")),
            Some(_) => {}
        }
    }

    /// Checks that no interrupt is on its way.
    fn expect_silence(&mut self, what: &str) {
        let got = interrupt_soon(self.hw);
        self.check(Ok(got.is_none()), format_args!("{what}"));
    }

    /// Has an event recorded.
    fn provoke(&mut self) -> Result<(), Error> {
        let address = 1 << self.parts.smmu.unit.idr5.output_bits();
        self.dma(&Dma::new(READ, address)).map(drop)
    }

    /// Has a command refused; the queue stands at it.
    fn provoke_error(&mut self) {
        let unit = self.parts.smmu.unit;
        self.parts.smmu.commands.post(self.hw, &unit, &[Command::UNKNOWN]);
    }

    /// Puts the queue right again.
    fn forgive_error(&mut self) -> Result<(), Error> {
        let unit = self.parts.smmu.unit;
        self.parts.smmu.commands.replace_current(self.hw, &unit);
        unit.acknowledge_errors(self.hw);
        self.submit(&[])
    }
}

fn wires<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    for intid in [EVENTQ_WIRE, GERROR_WIRE] {
        gic::enable_edge(bench.hw, intid);
    }
    bench.provoke()?;
    bench.expect_silence("an event whose interrupt is off raises none");
    bench.drop_events();
    unit.set_irq_ctrl(bench.hw, EVENTQ_IRQEN | GERROR_IRQEN)?;
    bench.provoke()?;
    bench.expect_interrupt(EVENTQ_WIRE, "an event pulses the event queue's wire");
    bench.provoke()?;
    bench.expect_silence("another one does not, while the queue is not empty");
    bench.drop_events();
    bench.provoke()?;
    bench.expect_interrupt(EVENTQ_WIRE, "once it was emptied, the next one does");
    bench.drop_events();
    bench.provoke_error();
    bench.expect_interrupt(GERROR_WIRE, "a refused command pulses that of global errors");
    bench.forgive_error()?;
    bench.expect_silence("acknowledging it raises nothing");
    // Only now: a message of a CMD_SYNC, which the driver waits for, may come with a pulse.
    gic::enable_edge(bench.hw, SYNC_WIRE);
    bench.submit(&[Command::sync(Signal::Message { address: 0, data: 0 })])?;
    bench.expect_interrupt(
        SYNC_WIRE,
        "a CMD_SYNC that asks for an interrupt without an address pulses its own",
    );
    unit.set_irq_ctrl(bench.hw, 0)?;
    for intid in [EVENTQ_WIRE, SYNC_WIRE, GERROR_WIRE] {
        gic::disable(bench.hw, intid);
    }
    Ok(())
}

fn own_messages<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    unit.set_message(bench.hw, EVENTQ_IRQ_CFG0, (DOORBELL, EVENTQ));
    unit.set_message(bench.hw, GERROR_IRQ_CFG0, (DOORBELL, GERROR));
    unit.set_irq_ctrl(bench.hw, EVENTQ_IRQEN | GERROR_IRQEN)?;
    bench.provoke()?;
    bench
        .expect_interrupt(FIRST_LPI + EVENTQ, "an event is a message to the ITS, of the unit's own DeviceID");
    bench.drop_events();
    bench.provoke_error();
    bench.expect_interrupt(FIRST_LPI + GERROR, "so is a refused command");
    bench.forgive_error()?;
    bench.submit(&[Command::sync(Signal::Message { address: DOORBELL, data: SYNC })])?;
    bench.expect_interrupt(FIRST_LPI + SYNC, "and a CMD_SYNC that asks for it");
    unit.set_irq_ctrl(bench.hw, 0)?;
    bench.provoke()?;
    bench.expect_silence("with IRQ_CTRL clear an event sends no message");
    unit.set_message(bench.hw, EVENTQ_IRQ_CFG0, (0, 0));
    unit.set_message(bench.hw, GERROR_IRQ_CFG0, (0, 0));
    Ok(())
}

fn messages_of_devices<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let (function, msix) = (bench.parts.device.function(), bench.parts.device.msix());
    let vector = u32::from(MSIX);
    msix.set(bench.hw, MSIX, (DOORBELL, vector));
    function.enable_msix(bench.hw)?;
    let dma = Dma { interrupt: Some(MSIX), ..Dma::new(Op::Nop, 0) };
    bench.dma(&dma)?;
    bench.expect_interrupt(DEVICE_LPI + vector, "in bypass, the exerciser's MSI-X message reaches the ITS");
    msix.set_mask(bench.hw, MSIX, true);
    bench.dma(&dma)?;
    bench.expect_silence("a masked vector sends none");
    let pending = msix.is_pending(bench.hw, MSIX);
    bench.check(Ok(pending), format_args!("its pending bit is set instead"));
    msix.set_mask(bench.hw, MSIX, false);
    bench.expect_interrupt(DEVICE_LPI + vector, "unmasking it sends the message");

    if !bench.has_stage1("messages through tables") {
        return Ok(());
    }
    let space = bench.space(1)?;
    let iova = DOORBELL_IOVA + (DOORBELL & (space.tables.granule.bytes() - 1));
    bench.map(&space.tables, (iova, DOORBELL), STAGE1)?;
    let ste = bench.stage1_ste(space)?;
    attach(bench, ste, space.tables.granule)?;
    bench.drop_events();
    bench.dma(&dma)?;
    bench.expect_silence("behind tables, a message to a physical address is a write like any other");
    let expected = Expected::new(F_TRANSLATION).write(DOORBELL).by_stage1();
    let recorded = bench.is_recorded(bench.stream(), expected).is_some();
    bench.check(Ok(recorded), format_args!("and refused like any other"));
    msix.set(bench.hw, MSIX, (iova, vector));
    bench.dma(&dma)?;
    bench.expect_interrupt(DEVICE_LPI + vector, "one to an address that leads to the doorbell reaches it");
    bench.parts.device.write_buffer(bench.hw, 0, &[WRITTEN]);
    bench.dma(&Dma::new(Op::Write { len: 4, buffer: 0 }, iova))?;
    bench.expect_interrupt(DEVICE_LPI + WRITTEN, "and so does a dword that a device writes there");
    Ok(())
}
