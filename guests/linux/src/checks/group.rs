//! The interface of old: a container with a group, and maps of type 1.

use std::io;

use guests::arena::Arena;
use guests::hw::Hw;

use super::opened::{Opened, failed};
use super::{Bench, Expected, F_TRANSLATION, PAGE, read};
use crate::iommufd::Id;
use crate::vfio::Container;

const RING: u64 = 0x20_0000;
const DATA: u64 = 0x9_8765_4000;

pub(super) fn run(bench: &mut Bench) -> io::Result<()> {
    let mut arena = Arena::new(bench.hw.ram());
    let data = arena.pages(&mut bench.hw, 2).map_err(failed)?;
    bench.fill(data, 7);
    let function = bench.functions[0].clone();
    let container = Container::open(function.group)?;
    let device = container.device(&function.name)?;
    // Where there is no iommufd, there are no ids.
    let mut on = Opened::enable(&mut bench.hw, &mut arena, device, Id(0))?;

    container.map(&bench.hw.memory, on.ring(), RING)?;
    container.map(&bench.hw.memory, (data, 2 * PAGE), DATA)?;
    on.exerciser.start(&mut bench.hw, RING);
    bench.device_reads(&mut on, DATA, data, "the device of a group reads what is mapped");
    bench.device_writes(&mut on, DATA + PAGE, data + PAGE, 8, "it writes what is mapped");
    let got = container.map(&bench.hw.memory, (data, PAGE), DATA + PAGE);
    bench.refused(got, libc::EEXIST, "what is mapped is not mapped over");
    bench.equal(&container.unmap(DATA, 2 * PAGE)?, &(2 * PAGE), "a mapping is unmapped");
    bench.equal(&container.unmap(DATA, 2 * PAGE)?, &0, "where nothing is mapped, nothing is unmapped");
    let got = bench.dma(&mut on, read(DATA + 0x80, 64));
    bench.aborted(got, "what was unmapped is out of reach");
    bench.printed(&Expected {
        what: "F_TRANSLATION of what was unmapped",
        kind: F_TRANSLATION,
        stream: function.stream,
        address: DATA + 0x80,
        write: false,
        ipa: bench.ipa_of_plain(DATA + 0x80),
    });
    bench.refused(container.leave(), libc::EBUSY, "a group with an open device stays in its container");
    drop(on);
    bench.hw.drop_windows();
    container.leave()
}
