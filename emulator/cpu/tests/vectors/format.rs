//! Test vectors of A64 instructions: initial state, instruction words, what became of them.
//!
//! A file is a zlib stream of a header and cases. All numbers are little-endian.
//!
//! | header | |
//! |---|---|
//! | 4 bytes | `A64V` |
//! | u64 | seed |
//! | u32 | number of cases |
//!
//! | case | |
//! |---|---|
//! | u8 | outcome: 0 ended, 1 undefined instruction, 2 a sequence that ended |
//! | u8 | [`Flavour`] of the initial state |
//! | u8 | number of words; then the words, u32 each, but not of a sequence |
//! | u8 | number of general registers that are set; then register and value of each, u8 and u64 |
//! | outcome 0 | what differs from the initial state: entries of a tag and a value, and the tag 255 |
//! | outcome 2 | u64, [`State::digest`] of the final state |
//!
//! | tag | value |
//! |---|---|
//! | 0 to 31 | u64: X0 to X30, SP |
//! | 32 to 63 | u128: V0 to V31 |
//! | 64 | u8: NZCV, N being bit 3 |
//! | 65, 66 | u32: FPCR, FPSR |
//! | 67 | bytes of memory: offset and length, u16 each, and the bytes |
//! | 68 | u64: PC, where it is not behind the last word |
//!
//! The initial state is [`State::seeded`] of the file's seed and the case's index, with the general
//! registers set that the case names. The words lie at [`CODE`], where PC starts, with a BRK behind
//! them; the memory is the page at [`DATA`], which is normal memory. The exception level does not
//! matter. Where an instruction is undefined, nothing is said of the rest of the state.
//!
//! The words of a sequence are drawn by [`Pool`] from those of the cases before it.

use std::io::Read;

/// Where the words lie.
pub const CODE: u64 = 0x4000_0000;
/// The page of memory.
pub const DATA: u64 = 0x4000_1000;
/// Its bytes.
pub const PAGE: usize = 4096;

/// What values an initial state is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Flavour {
    /// All of those below.
    Mixed,
    /// Half precision in the vector registers.
    Half,
    /// Single precision.
    Single,
    /// Double precision.
    Double,
    /// Integers of 8 to 64 bits, many of them at the ends of their range.
    Integer,
    /// Half precision, and FPCR.FZ16 may be set.
    HalfFlushed,
}

impl Flavour {
    pub fn of(number: u8) -> Self {
        match number {
            1 => Self::Half,
            2 => Self::Single,
            3 => Self::Double,
            4 => Self::Integer,
            5 => Self::HalfFlushed,
            _ => Self::Mixed,
        }
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A floating-point pattern of 16, 32 or 64 bits: special ones, and such as make rounding,
    /// overflow and cancellation likely.
    fn float(&mut self, bits: u32) -> u64 {
        let (exponent, fraction) = match bits {
            16 => (5, 10),
            32 => (8, 23),
            _ => (11, 52),
        };
        let mask = (1u64 << fraction) - 1;
        let infinity = ((1u64 << exponent) - 1) << fraction;
        let bias = (1u64 << (exponent - 1)) - 1;
        let random = self.next() & mask;
        let magnitude = match self.below(24) {
            0 => 0,
            1 => infinity,
            2 => infinity | 1 << (fraction - 1) | random,
            3 => infinity | (random >> 1).max(1),
            4 => random,
            5 => random >> self.below(fraction),
            6 => 1 << fraction | random,
            7 => (1 << fraction) - 1 + self.below(3),
            8 => infinity - 1 - self.below(4),
            9 => (infinity - (1 << fraction)) | random,
            10 => bias << fraction,
            11 => (bias + self.below(4)) << fraction | 1 << (fraction - 1),
            // Around the ends of integer types.
            12 => (bias + [7, 15, 31, 63][self.below(4) as usize]).min((1 << exponent) - 2) << fraction,
            13 => ((bias + [7, 15, 31, 63][self.below(4) as usize]).min((1 << exponent) - 2) << fraction) - 1,
            14 | 15 => (bias + self.below(fraction + 12)).min((1 << exponent) - 2) << fraction | random,
            16..=19 => (bias - 2 + self.below(5)) << fraction | random,
            // Few bits set, so that results are exact or ties.
            20 | 21 => (bias - 3 + self.below(12)) << fraction | random & !(mask >> self.below(fraction)),
            _ => self.next() & (infinity | mask),
        };
        magnitude | (self.next() & 1) << (bits - 1)
    }

    /// An integer pattern of up to 64 bits.
    fn integer(&mut self, bits: u32) -> u64 {
        let mask = !0 >> (64 - bits);
        mask & match self.below(8) {
            0 => 0,
            1 => !0,
            2 => 1 << (bits - 1),
            3 => mask >> 1,
            4 => self.below(5).wrapping_sub(2),
            5 => (1u64 << (bits - 1)).wrapping_add(self.below(5)).wrapping_sub(2),
            _ => self.next(),
        }
    }

    fn vector(&mut self, flavour: Flavour) -> u128 {
        let flavour = match flavour {
            Flavour::Mixed => Flavour::of(1 + self.below(5) as u8),
            flavour => flavour,
        };
        let bits = match flavour {
            Flavour::Half | Flavour::HalfFlushed => 16,
            Flavour::Single => 32,
            Flavour::Double => 64,
            _ => 8 << self.below(4),
        };
        (0..128 / bits).fold(0, |vector, lane| {
            let value = match flavour {
                Flavour::Integer => self.integer(bits),
                Flavour::Mixed => self.next() & (!0 >> (64 - bits)),
                _ => self.float(bits),
            };
            vector | u128::from(value) << (lane * bits)
        })
    }
}

/// What an instruction can see and change.
#[derive(Clone, PartialEq, Eq)]
pub struct State {
    /// X0 to X30, SP.
    pub x: [u64; 32],
    pub v: [u128; 32],
    pub pc: u64,
    /// N being bit 3.
    pub nzcv: u8,
    pub fpcr: u32,
    pub fpsr: u32,
    pub memory: Box<[u8; PAGE]>,
}

impl State {
    /// The initial state of a case, before general registers are set.
    pub fn seeded(seed: u64, case: u32, flavour: Flavour) -> Self {
        let mut random = Random(seed ^ u64::from(case).wrapping_mul(0xd134_2543_de82_ef95));
        let x = std::array::from_fn(|_| match random.below(4) {
            0 => random.float(32) | random.next() << 32,
            1 => random.float(64),
            _ => {
                let bits = 8 << random.below(4);
                random.integer(bits)
            }
        });
        let v = std::array::from_fn(|_| random.vector(flavour));
        // Half of the states are as programs have them: nearest, no flushing.
        let fpcr = if random.next() & 1 == 0 { 0 } else { (random.next() as u32 & 0x1f) << 22 };
        let fz16 = if flavour == Flavour::HalfFlushed { (random.next() as u32 & 1) << 19 } else { 0 };
        let fpcr = fpcr | fz16;
        let fpsr = match random.below(4) {
            0 => random.next() as u32 & 0x0800_009f,
            1 => 0x10,
            _ => 0,
        };
        let nzcv = random.below(16) as u8;
        let mut memory = Box::new([0; PAGE]);
        for bytes in memory.as_chunks_mut::<8>().0 {
            *bytes = random.next().to_le_bytes();
        }
        let mut state = Self { x, v, pc: CODE, nzcv, fpcr, fpsr, memory };
        state.x[31] = DATA + PAGE as u64 / 2 + 16 * random.below(8);
        state
    }

    /// A number that differs, very likely, where any of the state does: FNV-1a of X0 to X30, SP, V0 to
    /// V31, PC, NZCV, FPCR, FPSR and memory, by 64-bit words.
    pub fn digest(&self) -> u64 {
        let halves = self.v.iter().flat_map(|v| [*v as u64, (*v >> 64) as u64]);
        let rest = [self.pc, self.nzcv.into(), self.fpcr.into(), self.fpsr.into()];
        let (memory, _) = self.memory.as_chunks::<8>();
        let memory = memory.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let words = self.x.into_iter().chain(halves).chain(rest).chain(memory);
        words.fold(0xcbf2_9ce4_8422_2325, |hash: u64, word| {
            let hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
            hash ^ hash >> 29
        })
    }
}

/// What became of a case.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The words ran to their end, and this is the state.
    Ended(Box<State>),
    /// One of them is undefined.
    Undefined,
    /// The words ran to their end, and this is the digest of the state.
    Digest(u64),
}

#[derive(Clone)]
pub struct Case {
    pub flavour: Flavour,
    pub words: Vec<u32>,
    /// General registers set in the initial state.
    pub sets: Vec<(u8, u64)>,
    pub outcome: Outcome,
}

impl Case {
    /// The state it starts in.
    pub fn initial(&self, seed: u64, index: u32) -> State {
        let mut state = State::seeded(seed, index, self.flavour);
        for (register, value) in &self.sets {
            state.x[usize::from(register & 31)] = *value;
        }
        state
    }
}

pub const END: u8 = 255;

/// What sequences are drawn from: words that ran alone without general registers set for them, left
/// SP as it was and PC behind them, and are no loads or stores.
pub struct Pool {
    pub seed: u64,
    words: Vec<u32>,
}

impl Pool {
    pub fn new(seed: u64) -> Self {
        Self { seed, words: Vec::new() }
    }

    pub fn learn(&mut self, case: &Case, initial: &State) {
        let (Outcome::Ended(end), [word], []) = (&case.outcome, &case.words[..], &case.sets[..]) else {
            return;
        };
        let load_or_store = word >> 25 & 0b101 == 0b100;
        if end.pc == CODE + 4 && end.x[31] == initial.x[31] && !load_or_store {
            self.words.push(*word);
        }
    }

    /// The words of the sequence that is case `index`.
    pub fn draw(&self, index: u32, length: u8) -> Vec<u32> {
        let mut random = Random(!self.seed ^ u64::from(index).wrapping_mul(0xd134_2543_de82_ef95));
        (0..length).map(|_| self.words[random.below(self.words.len() as u64) as usize]).collect()
    }
}

/// Hands every case of a file to `each`, with its index and the initial state.
pub fn read(file: &[u8], mut each: impl FnMut(u32, Case, State)) {
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(file).read_to_end(&mut bytes).unwrap();
    let mut from = Reader(&bytes);
    assert_eq!(from.take(), *b"A64V");
    let (seed, count) = (from.u64(), u32::from_le_bytes(from.take()));
    let mut pool = Pool::new(seed);
    for index in 0..count {
        let case = decode_case(&mut from, &pool, index);
        let initial = case.initial(seed, index);
        pool.learn(&case, &initial);
        each(index, case, initial);
    }
    assert!(from.0.is_empty(), "nothing behind the last case");
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self.0.split_first_chunk().unwrap();
        self.0 = rest;
        *bytes
    }

    fn u8(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

fn decode_case(from: &mut Reader<'_>, pool: &Pool, index: u32) -> Case {
    let [outcome, flavour, length] = from.take();
    let flavour = Flavour::of(flavour);
    let words = match outcome {
        2 => pool.draw(index, length),
        _ => (0..length).map(|_| u32::from_le_bytes(from.take())).collect(),
    };
    let sets = (0..from.u8()).map(|_| (from.u8(), from.u64())).collect();
    let mut case = Case { flavour, words, sets, outcome: Outcome::Undefined };
    match outcome {
        0 => {
            let mut end = case.initial(pool.seed, index);
            end.pc = CODE + 4 * case.words.len() as u64;
            loop {
                match from.u8() {
                    END => break,
                    tag @ 0..32 => end.x[usize::from(tag)] = from.u64(),
                    tag @ 32..64 => end.v[usize::from(tag - 32)] = u128::from_le_bytes(from.take()),
                    64 => end.nzcv = from.u8(),
                    65 => end.fpcr = u32::from_le_bytes(from.take()),
                    66 => end.fpsr = u32::from_le_bytes(from.take()),
                    67 => {
                        let [first, length] = [(); 2].map(|()| usize::from(u16::from_le_bytes(from.take())));
                        end.memory[first..first + length].fill_with(|| from.u8());
                    }
                    68 => end.pc = from.u64(),
                    tag => panic!("tag {tag} is not known"),
                }
            }
            case.outcome = Outcome::Ended(Box::new(end));
        }
        1 => {}
        2 => case.outcome = Outcome::Digest(from.u64()),
        other => panic!("outcome {other} is not known"),
    }
    case
}
