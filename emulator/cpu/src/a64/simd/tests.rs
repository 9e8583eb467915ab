//! What test vectors cannot show: traps, faults, devices.

use crate::a64::Features;
use crate::a64::exception::syndrome;
use crate::a64::regs::{El, PState, SP};
use crate::a64::tests::rig::{BASE, Rig, SIZE};

const VECTORS: u64 = BASE + 0x8000;
const DATA: u64 = BASE + 0x10_0000;
/// Nothing answers from here on.
const END: u64 = BASE + SIZE as u64;
/// Devices answer here.
const DEVICE: u64 = 0x900_0000;

/// A CPU about to run one instruction at an exception level, with CPACR_EL1.FPEN and X0 set, V0 to V31
/// each having its own number in all bytes, and memory at [`DATA`] counting up.
fn rig(word: u32, el: El, fpen: u64, x0: u64) -> Rig {
    let mut rig = Rig::with(&[word, 0x1400_0000], Features::V8_0);
    for vector in (0..0x800).step_by(0x80) {
        rig.load(VECTORS + vector, &[0x1400_0000]); // b .
    }
    let words: Vec<u32> =
        (0..32u32).map(|i| u32::from_le_bytes([0, 1, 2, 3].map(|k| (4 * i + k) as u8))).collect();
    rig.load(DATA, &words);
    let core = rig.core();
    core.sys.vbar = VECTORS;
    core.sys.cpacr = fpen << 20;
    core.x[0] = x0;
    core.x[SP] = DATA;
    core.v = std::array::from_fn(|i| u128::from_le_bytes([i as u8; 16]));
    core.set_pstate(PState { el, sp_sel: el == El::El1, daif: 0, ..core.pstate });
    core.x[SP] = DATA;
    rig
}

/// The syndrome of the exception that was taken, and FAR; zero if none was.
fn taken(rig: &mut Rig) -> (u64, u64) {
    let core = rig.run(4).core();
    (core.sys.esr, core.sys.far)
}

#[test]
fn every_group_is_trapped_by_cpacr() {
    let words = [
        0x1e622820, // fadd d0, d1, d2
        0x9e660000, // fmov x0, d0
        0x1e220020, // scvtf s0, w1
        0x1e202008, // fcmp s0, #0.0
        0x4ea28420, // add v0.4s, v1.4s, v2.4s
        0x4f00e420, // movi v0.16b, #1
        0x0e013c00, // umov w0, v0.b[0]
        0x4c407000, // ld1 {v0.16b}, [x0]
        0x4c000800, // st4 {v0.4s-v3.4s}, [x0]
        0x4d40c400, // ld1r {v0.8h}, [x0]
        0x3dc00000, // ldr q0, [x0]
        0xad000400, // stp q0, q1, [x0]
        0xfc408400, // ldr d0, [x0], #8
        0x3c616800, // ldr b0, [x0, x1]
    ];
    for word in words {
        for (fpen, at_el0, at_el1) in [(0, true, true), (1, true, false), (2, true, true), (3, false, false)]
        {
            for (el, trapped) in [(El::El0, at_el0), (El::El1, at_el1)] {
                let mut rig = rig(word, el, fpen, DATA);
                let before = rig.core().v;
                let expected = if trapped { 0x1fe0_0000 } else { 0 };
                assert_eq!(taken(&mut rig).0, expected, "{word:#x} at {el:?} with FPEN {fpen}");
                assert!(!trapped || rig.core().v == before, "{word:#x} did nothing");
            }
        }
        // An address that nothing answers at does not come first.
        assert_eq!(taken(&mut rig(word, El::El1, 0, END)).0, 0x1fe0_0000, "{word:#x}");
    }
}

#[test]
fn unallocated_is_undefined_rather_than_trapped() {
    // fadd of the reserved type, add .1d, ld1 with opcode 1, fadd of half precision.
    for word in [0x1ea22820, 0x0ee28420, 0x4c401000, 0x1ee22820] {
        let found = taken(&mut rig(word, El::El0, 0, DATA)).0;
        assert_eq!(found, u64::from(syndrome::UNDEFINED), "{word:#x}");
    }
}

#[test]
fn a_fault_in_the_middle_changes_no_register() {
    let external = (0x9600_0010, END);
    let write = (0x9600_0050, END);
    let rows = [
        (0x4cdf0800, 48, external), // ld4 {v0.4s-v3.4s}, [x0], #64
        (0x4cdf2c00, 32, external), // ld1 {v0.2d-v3.2d}, [x0], #64
        (0x0ddf2c00, 2, external),  // ld3 {v0.b-v2.b}[3], [x0], #3
        (0x4dffcc00, 8, external),  // ld2r {v0.2d, v1.2d}, [x0], #16
        (0xacc10400, 16, external), // ldp q0, q1, [x0], #32
        (0x4c9fac00, 16, write),    // st1 {v0.2d, v1.2d}, [x0], #32
        (0x4dbf5800, 2, write),     // st2 {v0.h, v1.h}[7], [x0], #4
    ];
    for (word, before, expected) in rows {
        let mut rig = rig(word, El::El1, 3, END - before);
        let (x, v) = (rig.core().x.named(), rig.core().v);
        assert_eq!(taken(&mut rig), expected, "{word:#x}");
        assert!((rig.core().x.named(), rig.core().v) == (x, v), "{word:#x}");
    }
}

#[test]
fn alignment_is_that_of_elements() {
    // Memory is of device type, for translation is off.
    let rows = [
        (0x4c407000, 1, 0),           // ld1 {v0.16b}, [x0]
        (0x4c407400, 2, 0),           // ld1 {v0.8h}, [x0]
        (0x4c407400, 1, 0x9600_0021), // the same
        (0x4c407c00, 8, 0),           // ld1 {v0.2d}, [x0]
        (0x4c407c00, 4, 0x9600_0021), // the same
        (0x4c400800, 4, 0),           // ld4 {v0.4s-v3.4s}, [x0]
        (0x4c400800, 2, 0x9600_0021), // the same
        (0x4d008400, 4, 0x9600_0061), // st1 {v0.d}[1], [x0]
        (0x3dc00000, 8, 0x9600_0021), // ldr q0, [x0]
        (0x3dc00000, 0, 0),           // ldr q0, [x0]
    ];
    for (word, offset, esr) in rows {
        let far = if esr == 0 { 0 } else { DATA + offset };
        assert_eq!(taken(&mut rig(word, El::El1, 3, DATA + offset)), (esr, far), "{word:#x} at {offset}");
    }
}

#[test]
fn a_misaligned_stack_pointer_is_found() {
    // ld1 {v0.16b}, [sp]; ldr q0, [sp].
    for word in [0x4c4073e0, 0x3dc003e0] {
        let mut rig = rig(word, El::El1, 3, 0);
        let core = rig.core();
        core.x[SP] = DATA + 8;
        core.sys.sctlr |= 1 << 3;
        assert_eq!(taken(&mut rig).0, 0x9a00_0000, "{word:#x}");
    }
}

#[test]
fn a_device_sees_elements() {
    let rows: [(u32, u8, usize); 4] = [
        (0x4c407000, 1, 16), // ld1 {v0.16b}, [x0]
        (0x4c407400, 2, 8),  // ld1 {v0.8h}, [x0]
        (0x4c400800, 4, 16), // ld4 {v0.4s-v3.4s}, [x0]
        (0x4c9fac00, 8, 4),  // st1 {v0.2d, v1.2d}, [x0], #32
    ];
    for (word, size, count) in rows {
        let mut rig = rig(word, El::El1, 3, DEVICE);
        assert_eq!(taken(&mut rig).0, 0, "{word:#x}");
        let seen: Vec<_> = rig.board.log.iter().map(|(address, size, _)| (*address, *size)).collect();
        let expected: Vec<_> = (0..count as u64).map(|i| (DEVICE + i * u64::from(size), size)).collect();
        assert_eq!(seen, expected, "{word:#x}");
    }
}

#[test]
fn registers_wrap_around_and_writeback_adds_what_was_moved() {
    // ld1 {v31.2d, v0.2d}, [x0]
    let mut first = rig(0x4c40ac1f, El::El1, 3, DATA);
    let core = first.run(4).core();
    assert_eq!(core.v[31], 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
    assert_eq!(core.v[0], 0x1f1e_1d1c_1b1a_1918_1716_1514_1312_1110);
    // ld4 {v0.4s-v3.4s}, [x0], #64
    let mut second = rig(0x4cdf0800, El::El1, 3, DATA);
    let core = second.run(4).core();
    assert_eq!(core.x[0], DATA + 64);
    assert_eq!(core.v[1], 0x3736_3534_2726_2524_1716_1514_0706_0504);
}
