//! What both stages have in common: where descriptors lie, and which addresses they hold [Arm ARM D8.2,
//! D8.3].

use super::{Registers, align, bits};

/// Translation tables of one stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables {
    /// log2 of the page size: 12, 14 or 16.
    pub granule: u32,
    /// Bits of an input address.
    pub input: u32,
    /// Level of the first table, -1 to 3.
    pub start: i32,
    /// TTBx or S2TTB.
    pub base: u64,
    /// 52-bit form of 4K and 16K granules.
    pub ds: bool,
    /// Descriptors in big-endian byte order.
    pub big_endian: bool,
    /// Bits of an output address, as configured.
    pub output: u32,
    /// OAS is 52: descriptors of the 64K granule have bits 51:48 of an address.
    pub wide: bool,
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Descriptor {
    Invalid,
    /// Address of the next table.
    Table(u64),
    /// First address of a block or page.
    Leaf(u64),
}

impl Tables {
    /// Lowest bit of an input address that chooses a descriptor at this level.
    pub fn shift(&self, level: i32) -> u32 {
        self.granule + (self.granule - 3) * (3 - level) as u32
    }

    /// The first table, aligned to its size: as many descriptors as the rest of the input address chooses
    /// from, and 64 bytes at least where addresses have 52 bits.
    pub fn first(&self) -> u64 {
        let size = self.input - self.shift(self.start) + 3;
        let base = align(self.base, size);
        if self.output == 52 { align(base, 6) } else { base }
    }

    /// Address of the descriptor for `input` in `table`.
    pub fn slot(&self, level: i32, table: u64, input: u64) -> u64 {
        let index = input >> self.shift(level);
        // Tables of the first level, which may be several next to each other, take what is left.
        let index = if level == self.start { index } else { bits(index, self.granule - 4, 0) };
        table + 8 * index
    }

    /// The descriptor in this word of memory, in the order that its bits are numbered in.
    pub fn ordered(&self, word: u64) -> u64 {
        if self.big_endian { word.swap_bytes() } else { word }
    }

    /// What a descriptor at this level means.
    pub fn decode(&self, level: i32, descriptor: u64) -> Descriptor {
        match (bits(descriptor, 1, 0), level) {
            (0b11, 3) => Descriptor::Leaf(self.address(descriptor, self.granule)),
            (0b11, _) => Descriptor::Table(self.address(descriptor, self.granule)),
            (0b01, _) if self.has_blocks(level) => {
                Descriptor::Leaf(self.address(descriptor, self.shift(level)))
            }
            _ => Descriptor::Invalid,
        }
    }

    fn has_blocks(&self, level: i32) -> bool {
        match (self.granule, level) {
            (12, 1 | 2) | (14 | 16, 2) => true,
            (12, 0) | (14, 1) => self.ds,
            (16, 1) => self.wide,
            _ => false,
        }
    }

    /// The address in a descriptor, of which the low `aligned` bits are 0.
    fn address(&self, descriptor: u64, aligned: u32) -> u64 {
        if self.granule == 16 {
            let high = if self.wide { bits(descriptor, 15, 12) << 48 } else { 0 };
            high | align(bits(descriptor, 47, 0), aligned)
        } else if self.ds {
            bits(descriptor, 9, 8) << 50 | align(bits(descriptor, 49, 0), aligned)
        } else {
            align(bits(descriptor, 47, 0), aligned)
        }
    }
}

/// The greatest TxSZ or S2T0SZ, with IDR3.STT.
pub(super) fn greatest_size(unit: &Registers, granule: u32) -> u32 {
    match granule {
        _ if !unit.idr3(9) => 39,
        16 => 47,
        _ => 48,
    }
}

/// 52-bit output addresses exist with the 64K granule and with the 52-bit form of the others.
pub(super) fn usable_output(size: u32, granule: u32, ds: bool) -> u32 {
    if granule == 16 || ds { size } else { size.min(48) }
}
