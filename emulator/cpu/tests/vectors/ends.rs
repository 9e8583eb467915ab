//! How the programs of [`super::program`] end: files of digests.
//!
//! A file is a zlib stream of a header and one entry for each program. All numbers are little-endian.
//!
//! | header | |
//! |---|---|
//! | 4 bytes | `A64P` |
//! | u64 | seed |
//! | u8 | [`Extent`]: 0 is Armv8.0-A, 1 later |
//! | u32 | number of programs |
//!
//! An entry is two numbers of 64 bits: of X0 to X30, SP, PC and NZCV, and of the page of memory.
//!
//! What is allocated is kept in a file with the same header, but for the four bytes `A64U` and the
//! number of words, and a bit for each word of [`super::allocation`], the lowest bit of a byte first;
//! it is set where the word is undefined.

use std::io::{Read, Write};

use super::format::State;
use super::program::Extent;

/// The final state of a program, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub registers: u64,
    pub memory: u64,
}

/// A number that differs, very likely, where any of the words does.
fn digest(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(0xcbf2_9ce4_8422_2325, |hash: u64, word| {
        let hash = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^ hash >> 32
    })
}

impl End {
    pub fn of(state: &State) -> Self {
        let (memory, _) = state.memory.as_chunks::<8>();
        Self {
            registers: digest(state.x.into_iter().chain([state.pc, state.nzcv.into()])),
            memory: digest(memory.iter().map(|bytes| u64::from_le_bytes(*bytes))),
        }
    }
}

/// The ends of all programs of a seed.
pub struct Ends {
    pub seed: u64,
    pub extent: Extent,
    pub ends: Vec<End>,
}

/// Writes a header and what follows it.
fn write(magic: [u8; 4], seed: u64, extent: Extent, count: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    file.write_all(&magic).unwrap();
    file.write_all(&seed.to_le_bytes()).unwrap();
    file.write_all(&[u8::from(extent == Extent::Later)]).unwrap();
    file.write_all(&(count as u32).to_le_bytes()).unwrap();
    file.write_all(bytes).unwrap();
    file.finish().unwrap()
}

/// Seed, extent, number of entries, and the entries.
fn read(magic: [u8; 4], file: &[u8]) -> (u64, Extent, usize, Vec<u8>) {
    let mut from = flate2::read::ZlibDecoder::new(file);
    let mut header = [0; 17];
    from.read_exact(&mut header).unwrap();
    assert_eq!(header[..4], magic);
    let seed = u64::from_le_bytes(header[4..12].try_into().unwrap());
    let extent = if header[12] == 0 { Extent::V8_0 } else { Extent::Later };
    let count = u32::from_le_bytes(header[13..].try_into().unwrap()) as usize;
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    (seed, extent, count, bytes)
}

impl Ends {
    pub fn read(file: &[u8]) -> Self {
        let (seed, extent, count, bytes) = read(*b"A64P", file);
        let (entries, rest) = bytes.as_chunks::<16>();
        assert!(rest.is_empty() && entries.len() == count, "all programs and nothing else");
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let end = |entry: &[u8; 16]| End { registers: word(&entry[..8]), memory: word(&entry[8..]) };
        Self { seed, extent, ends: entries.iter().map(end).collect() }
    }

    pub fn write(&self) -> Vec<u8> {
        let words = self.ends.iter().flat_map(|end| [end.registers, end.memory]);
        let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        write(*b"A64P", self.seed, self.extent, self.ends.len(), &bytes)
    }
}

/// Which words of a seed are undefined.
pub struct Allocation {
    pub seed: u64,
    pub extent: Extent,
    pub undefined: Vec<bool>,
}

impl Allocation {
    pub fn read(file: &[u8]) -> Self {
        let (seed, extent, count, bytes) = read(*b"A64U", file);
        assert_eq!(bytes.len(), count.div_ceil(8), "all words and nothing else");
        let undefined = (0..count).map(|at| bytes[at / 8] >> (at % 8) & 1 != 0).collect();
        Self { seed, extent, undefined }
    }

    pub fn write(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| (0..).zip(bits).fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at);
        let bytes: Vec<u8> = self.undefined.chunks(8).map(byte).collect();
        write(*b"A64U", self.seed, self.extent, self.undefined.len(), &bytes)
    }
}
