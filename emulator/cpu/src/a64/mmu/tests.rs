//! The MMU through the front door: tables in memory, registers, faults as the guest sees them.

use crate::a64::core::Core;
use crate::a64::regs::{El, PState};
use crate::a64::tests::rig::{BASE, Rig};

const VECTORS: u64 = BASE + 0x8000;
/// Root of TTBR0's tables, then further tables, a page of 64 KiB each.
const TABLES: u64 = BASE + 0x10_0000;
/// The page that the tests map.
const PAGE: u64 = BASE + 0x20_0000;

/// Normal write-back is attribute 0, Device-nGnRE attribute 1.
const MAIR: u64 = 0x04ff;
const VALID_PAGE: u64 = 3;
const BLOCK: u64 = 1;
const AF: u64 = 1 << 10;
const USER: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const DEVICE: u64 = 1 << 2;
const NOT_GLOBAL: u64 = 1 << 11;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const DBM: u64 = 1 << 51;
/// Attributes of an ordinary page.
const PLAIN: u64 = AF | VALID_PAGE;

/// TCR for 48 bits in both halves with a granule of `shift` bits, 48-bit output, 16-bit ASIDs.
fn tcr(shift: u32) -> u64 {
    let (tg0, tg1) = match shift {
        12 => (0, 2),
        14 => (2, 1),
        _ => (1, 3),
    };
    16 | 16 << 16 | tg0 << 14 | tg1 << 30 | 5 << 32 | 1 << 36
}

/// A rig whose TTBR0 maps BASE.. one to one with blocks (code, tables), and `va` by a page
/// descriptor at the last level, or by a block at `level`.
struct Mapped {
    rig: Rig,
    /// Where the descriptor of `va` lies.
    leaf: u64,
}

fn store(rig: &Rig, pa: u64, value: u64) {
    rig.ram.store64(pa, value);
}

fn index(va: u64, level: u32, granule: u32) -> u64 {
    let stride = granule - 3;
    (va & 0xffff_ffff_ffff) >> (granule + stride * (3 - level)) & ((1 << stride) - 1)
}

/// Builds the tables of one root down to the descriptor of `va` at `level`, and returns where it is.
fn path(rig: &Rig, root: u64, va: u64, level: u32, granule: u32, table_bits: u64) -> u64 {
    let first = if granule == 16 { 1 } else { 0 };
    let mut table = root;
    for at in first..level {
        let place = table + index(va, at, granule) * 8;
        if rig.ram.load64(place).unwrap() & 1 == 0 {
            // Tables are handed out by their level.
            let next = root + 0x1_0000 * (u64::from(at) + 1);
            store(rig, place, next | VALID_PAGE | table_bits);
        }
        table = rig.ram.load64(place).unwrap() & 0xffff_ffff_0000;
    }
    table + index(va, level, granule) * 8
}

fn mapped(program: &[u32], va: u64, level: u32, granule: u32, descriptor: u64) -> Mapped {
    let mut rig = Rig::new(program);
    for vector in (0..0x800).step_by(0x80) {
        rig.load(VECTORS + vector, &[0x14000000]); // b .
    }
    // The code's own address is in the same tables, by the largest block there is.
    let block = if granule == 12 { 1 } else { 2 };
    let code = path(&rig, TABLES, BASE, block, granule, 0);
    let size = granule + (granule - 3) * (3 - block);
    store(&rig, code, BASE >> size << size | AF | BLOCK);
    let root = if va >> 63 != 0 { TABLES + 0x8_0000 } else { TABLES };
    let leaf = path(&rig, root, va, level, granule, 0);
    store(&rig, leaf, descriptor);
    let core = rig.core();
    core.sys.vbar = VECTORS;
    core.sys.mair = MAIR;
    core.sys.tcr = tcr(granule);
    core.sys.ttbr0 = TABLES;
    core.sys.ttbr1 = TABLES + 0x8_0000;
    core.sys.sctlr |= 1 | 1 << 23;
    core.x[1] = va;
    refresh(core);
    Mapped { rig, leaf }
}

/// Control registers were changed behind the core's back.
fn refresh(core: &mut Core) {
    let features = crate::a64::Features::MAX;
    let sys = core.sys.clone();
    core.mmu.reconfigure(&sys, &features);
    core.context_changed();
}

fn at_el0(rig: &mut Rig) {
    let core = rig.core();
    let pstate = PState { el: El::El0, sp_sel: false, ..core.pstate };
    core.set_pstate(pstate);
}

/// ESR and FAR of the exception that was taken.
fn fault(rig: &mut Rig) -> (u64, u64) {
    rig.run(8);
    let core = rig.core();
    assert!(core.pc >= VECTORS && core.pc < VECTORS + 0x800, "no exception: pc {:#x}", core.pc);
    (core.sys.esr, core.sys.far)
}

const LDR: [u32; 2] = [0xf9400020, 0x14000000]; // ldr x0, [x1]; b .
const STR: [u32; 2] = [0xf9000020, 0x14000000]; // str x0, [x1]
const BR: [u32; 1] = [0xd61f0020]; // br x1

#[test]
fn every_granule_and_level_translates_in_both_halves() {
    for granule in [12, 14, 16] {
        for level in [1, 2, 3] {
            let block_allowed = level == 2 || (level == 1 && granule == 12);
            if level != 3 && !block_allowed {
                continue;
            }
            for va in [0x1234_5678_9000u64, 0xffff_1234_5678_9000] {
                let shift = granule + (granule - 3) * (3 - level);
                let kind = if level == 3 { VALID_PAGE } else { BLOCK };
                let output = PAGE >> shift << shift;
                let mut m = mapped(&LDR, va, level, granule, output | AF | kind);
                let pa = output | va & ((1 << shift) - 1);
                // The address may be outside RAM for large blocks: then look at the translation only.
                assert_eq!(m.rig.cluster.translate(0, va, false), Some(pa), "{granule} {level} {va:#x}");
                if m.rig.ram.frame(pa).is_some() {
                    store(&m.rig, pa, 0xabcd);
                    assert_eq!(m.rig.run(4).core().x[0], 0xabcd, "{granule} {level} {va:#x}");
                }
            }
        }
    }
}

#[test]
fn faults_have_their_status_level_and_address() {
    let va = 0x1234_5678_9000;
    let far = va;
    // (program, level, descriptor, ESR)
    let rows: [(&[u32], u32, u64, u64); 13] = [
        (&LDR, 3, 0, 0x9600_0007),
        (&STR, 3, 0, 0x9600_0047),
        (&BR, 3, 0, 0x8600_0007),
        (&LDR, 2, 0, 0x9600_0006),
        (&LDR, 1, 0, 0x9600_0005),
        (&LDR, 3, PAGE | AF | BLOCK, 0x9600_0007),
        (&LDR, 3, PAGE | VALID_PAGE, 0x9600_000b),
        (&STR, 3, PAGE | PLAIN | READ_ONLY, 0x9600_004f),
        (&BR, 3, PAGE | PLAIN | PXN, 0x8600_000f),
        (&BR, 3, PAGE | PLAIN | USER, 0x8600_000f),
        (&LDR, 2, (1 << 47) | VALID_PAGE, 0x9600_0017),
        (&LDR, 3, (1 << 40) | PLAIN, 0x9600_0010),
        (&STR, 3, (1 << 40) | PLAIN, 0x9600_0050),
    ];
    for (program, level, descriptor, esr) in rows {
        let mut m = mapped(program, va, level, 12, descriptor);
        let got = fault(&mut m.rig);
        assert_eq!(got, (esr, far), "level {level} descriptor {descriptor:#x}: {:#x}", got.0);
    }
}

#[test]
fn addresses_outside_the_halves_are_level_0_translation_faults() {
    for va in [0x0001_0000_0000_0000, 0xfffe_ffff_ffff_f000, 0x8000_0000_0000_0000] {
        let mut m = mapped(&LDR, PAGE, 3, 12, PAGE | PLAIN);
        m.rig.core().x[1] = va;
        assert_eq!(fault(&mut m.rig), (0x9600_0004, va));
    }
    // EPD1
    let mut m = mapped(&LDR, 0xffff_1234_5678_9000, 3, 12, PAGE | PLAIN);
    m.rig.core().sys.tcr |= 1 << 23;
    refresh(m.rig.core());
    assert_eq!(fault(&mut m.rig), (0x9600_0004, 0xffff_1234_5678_9000));
}

#[test]
fn outputs_beyond_ips_are_address_size_faults() {
    let mut m = mapped(&LDR, 0x1234_5678_9000, 3, 12, 1 << 37 | PLAIN);
    m.rig.core().sys.tcr &= !(7 << 32);
    m.rig.core().sys.tcr |= 1 << 32;
    refresh(m.rig.core());
    assert_eq!(fault(&mut m.rig).0, 0x9600_0003);
}

#[test]
fn el0_needs_the_user_bit() {
    let rows: [(&[u32], u64, Option<u64>); 8] = [
        (&LDR, PAGE | PLAIN | USER, None),
        (&STR, PAGE | PLAIN | USER, None),
        (&LDR, PAGE | PLAIN, Some(0x9200_000f)),
        (&STR, PAGE | PLAIN, Some(0x9200_004f)),
        (&STR, PAGE | PLAIN | USER | READ_ONLY, Some(0x9200_004f)),
        (&LDR, PAGE | PLAIN | USER | READ_ONLY, None),
        (&BR, PAGE | PLAIN | USER | UXN, Some(0x8200_000f)),
        (&BR, PAGE | PLAIN | USER, None),
    ];
    for (program, descriptor, expected) in rows {
        let va = 0x1234_5678_9000;
        let mut m = mapped(program, va, 3, 12, descriptor);
        m.rig.load(PAGE, &[0x14000000]); // b .
        // The program is EL0's as well.
        let code = path(&m.rig, TABLES, BASE, 1, 12, 0);
        store(&m.rig, code, m.rig.ram.load64(code).unwrap() | USER | READ_ONLY);
        at_el0(&mut m.rig);
        m.rig.run(8);
        let core = m.rig.core();
        let got = (core.pc >= VECTORS && core.pc < VECTORS + 0x800).then_some(core.sys.esr);
        assert_eq!(got, expected, "{descriptor:#x}: {got:#x?}");
    }
}

#[test]
fn a_debugger_looks_without_a_trace() {
    const VA: u64 = 0x1234_5678_9000;
    for hardware in [false, true] {
        // A clean page (DBM, read-only), not accessed yet, for EL0 too.
        let descriptor = PAGE | 1 << 51 | 1 << 7 | 1 << 6 | VALID_PAGE;
        let mut m = mapped(&LDR, VA, 3, 12, descriptor);
        let core = m.rig.core();
        core.sys.tcr |= if hardware { 3 << 39 } else { 0 };
        refresh(core);
        for user in [false, true] {
            assert_eq!(m.rig.cluster.translate(0, VA + 8, user), Some(PAGE + 8), "{hardware} {user}");
        }
        assert_eq!(m.rig.ram.load64(m.leaf), Some(descriptor), "{hardware}");
    }
}

#[test]
fn table_attributes_restrict_what_is_below_unless_disabled() {
    let va = 0x1234_5678_9000;
    // (table bits, program, ESR)
    let rows: [(u64, &[u32], u64); 2] = [(1 << 62, &STR, 0x9600_004f), (1 << 59, &BR, 0x8600_000f)];
    for (bits, program, esr) in rows {
        for hpd in [false, true] {
            let mut m = mapped(program, va, 3, 12, PAGE | PLAIN);
            m.rig.load(PAGE, &[0x14000000]);
            let table = path(&m.rig, TABLES, va, 2, 12, 0);
            store(&m.rig, table, m.rig.ram.load64(table).unwrap() | bits);
            if hpd {
                m.rig.core().sys.tcr |= 1 << 41;
                refresh(m.rig.core());
                let core = m.rig.run(8).core();
                assert!(core.pc < VECTORS || core.pc >= va);
            } else {
                assert_eq!(fault(&mut m.rig).0, esr);
            }
        }
    }
}

#[test]
fn pan_uao_and_wxn() {
    let va = 0x1234_5678_9000;
    let user = PAGE | PLAIN | USER;
    let mut m = mapped(&LDR, va, 3, 12, user);
    m.rig.core().pstate.pan = true;
    refresh(m.rig.core());
    assert_eq!(fault(&mut m.rig).0, 0x9600_000f, "PAN");
    // ldtr x0, [x1] ignores PAN, and has EL0's rights unless UAO is set.
    for (descriptor, uao, pan, faults) in [
        (user, false, true, false),
        (PAGE | PLAIN, false, false, true),
        (PAGE | PLAIN, true, false, false),
        (user, true, true, true),
    ] {
        let mut m = mapped(&[0xf8400820, 0x14000000], va, 3, 12, descriptor);
        let core = m.rig.core();
        core.pstate.uao = uao;
        core.pstate.pan = pan;
        refresh(core);
        m.rig.run(8);
        assert_eq!(m.rig.core().pc >= VECTORS, faults, "uao {uao} pan {pan}");
    }
    let mut m = mapped(&BR, va, 3, 12, PAGE | PLAIN);
    // The program itself must stay executable.
    let code = path(&m.rig, TABLES, BASE, 1, 12, 0);
    store(&m.rig, code, m.rig.ram.load64(code).unwrap() | READ_ONLY);
    m.rig.core().sys.sctlr |= 1 << 19;
    refresh(m.rig.core());
    assert_eq!(fault(&mut m.rig).0, 0x8600_000f, "WXN");
}

#[test]
fn hardware_sets_the_access_flag_and_dirty_state_where_enabled() {
    let va = 0x1234_5678_9000;
    let clean = PAGE | VALID_PAGE | READ_ONLY | DBM;
    for (program, enable, after) in [
        (&LDR, 1u64 << 39, clean | AF),
        (&LDR, 3 << 39, clean | AF),
        (&STR, 3 << 39, (clean | AF) & !READ_ONLY),
    ] {
        let mut m = mapped(program, va, 3, 12, clean);
        m.rig.core().sys.tcr |= enable;
        refresh(m.rig.core());
        m.rig.run(4);
        assert_eq!(m.rig.core().pc, BASE + 4);
        assert_eq!(m.rig.ram.load64(m.leaf).unwrap(), after);
    }
    // HA without HD: a clean page stays read-only.
    let mut m = mapped(&STR, va, 3, 12, clean);
    m.rig.core().sys.tcr |= 1 << 39;
    refresh(m.rig.core());
    assert_eq!(fault(&mut m.rig).0, 0x9600_004f);
    assert_eq!(m.rig.ram.load64(m.leaf).unwrap(), clean, "a fault changes nothing");
    // A clean page that was read through the TLB still becomes dirty when it is written.
    let mut m = mapped(&[0xf9400020, 0xf9000020, 0x14000000], va, 3, 12, clean);
    m.rig.core().sys.tcr |= 3 << 39;
    refresh(m.rig.core());
    m.rig.run(6);
    assert_eq!(m.rig.ram.load64(m.leaf).unwrap(), (clean | AF) & !READ_ONLY);
}

#[test]
fn unaligned_accesses_cross_pages_and_fault_on_device_memory() {
    let va = 0x1234_5678_9000u64;
    let mut m = mapped(&LDR, va, 3, 12, PAGE | PLAIN);
    store(&m.rig, m.leaf + 8, (PAGE + 0x3000) | PLAIN);
    store(&m.rig, PAGE + 0xff8, 0x1122_3344_5566_7788);
    store(&m.rig, PAGE + 0x3000, 0x99aa_bbcc_ddee_ff00);
    m.rig.core().x[1] = va + 0xffd;
    assert_eq!(m.rig.run(4).core().x[0], 0xbbcc_ddee_ff00_1122_u64 << 8 | 0x33);

    // The second page is missing: its address is the one reported, and nothing was stored.
    let mut m = mapped(&STR, va, 3, 12, PAGE | PLAIN);
    m.rig.core().x[1] = va + 0xffd;
    m.rig.core().x[0] = !0;
    assert_eq!(fault(&mut m.rig), (0x9600_0047, va + 0x1000));
    assert_eq!(m.rig.ram.load64(PAGE + 0xff8), Some(0));

    let mut m = mapped(&LDR, va, 3, 12, PAGE | PLAIN | DEVICE);
    m.rig.core().x[1] = va + 1;
    assert_eq!(fault(&mut m.rig), (0x9600_0021, va + 1));
    // From normal memory into device memory, and out of it.
    for (first, second, far) in [(0, DEVICE, 0x1000), (DEVICE, 0, 0xffd)] {
        let mut m = mapped(&STR, va, 3, 12, PAGE | PLAIN | first);
        store(&m.rig, m.leaf + 8, (PAGE + 0x3000) | PLAIN | second);
        m.rig.core().x[1] = va + 0xffd;
        m.rig.core().x[0] = !0;
        assert_eq!(fault(&mut m.rig), (0x9600_0061, va + far));
        assert_eq!(m.rig.ram.load64(PAGE + 0xff8), Some(0));
    }
    let mut m = mapped(&STR, va, 3, 12, PAGE | PLAIN);
    m.rig.core().x[1] = va + 4;
    m.rig.core().sys.sctlr |= 2;
    refresh(m.rig.core());
    assert_eq!(fault(&mut m.rig), (0x9600_0061, va + 4));
    // dc zva, x1 on device memory, also where the TLB has a fast entry for it: str x0, [x1]
    for program in [&[0xd50b7421][..], &[0xf9000020, 0xd50b7421]] {
        let mut m = mapped(program, va, 3, 12, PAGE | PLAIN | DEVICE);
        store(&m.rig, PAGE + 8, 0x77);
        assert_eq!(fault(&mut m.rig), (0x9600_0061, va), "{program:x?}");
        assert_eq!(m.rig.ram.load64(PAGE + 8), Some(0x77));
    }
    // An exclusive must be aligned whatever SCTLR says: ldxr x0, [x1]
    let mut m = mapped(&[0xc85f7c20], va, 3, 12, PAGE | PLAIN);
    m.rig.core().x[1] = va + 4;
    assert_eq!(fault(&mut m.rig), (0x9600_0021, va + 4));
}

#[test]
fn top_byte_ignore_applies_to_data_and_code() {
    let va = 0x1234_5678_9000u64;
    for tbi in [false, true] {
        let mut m = mapped(&LDR, va, 3, 12, PAGE | PLAIN);
        store(&m.rig, PAGE, 7);
        m.rig.core().x[1] = va | 0xa5 << 56;
        if tbi {
            m.rig.core().sys.tcr |= 1 << 37;
            refresh(m.rig.core());
            assert_eq!(m.rig.run(4).core().x[0], 7);
        } else {
            assert_eq!(fault(&mut m.rig), (0x9600_0004, va | 0xa5 << 56));
        }
    }
    let mut m = mapped(&BR, va, 3, 12, PAGE | PLAIN);
    m.rig.load(PAGE, &[0x14000000]);
    m.rig.core().sys.tcr |= 1 << 37;
    refresh(m.rig.core());
    m.rig.core().x[1] = va | 0x5a << 56;
    assert_eq!(m.rig.run(4).core().pc, va);
}

#[test]
fn translations_live_until_they_are_invalidated() {
    let va = 0x1234_5678_9000u64;
    let program = [
        0xf9400020, // ldr x0, [x1]
        0xf9000043, // str x3, [x2]
        0xf9400024, // ldr x4, [x1]
        0xd5088765, // tlbi vaae1, x5
        0xf9400026, // ldr x6, [x1]
        0x14000000, // b .
    ];
    for (shift, expected) in [(0, 2), (1, 1)] {
        let mut m = mapped(&program, va, 3, 12, PAGE | PLAIN);
        store(&m.rig, PAGE, 1);
        store(&m.rig, PAGE + 0x1000, 2);
        let leaf = m.leaf;
        let core = m.rig.core();
        core.x[2] = leaf;
        core.x[3] = (PAGE + 0x1000) | PLAIN;
        core.x[5] = (va >> 12) + shift;
        let core = m.rig.run(10).core();
        assert_eq!((core.x[0], core.x[4], core.x[6]), (1, 1, expected));
    }
}

#[test]
fn so_do_those_of_code() {
    let va = 0x1234_5678_9000u64;
    let program = [
        0xd63f0020, // blr x1
        0xf9000043, // str x3, [x2]
        0xd63f0020, // blr x1
        0xd5088765, // tlbi vaae1, x5
        0xd63f0020, // blr x1
        0x14000000, // b .
    ];
    // One page adds 1 to X0, the other 16. The page, its neighbours, and whatever aliases it in a TLB.
    for (operand, expected) in [(0, 1 + 1 + 16), (1, 3), (-1, 3), (0x40, 3), (0x1000, 3)] {
        let mut m = mapped(&program, va, 3, 12, PAGE | PLAIN);
        m.rig.load(PAGE, &[0x91000400, 0xd65f03c0]); // add x0, x0, #1; ret
        m.rig.load(PAGE + 0x1000, &[0x91004000, 0xd65f03c0]); // add x0, x0, #16; ret
        let leaf = m.leaf;
        let core = m.rig.core();
        core.x[0] = 0;
        core.x[2] = leaf;
        core.x[3] = (PAGE + 0x1000) | PLAIN;
        core.x[5] = (va >> 12).wrapping_add_signed(operand);
        assert_eq!(m.rig.run(20).core().x[0], expected, "{operand:#x}");
    }
}

#[test]
fn an_address_space_switch_drops_what_is_not_global() {
    let va = 0x1234_5678_9000u64;
    let program = [
        0xf9400020, // ldr x0, [x1]
        0xf9000043, // str x3, [x2]
        0xd5182005, // msr ttbr0_el1, x5
        0xf9400026, // ldr x6, [x1]
        0x14000000, // b .
    ];
    for (attributes, expected) in [(NOT_GLOBAL, 2), (0, 1)] {
        let mut m = mapped(&program, va, 3, 12, PAGE | PLAIN | attributes);
        store(&m.rig, PAGE, 1);
        store(&m.rig, PAGE + 0x1000, 2);
        let leaf = m.leaf;
        let core = m.rig.core();
        core.x[2] = leaf;
        core.x[3] = (PAGE + 0x1000) | PLAIN;
        core.x[5] = TABLES | 7 << 48;
        let core = m.rig.run(10).core();
        assert_eq!((core.x[0], core.x[6]), (1, expected));
    }
}

#[test]
fn a_block_is_invalidated_by_any_address_in_it() {
    let va = 0x1234_5660_0000u64;
    let program = [
        0xf9400020, // ldr x0, [x1]
        0xf9000043, // str x3, [x2]
        0xd5088325, // tlbi vae1is, x5
        0xf9400026, // ldr x6, [x1]
        0x14000000, // b .
    ];
    let mut m = mapped(&program, va, 2, 12, (PAGE & !0x1f_ffff) | AF | BLOCK);
    store(&m.rig, PAGE & !0x1f_ffff, 1);
    let leaf = m.leaf;
    let core = m.rig.core();
    core.x[2] = leaf;
    core.x[5] = (va + 0x12_3000) >> 12;
    m.rig.run(10);
    let core = m.rig.core();
    assert_eq!((core.x[0], core.sys.esr, core.sys.elr), (1, 0x9600_0006, BASE + 12));
}

#[test]
fn range_operands_name_what_they_cover() {
    use crate::a64::mmu::tlbi::Scope;
    let mask = 0x0001_ffff_ffff_f000;
    let rows = [
        // 4 KiB, NUM 0, SCALE 0: two pages.
        (1 << 46 | 0x12345, Scope::Range { first: 0x1234_5000, last: 0x1234_6fff, mask }),
        // 64 KiB, NUM 3, SCALE 1: 4 * 64 granules.
        (
            3 << 46 | 1 << 44 | 3 << 39 | 0x12,
            Scope::Range { first: 0x12_0000, last: 0x12_0000 + 256 * 0x1_0000 - 1, mask },
        ),
        (0x12345, Scope::All),
    ];
    for (operand, expected) in rows {
        assert_eq!(Scope::range(operand), expected, "{operand:#x}");
    }
}

#[test]
fn at_reports_in_par() {
    let va = 0x1234_5678_9000u64;
    let rows: [(u32, u64, u64); 7] = [
        (0xd5087801, PAGE | PLAIN | 3 << 8, 0xff00_0000_0000_0b80 | PAGE), // at s1e1r, x1
        (0xd5087801, PAGE | PLAIN | DEVICE, 0x0400_0000_0000_0b00 | PAGE),
        (0xd5087821, PAGE | PLAIN | READ_ONLY, 0x81f), // at s1e1w, x1: permission, level 3
        (0xd5087841, PAGE | PLAIN, 0x81f),             // at s1e0r, x1
        (0xd5087861, PAGE | PLAIN | USER, 0xff00_0000_0000_0a00 | PAGE), // at s1e0w, x1
        (0xd5087801, 0, 0x80f),                        // translation, level 3
        (0xd5087901, PAGE | PLAIN | USER, 0x81f),      // at s1e1rp, x1 with PAN
    ];
    for (word, descriptor, par) in rows {
        let mut m = mapped(&[word, 0x14000000], va, 3, 12, descriptor);
        m.rig.core().pstate.pan = true;
        refresh(m.rig.core());
        let got = m.rig.run(4).core().sys.par;
        assert_eq!(got, par, "{word:#x} {descriptor:#x}: {got:#x}");
    }
}

#[test]
fn devices_get_accesses_of_their_size_and_abort_where_nothing_is() {
    let va = 0x1234_5678_9000u64;
    // ldrb w0, [x1, #3]; ldrh w2, [x1, #2]; ldr w3, [x1]; str x3, [x1, #8]
    let program = [0x39400c20, 0x79400422, 0xb9400023, 0xf9000423, 0x14000000];
    let mut m = mapped(&program, va, 3, 12, 0x900_0000 | PLAIN | DEVICE);
    let core = m.rig.run(8).core();
    assert_eq!((core.x[0], core.x[2], core.x[3]), (0x88, 0x7788, 0x5566_7788));
    assert_eq!(
        m.rig.board.log,
        [
            (0x900_0003, 1, None),
            (0x900_0002, 2, None),
            (0x900_0000, 4, None),
            (0x900_0008, 8, Some(0x5566_7788))
        ]
    );
    // Exclusives and atomics do not reach devices: ldxr, ldadd.
    for (word, esr) in [(0xc85f7c20, 0x9600_0035), (0xf8200020, 0x9600_0035)] {
        let mut m = mapped(&[word], va, 3, 12, 0x900_0000 | PLAIN | DEVICE);
        assert_eq!(fault(&mut m.rig), (esr, va));
    }
}

#[test]
fn cache_maintenance_by_address_faults_as_a_write() {
    let va = 0x1234_5678_9000u64;
    let mut m = mapped(&[0xd50b7a21], va, 3, 12, 0); // dc cvac, x1
    assert_eq!(fault(&mut m.rig), (0x9600_0147, va));
}

#[test]
fn a_debuggers_breakpoint_is_at_one_address_of_a_page_only() {
    use crate::a64::{Reason, Stop};
    let va = 0x1234_5678_9000u64;
    // add x0, x0, #1; add x0, x0, #1; br x1: the page runs at its own address, then at va.
    let mut m = mapped(&[0x91000400, 0x91000400, 0xd61f0020], va, 3, 12, BASE | PLAIN);
    m.rig.cluster.set_breakpoints(vec![va + 4]);
    let until = m.rig.cluster.time() + 1000;
    let stop = m.rig.cluster.run(&mut m.rig.board, until);
    assert_eq!(stop, Stop::Debugger { cpu: 0, reason: Reason::Breakpoint });
    assert_eq!((m.rig.core().pc, m.rig.core().x[0]), (va + 4, 3));
}
