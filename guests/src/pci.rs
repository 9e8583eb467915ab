//! PCI functions: found through ECAM, their BARs read, their message interrupts programmed.
//!
//! Bus numbers, BARs and bridge windows are assigned before the program starts.

use crate::error::Error;
use crate::hw::Hw;

/// Memory Space Enable and Bus Master Enable of the Command register [PCIe 7.5.1.1.3].
const MEMORY_AND_MASTER: u32 = 1 << 1 | 1 << 2;
/// Capability id of MSI [PCIe 7.7.1].
const MSI: u8 = 0x05;
/// Capability id of MSI-X [PCIe 7.7.2].
const MSI_X: u8 = 0x11;

/// A PCI function of segment 0, by its requester id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Function(pub u16);

impl Function {
    fn at<H: Hw>(self, hw: &H, offset: u16) -> u64 {
        hw.ecam() + (u64::from(self.0) << 12) + u64::from(offset)
    }

    /// The requester id: bus 15:8, device 7:3, function 2:0.
    pub fn source(self) -> u16 {
        self.0
    }

    /// Reads a dword of configuration space.
    pub fn read<H: Hw>(self, hw: &mut H, offset: u16) -> u32 {
        hw.mmio_read32(self.at(hw, offset))
    }

    /// Writes a dword of configuration space.
    pub fn write<H: Hw>(self, hw: &mut H, offset: u16, value: u32) {
        hw.mmio_write32(self.at(hw, offset), value);
    }

    /// Lets the function decode its memory BARs and master the bus.
    pub fn enable<H: Hw>(self, hw: &mut H) {
        // The upper half is Status, write-1-to-clear: zeros leave it alone.
        let command = self.read(hw, 0x04) & 0xffff;
        self.write(hw, 0x04, command | MEMORY_AND_MASTER);
    }

    /// The address of BAR 0, a memory BAR of 32 or 64 bits.
    ///
    /// # Errors
    /// [`Error::Bar`] where it lies outside the first 4 GiB or was not assigned.
    pub fn bar0<H: Hw>(self, hw: &mut H) -> Result<u64, Error> {
        let low = self.read(hw, 0x10);
        let high = if low & 0b110 == 0b100 { self.read(hw, 0x14) } else { 0 };
        let address = u64::from(high) << 32 | u64::from(low & !0xf);
        if low & 1 == 1 || address == 0 || high != 0 {
            return Err(Error::Bar { source: self.0, address });
        }
        Ok(address)
    }

    /// The offset of a capability.
    ///
    /// # Errors
    /// [`Error::NoCapability`].
    pub fn capability<H: Hw>(self, hw: &mut H, id: u8) -> Result<u16, Error> {
        let absent = Error::NoCapability { source: self.0, id };
        if self.read(hw, 0x04) & 1 << 20 == 0 {
            return Err(absent);
        }
        let mut offset = self.read(hw, 0x34) as u16 & 0xfc;
        // 48 capabilities fill the space there is; a longer list is a loop.
        for _ in 0..48 {
            if offset < 0x40 {
                break;
            }
            let header = self.read(hw, offset);
            if header & 0xff == u32::from(id) {
                return Ok(offset);
            }
            offset = (header >> 8) as u16 & 0xfc;
        }
        Err(absent)
    }

    /// Programs the function's MSI with one vector and enables it [PCIe 7.7.1].
    ///
    /// # Errors
    /// [`Error::NoCapability`].
    pub fn enable_msi<H: Hw>(self, hw: &mut H, (address, data): (u64, u32)) -> Result<(), Error> {
        let msi = self.capability(hw, MSI)?;
        let control = self.read(hw, msi);
        self.write(hw, msi + 4, address as u32);
        let data_at = if control & 1 << 23 != 0 {
            self.write(hw, msi + 8, (address >> 32) as u32);
            msi + 12
        } else {
            msi + 8
        };
        self.write(hw, data_at, data);
        // Multiple Message Enable 0: one vector.
        self.write(hw, msi, control & !(0b111 << 20) | 1 << 16);
        Ok(())
    }

    /// Enables MSI-X with all vectors as their table entries say [PCIe 7.7.2].
    ///
    /// # Errors
    /// [`Error::NoCapability`].
    pub fn enable_msix<H: Hw>(self, hw: &mut H) -> Result<(), Error> {
        let msix = self.capability(hw, MSI_X)?;
        let control = self.read(hw, msix);
        self.write(hw, msix, control & !(1 << 30) | 1 << 31);
        Ok(())
    }
}

/// An MSI-X table in a BAR.
#[derive(Clone, Copy, Debug)]
pub struct MsixTable {
    /// Physical address of entry 0.
    pub table: u64,
    /// Physical address of the Pending Bit Array.
    pub pending: u64,
}

impl MsixTable {
    /// Programs a vector's message and unmasks it.
    pub fn set<H: Hw>(self, hw: &mut H, vector: u16, (address, data): (u64, u32)) {
        let entry = self.entry(vector);
        hw.mmio_write32(entry + 12, 1);
        hw.mmio_write32(entry, address as u32);
        hw.mmio_write32(entry + 4, (address >> 32) as u32);
        hw.mmio_write32(entry + 8, data);
        hw.mmio_write32(entry + 12, 0);
    }

    /// Masks or unmasks a vector.
    pub fn set_mask<H: Hw>(self, hw: &mut H, vector: u16, masked: bool) {
        hw.mmio_write32(self.entry(vector) + 12, u32::from(masked));
    }

    /// Whether a masked vector waits to be sent.
    pub fn is_pending<H: Hw>(self, hw: &mut H, vector: u16) -> bool {
        let dword = hw.mmio_read32(self.pending + u64::from(vector / 32) * 4);
        dword & 1 << (vector % 32) != 0
    }

    fn entry(self, vector: u16) -> u64 {
        self.table + u64::from(vector) * 16
    }
}

/// Functions that [`find`] found, in the order of their requester ids on each bus.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    functions: [Function; 8],
    count: usize,
}

impl Found {
    /// The functions.
    pub fn as_slice(&self) -> &[Function] {
        &self.functions[..self.count]
    }
}

/// Finds the first eight functions with this vendor and device id: on bus 0, then behind its
/// bridges, level by level.
pub fn find<H: Hw>(hw: &mut H, vendor: u16, device: u16) -> Found {
    let wanted = u32::from(device) << 16 | u32::from(vendor);
    let mut found = Found::default();
    let mut buses = [0; 32];
    let mut known = 1;
    let mut next = 0;
    while next < known {
        let bus: u8 = buses[next];
        next += 1;
        for slot in 0..32 {
            for number in 0..8 {
                let function = Function(u16::from(bus) << 8 | slot << 3 | number);
                let id = function.read(hw, 0x00);
                if id == u32::MAX {
                    if number == 0 {
                        break;
                    }
                    continue;
                }
                if id == wanted && found.count < found.functions.len() {
                    found.functions[found.count] = function;
                    found.count += 1;
                }
                let header = function.read(hw, 0x0c) >> 16;
                if header & 0x7f == 1 {
                    let secondary = (function.read(hw, 0x18) >> 8) as u8;
                    // Bus numbers grow downwards in a tree, so this ends.
                    if secondary > bus && known < buses.len() {
                        buses[known] = secondary;
                        known += 1;
                    }
                }
                if number == 0 && header & 0x80 == 0 {
                    break;
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;
    use crate::fake::Fake;

    /// A machine whose empty slots read all ones.
    fn machine(registers: &[(u64, u32)]) -> Fake {
        let mut hw = Fake::new();
        for id in 0..0x200u64 {
            hw.registers.insert(0xb000_0000 + (id << 12), u32::MAX);
        }
        hw.registers.extend(registers.iter().copied());
        hw
    }

    #[test]
    fn finds_functions_on_the_root_bus_and_behind_a_bridge() {
        let hw = &mut machine(&[
            // 00:02.0 and 00:02.2, a multi-function device; 00:02.1 is absent.
            (0xb001_0000, 0x1077_1234),
            (0xb001_000c, 0x0080_0000),
            (0xb001_2000, 0x1077_1234),
            // 00:03.0 has one function; what would be 00:03.1 is an echo and must not be looked at.
            (0xb001_8000, 0x11e8_1234),
            (0xb001_9000, 0x1077_1234),
            // 00:04.0 bridges to bus 1, where 01:00.0 sits.
            (0xb002_0000, 0x000c_1b36),
            (0xb002_000c, 0x0001_0000),
            (0xb002_0018, 0x0001_0100),
            (0xb010_0000, 0x1077_1234),
        ]);
        let found = find(hw, 0x1234, 0x1077);
        assert_eq!(found.as_slice(), [Function(0x0010), Function(0x0012), Function(0x0100)]);
        assert_eq!(find(hw, 0x1234, 0x11e8).as_slice(), [Function(0x0018)]);
        assert_eq!(find(hw, 0x1234, 0x9999).as_slice(), []);
    }

    #[test]
    fn bars_are_read_by_their_type() {
        let rows = [
            ("32-bit", 0xfe00_0000, 0, Ok(0xfe00_0000)),
            ("64-bit below 4 GiB", 0xfe00_0004, 0, Ok(0xfe00_0000)),
            ("64-bit above", 0xfe00_000c, 1, Err(Error::Bar { source: 8, address: 0x1_fe00_0000 })),
            ("32-bit, next dword is another BAR", 0xfe00_0000, 7, Ok(0xfe00_0000)),
            ("not assigned", 0x0000_0004, 0, Err(Error::Bar { source: 8, address: 0 })),
            ("io", 0x0000_c001, 0, Err(Error::Bar { source: 8, address: 0xc000 })),
        ];
        for (name, low, high, expected) in rows {
            let hw = &mut machine(&[(0xb000_8010, low), (0xb000_8014, high)]);
            assert_eq!(Function(8).bar0(hw), expected, "{name}");
        }
    }

    #[test]
    fn a_capability_list_that_loops_ends() {
        let hw = &mut machine(&[(0xb000_8004, 1 << 20), (0xb000_8034, 0x40), (0xb000_8040, 0x4009)]);
        assert_eq!(Function(8).capability(hw, 0x05), Err(Error::NoCapability { source: 8, id: 5 }));
    }

    #[test]
    fn msi_is_programmed_in_both_layouts() {
        // (name, control dword, writes expected at the capability's offsets)
        let wide = [(0x44, 0xfee0_1000), (0x48, 0), (0x4c, 0x31), (0x40, 0x0081_0005)];
        let narrow = [(0x44, 0xfee0_1000), (0x48, 0x31), (0x40, 0x0001_0005)];
        type Row<'a> = (&'a str, u32, &'a [(u64, u32)]);
        let rows: [Row<'_>; 2] = [("64-bit", 0x0080_0005, &wide), ("32-bit", 0x0070_0005, &narrow)];
        for (name, control, expected) in rows {
            let hw = &mut machine(&[(0xb000_8004, 1 << 20), (0xb000_8034, 0x40), (0xb000_8040, control)]);
            Function(8).enable_msi(hw, (0xfee0_1000, 0x31)).unwrap();
            let writes: Vec<_> =
                hw.writes.iter().map(|(address, value)| (address - 0xb000_8000, *value)).collect();
            assert_eq!(writes, expected, "{name}");
        }
    }
}
