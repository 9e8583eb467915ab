mod dtc;
mod nodes;

use super::*;
use crate::arm::samples::{rich, virt};
use crate::arm::{DescriptionError, PlatformDevice};

#[test]
fn the_header_is_that_of_version_17() {
    let blob = build(&virt()).unwrap();
    let field = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap());
    assert_eq!(field(0), 0xd00d_feed);
    assert_eq!(field(4) as usize, blob.len());
    assert_eq!((field(20), field(24)), (17, 16));
    assert_eq!(field(28), 0, "the boot CPU is that of reg 0");
    let reservations = field(16) as usize;
    assert_eq!(blob[reservations..reservations + 16], [0; 16]);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let mut machine = virt();
    machine.cpus.clear();
    assert_eq!(build(&machine), Err(FdtError::Description(DescriptionError::None("CPU"))));
}

#[test]
fn a_blob_that_no_kernel_takes_is_refused() {
    let mut machine = virt();
    let device = |index: u64| PlatformDevice {
        name: "dma".into(),
        compatible: vec!["a".repeat(124); 8],
        registers: 0xc00_0000 + (index << 12)..=0xc00_0fff + (index << 12),
        interrupts: vec![],
        coherent: false,
        master: None,
        msi_device: None,
    };
    machine.devices = (0..1900).map(device).collect();
    assert!(build(&machine).is_ok());
    machine.devices.extend((1900..2100).map(device));
    assert!(matches!(build(&machine), Err(FdtError::TooLarge { size: 0x20_0001.., max: 0x20_0000 })));
}
