//! Random programs of integer instructions.
//!
//! A [`Program`] is a function of seed, index and [`Extent`] alone, so only what became of it has to
//! be kept. It is made of units that stand by themselves: a data-processing instruction, or a load or
//! store with the instructions that make its address. Branches go to the beginnings of units, ahead
//! but for loops, and a loop shifts [`COUNTER`] down to zero; so every program ends.

use super::format::{CODE, DATA, Flavour, PAGE, Random, State};
use super::forms;

/// What instructions a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Armv8.0-A with CRC32.
    V8_0,
    /// And LSE, LOR, LRCPC, LRCPC2, FlagM, FlagM2 and SB.
    Later,
}

/// The register that counts loops; no unit writes it.
pub const COUNTER: u32 = 28;
/// Units of a program, without those that loops and branches add.
const UNITS: usize = 112;
/// No program is longer, so that it fits its page with the word that ends it.
pub const LONGEST: usize = 1000;

/// An instruction word, or one that depends on where it or a unit comes to lie.
#[derive(Clone, Copy)]
pub enum Word {
    Plain(u32),
    /// ADR of an address.
    Adr {
        rd: u32,
        target: u64,
    },
    /// ADR of a unit.
    AdrUnit {
        rd: u32,
        unit: usize,
    },
    /// A load of an address by its distance, in bits 23:5.
    Literal {
        word: u32,
        target: u64,
    },
    /// A branch to a unit, by a distance of `bits` bits from bit `at` on.
    Branch {
        word: u32,
        unit: usize,
        at: u32,
        bits: u32,
    },
}

/// A program with the state it starts in.
pub struct Program {
    pub state: State,
    pub words: Vec<u32>,
    /// What each word is of.
    pub names: Vec<&'static str>,
}

struct Unit {
    name: &'static str,
    words: Vec<Word>,
}

impl Program {
    pub fn of(seed: u64, index: u32, extent: Extent) -> Self {
        let mut random = Random(seed.rotate_left(32) ^ u64::from(index).wrapping_mul(0x9fb2_1c65_1e98_df25));
        let units = draw(&mut random, extent);
        let mut starts = vec![0];
        for unit in &units {
            starts.push(starts[starts.len() - 1] + unit.words.len());
        }
        let mut words: Vec<u32> = Vec::new();
        let mut names = Vec::new();
        for unit in &units {
            for word in &unit.words {
                words.push(place(*word, words.len(), &starts));
                names.push(unit.name);
            }
        }
        assert!(words.len() <= LONGEST, "the program fits its page");
        assert_eq!(words.len(), names.len());
        Self { state: State::seeded(seed, index, Flavour::Integer), words, names }
    }
}

/// Draws the units of a program.
fn draw(random: &mut Random, extent: Extent) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    // First unit and last unit but one of the loop being drawn.
    let mut open: Option<(usize, usize)> = None;
    while units.len() < UNITS {
        if let Some((first, end)) = open
            && units.len() >= end
        {
            // At most 16 rounds, wherever the loop was entered.
            let shift = 4 + random.below(20) as u32;
            let count = 0xd340_fc00 | shift << 16 | COUNTER << 5 | COUNTER;
            let back = Word::Branch { word: 0xb500_0000 | COUNTER, unit: first, at: 5, bits: 19 };
            units.push(Unit { name: "loop end", words: vec![Word::Plain(count), back] });
            open = None;
        }
        match random.below(24) {
            0 if open.is_none() => {
                // MOVZ of 16 bits to one of the four places.
                let word = 0xd280_0000 | (random.below(1 << 18) as u32) << 5 | COUNTER;
                units.push(Unit { name: "loop", words: vec![Word::Plain(word)] });
                let length = 1 + random.below(8) as usize;
                open = Some((units.len(), units.len() + length));
            }
            0..=2 => {
                let to = units.len() + 1 + random.below(6) as usize;
                units.push(branch(random, to));
            }
            _ => {
                let (name, words) = forms::draw(random, extent);
                units.push(Unit { name, words });
            }
        }
    }
    // Where the last branches may go.
    for _ in 0..8 {
        units.push(Unit { name: "nop", words: vec![Word::Plain(0xd503_201f)] });
    }
    units
}

fn branch(random: &mut Random, unit: usize) -> Unit {
    let register = random.below(32) as u32;
    let fields = random.next() as u32;
    let (name, words) = match random.below(9) {
        0 => ("b", vec![Word::Branch { word: 0x1400_0000, unit, at: 0, bits: 26 }]),
        1 => ("bl", vec![Word::Branch { word: 0x9400_0000, unit, at: 0, bits: 26 }]),
        2 | 3 => ("b.cond", vec![Word::Branch { word: 0x5400_0000 | fields & 15, unit, at: 5, bits: 19 }]),
        // Either size, zero or not.
        4 => {
            let word = 0x3400_0000 | fields & 0x8100_0000 | register;
            ("cbz", vec![Word::Branch { word, unit, at: 5, bits: 19 }])
        }
        // Any bit, zero or not.
        5 => {
            let word = 0x3600_0000 | fields & 0x81f8_0000 | register;
            ("tbz", vec![Word::Branch { word, unit, at: 5, bits: 14 }])
        }
        other => {
            let (name, word) = match other {
                6 => ("br", 0xd61f_0000),
                7 => ("blr", 0xd63f_0000),
                _ => ("ret", 0xd65f_0000),
            };
            let rn = forms::destination(random) & 30;
            let rn = if rn == COUNTER { 30 } else { rn };
            (name, vec![Word::AdrUnit { rd: rn, unit }, Word::Plain(word | rn << 5)])
        }
    };
    Unit { name, words }
}

/// The word that lies at index `at`.
fn place(word: Word, at: usize, starts: &[usize]) -> u32 {
    let here = CODE + 4 * at as u64;
    let address = |unit: usize| CODE + 4 * starts[unit] as u64;
    // Distances are within the page and the next one, so their low bits are all of them.
    let adr = |rd: u32, target: u64| {
        let distance = target.wrapping_sub(here) as u32;
        0x1000_0000 | (distance & 3) << 29 | (distance >> 2 & 0x7_ffff) << 5 | rd
    };
    match word {
        Word::Plain(word) => word,
        Word::Adr { rd, target } => adr(rd, target),
        Word::AdrUnit { rd, unit } => adr(rd, address(unit)),
        Word::Literal { word, target } => word | (target.wrapping_sub(here) as u32 >> 2 & 0x7_ffff) << 5,
        Word::Branch { word, unit, at, bits } => {
            let distance = address(unit).wrapping_sub(here) as u32 >> 2;
            word | (distance & ((1 << bits) - 1)) << at
        }
    }
}

/// An address for `size` bytes of the page of data, where the base of `offset` to it would be a
/// multiple of `align`.
pub fn target(random: &mut Random, size: u64, offset: u64, align: u64) -> u64 {
    loop {
        let target = DATA + random.below(PAGE as u64 - size + 1);
        if target.wrapping_sub(offset).is_multiple_of(align) {
            return target;
        }
    }
}
