//! The machine as its firmware tables describe it.

use devices::addr::SourceId;
use devices::pci::{Bus, FunctionInfo, FunctionKind, Pin, Placement, gsi};
use devices::vtd;
use firmware::acpi::{
    DeviceScope, Dmar, Drhd, IntxRoute, IoApic, MachineDescription, PathStep, PciRoot, Rmrr, ScopeKind,
};

use super::super::Machine;
use super::super::board::Board;
use super::lines::PCI_ISA_LINES;
use super::{Q35, layout};
use crate::config::{IommuSpec, SlotAddress};

/// The I/O APIC's id in the tables.
const IOAPIC_ID: u8 = 0;
/// The only processor's APIC id.
const PROCESSOR: u32 = 0;

impl Machine {
    /// What an operating system is to know of a q35; `None` of another board.
    ///
    /// The remapping units' scopes name the I/O APIC and, on bus 0, each function and each root port
    /// with all behind it, so that nothing is left to INCLUDE_PCI_ALL. There are no power-management
    /// ports, which makes the machine hardware-reduced.
    pub fn description(&self) -> Option<MachineDescription> {
        let Board::Q35(board) = &self.board else { return None };
        let (first, last) = (layout::PCI_HOLE_FIRST, layout::PCI_HOLE_LAST);
        Some(MachineDescription {
            cpus: vec![PROCESSOR],
            // The register file lies below 4 GiB.
            io_apics: vec![IoApic { id: IOAPIC_ID, address: layout::IOAPIC_BASE as u32, gsi_base: 0 }],
            pic: true,
            keyboard_controller: false,
            power: None,
            pci: PciRoot {
                ecam: layout::ECAM_BASE,
                last_bus: u8::MAX,
                memory: vec![first..=last],
                io: vec![0..=0xcf7, 0xd00..=0xffff],
                intx: routes(),
                isa_lines: PCI_ISA_LINES.to_vec(),
            },
            dmar: self.dmar(board),
        })
    }

    fn dmar(&self, board: &Q35) -> Option<Dmar> {
        let iommus = &self.config.iommus;
        let scope = |bdf: SlotAddress| {
            let at = |function: &FunctionInfo<'_>| {
                let Placement { bus, device, function } = function.placement;
                bus == Bus::Root && SlotAddress { device, function } == bdf
            };
            pci_scope(&self.pci.functions().find(at)?)
        };
        let reserved = iommus.iter().filter_map(IommuSpec::reserved).map(|reserved| Rmrr {
            segment: 0,
            range: reserved.range(),
            scopes: reserved.devices.iter().filter_map(|at| scope(*at)).collect(),
        });
        let dmar = Dmar {
            // 48.
            host_address_width: vtd::capability::HOST_ADDRESS_WIDTH as u8,
            // The flag is the platform's: an operating system that reads it remaps at every unit.
            interrupt_remapping: iommus
                .iter()
                .filter_map(IommuSpec::vtd)
                .all(|unit| unit.config.interrupt_remapping),
            x2apic_opt_out: false,
            units: (0..)
                .zip(&self.units)
                .map(|(index, remapper)| self.drhd(board, index, remapper.base))
                .collect(),
            reserved: reserved.collect(),
        };
        (!self.units.is_empty()).then_some(dmar)
    }

    fn drhd(&self, board: &Q35, index: usize, base: u64) -> Drhd {
        let owned = |function: &FunctionInfo<'_>| {
            let Placement { bus, device, function } = function.placement;
            bus == Bus::Root && self.served.owner(None, SlotAddress { device, function }) == Some(index)
        };
        let ioapic = (self.served.ioapic() == Some(index)).then(|| ioapic_scope(board.spec.ioapic_source));
        let functions = self.pci.functions().filter(owned);
        let functions = functions.filter_map(|function| pci_scope(&function));
        let scopes = ioapic.into_iter().chain(functions).collect();
        Drhd { segment: 0, base, log2_pages: 0, include_pci_all: false, scopes }
    }
}

/// Every pin of every device that bus 0 can have: an operating system swizzles those behind bridges.
fn routes() -> Vec<IntxRoute> {
    let pins = |device| {
        let pins = (0..).zip([Pin::A, Pin::B, Pin::C, Pin::D]);
        pins.map(move |(number, pin)| IntxRoute { device, pin: number, gsi: gsi(device, pin) })
    };
    (0..32).flat_map(pins).collect()
}

fn ioapic_scope(source: SourceId) -> DeviceScope {
    DeviceScope {
        kind: ScopeKind::IoApic(IOAPIC_ID),
        start_bus: source.bus(),
        path: vec![PathStep { device: source.device(), function: source.function() }],
    }
}

/// The scope of a function on bus 0; what is behind a root port is in that port's.
fn pci_scope(function: &FunctionInfo<'_>) -> Option<DeviceScope> {
    let at = function.placement;
    let kind = match function.kind {
        FunctionKind::HostBridge | FunctionKind::Endpoint { .. } => ScopeKind::Endpoint,
        FunctionKind::RootPort { .. } => ScopeKind::Bridge,
    };
    let path = vec![PathStep { device: at.device, function: at.function }];
    (at.bus == Bus::Root).then_some(DeviceScope { kind, start_bus: 0, path })
}
