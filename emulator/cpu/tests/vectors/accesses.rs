//! Loads and stores that [`super::program`] draws from, each with the instructions that make its
//! address.
//!
//! Addresses are anywhere in the page of data, aligned or not, but for accesses that have to be
//! aligned. Where the architecture leaves it open what happens, registers are drawn apart: a base
//! that is written back and a register transferred, the two of a pair, a status and anything else.

use super::format::{DATA, Random};
use super::forms::destination;
use super::program::{Extent, Word, target};

type Draw = fn(&mut Random) -> Vec<Word>;

const V8_0: &[(&str, Draw)] = &[
    ("unsigned offset", unsigned_offset),
    ("unsigned offset", unsigned_offset),
    ("unscaled", |random| unscaled(random, 0b00)),
    ("unprivileged", |random| unscaled(random, 0b10)),
    ("post-index", |random| indexed(random, 0b01)),
    ("pre-index", |random| indexed(random, 0b11)),
    ("register offset", register_offset),
    ("register offset", register_offset),
    ("literal", literal),
    ("prefetch", prefetch),
    ("pair, no allocate", |random| pair(random, 0b00)),
    ("pair, post-index", |random| pair(random, 0b01)),
    ("pair", |random| pair(random, 0b10)),
    ("pair, pre-index", |random| pair(random, 0b11)),
    ("exclusive", exclusive),
    ("exclusive", exclusive),
    ("load-acquire, store-release", |random| ordered(random, 0x0880_8000)),
];

const LATER: &[(&str, Draw)] = &[
    ("LDLAR, STLLR", |random| ordered(random, 0x0880_0000)),
    ("LDAPR", load_acquire_rcpc),
    ("LDAPUR, STLUR", ordered_unscaled),
    ("atomic", atomic),
    ("atomic", atomic),
    ("CAS", compare_and_swap),
    ("CASP", compare_and_swap_pair),
];

/// Draws a unit.
pub fn draw(random: &mut Random, extent: Extent) -> (&'static str, Vec<Word>) {
    let later = extent == Extent::Later && random.below(3) == 0;
    let table = if later { LATER } else { V8_0 };
    let (name, draw) = table[random.below(table.len() as u64) as usize];
    (name, draw(random))
}

/// A register that may be written and is none of `others`.
fn apart(random: &mut Random, others: &[u32]) -> u32 {
    loop {
        let register = destination(random);
        if !others.contains(&register) {
            return register;
        }
    }
}

/// A register that a load writes or a store reads.
fn transferred(random: &mut Random) -> u32 {
    destination(random)
}

/// Words that make register `rn` of the last one an address `offset` below one for `size` bytes, that
/// is a multiple of `size` where it has to be `aligned`; SP at times. `word` has all but the base.
fn access(
    random: &mut Random,
    word: u32,
    size: u64,
    offset: u64,
    aligned: bool,
    others: &[u32],
) -> Vec<Word> {
    // SP is a multiple of 16, from which the offset may not lead to where the access has to be.
    let sp = random.below(6) == 0 && (!aligned || offset.is_multiple_of(size));
    let place = loop {
        let place = target(random, size, offset, if sp { 16 } else { 1 });
        if !aligned || place.is_multiple_of(size) {
            break place;
        }
    };
    // A base of 31 would be SP.
    let register = loop {
        let register = apart(random, others);
        if register != 31 {
            break register;
        }
    };
    let mut words = vec![Word::Adr { rd: register, target: place.wrapping_sub(offset) }];
    if sp {
        words.push(Word::Plain(0x9100_001f | register << 5));
        words.push(Word::Plain(word | 31 << 5));
    } else {
        words.push(Word::Plain(word | register << 5));
    }
    words
}

/// Size and opc of a load or store of a general register, and log2 of the bytes.
fn transfer(random: &mut Random) -> (u32, u32) {
    loop {
        let (size, opc) = (random.below(4) as u32, random.below(4) as u32);
        // PRFM, and what is unallocated.
        if !(size == 3 && opc >= 2 || size == 2 && opc == 3) {
            return (size << 30 | opc << 22, size);
        }
    }
}

/// Sign-extends the low `bits` bits.
fn extended(value: u64, bits: u32) -> u64 {
    ((value << (64 - bits)) as i64 >> (64 - bits)) as u64
}

fn unsigned_offset(random: &mut Random) -> Vec<Word> {
    let ((fields, size), imm) = (transfer(random), random.below(1 << 12));
    let word = 0x3900_0000 | fields | (imm as u32) << 10 | transferred(random);
    access(random, word, 1 << size, imm << size, false, &[])
}

fn unscaled(random: &mut Random, mode: u32) -> Vec<Word> {
    let ((fields, size), imm) = (transfer(random), random.below(1 << 9));
    let word = 0x3800_0000 | fields | (imm as u32) << 12 | mode << 10 | transferred(random);
    access(random, word, 1 << size, extended(imm, 9), false, &[])
}

fn indexed(random: &mut Random, mode: u32) -> Vec<Word> {
    let ((fields, size), imm) = (transfer(random), random.below(1 << 9));
    let rt = transferred(random);
    let word = 0x3800_0000 | fields | (imm as u32) << 12 | mode << 10 | rt;
    let offset = if mode == 0b11 { extended(imm, 9) } else { 0 };
    access(random, word, 1 << size, offset, false, &[rt])
}

fn register_offset(random: &mut Random) -> Vec<Word> {
    let (fields, size) = transfer(random);
    let shift = random.below(2) as u32;
    let option = [0b010, 0b011, 0b110, 0b111][random.below(4) as usize];
    let rm = loop {
        let register = apart(random, &[]);
        if register != 31 {
            break register;
        }
    };
    let imm = random.below(1 << 10);
    let negative = option != 0b010 && random.next() & 1 != 0;
    let value = if negative { !imm } else { imm };
    let mut words =
        vec![Word::Plain(if negative { 0x9280_0000 } else { 0xd280_0000 } | (imm as u32) << 5 | rm)];
    if option & 1 == 0 {
        // MOVK: only the low half counts.
        words.push(Word::Plain(0xf2c0_0000 | (random.below(1 << 16) as u32) << 5 | rm));
    }
    let word = 0x3820_0800 | fields | rm << 16 | option << 13 | shift << 12 | transferred(random);
    let offset = value << (shift * size);
    words.extend(access(random, word, 1 << size, offset, false, &[rm]));
    words
}

fn literal(random: &mut Random) -> Vec<Word> {
    let (opc, size) = [(0, 4), (1, 8), (2, 4), (3, 8)][random.below(4) as usize];
    let place = target(random, size, 0, 4);
    vec![Word::Literal { word: 0x1800_0000 | opc << 30 | transferred(random), target: place }]
}

/// PRFM and PRFUM, wherever they point to.
fn prefetch(random: &mut Random) -> Vec<Word> {
    let fields = random.next() as u32;
    vec![Word::Plain(match random.below(3) {
        0 => 0xf980_0000 | fields & 0x003f_ffff,
        1 => 0xf880_0000 | fields & 0x001f_f3ff,
        _ => 0xf8a0_4800 | fields & 0x001f_b3ff,
    })]
}

fn pair(random: &mut Random, mode: u32) -> Vec<Word> {
    let load = random.below(2) as u32;
    let opc = match random.below(3) {
        // LDPSW, of which there is no store and no hint.
        1 if load == 0 || mode == 0 => 0,
        opc => opc as u32,
    };
    let scale = if opc == 2 { 3 } else { 2 };
    let rt = transferred(random);
    let rt2 = apart(random, &[rt]);
    let imm = random.below(1 << 7);
    let word = 0x2800_0000 | opc << 30 | mode << 23 | load << 22 | (imm as u32) << 15 | rt2 << 10 | rt;
    let offset = if mode == 0b01 { 0 } else { extended(imm, 7) << scale };
    let others = [rt, rt2];
    let others = if mode & 1 != 0 { &others[..] } else { &[] };
    access(random, word, 2 << scale, offset, false, others)
}

/// Something between a load-exclusive and its store.
fn disturbance(random: &mut Random, base: u32) -> Option<Word> {
    Some(Word::Plain(match random.below(6) {
        // CLREX
        0 => 0xd503_3f5f,
        // STR of X0 or XZR there.
        1 => 0xf900_0000 | base << 5,
        2 => 0xf900_001f | base << 5,
        // ADD of 1 to X0.
        3 => 0x9100_0400,
        _ => return None,
    }))
}

/// A load-exclusive, and at times a store-exclusive there or elsewhere; or the store alone.
fn exclusive(random: &mut Random) -> Vec<Word> {
    let size = random.below(4) as u32;
    let pair = size >= 2 && random.next() & 1 != 0;
    let bytes = 1 << (size + u32::from(pair));
    let (rt, base) = (transferred(random), apart(random, &[0, 31]));
    let rt = if rt == base { 31 } else { rt };
    let rt2 = apart(random, &[rt, base]);
    let ordered = (random.next() as u32 & 1) << 15;
    let form = size << 30 | u32::from(pair) << 21 | if pair { rt2 << 10 } else { 31 << 10 };
    let word = 0x0800_0000 | form | ordered | base << 5 | rt;
    let load = word | 1 << 22 | 31 << 16;
    let status = apart(random, &[rt, rt2, base]);
    let store = word | status << 16;
    let place = loop {
        let place = target(random, bytes, 0, bytes);
        // STR writes eight bytes.
        if place <= DATA + 4088 {
            break place;
        }
    };
    let mut words = vec![Word::Adr { rd: base, target: place }];
    let way = random.below(8);
    if way != 0 {
        words.push(Word::Plain(load));
        words.extend(disturbance(random, base));
    }
    if way == 1 {
        let other = target(random, bytes, 0, bytes);
        words.push(Word::Adr { rd: base, target: other });
    }
    if way != 2 {
        words.push(Word::Plain(store));
    }
    words
}

/// Accesses that are ordered by acquire and release; `word` is the store of a byte.
fn ordered(random: &mut Random, word: u32) -> Vec<Word> {
    let (size, load) = (random.below(4) as u32, random.below(2) as u32);
    let word = word | size << 30 | load << 22 | 31 << 16 | 31 << 10 | transferred(random);
    access(random, word, 1 << size, 0, true, &[])
}

fn load_acquire_rcpc(random: &mut Random) -> Vec<Word> {
    let size = random.below(4) as u32;
    let word = 0x38bf_c000 | size << 30 | transferred(random);
    access(random, word, 1 << size, 0, true, &[])
}

fn ordered_unscaled(random: &mut Random) -> Vec<Word> {
    let ((fields, size), imm) = (transfer(random), random.below(1 << 9));
    let word = 0x1900_0000 | fields | (imm as u32) << 12 | transferred(random);
    access(random, word, 1 << size, extended(imm, 9), true, &[])
}

fn atomic(random: &mut Random) -> Vec<Word> {
    let size = random.below(4) as u32;
    // LDADD to LDUMIN, and SWP.
    let opcode = random.below(9) as u32;
    let order = (random.below(4) as u32) << 22;
    let rs = random.below(32) as u32;
    let word = 0x3820_0000 | size << 30 | order | rs << 16 | opcode << 12 | transferred(random);
    access(random, word, 1 << size, 0, true, &[rs])
}

fn compare_and_swap(random: &mut Random) -> Vec<Word> {
    let size = random.below(4) as u32;
    let order = [0, 1 << 15, 1 << 22, 1 << 22 | 1 << 15][random.below(4) as usize];
    let rs = transferred(random);
    let word = 0x08a0_7c00 | size << 30 | order | rs << 16 | transferred(random);
    let mut words = access(random, word, 1 << size, 0, true, &[rs]);
    if rs != 31 && random.next() & 1 != 0 {
        // What is compared is what is there: a load of it, with other high bits.
        let last = words.len() - 1;
        let Word::Plain(swap) = words[last] else { unreachable!("access ends in its word") };
        let load = 0x3940_0000 | size << 30 | swap & 31 << 5 | rs;
        words.insert(last, Word::Plain(load));
        if size < 3 && random.next() & 1 != 0 {
            // MOVK of bits 47 to 32.
            words.insert(last + 1, Word::Plain(0xf2c0_0020 | rs));
        }
    }
    words
}

fn compare_and_swap_pair(random: &mut Random) -> Vec<Word> {
    let size = random.below(2) as u32;
    let order = [0, 1 << 15, 1 << 22, 1 << 22 | 1 << 15][random.below(4) as usize];
    // Pairs begin with an even register; the loops' counter stays.
    let rs = (random.below(14) as u32) << 1;
    let rt = (random.below(16) as u32) << 1;
    let word = 0x0820_7c00 | size << 30 | order | rs << 16 | rt;
    let mut words = access(random, word, 8 << size, 0, true, &[rs, rs + 1]);
    if random.next() & 1 != 0 {
        let last = words.len() - 1;
        let Word::Plain(swap) = words[last] else { unreachable!("access ends in its word") };
        // LDP of what is there.
        let load = 0x2940_0000 | size << 31 | (rs + 1) << 10 | swap & 31 << 5 | rs;
        words.insert(last, Word::Plain(load));
    }
    words
}
