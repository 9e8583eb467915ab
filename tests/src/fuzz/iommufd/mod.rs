//! The in-process iommufd: two processes that open it, and do anything that a process can do with it.
//!
//! Rules that hold whatever they do:
//! - Nothing panics, and everything returns.
//! - When the last process has ended nothing is pinned, charged or held, and no context is left.
//! - The same is so of pins and charges, when there is no access, device, HWPT or queue any more, whatever is
//!   mapped. The input's first byte says whether it ends so.
//! - Ids are bounded by the number of objects ever made.
//! - What was mapped and not unmapped is there, nothing is mapped over it, and unmapping gives back at least
//!   its bytes.
//! - What was just mapped is what its maker has at that address, to the byte and to the frame.
//! - Where an access says that pages are, every domain of the IOAS leads.
//! - Wakers are called without locks.
//!
//! A step of the library may be made fail at any time; what may have become unknown by that is not asserted.

mod call;
mod check;
mod draw;
mod ioctls;
mod known;
mod ops;
mod system;
mod vfio;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::record::{Input, Record};
use call::{Call, Passing};
use draw::Draw;
use world::World;

pub use world::Report;

/// What follows the ioctls and the operations of the self-tests among the kinds of records.
const SYSTEM: u8 = ioctls::COUNT + ops::COUNT;

/// Runs `data` on a host of its own.
///
/// # Panics
/// If what the module says does not hold.
pub fn iommufd(data: &[u8]) {
    run(&Input::parse(data), &mut None);
}

/// What `data` does, as far as it comes.
pub fn report(data: &[u8]) -> Report {
    let mut report = Some(Report::default());
    let input = Input::parse(data);
    // The report is all that is looked at then.
    let _ = catch_unwind(AssertUnwindSafe(|| run(&input, &mut report)));
    report.unwrap_or_default()
}

fn run(input: &Input, report: &mut Option<Report>) {
    let mut session = Session { world: World::new(input.config, report.is_some()), report };
    let world = &mut session.world;
    if input.config & 1 != 0 {
        for place in (0..2).rev().filter(|place| world.actors[*place].is_some()).collect::<Vec<_>>() {
            prepare(world, place);
        }
    }
    for record in &input.records {
        step(world, *record);
    }
    check::all(world);
    if input.config & 0x20 != 0 {
        world.unwind();
    }
    world.end();
}

/// Gives the report back, also where something went wrong.
struct Session<'a> {
    world: World,
    report: &'a mut Option<Report>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        *self.report = self.world.report.take();
        iommufd::fault_point::arm(0);
    }
}

/// Lets a process make an IOAS with a mapping, a device with PASIDs, a HWPT that tracks dirty pages, a parent
/// for nesting with a vIOMMU on it, a fault queue and an access.
fn prepare(world: &mut World, place: usize) {
    let of = |kind: u8, bits: u64| {
        let kind = kind | (place as u8) << 6;
        Record { kind, place: bits as u8, shape: (bits >> 8) as u16, value: bits >> 24 }
    };
    let steps = [
        // IOAS_ALLOC, MOCK_DOMAIN_FLAGS, IOAS_MAP of 8 pages, HWPT_ALLOC of both, VIOMMU_ALLOC,
        // VDEVICE_ALLOC, FAULT_QUEUE_ALLOC, CREATE_ACCESS.
        of(1, 0),
        of(ioctls::COUNT + 2, 0),
        of(5, 7 << 25),
        of(10, 10 << 14),
        of(10, 1 << 14),
        of(16, 0),
        of(17, 0),
        of(15, 0),
        of(ioctls::COUNT + 6, 0),
    ];
    for record in steps {
        step(world, record);
    }
}

fn step(world: &mut World, record: Record) {
    world.turn_to(usize::from(record.kind >> 6 & 1));
    let mut draw = Draw::new(record);
    let passing = if record.kind >> 7 == 1 { Passing::hostile(&mut draw) } else { Passing::Plain };
    let kind = record.kind & 0x3f;
    world.kind = kind;
    let (fd, context) = if kind < SYSTEM + 5 { world.iommufd(&mut draw) } else { (-1, 0) };
    let mut call = Call { world, draw, fd, context, passing };
    if kind < ioctls::COUNT {
        return call.iommufd(kind);
    }
    if kind < SYSTEM {
        return call.operation(kind - ioctls::COUNT);
    }
    match kind - SYSTEM {
        0 => call.vfio_value(),
        1 => call.vfio_map(),
        2 => call.vfio_unmap(),
        3 => call.vfio_info(),
        4 => call.raw(),
        5 => {
            (call.fd, call.context) = call.world.iommufd(&mut call.draw);
            call.mmap();
        }
        6 => call.close(),
        7 => call.read(),
        8 => call.write(),
        9 => call.poll(),
        10 => call.munmap(),
        11 => call.remap(),
        12 => call.memfd(),
        13 => call.scatter(),
        14 => call.world.open(),
        15 => call.world.fork(),
        16 => call.world.exit(),
        17 => call.world.armed = call.draw.bits(5) as u32 + 1,
        18 => check::all(call.world),
        _ => call.vfio_dirty(),
    }
}
