#![allow(clippy::unwrap_used)]

mod board;
mod state;

use firmware::aarch64::{self, Aarch64Config, Tables};

use super::*;
use crate::boot::{
    self,
    aarch64::{Firmware, Guest},
};
use crate::config::{MachineConfig, MachineSpec, VirtSpec};
use crate::machine::Machine;
use board::{DELAY, RAM, TestBoard};

/// Where programs of these tests are.
const CODE: u64 = RAM + 0x1000;

/// Runs words at [`CODE`] on this many CPUs, for two milliseconds of machine time at most.
fn run_words(words: &[u32], cpus: usize) -> (Soft<TestBoard>, Ending) {
    let mut board = TestBoard::new(1 << 20);
    board.target = CODE + 0x100;
    board.load(CODE, words);
    let mut soft = Soft::new(board, &Options { cpus, ..Options::default() }).ok().unwrap();
    soft.start(CODE, 0);
    let limit = soft.now().after(2_000_000);
    let ending = run(&mut soft, limit, &mut |_| {}, &mut |_| ControlFlow::Continue(()));
    (soft, ending)
}

/// Runs a guest to its end, for two seconds of machine time at most: its ending and what it printed.
fn run_guest<B: Board>(soft: &mut Soft<B>) -> (Ending, String) {
    let mut report = Vec::new();
    let limit = soft.now().after(2_000_000_000);
    let console = &mut |text: &[u8]| report.extend_from_slice(text);
    let ending = run(soft, limit, console, &mut |_| ControlFlow::Continue(()));
    (ending, String::from_utf8(report).unwrap())
}

/// `cpu_check` from its image on the board of these tests: its ending and report.
fn cpu_check(options: Options) -> (Ending, String) {
    let board = TestBoard::new(16 << 20);
    let tree = board.tree(options.cpus);
    let config = Aarch64Config { image: guests::image::CPU_CHECK, tables: Tables::Tree(&tree), initrd: None };
    let start = aarch64::load(board.memory(), &config).unwrap();
    let mut soft = Soft::new(board, &options).ok().unwrap();
    soft.start(start.entry, start.tree);
    run_guest(&mut soft)
}

/// `cpu_check` on a machine of the board `virt`.
#[test]
fn the_built_in_guest_holds_on_virt_with_its_interrupts() {
    let config = MachineConfig {
        machine: "virt,cpus=4".parse().unwrap(),
        memory: "64M".parse().unwrap(),
        iommus: Vec::new(),
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    let start = boot::aarch64::start(
        &machine,
        Guest {
            image: guests::image::CPU_CHECK,
            command_line: "one two",
            initrd: None,
            firmware: Firmware::Tree,
        },
    )
    .unwrap();
    let mut soft = Soft::new(machine, &Options { cpus: 4, ..Options::default() }).ok().unwrap();
    soft.start(start.entry, start.tree);
    let (ending, report) = run_guest(&mut soft);
    assert_eq!(ending, Ending::Exited(0), "{report}");
    assert!(report.contains("it is taken as INTID 27"), "{report}");
    assert!(!report.contains("SKIP"), "{report}");
}

#[test]
fn the_built_in_guest_holds_on_every_kind_of_cpu() {
    for (cpus, features, instruction) in
        [(1, Features::V8_0, 1), (2, Features::V8_0, 7), (4, Features::MAX, 1), (8, Features::MAX, 16)]
    {
        let (ending, report) = cpu_check(Options { cpus, features, instruction });
        assert_eq!(ending, Ending::Exited(0), "{cpus} CPUs\n{report}");
        let held = report.lines().filter(|line| line.starts_with("ok ")).count();
        assert_eq!(report.lines().last(), Some(format!("1..{held}").as_str()), "{report}");
        assert!(held >= 70, "{held} checks; sections are missing");
        assert_eq!(report.matches("CPU_ON starts it").count(), cpus - 1);
    }
}

#[test]
fn a_run_is_a_function_of_its_image() {
    let options = Options { cpus: 3, ..Options::default() };
    assert_eq!(cpu_check(options), cpu_check(options));
}

/// Code that calls 40001100h, tells the device to replace its first instruction, waits for the
/// interrupt, and calls again. It ends with twice the first answer and the second.
#[test]
fn a_device_changes_code_on_time_and_wakes_the_cpu() {
    let mut words = vec![
        0x94000040, // bl CODE + 0x100
        0xd37ff813, // lsl x19, x0, #1
        0x52801201, // mov w1, #0x90
        0x72ba5001, // movk w1, #0xd280, lsl #16
        0xd2a14002, // mov x2, #0x0a00_0000
        0xb9000041, // str w1, [x2]
        0xd503207f, // wfi
        0xb9400043, // ldr w3, [x2]: the line falls
        0x94000038, // bl CODE + 0x100
        0x8b000261, // add x1, x19, x0
        0x52800200, // mov w0, #0x10
        0x72b0c000, // movk w0, #0x8600, lsl #16
        0xd4000002, // hvc #0
    ];
    words.resize(0x40, 0xd503201f);
    // mov x0, #3; ret. The device writes d2800090h, `mov x16, #4`, for the second call.
    words.extend([0xd2800060, 0xd65f03c0]);
    words[2] = 0x52801001; // mov w1, #0x80: d2800080h, `mov x0, #4`
    let (soft, ending) = run_words(&words, 1);
    assert_eq!(ending, Ending::Exited(2 * 3 + 4));
    let raised = soft.board().raised[0];
    // bl, mov, ret and five more had run before the store.
    assert_eq!(raised, Time(5 + 7 + DELAY));
    assert_eq!(soft.now(), raised.after(8), "the wait ended at once, and eight instructions followed");
}

#[test]
fn a_host_that_rests_lets_time_pass_as_far_as_it_says() {
    let words = [
        0xd2807d00, // mov x0, #1000
        0xd51be300, // msr cntv_tval_el0, x0
        0xd2800020, // mov x0, #1
        0xd51be320, // msr cntv_ctl_el0, x0
        0xd503207f, // wfi
        0xd2800001, // mov x1, #0
        0x52800200, // mov w0, #0x10
        0x72b0c000, // movk w0, #0x8600, lsl #16
        0xd4000002, // hvc #0
    ];
    let soft = || {
        let mut board = TestBoard::new(1 << 20);
        board.timer_is_irq = true;
        board.load(CODE, &words);
        let mut soft = Soft::new(board, &Options::default()).ok().unwrap();
        soft.start(CODE, 0);
        soft
    };
    let (limit, go_on) = (Time(1_000_000), |_: &mut Soft<TestBoard>| ControlFlow::Continue(()));
    let mut jumping = soft();
    assert_eq!(run(&mut jumping, limit, &mut |_| {}, &mut { go_on }), Ending::Exited(0));
    // Something from outside ends each rest but the last early.
    let mut waits = Vec::new();
    let mut rest = |wait: Option<u64>| {
        let wait = wait.unwrap();
        waits.push(wait);
        wait.min(5000)
    };
    let mut resting = soft();
    let ending = run_resting(&mut resting, limit, &mut |_| {}, &mut { go_on }, &mut rest);
    assert_eq!((ending, resting.now()), (Ending::Exited(0), jumping.now()));
    assert_eq!(waits.len(), 4, "{waits:?}");
    assert!(waits.windows(2).all(|pair| pair[0] - pair[1] == 5000), "{waits:?}");
    assert!(waits[0] < 16_000, "{waits:?}");
}

#[test]
fn a_host_that_rests_while_nothing_is_due_stops_at_the_limit() {
    let board = TestBoard::new(1 << 20);
    board.load(CODE, &[0xd503207f, 0x17ffffff]); // wfi; b .-4
    let mut soft = Soft::new(board, &Options::default()).ok().unwrap();
    soft.start(CODE, 0);
    let mut waits = Vec::new();
    let mut rest = |wait| {
        waits.push(wait);
        300_000
    };
    let service = &mut |_: &mut Soft<TestBoard>| ControlFlow::Continue(());
    let ending = run_resting(&mut soft, Time(1_000_000), &mut |_| {}, service, &mut rest);
    assert_eq!((ending, soft.now()), (Ending::TimedOut, Time(1_000_000)));
    assert_eq!(waits, [None; 4]);
}

#[test]
fn where_nothing_is_on_or_answers_the_run_ends() {
    // Nothing at the vectors: the abort is taken over and over.
    let off = [0x52800040, 0x72b08000, 0xd4000002]; // CPU_OFF
    assert_eq!(run_words(&off, 2).1, Ending::NoCpu);
    let wait = [0xd503207f, 0x17ffffff]; // wfi; b .-4
    let (soft, ending) = run_words(&wait, 2);
    assert_eq!(ending, Ending::TimedOut);
    assert_eq!(soft.now(), Time(2_000_005), "time jumps to the limit and no further");
    // A load where nothing answers, with the vectors there too.
    let load = [0xd2a16000, 0xd518c000, 0xf9400001]; // mov x0, #0x0b00_0000; msr vbar_el1, x0; ldr x1, [x0]
    assert_eq!(run_words(&load, 1).1, Ending::TimedOut);
}

#[test]
fn a_device_may_end_the_run_and_so_may_the_service() {
    let mut board = TestBoard::new(1 << 20);
    board.load(CODE, &[0x14000000]);
    board.exit = Some(9);
    let mut soft = Soft::new(board, &Options::default()).ok().unwrap();
    soft.start(CODE, 0);
    assert_eq!(soft.run(Time(1000)), Pause::Ended(Ending::Exited(9)));
    soft.board_mut().exit = None;
    let mut looks = 0;
    let ending = run(&mut soft, Time::MAX, &mut |_| {}, &mut |_| {
        looks += 1;
        if looks == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((ending, looks), (Ending::Stopped, 3));
}

#[test]
fn timers_are_private_interrupts() {
    // CNTV_TVAL_EL0 = 10; CNTV_CTL_EL0 = 1; CNTP likewise; b .
    let words = [0xd2800140, 0xd51be300, 0xd51be200, 0xd2800020, 0xd51be320, 0xd51be220, 0x14000000];
    let (soft, _) = run_words(&words, 1);
    assert_eq!(soft.board().private, [(0, 27, true), (0, 30, true)]);
}

#[test]
fn what_cannot_be_is_refused() {
    for (cpus, instruction, message) in
        [(0, 1, "0 CPUs are not"), (9, 1, "9 CPUs are not"), (1, 0, "0 ns"), (1, 1001, "1001 ns")]
    {
        let options = Options { cpus, instruction, ..Options::default() };
        let error = Soft::new(TestBoard::new(1 << 20), &options).err().unwrap().1.to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

/// CMD_SYNC with CS = SEV on an SMMU: an event to the processors [SMMUv3 4.7.3].
#[test]
fn an_smmu_sends_an_event() {
    let config = MachineConfig {
        machine: "virt".parse().unwrap(),
        memory: "64M".parse().unwrap(),
        iommus: vec!["smmuv3.2-nested".parse().unwrap()],
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    assert!(!Board::take_event(&mut machine));
    // A queue of 8 commands at 4000_8000h, on, with one command in it.
    let (queue, smmu) = (RAM + 0x8000, 0x0905_0000);
    machine.write(queue, &(2u64 << 12 | 0x46).to_le_bytes());
    machine.write(smmu + 0x90, &(queue | 3).to_le_bytes());
    machine.write(smmu + 0x20, &8u32.to_le_bytes());
    machine.write(smmu + 0x98, &1u32.to_le_bytes());
    assert!(Board::take_event(&mut machine));
    assert!(!Board::take_event(&mut machine), "it is told once");
}

#[test]
fn a_gic_is_advertised_where_there_is_one() {
    let words = [
        0xd5380401, // mrs x1, id_aa64pfr0_el1
        0xd358fc21, // lsr x1, x1, #24
        0x92400c21, // and x1, x1, #15
        0x52800200, // mov w0, #0x10
        0x72b0c000, // movk w0, #0x8600, lsl #16
        0xd4000002, // hvc #0
    ];
    assert_eq!(run_words(&words, 1).1, Ending::Exited(0));
}

#[test]
fn stops_of_a_debugger_pause_a_run() {
    let board = TestBoard::new(1 << 20);
    // nop; str x0, [x1]; b .-8
    board.load(CODE, &[0xd503201f, 0xf9000020, 0x17fffffe]);
    let mut soft = Soft::new(board, &Options::default()).ok().unwrap();
    soft.start(CODE, 0);
    let mut registers = soft.cluster().registers(0).unwrap();
    registers.x[1] = RAM + 0x80;
    soft.cluster_mut().set_registers(0, &registers);
    soft.cluster_mut().set_breakpoints(vec![CODE + 8]);
    assert_eq!(soft.run(Time(5000)), Pause::Debugger { cpu: 0, reason: Reason::Breakpoint });
    assert_eq!(soft.now(), Time(5 + 2), "before the instruction at the breakpoint");
    assert_eq!(soft.board().word(RAM + 0x80), 0);
    assert!(soft.step(0));
    assert_eq!(soft.cluster().registers(0).unwrap().pc, CODE);
    // Where nobody asks for stops, they are passed.
    soft.cluster_mut().set_breakpoints(vec![CODE, CODE + 4]);
    let limit = soft.now().after(10_000);
    let ending = run(&mut soft, limit, &mut |_| {}, &mut |_| ControlFlow::Continue(()));
    assert_eq!(ending, Ending::TimedOut);
}
