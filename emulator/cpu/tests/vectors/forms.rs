//! The forms of integer instructions that [`super::program`] draws from.
//!
//! Data processing is a table of patterns; loads and stores are in [`super::accesses`].

use super::accesses;
use super::format::Random;
use super::program::{COUNTER, Extent, Word};

/// A pattern has 32 places: `0`, `1`, `.` (random), and `d`, the field of a register that is written.
/// Whatever a pattern gives is allocated.
type Form = (&'static str, &'static str);

#[rustfmt::skip]
const V8_0: &[Form] = &[
    // Data processing, immediate.
    ("adr",                 "...10000...................ddddd"),
    ("add immediate",       "...100010..................ddddd"),
    ("logical 2",           "...1001000......111100.....ddddd"),
    ("logical 4",           "...1001000......1110.0.....ddddd"),
    ("logical 4",           "...1001000......11100......ddddd"),
    ("logical 8",           "...1001000......110.0......ddddd"),
    ("logical 16",          "...1001000......10..0......ddddd"),
    ("logical 32",          "...1001000......0...0......ddddd"),
    ("logical 64",          "1..1001001......0..........ddddd"),
    ("logical 64",          "1..1001001.......0.........ddddd"),
    ("movn",                "100100101..................ddddd"),
    ("movn 32",             "0001001010.................ddddd"),
    ("movz",                "110100101..................ddddd"),
    ("movz 32",             "0101001010.................ddddd"),
    ("movk",                "111100101..................ddddd"),
    ("movk 32",             "0111001010.................ddddd"),
    ("sbfm",                "1001001101.................ddddd"),
    ("sbfm 32",             "00010011000.....0..........ddddd"),
    ("bfm",                 "1011001101.................ddddd"),
    ("bfm 32",              "00110011000.....0..........ddddd"),
    ("ubfm",                "1101001101.................ddddd"),
    ("ubfm 32",             "01010011000.....0..........ddddd"),
    ("extr",                "10010011110................ddddd"),
    ("extr 32",             "00010011100.....0..........ddddd"),

    // Data processing, register.
    ("logical shifted",     "1..01010...................ddddd"),
    ("logical shifted 32",  "0..01010........0..........ddddd"),
    ("logical",             "...01010........000000.....ddddd"),
    ("mov",                 ".0101010000.....00000011111ddddd"),
    ("add shifted",         "1..010110.0................ddddd"),
    ("add shifted ASR",     "1..01011100................ddddd"),
    ("add shifted 32",      "0..010110.0.....0..........ddddd"),
    ("add shifted ASR 32",  "0..01011100.....0..........ddddd"),
    ("add",                 "...010110.0.....000000.....ddddd"),
    ("add extended",        "...01011001........0.......ddddd"),
    ("add extended by 4",   "...01011001........100.....ddddd"),
    ("adc",                 "...11010000.....000000.....ddddd"),
    ("ccmp",                "..111010010.........00.....0...."),
    ("ccmp immediate",      "..111010010.........10.....0...."),
    ("csel",                "..011010100.........0......ddddd"),
    ("rbit, rev16",         ".10110101100000000000......ddddd"),
    ("rev32",               ".101101011000000000010.....ddddd"),
    ("rev64",               "1101101011000000000011.....ddddd"),
    ("clz, cls",            ".10110101100000000010......ddddd"),
    ("divide",              ".0011010110.....00001......ddddd"),
    ("shift by register",   ".0011010110.....0010.......ddddd"),
    ("crc32 b, h",          "00011010110.....010.0......ddddd"),
    ("crc32 w",             "00011010110.....010.10.....ddddd"),
    ("crc32 x",             "10011010110.....010.11.....ddddd"),
    ("madd",                ".0011011000................ddddd"),
    ("maddl",               "10011011.01................ddddd"),
    ("mulh",                "10011011.10.....011111.....ddddd"),

    // System instructions that programs may use.
    ("mrs nzcv",            "110101010011101101000010000ddddd"),
    ("msr nzcv",            "110101010001101101000010000....."),
    ("nop",                 "11010101000000110010000000011111"),
    ("yield",               "11010101000000110010000000111111"),
    ("sev, sevl",           "11010101000000110010000010.11111"),
    ("clrex",               "11010101000000110011....01011111"),
    ("dsb, dmb",            "11010101000000110011..1110.11111"),
    ("isb",                 "11010101000000110011111111011111"),
];

#[rustfmt::skip]
const LATER: &[Form] = &[
    ("rmif",                "10111010000......00001.....0...."),
    ("setf8, setf16",       "00111010000000000.0010.....01101"),
    ("cfinv",               "11010101000000000100000000011111"),
    ("xaflag",              "11010101000000000100000000111111"),
    ("axflag",              "11010101000000000100000001011111"),
    ("sb",                  "11010101000000110011000011111111"),
];

/// A register that may be written: not the counter of loops.
pub fn destination(random: &mut Random) -> u32 {
    loop {
        let register = random.below(32) as u32;
        if register != COUNTER {
            return register;
        }
    }
}

fn fill(pattern: &str, random: &mut Random) -> u32 {
    let destination = destination(random);
    assert_eq!(pattern.len(), 32, "{pattern}");
    (0..32).rev().zip(pattern.bytes()).fold(0, |word, (at, place)| {
        let bit = match place {
            b'0' => 0,
            b'1' => 1,
            b'd' => destination >> at & 1,
            _ => random.next() as u32 & 1,
        };
        word | bit << at
    })
}

/// Draws a unit.
pub fn draw(random: &mut Random, extent: Extent) -> (&'static str, Vec<Word>) {
    if random.below(5) < 2 {
        return accesses::draw(random, extent);
    }
    let later = extent == Extent::Later && random.below(10) == 0;
    let table = if later { LATER } else { V8_0 };
    let (name, pattern) = table[random.below(table.len() as u64) as usize];
    (name, vec![Word::Plain(fill(pattern, random))])
}
