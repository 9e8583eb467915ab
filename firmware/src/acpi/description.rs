//! What a machine tells of itself, as plain values: addresses, ports, numbers.

use std::ops::RangeInclusive;

/// A PC as its ACPI tables describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineDescription {
    /// APIC ids of the processors, the boot processor first. All have their local APIC at 0xfee00000.
    pub cpus: Vec<u32>,
    /// The I/O APICs. Line 0 of a PC, the timer, is taken to be wired to global interrupt 2.
    pub io_apics: Vec<IoApic>,
    /// Whether there is a pair of 8259 interrupt controllers.
    pub pic: bool,
    /// Whether there is an 8042 keyboard controller.
    pub keyboard_controller: bool,
    /// The ACPI fixed hardware; without it the machine is hardware-reduced [ACPI 4.1].
    pub power: Option<PowerManagement>,
    /// The PCI Express hierarchy, segment 0.
    pub pci: PciRoot,
    /// The remapping hardware; without it there is no DMAR.
    pub dmar: Option<Dmar>,
}

/// An I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Its id.
    pub id: u8,
    /// Physical address of its registers.
    pub address: u32,
    /// Global interrupt of its pin 0.
    pub gsi_base: u32,
}

/// The ACPI fixed hardware, laid out in ports as an ICH9 does it: PM1 event block (4 bytes) at the
/// base, PM1 control block (2 bytes) at base + 4, a 24-bit power-management timer at base + 8. The
/// machine is in ACPI mode from the start: there is no SMI command port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerManagement {
    /// Base port.
    pub base: u16,
    /// Global interrupt of the SCI, which is level-triggered and active high; it is the ISA line of
    /// that number too, 1 to 15.
    pub sci: u8,
}

/// A PCI Express host bridge and what it decodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PciRoot {
    /// Physical address of the configuration space of bus 0, 1-MiB aligned [PCIe 7.2.2].
    pub ecam: u64,
    /// Last bus number.
    pub last_bus: u8,
    /// Windows for memory BARs: each wholly below 4 GiB or wholly above.
    pub memory: Vec<RangeInclusive<u64>>,
    /// Windows for I/O BARs.
    pub io: Vec<RangeInclusive<u16>>,
    /// Where the interrupt pins of the devices on bus 0 lead.
    pub intx: Vec<IntxRoute>,
    /// ISA lines that interrupt pins drive besides, 1 or 3 to 15: level-triggered and active high.
    pub isa_lines: Vec<u8>,
}

/// The wiring of an interrupt pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntxRoute {
    /// Device number on bus 0, at most 31.
    pub device: u8,
    /// Pin: 0 is INTA, 3 is INTD.
    pub pin: u8,
    /// Global interrupt.
    pub gsi: u32,
}

/// The remapping hardware [VT-d 8.1].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dmar {
    /// Bits of a physical address, 1 to 64.
    pub host_address_width: u8,
    /// INTR_REMAP: interrupts can be remapped. Each I/O APIC must then be in a scope.
    pub interrupt_remapping: bool,
    /// X2APIC_OPT_OUT: the firmware asks the system not to use x2APIC.
    pub x2apic_opt_out: bool,
    /// The remapping units.
    pub units: Vec<Drhd>,
    /// Memory that devices need from the start.
    pub reserved: Vec<Rmrr>,
}

/// A remapping unit [VT-d 8.3].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drhd {
    /// PCI segment.
    pub segment: u16,
    /// Physical address of its registers, 4-KiB aligned.
    pub base: u64,
    /// Its registers fill 2^n pages of 4 KiB; n is at most 15.
    pub log2_pages: u8,
    /// INCLUDE_PCI_ALL: it serves all functions of its segment that no other unit serves. It must be
    /// the last of its segment.
    pub include_pci_all: bool,
    /// What it serves.
    pub scopes: Vec<DeviceScope>,
}

/// Memory that devices need from the start [VT-d 8.4].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rmrr {
    /// PCI segment.
    pub segment: u16,
    /// Whole pages of 4 KiB.
    pub range: RangeInclusive<u64>,
    /// The devices: endpoints and bridges.
    pub scopes: Vec<DeviceScope>,
}

/// A device, and how to find it [VT-d 8.3.1].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceScope {
    /// What it is.
    pub kind: ScopeKind,
    /// The bus where the path begins.
    pub start_bus: u8,
    /// From there to the device, through bridges if there is more than one step.
    pub path: Vec<PathStep>,
}

/// The kind of device that a scope names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKind {
    /// A PCI function.
    Endpoint,
    /// A PCI-PCI bridge and all below it.
    Bridge,
    /// An I/O APIC by the id in the MADT. Bus and path make the source id of its messages.
    IoApic(u8),
    /// A timer block by its number. Bus and path make the source id of its messages.
    Hpet(u8),
}

/// A device and function number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// At most 31.
    pub device: u8,
    /// At most 7.
    pub function: u8,
}
