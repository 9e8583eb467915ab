//! Guests on this host's real KVM.
//!
//! A host without one has to say so: IOMMULATOR_NO_KVM=1 turns each of these tests into the check
//! that [`probe`] refuses.

mod levels;
mod multiboot_guest;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use devices::events::Time;
use firmware::boot::{BootConfig, load};
use firmware::multiboot::{self, MultibootConfig};
use iced_x86::code_asm::*;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::probe::elf_header;
use super::*;
use crate::config::MachineConfig;
use crate::control::{Controlled, Server};
use crate::machine::{Interrupt, Machine};

const CODE: u64 = 0x1_0000;
const IDT: u64 = 0x2_0000;
const IDTR: u64 = 0x2_1000;
const MMIO: u64 = 0xfed9_0000;
const VECTOR: u32 = 0x31;

/// Whether there is a KVM to test.
fn kvm() -> bool {
    let probed = probe();
    if std::env::var_os("IOMMULATOR_NO_KVM").is_some_and(|value| value == "1") {
        assert!(probed.is_err(), "IOMMULATOR_NO_KVM=1 is set, but KVM works here: unset it");
        return false;
    }
    if let Err(error) = probed {
        panic!(
            "{error}\nThese tests need a usable /dev/kvm: load the kvm module and let this user open the device, or set \
             IOMMULATOR_NO_KVM=1 to state that this host has none"
        );
    }
    true
}

#[derive(Debug, PartialEq, Eq)]
enum Access {
    Read(u64, usize),
    Write(u64, Vec<u8>),
    In(u16, usize),
    Out(u16, Vec<u8>),
}

struct Bench {
    memory: GuestMemoryMmap,
    log: Vec<Access>,
    now: Time,
    /// When the interrupt of [`VECTOR`] is due.
    due: Option<Time>,
    interrupts: Vec<Interrupt>,
    console: Vec<u8>,
    exit: Option<u32>,
}

/// The port whose bytes are the console, the one that ends the run, and one that panics.
const CONSOLE: u16 = 0x3f8;
const EXIT: u16 = 0xf4;
const PANIC: u16 = 0x99;

impl Platform for Bench {
    fn memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    fn read(&mut self, address: u64, data: &mut [u8]) {
        self.log.push(Access::Read(address, data.len()));
        let pattern = [0x81, 0x72, 0x63, 0x54, 0x45, 0x36, 0x27, 0x18];
        data.copy_from_slice(&pattern[..data.len()]);
    }

    fn write(&mut self, address: u64, data: &[u8]) {
        self.log.push(Access::Write(address, data.to_vec()));
        if address == MMIO + 0x800 {
            self.due = Some(self.now.after(3_000_000));
        }
        if address == MMIO + 0x900 {
            self.interrupts.push(Interrupt::Message { address: 0xfee0_0000, data: VECTOR });
        }
    }

    fn io_read(&mut self, port: u16, data: &mut [u8]) {
        self.log.push(Access::In(port, data.len()));
        data.fill(0x5a);
    }

    fn io_write(&mut self, port: u16, data: &[u8]) {
        match port {
            EXIT => self.exit = Some(u32::from_le_bytes(data.try_into().unwrap())),
            CONSOLE => self.console.extend(data),
            PANIC => panic!("the platform is broken"),
            _ => self.log.push(Access::Out(port, data.to_vec())),
        }
    }

    fn now(&self) -> Time {
        self.now
    }

    fn advance(&mut self, until: Time) {
        self.now = until;
        if self.due.is_some_and(|due| due <= until) {
            self.due = None;
            self.interrupts.push(Interrupt::Message { address: 0xfee0_0000, data: VECTOR });
        }
    }

    fn next_event(&self) -> Option<Time> {
        self.due
    }

    fn take_interrupts(&mut self) -> Vec<Interrupt> {
        std::mem::take(&mut self.interrupts)
    }

    fn take_console(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.console)
    }

    fn exit_request(&self) -> Option<u32> {
        self.exit
    }
}

/// Loads a guest whose code is assembled by `code`.
fn load_guest(
    memory: &GuestMemoryMmap,
    code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> BootState {
    let mut asm = CodeAssembler::new(64).unwrap();
    code(&mut asm).unwrap();
    let code = asm.assemble(CODE).unwrap();
    let mut image = elf_header(CODE, code.len() as u64);
    image.extend(code);
    load(memory, &BootConfig { image: &image, command_line: "", reserved: &[] }).unwrap()
}

/// A platform and the guest on it whose code is assembled by `code`.
fn guest(code: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> (Bench, BootState) {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x20_0000)]).unwrap();
    let boot = load_guest(&memory, code);
    (bench(memory), boot)
}

fn bench(memory: GuestMemoryMmap) -> Bench {
    Bench {
        memory,
        log: Vec::new(),
        now: Time(1_000_000),
        due: None,
        interrupts: Vec::new(),
        console: Vec::new(),
        exit: None,
    }
}

const LIMITS: Limits = Limits { timeout: Duration::from_secs(10) };

fn complete((bench, boot): (Bench, BootState)) -> Finished<Bench> {
    run(bench, &boot, LIMITS, |_| ())
}

/// Ends the run with EAX.
fn exit(asm: &mut CodeAssembler) -> Result<(), IcedError> {
    asm.out(u32::from(EXIT), eax)
}

#[test]
fn the_probe_completes() {
    if kvm() {
        probe().unwrap();
    }
}

#[test]
fn a_controlled_machine_is_served_even_if_its_guest_never_exits() {
    if !kvm() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let config = MachineConfig { memory: "4M".parse().unwrap(), ..Default::default() };
    let machine = Machine::new(&config).unwrap();
    let boot = load_guest(machine.memory(), |asm| {
        let mut here = asm.create_label();
        asm.set_label(&mut here)?;
        asm.jmp(here)
    });
    let controlled = Controlled::new(machine, Server::bind(&path).unwrap());
    let client = std::thread::spawn(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(b"trace on\nquit\n").unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        answers
    });
    let Finished { platform, end } = run(controlled, &boot, LIMITS, |_| ());
    assert_eq!(end.unwrap(), 0);
    drop(platform);
    let answers = client.join().unwrap();
    assert_eq!(answers, "error: there is no trace; start the emulator with --trace\nok\n");
}

#[test]
fn a_whole_machine_is_a_platform() {
    if !kvm() {
        return;
    }
    let config = MachineConfig {
        iommus: vec!["vtd-legacy".parse().unwrap()],
        memory: "4M".parse().unwrap(),
        ..Default::default()
    };
    let machine = Machine::new(&config).unwrap();
    let boot = load_guest(machine.memory(), |asm| {
        asm.mov(edx, 0x3f8)?;
        asm.mov(al, u32::from(b'K'))?;
        asm.out(dx, al)?;
        // VER_REG of the remapping unit: version 1.0.
        asm.mov(rdi, 0xfed9_0000_u64)?;
        asm.mov(eax, dword_ptr(rdi))?;
        exit(asm)
    });
    let (sender, receiver) = mpsc::channel();
    let Finished { platform, end } =
        run(machine, &boot, LIMITS, move |bytes| sender.send(bytes.to_vec()).unwrap());
    assert_eq!(end.unwrap(), 0x10);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [b"K"]);
    assert!(platform.now() > Time(0));
}

#[test]
fn mmio_arrives_with_its_width_and_value() {
    if !kvm() {
        return;
    }
    let Finished { platform, end } = complete(guest(|asm| {
        asm.mov(rdi, MMIO)?;
        asm.mov(rbx, 0x1122_3344_5566_7788_u64)?;
        asm.mov(byte_ptr(rdi + 1), bl)?;
        asm.mov(word_ptr(rdi + 2), bx)?;
        asm.mov(dword_ptr(rdi + 4), ebx)?;
        asm.mov(qword_ptr(rdi + 8), rbx)?;
        asm.xor(edx, edx)?;
        asm.mov(dl, byte_ptr(rdi + 0x21))?;
        asm.add(edx, 1)?;
        asm.mov(dword_ptr(rdi), edx)?;
        asm.xor(edx, edx)?;
        asm.mov(dx, word_ptr(rdi + 0x22))?;
        asm.mov(dword_ptr(rdi), edx)?;
        asm.mov(rdx, qword_ptr(rdi + 0x28))?;
        asm.mov(qword_ptr(rdi), rdx)?;
        asm.mov(eax, dword_ptr(rdi + 0x24))?;
        exit(asm)
    }));
    assert_eq!(end.unwrap(), 0x5463_7281);
    use Access::{Read, Write};
    assert_eq!(
        platform.log,
        [
            Write(0xfed9_0001, vec![0x88]),
            Write(0xfed9_0002, vec![0x88, 0x77]),
            Write(0xfed9_0004, vec![0x88, 0x77, 0x66, 0x55]),
            Write(0xfed9_0008, vec![0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]),
            Read(0xfed9_0021, 1),
            Write(0xfed9_0000, vec![0x82, 0, 0, 0]),
            Read(0xfed9_0022, 2),
            Write(0xfed9_0000, vec![0x81, 0x72, 0, 0]),
            Read(0xfed9_0028, 8),
            Write(0xfed9_0000, vec![0x81, 0x72, 0x63, 0x54, 0x45, 0x36, 0x27, 0x18]),
            Read(0xfed9_0024, 4),
        ]
    );
}

#[test]
fn ports_arrive_with_their_width_one_access_at_a_time() {
    if !kvm() {
        return;
    }
    let Finished { platform, end } = complete(guest(|asm| {
        asm.mov(rsi, 0x3_0000_u64)?;
        asm.mov(dword_ptr(rsi), 0x4433_2211)?;
        asm.mov(edx, 0x510)?;
        asm.mov(ecx, 2)?;
        asm.cld()?;
        asm.rep().outsw()?;
        asm.mov(ecx, 3)?;
        asm.mov(rdi, 0x3_0008_u64)?;
        asm.rep().insb()?;
        asm.mov(al, 0x77)?;
        asm.out(dx, al)?;
        asm.in_(ax, dx)?;
        asm.mov(eax, dword_ptr(0x3_0008))?;
        exit(asm)
    }));
    assert_eq!(end.unwrap(), 0x005a_5a5a);
    use Access::{In, Out};
    let expected = [
        Out(0x510, vec![0x11, 0x22]),
        Out(0x510, vec![0x33, 0x44]),
        In(0x510, 1),
        In(0x510, 1),
        In(0x510, 1),
        Out(0x510, vec![0x77]),
        In(0x510, 2),
    ];
    assert_eq!(platform.log, expected);
}

/// Enables the x2APIC, loads the IDT and waits, with interrupts on, after writing 0 to `trigger`.
/// The handler ends the run with 0x600d.
fn waits_for_interrupt(trigger: u64) -> (Bench, BootState) {
    let (bench, boot) = guest(|asm| {
        let (mut start, mut handler, mut wait) = (asm.create_label(), asm.create_label(), asm.create_label());
        asm.jmp(start)?;
        // The handler lies at a fixed place, so that the gate can be a literal.
        for _ in 0..16 {
            asm.nop()?;
        }
        asm.set_label(&mut handler)?;
        asm.mov(eax, 0x600d)?;
        exit(asm)?;
        asm.set_label(&mut start)?;
        for (msr, value) in [(0x1b, 0xfee0_0d00_u32), (0x80f, 0x1ff)] {
            asm.mov(ecx, msr)?;
            asm.xor(edx, edx)?;
            asm.mov(eax, value)?;
            asm.wrmsr()?;
        }
        asm.lidt(ptr(IDTR))?;
        asm.mov(rdi, trigger)?;
        asm.mov(dword_ptr(rdi), 0)?;
        asm.sti()?;
        asm.set_label(&mut wait)?;
        asm.hlt()?;
        asm.jmp(wait)
    });
    write_idt(&bench.memory);
    (bench, boot)
}

/// An IDT for a guest that begins with two bytes of jump and 16 of nop: the handler is at 0x10012.
fn write_idt(memory: &GuestMemoryMmap) {
    // Gate: present, type 0xe, 0x10.
    let gate = [0x12, 0, 0x10, 0, 0, 0x8e, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0_u8];
    memory.write_slice(&gate, GuestAddress(IDT + 16 * u64::from(VECTOR))).unwrap();
    memory.write_slice(&[0xff, 0x0f, 0, 0, 2, 0, 0, 0, 0, 0], GuestAddress(IDTR)).unwrap();
}

#[test]
fn a_multiboot_guest_starts_in_protected_mode_with_its_information() {
    if !kvm() {
        return;
    }
    // 0x49 is a REX prefix to a processor in 64-bit mode, which then takes the jump.
    let mut image: Vec<u8> = [0x1bad_b002_u32, 0x1_0000, 0xe451_4ffe, 0x1_0000, 0x1_0000, 0, 0, 0x1_0020]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    image.extend([
        0x31, 0xc9, // xor ecx, ecx
        0x49, // dec ecx
        0x74, 0x0b, // jz fail
        0x3d, 0x02, 0xb0, 0xad, 0x2b, // cmp eax, 0x2badb002
        0x75, 0x04, // jne fail
        0x8b, 0x03, // mov eax, [ebx]
        0xe7, 0xf4, // out 0xf4, eax
        0x31, 0xc0, // fail: xor eax, eax
        0xe7, 0xf4, // out 0xf4, eax
    ]);
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x20_0000)]).unwrap();
    let config = MultibootConfig { image: &image, command_line: "", modules: &[], reserved: &[] };
    let boot = multiboot::load(&memory, &config).unwrap();
    // The flags of the boot information.
    assert_eq!(complete((bench(memory), boot)).end.unwrap(), 0x24d);
}

#[test]
fn a_message_interrupt_reaches_the_guest_s_handler() {
    if kvm() {
        assert_eq!(complete(waits_for_interrupt(MMIO + 0x900)).end.unwrap(), 0x600d);
    }
}

#[test]
fn a_machine_event_comes_in_host_time_while_the_guest_sleeps() {
    if !kvm() {
        return;
    }
    let Finished { platform, end } = complete(waits_for_interrupt(MMIO + 0x800));
    assert_eq!(end.unwrap(), 0x600d);
    // Machine time began at 1 ms, and the event came 3 ms after it was asked for.
    assert!(platform.now >= Time(4_000_000), "{}", platform.now);
}

#[test]
fn the_console_is_passed_on_as_it_comes() {
    if !kvm() {
        return;
    }
    let (bench, boot) = guest(|asm| {
        asm.mov(edx, u32::from(CONSOLE))?;
        for byte in b"hi" {
            asm.mov(al, u32::from(*byte))?;
            asm.out(dx, al)?;
        }
        asm.xor(eax, eax)?;
        exit(asm)
    });
    let (sender, receiver) = mpsc::channel();
    let finished = run(bench, &boot, LIMITS, move |bytes| sender.send(bytes.to_vec()).unwrap());
    assert_eq!(finished.end.unwrap(), 0);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [b"h", b"i"]);
}

/// On a real processor these run; an emulator that cannot must say so, where and what.
#[test]
fn an_instruction_that_cannot_be_run_is_named() {
    if !kvm() {
        return;
    }
    type Emit = fn(&mut CodeAssembler) -> Result<(), IcedError>;
    let rows: [(&str, Emit, &[u8]); 2] = [
        ("popcnt", |asm| asm.popcnt(eax, ecx), &[0xf3, 0x0f, 0xb8, 0xc1]),
        ("pxor", |asm| asm.pxor(xmm0, xmm1), &[0x66, 0x0f, 0xef, 0xc1]),
    ];
    for (name, emit, encoding) in rows {
        let finished = complete(guest(|asm| {
            asm.nop()?;
            emit(asm)?;
            asm.mov(eax, 7)?;
            exit(asm)
        }));
        match finished.end {
            Ok(value) => assert_eq!(value, 7, "{name}"),
            Err(KvmError::CannotRun { rip, bytes }) => {
                assert_eq!((rip, &bytes.0[..4], bytes.0.len()), (CODE + 1, encoding, 15), "{name}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// Whatever CPUID says of LZCNT, it is true: 29 zeros, not bit 2.
#[test]
fn cpuid_does_not_promise_what_is_executed_wrongly() {
    if !kvm() {
        return;
    }
    let end = complete(guest(|asm| {
        asm.mov(eax, 0x8000_0001_u32)?;
        asm.xor(ecx, ecx)?;
        asm.cpuid()?;
        asm.shr(ecx, 5)?;
        asm.and(ecx, 1)?;
        asm.mov(esi, ecx)?;
        asm.mov(ecx, 4)?;
        asm.lzcnt(eax, ecx)?;
        asm.shl(esi, 8)?;
        asm.or(eax, esi)?;
        exit(asm)
    }));
    let (promised, count) = end.end.map(|value| (value >> 8, value & 0xff)).unwrap();
    assert_eq!(promised == 1, count == 29, "promised {promised}, counted {count}");
}

#[test]
fn the_guest_is_the_only_processor() {
    if !kvm() {
        return;
    }
    let end = complete(guest(|asm| {
        asm.mov(eax, 1)?;
        asm.xor(ecx, ecx)?;
        asm.cpuid()?;
        asm.mov(eax, ebx)?;
        asm.shr(eax, 16)?;
        exit(asm)
    }));
    assert_eq!(end.end.unwrap(), 1, "APIC id 0, one logical processor");
}

#[test]
fn the_limit_stops_a_guest_that_spins_and_one_that_sleeps_for_ever() {
    if !kvm() {
        return;
    }
    let spins: fn(&mut CodeAssembler) -> _ = |asm| {
        let mut here = asm.create_label();
        asm.set_label(&mut here)?;
        asm.jmp(here)
    };
    let sleeps: fn(&mut CodeAssembler) -> _ = |asm| {
        asm.cli()?;
        asm.hlt()
    };
    for (name, code, last) in [("spins", spins, CODE), ("sleeps", sleeps, CODE + 2)] {
        let (bench, boot) = guest(code);
        let limit = Duration::from_millis(50);
        match run(bench, &boot, Limits { timeout: limit }, |_| ()).end {
            Err(KvmError::Timeout { limit: stopped_after, rip }) => {
                assert_eq!(stopped_after, limit, "{name}");
                assert!((CODE..=last).contains(&rip), "{name}: {rip:#x}");
            }
            end => panic!("{name}: {end:?}"),
        }
    }
}

#[test]
fn a_triple_fault_is_reported() {
    if !kvm() {
        return;
    }
    // The IDT is empty at entry.
    let finished = complete(guest(|asm| asm.ud2()));
    assert!(matches!(finished.end, Err(KvmError::TripleFault)), "{:?}", finished.end);
}

#[test]
fn a_panic_of_the_platform_ends_the_run_with_it() {
    if !kvm() {
        return;
    }
    let caught = std::panic::catch_unwind(|| {
        complete(guest(|asm| {
            asm.out(u32::from(PANIC), al)?;
            asm.hlt()
        }))
        .end
    });
    assert_eq!(caught.err().and_then(|panic| panic.downcast_ref().copied()), Some("the platform is broken"));
}

#[test]
fn memory_that_kvm_cannot_map_is_an_error_and_the_platform_comes_back() {
    if !kvm() {
        return;
    }
    let (mut bench, boot) = guest(|asm| asm.hlt());
    bench.memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0x800), 0x1000)]).unwrap();
    let finished = run(bench, &boot, LIMITS, |_| ());
    assert!(
        matches!(finished.end, Err(KvmError::Host { what: "mapping guest memory", .. })),
        "{:?}",
        finished.end
    );
    assert_eq!(finished.platform.log, []);
}
