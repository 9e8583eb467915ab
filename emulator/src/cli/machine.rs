//! Options that describe a machine.

use clap::Args;
use emulator::config::{DeviceSpec, IommuSpec, MachineConfig, MachineSpec, MemorySize};

/// The machine that a guest or a script gets.
#[derive(Debug, Args)]
pub struct MachineArgs {
    /// Board and its options, such as q35,ioapic-verify=off
    ///
    /// Boards: q35, a PC; virt, for AArch64, which qtest drives. virt,cpus=1..8 is the number of
    /// processors that its interrupt controller serves. On a q35, ioapic-source=BB:DD.F is the requester id of the I/O APIC's messages, ff:00.0 unless
    /// told otherwise; the DMAR table says which. ioapic-verify=off makes interrupt remapping take the I/O APIC's messages whatever
    /// source id their entries want: some guests write another one.
    #[arg(long, default_value = "q35", value_name = "NAME[,KEY=VALUE…]")]
    machine: MachineSpec,
    /// IOMMU and its options, such as vtd-legacy,cache=tiny (may be repeated)
    ///
    /// Presets of a q35: vtd-legacy, vtd-legacy-cm. Options: aw-bits=39|48|57,
    /// cache=retain|tiny|adversarial|off; and, each on or off, abort-dma, caching-mode,
    /// compress-faults, interrupt-set-invalidates, intremap, protected-regions, root-set-invalidates,
    /// write-buffer-flush. Without this option DMA uses physical addresses.
    ///
    /// Presets of a virt: smmuv3.0-s1, smmuv3.1-s2, smmuv3.2-nested, smmuv3.3-full. Options: cache=, as
    /// above; streams=0x10000, the StreamID of requester id 00:00.0, where the others follow; and fields
    /// of the ID registers, such as stage=1|2|nested, oas=48, granules=4k+64k, sidsize=20, stall=on|off.
    ///
    /// A machine has up to 8 units, which take devices=00:02.0+00:03.0, the functions of bus 00 behind
    /// them, a root port with all behind it. The last may do without: it takes all that is left. On a
    /// q35 the I/O APIC is behind the last; base=0xfed91000 is where the registers are, and the units
    /// follow each other from 0xfed90000 on; rmrr=0x7f000000-0x7fffffff@00:02.0 reserves memory for a
    /// device, and says so in the DMAR table.
    #[arg(long, value_name = "PRESET[,KEY=VALUE…]")]
    iommu: Vec<IommuSpec>,
    /// Fail if a cached translation, paging structure, context entry or interrupt entry is used that
    /// memory no longer bears out, and name the invalidation that was missing
    #[arg(long, requires = "iommu")]
    sanitize: bool,
    /// Device, such as exerciser,functions=2 (may be repeated)
    ///
    /// edu (dma-mask=MASK), exerciser (functions=1..8, latency=NS), iommu-testdev, root-port (id=NAME), and
    /// nvme (file=PATH with readonly=on or snapshot=on, or size=64M for a disk in memory; latency=NS).
    /// All take addr=DD.F; all but root-port take bus=NAME, the name of a root port. On a virt,
    /// exerciser,bus=platform,stream=ID (can-stall=on|off, ssid-bits=0..20, iommu=INDEX) is no PCI function.
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
        let Self { machine, iommu, sanitize, devices, memory, seed } = self;
        let mut iommus = iommu.clone();
        for iommu in &mut iommus {
            iommu.set_sanitize(*sanitize);
        }
        MachineConfig { machine: *machine, iommus, memory: *memory, devices: devices.clone(), seed: *seed }
    }
}
