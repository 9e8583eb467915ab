use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use devices::events::Time;
use devices::trace::TraceEvent;
use expect_test::{Expect, expect};

use super::*;
use crate::config::MachineConfig;
use crate::trace::{Sink, Tee};

/// A machine whose exerciser, 00:01.0, masters the bus, with translation off.
fn machine() -> Machine {
    let config = MachineConfig {
        iommus: vec!["vtd-legacy".parse().unwrap()],
        memory: "16M".parse().unwrap(),
        devices: vec!["exerciser".parse().unwrap(), "edu".parse().unwrap()],
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.write(0xb000_8004, &4u16.to_le_bytes());
    machine
}

/// Turns translation on with one page mapped read-only: 00:01.0, 0x5000 to 0x20_0000.
fn translating() -> Machine {
    let mut machine = machine();
    for (address, value) in [
        (0x1000, 0x2001u64),
        (0x2000 + 8 * 16, 0x3001),
        (0x2000 + 8 * 16 + 8, 0x701),
        (0x3000, 0x4003),
        (0x4000, 0x5003),
        (0x5028, 0x20_0001),
        (0x20_0000, 0x1122_3344_5566_7788),
        (0xfed9_0020, 0x1000),
    ] {
        machine.write(address, &value.to_le_bytes());
    }
    // SRTP, then TE.
    for command in [1u32 << 30, 1 << 31] {
        machine.write(0xfed9_0018, &command.to_le_bytes());
    }
    machine
}

fn check(machine: &mut Machine, commands: &[&str], expected: Expect) {
    let mut session = Session::default();
    let answers: Vec<_> = commands
        .iter()
        .map(|line| format!("> {line}\n{}\n", command::run(line, machine, &mut session)))
        .collect();
    expected.assert_eq(&answers.concat());
}

#[test]
fn devices_do_dma_on_demand() {
    check(
        &mut translating(),
        &[
            "dma exerciser read 0x5000 8",
            "dma 00:01.0 read 0x5ffc 8",
            "dma exerciser write 0x5000 4 0xff",
            "dma edu read 0x5000 8",
        ],
        expect![[r#"
            > dma exerciser read 0x5000 8
            ok done 8877665544332211
            > dma 00:01.0 read 0x5ffc 8
            ok aborted (UR) after 4 bytes
            > dma exerciser write 0x5000 4 0xff
            ok aborted (UR) after 0 bytes
            > dma edu read 0x5000 8
            ok aborted (UR) after 0 bytes
        "#]],
    );
    let mut machine = machine();
    check(
        &mut machine,
        &["dma 0000:00:01.0 write 0x7000 3 0xa5", "dma exerciser read 0x7000 4"],
        expect![[r#"
            > dma 0000:00:01.0 write 0x7000 3 0xa5
            ok done
            > dma exerciser read 0x7000 4
            ok done a5a5a500
        "#]],
    );
    let mut bytes = [0; 4];
    machine.read(0x7000, &mut bytes);
    assert_eq!(bytes, [0xa5, 0xa5, 0xa5, 0]);
}

#[test]
fn platform_devices_are_named_by_their_stream() {
    let config = MachineConfig {
        machine: "virt".parse().unwrap(),
        memory: "16M".parse().unwrap(),
        devices: vec!["exerciser,bus=platform,stream=0x10000".parse().unwrap()],
        ..MachineConfig::default()
    };
    check(
        &mut Machine::new(&config).unwrap(),
        &[
            "dma stream=0x10000 write 0x40005000 2 0xa5",
            "dma stream=0x10000 read 0x40005000 4",
            "dma stream=0x10000 read 0 4",
            "dma stream=1 read 0 4",
        ],
        expect![[r#"
            > dma stream=0x10000 write 0x40005000 2 0xa5
            ok done
            > dma stream=0x10000 read 0x40005000 4
            ok done a5a50000
            > dma stream=0x10000 read 0 4
            ok aborted (UR) after 0 bytes
            > dma stream=1 read 0 4
            error: there is no device 'stream=1'; known: stream=0x10000
        "#]],
    );
}

#[test]
fn a_request_is_explained() {
    check(
        &mut translating(),
        &["explain 00:01.0 0x5000 write len=8"],
        expect![[r#"
        > explain 00:01.0 0x5000 write len=8
        00:01.0 writes 8 bytes at 0x5000

        GSTS_REG (register 0x1c) = 0xc0000000
               31  tes        0x1
          -> translation is on

        RTADDR_REG (as latched) = 0x0000000000001000
            63:12  rta        0x1
            11:10  ttm        0x0
          -> legacy tables; the root entry of bus 00 is at 0x1000

        root entry at 0x1000 = 0x0000000000000000 0x0000000000002001
            63:12  ctp        0x2
                0  p          0x1
          -> present; the context entry of 00:01.0 is at 0x2080

        context entry at 0x2080 = 0x0000000000000701 0x0000000000003001
            87:72  did        0x7
            66:64  aw         0x1
            63:12  ssptptr    0x3
              3:2  tt         0x0
                1  fpd        0x0
                0  p          0x1
          -> domain 7, 39 bits in 3 levels of tables at 0x3000

        SS-PDPE at 0x3000 = 0x0000000000004003
            51:12  address    0x4
                7  ps         0x0
                1  w          0x1
                0  r          0x1
          -> present; the SS-PDE is at 0x4000

        SS-PDE at 0x4000 = 0x0000000000005003
            51:12  address    0x5
                7  ps         0x0
                1  w          0x1
                0  r          0x1
          -> present; the SS-PTE is at 0x5028

        SS-PTE at 0x5028 = 0x0000000000200001
            51:12  address    0x200
                7  ps         0x0
                1  w          0x0   <== decides
                0  r          0x1
          => W = 0: no writes; maps a page of 4 KiB at 0x200000

        caches
          IOTLB: no entry
          context cache: no entry

        result: aborted (UR): fault 05h, LGN.2, no write permission [VT-d 7.1.3]; recorded; FPD = 1 would suppress it
        ok
    "#]],
    );
    let mut machine = translating();
    let mut session = Session::default();
    let answer = command::run("explain 00:02.0 0x5000 json", &mut machine, &mut session);
    let json = answer.strip_suffix("\nok").unwrap();
    assert!(!json.contains('\n'), "one line");
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["answer"]["cause"]["condition"], "LCT.2");
    assert_eq!(
        json["notes"][0],
        "Bus Master Enable is clear in 00:02.0 or above it, so nothing of this reaches the IOMMU"
    );
}

#[test]
fn a_stream_is_explained() {
    let config = MachineConfig {
        iommus: vec!["smmuv3.2-nested".parse().unwrap()],
        machine: "virt".parse().unwrap(),
        memory: "16M".parse().unwrap(),
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    // Without a stream table every stream is beyond it; stream 0 has an STE that is not valid.
    machine.write(0x0905_0080, &0x4001_0000_u64.to_le_bytes());
    machine.write(0x0905_0020, &1u32.to_le_bytes());
    let mut session = Session::default();
    for (words, name) in
        [("stream=0", "C_BAD_STE"), ("stream=0x10", "C_BAD_STREAMID"), ("00:02.0", "C_BAD_STREAMID")]
    {
        let answer = command::run(
            &format!("explain {words} 0x5000 privileged instruction json"),
            &mut machine,
            &mut session,
        );
        let json: serde_json::Value = serde_json::from_str(answer.strip_suffix("\nok").unwrap()).unwrap();
        assert_eq!(json["answer"]["event"]["name"], name, "{answer}");
        assert_eq!(json["request"]["privileged"], true);
        assert_eq!(json["request"]["instruction"], true);
    }
    let answer = command::run("explain stream=0x100000000 0", &mut machine, &mut session);
    assert_eq!(answer, "error: stream 0x100000000 has more than 32 bits");
}

#[test]
fn wrong_commands_are_told_what_is_wrong() {
    check(
        &mut machine(),
        &[
            "fly",
            "dma",
            "dma exerciser",
            "dma exerciser fly 0 1",
            "dma exerciser read x 1",
            "dma exerciser read 0 4097",
            "dma exerciser read 0 1 2",
            "dma exerciser write 0 1 256",
            "dma nvme read 0 1",
            "explain 1 2",
            "explain 00:01.0",
            "explain 00:01.0 0xfff",
            "explain 00:01.0 0 pasid=0x100000",
            "explain 00:01.0 0 data=0x100000000",
            "explain 00:01.0 0 fast",
            "save",
            "save /nonexistent/file",
            "trace",
            "trace maybe",
            "trace on",
            "trace off",
        ],
        expect![[r#"
            > fly
            error: unknown command 'fly'; try help
            > dma
            error: DEVICE is missing
            > dma exerciser
            error: read or write is missing
            > dma exerciser fly 0 1
            error: 'fly' is neither read nor write
            > dma exerciser read x 1
            error: ADDRESS 'x' is not a number such as 0x1000
            > dma exerciser read 0 4097
            error: LEN 4097 is above 4096 bytes
            > dma exerciser read 0 1 2
            error: '2' is too much; try help
            > dma exerciser write 0 1 256
            error: BYTE 256 has more than 8 bits
            > dma nvme read 0 1
            error: there is no device 'nvme'; known: 00:01.0 (exerciser), 00:02.0 (edu)
            > explain 1 2
            error: '1' is no PCI function; write bus:device.function in hexadecimal, such as 00:04.0
            > explain 00:01.0
            error: ADDRESS is missing
            > explain 00:01.0 0xfff
            error: len 4 crosses the end of a page, 1 bytes on; ask for each page
            > explain 00:01.0 0 pasid=0x100000
            error: pasid 0x100000 is above 0xfffff
            > explain 00:01.0 0 data=0x100000000
            error: data 0x100000000 has more than 32 bits
            > explain 00:01.0 0 fast
            error: unknown word 'fast'; try help
            > save
            error: FILE is missing
            > save /nonexistent/file
            error: cannot write /nonexistent/file: No such file or directory (os error 2)
            > trace
            error: on or off is missing
            > trace maybe
            error: 'maybe' is neither on nor off
            > trace on
            error: there is no trace; start the emulator with --trace
            > trace off
            error: there is no trace; start the emulator with --trace
        "#]],
    );
    let empty = command::run(" ", &mut machine(), &mut Session::default());
    assert_eq!(empty, "error: no command; try help");
    let mut plain = Machine::new(&MachineConfig::default()).unwrap();
    check(
        &mut plain,
        &["explain 00:01.0 0", "dma edu read 0 1"],
        expect![[r#"
        > explain 00:01.0 0
        error: the machine has no IOMMU, so addresses of devices are physical; add one with --iommu
        > dma edu read 0 1
        error: there is no device 'edu'; known: none, add --device exerciser
    "#]],
    );
}

/// Counts events.
#[derive(Default)]
struct Count(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Sink for Count {
    fn record(&mut self, _: Time, _: &TraceEvent) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn finish(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_trace_is_paused_and_continued() {
    let mut machine = machine();
    let (count, checks) = <(std::sync::Arc<std::sync::atomic::AtomicUsize>, Count)>::default();
    machine.set_trace(Some(Box::new(Count(std::sync::Arc::clone(&count)))));
    let mut session = Session::default();
    session.take_trace(&mut machine);
    // What listens besides the trace is not paused.
    let heard = std::sync::Arc::clone(&checks.0);
    let trace = machine.set_trace(None).unwrap();
    machine.set_trace(Some(Box::new(Tee::new(vec![trace, Box::new(checks)]))));
    let seen = || count.load(std::sync::atomic::Ordering::Relaxed);
    for (line, traced) in [
        ("dma exerciser read 0 4", true),
        ("trace on", false),
        ("trace off", false),
        ("dma exerciser read 0 4", false),
        ("trace off", false),
        ("trace on", false),
        ("dma exerciser write 0 4", true),
    ] {
        let before = seen();
        let heard_before = heard.load(std::sync::atomic::Ordering::Relaxed);
        let answer = command::run(line, &mut machine, &mut session);
        assert!(answer.starts_with("ok"), "{line}: {answer}");
        assert_eq!(seen() > before, traced, "{line}");
        let hears = heard.load(std::sync::atomic::Ordering::Relaxed) > heard_before;
        assert_eq!(hears, line.starts_with("dma"), "{line}");
    }
}

#[test]
fn a_saved_machine_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = translating();
    for name in ["with space.json", "packed.json.gz"] {
        let path = folder.path().join(name);
        let line = format!("save {}", path.display());
        assert_eq!(command::run(&line, &mut machine, &mut Session::default()), "ok");
        let state = crate::snapshot::read(&path).unwrap();
        let mut other = Machine::new(machine.config()).unwrap();
        other.restore(state).unwrap();
        assert_eq!(other.save(), machine.save());
    }
}

#[test]
fn clients_are_served_one_after_another_until_one_quits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut server = Server::bind(&path).unwrap();
    assert!(Server::bind(&path).is_err(), "the place is taken");
    let client = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut answers = Vec::new();
            let long = "x".repeat(MAX_LINE + 1);
            for lines in [&["dma edu", long.as_str(), "fly"][..], &["dma exerciser read 0x5000 2", "quit"]] {
                let mut stream = UnixStream::connect(&path).unwrap();
                let mut input = BufReader::new(stream.try_clone().unwrap()).lines();
                for line in lines {
                    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
                    answers.push(input.next().unwrap().unwrap());
                }
            }
            answers
        }
    });
    let mut machine = machine();
    while server.serve(&mut machine).is_continue() {
        std::thread::yield_now();
    }
    let answers = client.join().unwrap();
    assert_eq!(
        answers,
        [
            "error: read or write is missing",
            "error: the line is longer than 4096 bytes",
            "error: unknown command 'fly'; try help",
            "ok done 0000",
            "ok",
        ]
    );
    assert!(server.has_quit());
    // A client that says nothing does not keep the server.
    let silent = UnixStream::connect(&path).unwrap();
    drop(server);
    assert!(!path.exists());
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut &silent, &mut rest).unwrap();
    assert!(rest.is_empty());
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn a_controlled_machine_keeps_its_level_triggered_interrupts() {
    use crate::kvm::Platform;
    use crate::machine::Interrupt;

    let folder = tempfile::tempdir().unwrap();
    let mut machine = machine();
    machine.assign_resources().unwrap();
    // Memory space of edu, 00:02.0, whose pin is routed to input 22: level, vector 41h.
    machine.write(0xb001_0004, &[6, 0]);
    for (index, value) in [(0x3d_u32, 0_u32), (0x3c, 0x8041)] {
        machine.write(0xfec0_0000, &index.to_le_bytes());
        machine.write(0xfec0_0010, &value.to_le_bytes());
    }
    let mut bar = [0; 4];
    machine.read(0xb001_0010, &mut bar);
    let edu = u64::from(u32::from_le_bytes(bar) & !0xf);
    let mut controlled = Controlled::new(machine, Server::bind(&folder.path().join("socket")).unwrap());
    assert_eq!(controlled.take_level_routes().map(|routes| routes.len()), Some(1));
    controlled.write(edu + 0x60, &1u32.to_le_bytes());
    let message = Interrupt::Message { address: 0xfee0_0000, data: 0xc041 };
    assert!(controlled.take_interrupts().contains(&message));
    controlled.end_of_interrupt(0x41);
    assert_eq!(controlled.take_interrupts(), [message], "its cause is still there");
}
