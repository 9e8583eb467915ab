//! Which pages a device wrote, as the dirty state of its translation tables says [SMMUv3 3.13].

use std::io;

use guests::arena::Arena;
use guests::exerciser::{Dma, Op, Status};
use guests::hw::Hw;

use super::opened::{Opened, failed};
use super::{Bench, PAGE, read, write};
use crate::iommufd::{Iommufd, Purpose, Rights};

const RING: u64 = 0x10_0000;
const DATA: u64 = 0x4000_0000;
const PAGES: u64 = 16;

pub(super) fn run(bench: &mut Bench) -> io::Result<()> {
    let mut arena = Arena::new(bench.hw.ram());
    let data = arena.pages(&mut bench.hw, PAGES).map_err(failed)?;
    let iommufd = Iommufd::open()?;
    let function = bench.functions[0].clone();
    let mut on = Opened::new(&mut bench.hw, &mut arena, &function, &iommufd)?;
    let ioas = iommufd.ioas()?;

    let hwpt = iommufd.hwpt(on.id, ioas, Purpose::DirtyTracking);
    if bench.unit.idr0().httu() != 2 {
        bench.refused(hwpt, libc::EOPNOTSUPP, "tables that track writes are refused");
        bench.skip("pages that the device writes are dirty", "IDR0.HTTU offers no dirty state");
        return Ok(());
    }
    let hwpt = hwpt?;
    iommufd.map(ioas, &bench.hw.memory, on.ring(), RING, Rights::ReadWrite)?;
    iommufd.map(ioas, &bench.hw.memory, (data, PAGES * PAGE), DATA, Rights::ReadWrite)?;
    on.device.attach(hwpt)?;
    on.exerciser.start(&mut bench.hw, RING);
    iommufd.track_dirty(hwpt, true)?;

    let got = |clear| iommufd.dirty(hwpt, DATA, PAGES, clear);
    bench.equal(&got(true)?, &0, "no page is dirty at first");
    let steps: [(&str, &[Dma], u64); 5] = [
        ("reads leave pages clean", &[read(DATA, 0x3000)], 0),
        ("writes make pages dirty", &[write(DATA + PAGE, 8), write(DATA + 5 * PAGE - 4, 8)], 0b11_0010),
        ("a page that was cleared is dirty after the next write", &[write(DATA + 5 * PAGE, 8)], 0b10_0000),
        ("an atomic is a write", &[Dma::new(Op::FetchAdd(1), DATA + 5 * PAGE)], 0b10_0000),
        ("a transfer makes all of its pages dirty", &[write(DATA + 3 * PAGE, 4 * PAGE as u32)], 0b111_1000),
    ];
    for (what, dmas, expected) in steps {
        // Whatever the unit holds of these tables goes with the device.
        on.device.detach()?;
        on.device.attach(hwpt)?;
        for dma in dmas {
            let status = bench.dma(&mut on, *dma).map(|completion| completion.status);
            bench.equal(&status, &Ok(Status::Done), "the DMA is done");
        }
        bench.equal(&got(false)?, &expected, what);
        bench.equal(&got(true)?, &expected, "looking at the bitmap does not clear it");
        bench.equal(&got(true)?, &0, "taking it does");
    }
    let again = bench.dma(&mut on, write(DATA + 5 * PAGE, 8)).map(|completion| completion.status);
    let held = again == Ok(Status::Done) && got(true)? == 0b10_0000;
    bench.check_unless_known(
        held,
        "a page that was cleared is dirty after the next write, though the unit held it",
        "Linux 7.2 gathers what it cleared without a page size, and the driver invalidates nothing then",
    );
    iommufd.track_dirty(hwpt, false)
}
