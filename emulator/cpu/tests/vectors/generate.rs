//! Generates test vectors: every pattern of a list, run by an oracle.
//!
//! ```text
//! aarch64-linux-gnu-gcc -O1 -static -o oracle emulator/cpu/tests/vectors/oracle.c
//! cargo run -p iommulator-cpu --example vectors -- \
//!     emulator/cpu/tests/vectors/simd.txt emulator/cpu/tests/vectors/simd.bin \
//!     1 16000 qemu-aarch64 -cpu cortex-a57 ./oracle
//! ```
//!
//! Arguments: the list, the file to write, a seed, how many sequences of 64 instructions to add to the
//! single ones, and the command that runs the oracle. A line of the list is `name flavour count
//! pattern`. The pattern has 32 places: `0`, `1`, `x` (both values are gone through, in all
//! combinations), `b` (a base register: it will point into memory), `i` (an index register: it will
//! hold a small number) and `.` (random). Each combination is run `count` times, but twice where it is
//! undefined, and not at all where the oracle dies of it. A flavour is `i` (integers), `m` (mixed), `f` (by the type in bits 23:22 of scalar
//! floating point), `v` (by bit 22 of vectors) or `h` (half precision with FPCR.FZ16).

#![expect(clippy::unwrap_used, reason = "a tool for developers, which stops at whatever is wrong")]

mod encode;
mod format;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use encode::Writer;
use format::{Case, DATA, Flavour, Outcome, PAGE, Random, State};

const SIGILL: u32 = 4;
const SIGTRAP: u32 = 5;
/// Instructions in a sequence.
const SEQUENCE: u8 = 64;

struct Oracle {
    command: Command,
    child: Child,
}

/// The oracle itself gave up.
struct Died;

impl Oracle {
    fn new(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        Self { command, child }
    }

    /// The state that the words end in, `None` where one is undefined.
    fn run(&mut self, state: &State, words: &[u32]) -> Result<Option<State>, Died> {
        let mut request = Vec::new();
        request.extend(state.x.iter().flat_map(|x| x.to_le_bytes()));
        request.extend(state.v.iter().flat_map(|v| v.to_le_bytes()));
        request.extend(state.pc.to_le_bytes());
        request.extend((u32::from(state.nzcv) << 28).to_le_bytes());
        request.extend([state.fpcr, state.fpsr, 0].iter().flat_map(|word| word.to_le_bytes()));
        request.extend(&state.memory[..]);
        request.extend((words.len() as u32).to_le_bytes());
        request.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(&request).unwrap();
        input.flush().unwrap();
        let mut reply = vec![0; 32 * 8 + 32 * 16 + 8 + 16 + PAGE + 4];
        if self.child.stdout.as_mut().unwrap().read_exact(&mut reply).is_err() {
            self.child.wait().unwrap();
            self.child = self.command.spawn().unwrap();
            return Err(Died);
        }
        let mut at = 0;
        let mut take = |length: usize| {
            at += length;
            let mut number = [0; 16];
            number[..length].copy_from_slice(&reply[at - length..at]);
            u128::from_le_bytes(number)
        };
        let mut end = state.clone();
        end.x.fill_with(|| take(8) as u64);
        end.v.fill_with(|| take(16));
        end.pc = take(8) as u64;
        end.nzcv = (take(4) as u32 >> 28) as u8;
        [end.fpcr, end.fpsr] = [take(4) as u32, take(4) as u32];
        take(4);
        end.memory.fill_with(|| take(1) as u8);
        match take(4) as u32 {
            SIGILL => Ok(None),
            SIGTRAP => Ok(Some(end)),
            signal => panic!("{words:08x?} ended by signal {signal}"),
        }
    }
}

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

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [list, file, seed, sequences, program, rest @ ..] = &arguments[..] else {
        panic!("list, file, seed, sequences, oracle")
    };
    let seed: u64 = seed.parse().unwrap();
    let sequences: u32 = sequences.parse().unwrap();
    let mut command = Command::new(program);
    command.args(rest);
    let mut oracle = Oracle::new(command);
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
