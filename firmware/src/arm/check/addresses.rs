//! Where things lie.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::{Checked, disjoint};
use crate::arm::{
    BUS_SIZE, Description, DescriptionError, GIC_FRAME, ITS_SIZE, Master, PERIPHERAL_SIZE,
    REDISTRIBUTOR_SIZE, SMMU_SIZE,
};

const PAGE: u64 = 0x1000;
/// Alignment of reserved memory, which suits every page size.
const RESERVED_ALIGNMENT: u64 = 0x1_0000;
const FOUR_GIB: u64 = 1 << 32;
const IO_SIZE_MAX: u64 = 0x1_0000;

impl Description {
    /// Everything that answers to an address has its own.
    pub(super) fn check_addresses(&self) -> Checked {
        let mut space = Vec::new();
        for range in &self.ram {
            space.push(("RAM", aligned("RAM", range, PAGE, "use whole pages of 4 KiB")?));
        }
        if self.ram.is_empty() {
            return Err(DescriptionError::None("range of RAM"));
        }
        let frames = "use whole frames of 64 KiB";
        let gic = &self.gic;
        space.push(block("the GIC distributor", gic.distributor, GIC_FRAME, GIC_FRAME, frames)?);
        let what = "the GIC redistributors' range";
        let range = aligned(what, &gic.redistributors, GIC_FRAME, frames)?;
        let needed = self.cpus.len() as u64 * REDISTRIBUTOR_SIZE;
        if range.end() - range.start() < needed - 1 || range.end() - range.start() >= u32::MAX.into() {
            let remedy = "use 128 KiB for each CPU at least, and less than 4 GiB";
            let (first, last) = range.into_inner();
            return Err(DescriptionError::Range { what, first, last, remedy });
        }
        space.push((what, range));
        if let Some(its) = gic.its {
            space.push(block("the ITS", its, ITS_SIZE, GIC_FRAME, frames)?);
        }
        let uarts = self.uarts().map(|uart| ("a UART", uart));
        for (what, peripheral) in uarts.chain(self.rtc.iter().map(|rtc| ("the RTC", rtc))) {
            let remedy = "align it to 4 KiB";
            space.push(block(what, peripheral.base, PERIPHERAL_SIZE, PAGE, remedy)?);
        }
        for smmu in &self.smmus {
            space.push(block("an SMMU", smmu.base, SMMU_SIZE, GIC_FRAME, "align it to 64 KiB")?);
        }
        for device in &self.devices {
            let what = "a device's range of registers";
            space.push((what, aligned(what, &device.registers, PAGE, "use whole pages of 4 KiB")?));
        }
        space.extend(self.pci_addresses()?);
        disjoint(&mut space)
    }

    fn pci_addresses(&self) -> Result<Vec<(&'static str, RangeInclusive<u64>)>, DescriptionError> {
        let pci = &self.pci;
        let what = "the PCI configuration space";
        let remedy = "align it to 1 MiB, above 0, wholly below 4 GiB or wholly above";
        let ecam = block(what, pci.ecam, (u64::from(pci.last_bus) + 1) * BUS_SIZE, BUS_SIZE, remedy)?;
        let mut space = vec![(what, one_half(what, ecam.1, remedy)?)];
        if pci.memory.is_empty() {
            return Err(DescriptionError::None("PCI memory window"));
        }
        for window in &pci.memory {
            let what = "a PCI memory window";
            let remedy = "use whole pages of 4 KiB above 0, wholly below 4 GiB or wholly above";
            let window = aligned(what, window, PAGE, remedy)?;
            space.push((what, one_half(what, window, remedy)?));
        }
        if let Some(io) = &pci.io {
            let what = "the PCI I/O window";
            let remedy = "use whole pages of 4 KiB, at most 64 KiB";
            let io = aligned(what, io, PAGE, remedy)?;
            let (&first, &last) = (io.start(), io.end());
            if last - first >= IO_SIZE_MAX {
                return Err(DescriptionError::Range { what, first, last, remedy });
            }
            space.push((what, io));
        }
        Ok(space)
    }

    pub(super) fn check_reserved(&self) -> Checked {
        let what = "reserved memory";
        let mut space = Vec::new();
        for reserved in &self.reserved {
            let remedy = "use whole blocks of 64 KiB";
            let range = aligned(what, &reserved.range, RESERVED_ALIGNMENT, remedy)?;
            let outside = self.ram.iter().all(|ram| range.end() < ram.start() || ram.end() < range.start());
            if !outside && !self.in_ram(&range) {
                let (first, last) = range.into_inner();
                let remedy = "use RAM, or what is none";
                return Err(DescriptionError::Range { what, first, last, remedy });
            }
            space.push((what, range));
            if reserved.masters.is_empty() {
                return Err(DescriptionError::None("bus master that needs reserved memory"));
            }
            reserved.masters.iter().try_for_each(|&master| self.check_master(master))?;
            let distinct: BTreeSet<_> = reserved.masters.iter().collect();
            if distinct.len() < reserved.masters.len() {
                let id = *reserved.range.start();
                return Err(DescriptionError::Duplicate { what: "bus master of reserved memory", id });
            }
        }
        disjoint(&mut space)
    }

    fn check_master(&self, master: Master) -> Checked {
        let (what, id) = match master {
            Master::Pci { device, function } => {
                if device > 31 || function > 7 {
                    let value = u64::from(device) << 8 | u64::from(function);
                    let remedy = "devices are 0 to 31, in the upper byte, and functions 0 to 7";
                    return Err(DescriptionError::Value { what: "a PCI function", value, remedy });
                }
                ("the requester id", u64::from(device) << 3 | u64::from(function))
            }
            Master::Platform(index) => ("the platform device", index as u64),
        };
        self.streams(master).map(drop).ok_or(DescriptionError::NoSmmu { what, id })
    }
}

/// Something of `size` bytes at `base`, which is a multiple of `alignment`.
fn block(
    what: &'static str,
    base: u64,
    size: u64,
    alignment: u64,
    remedy: &'static str,
) -> Result<(&'static str, RangeInclusive<u64>), DescriptionError> {
    match base.checked_add(size - 1) {
        Some(last) if base.is_multiple_of(alignment) => Ok((what, base..=last)),
        _ => Err(DescriptionError::Value { what, value: base, remedy }),
    }
}

/// A range of whole multiples of `alignment`, at least one.
fn aligned(
    what: &'static str,
    range: &RangeInclusive<u64>,
    alignment: u64,
    remedy: &'static str,
) -> Result<RangeInclusive<u64>, DescriptionError> {
    let (&first, &last) = (range.start(), range.end());
    if first > last || !first.is_multiple_of(alignment) || last % alignment != alignment - 1 {
        return Err(DescriptionError::Range { what, first, last, remedy });
    }
    Ok(first..=last)
}

/// A range that does not begin at 0, below 4 GiB or above: ACPI has a descriptor for it, and PCI an
/// address space.
fn one_half(
    what: &'static str,
    range: RangeInclusive<u64>,
    remedy: &'static str,
) -> Result<RangeInclusive<u64>, DescriptionError> {
    let (&first, &last) = (range.start(), range.end());
    if first == 0 || first < FOUR_GIB && last >= FOUR_GIB {
        return Err(DescriptionError::Range { what, first, last, remedy });
    }
    Ok(range)
}
