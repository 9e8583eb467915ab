//! Time, timers, several cores, code that changes, debug exceptions, saved state.

use super::rig::{BASE, Board, Rig};
use crate::a64::Stop;
use crate::a64::core::Activity;
use crate::a64::regs::{El, PState, daif};

const VECTORS: u64 = BASE + 0x8000;

fn rig(program: &[u32]) -> Rig {
    let mut rig = Rig::new(program);
    for vector in (0..0x800).step_by(0x80) {
        rig.load(VECTORS + vector, &[0x14000000]); // b .
    }
    rig.core().sys.vbar = VECTORS;
    rig
}

#[test]
fn the_counter_counts_instructions() {
    let mut rig = rig(&[
        0xd53be040, // mrs x0, cntvct_el0
        0xd280c802, // mov x2, #1600
        0xf1000442, // loop: subs x2, x2, #1
        0x54ffffe1, // b.ne loop
        0xd53be041, // mrs x1, cntvct_el0
        0x14000000, // b .
    ]);
    let core = rig.run(5000).core();
    assert_eq!(core.x[1] - core.x[0], 3202 / 16);
}

#[test]
fn a_timer_ends_wfi_at_its_time() {
    let mut rig = rig(&[
        0xd2807d00, // mov x0, #1000
        0xd51be300, // msr cntv_tval_el0, x0
        0xd2800020, // mov x0, #1
        0xd51be320, // msr cntv_ctl_el0, x0
        0xd503207f, // wfi
        0xd53be041, // mrs x1, cntvct_el0
        0xd53be322, // mrs x2, cntv_ctl_el0
        0x14000000, // b .
    ]);
    rig.board.virtual_timer_is_irq = true;
    rig.core().pstate.daif = daif::ALL;
    let core = rig.run(100_000).core();
    assert_eq!((core.x[1], core.x[2]), (1000, 5));
    assert_eq!(rig.board.timer_lines, [(0, true)]);
}

#[test]
fn what_is_due_in_the_machine_ends_wfi_at_its_time() {
    let words = [0xd503207f, 0xd53be040, 0x14000000]; // wfi; mrs x0, cntvct_el0; b .
    // (due, counter when the wait ended, or nothing)
    for (due, counter) in [(1600, 100), (4992, 312), (9000, 0)] {
        let mut rig = rig(&words);
        rig.board.due = Some((due, true));
        let core = rig.run(5000).core();
        assert_eq!(core.x[0], counter, "due at {due}");
        assert_eq!(core.activity == Activity::Running, counter != 0);
        assert_eq!(rig.cluster.time(), 5000);
    }
}

#[test]
fn an_event_of_a_device_ends_wfe_on_every_core() {
    let words = [0xd503205f, 0xd53be040, 0x14000000]; // wfe; mrs x0, cntvct_el0; b .
    let mut rig = rig(&words);
    rig.cluster.start(1, BASE, 0);
    rig.board.event = Some(1600);
    rig.run(5000);
    let counters = [0, 1].map(|cpu| rig.cluster.core_of(cpu).unwrap().x[0]);
    assert_eq!(counters[0], 100, "at that time");
    // The other one's turn comes after a quantum of 1000.
    assert_eq!(counters[1], 162);
}

#[test]
fn what_is_late_does_not_hold_time_up() {
    let mut rig = rig(&[0xd503207f, 0x14000000]); // wfi; b .
    rig.board.due = Some((3, false));
    assert_eq!(rig.cluster.run(&mut rig.board, 500), Stop::Time);
    assert_eq!(rig.cluster.time(), 500);
}

#[test]
fn a_timer_interrupts_a_busy_loop_and_masking_it_lowers_the_line() {
    let mut rig = rig(&[
        0xd2800c80, // mov x0, #100
        0xd51be340, // msr cntv_cval_el0, x0
        0xd2800020, // mov x0, #1
        0xd51be320, // msr cntv_ctl_el0, x0
        0xd50342ff, // msr daifclr, #2
        0x14000000, // b .
    ]);
    rig.board.virtual_timer_is_irq = true;
    rig.load(
        VECTORS + 0x280,
        &[
            0xd53be045, // mrs x5, cntvct_el0
            0xd2800060, // mov x0, #3
            0xd51be320, // msr cntv_ctl_el0, x0
            0xd538c106, // mrs x6, isr_el1
            0xd69f03e0, // eret
        ],
    );
    let core = rig.run(10_000).core();
    assert_eq!((core.x[5], core.x[6], core.pc), (100, 0, BASE + 20));
    assert_eq!(rig.board.timer_lines, [(0, true), (0, false)]);
}

#[test]
fn timer_registers_trap_from_el0_as_cntkctl_says() {
    for (word, bit, iss) in [
        (0xd53be040u32, 1u32, 0x34_f801), // mrs x0, cntvct_el0
        (0xd53be020, 0, 0x32_f801),       // mrs x0, cntpct_el0
        (0xd53be320, 8, 0x32_f807),       // mrs x0, cntv_ctl_el0
        (0xd51be220, 9, 0x32_f804),       // msr cntp_ctl_el0, x0
    ] {
        for allowed in [false, true] {
            let mut rig = rig(&[word, 0x14000000]);
            let core = rig.core();
            core.sys.cntkctl = if allowed { 1 << bit } else { 0 };
            let pstate = PState { el: El::El0, sp_sel: false, ..core.pstate };
            core.set_pstate(pstate);
            let core = rig.run(6).core();
            if allowed {
                assert_eq!(core.pc, BASE + 4, "{word:#x}");
            } else {
                assert_eq!(
                    (core.pc, core.sys.esr),
                    (VECTORS + 0x400, 0x6200_0000 | iss),
                    "{word:#x} {:#x}",
                    core.sys.esr
                );
            }
        }
    }
}

#[test]
fn cores_take_turns_and_exclusives_make_a_lock() {
    // Both cores add 1 to [x1] 10000 times under a spin lock at [x2], without atomics.
    let program = [
        0xd284e203, // mov x3, #10000
        0x885ffc44, // again: ldaxr w4, [x2]
        0x35ffffe4, // cbnz w4, again
        0x52800024, // mov w4, #1
        0x88057c44, // stxr w5, w4, [x2]
        0x35ffff85, // cbnz w5, again
        0xf9400026, // ldr x6, [x1]
        0x910004c6, // add x6, x6, #1
        0xf9000026, // str x6, [x1]
        0x889ffc5f, // stlr wzr, [x2]
        0xf1000463, // subs x3, x3, #1
        0x54fffec1, // b.ne again
        0xd503207f, // done: wfi
        0x17ffffff, // b done
    ];
    let mut rig = rig(&program);
    rig.cluster.start(1, BASE, 0);
    for cpu in 0..2 {
        let core = rig.cluster.core_of(cpu).unwrap();
        core.x[1] = BASE + 0x10_0000;
        core.x[2] = BASE + 0x10_1000;
    }
    rig.run(2_000_000);
    assert_eq!(rig.ram.load64(BASE + 0x10_0000), Some(20_000));
    assert_eq!(rig.core().activity, Activity::WaitInterrupt);
}

#[test]
fn a_store_exclusive_fails_without_its_load_or_after_clrex_or_a_change() {
    let program = [
        0xc8037c20, // stxr w3, x0, [x1]
        0xc85f7c24, // ldxr x4, [x1]
        0xd5033f5f, // clrex
        0xc8057c20, // stxr w5, x0, [x1]
        0xc85f7c24, // ldxr x4, [x1]
        0xf9000026, // str x6, [x1]
        0xc8077c20, // stxr w7, x0, [x1]
        0xc85f7c24, // ldxr x4, [x1]
        0xc8087c20, // stxr w8, x0, [x1]
        0xc8097c20, // stxr w9, x0, [x1]
        0xc87f2c2a, // ldxp x10, x11, [x1]
        0xc82c0020, // stxp w12, x0, x0, [x1]
        0x14000000, // b .
    ];
    let mut rig = rig(&program);
    let core = rig.core();
    core.x[1] = BASE + 0x10_0000;
    core.x[0] = 5;
    core.x[6] = 6;
    let core = rig.run(20).core();
    assert_eq!([core.x[3], core.x[5], core.x[7], core.x[8], core.x[9], core.x[12]], [1, 1, 1, 0, 1, 0]);
    assert_eq!(rig.ram.load64(BASE + 0x10_0008), Some(5));
}

#[test]
fn an_event_ends_wfe_on_another_core() {
    let mut rig = rig(&[
        0xd503205f, // wfe
        0xd2800020, // mov x0, #1
        0x14000000, // b .
    ]);
    let other = [
        0xd2817701, // mov x1, #3000
        0xf1000421, // loop: subs x1, x1, #1
        0x54ffffe1, // b.ne loop
        0xd503209f, // sev
        0x14000000, // b .
    ];
    rig.load(BASE + 0x1000, &other);
    rig.cluster.start(1, BASE + 0x1000, 0);
    assert_eq!(rig.run(3000).core().x[0], 0);
    assert_eq!(rig.run(10_000).core().x[0], 1);
}

#[test]
fn a_store_by_another_core_ends_the_wfe_of_a_lock() {
    // ldaxr w2, [x1]; wfe; mov x0, #1; b .
    let mut rig = rig(&[0x885ffc22, 0xd503205f, 0xd2800020, 0x14000000]);
    rig.core().x[1] = BASE + 0x2000;
    rig.load(BASE + 0x1000, &[0x889ffc3f, 0x14000000]); // stlr wzr, [x1]; b .
    assert_eq!(rig.run(5000).core().x[0], 0);
    rig.cluster.start(1, BASE + 0x1000, 0);
    rig.cluster.core_of(1).unwrap().x[1] = BASE + 0x2000;
    assert_eq!(rig.run(3000).core().x[0], 1);
}

#[test]
fn the_event_stream_ends_wfe() {
    let mut rig = rig(&[
        0xd503205f, // wfe
        0xd53be040, // mrs x0, cntvct_el0
        0xd503205f, // wfe
        0xd53be041, // mrs x1, cntvct_el0
        0x14000000, // b .
    ]);
    rig.core().sys.cntkctl = 1 << 2 | 4 << 4;
    let core = rig.run(10_000).core();
    assert_eq!((core.x[0], core.x[1]), (16, 48), "bit 4 rises");
}

#[test]
fn tlb_maintenance_reaches_the_other_core() {
    let mut rig = rig(&[0x14000000]);
    rig.load(BASE + 0x1000, &[0xd508831f, 0x14000000]); // tlbi vmalle1is; b .
    rig.core().x[1] = BASE + 0x2000;
    rig.load(BASE, &[0xf9400020, 0x14000000]); // ldr x0, [x1]; b .
    rig.run(10);
    let bank = rig.core().mmu.data.bank();
    assert!(rig.core().mmu.data.find(bank, BASE + 0x2000).is_some());
    rig.cluster.start(1, BASE + 0x1000, 0);
    rig.run(3000);
    assert!(rig.core().mmu.data.find(bank, BASE + 0x2000).is_none());
}

#[test]
fn code_follows_stores_by_either_core_and_by_devices() {
    // The subroutine at +0x2000 is replaced and called again.
    let program = [
        0xd63f0020, // blr x1
        0xaa0003ea, // mov x10, x0
        0xb9000022, // str w2, [x1]
        0xd63f0020, // blr x1
        0xaa0003eb, // mov x11, x0
        0x14000000, // b .
    ];
    let one_two = [0xd2800020, 0xd2800040]; // mov x0, #1; mov x0, #2
    let mut own = rig(&program);
    own.load(BASE + 0x2000, &[one_two[0], 0xd65f03c0]);
    own.core().x[1] = BASE + 0x2000;
    own.core().x[2] = one_two[1].into();
    let core = own.run(20).core();
    assert_eq!((core.x[10], core.x[11]), (1, 2));

    // The other core had the page writable before it became code: this one calls it in its second turn.
    let mut other = rig(&[
        0xd2806005, // mov x5, #768
        0xf10004a5, // loop: subs x5, x5, #1
        0x54ffffe1, // b.ne loop
        0xd63f0020, // again: blr x1
        0xaa0003ea, // mov x10, x0
        0x17fffffe, // b again
    ]);
    other.load(BASE + 0x2000, &[one_two[0], 0xd65f03c0]);
    other.core().x[1] = BASE + 0x2000;
    let storing = [
        0xf9002023, // str x3, [x1, #64]
        0xd280fa05, // mov x5, #2000
        0xf10004a5, // loop: subs x5, x5, #1
        0x54ffffe1, // b.ne loop
        0xb9000022, // str w2, [x1]
        0x14000000, // b .
    ];
    other.load(BASE + 0x1000, &storing);
    other.cluster.start(1, BASE + 0x1000, 0);
    let core = other.cluster.core_of(1).unwrap();
    core.x[1] = BASE + 0x2000;
    core.x[2] = one_two[1].into();
    assert_eq!(other.run(2000).core().x[10], 0);
    assert_eq!(other.run(1000).core().x[10], 1);
    assert_eq!(other.run(20_000).core().x[10], 2);

    // A device: written behind the cluster's back, then reported.
    other.load(BASE + 0x2000, &one_two[..1]);
    assert_eq!(other.run(100).core().x[10], 2, "nobody said so");
    other.cluster.code_watch().written(BASE + 0x2000, BASE + 0x2003);
    assert_eq!(other.run(2000).core().x[10], 1);
}

#[test]
fn more_code_pages_than_the_cache_holds_still_run() {
    // Each of 5000 pages is visited once; the branch in it goes to the next page.
    let pages = 5000;
    let mut rig = Rig::sized(&[0x14000400], crate::a64::Features::MAX, 24 << 20); // b .+0x1000
    for page in 1..=pages {
        rig.load(BASE + page * 0x1000, &[0x91000400, 0x140003ff]); // add x0, x0, #1; b .+0xffc
    }
    rig.load(BASE + (pages + 1) * 0x1000, &[0x14000000]);
    assert_eq!(rig.run(12_000).core().x[0], pages);
}

fn debuggable(program: &[u32], el: El) -> Rig {
    let mut rig = rig(program);
    let core = rig.core();
    core.sys.os_locked = false;
    core.pstate.daif = 0;
    core.sys.mdscr = 1 << 13;
    let pstate = PState { el, sp_sel: el == El::El1, ..core.pstate };
    core.set_pstate(pstate);
    rig
}

#[test]
fn a_breakpoint_stops_before_its_instruction() {
    for (el, pmc, hits) in [(El::El1, 1, true), (El::El1, 2, false), (El::El0, 2, true), (El::El0, 3, true)] {
        let mut rig = debuggable(&[0xd503201f, 0x91000400, 0x14000000], el); // nop; add x0, x0, #1; b .
        let core = rig.core();
        core.sys.mdscr |= 1 << 15;
        core.sys.breakpoints[5] = (BASE + 4, 0x1e0 | pmc << 1 | 1);
        core.debug_changed();
        let core = rig.run(8).core();
        assert_eq!(core.x[0] == 0, hits);
        if hits {
            let esr = if el == El::El0 { 0xc200_0022 } else { 0xc600_0022 };
            assert_eq!((core.sys.esr, core.sys.elr), (esr, BASE + 4));
        }
    }
}

#[test]
fn a_watchpoint_reports_the_address() {
    // ldr x0, [x1]; str x0, [x1, #8]; b .
    for (control, base, hit) in [
        (0xff << 5 | 1 << 3, 0, Some((0xd600_0022, 0, 0))),
        (0xff << 5 | 2 << 3, 0, None),
        (0xff << 5 | 3 << 3, 8, Some((0xd600_0062, 8, 4))),
        (0x80 << 5 | 2 << 3, 8, Some((0xd600_0062, 8, 4))),
        (0xff << 5 | 3 << 3, 16, None),
        (12 << 24 | 0xff << 5 | 2 << 3, 0, Some((0xd600_0062, 8, 4))),
    ] {
        let mut rig = debuggable(&[0xf9400020, 0xf9000420, 0x14000000], El::El1);
        let core = rig.core();
        core.sys.mdscr |= 1 << 15;
        core.x[1] = BASE + 0x2000;
        core.sys.watchpoints[3] = (BASE + 0x2000 + base, control | 1 << 1 | 1);
        core.debug_changed();
        let core = rig.run(8).core();
        let got =
            (core.pc >= VECTORS).then(|| (core.sys.esr, core.sys.far - BASE - 0x2000, core.sys.elr - BASE));
        assert_eq!(got, hit, "{control:#x} {base}");
    }
}

#[test]
fn software_step_runs_one_instruction_of_el0() {
    // The kernel at the start returns to EL0 with SPSR.SS set.
    let program = [
        0x100000e0, // adr x0, user
        0xd5184020, // msr elr_el1, x0
        0xd2a00401, // mov x1, #0x200000
        0xd5184001, // msr spsr_el1, x1
        0xd2800021, // mov x1, #1
        0xd5100241, // msr mdscr_el1, x1
        0xd69f03e0, // eret
        0x910004a5, // user: add x5, x5, #1
        0x910004c6, // add x6, x6, #1
        0xd4000001, // svc #0
    ];
    let mut rig = rig(&program);
    rig.core().sys.os_locked = false;
    let core = rig.run(30).core();
    assert_eq!((core.pc, core.sys.esr, core.sys.elr), (VECTORS + 0x400, 0xcb00_0022, BASE + 32));
    assert_eq!((core.x[5], core.x[6], core.sys.spsr & 1 << 21), (1, 0, 0));
}

#[test]
fn a_step_of_a_faulting_instruction_is_still_to_be_done() {
    let program = [
        0x100000e0, // adr x0, user
        0xd5184020, // msr elr_el1, x0
        0xd2a00401, // mov x1, #0x200000
        0xd5184001, // msr spsr_el1, x1
        0xd2800021, // mov x1, #1
        0xd5100241, // msr mdscr_el1, x1
        0xd69f03e0, // eret
        0xf9400062, // user: ldr x2, [x3]
    ];
    let mut rig = rig(&program);
    rig.core().sys.os_locked = false;
    rig.core().x[3] = 0x5000_0000_0000;
    let core = rig.run(30).core();
    assert_eq!((core.pc, core.sys.esr & !0x3f), (VECTORS + 0x400, 0x9200_0000));
    assert_eq!(core.sys.spsr & 1 << 21, 1 << 21);
}

#[test]
fn a_debugger_steps_on_from_yield() {
    // yield; nop; b .
    let mut rig = Rig::new(&[0xd503_203f, 0xd503_201f, 0x1400_0000]);
    for pc in [4, 8, 8] {
        assert!(rig.cluster.step(&mut rig.board, 0));
        assert_eq!(rig.core().pc, BASE + pc);
    }
}

#[test]
fn a_debugger_steps_to_the_instruction() {
    let mut rig = rig(&[0x91000400, 0x91000400, 0x14000000]);
    for count in 1..=2 {
        assert!(rig.cluster.step(&mut rig.board, 0));
        let registers = rig.cluster.registers(0).unwrap();
        assert_eq!((registers.x[0], registers.pc), (count, BASE + 4 * count));
    }
    assert!(!rig.cluster.step(&mut rig.board, 1), "that one is off");
}

/// What a run leaves behind: state, and all of RAM's words that are not zero.
fn outcome(rig: &Rig) -> (String, Vec<(u64, u64)>) {
    let state = serde_json::to_string(&rig.cluster.save()).unwrap();
    let words = (BASE..BASE + super::rig::SIZE as u64).step_by(8);
    (
        state,
        words.filter_map(|pa| rig.ram.load64(pa).filter(|word| *word != 0).map(|word| (pa, word))).collect(),
    )
}

/// Two cores, the compute mix on one, atomics and a timer interrupt on the other.
fn busy() -> Rig {
    let image = include_bytes!("../../../guests/mix.bin");
    let words: Vec<u32> =
        image.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
    let mut rig = Rig::new(&words);
    rig.board.virtual_timer_is_irq = true;
    rig.core().x[0] = BASE + 0x10_0000;
    rig.core().x[1] = 3;
    let other = [
        0xd2803e80, // mov x0, #500
        0xd51be340, // msr cntv_cval_el0, x0
        0xd2800020, // mov x0, #1
        0xd51be320, // msr cntv_ctl_el0, x0
        0xd50342ff, // msr daifclr, #2
        0xf8200022, // again: ldadd x0, x2, [x1]
        0xd53be043, // mrs x3, cntvct_el0
        0xca030084, // eor x4, x4, x3
        0xf9000424, // str x4, [x1, #8]
        0x17fffffc, // b again
    ];
    rig.load(BASE + 0x4000, &other);
    rig.load(
        VECTORS + 0x280,
        &[
            0xd2802587, // mov x7, #300
            0xd51be307, // msr cntv_tval_el0, x7
            0x91000508, // add x8, x8, #1
            0xd69f03e0, // eret
        ],
    );
    rig.cluster.start(1, BASE + 0x4000, 0);
    let core = rig.cluster.core_of(1).unwrap();
    core.sys.vbar = VECTORS;
    core.x[1] = BASE + 0x20_0000;
    rig
}

#[test]
fn the_same_start_gives_the_same_end() {
    let mut runs = (0..2).map(|_| {
        let mut rig = busy();
        rig.run(3_000_000);
        outcome(&rig)
    });
    let first = runs.next().unwrap();
    assert!(first.0.contains("\"time\":3000"));
    assert!(first == runs.next().unwrap());
}

#[test]
fn a_saved_run_goes_on_as_if_nothing_had_happened() {
    let mut straight = busy();
    straight.run(1_000_000).run(500_000);

    let mut first = busy();
    first.run(1_000_000);
    let state = serde_json::to_string(&first.cluster.save()).unwrap();
    let mut second = Rig::new(&[]);
    second.board = std::mem::take(&mut first.board);
    for pa in (BASE..BASE + super::rig::SIZE as u64).step_by(8) {
        second.ram.store64(pa, first.ram.load64(pa).unwrap());
    }
    second.cluster.restore(serde_json::from_str(&state).unwrap()).unwrap();
    let until = straight.cluster.time();
    second.cluster.run(&mut second.board, until);
    assert!(outcome(&straight) == outcome(&second));
}

#[test]
fn every_unit_of_time_is_an_instruction_however_a_run_is_cut() {
    for slice in [1, 7, 999, 1000, 1001, 30_000] {
        let mut rig = rig(&[0x91000400, 0x17ffffff]); // add x0, x0, #1; b .-4
        for _ in 0..10 {
            rig.run(slice);
        }
        let time = rig.cluster.time();
        assert!((10 * slice..10 * slice + 20).contains(&time), "{slice}: {time}");
        assert_eq!(rig.core().x[0], time.div_ceil(2), "{slice}");
    }
}

#[test]
fn cores_interleave_the_same_however_a_run_is_cut() {
    // Each adds 1 to a common counter, and keeps a digest of what it found there.
    let program = [
        0xf8200022, // ldadd x0, x2, [x1]
        0xca431c43, // eor x3, x2, x3, lsr #7
        0x9b047c63, // mul x3, x3, x4
        0x17fffffd, // b .-12
    ];
    let digests = |slice: usize| {
        let mut rig = rig(&program);
        rig.cluster.start(1, BASE, 0);
        for cpu in 0..2 {
            let core = rig.cluster.core_of(cpu).unwrap();
            (core.x[0], core.x[1], core.x[3], core.x[4]) = (1, BASE + 0x10_0000, 1, 0x9e37_79b9_7f4a_7c15);
        }
        for until in (0..=30_000).step_by(slice) {
            rig.cluster.run(&mut rig.board, until);
        }
        rig.cluster.run(&mut rig.board, 30_000);
        [0, 1].map(|cpu| rig.cluster.core_of(cpu).unwrap().x[3])
    };
    let whole = digests(30_000);
    for slice in [1, 7, 999, 1000, 1001, 7777] {
        assert_eq!(digests(slice), whole, "{slice}");
    }
}

#[test]
fn a_block_that_passes_the_end_and_then_waits_ends_the_run() {
    for slice in 1..12 {
        // Nops, then wfi; b .-4
        let mut words = [0xd503201f; 12];
        words[10..].copy_from_slice(&[0xd503207f, 0x17ffffff]);
        let mut rig = rig(&words);
        assert_eq!(rig.cluster.run(&mut rig.board, slice), Stop::Time);
        assert_eq!((rig.cluster.time(), rig.core().activity), (11, Activity::WaitInterrupt), "{slice}");
    }
}

#[test]
fn a_run_to_idle_ends_where_time_would_jump() {
    // add x0, x0, #1; wfi; b .-8
    let mut rig = rig(&[0x91000400, 0xd503207f, 0x17fffffe]);
    let state = |rig: &mut Rig| (rig.cluster.time(), rig.core().x[0], rig.core().activity);
    assert_eq!(rig.cluster.run_to_idle(&mut rig.board, 1000), Stop::Idle { due: None });
    assert_eq!(state(&mut rig), (2, 1, Activity::WaitInterrupt));
    // When something is due, how far the run was to go does not matter.
    rig.board.due = Some((5000, true));
    assert_eq!(rig.cluster.run_to_idle(&mut rig.board, 1000), Stop::Idle { due: Some(5000) });
    assert_eq!(state(&mut rig), (2, 1, Activity::WaitInterrupt));
    // Part of the wait, and then the rest: it wakes, and has not gone on yet.
    assert_eq!(rig.cluster.run(&mut rig.board, 3000), Stop::Time);
    assert_eq!(state(&mut rig), (3000, 1, Activity::WaitInterrupt));
    assert_eq!(rig.cluster.run(&mut rig.board, 5000), Stop::Time);
    assert_eq!(state(&mut rig), (5000, 1, Activity::Running));
    rig.board.due = None;
    assert_eq!(rig.cluster.run_to_idle(&mut rig.board, 6000), Stop::Idle { due: None });
    assert_eq!(state(&mut rig), (5003, 2, Activity::WaitInterrupt));
    // A core that does not wait runs as long as it is told.
    let mut busy = self::rig(&[0x91000400, 0x17ffffff]); // add x0, x0, #1; b .-4
    assert_eq!(busy.cluster.run_to_idle(&mut busy.board, 100), Stop::Time);
}

#[test]
fn a_core_that_is_started_again_has_low_lines() {
    // A timer that has fired and a cycle counter that has overflowed.
    let mut rig = rig(&[
        0xd2800020, // mov x0, #1
        0xd51be320, // msr cntv_ctl_el0, x0
        0xd51b9c00, // msr pmcr_el0, x0
        0xd2b00001, // mov x1, #0x8000_0000
        0xd51b9e61, // msr pmovsset_el0, x1
        0xd5189e21, // msr pmintenset_el1, x1
        0x14000000, // b .
    ]);
    rig.load(BASE + 0x1000, &[0x14000000]);
    rig.run(100);
    assert_eq!((&rig.board.timer_lines[..], &rig.board.pmu_lines[..]), (&[(0, true)][..], &[true][..]));
    rig.cluster.start(0, BASE + 0x1000, 0);
    rig.run(100);
    assert_eq!(rig.board.timer_lines, [(0, true), (0, false)]);
    assert_eq!(rig.board.pmu_lines, [true, false]);
}

#[test]
fn an_interrupt_made_by_the_last_core_to_sleep_wakes_the_first() {
    // CPU 0 sleeps at once; CPU 1's store makes CPU 0's interrupt, then it sleeps as well.
    let mut rig = rig(&[0xd503207f, 0xd53be040, 0x14000000]); // wfi; mrs x0, cntvct_el0; b .
    rig.core().pstate.daif = daif::ALL;
    rig.load(BASE + 0x1000, &[0xb9000020, 0xd503207f, 0x17ffffff]); // str w0, [x1]; wfi; b .-4
    rig.board.doorbell = Some(0x900_0040);
    rig.cluster.start(1, BASE + 0x1000, 0);
    rig.cluster.core_of(1).unwrap().x[1] = 0x900_0040;
    rig.cluster.core_of(1).unwrap().pstate.daif = daif::ALL;
    assert_eq!(rig.run(1_000_000).core().x[0], 0, "within the first tick");
    assert_eq!(rig.core().pc, BASE + 8);
}

#[test]
fn a_run_ends_where_it_should() {
    let mut rig = rig(&[0xd4000002, 0x14000000]); // hvc #0
    rig.board.stop = true;
    assert_eq!(rig.cluster.run(&mut rig.board, 1000), Stop::Firmware { cpu: 0 });
    let mut off = Rig::new(&[]);
    off.core().activity = Activity::Off;
    assert_eq!(off.cluster.run(&mut Board::default(), 1000), Stop::AllOff);
}

#[test]
fn firmware_starts_another_core() {
    let mut rig = rig(&[0xd4000002, 0x14000000]); // hvc #0
    rig.load(BASE + 0x1000, &[0xd53800a1, 0x14000000]); // mrs x1, mpidr_el1
    rig.board.start = Some((1, BASE + 0x1000, 42));
    rig.run(3000);
    let core = rig.cluster.core_of(1).unwrap();
    assert_eq!((core.x[0], core.x[1]), (42, 0x8000_0001));
}

#[test]
fn a_debuggers_breakpoint_stops_before_its_instruction_and_can_be_passed() {
    use crate::a64::Reason;
    let mut rig = rig(&[0x91000400, 0x91000400, 0x91000400, 0x17fffffe]); // add x0, x0, #1, three times; b .-8
    rig.run(20);
    rig.cluster.set_breakpoints(vec![BASE + 8]);
    let stop = Stop::Debugger { cpu: 0, reason: Reason::Breakpoint };
    for _ in 0..3 {
        let until = rig.cluster.time() + 1000;
        assert_eq!(rig.cluster.run(&mut rig.board, until), stop);
        assert_eq!(rig.core().pc, BASE + 8);
        let before = rig.core().x[0];
        assert_eq!(rig.cluster.run(&mut rig.board, until), stop, "it stays there");
        assert!(rig.cluster.step(&mut rig.board, 0));
        assert_eq!((rig.core().pc, rig.core().x[0]), (BASE + 12, before + 1));
    }
    rig.cluster.set_breakpoints(vec![]);
    let until = rig.cluster.time() + 1000;
    assert_eq!(rig.cluster.run(&mut rig.board, until), Stop::Time);
}

#[test]
fn a_debuggers_watchpoint_stops_before_the_access() {
    use crate::a64::{Reason, Watch};
    let mut rig = rig(&[0xf9400020, 0xb9000c22, 0x17fffffe]); // ldr x0, [x1]; str w2, [x1, #12]; b .-8
    rig.core().x[1] = BASE + 0x2000;
    rig.core().x[2] = 9;
    rig.run(20);
    rig.ram.store64(BASE + 0x2008, 0);
    rig.cluster.set_watchpoints(vec![Watch {
        first: BASE + 0x200f,
        last: BASE + 0x200f,
        read: true,
        write: true,
    }]);
    let until = rig.cluster.time() + 1000;
    let reason = Reason::Watch { address: BASE + 0x200c, write: true };
    assert_eq!(rig.cluster.run(&mut rig.board, until), Stop::Debugger { cpu: 0, reason });
    assert_eq!((rig.core().pc, rig.ram.load64(BASE + 0x2008)), (BASE + 4, Some(0)));
    assert!(rig.cluster.step(&mut rig.board, 0));
    assert_eq!((rig.core().pc, rig.ram.load64(BASE + 0x2008)), (BASE + 8, Some(9 << 32)));
}
