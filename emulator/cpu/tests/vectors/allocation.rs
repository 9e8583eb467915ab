//! Words of the integer groups, allocated or not: random ones, and such as differ little from those
//! that programs use.
//!
//! Branches and system instructions are not among them: what is undefined there is a matter of the
//! exception level and of registers, and of calls to the host.

use super::format::Random;
use super::forms;
use super::program::{Extent, Word};

/// The word of an index.
pub fn word(seed: u64, index: u32, extent: Extent) -> u32 {
    let mut random = Random(seed ^ u64::from(index).wrapping_mul(0xd134_2543_de82_ef95));
    loop {
        let word = match random.below(3) {
            0 => random.next() as u32,
            flips => {
                let (_, words) = forms::draw(&mut random, extent);
                let Some(Word::Plain(word)) = words.last() else { continue };
                (0..flips).fold(*word, |word, _| word ^ 1 << random.below(32))
            }
        };
        if integer(word) && !tagging(word) {
            return word;
        }
    }
}

/// Is it data processing, or a load or store of general registers?
fn integer(word: u32) -> bool {
    match word >> 25 & 0b1111 {
        0b1000 | 0b1001 | 0b0101 | 0b1101 => true,
        group => group & 0b0101 == 0b0100 && word >> 26 & 1 == 0,
    }
}

/// Is it of FEAT_MTE, which the reference has and this CPU has not?
fn tagging(word: u32) -> bool {
    // ADDG and SUBG, then STGP, the loads and stores of tags, and SUBP, IRG and GMI.
    word & 0x1f80_0000 == 0x1180_0000
        || word & 0xfc40_0000 == 0x6800_0000
        || word & 0xff20_0000 == 0xd920_0000
        || word & 0xdfe0_0000 == 0x9ac0_0000 && matches!(word >> 10 & 0x3f, 0 | 4 | 5)
}
