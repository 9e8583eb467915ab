//! A machine that is saved and restored after any line of a script continues as if nothing had
//! happened: same replies, same trace, caches, queues and DMA under way included.
#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use emulator::config::MachineConfig;
use emulator::machine::{Machine, MachineState};
use emulator::qtest;
use emulator::trace::{Format, Writer};

/// Programs VT-d by hand: a root and a context entry for edu (00:01.0) and the exerciser (00:02.0)
/// in domain 1, a page at IOVA 400000h, queued invalidation; then DMA, a stale translation, an
/// invalidation, faults, interrupts, a ring with a slow descriptor, and a reset of the ring.
const SCRIPT: &str = "\
irq_intercept_in lapic
outl 0xcf8 0x80000810
outl 0xcfc 0xc0000000
outl 0xcf8 0x80000804
outw 0xcfc 0x6
outl 0xcf8 0x80001010
outl 0xcfc 0xc0200000
outl 0xcf8 0x80001014
outl 0xcfc 0
outl 0xcf8 0x80001004
outw 0xcfc 0x6
writeq 0x1000 0x2001
writeq 0x2080 0x3001
writeq 0x2088 0x102
writeq 0x2100 0x3001
writeq 0x2108 0x102
writeq 0x3000 0x4003
writeq 0x4000 0x5003
writeq 0x5010 0x6003
writeq 0x6000 0x10003
writeq 0x6008 0x20003
write 0x10000 8 0x1122334455667788
writeq 0xfed90020 0x1000
writel 0xfed90018 0x40000000
writeq 0xfed90090 0x8000
writel 0xfed90018 0x4000000
writel 0xfed90018 0x84000000
readl 0xfed9001c
writel 0xfed9003c 0x41
writel 0xfed90040 0xfee00000
writel 0xfed90038 0
writeq 0xc0000080 0x400000
writeq 0xc0000088 0x40000
writeq 0xc0000090 8
writeq 0xc0000098 1
clock_step 50000000
readq 0xc0000098
clock_step 60000000
readq 0xc0000098
writeq 0x6000 0x11003
writeq 0xc0000080 0x40000
writeq 0xc0000088 0x400008
writeq 0xc0000098 3
clock_step 100000000
read 0x10008 8
read 0x11008 8
writeq 0x8000 0x10032
writeq 0x8008 0x400000
writeq 0x8010 0x700000025
writeq 0x8018 0x9000
writeq 0xfed90088 0x20
readl 0x9000
writeq 0xc0000098 3
clock_step 100000000
read 0x11008 8
writeq 0xc0000088 0x500000
writeq 0xc0000098 3
clock_step 100000000
readl 0xfed90034
readq 0xfed90220
readq 0xfed90228
writel 0xfed9022c 0x80000000
write 0x20000 8 0x0100000010000000
writeq 0x20008 0x400000
writel 0xc0200028 30000
writeq 0xc0200010 0x401000
writel 0xc0200018 4
writel 0xc0200008 1
writel 0xc020001c 1
clock_step 10000
readl 0xc020000c
clock_step 30000
readl 0xc020000c
readl 0xc0200020
read 0x20030 16
writel 0xc020001c 2
clock_step 100
writel 0xc0200008 3
clock_step 40000
readl 0xc0200020
readl 0xfed90034
";

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn machine() -> Machine {
    let config = MachineConfig {
        iommus: vec!["vtd-legacy".parse().unwrap()],
        memory: "4M".parse().unwrap(),
        devices: ["edu", "exerciser"].map(|spec| spec.parse().unwrap()).into(),
        ..MachineConfig::default()
    };
    Machine::new(&config).unwrap()
}

/// Runs the lines and returns replies and trace. The client's own state is not the machine's, so
/// each part starts by asking for interrupts.
fn run(machine: &mut Machine, lines: &[&str]) -> String {
    let trace = Shared::default();
    machine.set_trace(Some(Box::new(Writer::new(Format::JsonLines, trace.clone()))));
    let script = format!("irq_intercept_in lapic\n{}\n", lines.join("\n"));
    let mut replies = Vec::new();
    qtest::serve(machine, script.as_bytes(), &mut replies).unwrap();
    machine.set_trace(None);
    let trace = trace.0.lock().unwrap().clone();
    String::from_utf8(replies).unwrap() + &String::from_utf8(trace).unwrap()
}

#[test]
fn the_script_does_what_it_says() {
    let transcript = run(&mut machine(), &SCRIPT.lines().collect::<Vec<_>>());
    for part in [
        // Translation, queue and root pointer are on.
        "OK 0x00000000c4000000",
        // edu's DMA takes 100 ms: under way, then done.
        "OK 0x0000000000000001\nOK 110000000\nOK 0x0000000000000000",
        // The page moved, the translation is stale: data goes to the old page.
        "OK 0x1122334455667788\nOK 0x0000000000000000",
        // The wait descriptor's status; then data goes to the new page.
        "OK 0x0000000000000007",
        "OK 0x1122334455667788\nOK",
        // The fault's interrupt, and its record: reason 05h, a write by 00:01.0 at 500000h.
        "IRQ raise 65\nIRQ lower 65",
        "OK 0x0000000000000002\nOK 0x0000000000500000\nOK 0x8000000500000008",
        // The exerciser's descriptor: done, 16 bytes.
        "OK 0x01000080100000000000000000000000",
    ] {
        assert!(transcript.contains(part), "{part:?} is missing in\n{transcript}");
    }
}

#[test]
fn saved_after_any_line_it_continues_the_same() {
    let lines: Vec<&str> = SCRIPT.lines().collect();
    for cut in 0..=lines.len() {
        let mut original = machine();
        run(&mut original, &lines[..cut]);
        let saved = serde_json::to_string(&original.save()).unwrap();
        let expected = run(&mut original, &lines[cut..]);

        let mut restored = machine();
        restored.restore(serde_json::from_str::<MachineState>(&saved).unwrap()).unwrap();
        assert_eq!(serde_json::to_string(&restored.save()).unwrap(), saved, "saved again after line {cut}");
        assert_eq!(run(&mut restored, &lines[cut..]), expected, "after line {cut}");
        assert_eq!(restored.save(), original.save(), "at the end, after line {cut}");
    }
}

#[test]
fn two_runs_are_equal() {
    let lines: Vec<&str> = SCRIPT.lines().collect();
    assert_eq!(run(&mut machine(), &lines), run(&mut machine(), &lines));
}
