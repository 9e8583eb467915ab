//! Saving and restoring a host.

use crate::addr::SourceId;
use crate::edu::{DEFAULT_DMA_MASK, Edu};
use crate::exerciser::Exerciser;
use crate::fabric::Effects;
use crate::pci::testing::Rig;
use crate::pci::{State, StateError};

fn machine() -> Rig {
    let mut rig = Rig::new();
    rig.add(3, 0, Box::new(Edu::new(DEFAULT_DMA_MASK)));
    rig.host.add_root_port("rp0", 4, 0).unwrap();
    rig.add_behind("rp0", 0, Box::new(Exerciser::new(1000)));
    rig
}

#[test]
fn a_restored_host_is_the_one_that_was_saved() {
    let mut rig = machine();
    let (edu, port, below) = (SourceId::new(0, 3, 0), SourceId::new(0, 4, 0), SourceId::new(2, 0, 0));
    rig.host.io_write(0xcf8, &0x8000_2010_u32.to_le_bytes(), &mut rig.fx);
    for (source, offset, value) in [
        (edu, 0x10, 0xe000_0000),
        (edu, 0x04, 6),
        (port, 0x18, 0x0002_0200),
        (port, 0x20, 0xe010_e010),
        (port, 0x04, 6),
        (below, 0x10, 0xe010_0000),
        (below, 0x04, 6),
        (below, 0x40, 0x8000_0000),
    ] {
        rig.config32(source, offset, value);
    }
    rig.write32(0xe000_0060, 1);
    assert_eq!(rig.lines, [(23, true)]);
    rig.write64(0xe010_4000, 0xfee0_0000);
    rig.write32(0xe010_1000, 0x1234_5678);

    let text = serde_json::to_string(&rig.host.save()).unwrap();
    let mut other = machine();
    other.host.restore(serde_json::from_str::<State>(&text).unwrap()).unwrap();
    assert_eq!(other.host.save(), rig.host.save());
    for (address, value) in [(0xe010_4000, 0xfee0_0000), (0xe010_1000, 0x1234_5678), (0xe000_0024, 1)] {
        assert_eq!(other.read32(address), value, "{address:#x}");
    }
    other.write32(0xe000_0064, 1);
    assert_eq!(other.lines, [(23, false)], "the restored host knows that the line is up");
    // The port of the function below follows the restored bus number and command register.
    other.fx.take_trace();
    other.write32(0xe010_0018, 2);
    other.write32(0xe010_0008, 1);
    other.write32(0xe010_001c, 1);
    assert_eq!(other.requesters(), [below]);
}

#[test]
fn states_of_other_machines_are_refused() {
    let saved = machine().host.save();
    let mut smaller = Rig::new();
    assert_eq!(smaller.host.restore(saved.clone()), Err(StateError::Functions { saved: 4, here: 1 }));
    let mut other = Rig::new();
    other.host.add_root_port("rp0", 4, 0).unwrap();
    other.add(3, 0, Box::new(Edu::new(DEFAULT_DMA_MASK)));
    other.add(5, 0, Box::new(Exerciser::new(1000)));
    let expected = StateError::Model { expected: "root-port", found: "edu" };
    assert_eq!(other.host.restore(saved.clone()), Err(expected));
    let mut swapped = Rig::new();
    swapped.add(3, 0, Box::new(Exerciser::new(1000)));
    swapped.host.add_root_port("rp0", 4, 0).unwrap();
    swapped.add(5, 0, Box::new(Exerciser::new(1000)));
    assert!(swapped.host.restore(saved).is_err());
}

#[test]
fn power_on_reset_forgets_everything() {
    let fresh = machine().host.save();
    let mut rig = machine();
    let edu = SourceId::new(0, 3, 0);
    rig.config32(edu, 0x10, 0xe000_0000);
    rig.config32(edu, 0x04, 6);
    rig.write32(0xe000_0008, 5);
    rig.write32(0xe000_0060, 1);
    rig.config32(SourceId::new(0, 4, 0), 0x18, 0x0002_0200);
    rig.config32(SourceId::new(2, 0, 0), 0x10, 0xe010_0000);
    assert_ne!(rig.host.save(), fresh);
    let mut fx = Effects::default();
    rig.host.reset(&mut fx);
    assert_eq!(rig.host.save(), fresh);
    let lowered = crate::fabric::Effect::Line { line: 23, asserted: false };
    assert_eq!(fx.take(), [lowered]);
}
