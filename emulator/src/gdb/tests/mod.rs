#![allow(clippy::unwrap_used)]

mod client;

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use cpu::interp::{BusError, Lines};
use devices::mem::WriteWatch;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::*;
use crate::soft::Options;
use client::Client;

const RAM: u64 = 0x4000_0000;

/// A board that is RAM, and a console at 0900_0000h.
struct Plain {
    memory: GuestMemoryMmap,
    now: Time,
    console: Vec<u8>,
}

impl Board for Plain {
    fn memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }
    fn watch(&self, _: Arc<dyn WriteWatch>) {}
    fn read(&mut self, _: u64, _: &mut [u8]) -> Result<(), BusError> {
        Err(BusError)
    }
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), BusError> {
        self.console.push(data[0]);
        if address == 0x0900_0000 { Ok(()) } else { Err(BusError) }
    }
    fn now(&self) -> Time {
        self.now
    }
    fn advance(&mut self, until: Time) {
        self.now = until;
    }
    fn next_event(&self) -> Option<Time> {
        None
    }
    fn lines(&mut self, _: usize) -> Lines {
        Lines::default()
    }
    fn take_event(&mut self) -> bool {
        false
    }
    fn private_line(&mut self, _: usize, _: u32, _: bool) {}
    fn has_gic(&self) -> bool {
        false
    }
    fn gic_read(&mut self, _: usize, _: u16) -> Option<u64> {
        None
    }
    fn gic_write(&mut self, _: usize, _: u16, _: u64) -> Option<()> {
        None
    }
    fn take_console(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.console)
    }
    fn exit_request(&self) -> Option<u32> {
        None
    }
}

/// Two CPUs; the first is about to run `words` at the start of RAM.
fn soft(words: &[u32]) -> Soft<Plain> {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(RAM), 1 << 20)]).unwrap();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    memory.write_slice(&bytes, GuestAddress(RAM)).unwrap();
    let board = Plain { memory, now: Time(0), console: Vec::new() };
    let mut soft = Soft::new(board, &Options { cpus: 2, ..Options::default() }).ok().unwrap();
    soft.start(RAM, 0);
    soft
}

/// Runs `words` with `script` at the other end of the debugger's connection; how the guest ended, and
/// what it printed.
fn session(words: &[u32], script: impl FnOnce(&mut Client) + Send + 'static) -> (Ending, Left, String) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let client = thread::spawn(move || script(&mut Client::new(theirs)));
    let mut soft = soft(words);
    let mut text = Vec::new();
    let mut how = None;
    let ending = run(
        &mut soft,
        2,
        ours,
        Time(20_000_000),
        &mut |bytes| text.extend_from_slice(bytes),
        &mut |_| ControlFlow::Continue(()),
        |left| {
            how = Some(match left {
                Left::Ended(ending) => Left::Ended(*ending),
                Left::Detached => Left::Detached,
                Left::Lost(why) => Left::Lost(why.clone()),
            });
        },
    );
    client.join().unwrap();
    (ending, how.unwrap(), String::from_utf8(text).unwrap())
}

/// Counts in X0 up to X1, storing each to 4000_0800h, then ends with 7.
const COUNT: [u32; 10] = [
    0xd2800000, // mov x0, #0
    0xd2800061, // mov x1, #3
    0xd2a80002, // mov x2, #0x4000_0000
    0x91000400, // add x0, x0, #1
    0xf9040040, // str x0, [x2, #0x800]
    0xeb01001f, // cmp x0, x1
    0x54ffffa1, // b.ne .-12
    0x52800200, // mov w0, #0x10
    0x72b0c000, // movk w0, #0x8600, lsl #16
    0xd4000002, // hvc #0
];

#[test]
fn the_guest_stands_until_it_is_let_go_and_its_end_is_reported() {
    let (ending, left, _) = session(&COUNT, |client| {
        let features =
            client.ask("qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+;xmlRegisters=i386");
        assert!(features.contains("qXfer:features:read+"), "{features}");
        client.expect("vCont?", "vCont;c;C;s;S");
        assert!(client.ask("?").starts_with('T'));
        let threads = client.ask("qfThreadInfo");
        assert!(threads.starts_with('m') && threads.ends_with("02"), "{threads}");
        client.expect("qsThreadInfo", "l");
        assert_eq!(client.ask("vCont;c"), "W03");
    });
    // Three is left in X1.
    assert_eq!(ending, Ending::Exited(3));
    assert!(matches!(left, Left::Ended(Ending::Exited(3))));
}

#[test]
fn the_target_description_names_the_registers_in_order() {
    session(&COUNT, |client| {
        client.ask("qSupported:multiprocess+;xmlRegisters=i386");
        let mut xml = String::new();
        loop {
            let part = client.ask(&format!("qXfer:features:read:target.xml:{:x},400", xml.len()));
            xml.push_str(&part[1..]);
            if part.starts_with('l') {
                break;
            }
        }
        let document = roxmltree::Document::parse_with_options(
            &xml,
            roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() },
        )
        .unwrap();
        let registers: Vec<_> = document
            .descendants()
            .filter(|node| node.has_tag_name("reg"))
            .map(|node| {
                (node.attribute("name").unwrap().to_owned(), node.attribute("bitsize").unwrap().to_owned())
            })
            .collect();
        assert_eq!(registers.len(), 34 + 34);
        let bits: usize = registers.iter().map(|(_, bits)| bits.parse::<usize>().unwrap()).sum();
        assert_eq!(client.ask("g").len(), bits / 4, "two digits a byte");
        for (index, name) in
            [(30, "x30"), (31, "sp"), (32, "pc"), (33, "cpsr"), (34, "v0"), (66, "fpsr"), (67, "fpcr")]
        {
            assert_eq!(registers[index].0, name);
        }
        client.send("k");
    });
}

/// The value of the little-endian register of 8 bytes at a place in the answer to `g`.
fn register(all: &str, index: usize) -> u64 {
    u64::from_str_radix(&all[index * 16..index * 16 + 16], 16).unwrap().swap_bytes()
}

#[test]
fn registers_are_read_and_written() {
    let (ending, ..) = session(&COUNT, |client| {
        // cmp x0, x1 the first time.
        client.expect("Z0,40000014,4", "OK");
        let stop = client.ask("vCont;c");
        assert!(stop.contains("swbreak:"), "{stop}");
        client.expect("z0,40000014,4", "OK");
        let all = client.ask("g");
        assert_eq!([0, 1, 2, 32].map(|index| register(&all, index)), [1, 3, 0x4000_0000, 0x4000_0014]);
        // PSTATE: EL1h, masked.
        assert_eq!(&all[33 * 16..33 * 16 + 8], "c5030000");
        // X1 = 9, V31 = all ones, FPCR.RMode = 3.
        let mut all = all;
        all.replace_range(16..32, "0900000000000000");
        let v31 = 33 * 16 + 8 + 31 * 32;
        all.replace_range(v31..v31 + 32, &"f".repeat(32));
        all.replace_range(v31 + 40..v31 + 48, "0000c000");
        client.expect(&format!("G{all}"), "OK");
        assert_eq!(client.ask("g"), all);
        // The other CPU has registers of its own.
        client.expect("Hg2", "OK");
        assert_eq!(register(&client.ask("g"), 1), 0);
        assert_eq!(client.ask("vCont;c"), "W09");
    });
    assert_eq!(ending, Ending::Exited(9));
}

#[test]
fn memory_is_read_and_written_and_changed_code_runs() {
    let (ending, ..) = session(&COUNT, |client| {
        client.expect("m40000000,8", "000080d2610080d2");
        client.expect("m400ffffe,8", "0000");
        // No device register is read, and there is no RAM at 0.
        client.expect("m9000000,4", "E0e");
        client.expect("m0,4", "E0e");
        client.expect("X40000900,4:\u{1}\u{2}\u{3}\u{4}", "OK");
        client.expect("m40000900,4", "01020304");
        client.expect("M20000000,4:00000000", "E0e");
        // Once through the loop, so that its code is decoded; then cmp x0, #5.
        client.expect("Z1,40000014,4", "OK");
        assert!(client.ask("vCont;c").contains("hwbreak:"));
        client.expect("z1,40000014,4", "OK");
        client.expect("Z1,4000001c,4", "OK");
        client.ask("vCont;s:1");
        client.ask("vCont;s:1");
        client.expect("M40000014,4:1f1400f1", "OK");
        client.ask("vCont;c");
        assert_eq!(register(&client.ask("g"), 0), 5);
        client.send("k");
    });
    assert_eq!(ending, Ending::Stopped);
}

#[test]
fn one_cpu_is_stepped() {
    let (ending, ..) = session(&COUNT, |client| {
        for pc in [0x4000_0004, 0x4000_0008, 0x4000_000c, 0x4000_0010] {
            let stop = client.ask("vCont;s:1");
            assert!(stop.starts_with("T05") && stop.contains("thread:"), "{stop}");
            assert_eq!(register(&client.ask("g"), 32), pc);
        }
        // With the others free to run.
        client.ask("vCont;s:1;c");
        assert_eq!(register(&client.ask("g"), 32), 0x4000_0014);
        // Locked: the one alone, to a breakpoint.
        client.expect("Z0,4000001c,4", "OK");
        assert!(client.ask("vCont;c:1").contains("swbreak:"));
        assert_eq!(register(&client.ask("g"), 0), 3);
        client.expect("D", "OK");
    });
    assert_eq!(ending, Ending::Exited(3), "detached, it goes on");
}

#[test]
fn watchpoints_stop_before_the_access() {
    // (packet, answer to continue, or none)
    let rows = [
        ("2,40000800,8", Some("watch:40000800")),
        ("4,40000804,1", Some("awatch:40000804")),
        ("3,40000800,8", None),
        ("2,40000808,8", None),
        ("2,400007f8,8", None),
    ];
    for (packet, expected) in rows {
        session(&COUNT, move |client| {
            client.expect(&format!("Z{packet}"), "OK");
            let stop = client.ask("vCont;c");
            match expected {
                None => assert_eq!(stop, "W03", "{packet}"),
                Some(expected) => {
                    assert!(stop.contains(expected), "{packet}: {stop}");
                    client.expect("m40000800,8", "0000000000000000");
                    assert_eq!(register(&client.ask("g"), 32), 0x4000_0010);
                    client.expect(&format!("z{packet}"), "OK");
                    client.ask("vCont;s:1");
                    client.expect("m40000800,8", "0100000000000000");
                    client.send("k");
                }
            }
        });
    }
}

/// Each is told by its own kind, whatever else is set there.
#[test]
fn the_watchpoint_that_stops_is_the_one_reported() {
    session(&COUNT, |client| {
        client.expect("Z3,40000800,8", "OK");
        client.expect("Z2,40000804,4", "OK");
        let stop = client.ask("vCont;c");
        assert!(stop.contains(";watch:40000804"), "{stop}");
        client.send("k");
    });
}

#[test]
fn ctrl_c_stops_what_runs_and_kill_ends_it() {
    // Prints, then loops.
    let words = [
        0xd2a12000, // mov x0, #0x0900_0000
        0x52800d01, // mov w1, #'h'
        0xb9000001, // str w1, [x0]
        0x14000000, // b .
    ];
    let (ending, left, text) = session(&words, |client| {
        client.expect("Z0,4000000c,4", "OK");
        client.ask("vCont;c");
        client.expect("z0,4000000c,4", "OK");
        client.send("vCont;c");
        client.interrupt();
        let stop = client.receive();
        assert!(stop.starts_with("T02"), "{stop}");
        assert_eq!(register(&client.ask("g"), 32), 0x4000_000c);
        client.send("k");
    });
    assert_eq!((ending, text.as_str()), (Ending::Stopped, "h"));
    assert!(matches!(left, Left::Ended(Ending::Stopped)));
}

#[test]
fn a_debugger_that_goes_away_or_talks_nonsense_leaves_the_guest_running() {
    let scripts: [fn(&mut Client); 4] = [
        |_| {},
        |client| client.send("vCont;c:7"),
        |client| {
            client.expect("Z0,40000014,4", "OK");
            client.ask("vCont;c");
        },
        |client| {
            for nonsense in [
                "m",
                "mzz,1",
                "Z9,0,0",
                "vCont;x",
                "qXfer:features:read:target.xml:ffffffff,1",
                "G00",
                "Hg77",
            ] {
                client.send(nonsense);
            }
        },
    ];
    for script in scripts {
        let (ending, left, _) = session(&COUNT, script);
        assert_eq!(ending, Ending::Exited(3));
        assert!(matches!(left, Left::Lost(_)), "{left:?}");
    }
}

#[test]
fn a_limit_ends_the_session() {
    let (ending, ..) = session(&[0x14000000], |client| {
        assert_eq!(client.ask("vCont;c"), "X0e");
    });
    assert_eq!(ending, Ending::TimedOut);
}

/// Virtual addresses: two pages of the same memory, of which one is mapped nowhere near.
#[test]
fn memory_is_that_of_the_cpus_translation() {
    // A table of level 1 at 4000_1000h, of which entry 1 maps RAM one to one and entry 4 maps it again.
    let words = [
        0xd2a80000, // mov x0, #0x4000_0000
        0xd280e021, // mov x1, #0x701
        0x8b000021, // add x1, x1, x0: a block of normal memory, inner shareable, accessed
        0xd2820002, // mov x2, #0x1000
        0x8b000042, // add x2, x2, x0
        0xf9000441, // str x1, [x2, #8]
        0xf9001041, // str x1, [x2, #32]
        0xd5182002, // msr ttbr0_el1, x2
        0xd2807321, // mov x1, #0x399 (T0SZ 25; non-cacheable walks)
        0xd2800321, // mov x1, #25
        0xf2a01001, // movk x1, #0x80, lsl #16: EPD1
        0xd5182041, // msr tcr_el1, x1
        0xd2801fe1, // mov x1, #0xff
        0xd518a201, // msr mair_el1, x1
        0xd5033fdf, // isb
        0xd5381001, // mrs x1, sctlr_el1
        0xb2400021, // orr x1, x1, #1
        0xd5181001, // msr sctlr_el1, x1
        0xd5033fdf, // isb
        0x14000000, // b .
    ];
    session(&words, |client| {
        client.expect("m40000000,4", "0000a8d2");
        assert!(client.ask("m100000000,4").starts_with('E'), "the MMU is off: no RAM is there");
        client.expect("Z0,4000004c,4", "OK");
        client.ask("vCont;c");
        client.expect("m100000000,4", "0000a8d2");
        client.expect("M100000800,4:78563412", "OK");
        client.expect("m40000800,4", "78563412");
        assert!(client.ask("m80000000,4").starts_with('E'), "not mapped");
        // The other CPU's MMU is off.
        client.expect("Hg2", "OK");
        assert!(client.ask("m100000000,4").starts_with('E'));
        client.send("k");
    });
}

#[test]
fn a_listener_is_on_the_loopback_interface() {
    let listener = Listener::bind(0).unwrap();
    let address = listener.address().unwrap();
    assert!(address.ip().is_loopback());
    let client = thread::spawn(move || TcpStream::connect(address).unwrap());
    listener.accept().unwrap();
    client.join().unwrap();
}
