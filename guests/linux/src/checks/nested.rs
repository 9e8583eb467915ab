//! Two stages: this program as a guest builds stage 1 in its own memory, the kernel owns stage 2.
//!
//! The guest's physical addresses (IPAs) are those of this process's memory plus [`LINK`], so that taking
//! one for the other shows at once. The guest knows its device by another StreamID than the host.

use std::io;

use guests::arena::Arena;
use guests::error::Error;
use guests::exerciser::{Dma, Op};
use guests::hw::{Hw, interrupt_soon, next_interrupt, poll};
use guests::smmuv3::command::Pages;
use guests::smmuv3::tables::{LAST, READ_ONLY, STAGE1};
use guests::smmuv3::{Cd, Command, Granule, OnFault, Record, Tables};

use super::opened::{Opened, failed};
use super::{Bench, Expected, F_PERMISSION, F_TRANSLATION, PAGE, read, write};
use crate::iommufd::{Id, Iommufd, Purpose, Rights, Vevent, Veventq};
use crate::process::{MEMORY, MEMORY_AT};

/// What the guest takes for the begin of its memory.
const IPA: u64 = 0x40_0000_0000;
/// What makes an IPA of an address of this process.
const LINK: u64 = IPA - MEMORY_AT;
/// An IPA that stage 2 does not map.
const NOWHERE: u64 = 0x50_0000_0000;
/// The guest's name of its device.
const STREAM: u32 = 0x1234;
const ASID: u16 = 0x77;

const RING: u64 = 0x10_0000;
const DATA: u64 = 0x60_0000_0000;
const FIXED: u64 = DATA + PAGE;
const BEYOND: u64 = DATA + 2 * PAGE;
const UNMAPPED: u64 = DATA + 3 * PAGE;

/// Entry 0 of the MSI-X table, in BAR 0.
const MSIX_TABLE: u64 = 0x4000;

const C_BAD_CD: u8 = 0x0a;

/// Qwords 0 and 1 of STEs [SMMUv3 5.2]: V, Config; S1CIR and S1COR write-back, S1CSH Inner Shareable.
mod ste {
    pub const INVALID: [u64; 2] = [0, 0];
    pub const ABORT: [u64; 2] = [1, 0];
    pub const BYPASS: [u64; 2] = [1 | 0b100 << 1, 0];

    /// Stage 1 by the only CD of a table.
    pub const fn stage1(context: u64) -> [u64; 2] {
        [1 | 0b101 << 1 | context, 0b01 << 2 | 0b01 << 4 | 0b11 << 6]
    }
}

/// What the guest built.
struct Guest {
    iommufd: Iommufd,
    viommu: Id,
    on: Opened,
    /// The host's name of the device.
    stream: u32,
    /// The CD, in this process.
    context: u64,
    tables: Tables,
    /// The page at `DATA`, and another.
    pages: [u64; 2],
}

pub(super) fn run(bench: &mut Bench) -> io::Result<()> {
    let mut arena = Arena::new(bench.hw.ram());
    let iommufd = Iommufd::open()?;
    let Some(function) = bench.alone() else {
        bench.skip("the guest's tables translate", "every function shares its group");
        return Ok(());
    };
    let mut on = Opened::new(&mut bench.hw, &mut arena, &function, &iommufd)?;
    let ioas = iommufd.ioas()?;
    let parent = iommufd.hwpt(on.id, ioas, Purpose::NestParent);
    let idr0 = bench.unit.idr0();
    if idr0.s1p() == 0 || idr0.s2p() == 0 {
        bench.refused(parent, libc::EOPNOTSUPP, "a nesting parent is refused");
        bench.skip("the guest's tables translate", "IDR0 has not both stages");
        return Ok(());
    }
    let parent = parent?;
    let plain = iommufd.hwpt(on.id, ioas, Purpose::Plain)?;
    bench.refused(iommufd.viommu(on.id, plain), libc::EINVAL, "a virtual SMMU stands on a nesting parent");
    iommufd.destroy(plain)?;
    iommufd.map(ioas, &bench.hw.memory, (MEMORY_AT, MEMORY as u64), IPA, Rights::ReadWrite)?;

    let pages = [arena.page(&mut bench.hw).map_err(failed)?, arena.page(&mut bench.hw).map_err(failed)?];
    bench.fill(pages[0], 11);
    bench.fill(pages[1], 12);
    on.device.attach(parent)?;
    on.exerciser.start(&mut bench.hw, on.exerciser.ring() + LINK);
    bench.device_reads(&mut on, pages[0] + LINK, pages[0], "a nesting parent alone translates IPAs");

    let viommu = iommufd.viommu(on.id, parent)?;
    let early = iommufd.nested_hwpt(on.id, viommu, ste::stage1(IPA))?;
    bench.refused(
        on.device.attach(early),
        libc::ENOENT,
        "stage 1 needs a virtual device, whose StreamID events carry",
    );
    iommufd.destroy(early)?;
    let vdevice = iommufd.vdevice(viommu, on.id, STREAM)?;
    bench.refused(iommufd.vdevice(viommu, on.id, STREAM + 1), libc::EEXIST, "a device is one virtual device");
    let mut events = iommufd.veventq(viommu, 16)?;
    bench.refused(iommufd.veventq(viommu, 16), libc::EEXIST, "a virtual SMMU has one event queue");

    let (context, tables) = build(bench, &mut arena, &on, pages[0]).map_err(failed)?;
    let mut guest = Guest { iommufd, viommu, on, stream: function.stream, context, tables, pages };
    let bypass = guest.stream_table_entries(bench)?;
    let nested = guest.translates(bench)?;
    guest.reports(bench, &mut arena, &mut events)?;
    guest.forgets(bench, &mut arena)?;
    guest.switches(bench, &mut arena, &mut events)?;
    guest.interrupts(bench, &mut arena, &mut events)?;
    bench.refused(guest.iommufd.destroy(events.id), libc::EBUSY, "a queue that is open is not destroyed");
    let queue = events.id;
    drop(events);
    guest.iommufd.destroy(queue)?;
    guest.overflows(bench)?;
    guest.stops(bench)?;

    // What stands on something else goes first.
    let Guest { iommufd, viommu, on, .. } = guest;
    bench.refused(
        iommufd.destroy(viommu),
        libc::EBUSY,
        "a virtual SMMU with a virtual device is not destroyed",
    );
    on.device.detach()?;
    for id in [bypass, nested, vdevice, viommu, parent, ioas] {
        iommufd.destroy(id)?;
    }
    bench.check(true, format_args!("from the top down, everything is destroyed"));
    Ok(())
}

/// A CD, and tables that map the ring and `page`; both known to the unit by IPAs.
fn build(bench: &mut Bench, arena: &mut Arena, on: &Opened, page: u64) -> Result<(u64, Tables), Error> {
    let hw = &mut bench.hw;
    let context = arena.page(hw)?;
    let tables = Tables::stage1(hw, arena, Granule::K4, 39, LINK)?;
    tables.map(hw, arena, (RING, on.exerciser.ring() + LINK), LAST, STAGE1)?;
    tables.map(hw, arena, (DATA, page + LINK), LAST, STAGE1)?;
    tables.map(hw, arena, (FIXED, page + LINK), LAST, STAGE1 | READ_ONLY)?;
    tables.map(hw, arena, (BEYOND, NOWHERE), LAST, STAGE1)?;
    write_context(bench, context, &tables);
    Ok((context, tables))
}

fn write_context(bench: &mut Bench, context: u64, tables: &Tables) {
    // 48-bit output addresses, or fewer where the unit has fewer.
    let ips = (bench.unit.idr[5] & 0b111).min(5);
    let Cd(words) = Cd::new(tables, ASID, ips, OnFault::TERMINATE);
    for (at, word) in (context..).step_by(8).zip(words) {
        bench.hw.mem_write64(at, word);
    }
}

impl Guest {
    /// Which STEs the kernel takes from a guest, and that it does what they say. Returns the tables of one.
    fn stream_table_entries(&mut self, bench: &mut Bench) -> io::Result<Id> {
        let Self { iommufd, viommu, on, pages, context, .. } = self;
        let [low, high] = ste::stage1(*context + LINK);
        let rows = [
            ([low | 1 << 56, high], "a reserved bit of qword 0"),
            ([low, high | 1 << 32], "a bit of qword 1 that is the host's"),
            ([1 | 0b110 << 1, 0], "stage 2 of its own"),
            ([low, high | 0b10 << 28], "EATS for ATS in two steps"),
        ];
        for (ste, what) in rows {
            let what = format!("an STE with {what} is refused");
            bench.refused(iommufd.nested_hwpt(on.id, *viommu, ste), libc::EIO, &what);
        }
        let bypass = iommufd.nested_hwpt(on.id, *viommu, ste::BYPASS)?;
        on.device.attach(bypass)?;
        bench.device_reads(on, pages[0] + LINK, pages[0], "with stage 1 bypassed the device has IPAs");
        Ok(bypass)
    }

    /// DMA both ways through both stages. Returns the tables.
    fn translates(&mut self, bench: &mut Bench) -> io::Result<Id> {
        let Self { iommufd, viommu, on, pages, context, .. } = self;
        let nested = iommufd.nested_hwpt(on.id, *viommu, ste::stage1(*context + LINK))?;
        on.device.attach(nested)?;
        on.exerciser.start(&mut bench.hw, RING);
        bench.device_reads(on, DATA, pages[0], "the device reads through both stages");
        bench.device_writes(on, DATA, pages[0], 13, "the device writes through both stages");
        bench.device_reads(on, FIXED, pages[0], "it reads a page that stage 1 lets it read");
        Ok(nested)
    }

    /// Faults of stage 1 are the guest's to hear of, those of stage 2 the host's.
    fn reports(&mut self, bench: &mut Bench, arena: &mut Arena, events: &mut Veventq) -> io::Result<()> {
        let rows = [
            ("F_TRANSLATION of a read", F_TRANSLATION, UNMAPPED + 0x18, false),
            ("F_TRANSLATION of a write", F_TRANSLATION, UNMAPPED + PAGE + 0x20, true),
            ("F_PERMISSION of a write", F_PERMISSION, FIXED + 0x28, true),
        ];
        for (sequence, (what, kind, address, is_write)) in (0..).zip(rows) {
            let dma = if is_write { write(address, 32) } else { read(address, 32) };
            let got = bench.dma(&mut self.on, dma);
            bench.aborted(got, "what stage 1 forbids is aborted");
            let expected = Expected { what, kind, stream: STREAM, address, write: is_write, ipa: None };
            expect_vevent(bench, events, sequence, &expected)?;
        }
        bench.nothing_printed("the host's kernel prints nothing of it");

        let got = bench.dma(&mut self.on, read(BEYOND + 0x30, 32));
        bench.aborted(got, "what stage 2 does not map is aborted");
        bench.printed(&Expected {
            what: "F_TRANSLATION of stage 2, with the IPA",
            kind: F_TRANSLATION,
            stream: self.stream,
            address: BEYOND + 0x30,
            write: false,
            ipa: Some(NOWHERE),
        });
        self.tables
            .map(&mut bench.hw, arena, (UNMAPPED, self.pages[1] + LINK), LAST, STAGE1)
            .map_err(failed)?;
        bench.device_reads(
            &mut self.on,
            UNMAPPED,
            self.pages[1],
            "a page that was not there is there without invalidation",
        );
        bench.equal(&events.take()?, &None, "the guest hears no more");
        Ok(())
    }

    fn invalidate(&self, bench: &mut Bench, commands: &[Command], what: &str) {
        let got = self.iommufd.invalidate(self.viommu, commands).map_err(|error| error.to_string());
        bench.equal(&got, &Ok(()), what);
    }

    /// Invalidations of the TLB, as the guest would queue them.
    fn forgets(&mut self, bench: &mut Bench, arena: &mut Arena) -> io::Result<()> {
        // Of two pages, where the unit knows ranges.
        let pair = Pages { granule: Granule::K4, num: 1, scale: 0 };
        let vaa = Command::tlbi_nh_vaa(3, DATA, true);
        let vaa = if bench.unit.idr3().ril() == 1 { vaa.range(pair, 3) } else { vaa };
        // The guest knows of no VMID: whatever it says, the kernel puts in its own.
        let rows: [(&str, &[Command]); 5] = [
            ("CMD_TLBI_NH_VA", &[Command::tlbi_nh_va(0, ASID, DATA, true)]),
            ("CMD_TLBI_NH_VAA", &[vaa]),
            ("CMD_TLBI_NH_ASID", &[Command::tlbi_nh_asid(0, ASID)]),
            ("CMD_TLBI_NH_ALL", &[Command::tlbi_nh_all(0)]),
            ("CMD_TLBI_NSNH_ALL and another", &[Command::tlbi_nsnh_all(), Command::tlbi_nh_asid(0, 1)]),
        ];
        let retains = bench.hw.command_line().split_whitespace().any(|word| word == "cache=retain");
        for (turn, (name, commands)) in rows.into_iter().enumerate() {
            let (old, new) = (self.pages[turn % 2], self.pages[(turn + 1) % 2]);
            bench.device_reads(&mut self.on, DATA, old, "the unit holds a translation");
            self.tables.map(&mut bench.hw, arena, (DATA, new + LINK), LAST, STAGE1).map_err(failed)?;
            if retains {
                bench.device_reads(
                    &mut self.on,
                    DATA,
                    old,
                    "and keeps to it though the tables say otherwise",
                );
            }
            self.invalidate(bench, commands, name);
            bench.device_reads(&mut self.on, DATA, new, "after the invalidation it goes by the tables");
        }
        let wrong = [
            (Command::cfgi_cd(STREAM + 1, 0, true), "CMD_CFGI_CD of a StreamID that is nobody's"),
            (Command::cfgi_ste(STREAM, true), "CMD_CFGI_STE"),
            (Command::tlbi_s12_vmall(0), "CMD_TLBI_S12_VMALL"),
            (Command::sync(guests::smmuv3::Signal::None), "CMD_SYNC"),
        ];
        for (command, what) in wrong {
            let what = format!("{what} is refused");
            bench.refused(self.iommufd.invalidate(self.viommu, &[command]), libc::EIO, &what);
        }
        Ok(())
    }

    /// Another CD, and none.
    fn switches(&mut self, bench: &mut Bench, arena: &mut Arena, events: &mut Veventq) -> io::Result<()> {
        let before = self.pages[1];
        let (scratch, tables) = build(bench, arena, &self.on, self.pages[0]).map_err(failed)?;
        bench.device_reads(&mut self.on, DATA, before, "the unit holds the CD");
        self.copy_context(bench, scratch);
        self.tables = tables;
        self.invalidate(
            bench,
            &[Command::cfgi_cd(STREAM, 0, true), Command::tlbi_nh_asid(0, ASID)],
            "CMD_CFGI_CD and CMD_TLBI_NH_ASID",
        );
        bench.device_reads(
            &mut self.on,
            DATA,
            self.pages[0],
            "after them it goes by the tables of the new one",
        );

        let valid = bench.hw.mem_read64(self.context);
        bench.hw.mem_write64(self.context, valid & !(1 << 31));
        self.invalidate(bench, &[Command::cfgi_cd_all(STREAM)], "CMD_CFGI_CD_ALL");
        let got = bench.dma(&mut self.on, Dma::new(Op::Nop, 0)).map(drop);
        bench.equal(&got, &Err(Error::RingFault), "without a valid CD the device reaches nothing");
        let event = poll(&mut bench.hw, |_| events.take().transpose()).transpose()?;
        let bad = u64::from(C_BAD_CD) | u64::from(STREAM) << 32;
        let held =
            matches!(event, Some(Vevent::Record { sequence: 3, record: Record([low, ..]) }) if low == bad);
        if !bench.check(held, format_args!("the guest gets C_BAD_CD of its StreamID")) {
            bench.note(format_args!("  got {event:?}"));
        }
        bench.hw.mem_write64(self.context, valid);
        self.invalidate(bench, &[Command::cfgi_cd(STREAM, 0, true)], "CMD_CFGI_CD");
        self.on.exerciser.restart(&mut bench.hw);
        bench.device_reads(&mut self.on, DATA, self.pages[0], "with it the device goes on");
        bench.equal(&events.take()?, &None, "the guest hears no more");
        Ok(())
    }

    fn copy_context(&self, bench: &mut Bench, from: u64) {
        for offset in (0..64).step_by(8) {
            let word = bench.hw.mem_read64(from + offset);
            bench.hw.mem_write64(self.context + offset, word);
        }
    }

    /// A message interrupt is a write, which both stages translate: the guest maps the doorbell.
    fn interrupts(&mut self, bench: &mut Bench, arena: &mut Arena, events: &mut Veventq) -> io::Result<()> {
        self.on.connect_vectors(&mut bench.hw)?;
        let entry = self.on.bar + MSIX_TABLE;
        let [low, high] = [0, 4].map(|offset| u64::from(bench.hw.mmio_read32(entry + offset)));
        let doorbell = low | high << 32;
        let known = (0x0800_0000..=0x080f_ffff).contains(&doorbell);
        bench.check(
            known,
            format_args!("the kernel has the message written to the window of message interrupts"),
        );

        let nop = Dma { interrupt: Some(0), ..Dma::new(Op::Nop, 0) };
        let got = bench.dma(&mut self.on, nop);
        bench.done(got, 0, "a descriptor asks for an interrupt");
        let taken = interrupt_soon(&mut bench.hw);
        bench.equal(&taken, &None, "none comes while stage 1 does not map the window");
        let expected = Expected {
            what: "F_TRANSLATION of the message",
            kind: F_TRANSLATION,
            stream: STREAM,
            address: doorbell,
            write: true,
            ipa: None,
        };
        expect_vevent(bench, events, 4, &expected)?;

        let page = doorbell & !(PAGE - 1);
        self.tables.map(&mut bench.hw, arena, (page, page), LAST, STAGE1).map_err(failed)?;
        let got = bench.dma(&mut self.on, nop);
        bench.done(got, 0, "a descriptor asks for an interrupt");
        let taken = next_interrupt(&mut bench.hw);
        bench.equal(&taken, &Some(0), "it comes through both stages");
        self.on.device.clear_vectors()?;
        bench.hw.take_interrupts_from(None);
        bench.equal(&events.take()?, &None, "the guest hears no more");
        Ok(())
    }

    /// A queue that is full says so.
    fn overflows(&mut self, bench: &mut Bench) -> io::Result<()> {
        let mut events = self.iommufd.veventq(self.viommu, 2)?;
        let address = |turn: u64| DATA + 0x10_0000 + turn * PAGE;
        for turn in 0..3 {
            let got = bench.dma(&mut self.on, read(address(turn), 4));
            bench.aborted(got, "what stage 1 does not map is aborted");
        }
        for turn in 0..2 {
            let expected = Expected {
                what: "F_TRANSLATION, while there is room",
                kind: F_TRANSLATION,
                stream: STREAM,
                address: address(turn.into()),
                write: false,
                ipa: None,
            };
            expect_vevent(bench, &mut events, turn, &expected)?;
        }
        let lost = poll(&mut bench.hw, |_| events.take().transpose()).transpose()?;
        bench.equal(&lost, &Some(Vevent::Lost { sequence: 2 }), "the guest is told that events were lost");
        let queue = events.id;
        drop(events);
        self.iommufd.destroy(queue)
    }

    /// STEs that let nothing pass.
    fn stops(&mut self, bench: &mut Bench) -> io::Result<()> {
        for (ste, what) in [(ste::ABORT, "with an STE that aborts"), (ste::INVALID, "with an invalid STE")] {
            let hwpt = self.iommufd.nested_hwpt(self.on.id, self.viommu, ste)?;
            self.on.device.attach(hwpt)?;
            let got = bench.dma(&mut self.on, Dma::new(Op::Nop, 0)).map(drop);
            let what = format!("{what} the device reaches nothing");
            bench.equal(&got, &Err(Error::RingFault), &what);
            bench.nothing_printed("its DMA is aborted without an event");
            self.on.device.detach()?;
            self.iommufd.destroy(hwpt)?;
            self.on.exerciser.restart(&mut bench.hw);
        }
        Ok(())
    }
}

fn expect_vevent(
    bench: &mut Bench,
    events: &mut Veventq,
    number: u32,
    expected: &Expected,
) -> io::Result<()> {
    match poll(&mut bench.hw, |_| events.take().transpose()).transpose()? {
        Some(Vevent::Record { sequence, record }) if sequence == number => {
            bench.expect_record(Some(record), expected, "the guest gets");
        }
        other => {
            bench.check(false, format_args!("the guest gets event {number}, {}", expected.what));
            bench.note(format_args!("  got {other:?}"));
        }
    }
    Ok(())
}
