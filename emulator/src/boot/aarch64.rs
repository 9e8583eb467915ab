//! Starting a guest on the board `virt`: device tree or ACPI tables, and image.

use firmware::aarch64::{self, Aarch64Config, Aarch64Error, Aarch64State, Tables};
use firmware::arm::{Chosen, Description, Gic, PciHost, PciStreams, Peripheral, Smmu, SmmuInterrupts};
use firmware::fdt::{self, FdtError};
use thiserror::Error;

use crate::config::{
    ConfigError, DeviceKind, IommuSpec, MachineConfig, MachineSpec, SlotAddress, UnitLayout, VirtSpec, place,
};
use crate::machine::Machine;
use crate::machine::layout::virt as layout;
use crate::soft::psci;

/// Rate of the PL011's clock, in Hz.
const APB_CLOCK: u32 = 24_000_000;

/// The guest cannot be started.
#[derive(Debug, Error)]
pub enum StartAarch64Error {
    /// The machine has another architecture.
    #[error("the board {0} is not for AArch64 guests; use --machine virt")]
    Board(&'static str),
    /// The machine contradicts itself; one that was made from its description does not.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The machine cannot be described.
    #[error(transparent)]
    Tree(#[from] FdtError),
    /// The image cannot be loaded, or the machine not be described by ACPI tables.
    #[error(transparent)]
    Image(#[from] Aarch64Error),
}

/// How a guest learns of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firmware {
    /// By a device tree.
    #[default]
    Tree,
    /// By ACPI tables, which it finds as UEFI leaves them: see [`firmware::efi`].
    Acpi,
}

/// A guest to start.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// An ELF64 executable or a Linux image; it may be compressed: see [`aarch64`].
    pub image: &'a [u8],
    /// Words for the guest.
    pub command_line: &'a str,
    /// An initial RAM disk.
    pub initrd: Option<&'a [u8]>,
    /// How it learns of the machine.
    pub firmware: Firmware,
}

/// Loads the guest and the device tree or tables of `machine`, which has its resources assigned.
///
/// # Errors
/// [`StartAarch64Error`] says what is wrong with the guest or the machine.
pub fn start(machine: &Machine, guest: Guest<'_>) -> Result<Aarch64State, StartAarch64Error> {
    let Guest { image, command_line, initrd, firmware } = guest;
    let memory = machine.memory();
    let place = |disk: &[u8]| aarch64::place_initrd(memory, disk.len() as u64);
    let range = initrd.map(place).transpose()?;
    let mut description = describe(machine, command_line)?;
    description.chosen.initrd = range.clone();
    let initrd = range.map(|range| *range.start()).zip(initrd);
    let tree = match firmware {
        Firmware::Tree => Some(fdt::build(&description)?),
        Firmware::Acpi => None,
    };
    let tables = tree.as_deref().map_or(Tables::Acpi(&description), Tables::Tree);
    Ok(aarch64::load(memory, &Aarch64Config { image, tables, initrd })?)
}

/// The machine as a guest is told of it.
fn describe(machine: &Machine, command_line: &str) -> Result<Description, StartAarch64Error> {
    let config = machine.config();
    let MachineSpec::Virt(VirtSpec { cpus }) = config.machine else {
        return Err(StartAarch64Error::Board(config.machine.name()));
    };
    let redistributors = u64::from(cpus) * devices::gic::REDISTRIBUTOR_SIZE;
    Ok(Description {
        cpus: (0..usize::from(cpus)).map(psci::affinity).collect(),
        ram: layout::ram(config.memory.bytes())
            .into_iter()
            .map(|(start, bytes)| start.0..=start.0 + (bytes - 1))
            .collect(),
        gic: Gic {
            distributor: layout::GICD_BASE,
            redistributors: layout::GICR_BASE..=layout::GICR_BASE + (redistributors - 1),
            its: Some(layout::ITS_BASE),
        },
        uart: Peripheral { base: layout::UART_BASE, spi: layout::UART_LINE },
        other_uarts: vec![Peripheral { base: layout::AUXILIARY_UART_BASE, spi: layout::AUXILIARY_UART_LINE }],
        apb_clock: APB_CLOCK,
        rtc: Some(Peripheral { base: layout::RTC_BASE, spi: layout::RTC_LINE }),
        pci: PciHost {
            ecam: layout::ECAM_BASE,
            last_bus: ((layout::ECAM_SIZE >> 20) - 1) as u8,
            memory: vec![layout::PCI_WINDOW, layout::PCI_HIGH_WINDOW],
            io: None,
            intx: [0, 1, 2, 3].map(|pin| layout::PCI_FIRST_LINE + pin),
            coherent: true,
            ats: false,
            pri: false,
            pasid_bits: 0,
            streams: streams(config)?,
        },
        smmus: (0..).zip(&config.iommus).filter_map(smmu).collect(),
        devices: machine.platform_devices(),
        reserved: Vec::new(),
        chosen: Chosen {
            command_line: command_line.to_owned(),
            initrd: None,
            seed: Some(random_bytes(config.seed)),
        },
    })
}

/// What is random for a guest: the same for each run of a machine with this seed (SplitMix64).
fn random_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut state = seed;
    for word in bytes.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word.copy_from_slice(&(mixed ^ mixed >> 31).to_le_bytes());
    }
    bytes
}

/// The unit with this index, if it is an SMMU.
fn smmu((index, iommu): (u32, &IommuSpec)) -> Option<Smmu> {
    let capabilities = &iommu.smmuv3()?.config.idr0;
    let wires = layout::smmu_lines(index);
    Some(Smmu {
        base: layout::smmu_base(index.into()),
        interrupts: SmmuInterrupts {
            event: Some(wires.eventq),
            pri: Some(wires.priq),
            sync: Some(wires.cmd_sync),
            gerror: Some(wires.gerror),
        },
        coherent: capabilities.cohacc(),
        httu: capabilities.httu(),
        msi_device: capabilities.msi().then_some(layout::UNITS_DEVICE_ID + index),
    })
}

/// Which requester ids are behind which SMMU, as runs.
fn streams(config: &MachineConfig) -> Result<Vec<PciStreams>, ConfigError> {
    let placed = place(&config.devices)?;
    let units = UnitLayout::new(&config.iommus, &placed, &config.devices)?;
    // Buses behind root ports are numbered from 1 on, in the order in which the ports were asked for.
    let port = |kind: &DeviceKind| matches!(kind, DeviceKind::RootPort { .. });
    let ports: Vec<SlotAddress> =
        placed.iter().filter(|placed| port(&placed.spec.kind)).map(|placed| placed.address).collect();
    let nowhere = SlotAddress { device: 0, function: 0 };
    let owner = |requester: u16| {
        // Devices have 5 bits, functions 3.
        let at = SlotAddress { device: (requester >> 3 & 0x1f) as u8, function: (requester & 7) as u8 };
        match usize::from(requester >> 8).checked_sub(1) {
            None => units.owner(None, at),
            // What no port leads to is nobody's, and as the host bridge.
            Some(bus) => units.owner(None, ports.get(bus).copied().unwrap_or(nowhere)),
        }
    };
    let mut streams: Vec<PciStreams> = Vec::new();
    for requester in 0..=u16::MAX {
        let Some(unit) = owner(requester) else { continue };
        let Some(spec) = config.iommus.get(unit).and_then(IommuSpec::smmuv3) else { continue };
        match streams.last_mut() {
            Some(run) if run.smmu == unit && run.requesters.end().checked_add(1) == Some(requester) => {
                run.requesters = *run.requesters.start()..=requester;
            }
            _ => streams.push(PciStreams {
                requesters: requester..=requester,
                smmu: unit,
                stream: spec.streams.0 | u32::from(requester),
            }),
        }
    }
    Ok(streams)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use vm_memory::{Bytes, GuestAddress};

    use super::*;

    fn machine(iommus: &[&str], devices: &[&str]) -> MachineConfig {
        MachineConfig {
            machine: "virt,cpus=2".parse().unwrap(),
            iommus: iommus.iter().map(|spec| spec.parse().unwrap()).collect(),
            devices: devices.iter().map(|spec| spec.parse().unwrap()).collect(),
            memory: "64M".parse().unwrap(),
            ..MachineConfig::default()
        }
    }

    #[test]
    fn requester_ids_are_mapped_as_the_units_take_them() {
        let ports = ["root-port,id=a,addr=2", "root-port,id=b,addr=1", "edu,addr=3", "edu,bus=a"];
        // (units, runs of first and last requester id, unit, StreamID)
        type Row<'a> = (&'a [&'a str], &'a [(u16, u16, usize, u32)]);
        let rows: [Row<'_>; 4] = [
            (&[], &[]),
            (&["smmuv3.2-nested"], &[(0, 0xffff, 0, 0)]),
            // 00:02.0 has bus 1 behind it.
            (
                &["smmuv3.2-nested,devices=00:02.0,streams=0x20000"],
                &[(0x10, 0x10, 0, 0x2_0010), (0x100, 0x1ff, 0, 0x2_0100)],
            ),
            (
                &["smmuv3.2-nested,devices=00:03.0", "smmuv3.2-nested"],
                &[(0, 0x17, 1, 0), (0x18, 0x18, 0, 0x18), (0x19, 0xffff, 1, 0x19)],
            ),
        ];
        let mut booted = Machine::new(&machine(&[], &ports)).unwrap();
        booted.assign_resources().unwrap();
        let mut secondary = [0];
        booted.read(0x40_1001_0019, &mut secondary);
        assert_eq!(secondary, [1], "that of 00:02.0");
        for (iommus, runs) in rows {
            let found: Vec<_> = streams(&machine(iommus, &ports))
                .unwrap()
                .into_iter()
                .map(|run| (*run.requesters.start(), *run.requesters.end(), run.smmu, run.stream))
                .collect();
            assert_eq!(found, runs, "{iommus:?}");
        }
    }

    /// The first two numbers of SplitMix64 from seed 0, as its authors' program gives them.
    #[test]
    fn what_is_random_follows_from_the_seed() {
        let bytes = random_bytes(0);
        assert_eq!(bytes[..8], 0xe220_a839_7b1d_cdaf_u64.to_le_bytes());
        assert_eq!(bytes[8..16], 0x6e78_9e6a_a1b9_65f4_u64.to_le_bytes());
        let machine = Machine::new(&MachineConfig { seed: 7, ..machine(&[], &[]) }).unwrap();
        assert_eq!(describe(&machine, "").unwrap().chosen.seed, Some(random_bytes(7)));
        assert_ne!(random_bytes(7), bytes);
    }

    /// Starts a guest and finds UEFI's tables, as well as ACPI's, where [`firmware::efi`] puts them.
    fn start_with_acpi(machine: &Machine) {
        let guest = Guest {
            image: guests::image::CPU_CHECK,
            command_line: "one two",
            initrd: Some(b"disk"),
            firmware: Firmware::Acpi,
        };
        let state = start(machine, guest).unwrap();
        assert_eq!(state.tree, layout::RAM_BASE);
        for (offset, magic) in [(0, b"\xd0\x0d\xfe\xed"), (0x1_0000, b"IBI "), (0x3_0000, b"RSD ")] {
            let mut found = [0; 4];
            machine.memory().read_slice(&mut found, GuestAddress(layout::RAM_BASE + offset)).unwrap();
            assert_eq!(&found, magic, "{offset:#x}");
        }
    }

    #[test]
    fn units_are_described_as_their_registers_tell() {
        for (iommu, coherent, httu, msi) in [
            ("smmuv3.2-nested,httu=off", true, 0, true),
            ("smmuv3.3-full,httu=access,msi=off", true, 1, false),
            ("smmuv3.3-full,httu=dirty", true, 2, true),
            ("smmuv3.2-nested,httu=off,cohacc=off", false, 0, true),
        ] {
            let machine = Machine::new(&machine(&[iommu], &[])).unwrap();
            let unit = &describe(&machine, "").unwrap().smmus[0];
            assert_eq!(
                (unit.coherent, unit.httu, unit.msi_device.is_some()),
                (coherent, httu, msi),
                "{iommu}"
            );
        }
    }

    #[test]
    fn every_machine_of_the_board_can_be_described() {
        for iommus in [&[][..], &["smmuv3.2-nested"], &["smmuv3.2-nested,devices=00:01.0", "smmuv3.2-nested"]]
        {
            let machine = Machine::new(&machine(iommus, &["edu,addr=1"])).unwrap();
            let description = describe(&machine, "one two").unwrap();
            assert_eq!(description.smmus.len(), iommus.len());
            fdt::build(&description).unwrap();
            start_with_acpi(&machine);
        }
        // What is on the platform bus is described too, and the tree takes it.
        let devices = [
            "exerciser,bus=platform,stream=0x10000,can-stall=on,ssid-bits=8",
            "exerciser,bus=platform,stream=0x10001",
        ];
        for iommus in [&[][..], &["smmuv3.2-nested,sidsize=17"]] {
            let machine = Machine::new(&machine(iommus, &devices)).unwrap();
            let description = describe(&machine, "").unwrap();
            assert_eq!(description.devices, machine.platform_devices());
            assert_eq!(description.devices.len(), 2);
            fdt::build(&description).unwrap();
            start_with_acpi(&machine);
        }
        let q35 = Machine::new(&MachineConfig::default()).unwrap();
        assert!(matches!(describe(&q35, ""), Err(StartAarch64Error::Board("q35"))));
    }
}
