//! Requests from outside, and the trace of accesses to BARs.

use crate::addr::SourceId;
use crate::events::DeviceId;
use crate::fabric::{Abort, Outcome, Request};
use crate::pci::testing::{PLAIN, Poke, RAM, Rig};
use crate::trace::TraceEvent;

#[test]
fn a_function_masters_the_bus_on_demand_but_not_without_leave() {
    let mut rig = Rig::new();
    let source = rig.add(3, 0, Poke::boxed(&PLAIN));
    let id = DeviceId(0);
    assert_eq!(rig.host.is_master(id), Some(false));
    let ur = Outcome::Abort(Abort::Ur);
    let refused = rig.host.dma_write(id, Request::at(0x1000), &[7; 4], &mut rig.fx).unwrap();
    assert_eq!((refused.done, refused.outcome), (0, ur));
    assert_eq!(rig.ram(0x1000, 4), [0; 4]);
    // Bus Master Enable.
    rig.config16(source, 4, 4);
    assert_eq!(rig.host.is_master(id), Some(true));
    let written = rig.host.dma_write(id, Request::at(0x1000), &[7; 4], &mut rig.fx).unwrap();
    assert_eq!((written.done, written.outcome), (4, Outcome::Done));
    let mut data = [0; 4];
    let read = rig.host.dma_read(id, Request::at(0x1000), &mut data, &mut rig.fx).unwrap();
    assert_eq!((read.outcome, data), (Outcome::Done, [7; 4]));
    assert_eq!(rig.read_config16(source, 6) >> 13 & 1, 0);
    assert_eq!(rig.host.dma_read(id, Request::at(RAM), &mut data, &mut rig.fx).unwrap().outcome, ur);
    assert_eq!(rig.read_config16(source, 6) >> 13 & 1, 1, "Received Master Abort");
    assert_eq!(rig.host.dma_read(DeviceId(9), Request::at(0), &mut data, &mut rig.fx), None);
    assert_eq!(rig.host.is_master(DeviceId(9)), None);
}

#[test]
fn accesses_to_bars_are_traced_before_what_they_set_off() {
    let mut rig = Rig::new();
    let source = rig.add(3, 0, Poke::boxed(&PLAIN));
    rig.config32(source, 0x10, 0xc000_0000);
    // Memory Space and Bus Master Enable.
    rig.config16(source, 4, 6);
    rig.fx.take_trace();
    rig.write32(0xc000_0008, 0x1000);
    rig.read32(0xc000_0010);
    let [write, dma, read] = rig.fx.take_trace().try_into().unwrap();
    let access = |offset, value, write| TraceEvent::Bar {
        source: SourceId(0x18),
        model: "poke",
        bar: 0,
        offset,
        len: 4,
        value,
        write,
    };
    assert_eq!(write, access(8, 0x1000, true));
    assert!(matches!(dma, TraceEvent::Dma { .. }));
    assert_eq!(read, access(0x10, 0, false));
    assert_eq!(write.to_string(), "00:03.0 poke: write 4 bytes of BAR 0 at 0x8: 0x1000");
}
