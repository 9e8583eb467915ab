//! A small guest that shows whether, and how, this host's KVM runs guests.

use std::time::Duration;

use devices::events::Time;
use firmware::boot::{BootConfig, load};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use super::vm::Vm;
use super::{Features, Finished, KvmError, Limits, Platform, ProbeError, cpuid, run_with};
use crate::machine::Interrupt;

const LIMITS: Limits = Limits { timeout: Duration::from_secs(2) };
/// An address without RAM.
const MMIO: u64 = 0xfed9_0000;
/// What a read there gives.
const MMIO_VALUE: u32 = 0x1234_5678;
const EXIT_PORT: u16 = 0xf4;
const VECTOR: u32 = 0x20;
const RAM: usize = 1 << 20;

/// Where the image is linked; its parts follow.
const CODE: u64 = 0x1_0000;

/// Counts leading zeros, enables the local APIC in x2APIC mode, copies a dword from MMIO to MMIO,
/// which makes the platform send a message interrupt, and waits for it.
#[rustfmt::skip]
const MAIN: &[u8] = &[
    0xb9, 0x04, 0x00, 0x00, 0x00,             // mov ecx, 4
    0xf3, 0x0f, 0xbd, 0xd9,                   // lzcnt ebx, ecx
    0xb9, 0x1b, 0x00, 0x00, 0x00,             // mov ecx, IA32_APIC_BASE
    0x0f, 0x32,                               // rdmsr
    0x0d, 0x00, 0x0c, 0x00, 0x00,             // or eax, EN | EXTD
    0x0f, 0x30,                               // wrmsr
    0xb9, 0x0f, 0x08, 0x00, 0x00,             // mov ecx, IA32_X2APIC_SIVR
    0xb8, 0xff, 0x01, 0x00, 0x00,             // mov eax, enable | vector 0xff
    0x31, 0xd2,                               // xor edx, edx
    0x0f, 0x30,                               // wrmsr
    0x0f, 0x01, 0x1c, 0x25, 0xf0, 0x01, 0x01, 0x00, // lidt [0x101f0]
    0xbf, 0x00, 0x00, 0xd9, 0xfe,             // mov edi, 0xfed90000
    0x8b, 0x07,                               // mov eax, [rdi]
    0x89, 0x07,                               // mov [rdi], eax
    0xfb,                                     // sti
    0xf4,                                     // hlt
    0xeb, 0xfd,                               // jmp to the hlt
];
/// The handler of the interrupt: reports the count and so ends the run.
const HANDLER: &[u8] = &[
    0x89, 0xd8, // mov eax, ebx
    0xe7, 0xf4, // out 0xf4, eax
    0xeb, 0xfe, // jmp to itself
];
const HANDLER_AT: u64 = 0x1_0100;
/// Limit (two bytes) and base of the IDT.
const IDTR: &[u8] = &[0x0f, 0x02, 0x00, 0x02, 0x01, 0, 0, 0, 0, 0];
const IDTR_AT: u64 = 0x1_01f0;
/// The gate of vector 0x20: interrupt gate to 0x10:0x10100.
const GATE: &[u8] = &[0x00, 0x01, 0x10, 0x00, 0x00, 0x8e, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const GATE_AT: u64 = 0x1_0200 + 16 * VECTOR as u64;

/// What the guest counts if `lzcnt` is executed, or as `bsr` is, which is what it means to a
/// processor, or an emulator, that does not know it.
const LZCNT: u32 = 29;
const BSR: u32 = 2;

/// Whether this host's KVM completes a guest of a few integer instructions, an MMIO read and write,
/// a message interrupt through the local APIC and a port write, within 2 seconds.
///
/// # Errors
/// [`ProbeError`] says what is missing.
pub fn probe() -> Result<(), ProbeError> {
    features().map(|_| ())
}

/// Runs the probe and judges what may be shown to guests.
///
/// A processor that has LZCNT but executes it as BSR is no processor: KVM emulates.
pub(super) fn features() -> Result<Features, ProbeError> {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), RAM)])
        .map_err(|error| host("mapping guest memory", std::io::Error::other(error)))?;
    let offered = Vm::new(&memory).and_then(|vm| vm.supported_cpuid()).map_err(ProbeError::Incomplete)?;
    let config = BootConfig { image: &image(), command_line: "", reserved: &[] };
    let boot =
        load(&memory, &config).map_err(|error| host("loading the probe", std::io::Error::other(error)))?;
    let platform = ProbePlatform { memory, read: 0, written: 0, message: false, exit: None };
    let Finished { platform, end } = run_with(platform, &boot, LIMITS, |_| (), Features::Offered);
    let count = end.map_err(ProbeError::Incomplete)?;
    let wrong = |what, found| Err(ProbeError::Wrong { what, found });
    match platform {
        ProbePlatform { read, .. } if read != 4 => wrong("the size of a dword read", read),
        ProbePlatform { written, .. } if written != u64::from(MMIO_VALUE) => {
            wrong("the dword written back", written)
        }
        _ => match count {
            BSR if cpuid::offers_lzcnt(offered.as_slice()) => Ok(Features::Emulated),
            BSR | LZCNT => Ok(Features::Offered),
            _ => wrong("the number of leading zeros of 4", u64::from(count)),
        },
    }
}

fn host(what: &'static str, source: std::io::Error) -> ProbeError {
    ProbeError::Incomplete(KvmError::Host { what, source })
}

/// The parts as an ELF executable of one segment.
fn image() -> Vec<u8> {
    let end = GATE_AT + GATE.len() as u64;
    let mut image = elf_header(CODE, end - CODE);
    for (at, part) in [(CODE, MAIN), (HANDLER_AT, HANDLER), (IDTR_AT, IDTR), (GATE_AT, GATE)] {
        // The offset is below a page.
        image.resize(HEADERS + (at - CODE) as usize, 0);
        image.extend_from_slice(part);
    }
    image
}

/// Size of [`elf_header`].
const HEADERS: usize = 120;

/// The headers of an executable with one segment of `size` bytes at `address`, its entry point, that
/// follow the headers in the file.
pub(super) fn elf_header(address: u64, size: u64) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [address, 64, 0] {
        header.extend(word.to_le_bytes());
    }
    // Flags 0, header 64 bytes, one program header of 56 bytes, no sections; PT_LOAD, RWX.
    header.extend(b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x07\0\0\0");
    for word in [HEADERS as u64, address, address, size, size, 0x1000] {
        header.extend(word.to_le_bytes());
    }
    header
}

/// The platform of the probe guest.
struct ProbePlatform {
    memory: GuestMemoryMmap,
    /// Bytes of the MMIO read.
    read: u64,
    /// The value of the MMIO write.
    written: u64,
    /// Whether the interrupt waits to be taken.
    message: bool,
    exit: Option<u32>,
}

impl Platform for ProbePlatform {
    fn memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    fn read(&mut self, address: u64, data: &mut [u8]) {
        self.read = if address == MMIO { data.len() as u64 } else { 0 };
        for (byte, value) in data.iter_mut().zip(MMIO_VALUE.to_le_bytes()) {
            *byte = value;
        }
    }

    fn write(&mut self, _: u64, data: &[u8]) {
        self.written = data.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        self.message = true;
    }

    fn io_read(&mut self, _: u16, data: &mut [u8]) {
        data.fill(0xff);
    }

    fn io_write(&mut self, port: u16, data: &[u8]) {
        if let (EXIT_PORT, Ok(bytes)) = (port, data.try_into()) {
            self.exit = Some(u32::from_le_bytes(bytes));
        }
    }

    fn now(&self) -> Time {
        Time::default()
    }

    fn advance(&mut self, _: Time) {}

    fn next_event(&self) -> Option<Time> {
        None
    }

    fn take_interrupts(&mut self) -> Vec<Interrupt> {
        let sent = std::mem::take(&mut self.message);
        sent.then_some(Interrupt::Message { address: 0xfee0_0000, data: VECTOR }).into_iter().collect()
    }

    fn take_console(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn exit_request(&self) -> Option<u32> {
        self.exit
    }
}
