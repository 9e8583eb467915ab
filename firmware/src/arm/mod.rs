//! An Arm machine as plain values: addresses, interrupt numbers, StreamIDs.
//!
//! [`Description`] is the one source of both its device tree ([`crate::fdt`]) and its ACPI tables
//! ([`crate::acpi`]), so the two cannot tell different stories. Either refuses, with a
//! [`DescriptionError`], what contradicts itself.
//!
//! What is fixed, and therefore has no word here: one PCI segment; at most one ITS; PSCI calls by HVC;
//! a generic timer on the PPIs that [`TimerInterrupts`] names, performance monitors on PPI 7; a PCI function's DeviceID at the ITS is
//! its requester id.

mod check;
mod error;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

pub use error::DescriptionError;

/// First INTID of an SPI: SPI n is INTID, and global interrupt of ACPI, n + 32.
pub(crate) const SPI_BASE: u32 = 32;
/// First INTID of a PPI.
pub(crate) const PPI_BASE: u32 = 16;
/// PPI of a CPU's performance monitors, level-triggered, where Arm's Base System Architecture has it.
pub(crate) const PERFORMANCE_MONITORS: u32 = 7;
/// Bytes of a frame of GIC registers.
pub(crate) const GIC_FRAME: u64 = 0x1_0000;
/// Bytes of an ITS: control and translation frame.
pub(crate) const ITS_SIZE: u64 = 2 * GIC_FRAME;
/// Bytes of a redistributor: RD and SGI frame.
pub(crate) const REDISTRIBUTOR_SIZE: u64 = 2 * GIC_FRAME;
/// Bytes of an SMMU's registers: pages 0 and 1 [SMMUv3 6.1].
pub(crate) const SMMU_SIZE: u64 = 0x2_0000;
/// Bytes of a PrimeCell's registers.
pub(crate) const PERIPHERAL_SIZE: u64 = 0x1000;
/// Bytes of the configuration space of a bus [PCIe 7.2.2].
pub(crate) const BUS_SIZE: u64 = 1 << 20;

/// An Arm machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Affinities of the CPUs as MPIDR_EL1 has them (Aff3 in 39:32, Aff2 to Aff0 in 23:0), the boot
    /// CPU first: 1 to 8.
    pub cpus: Vec<u64>,
    /// RAM, in whole pages of 4 KiB.
    pub ram: Vec<RangeInclusive<u64>>,
    /// The interrupt controller.
    pub gic: Gic,
    /// The PL011 that is the console.
    pub uart: Peripheral,
    /// Further PL011s.
    pub other_uarts: Vec<Peripheral>,
    /// Rate of the UARTs' clock and of the APB, in Hz.
    pub apb_clock: u32,
    /// The PL031. ACPI tables do not tell of it: there the clock is the firmware's.
    pub rtc: Option<Peripheral>,
    /// The PCI Express hierarchy.
    pub pci: PciHost,
    /// The SMMUs.
    pub smmus: Vec<Smmu>,
    /// Devices that are not PCI functions.
    pub devices: Vec<PlatformDevice>,
    /// Memory that bus masters need from the start.
    pub reserved: Vec<Reserved>,
    /// What the boot loader adds. ACPI tables have no place for it.
    pub chosen: Chosen,
}

/// A GICv3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gic {
    /// Physical address of the distributor, 64-KiB aligned.
    pub distributor: u64,
    /// Where the redistributors lie, 128 KiB each, in the order of the CPUs; there may be room for more.
    pub redistributors: RangeInclusive<u64>,
    /// Physical address of the ITS, 64-KiB aligned; without it there are no message interrupts.
    pub its: Option<u64>,
}

/// The PPIs of the generic timer, active high and level-triggered, where Arm's Base System Architecture
/// has them.
pub struct TimerInterrupts;

impl TimerInterrupts {
    /// Secure EL1 physical timer.
    pub const SECURE: u32 = 13;
    /// Non-secure EL1 physical timer.
    pub const NON_SECURE: u32 = 14;
    /// EL1 virtual timer.
    pub const VIRTUAL: u32 = 11;
    /// Non-secure EL2 physical timer.
    pub const HYPERVISOR: u32 = 10;
}

/// A PrimeCell: a page of registers and a level-triggered line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peripheral {
    /// Physical address of its registers, 4-KiB aligned.
    pub base: u64,
    /// SPI, 0 to 987.
    pub spi: u32,
}

/// A PCI Express host bridge and what it decodes, segment 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciHost {
    /// Physical address of the configuration space of bus 0, 1-MiB aligned [PCIe 7.2.2].
    pub ecam: u64,
    /// Last bus number.
    pub last_bus: u8,
    /// Windows for memory BARs, in whole pages of 4 KiB: each wholly below 4 GiB or wholly above. An
    /// address is the same on both sides of the bridge.
    pub memory: Vec<RangeInclusive<u64>>,
    /// Where I/O accesses from port 0 on are made, in whole pages of 4 KiB, at most 64 KiB.
    pub io: Option<RangeInclusive<u64>>,
    /// SPIs of the interrupt pins, level-triggered: pin p (0 is INTA) of device d on bus 0 drives
    /// `intx[(d + p) % 4]`.
    pub intx: [u32; 4],
    /// Whether DMA of PCI functions sees the CPUs' caches.
    pub coherent: bool,
    /// Whether the hierarchy carries address translation requests.
    pub ats: bool,
    /// Whether it carries page requests. Needs `ats`.
    pub pri: bool,
    /// Width of the PASIDs that it carries, 0 (none) to 20.
    pub pasid_bits: u8,
    /// Which functions are behind which SMMU. All others reach memory, and the ITS, directly.
    pub streams: Vec<PciStreams>,
}

/// Requester ids that an SMMU serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciStreams {
    /// The requester ids: bus in 15:8, device in 7:3, function in 2:0.
    pub requesters: RangeInclusive<u16>,
    /// Index of the SMMU in [`Description::smmus`].
    pub smmu: usize,
    /// StreamID of the first; the others follow.
    pub stream: u32,
}

impl PciStreams {
    /// How many there are, 1 to 65536.
    pub(crate) fn count(&self) -> u32 {
        u32::from(*self.requesters.end()) - u32::from(*self.requesters.start()) + 1
    }
}

/// An SMMUv3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smmu {
    /// Physical address of register page 0, 64-KiB aligned [SMMUv3 6.1].
    pub base: u64,
    /// SPIs of its wired interrupts, edge-triggered.
    pub interrupts: SmmuInterrupts,
    /// Whether its accesses to tables and queues see the CPUs' caches: IDR0.COHACC.
    pub coherent: bool,
    /// What of descriptors it updates by itself, IDR0.HTTU: 0 nothing, 1 the access flag, 2 that and the dirty
    /// state, 3 both in table descriptors too.
    pub httu: u8,
    /// Its own DeviceID at the ITS if it can send message interrupts: IDR0.MSI.
    pub msi_device: Option<u32>,
}

/// The wired interrupts of an SMMUv3 [SMMUv3 3.18]; absent is not wired. Without `msi_device` the
/// event queue and global errors must be wired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmmuInterrupts {
    /// The event queue is not empty any more.
    pub event: Option<u32>,
    /// The page request queue is not empty any more.
    pub pri: Option<u32>,
    /// A CMD_SYNC has completed.
    pub sync: Option<u32>,
    /// A global error.
    pub gerror: Option<u32>,
}

/// A device that is no PCI function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformDevice {
    /// What kind of device it is: the name of its node without the address, 1 to 31 characters of
    /// `0-9a-zA-Z,._+-`, the first a letter.
    pub name: String,
    /// Programming models, the most specific first, as in `vendor,model`: 1 to 16 of 1 to 127 characters.
    pub compatible: Vec<String>,
    /// Its registers, whole pages of 4 KiB.
    pub registers: RangeInclusive<u64>,
    /// Its interrupts.
    pub interrupts: Vec<Spi>,
    /// Whether its DMA sees the CPUs' caches.
    pub coherent: bool,
    /// How an SMMU knows it; without it its DMA reaches memory directly.
    pub master: Option<PlatformMaster>,
    /// Its DeviceID at the ITS, if it sends message interrupts.
    pub msi_device: Option<u32>,
}

/// A shared peripheral interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spi {
    /// SPI, 0 to 987.
    pub number: u32,
    /// How it is triggered; always active high or rising.
    pub trigger: Trigger,
}

/// How an interrupt line tells of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// By rising.
    Edge,
    /// By being high.
    Level,
}

/// A bus master as an SMMU knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformMaster {
    /// Index of the SMMU in [`Description::smmus`].
    pub smmu: usize,
    /// Its StreamIDs.
    pub streams: Vec<u32>,
    /// Bits of the SubstreamIDs that it gives its transactions, 0 (none) to 20.
    pub substream_bits: u8,
    /// Whether its transactions can wait for a stalled fault.
    pub can_stall: bool,
}

/// Memory that bus masters need from the start, at the same address for them as for CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// 64-KiB aligned at both ends; wholly in one range of RAM, or wholly outside RAM.
    pub range: RangeInclusive<u64>,
    /// Who needs it; each behind an SMMU.
    pub masters: Vec<Master>,
}

/// A bus master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Master {
    /// A PCI function on bus 0.
    Pci {
        /// At most 31.
        device: u8,
        /// At most 7.
        function: u8,
    },
    /// Index in [`Description::devices`].
    Platform(usize),
}

/// What the boot loader tells the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The kernel's command line, without NUL, at most 4095 bytes.
    pub command_line: String,
    /// Where the initial RAM disk lies, within one range of RAM.
    pub initrd: Option<RangeInclusive<u64>>,
    /// Random bytes for the kernel to begin with. Without them Linux makes some for itself where it first
    /// needs them, which takes a long time on a machine in which nothing is random.
    pub seed: Option<[u8; 32]>,
}

impl Description {
    /// All UARTs, the console first.
    pub(crate) fn uarts(&self) -> impl Iterator<Item = &Peripheral> {
        std::iter::once(&self.uart).chain(&self.other_uarts)
    }

    /// The SMMU and the StreamIDs by which it knows `master`: none if it reaches memory directly.
    pub(crate) fn streams(&self, master: Master) -> Option<(usize, Vec<u32>)> {
        match master {
            Master::Pci { device, function } => {
                let requester = u16::from(device) << 3 | u16::from(function);
                let entry = self.pci.streams.iter().find(|entry| entry.requesters.contains(&requester))?;
                let stream = entry.stream.checked_add((requester - entry.requesters.start()).into())?;
                Some((entry.smmu, vec![stream]))
            }
            Master::Platform(index) => {
                let master = self.devices.get(index)?.master.as_ref()?;
                Some((master.smmu, master.streams.clone()))
            }
        }
    }

    /// Whether `range` lies in RAM; it does so wholly if at all.
    pub(crate) fn is_ram(&self, range: &RangeInclusive<u64>) -> bool {
        self.ram.iter().any(|ram| ram.contains(range.start()))
    }
}
