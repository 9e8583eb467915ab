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

/// Programs an SMMUv3 by hand: a stream table whose entry for edu (00:01.0) leads to stage 1, a page at
/// IOVA 400000h, both queues; then DMA, a stale translation, an invalidation with a CMD_SYNC that writes
/// to memory, a fault, an illegal command and translation off again.
const SMMU_SCRIPT: &str = "\
irq_intercept_in gic
writel 0x4010008010 0x10000000
writew 0x4010008004 0x6
writeq 0x40001200 0x4000800b
writeq 0x40008000 0x6205c0000019
writeq 0x40008008 0x4000a000
writeq 0x40008018 0xff
writeq 0x4000a000 0x4000b003
writeq 0x4000b010 0x4000c003
writeq 0x4000c000 0x40010f43
writeq 0x4000c008 0x40020f43
write 0x40010000 8 0x1122334455667788
writeq 0x9050080 0x40001000
writel 0x9050088 6
writeq 0x9050090 0x40004008
writeq 0x90500a0 0x40005007
writel 0x905002c 2
writel 0x9050050 5
writel 0x9050020 0xd
readl 0x9050024
writeq 0x10000080 0x400000
writeq 0x10000088 0x40000
writeq 0x10000090 8
writeq 0x10000098 1
clock_step 50000000
readq 0x10000098
clock_step 60000000
readq 0x10000098
writeq 0x4000c000 0x40011f43
writeq 0x10000080 0x40000
writeq 0x10000088 0x400008
writeq 0x10000098 3
clock_step 100000000
read 0x40010008 8
read 0x40011008 8
writeq 0x40004000 0x12
writeq 0x40004008 0x400000
writeq 0x40004010 0x700001046
writeq 0x40004018 0x40009000
writel 0x9050098 2
readl 0x905009c
readl 0x40009000
writeq 0x10000098 3
clock_step 100000000
read 0x40011008 8
writeq 0x10000088 0x500000
writeq 0x10000098 3
clock_step 100000000
readl 0x90600a8
readq 0x40005000
readq 0x40005010
writel 0x90600ac 1
writeq 0x40004020 0xff
writel 0x9050098 3
readl 0x905009c
readl 0x9050060
writeq 0x40004020 0x46
writel 0x9050064 1
readl 0x905009c
writeq 0x10000098 3
clock_step 50000000
writel 0x9050020 0xc
clock_step 50000000
readl 0x90600a8
";

/// A machine, and what a client does with it.
#[derive(Clone, Copy)]
struct Case {
    board: &'static str,
    iommu: &'static str,
    /// The interrupt controller whose inputs the client watches.
    controller: &'static str,
    script: &'static str,
}

const CASES: [Case; 2] = [
    Case { board: "q35", iommu: "vtd-legacy", controller: "lapic", script: SCRIPT },
    Case {
        board: "virt",
        iommu: "smmuv3.2-nested,cache=adversarial",
        controller: "gic",
        script: SMMU_SCRIPT,
    },
];

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

impl Case {
    fn machine(self) -> Machine {
        let config = MachineConfig {
            machine: self.board.parse().unwrap(),
            iommus: vec![self.iommu.parse().unwrap()],
            memory: "4M".parse().unwrap(),
            devices: ["edu", "exerciser"].map(|spec| spec.parse().unwrap()).into(),
            seed: 7,
        };
        Machine::new(&config).unwrap()
    }

    fn lines(self) -> Vec<&'static str> {
        self.script.lines().collect()
    }

    /// Runs the lines and returns replies and trace. The client's own state is not the machine's, so
    /// each part starts by asking for interrupts.
    fn run(self, machine: &mut Machine, lines: &[&str]) -> String {
        let trace = Shared::default();
        machine.set_trace(Some(Box::new(Writer::new(Format::JsonLines, trace.clone()))));
        let script = format!("irq_intercept_in {}\n{}\n", self.controller, lines.join("\n"));
        let mut replies = Vec::new();
        qtest::serve(machine, script.as_bytes(), &mut replies).unwrap();
        machine.set_trace(None);
        let trace = trace.0.lock().unwrap().clone();
        String::from_utf8(replies).unwrap() + &String::from_utf8(trace).unwrap()
    }

    /// What the whole script says.
    fn transcript(self) -> String {
        self.run(&mut self.machine(), &self.lines())
    }
}

fn check_parts(transcript: &str, parts: &[&str]) {
    for part in parts {
        assert!(transcript.contains(part), "{part:?} is missing in\n{transcript}");
    }
}

#[test]
fn the_script_does_what_it_says() {
    let parts = [
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
    ];
    check_parts(&CASES[0].transcript(), &parts);
}

#[test]
fn the_smmu_script_does_what_it_says() {
    let parts = [
        // Commands, events and translation are on.
        "OK 0x000000000000000d",
        // edu's DMA takes 100 ms: under way, then done.
        "OK 0x0000000000000001\nOK 110000000\nOK 0x0000000000000000",
        // Both commands are consumed, and CMD_SYNC has written its word.
        "OK 0x0000000000000002\nOK 0x0000000000000007",
        // After the invalidation data goes to the new page.
        "OK 0x1122334455667788\nOK",
        // A record: F_TRANSLATION (10h) of stream 8, at 500000h.
        "OK 0x0000000000000001\nOK 0x0000000800000010\nOK 0x0000000000500000",
        // CERROR_ILL at the third command, and a global error; then the queue goes on.
        "OK 0x0000000001000002\nOK 0x0000000000000001",
        "OK 0x0000000001000003",
    ];
    check_parts(&CASES[1].transcript(), &parts);
}

#[test]
fn saved_after_any_line_it_continues_the_same() {
    for case in CASES {
        let lines = case.lines();
        for cut in 0..=lines.len() {
            let mut original = case.machine();
            case.run(&mut original, &lines[..cut]);
            let saved = serde_json::to_string(&original.save()).unwrap();
            let expected = case.run(&mut original, &lines[cut..]);

            let mut restored = case.machine();
            restored.restore(serde_json::from_str::<MachineState>(&saved).unwrap()).unwrap();
            let again = serde_json::to_string(&restored.save()).unwrap();
            assert_eq!(again, saved, "{}, saved again after line {cut}", case.board);
            assert_eq!(case.run(&mut restored, &lines[cut..]), expected, "{}, after line {cut}", case.board);
            assert_eq!(restored.save(), original.save(), "{}, at the end, after line {cut}", case.board);
        }
    }
}

#[test]
fn two_runs_are_equal() {
    for case in CASES {
        assert_eq!(case.transcript(), case.transcript(), "{}", case.board);
    }
}
