//! Random programs of integer instructions, whose ends another emulator has told.
//! `tests/vectors` has what makes them, and how they end.

#[path = "../../../tests/vectors/accesses.rs"]
mod accesses;
#[path = "../../../tests/vectors/allocation.rs"]
mod allocation;
#[path = "../../../tests/vectors/ends.rs"]
mod ends;
#[path = "../../../tests/vectors/forms.rs"]
mod forms;
#[path = "../../../tests/vectors/program.rs"]
mod program;

use std::collections::BTreeSet;
use std::fmt::Write;

use ends::{Allocation, End, Ends};
use format::{CODE, DATA, PAGE, State};
use program::{Extent, Program};

use super::rig::{BASE, Rig};
use super::vectors::format;
use crate::a64::decode::decode;
use crate::a64::exception::syndrome;
use crate::a64::op::Kind;
use crate::a64::regs::{El, Nzcv, PState};
use crate::a64::{Features, Stop};
use crate::interp::PAGE_SIZE;

const TABLE: u64 = BASE + 0x10_0000;
/// Physical address of the exception vectors; they are mapped 1 GiB below.
const VECTORS: u64 = BASE + 0x20_0000;

/// SVC #0, behind every program.
const END: u32 = 0xd400_0001;
const SVC: u64 = syndrome::syndrome(syndrome::class::SVC, 0) as u64;

/// A CPU at EL0 with RAM mapped one to one as normal memory, where a synchronous exception ends a run.
fn machine(features: Features) -> Rig {
    let mut rig = Rig::with(&[], features);
    // Blocks of 1 GiB at RAM, inner shareable, attribute 0: the first one for EL1, the second one for
    // EL0.
    rig.load(TABLE, &[0x4000_0701, 0, 0x4000_0741, 0]);
    // MSR TPIDR_EL1, X0, for the call has a result; HVC #0.
    rig.load(VECTORS + 0x400, &[0xd518_d080, 0xd400_0002]);
    rig.board.stop = true;
    let core = rig.core();
    core.sys.mair = 0xff;
    core.sys.ttbr0 = TABLE;
    // 39 bits, 4 KiB, no TTBR1.
    core.sys.tcr = 0x80_3519;
    core.sys.vbar = VECTORS - 0x4000_0000;
    // M, C, I, SA and SA0, DZE, UCT, nTWI, nTWE, UCI.
    core.sys.sctlr = 0x34d5_d99d;
    core.mmu.reconfigure(&core.sys, &features);
    rig
}

fn put(rig: &mut Rig, program: &Program) {
    let code = program.words.iter().chain([&END]).flat_map(|word| word.to_le_bytes()).collect();
    for (bytes, page) in [(code, CODE), (program.state.memory.to_vec(), DATA)] {
        let frame = rig.ram.frame(page).unwrap();
        for (at, bytes) in (0..).step_by(8).zip(bytes.chunks(8)) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            rig.ram.store(frame, at, u64::from_le_bytes(word));
        }
    }
    rig.cluster.code_watch().written(CODE, CODE + 4 * program.words.len() as u64 + 3);
    let core = rig.core();
    core.set_pstate(PState { el: El::El0, sp_sel: false, ..PState::RESET });
    core.x.set_named(program.state.x);
    core.pc = program.state.pc;
    core.nzcv = Nzcv(program.state.nzcv);
    core.monitor = None;
    core.sys.esr = 0;
}

/// The state at the exception that ended a run.
fn get(rig: &mut Rig, program: &Program) -> State {
    let mut state = program.state.clone();
    let frame = rig.ram.frame(DATA).unwrap();
    for (at, bytes) in (0..PAGE_SIZE).step_by(8).zip(state.memory.chunks_mut(8)) {
        bytes.copy_from_slice(&rig.ram.load::<u64>(frame, at).to_le_bytes());
    }
    let core = rig.core();
    state.x = core.x.named();
    state.x[0] = core.sys.tpidr_el1;
    state.x[31] = core.sys.sp[0];
    // SVC returns behind itself.
    state.pc = core.sys.elr - 4;
    state.nzcv = (core.sys.spsr >> 28) as u8;
    state
}

/// Every instruction that was run, with what it did, for people.
fn story(features: Features, program: &Program) -> String {
    let mut rig = machine(features);
    put(&mut rig, program);
    let mut story = String::new();
    for _ in 0..20_000 {
        let core = rig.core();
        let (pc, old, flags) = (core.pc, core.x.named(), core.nzcv);
        let at = (pc.wrapping_sub(CODE) / 4) as usize;
        if core.pstate.el != El::El0 || at >= program.words.len() {
            break;
        }
        write!(story, "\n  {pc:x} {:08x} {:28}", program.words[at], program.names[at]).unwrap();
        rig.cluster.step(&mut rig.board, 0);
        let core = rig.core();
        for (register, (old, new)) in old.iter().zip(core.x.named()).enumerate() {
            if *old != new {
                write!(story, " x{register}={new:x}").unwrap();
            }
        }
        if core.nzcv != flags {
            write!(story, " nzcv={:04b}", core.nzcv.0).unwrap();
        }
    }
    story
}

/// Runs all programs of a file, and gives the number of instructions run.
fn check(file: &[u8], features: Features) -> u64 {
    let mut rig = machine(features);
    let Ends { seed, extent, ends } = Ends::read(file);
    let begin = rig.cluster.time();
    let mut failures = Vec::new();
    for (index, expected) in (0..).zip(&ends) {
        let program = Program::of(seed, index, extent);
        put(&mut rig, &program);
        let until = rig.cluster.time() + 1_000_000;
        let stop = rig.cluster.run(&mut rig.board, until);
        let end = get(&mut rig, &program);
        let esr = rig.core().sys.esr;
        let found = End::of(&end);
        let problem = if stop != (Stop::Firmware { cpu: 0 }) || esr != SVC {
            format!("stops at {:x} with {esr:x}", end.pc + 4)
        } else if found.registers != expected.registers {
            "ends with other registers".into()
        } else if found.memory != expected.memory {
            "ends with other memory".into()
        } else {
            continue;
        };
        failures.push((index, problem));
    }
    if let Some((index, _)) = failures.first() {
        let program = Program::of(seed, *index, extent);
        panic!("{} of {} fail: {failures:?}{}", failures.len(), ends.len(), story(features, &program));
    }
    rig.cluster.time() - begin
}

const V8_0: &[u8] = include_bytes!("../../../tests/vectors/integer.bin");
const LATER: &[u8] = include_bytes!("../../../tests/vectors/integer_later.bin");

#[test]
fn integer_programs_of_v8_0() {
    let instructions = check(V8_0, Features::V8_0);
    assert!(instructions > 1_000_000, "{instructions} instructions");
}

#[test]
fn integer_programs_since_v8_1() {
    let instructions = check(LATER, Features::MAX);
    assert!(instructions > 1_000_000, "{instructions} instructions");
}

/// What is undefined is so, and nothing else.
fn check_allocation(file: &[u8], features: Features) {
    let Allocation { seed, extent, undefined } = Allocation::read(file);
    let mut failures = Vec::new();
    for (index, expected) in (0..).zip(&undefined) {
        let word = allocation::word(seed, index, extent);
        if (decode(word, &features).kind == Kind::Undefined) != *expected {
            let what = if *expected { "undefined" } else { "defined" };
            failures.push(format!("{word:#010x} is {what}"));
        }
    }
    let few: Vec<_> = failures.iter().take(100).cloned().collect();
    assert!(failures.is_empty(), "{} of {}\n{}", failures.len(), undefined.len(), few.join("\n"));
}

#[test]
fn integer_words_of_v8_0() {
    check_allocation(include_bytes!("../../../tests/vectors/allocation.bin"), Features::V8_0);
}

#[test]
fn integer_words_since_v8_1() {
    check_allocation(include_bytes!("../../../tests/vectors/allocation_later.bin"), Features::MAX);
}

/// All kinds of operations that are general, and not of the system, are in the programs.
#[test]
fn programs_have_every_kind() {
    let Ends { seed, extent, ends } = Ends::read(LATER);
    assert_eq!(extent, Extent::Later);
    let mut kinds = BTreeSet::new();
    let mut forms = BTreeSet::new();
    for index in 0..ends.len() as u32 / 8 {
        for word in Program::of(seed, index, extent).words {
            let op = decode(word, &Features::MAX);
            kinds.insert(op.kind as u8);
            if op.kind == Kind::Memory {
                forms.insert(op.form & 0xff);
            }
        }
    }
    let absent = [
        // What is no instruction.
        Kind::Undecoded,
        Kind::Stop,
        Kind::Undefined,
        // What the programs of `system` have.
        Kind::MrsTpidrEl0,
        Kind::MrsTpidrEl1,
        Kind::MrsSpEl0,
        // What other vectors have.
        Kind::Fp,
        Kind::Simd,
        Kind::SimdMemory,
    ];
    for kind in 0..=Kind::SimdMemory as u8 {
        let expected = !absent.iter().any(|absent| *absent as u8 == kind);
        assert_eq!(kinds.contains(&kind), expected, "kind {kind}");
    }
    for form in 0..crate::a64::exec::memory::Form::LoadVector as u16 {
        assert!(forms.contains(&form), "form {form}");
    }
}

#[test]
fn digests_of_memory_see_every_byte() {
    let program = Program::of(1, 0, Extent::V8_0);
    let end = End::of(&program.state);
    for at in 0..PAGE {
        let mut state = program.state.clone();
        state.memory[at] ^= 1;
        assert_ne!(End::of(&state).memory, end.memory);
    }
}

#[test]
fn files_are_read_as_they_were_written() {
    let ends = vec![End { registers: 1, memory: !2 }, End { registers: 3 << 62, memory: 4 }];
    let file = Ends { seed: 7, extent: Extent::Later, ends };
    let read = Ends::read(&file.write());
    assert_eq!((read.seed, read.extent, read.ends), (file.seed, file.extent, file.ends));
    let undefined = vec![true, false, false, true, false, true, true, true, false, true];
    let file = Allocation { seed: !0, extent: Extent::V8_0, undefined };
    let read = Allocation::read(&file.write());
    assert_eq!((read.seed, read.extent, read.undefined), (file.seed, file.extent, file.undefined));
}
