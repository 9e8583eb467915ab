use super::*;
use crate::config::{MachineConfig, MemorySize};

fn run_program(program: impl FnOnce(&mut Hosted<'_>) -> u32) -> (Finished, String) {
    let config = MachineConfig { memory: "16M".parse::<MemorySize>().unwrap(), ..MachineConfig::default() };
    let options = Options { command_line: "one two", limit: Time(10_000_000) };
    let mut text = Vec::new();
    let machine = Machine::new(&config).unwrap();
    let finished = run(machine, options, &mut |bytes| text.extend_from_slice(bytes), program);
    (finished, String::from_utf8(text).unwrap())
}

#[test]
fn a_program_sees_memory_ports_and_its_command_line() {
    let (finished, text) = run_program(|hw| {
        assert_eq!(hw.command_line(), "one two");
        assert_eq!(hw.ram(), Range { start: 0x20_0000, last: 0xff_ffff });
        hw.mem_write64(0x20_0000, 0x1122_3344_5566_7788);
        assert_eq!(hw.mem_read32(0x20_0004), 0x1122_3344);
        assert_eq!(hw.mmio_read32(0xfe00_0000), 0xffff_ffff);
        assert_eq!(hw.port_read8(0x3fd), 0x60);
        hw.console(b"hello\n");
        7
    });
    assert_eq!((finished.ending, text.as_str()), (Ending::Exited(7), "hello\n"));
    // Five of the calls above take time.
    assert_eq!(finished.machine.now(), Time(500));
}

#[test]
fn nothing_of_a_program_runs_after_its_exit() {
    let mut after = false;
    let (finished, _) = run_program(|hw| {
        hw.exit(3);
        after = true;
        0
    });
    assert_eq!((finished.ending, after), (Ending::Exited(3), false));
    let (finished, _) = run_program(|hw| {
        hw.port_write32(0xf4, 5);
        hw.take_interrupt();
        0
    });
    assert_eq!(finished.ending, Ending::Exited(5));
}

#[test]
fn a_program_that_never_ends_is_stopped_by_machine_time() {
    let (finished, _) = run_program(|hw| {
        loop {
            hw.idle();
        }
    });
    assert_eq!((finished.ending, finished.machine.now()), (Ending::TimedOut, Time(10_000_000)));
}

#[test]
fn a_service_sees_the_machine_between_two_calls_and_may_stop_the_program() {
    let config = MachineConfig { memory: "16M".parse::<MemorySize>().unwrap(), ..MachineConfig::default() };
    let options = Options { command_line: "", limit: Time(10_000_000) };
    let mut seen = Vec::new();
    let mut service = |machine: &mut Machine| {
        let mut byte = [0];
        machine.read(0x20_0000, &mut byte);
        seen.push(byte[0]);
        if byte[0] == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let finished = run_with(Machine::new(&config).unwrap(), options, &mut |_| {}, &mut service, |hw| {
        for value in 1..=9 {
            hw.mem_write(0x20_0000, &[value]);
        }
        0
    });
    assert_eq!(finished.ending, Ending::Stopped);
    assert_eq!(seen, [0, 1, 2], "before each call, and no call after the stop");
}

#[test]
#[allow(clippy::panic)]
fn a_panic_of_a_program_is_not_taken_for_an_end() {
    let result = catch_unwind(|| run_program(|_| resume_unwind(Box::new("broken"))));
    assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "broken");
}

#[test]
fn on_virt_interrupts_are_those_that_the_controller_lets_through() {
    let config = MachineConfig {
        machine: "virt".parse().unwrap(),
        memory: "16M".parse::<MemorySize>().unwrap(),
        devices: vec!["edu".parse().unwrap()],
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    let options = Options { command_line: "", limit: Time(10_000_000) };
    let finished = run(machine, options, &mut |_| (), |hw| {
        // The pin of 00:01.0: SPI 4, INTID 36, which is not enabled yet.
        hw.mmio_write32(0x40_1000_8004, 2);
        hw.mmio_write32(0x1000_0060, 1);
        hw.idle();
        assert_eq!(hw.take_interrupt(), None);
        // Group 1, then enabled.
        hw.mmio_write32(0x0800_0084, 1 << 4);
        hw.mmio_write32(0x0800_0104, 1 << 4);
        assert_eq!(hw.take_interrupt(), Some(36));
        // A level: it comes again until its cause is gone.
        assert_eq!(hw.take_interrupt(), Some(36));
        hw.mmio_write32(0x1000_0064, 1);
        assert_eq!(hw.take_interrupt(), None);
        assert_eq!(hw.ram(), Range { start: 0x4040_0000, last: 0x40ff_ffff });
        0
    });
    assert_eq!(finished.ending, Ending::Exited(0));
}

#[test]
fn a_level_comes_again_until_the_program_has_dealt_with_it() {
    let config = MachineConfig {
        memory: "16M".parse::<MemorySize>().unwrap(),
        devices: vec!["edu".parse().unwrap()],
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    let options = Options { command_line: "", limit: Time(10_000_000) };
    let finished = run(machine, options, &mut |_| (), |hw| {
        hw.mmio_write32(0xb000_8004, 2);
        // Pin 21: level triggered, vector 41h.
        hw.mmio_write32(0xfec0_0000, 0x3a);
        hw.mmio_write32(0xfec0_0010, 0x8041);
        hw.mmio_write32(0xc000_0060, 1);
        assert_eq!(hw.take_interrupt(), Some(0x41));
        hw.idle();
        assert_eq!(hw.take_interrupt(), Some(0x41));
        assert_eq!(hw.take_interrupt(), Some(0x41));
        hw.mmio_write32(0xc000_0064, 1);
        hw.idle();
        assert_eq!(hw.take_interrupt(), None);
        0
    });
    assert_eq!(finished.ending, Ending::Exited(0));
}
