//! What CPUID tells the guest.
//!
//! A real KVM's offer is passed on whole: what it offers, the processor executes. An *emulating* KVM
//! offers the host processor's features too, but its emulator executes few of them, and LZCNT and
//! TZCNT as BSR and BSF, silently. A guest that goes by CPUID must therefore not be told of them.
//! Which instructions an emulator knows is not documented, so beside the features that long mode
//! implies only those are passed on that were seen to run; to probe each of some hundred
//! instructions at every start would cost more than it could win back.

use kvm_bindings::kvm_cpuid_entry2;

use super::Features;

/// Leaf 1 ECX: x2APIC, TSC deadline, RDRAND, "a hypervisor is present".
const LEAF_1_ECX: u32 = 1 << 21 | 1 << 24 | 1 << 30 | 1 << 31;
/// Leaf 7.0 EBX: FSGSBASE, SMEP, ERMS.
const LEAF_7_EBX: u32 = 1 | 1 << 7 | 1 << 9;
/// Leaf 0x80000001 ECX: LAHF in 64-bit mode.
const LEAF_EXT_1_ECX: u32 = 1;
/// Leaf 0x80000001 EDX: SYSCALL, NX, 1-GiB pages, long mode; and, where the processor repeats leaf 1
/// there (AMD), its bits 17:12, 9:0, 24:23.
const LEAF_EXT_1_EDX: u32 = 1 << 11 | 1 << 20 | 1 << 26 | 1 << 29 | 0x0183_f3ff;
/// Leaf 0x80000001 ECX: LZCNT.
const LZCNT: u32 = 1 << 5;

/// Turns KVM's offer into one processor's CPUID.
pub(super) fn shape(entries: &mut [kvm_cpuid_entry2], features: Features) {
    for entry in entries {
        single(entry);
        if features == Features::Emulated {
            emulated(entry);
        }
    }
}

/// Whether KVM offers LZCNT.
pub(super) fn offers_lzcnt(entries: &[kvm_cpuid_entry2]) -> bool {
    entries.iter().any(|entry| entry.function == 0x8000_0001 && entry.ecx & LZCNT != 0)
}

/// The offer describes the host processor that answered; the guest has one processor, with APIC id 0.
fn single(entry: &mut kvm_cpuid_entry2) {
    match entry.function {
        1 => entry.ebx = entry.ebx & 0xffff | 1 << 16,
        // Cores and threads that share a cache, minus 1.
        4 => entry.eax &= 0x3fff,
        0xb | 0x1f => {
            // No level of topology has more than one processor.
            entry.eax = 0;
            entry.ebx &= 1;
            entry.edx = 0;
        }
        _ => {}
    }
}

fn emulated(entry: &mut kvm_cpuid_entry2) {
    match (entry.function, entry.index) {
        (1, _) => entry.ecx &= LEAF_1_ECX,
        (7, 0) => {
            entry.eax = 0;
            entry.ebx &= LEAF_7_EBX;
            (entry.ecx, entry.edx) = (0, 0);
        }
        (0x8000_0001, _) => {
            entry.ecx &= LEAF_EXT_1_ECX;
            entry.edx &= LEAF_EXT_1_EDX;
        }
        // Further leaf 7 features; XSAVE.
        (7 | 0xd, _) => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shaped(function: u32, index: u32, features: Features) -> [u32; 4] {
        let ones = u32::MAX;
        let mut entry = [kvm_cpuid_entry2 {
            function,
            index,
            eax: ones,
            ebx: ones,
            ecx: ones,
            edx: ones,
            ..Default::default()
        }];
        shape(&mut entry, features);
        let [entry] = entry;
        [entry.eax, entry.ebx, entry.ecx, entry.edx]
    }

    #[test]
    fn a_real_kvm_is_passed_on_but_for_the_number_of_processors() {
        let ones = u32::MAX;
        for (function, expected) in [
            (1, [ones, 0x0001_ffff, ones, ones]),
            (4, [0x3fff, ones, ones, ones]),
            (7, [ones; 4]),
            (0xb, [0, 1, ones, 0]),
            (0xd, [ones; 4]),
            (0x8000_0001, [ones; 4]),
        ] {
            assert_eq!(shaped(function, 0, Features::Offered), expected, "{function:#x}");
        }
    }

    #[test]
    fn an_emulating_kvm_shows_nothing_that_it_cannot_run() {
        // POPCNT, SSE4.2, MOVBE, CX16, XSAVE, AVX, MONITOR; then BMI1, BMI2, AVX2, INVPCID, SMAP,
        // CLWB; then LZCNT; then RDTSCP.
        let [_, _, leaf_1, leaf_1_edx] = shaped(1, 0, Features::Emulated);
        assert_eq!(leaf_1 & 0x1cd0_2008, 0);
        assert_eq!(leaf_1_edx, u32::MAX, "what long mode implies stays");
        let [_, leaf_7, ecx, edx] = shaped(7, 0, Features::Emulated);
        assert_eq!((leaf_7 & 0x0110_0528, ecx, edx), (0, 0, 0));
        let [_, _, ecx, edx] = shaped(0x8000_0001, 0, Features::Emulated);
        assert_eq!((ecx & 0x20, edx & 0x0800_0000, edx & 0x2010_0800), (0, 0, 0x2010_0800));
        assert_eq!(shaped(7, 1, Features::Emulated), [0; 4]);
        assert_eq!(shaped(0xd, 1, Features::Emulated), [0; 4]);
    }
}
