//! Test vectors, compared state by state. `tests/vectors` has their format and how they are made.

#[path = "../../../tests/vectors/format.rs"]
pub(super) mod format;

use format::{CODE, DATA, Outcome, PAGE, State};

use super::rig::{BASE, Rig};
use crate::a64::Features;
use crate::a64::core::Core;
use crate::a64::exception::syndrome;
use crate::a64::regs::Nzcv;
use crate::interp::PAGE_SIZE;

/// A translation table for the first 2 GiB, of which the second is RAM.
const TABLE: u64 = BASE + 0x10_0000;
/// Exception vectors, which vectors of exceptions never leave.
const VECTORS: u64 = BASE + 0x20_0000;

/// `b .`, behind the words.
const STOP: u32 = 0x1400_0000;

/// A CPU at EL1 with memory mapped one to one as normal memory.
fn machine(features: Features) -> Rig {
    let mut rig = Rig::with(&[], features);
    // A block of 1 GiB: access flag, inner shareable, attribute 0, all rights to EL1.
    rig.load(TABLE + 8, &[0x4000_0701, 0]);
    rig.load(VECTORS + 0x200, &[0x1400_0000]);
    // MAIR, TTBR0, TCR (39 bits, 4K, no TTBR1), CPACR, VBAR; SCTLR.M, C and I.
    rig.load(
        BASE,
        &[
            0xd518_a200, // msr mair_el1, x0
            0xd518_2001, // msr ttbr0_el1, x1
            0xd518_2042, // msr tcr_el1, x2
            0xd518_1043, // msr cpacr_el1, x3
            0xd518_c004, // msr vbar_el1, x4
            0xd518_1005, // msr sctlr_el1, x5
            0xd503_3fdf, // isb
            STOP,
        ],
    );
    let core = rig.core();
    for (register, value) in [0xff, TABLE, 0x80_3519, 3 << 20, VECTORS, 0x30d0_1805].into_iter().enumerate() {
        core.x[register as u8] = value;
    }
    rig.run(9);
    assert_eq!((rig.core().pc, rig.core().sys.sctlr & 1), (BASE + 28, 1));
    rig
}

fn put(rig: &mut Rig, state: &State, words: &[u32]) {
    let code = words.iter().chain([&STOP]).flat_map(|word| word.to_le_bytes()).collect();
    for (bytes, page) in [(code, CODE), (state.memory.to_vec(), DATA)] {
        let frame = rig.ram.frame(page).unwrap();
        for (at, bytes) in (0..).step_by(8).zip(bytes.chunks(8)) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            rig.ram.store(frame, at, u64::from_le_bytes(word));
        }
    }
    rig.cluster.code_watch().written(CODE, CODE + 4 * words.len() as u64 + 3);
    let core = rig.core();
    let (x, sp) = state.x.split_at(31);
    for (register, value) in (0..).zip(x) {
        core.x[register] = *value;
    }
    core.x[crate::a64::regs::SP] = sp[0];
    core.v = state.v;
    core.pc = state.pc;
    core.nzcv = Nzcv(state.nzcv);
    core.fpcr = state.fpcr;
    core.fpsr = state.fpsr;
    core.sys.esr = 0;
}

fn get(rig: &mut Rig) -> State {
    let frame = rig.ram.frame(DATA).unwrap();
    let mut memory = Box::new([0; PAGE]);
    for (at, bytes) in (0..PAGE_SIZE).step_by(8).zip(memory.chunks_mut(8)) {
        bytes.copy_from_slice(&rig.ram.load::<u64>(frame, at).to_le_bytes());
    }
    let core: &Core = rig.core();
    State {
        x: core.x.named(),
        v: core.v,
        pc: core.pc,
        nzcv: core.nzcv.0,
        fpcr: core.fpcr,
        fpsr: core.fpsr,
        memory,
    }
}

/// What differs, for people.
fn explain(old: &State, expected: &State, found: &State) -> String {
    let mut lines = Vec::new();
    for i in 0..32 {
        if expected.x[i] != found.x[i] {
            lines.push(format!("x{i}: {:#x}, not {:#x}", found.x[i], expected.x[i]));
        }
        if expected.v[i] != found.v[i] {
            lines.push(format!("v{i}: {:032x}, not {:032x}", found.v[i], expected.v[i]));
        }
    }
    for (name, expected, found) in [
        ("pc", expected.pc, found.pc),
        ("nzcv", expected.nzcv.into(), found.nzcv.into()),
        ("fpcr", expected.fpcr.into(), found.fpcr.into()),
        ("fpsr", expected.fpsr.into(), found.fpsr.into()),
    ] {
        if expected != found {
            lines.push(format!("{name}: {found:#x}, not {expected:#x}"));
        }
    }
    if expected.memory != found.memory {
        lines.push("memory differs".into());
    }
    lines.push(format!("from fpcr {:#x} fpsr {:#x} nzcv {:x}", old.fpcr, old.fpsr, old.nzcv));
    lines.join("\n  ")
}

/// The registers that the usual fields of a word name, before it ran.
fn operands(state: &State, word: u32) -> String {
    [("d", 0), ("n", 5), ("a", 10), ("m", 16)]
        .map(|(name, at)| {
            let number = (word >> at & 31) as usize;
            format!("{name}: v{number} {:032x} x{number} {:x}", state.v[number], state.x[number])
        })
        .join("\n  ")
}

/// Runs a file of vectors.
fn check(file: &[u8], features: Features) {
    let mut rig = machine(features);
    let mut failures = Vec::new();
    format::read(file, |index, case, old| {
        put(&mut rig, &old, &case.words);
        rig.run(case.words.len() as u64 + 2);
        let found = get(&mut rig);
        let esr = rig.core().sys.esr;
        let undefined = esr == u64::from(syndrome::UNDEFINED);
        let problem = match &case.outcome {
            Outcome::Undefined if undefined => return,
            Outcome::Undefined => "is defined".into(),
            _ if undefined => "is undefined".into(),
            _ if esr != 0 => format!("raised {esr:#x}"),
            Outcome::Ended(expected) if **expected == found => return,
            Outcome::Ended(expected) => explain(&old, expected, &found),
            Outcome::Digest(digest) if *digest == found.digest() => return,
            Outcome::Digest(_) => "ends in another state".into(),
        };
        let words: Vec<_> = case.words.iter().map(|word| format!("{word:08x}")).collect();
        failures.push(format!(
            "case {index}: {}\n  {problem}\n  {}",
            words.join(" "),
            operands(&old, case.words[0])
        ));
    });
    let few: Vec<_> = failures.iter().take(40).cloned().collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), few.join("\n"));
}

/// What the Cortex-A57 that the reference emulator models has.
const CORTEX_A57: Features = Features { aes: true, sha1: true, sha256: true, ..Features::V8_0 };

#[test]
fn floating_point_and_simd_of_v8_0() {
    check(include_bytes!("../../../tests/vectors/simd.bin"), CORTEX_A57);
}

/// And what later processors have as well.
const LATER: Features = Features {
    fp16: true,
    rdm: true,
    dotprod: true,
    fhm: true,
    fcma: true,
    jscvt: true,
    frintts: true,
    ..CORTEX_A57
};

#[test]
fn floating_point_and_simd_since_v8_1() {
    check(include_bytes!("../../../tests/vectors/later.bin"), LATER);
}
