//! Generates test vectors: every pattern of a list, run by an oracle.
//!
//! ```text
//! aarch64-linux-gnu-gcc -O1 -static -o oracle emulator/cpu/tests/vectors/oracle.c
//! cargo run -p iommulator-cpu --example vectors -- \
//!     emulator/cpu/tests/vectors/simd.txt emulator/cpu/tests/vectors/simd.bin \
//!     1 16000 qemu-aarch64 -cpu cortex-a57 ./oracle
//! ```
//!
//! With `v8.0` or `later` instead of a list, it runs that many programs of integer instructions and
//! keeps digests of how they end:
//!
//! ```text
//! cargo run -p iommulator-cpu --example vectors -- \
//!     v8.0 emulator/cpu/tests/vectors/integer.bin 3 6144 qemu-aarch64 -cpu cortex-a57 ./oracle
//! cargo run -p iommulator-cpu --example vectors -- \
//!     later emulator/cpu/tests/vectors/integer_later.bin 4 6144 qemu-aarch64 -cpu max ./oracle
//! ```
//!
//! With `-words` behind these, it asks which of that many words of the integer groups are undefined:
//!
//! ```text
//! cargo run -p iommulator-cpu --example vectors -- v8.0-words \
//!     emulator/cpu/tests/vectors/allocation.bin 5 200000 qemu-aarch64 -cpu cortex-a57 ./oracle
//! cargo run -p iommulator-cpu --example vectors -- later-words \
//!     emulator/cpu/tests/vectors/allocation_later.bin 6 200000 \
//!     qemu-aarch64 -cpu max,pauth=off,sve=off,sme=off ./oracle
//! ```
//!
//! With `system`, it runs the image of `tests/system` and keeps what that records; a seed and a number
//! have no effect then:
//!
//! ```text
//! cargo run -p iommulator-cpu --example vectors -- \
//!     system emulator/cpu/tests/system/records.bin 0 0 \
//!     qemu-system-aarch64 -machine virt,gic-version=3 -cpu neoverse-n1 -m 128 -display none \
//!     -serial null -monitor none -semihosting-config enable=on,target=native
//! ```
//!
//! With `later-system` it is `tests/system/later_records.bin`, and `-cpu max,sve=off,sme=off`. It leaves
//! `image.elf` and `records` where it runs. Arguments: the list, the file to write, a seed, how many sequences of 64 instructions to add to the
//! single ones, and the command that runs the oracle. A line of the list is `name flavour count
//! pattern`. The pattern has 32 places: `0`, `1`, `x` (both values are gone through, in all
//! combinations), `b` (a base register: it will point into memory), `i` (an index register: it will
//! hold a small number) and `.` (random). Each combination is run `count` times, but twice where it is
//! undefined, and not at all where the oracle dies of it. A flavour is `i` (integers), `m` (mixed), `f` (by the type in bits 23:22 of scalar
//! floating point), `v` (by bit 22 of vectors) or `h` (half precision with FPCR.FZ16).

#![expect(clippy::unwrap_used, reason = "a tool for developers, which stops at whatever is wrong")]

mod accesses;
mod allocation;
mod encode;
mod ends;
mod format;
mod forms;
mod oracle;
mod program;
mod system;

#[path = "../system/cases.rs"]
mod cases;
#[path = "../system/debug.rs"]
mod debug;
#[path = "../system/events.rs"]
mod events;
#[path = "../system/image.rs"]
mod image;
#[path = "../system/memory.rs"]
mod memory;
#[path = "../system/records.rs"]
mod records;
#[path = "../system/registers.rs"]
mod registers;
#[path = "../system/tlb.rs"]
mod tlb;

use std::process::Command;

use encode::Writer;
use ends::{Allocation, End, Ends};
use format::{Case, DATA, Flavour, Outcome, PAGE, Random, State};
use oracle::{Died, Oracle};
use program::{Extent, Program};

/// Instructions in a sequence.
const SEQUENCE: u8 = 64;

/// Is the oracle's answer known not to be Arm's?
///
/// FJCVTZS of a denormal number that FPCR.FZ flushes: QEMU 7.2 calls the zero exact. In FPToFixedJS it
/// is not, for the operand has a fraction.
fn doubtful(word: u32, state: &State) -> bool {
    word & 0xffff_fc00 == 0x1e7e_0000 && state.fpcr & 1 << 24 != 0
}

struct Pattern {
    flavour: char,
    count: u32,
    places: [u8; 32],
}

impl Pattern {
    fn parse(line: &str) -> Self {
        let [_, flavour, count, places] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("four columns: {line}")
        };
        let places = places.as_bytes().try_into().unwrap_or_else(|_| panic!("32 places: {line}"));
        Self { flavour: flavour.chars().next().unwrap(), count: count.parse().unwrap(), places }
    }

    fn combinations(&self) -> u64 {
        1 << self.places.iter().filter(|place| **place == b'x').count()
    }

    /// A word of a combination, and the registers it needs set.
    fn word(&self, mut combination: u64, random: &mut Random) -> (u32, Vec<(u8, u64)>) {
        let mut word = 0;
        let (mut base, mut index) = (None, None);
        for (at, place) in (0..32).rev().zip(self.places) {
            let bit = match place {
                b'0' | b'1' => u64::from(place - b'0'),
                b'x' => {
                    let bit = combination & 1;
                    combination >>= 1;
                    bit
                }
                _ => random.next() & 1,
            };
            word |= (bit as u32) << at;
            let register = match place {
                b'b' => &mut base,
                b'i' => &mut index,
                _ => continue,
            };
            *register = Some(register.unwrap_or(0) << 1 | bit as u8);
        }
        let mut sets = Vec::new();
        if let Some(register) = base.filter(|base| *base != 31) {
            sets.push((register, DATA + PAGE as u64 / 2 + random.below(128)));
        }
        if let Some(register) = index {
            if Some(register) == base {
                // It cannot be both.
                return self.word(combination, random);
            }
            // UXTW and SXTW take the low half.
            let high = if word >> 13 & 1 == 0 { random.next() << 32 } else { 0 };
            if register != 31 {
                sets.push((register, high | random.below(64)));
            }
        }
        (word, sets)
    }

    fn flavour(&self, word: u32, random: &mut Random) -> Flavour {
        if random.below(8) == 0 {
            return Flavour::Mixed;
        }
        match (self.flavour, word >> 22 & 3) {
            ('f', 0b00) => Flavour::Single,
            ('f', 0b01) => Flavour::Double,
            ('f', 0b11) => Flavour::Half,
            ('v', size) if size & 1 == 0 => Flavour::Single,
            ('v', _) => Flavour::Double,
            ('h', _) => Flavour::HalfFlushed,
            ('i', _) => Flavour::Integer,
            _ => Flavour::Mixed,
        }
    }
}

/// Runs programs of integer instructions, and keeps how they end.
fn programs(oracle: &mut Oracle, extent: Extent, file: &str, seed: u64, count: u32) {
    let end = |index| {
        let program = Program::of(seed, index, extent);
        let Ok(Some(end)) = oracle.run(&program.state, &program.words) else {
            let words: Vec<_> = program.words.iter().zip(program.names).collect();
            panic!("program {index} is of words that are defined: {words:08x?}")
        };
        End::of(&end)
    };
    let ends = Ends { seed, extent, ends: (0..count).map(end).collect() };
    let bytes = ends.write();
    println!("{count} programs, {} bytes", bytes.len());
    assert!(Ends::read(&bytes).ends == ends.ends);
    std::fs::write(file, bytes).unwrap();
}

/// Asks of words of the integer groups whether they are undefined.
fn allocation(oracle: &mut Oracle, extent: Extent, file: &str, seed: u64, count: u32) {
    let mut state = State::seeded(seed, 0, Flavour::Integer);
    // Nothing is mapped there: no store goes anywhere.
    state.x = [0x00ad_0000_0000_0000; 32];
    let undefined = |index| {
        let word = allocation::word(seed, index, extent);
        match oracle.defines(&state, word) {
            Ok(defined) => !defined,
            Err(Died) => panic!("{word:08x} is too much for the oracle"),
        }
    };
    let allocation = Allocation { seed, extent, undefined: (0..count).map(undefined).collect() };
    let bytes = allocation.write();
    println!("{count} words, {} bytes", bytes.len());
    assert!(Allocation::read(&bytes).undefined == allocation.undefined);
    std::fs::write(file, bytes).unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [list, file, seed, sequences, program, rest @ ..] = &arguments[..] else {
        panic!("list or extent, file, seed, sequences, oracle")
    };
    let seed: u64 = seed.parse().unwrap();
    let sequences: u32 = sequences.parse().unwrap();
    let mut command = Command::new(program);
    command.args(rest);
    match list.as_str() {
        "system" => return system::run(command, file, cases::image()),
        "later-system" => return system::run(command, file, cases::later_image()),
        _ => {}
    }
    let mut oracle = Oracle::new(command);
    match list.as_str() {
        "v8.0" => return programs(&mut oracle, Extent::V8_0, file, seed, sequences),
        "later" => return programs(&mut oracle, Extent::Later, file, seed, sequences),
        "v8.0-words" => return allocation(&mut oracle, Extent::V8_0, file, seed, sequences),
        "later-words" => return allocation(&mut oracle, Extent::Later, file, seed, sequences),
        _ => {}
    }
    let list = std::fs::read_to_string(list).unwrap();
    let lines = list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let patterns: Vec<Pattern> = lines.map(Pattern::parse).collect();

    let mut random = Random(!seed);
    let mut writer = Writer::new(seed);
    for pattern in &patterns {
        for combination in 0..pattern.combinations() {
            let mut undefined = 0;
            for done in 0..pattern.count.max(2) {
                if done >= 2 && undefined == done {
                    break;
                }
                let (word, sets) = pattern.word(combination, &mut random);
                let flavour = pattern.flavour(word, &mut random);
                let mut case = Case { flavour, words: vec![word], sets, outcome: Outcome::Undefined };
                let initial = case.initial(seed, writer.next());
                if doubtful(word, &initial) {
                    continue;
                }
                match oracle.run(&initial, &case.words) {
                    Ok(Some(end)) => case.outcome = Outcome::Ended(Box::new(end)),
                    Ok(None) => undefined += 1,
                    Err(Died) => {
                        println!("{word:08x} is too much for the oracle");
                        break;
                    }
                }
                writer.push(&case);
            }
        }
    }
    println!("{} single instructions", writer.next());
    for _ in 0..sequences {
        let words = writer.pool.draw(writer.next(), SEQUENCE);
        let mut case = Case { flavour: Flavour::Mixed, words, sets: Vec::new(), outcome: Outcome::Undefined };
        let mut initial = case.initial(seed, writer.next());
        while case.words.iter().any(|word| doubtful(*word, &initial)) {
            // Another flavour has another FPCR.
            case.flavour = Flavour::of(case.flavour as u8 + 1);
            initial = case.initial(seed, writer.next());
        }
        let Ok(Some(end)) = oracle.run(&initial, &case.words) else {
            panic!("sequences are of words that are defined")
        };
        case.outcome = Outcome::Digest(end.digest());
        writer.push(&case);
    }
    let cases = writer.next();
    let bytes = writer.finish();
    println!("{cases} cases, {} bytes", bytes.len());
    let mut read = 0;
    format::read(&bytes, |_, _, _| read += 1);
    assert_eq!(read, cases);
    std::fs::write(file, bytes).unwrap();
}
