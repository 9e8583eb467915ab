//! Address spaces of iommufd, with a device opened through its character device.

use std::io;

use guests::arena::Arena;
use guests::exerciser::{Dma, Op};
use guests::hw::{Hw, interrupt_soon, next_interrupt};

use super::opened::{Opened, failed};
use super::{Bench, Expected, F_PERMISSION, F_TRANSLATION, PAGE, read, write};
use crate::iommufd::{Id, Iommufd, Purpose, Rights};
use crate::vfio::Device;

const RING: u64 = 0x10_0000;
const DATA: u64 = 0x1_2345_6000;
const READ_ONLY: u64 = 0x7_0000_0000;
/// Pages at `DATA`.
const PAGES: u64 = 4;
/// Where message interrupts of devices go; the kernel keeps these addresses for itself.
const MSI_WINDOW: (u64, u64) = (0x0800_0000, 0x080f_ffff);
/// `IOMMU_HW_INFO_TYPE_ARM_SMMUV3`.
const SMMUV3: u32 = 2;

pub(super) fn run(bench: &mut Bench) -> io::Result<()> {
    let mut arena = Arena::new(bench.hw.ram());
    let data = arena.pages(&mut bench.hw, PAGES).map_err(failed)?;
    let other = arena.page(&mut bench.hw).map_err(failed)?;
    bench.fill(data, 1);
    bench.fill(other, 2);

    let iommufd = Iommufd::open()?;
    bind(bench, &iommufd)?;
    let function = bench.functions[0].clone();
    let mut on = Opened::new(&mut bench.hw, &mut arena, &function, &iommufd)?;
    identify(bench, &iommufd, &on)?;

    let ioas = iommufd.ioas()?;
    bench.refused(on.device.attach(Id(0x7fff)), libc::ENOENT, "an id that names nothing is not attached to");
    on.device.attach(ioas)?;
    ranges(bench, &iommufd, ioas)?;

    let ring = on.ring();
    iommufd.map(ioas, &bench.hw.memory, ring, RING, Rights::ReadWrite)?;
    iommufd.map(ioas, &bench.hw.memory, (data, PAGES * PAGE), DATA, Rights::ReadWrite)?;
    on.exerciser.start(&mut bench.hw, RING);
    dma(bench, &mut on, data);
    refusals(bench, &iommufd, ioas, data);
    interrupts(bench, &mut on)?;
    read_only(bench, &iommufd, ioas, &mut on, other)?;
    unmapped(bench, &iommufd, ioas, &mut on)?;
    replaced(bench, &iommufd, ioas, &mut on, other)?;
    isolated(bench, &iommufd, &mut arena, &mut on)?;
    pasid(bench, &iommufd, ioas, &on)
}

/// A device may be used once it is bound, and bound once.
fn bind(bench: &mut Bench, iommufd: &Iommufd) -> io::Result<()> {
    let device = Device::open(&bench.functions[0].cdev()?)?;
    bench.refused(device.bar_size(), libc::EINVAL, "a device that is not bound shows no region");
    device.bind(iommufd)?;
    bench.refused(device.bind(iommufd), libc::EINVAL, "a device is bound once");
    bench.equal(&device.bar_size()?, &0x8000, "a bound device has its BAR 0");
    Ok(())
}

/// What the kernel says of the unit is what the unit says of itself.
fn identify(bench: &mut Bench, iommufd: &Iommufd, on: &Opened) -> io::Result<()> {
    let info = iommufd.hw_info(on.id)?;
    let unit = bench.unit;
    bench.equal(&(info.kind, info.len), &(SMMUV3, 40), "GET_HW_INFO tells of an SMMUv3");
    bench.equal(&info.idr, &unit.idr, "GET_HW_INFO has the unit's IDR0 to IDR5");
    bench.equal(&(info.iidr, info.aidr), &(unit.iidr, unit.aidr), "GET_HW_INFO has the unit's IIDR and AIDR");
    let tracks = unit.idr0().httu() == 2;
    bench.equal(&info.tracks_dirty(), &tracks, "GET_HW_INFO offers dirty tracking where IDR0.HTTU does");
    Ok(())
}

fn ranges(bench: &mut Bench, iommufd: &Iommufd, ioas: Id) -> io::Result<()> {
    let ranges = iommufd.iova_ranges(ioas)?;
    let (first, last) = MSI_WINDOW;
    let outside = ranges.iter().all(|range| range.1 < first || last < range.0);
    bench.check(outside, format_args!("the window of message interrupts cannot be mapped"));
    let ends = ranges.first().zip(ranges.last()).map(|(first, last)| (first.0, last.1));
    bench.equal(&ends, &Some((0, (1 << 48) - 1)), "the addresses of a device have 48 bits");
    Ok(())
}

/// DMA both ways, within a page and across pages.
fn dma(bench: &mut Bench, on: &mut Opened, data: u64) {
    bench.device_reads(on, DATA, data, "the device reads what is mapped");
    bench.device_writes(on, DATA + PAGE, data + PAGE, 3, "the device writes what is mapped");
    let copy = Dma::new(Op::Copy { len: 0x1800, to: DATA + 2 * PAGE }, DATA + 0x10);
    let got = bench.dma(on, copy);
    bench.done(got, 0x1800, "the device copies across pages");
    let [from, to] = [data + 0x10, data + 2 * PAGE].map(|first| {
        (first..first + 0x1800).step_by(8).map(|at| bench.hw.mem_read64(at)).collect::<Vec<_>>()
    });
    bench.check(from == to, format_args!("what it copied is the same"));
}

/// What cannot be mapped, and why.
fn refusals(bench: &mut Bench, iommufd: &Iommufd, ioas: Id, data: u64) {
    let rows = [
        (DATA + PAGE, libc::EEXIST, "what is mapped is not mapped over"),
        (MSI_WINDOW.0, libc::EINVAL, "the window of message interrupts is not mapped"),
        (1 << 48, libc::EINVAL, "what the unit cannot translate is not mapped"),
    ];
    for (iova, errno, what) in rows {
        let got = iommufd.map(ioas, &bench.hw.memory, (data, PAGE), iova, Rights::ReadWrite);
        bench.refused(got, errno, what);
    }
}

fn interrupts(bench: &mut Bench, on: &mut Opened) -> io::Result<()> {
    on.connect_vectors(&mut bench.hw)?;
    for vector in [0, 7, 3] {
        let nop = Dma { interrupt: Some(vector), ..Dma::new(Op::Nop, 0) };
        let got = bench.dma(on, nop);
        bench.done(got, 0, "a descriptor asks for an interrupt");
        let taken = next_interrupt(&mut bench.hw);
        bench.equal(&taken, &Some(vector.into()), "its eventfd is signalled");
    }
    let more = interrupt_soon(&mut bench.hw);
    bench.equal(&more, &None, "no other is");
    on.device.clear_vectors()?;
    bench.hw.take_interrupts_from(None);
    Ok(())
}

fn read_only(bench: &mut Bench, iommufd: &Iommufd, ioas: Id, on: &mut Opened, other: u64) -> io::Result<()> {
    iommufd.map(ioas, &bench.hw.memory, (other, PAGE), READ_ONLY, Rights::Read)?;
    bench.device_reads(on, READ_ONLY, other, "the device reads what is mapped for reads");
    let got = bench.dma(on, write(READ_ONLY + 8, 64));
    bench.aborted(got, "it does not write it");
    bench.printed(&Expected {
        what: "F_PERMISSION of the write",
        kind: F_PERMISSION,
        stream: bench.functions[0].stream,
        address: READ_ONLY + 8,
        write: true,
        ipa: bench.ipa_of_plain(READ_ONLY + 8),
    });
    bench.fill(other, 2);
    Ok(())
}

fn unmapped(bench: &mut Bench, iommufd: &Iommufd, ioas: Id, on: &mut Opened) -> io::Result<()> {
    let got = iommufd.unmap(ioas, DATA + PAGE, PAGE);
    bench.refused(got, libc::ENOENT, "a part of a mapping is not unmapped");
    bench.equal(&iommufd.unmap(ioas, DATA, PAGES * PAGE)?, &(PAGES * PAGE), "a mapping is unmapped");
    for (is_write, offset, what) in
        [(false, 0x40, "F_TRANSLATION of a read"), (true, PAGE, "F_TRANSLATION of a write")]
    {
        let address = DATA + offset;
        let dma = if is_write { write(address, 64) } else { read(address, 64) };
        let got = bench.dma(on, dma);
        bench.aborted(got, "what was unmapped is out of reach, though the unit held it");
        let (stream, ipa) = (bench.functions[0].stream, bench.ipa_of_plain(address));
        bench.printed(&Expected { what, kind: F_TRANSLATION, stream, address, write: is_write, ipa });
    }
    bench.refused(
        iommufd.unmap(ioas, DATA, PAGES * PAGE),
        libc::ENOENT,
        "what is not mapped is not unmapped",
    );
    Ok(())
}

/// Other tables in place of the present ones, without a moment in between, and none at all.
fn replaced(bench: &mut Bench, iommufd: &Iommufd, ioas: Id, on: &mut Opened, other: u64) -> io::Result<()> {
    let second = iommufd.ioas()?;
    iommufd.map(second, &bench.hw.memory, on.ring(), RING, Rights::ReadWrite)?;
    iommufd.map(second, &bench.hw.memory, (other, PAGE), DATA, Rights::ReadWrite)?;
    let hwpt = iommufd.hwpt(on.id, second, Purpose::Plain)?;
    on.device.attach(hwpt)?;
    bench.device_reads(on, DATA, other, "tables are replaced under the device");
    let got = bench.dma(on, read(READ_ONLY, 64));
    bench.aborted(got, "it reaches nothing through the old ones");
    bench.printed(&Expected {
        what: "F_TRANSLATION of what the old tables mapped",
        kind: F_TRANSLATION,
        stream: bench.functions[0].stream,
        address: READ_ONLY,
        write: false,
        ipa: bench.ipa_of_plain(READ_ONLY),
    });
    bench.refused(iommufd.destroy(second), libc::EBUSY, "an address space with tables is not destroyed");
    on.device.attach(ioas)?;
    iommufd.destroy(hwpt)?;
    iommufd.destroy(second)?;

    on.device.detach()?;
    let got = bench.dma(on, Dma::new(Op::Nop, 0)).map(drop);
    bench.equal(&got, &Err(guests::error::Error::RingFault), "a detached device reaches not even its ring");
    bench.nothing_printed("its DMA is aborted without an event");
    on.device.attach(ioas)?;
    on.exerciser.restart(&mut bench.hw);
    bench.device_reads(on, READ_ONLY, other, "an address space outlives its devices");
    Ok(())
}

/// Two functions at once: each has what is its own, if the hardware keeps them apart.
fn isolated(bench: &mut Bench, iommufd: &Iommufd, arena: &mut Arena, on: &mut Opened) -> io::Result<()> {
    let group = bench.functions[0].group;
    let mate = bench.functions.iter().skip(1).find(|function| function.group == group).cloned();
    let stranger = bench.functions.iter().find(|function| function.group != group).cloned();
    let page = arena.page(&mut bench.hw).map_err(failed)?;
    bench.fill(page, 5);
    let ioas = iommufd.ioas()?;
    if let Some(mate) = mate {
        let mate = Opened::new(&mut bench.hw, arena, &mate, iommufd)?;
        bench.refused(mate.device.attach(ioas), libc::EINVAL, "functions of a group share an address space");
    } else {
        bench.skip("functions of a group share an address space", "every function has a group of its own");
    }
    let Some(stranger) = stranger else {
        bench.skip("functions of two groups have two address spaces", "there is one group");
        return Ok(());
    };
    let mut stranger = Opened::new(&mut bench.hw, arena, &stranger, iommufd)?;
    stranger.device.attach(ioas)?;
    iommufd.map(ioas, &bench.hw.memory, stranger.ring(), RING, Rights::ReadWrite)?;
    iommufd.map(ioas, &bench.hw.memory, (page, PAGE), READ_ONLY, Rights::ReadWrite)?;
    stranger.exerciser.start(&mut bench.hw, RING);
    bench.device_writes(
        &mut stranger,
        READ_ONLY,
        page,
        6,
        "a function of another group writes its own memory",
    );
    let got = bench.dma(on, read(READ_ONLY, PAGE as u32));
    bench.done(got, PAGE as u32, "the first function reads the same address");
    let mut arrived = vec![0; PAGE as usize / 4];
    on.exerciser.read_buffer(&mut bench.hw, 0, &mut arrived);
    bench.check(arrived == super::pattern(2), format_args!("and finds what is its own"));
    Ok(())
}

fn pasid(bench: &mut Bench, iommufd: &Iommufd, ioas: Id, on: &Opened) -> io::Result<()> {
    let bits = iommufd.hw_info(on.id)?.pasid_bits;
    bench.equal(&bits, &0, "GET_HW_INFO offers no PASIDs to a function without the capability");
    bench.refused(on.device.attach_pasid(ioas, 1), libc::EINVAL, "nothing is attached to its PASIDs");
    Ok(())
}
