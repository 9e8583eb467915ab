//! Bit fields over arrays of 64-bit words, in `const` context.

use super::{Access, Field};

/// Bits `hi:lo` of a little-endian array of words. A field may straddle two words.
///
/// # Panics
/// If `hi < lo`, the field is wider than 64 bits, or it lies outside `words`.
pub const fn extract(words: &[u64], hi: u32, lo: u32) -> u64 {
    assert!(hi >= lo && hi - lo < 64, "a field has 1 to 64 bits");
    let (word, shift, width) = ((lo / 64) as usize, lo % 64, hi - lo + 1);
    let mut value = words[word] >> shift;
    if shift + width > 64 {
        value |= words[word + 1] << (64 - shift);
    }
    value & ones(width)
}

/// `words` with bits `hi:lo` replaced by the low bits of `value`.
///
/// # Panics
/// As [`extract`].
pub const fn insert<const N: usize>(mut words: [u64; N], hi: u32, lo: u32, value: u64) -> [u64; N] {
    assert!(hi >= lo && hi - lo < 64, "a field has 1 to 64 bits");
    let (word, shift, width) = ((lo / 64) as usize, lo % 64, hi - lo + 1);
    let value = value & ones(width);
    words[word] = (words[word] & !(ones(width) << shift)) | (value << shift);
    if shift + width > 64 {
        let spilled = shift + width - 64;
        words[word + 1] = (words[word + 1] & !ones(spilled)) | (value >> (64 - shift));
    }
    words
}

/// All bits of the `fields` whose access is one of `access`.
pub const fn mask_of<const N: usize>(fields: &[Field], access: &[Access]) -> [u64; N] {
    let mut mask = [0; N];
    let mut i = 0;
    while i < fields.len() {
        let mut j = 0;
        while j < access.len() {
            if fields[i].access as u8 == access[j] as u8 {
                mask = set_bits(mask, fields[i].hi, fields[i].lo);
            }
            j += 1;
        }
        i += 1;
    }
    mask
}

/// Whether `fields`, in descending order, cover bits `bits - 1` to 0 exactly once each.
pub const fn tiles(fields: &[Field], bits: u32) -> bool {
    let mut next = bits;
    let mut i = 0;
    while i < fields.len() {
        if fields[i].hi + 1 != next || fields[i].lo > fields[i].hi {
            return false;
        }
        next = fields[i].lo;
        i += 1;
    }
    next == 0
}

/// Sets bits `hi:lo`, which may span any number of words (reserved rows can be wide).
const fn set_bits<const N: usize>(mut words: [u64; N], hi: u32, lo: u32) -> [u64; N] {
    let mut bit = lo;
    while bit <= hi {
        words[(bit / 64) as usize] |= 1 << (bit % 64);
        bit += 1;
    }
    words
}

const fn ones(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}
