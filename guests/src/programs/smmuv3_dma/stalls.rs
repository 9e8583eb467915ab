//! Stalls: a transaction of the platform exerciser is held until software has decided what becomes of
//! it [SMMUv3 3.12.2, 4.6].

use super::bench::{BYTES, Bench, READ, RING_IOVA, Space, VA_BITS, WRITE};
use super::events::{Class, Expected, F_TRANSLATION};
use super::stage1::within;
use crate::error::Error;
use crate::exerciser::{Dma, Exerciser, Platform, Posted, Status};
use crate::hw::{Hw, interrupt_soon, poll};
use crate::smmuv3::regs::{CMDQEN, EVENTQEN, SMMUEN};
use crate::smmuv3::ste::Plain;
use crate::smmuv3::tables::{LAST, STAGE1, STAGE2};
use crate::smmuv3::{Command, OnFault, Record, Stage2, Ste, Tables};

/// Not mapped, until it is.
const ABSENT: u64 = 0x2e_0000_0000;

pub fn run<H: Hw>(bench: &mut Bench<'_, H>) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    if !bench.needs(unit.idr0.stall_model() != 1, "stalls", "IDR0.STALL_MODEL is 1") {
        return Ok(());
    }
    let Some((device, stream)) = bench.parts.platform.take() else {
        bench.skip("stalls", "there is no exerciser on the platform bus: add one that can stall");
        return Ok(());
    };
    let mut held = Held { device, stream };
    let reached = u64::from(stream) >> unit.idr1.sidsize() == 0;
    let result = if bench.needs(reached, "stalls", "IDR1.SIDSIZE does not reach the platform exerciser") {
        sections(bench, &mut held)
    } else {
        Ok(())
    };
    bench.parts.platform = Some((held.device, held.stream));
    result
}

fn sections<H: Hw>(bench: &mut Bench<'_, H>, held: &mut Held) -> Result<(), Error> {
    if bench.has_stage1("stalls of stage 1") {
        let space = stage1(bench, held)?;
        retry(bench, held, &space.tables)?;
        terminate(bench, held)?;
        strangers(bench, held)?;
        switched_off(bench, held)?;
    }
    if bench.has_stage2("stalls of stage 2") {
        stage2(bench, held)?;
    }
    bench.set_ste(held.stream, Ste::ABORT)
}

/// The device whose transactions are held.
struct Held {
    device: Exerciser<Platform>,
    stream: u32,
}

impl Held {
    /// Starts a DMA that stalls at [`ABSENT`]; returns it with its STAG, or `None` where the check that it
    /// is recorded, and not complete, failed.
    fn stall<H: Hw>(
        &mut self,
        bench: &mut Bench<'_, H>,
        what: &str,
        dma: &Dma,
        expected: Expected,
    ) -> Option<(Posted, u16)> {
        let posted = self.device.post(bench.hw, dma);
        let record = self.next_event(bench, expected);
        let waits = !self.device.is_complete(bench.hw, posted);
        bench.check(Ok(record.is_some() && waits), format_args!("{what}"));
        record.filter(|_| waits).map(|record| (posted, record.stag()))
    }

    /// The next event, if it is the expected one.
    fn next_event<H: Hw>(&self, bench: &mut Bench<'_, H>, expected: Expected) -> Option<Record> {
        let (smmu, hw) = (&bench.parts.smmu, &mut *bench.hw);
        poll(hw, |hw| (smmu.events.waiting(hw, &smmu.unit) != 0).then_some(()));
        bench.is_recorded(self.stream, expected)
    }

    /// Whether a DMA ends this way.
    fn ends<H: Hw>(
        &mut self,
        bench: &mut Bench<'_, H>,
        posted: Posted,
        status: Status,
    ) -> Result<bool, Error> {
        let completion = self.device.finish(bench.hw, posted)?;
        if completion.status != status {
            bench.note(format_args!("  the device saw {:?}", completion.status));
        }
        Ok(completion.status == status)
    }

    fn attach<H: Hw>(&mut self, bench: &mut Bench<'_, H>, ste: Ste, tables: &Tables) -> Result<(), Error> {
        bench.set_ste(self.stream, ste)?;
        let ring = within(RING_IOVA, self.device.ring(), tables.granule.bits());
        self.device.start(bench.hw, ring);
        bench.drop_events();
        Ok(())
    }
}

/// An address space whose faults stall.
fn stage1<H: Hw>(bench: &mut Bench<'_, H>, held: &mut Held) -> Result<Space, Error> {
    let granule = bench.granule()?;
    let space = bench.space_of(9, granule, VA_BITS, held.device.ring())?;
    let contexts = bench.single(bench.cd(space, OnFault::STALL))?;
    held.attach(bench, Ste::stage1(&contexts, Plain::Terminate), &space.tables)?;
    Ok(space)
}

fn absent(write: bool) -> Expected {
    let expected = Expected::new(F_TRANSLATION).by_stage1().stalled();
    if write { expected.write(ABSENT) } else { expected.read(ABSENT) }
}

fn retry<H: Hw>(bench: &mut Bench<'_, H>, held: &mut Held, tables: &Tables) -> Result<(), Error> {
    let a = bench.parts.page_a & !(tables.granule.bytes() - 1);
    bench.fill(a, 0xb1);
    let read = Dma::new(READ, ABSENT);
    let stalled =
        held.stall(bench, "a read of a page that is not mapped is held, and recorded", &read, absent(false));
    let Some((posted, stag)) = stalled else { return Ok(()) };
    let _ = interrupt_soon(bench.hw);
    let waits = !held.device.is_complete(bench.hw, posted);
    bench.check(Ok(waits), format_args!("it waits for as long as nobody decides"));

    bench.submit(&[Command::retry(held.stream, stag)])?;
    let record = held.next_event(bench, absent(false));
    bench.check(Ok(record.is_some()), format_args!("retried without a page, it is held and recorded again"));
    let stag = record.map_or(stag, Record::stag);
    bench.map(tables, (ABSENT, a), STAGE1)?;
    bench.submit(&[Command::retry(held.stream, stag)])?;
    let done = held.ends(bench, posted, Status::Done);
    let mut words = [0; BYTES as usize / 4];
    held.device.read_buffer(bench.hw, 0, &mut words);
    let right = (0u64..).step_by(4).zip(words).all(|(at, word)| bench.hw.mem_read32(a + at) == word);
    bench.check(done.map(|done| done && right), format_args!("retried with a page, it gets what is there"));
    let silent = bench.is_silent();
    bench.check(Ok(silent), format_args!("and leaves no further event"));
    bench.set_entry(tables, ABSENT, LAST, 0)?;
    bench.flush()
}

fn terminate<H: Hw>(bench: &mut Bench<'_, H>, held: &mut Held) -> Result<(), Error> {
    let term_model = bench.parts.smmu.unit.idr0.term_model();
    // What ends, whether it is a write, the command by stream and STAG, and what the device sees.
    type Row = (&'static str, bool, fn(u32, u16) -> Command, Status);
    let rows: [Row; 4] = [
        ("CMD_RESUME with abort ends a read", false, |s, t| Command::terminate(s, t, true), Status::Ur),
        ("CMD_RESUME with abort ends a write", true, |s, t| Command::terminate(s, t, true), Status::Ur),
        (
            "CMD_RESUME without abort lets a read have zeros",
            false,
            |s, t| Command::terminate(s, t, false),
            if term_model == 0 { Status::ReadAsZero } else { Status::Ur },
        ),
        ("CMD_STALL_TERM ends what a stream has", false, |s, _| Command::stall_term(s), Status::Ur),
    ];
    for (what, write, command, status) in rows {
        let dma = Dma::new(if write { WRITE } else { READ }, ABSENT);
        let stalled = held.stall(bench, "a transaction is held", &dma, absent(write));
        let Some((posted, stag)) = stalled else { continue };
        bench.submit(&[command(held.stream, stag)])?;
        let ended = held.ends(bench, posted, status);
        bench.check(ended, format_args!("{what}"));
    }
    Ok(())
}

/// Commands that mean another transaction do nothing.
fn strangers<H: Hw>(bench: &mut Bench<'_, H>, held: &mut Held) -> Result<(), Error> {
    let stalled = held.stall(bench, "a transaction is held", &Dma::new(READ, ABSENT), absent(false));
    let Some((posted, stag)) = stalled else { return Ok(()) };
    let stranger = bench.stream();
    bench.submit(&[
        Command::terminate(held.stream, stag ^ 0x55, true),
        Command::terminate(stranger, stag, true),
        Command::stall_term(stranger),
        Command::tlbi_nsnh_all(),
        Command::cfgi_all(),
    ])?;
    let _ = interrupt_soon(bench.hw);
    let waits = !held.device.is_complete(bench.hw, posted);
    let silent = bench.is_silent();
    let errors = bench.parts.smmu.unit.errors(bench.hw);
    bench.check(
        Ok(waits && silent && errors == 0),
        format_args!(
            "neither another STAG, another stream nor an invalidation moves it, and none is an error"
        ),
    );
    bench.submit(&[Command::stall_term(held.stream)])?;
    held.ends(bench, posted, Status::Ur).map(drop)
}

fn switched_off<H: Hw>(bench: &mut Bench<'_, H>, held: &mut Held) -> Result<(), Error> {
    let unit = bench.parts.smmu.unit;
    let stalled = held.stall(bench, "a transaction is held", &Dma::new(READ, ABSENT), absent(false));
    let Some((posted, _)) = stalled else { return Ok(()) };
    unit.set_cr0(bench.hw, CMDQEN | EVENTQEN)?;
    // Its status finds the ring where the unit, being off, lets it: nowhere.
    let ended = poll(bench.hw, |hw| held.device.has_stopped(hw).then_some(()));
    let complete = held.device.is_complete(bench.hw, posted);
    bench.check(Ok(ended.is_some() && !complete), format_args!("turning the unit off ends it"));
    unit.set_cr0(bench.hw, CMDQEN | EVENTQEN | SMMUEN)?;
    held.device.restart(bench.hw);
    let silent = bench.is_silent();
    bench.check(Ok(silent), format_args!("without an event"));
    Ok(())
}

fn stage2<H: Hw>(bench: &mut Bench<'_, H>, held: &mut Held) -> Result<(), Error> {
    let stage2 = Stage2 { stall: true, ..bench.stage2(9)? };
    let granule = stage2.tables.granule;
    let ring = within(RING_IOVA, held.device.ring(), granule.bits());
    bench.map(&stage2.tables, (ring, held.device.ring()), STAGE2)?;
    held.attach(bench, Ste::stage2(&stage2), &stage2.tables)?;
    let expected = Expected::new(F_TRANSLATION).write(ABSENT).by_stage2(Class::In, ABSENT).stalled();
    let a = bench.parts.page_a & !(granule.bytes() - 1);
    bench.hw.mem_write32(a, 0);
    held.device.write_buffer(bench.hw, 0, &[0x5a5a_5a5a]);
    let stalled = held.stall(bench, "stage 2 holds a write", &Dma::new(WRITE, ABSENT), expected);
    let Some((posted, stag)) = stalled else { return Ok(()) };
    bench.map(&stage2.tables, (ABSENT, a), STAGE2)?;
    bench.submit(&[Command::retry(held.stream, stag)])?;
    let done = held.ends(bench, posted, Status::Done);
    let landed = bench.hw.mem_read32(a) == 0x5a5a_5a5a;
    bench.check(done.map(|done| done && landed), format_args!("retried with a page, it lands there"));
    Ok(())
}
