//! Stream table entries [SMMUv3 5.2], context descriptors [SMMUv3 5.4] and the tables they lie in
//! [SMMUv3 5.1, 5.3]: words in, a typed value or the architected error out.
//!
//! Nothing here reads memory. [`stream_table`] and [`context_table`] say what to fetch, [`ste`] and [`cd`]
//! what the words mean. Reserved bits are ignored, as SMMUv3 permits; what makes an entry ILLEGAL is
//! exactly what SMMUv3 5.2.2 and 5.4.2 list, and their order decides which rule is named.

pub mod cd;
pub mod context_table;
pub mod ste;
pub mod stream_table;
#[cfg(test)]
mod tests;

use super::vmsa::Granule;

/// Where the entry of an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<A> {
    /// One table: the address of the entry.
    Linear(A),
    /// Two levels.
    TwoLevel {
        /// Address of the level-1 descriptor, 8 bytes, which names the table of the entry.
        l1: A,
    },
}

/// `address` with its low `bits` cleared; none of it is left from 64 on.
fn aligned(address: u64, bits: u32) -> u64 {
    address & u64::MAX.checked_shl(bits).unwrap_or(0)
}

/// Whether `address` has more than `bits`.
fn exceeds(address: u64, bits: u32) -> bool {
    address.checked_shr(bits).unwrap_or(0) != 0
}

/// log2 of the bytes in the first table, or tables, of a walk that resolves `index_bits` there. With
/// 52-bit addresses they take 64 bytes at least [SMMUv3 5.2, S2TTB; 5.4, TTB0].
fn first_table_bits(index_bits: u32, output_bits: u32) -> u32 {
    let bits = index_bits.saturating_add(3);
    if output_bits == 52 { bits.max(6) } else { bits }
}

/// Bits that a table base may have: those of the output, and no more than 48 where descriptors carry no
/// more [SMMUv3 3.4].
fn reachable_bits(output_bits: u32, granule: Granule, ds: bool) -> u32 {
    if granule == Granule::K64 || ds { output_bits } else { output_bits.min(48) }
}

/// SHx or S2SH0: 01 is reserved and behaves as non-shareable.
fn shareability(encoding: u8) -> u8 {
    if encoding == 0b01 { 0b00 } else { encoding }
}

/// A granule in two bits.
const fn granule_number(granule: Granule) -> u8 {
    match granule {
        Granule::K4 => 0,
        Granule::K16 => 1,
        Granule::K64 => 2,
    }
}

/// The granule of [`granule_number`].
#[inline]
const fn granule_of(number: u8) -> Granule {
    match number {
        0 => Granule::K4,
        1 => Granule::K16,
        _ => Granule::K64,
    }
}
