//! A multiboot guest that looks for the hardware as test kernels do.

use firmware::multiboot::Module;

use super::*;
use crate::boot::{self, Guest};

const LOAD: u32 = 0x10_0000;
/// What the guest ends with when it does not find what it looks for.
const LOST: u32 = 0xdead;

/// Scans for the RSDP, walks the RSDT to the DMAR, takes the base of its first DRHD and reads VER_REG
/// there, asks fw_cfg for the number of processors and looks at the first byte of the command line and
/// of the first module: base | VER | processors << 8, plus both bytes << 12 and << 20 exclusive-ored.
fn looks_around(asm: &mut CodeAssembler) -> Result<(), IcedError> {
    let [mut scan, mut next, mut entry, mut other, mut lost] = [(); 5].map(|()| asm.create_label());
    asm.mov(esi, 0xe_0000)?;
    asm.set_label(&mut scan)?;
    asm.cmp(dword_ptr(esi), u32::from_le_bytes(*b"RSD "))?;
    asm.jne(next)?;
    asm.cmp(dword_ptr(esi + 4), u32::from_le_bytes(*b"PTR "))?;
    let mut found = asm.create_label();
    asm.je(found)?;
    asm.set_label(&mut next)?;
    asm.add(esi, 16)?;
    asm.cmp(esi, 0x10_0000)?;
    asm.jb(scan)?;
    asm.jmp(lost)?;
    asm.set_label(&mut found)?;
    asm.mov(esi, dword_ptr(esi + 16))?;
    asm.mov(ecx, dword_ptr(esi + 4))?;
    asm.add(ecx, esi)?;
    asm.add(esi, 36)?;
    asm.set_label(&mut entry)?;
    asm.cmp(esi, ecx)?;
    asm.jae(lost)?;
    asm.mov(edi, dword_ptr(esi))?;
    asm.add(esi, 4)?;
    asm.cmp(dword_ptr(edi), u32::from_le_bytes(*b"DMAR"))?;
    asm.jne(entry)?;
    asm.cmp(word_ptr(edi + 48), 0)?;
    asm.jne(lost)?;
    asm.mov(edi, dword_ptr(edi + 56))?;
    asm.mov(ebp, edi)?;
    asm.or(ebp, dword_ptr(edi))?;
    asm.mov(edx, 0x510)?;
    asm.mov(eax, 5)?;
    asm.out(dx, ax)?;
    asm.inc(edx)?;
    asm.xor(eax, eax)?;
    asm.in_(al, dx)?;
    asm.shl(eax, 8)?;
    asm.or(ebp, eax)?;
    asm.mov(esi, dword_ptr(ebx + 16))?;
    asm.movzx(eax, byte_ptr(esi))?;
    asm.shl(eax, 12)?;
    asm.xor(ebp, eax)?;
    asm.cmp(dword_ptr(ebx + 20), 1)?;
    asm.jne(lost)?;
    asm.mov(esi, dword_ptr(ebx + 24))?;
    asm.mov(esi, dword_ptr(esi))?;
    asm.movzx(eax, byte_ptr(esi))?;
    asm.shl(eax, 20)?;
    asm.xor(ebp, eax)?;
    asm.mov(eax, ebp)?;
    asm.jmp(other)?;
    asm.set_label(&mut lost)?;
    asm.mov(eax, LOST)?;
    asm.set_label(&mut other)?;
    exit(asm)
}

#[test]
fn a_multiboot_guest_finds_tables_unit_configuration_and_module() {
    if !kvm() {
        return;
    }
    let mut asm = CodeAssembler::new(32).unwrap();
    looks_around(&mut asm).unwrap();
    // Flags: address fields. Loaded whole, entered after the header.
    let header = [0x1bad_b002, 0x1_0000, 0xe451_4ffe, LOAD, LOAD, 0, 0, LOAD + 32];
    let mut image = header.map(u32::to_le_bytes).concat();
    image.extend(asm.assemble(u64::from(LOAD) + 32).unwrap());

    let config = MachineConfig {
        iommus: vec!["vtd-legacy".parse().unwrap()],
        memory: "4M".parse().unwrap(),
        ..Default::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    let modules = [Module { bytes: b"M", command_line: "" }];
    let guest = Guest { image: &image, name: "K", command_line: "", modules: &modules };
    let boot = boot::start(&machine, guest).unwrap();
    let end = run(machine, &boot, LIMITS, |_| ()).end.unwrap();
    assert_eq!(end, 0xfed9_0110 ^ 0x4b << 12 ^ 0x4d << 20, "{end:#x}");
}
