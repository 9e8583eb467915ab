//! What firmware does before it hands over: bus numbers, bridge windows, base addresses.
//!
//! A guest that is entered directly finds PCI as after firmware: every memory BAR has an
//! address and is decoded there, every root port a bus number and a window, and passes requests both
//! ways. On a PC the Interrupt Line registers say where the pins lead. Mastering the bus is left to drivers.
//! I/O BARs stay unassigned: no model has one. A script client is its own firmware, so it gets the
//! machine without all this.

use std::cmp::Reverse;
use std::ops::RangeInclusive;

use devices::addr::SourceId;
use devices::pci::{BarKind, Bus, FunctionKind, Host};
use vm_allocator::{AddressAllocator, AllocPolicy};

use super::board::Board;
use super::{Machine, layout, q35};
use crate::config::ConfigError;

const MIB: u64 = 1 << 20;
/// Command and Status. Of Command, Memory Space Enable and Bus Master Enable [PCIe 7.5.1.1.3].
const COMMAND: u64 = 0x04;
const MEMORY_AND_MASTER: u16 = 0b110;
const MEMORY: u16 = 0b010;
/// Interrupt Line [PCIe 7.5.1.1.12].
const INTERRUPT_LINE: u64 = 0x3c;
/// Primary, secondary and subordinate bus number [PCIe 7.5.1.3].
const BUS_NUMBERS: u64 = 0x18;
/// Memory Base in 15:0 and Memory Limit in 31:16; bits 15:4 of each are address bits 31:20
/// [PCIe 7.5.1.3.8].
const MEMORY_WINDOW: u64 = 0x20;
/// A base above the limit: no window.
const NO_WINDOW: u32 = 0x0000_fff0;

/// A memory BAR.
struct Bar {
    source: SourceId,
    offset: u64,
    /// Whether the next register holds address bits 63:32.
    wide: bool,
    bytes: u64,
}

/// What gets its addresses in one piece: a BAR on the root bus, or all that is behind a root port.
struct Group {
    what: String,
    /// The root port, and the number of the bus behind it.
    port: Option<(SourceId, u8)>,
    /// Largest first, so that each is aligned where the one before it ends.
    bars: Vec<Bar>,
}

/// A write to configuration space.
struct Write {
    source: SourceId,
    offset: u64,
    data: Vec<u8>,
}

impl Machine {
    /// Assigns bus numbers, bridge windows, memory BARs and interrupt lines, as firmware does.
    ///
    /// # Errors
    /// [`ConfigError::NoRoom`] where the devices need more addresses than there are.
    pub fn assign_resources(&mut self) -> Result<(), ConfigError> {
        let window = match self.board {
            Board::Q35(_) => layout::q35::PCI_HOLE_FIRST..=layout::q35::PCI_HOLE_LAST,
            Board::Virt(_) => layout::virt::PCI_WINDOW,
        };
        let writes = plan(groups(&self.pci), &window)?;
        let mut fx = self.effects();
        let mut apply = |pci: &mut Host, writes: Vec<Write>| {
            for Write { source, offset, data } in writes {
                pci.write_config(source, offset, &data, &mut fx);
            }
        };
        apply(&mut self.pci, writes);
        // Functions behind root ports are known by their numbers only now.
        let writes = enable(
            &self.pci,
            match self.board {
                Board::Q35(_) => |line| Some(q35::isa(line)),
                // The register is for PCs: here the tables say where the pins lead.
                Board::Virt(_) => |_| None,
            },
        );
        apply(&mut self.pci, writes);
        if let Board::Q35(board) = &mut self.board {
            board.assign_lines(&mut fx);
        }
        self.deliver(fx);
        Ok(())
    }
}

/// Has every endpoint with memory BARs decode them, and every pin's line named, by the name that it has.
fn enable(pci: &Host, name: fn(u32) -> Option<u32>) -> Vec<Write> {
    let endpoints = pci.functions().filter(|function| matches!(function.kind, FunctionKind::Endpoint { .. }));
    let writes = endpoints.filter_map(|function| {
        let source = function.source?;
        let decodes = function.bars.iter().any(|bar| bar.kind().is_memory());
        let command = decodes.then(|| (COMMAND, MEMORY.to_le_bytes().to_vec()));
        // An ISA line, at most 15.
        let line = function.line.and_then(name).map(|line| (INTERRUPT_LINE, vec![line as u8]));
        let write = move |(offset, data)| Write { source, offset, data };
        Some(command.into_iter().chain(line).map(write))
    });
    writes.flatten().collect()
}

fn groups(pci: &Host) -> Vec<Group> {
    let ports = pci.functions().filter_map(|function| match function.kind {
        FunctionKind::RootPort { name } => Some((name, function.placement)),
        FunctionKind::HostBridge | FunctionKind::Endpoint { .. } => None,
    });
    // Bus 0 has 31 devices of 8 functions beside the host bridge, so the numbers suffice.
    let behind = (1..=u8::MAX).zip(ports).map(|(bus, (name, at))| Group {
        what: format!("the devices behind root port {name}"),
        port: Some((SourceId::new(0, at.device, at.function), bus)),
        bars: bars(pci, Bus::Behind(name), bus),
    });
    let on_root = bars(pci, Bus::Root, 0).into_iter().map(|bar| Group {
        what: format!("a BAR of {}", bar.source),
        port: None,
        bars: vec![bar],
    });
    behind.chain(on_root).collect()
}

fn bars(pci: &Host, bus: Bus<'_>, number: u8) -> Vec<Bar> {
    let functions = pci.functions().filter(|function| function.placement.bus == bus);
    let mut bars: Vec<_> = functions
        .flat_map(|function| function.bars.iter().map(move |bar| (function.placement, bar)))
        .filter(|(_, bar)| bar.kind().is_memory())
        .map(|(at, bar)| Bar {
            source: SourceId::new(number, at.device, at.function),
            offset: bar.offset().into(),
            wide: matches!(bar.kind(), BarKind::Memory64 { .. }),
            bytes: bar.size(),
        })
        .collect();
    bars.sort_by_key(|bar| Reverse(bar.bytes));
    bars
}

fn plan(mut groups: Vec<Group>, window: &RangeInclusive<u64>) -> Result<Vec<Write>, ConfigError> {
    let (first, last) = (*window.start(), *window.end());
    let no_room = |what: &str, bytes| ConfigError::NoRoom { what: what.to_owned(), bytes, last };
    let mut window = AddressAllocator::new(first, last - first + 1)
        .map_err(|_| no_room("PCI devices", last - first + 1))?;
    groups.sort_by_key(|group| Reverse(group.alignment()));
    let mut writes = Vec::new();
    for group in groups {
        let bytes = group.bytes();
        if bytes == 0 {
            group.write(&mut writes, None);
            continue;
        }
        let range = window
            .allocate(bytes, group.alignment(), AllocPolicy::FirstMatch)
            .map_err(|_| no_room(&group.what, bytes))?;
        group.write(&mut writes, Some((range.start(), range.end())));
    }
    Ok(writes)
}

impl Group {
    fn bytes(&self) -> u64 {
        let bars = self.bars.iter().map(|bar| bar.bytes).sum::<u64>();
        if self.port.is_some() { bars.next_multiple_of(MIB) } else { bars }
    }

    fn alignment(&self) -> u64 {
        let bar = self.bars.first().map_or(1, |bar| bar.bytes);
        if self.port.is_some() { bar.max(MIB) } else { bar }
    }

    /// Writes what follows from the range that the group was given. Bus numbers come before what is
    /// behind them.
    fn write(&self, writes: &mut Vec<Write>, range: Option<(u64, u64)>) {
        if let Some((source, bus)) = self.port {
            let window = range.map_or(NO_WINDOW, |(first, last)| {
                // Addresses in the window have 32 bits.
                (last & 0xfff0_0000 | first >> 16 & 0xfff0) as u32
            });
            writes.push(Write { source, offset: BUS_NUMBERS, data: vec![0, bus, bus] });
            writes.push(Write { source, offset: MEMORY_WINDOW, data: window.to_le_bytes().to_vec() });
            let data = MEMORY_AND_MASTER.to_le_bytes().to_vec();
            writes.push(Write { source, offset: COMMAND, data });
        }
        let mut address = range.map_or(0, |(first, _)| first);
        for bar in &self.bars {
            let bytes = address.to_le_bytes();
            let data = if bar.wide { bytes.to_vec() } else { bytes[..4].to_vec() };
            writes.push(Write { source: bar.source, offset: bar.offset, data });
            address += bar.bytes;
        }
    }
}
