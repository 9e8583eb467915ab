//! Machines that tests describe.

use super::*;

/// The machine `virt` of QEMU 11 with a GICv3 and an SMMU in front of PCI, 2 CPUs and 1 GiB of RAM.
pub(crate) fn virt() -> Description {
    Description {
        cpus: vec![0, 1],
        ram: vec![0x4000_0000..=0x7fff_ffff],
        gic: Gic {
            distributor: 0x0800_0000,
            redistributors: 0x080a_0000..=0x08ff_ffff,
            its: Some(0x0808_0000),
        },
        uart: Peripheral { base: 0x0900_0000, spi: 1 },
        other_uarts: vec![],
        apb_clock: 24_000_000,
        rtc: Some(Peripheral { base: 0x0901_0000, spi: 2 }),
        pci: PciHost {
            ecam: 0x40_1000_0000,
            last_bus: 255,
            memory: vec![0x1000_0000..=0x3efe_ffff, 0x80_0000_0000..=0xff_ffff_ffff],
            io: Some(0x3eff_0000..=0x3eff_ffff),
            intx: [3, 4, 5, 6],
            coherent: true,
            ats: false,
            pri: false,
            pasid_bits: 0,
            streams: vec![PciStreams { requesters: 0..=0xffff, smmu: 0, stream: 0 }],
        },
        smmus: vec![Smmu {
            base: 0x0905_0000,
            interrupts: wired(74),
            coherent: true,
            httu: 0,
            msi_device: None,
        }],
        devices: vec![],
        reserved: vec![],
        chosen: Chosen::default(),
    }
}

fn wired(first: u32) -> SmmuInterrupts {
    SmmuInterrupts {
        event: Some(first),
        pri: Some(first + 1),
        sync: Some(first + 2),
        gerror: Some(first + 3),
    }
}

/// A second UART, three SMMUs (wired; with messages; without PRI) that share PCI with holes, platform devices of all
/// sorts, reserved memory, a RAM disk.
pub(crate) fn rich() -> Description {
    let mut machine = virt();
    machine.cpus = vec![0x1_0000_0000, 0x1_0000_0001, 0x1_0000_0100];
    machine.ram.push(0x1_0000_0000..=0x1_3fff_ffff);
    machine.other_uarts = vec![Peripheral { base: 0x0904_0000, spi: 8 }];
    machine.pci.ats = true;
    machine.pci.pri = true;
    machine.pci.pasid_bits = 20;
    machine.pci.streams = vec![
        PciStreams { requesters: 0x0008..=0x00ff, smmu: 0, stream: 0x1008 },
        PciStreams { requesters: 0x0100..=0x01ff, smmu: 1, stream: 0 },
        PciStreams { requesters: 0x8000..=0xffff, smmu: 1, stream: 0x8000 },
    ];
    let gerror_and_event = SmmuInterrupts { event: Some(80), gerror: Some(81), ..Default::default() };
    machine.smmus.push(Smmu {
        base: 0x0907_0000,
        interrupts: SmmuInterrupts::default(),
        coherent: false,
        httu: 2,
        msi_device: Some(0x1_0000),
    });
    machine.smmus.push(Smmu {
        base: 0x0909_0000,
        interrupts: gerror_and_event,
        coherent: true,
        httu: 1,
        msi_device: None,
    });
    let master = |smmu, streams: &[u32], substream_bits, can_stall| {
        Some(PlatformMaster { smmu, streams: streams.to_vec(), substream_bits, can_stall })
    };
    let spi = |number, trigger| Spi { number, trigger };
    machine.devices = vec![
        PlatformDevice {
            name: "dma-controller".into(),
            compatible: vec!["iommulator,exerciser-2".into(), "iommulator,exerciser".into()],
            registers: 0x0c00_0000..=0x0c00_ffff,
            interrupts: vec![spi(112, Trigger::Level), spi(113, Trigger::Edge)],
            coherent: true,
            master: master(2, &[7, 0xffff_ffff], 8, true),
            msi_device: Some(0x1_0001),
        },
        PlatformDevice {
            name: "dma".into(),
            compatible: vec!["iommulator,plain".into()],
            registers: 0x0c01_0000..=0x0c01_0fff,
            interrupts: vec![],
            coherent: false,
            master: None,
            msi_device: Some(0x1_0002),
        },
        PlatformDevice {
            name: "gpu".into(),
            compatible: vec!["iommulator,gpu".into()],
            registers: 0x0c02_0000..=0x0c02_0fff,
            interrupts: vec![],
            coherent: false,
            master: master(0, &[1], 0, false),
            msi_device: None,
        },
    ];
    machine.reserved = vec![
        Reserved {
            range: 0x7f00_0000..=0x7f0f_ffff,
            masters: vec![Master::Pci { device: 1, function: 0 }, Master::Platform(0)],
        },
        Reserved {
            range: 0x0800_0000..=0x080f_ffff,
            masters: vec![Master::Pci { device: 2, function: 3 }, Master::Pci { device: 1, function: 0 }],
        },
    ];
    machine.chosen = Chosen {
        command_line: "console=ttyAMA0 \"quoted\"".into(),
        initrd: Some(0x4800_0000..=0x480f_fffe),
        seed: Some(std::array::from_fn(|index| 0x10 + index as u8)),
    };
    machine
}
