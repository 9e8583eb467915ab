//! Options that describe a machine.

use clap::Args;
use emulator::config::{DeviceSpec, IommuSpec, MachineConfig, MachineKind, MemorySize};

/// The machine that a guest or a script gets.
#[derive(Debug, Args)]
pub struct MachineArgs {
    /// Board: q35
    #[arg(long, default_value = "q35", value_name = "NAME")]
    machine: MachineKind,
    /// IOMMU and its options, such as vtd-legacy,cache=tiny
    ///
    /// Options: aw-bits=39|48|57, cache=retain|tiny|adversarial|off, compress-faults=on|off,
    /// intremap=on|off. Without this option DMA uses
    /// physical addresses.
    #[arg(long, value_name = "PRESET[,KEY=VALUE…]")]
    iommu: Option<IommuSpec>,
    /// PCI device, such as exerciser,functions=2 (may be repeated)
    ///
    /// edu (dma-mask=MASK), exerciser (functions=1..8, latency=NS), iommu-testdev, root-port (id=NAME).
    /// All take addr=DD.F; all but root-port take bus=NAME, the name of a root port.
    #[arg(long = "device", value_name = "NAME[,KEY=VALUE…]")]
    devices: Vec<DeviceSpec>,
    /// Size of RAM
    #[arg(long, default_value_t, value_name = "SIZE")]
    memory: MemorySize,
    /// Seed of everything random in the machine
    #[arg(long, default_value_t, value_name = "NUMBER")]
    seed: u64,
}

impl MachineArgs {
    /// What they describe.
    pub fn config(&self) -> MachineConfig {
        let Self { machine, iommu, devices, memory, seed } = self;
        MachineConfig {
            machine: *machine,
            iommu: iommu.clone(),
            memory: *memory,
            devices: devices.clone(),
            seed: *seed,
        }
    }
}
