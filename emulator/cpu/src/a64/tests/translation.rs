//! The MMU against the walker beside this: random registers, tables and addresses.

use std::collections::BTreeMap;

use super::rig::{BASE, Rig};
use super::vectors::format::Random;
use super::walker::{Asker, Registers, Way, walk};
use crate::a64::Features;
use crate::a64::mmu::regime::Regime;
use crate::a64::mmu::walk::{Access, Rights, translate};
use crate::a64::sysreg::SysRegs;
use crate::interp::Ram;

/// Cases of each granule; in each, every way of access is tried by every asker.
const CASES: u32 = 40_000;
/// A table for each level, 64 KiB apart.
const TABLES: u64 = BASE + 0x10_0000;

/// One drawn case.
struct Case {
    registers: Registers,
    va: u64,
    /// Descriptors on the way, and where they lie.
    written: Vec<(u64, u64)>,
}

/// True once in `times`.
fn once_in(random: &mut Random, times: u64) -> bool {
    random.below(times) == 0
}

fn draw_registers(random: &mut Random, granule: u32) -> Registers {
    let size = |random: &mut Random| {
        if once_in(random, 40) { random.below(64) } else { 16 + random.below(24) }
    };
    let [size0, size1] = [size(random), size(random)];
    // The encodings of 4, 16 and 64 KiB; those of TG1 differ.
    let (tg0, tg1) = match granule {
        12 => (if once_in(random, 16) { 3 } else { 0 }, if once_in(random, 16) { 0 } else { 2 }),
        14 => (2, 1),
        _ => (1, 3),
    };
    let mut tcr = size0 | size1 << 16 | tg0 << 14 | tg1 << 30 | random.below(8) << 32;
    // EPD0 and EPD1, then TBI, HA, HD and HPD.
    for (bit, times) in [(7, 20), (23, 20), (37, 3), (38, 3), (39, 2), (40, 2), (41, 4), (42, 4)] {
        tcr |= u64::from(once_in(random, times)) << bit;
    }
    let mut ttbr = || if once_in(random, 30) { TABLES | 1 << (32 + random.below(16)) } else { TABLES };
    let (ttbr0, ttbr1) = (ttbr(), ttbr());
    Registers {
        // C, I, M, and WXN.
        sctlr: 0x30d0_1804 | u64::from(!once_in(random, 30)) | u64::from(once_in(random, 3)) << 19,
        tcr,
        ttbr0,
        ttbr1,
        mair: 0x0444_ff00_0cbb_44ff,
        pa_bits: [36, 40, 44, 48][random.below(4) as usize],
        hafdbs: !once_in(random, 4),
        hpds: !once_in(random, 4),
    }
}

/// A descriptor of a level; one that leads to the next table most times.
fn draw_descriptor(random: &mut Random, level: u64, registers: &Registers) -> u64 {
    // Shareability 1 is reserved.
    let shareability = [0, 2, 3, 3][random.below(4) as usize] << 8;
    let upper = random.next() & 0xfff8_0000_0000_0000;
    let mut attributes = upper | random.next() & 0x8fc | shareability;
    attributes |= if once_in(random, 6) { 0 } else { 1 << 10 };
    let bits = [30, 36, u64::from(registers.pa_bits), 48][random.below(4) as usize];
    let address = random.next() & ((1 << bits) - 1) & !0xfff;
    let last = level == 3;
    match random.below(24) {
        0 => random.next() & !0x300,
        1 => (address | attributes) & !1,
        // A block, or what is reserved at the last level.
        2..=5 if !last => address | attributes | 1,
        2 => address | attributes | 1,
        // A table elsewhere.
        6 if !last => address | attributes | 3,
        _ if last => address | attributes | 3,
        _ => {
            // Permissions in tables are the exception.
            let restricted = if once_in(random, 2) { random.next() & 0x7800_0000_0000_0000 } else { 0 };
            (TABLES + (level + 1) * 0x1_0000) | restricted | 3
        }
    }
}

fn draw(random: &mut Random, granule: u32, ram: &Ram) -> Case {
    let registers = draw_registers(random, granule);
    let upper = random.next() & 1 != 0;
    let size = registers.tcr >> if upper { 16 } else { 0 } & 0x3f;
    let bits = 64 - size.clamp(16, 39);
    let inside = random.next() & !(!0 << bits);
    let mut va = if upper { inside | !0 << bits } else { inside };
    match random.below(12) {
        0 => va ^= 1 << random.below(64),
        1 | 2 => va = va & !(0xff << 56) | random.below(256) << 56,
        _ => {}
    }
    // The same entry of every table that may be looked at, whatever the level is that a walk starts at.
    let per_level = granule - 3;
    let mut written = Vec::new();
    let levels = (u64::from(granule)..bits).step_by(per_level as usize).count() as u64;
    for level in 4 - levels..4 {
        let low = granule + (3 - level as u32) * per_level;
        let entries = 1u64 << u64::min(u64::from(per_level), bits - u64::from(low));
        // The first table is TTBR's, whichever level it is of.
        let table = TABLES + if level == 4 - levels { 0 } else { level * 0x1_0000 };
        let at = table + 8 * (va >> low & (entries - 1));
        let descriptor = draw_descriptor(random, level, &registers);
        ram.store64(at, descriptor);
        written.push((at, descriptor));
    }
    Case { registers, va, written }
}

fn system_registers(registers: &Registers, features: &Features) -> SysRegs {
    let mut sys = SysRegs::reset(0, features);
    sys.sctlr = registers.sctlr;
    sys.tcr = registers.tcr;
    sys.ttbr0 = registers.ttbr0;
    sys.ttbr1 = registers.ttbr1;
    sys.mair = registers.mair;
    sys
}

/// EL0, EL1, and EL1 with PSTATE.PAN, which does not count for instructions.
const ASKERS: [(bool, bool); 3] = [(true, false), (false, false), (false, true)];
const WAYS: [(Way, Access); 3] =
    [(Way::Read, Access::Read), (Way::Write, Access::Write), (Way::Execute, Access::Execute)];

/// Compares one access. Returns what it came to.
fn compare(case: &Case, features: &Features, ram: &Ram, asker: Asker, access: Access) -> Result<u32, String> {
    let regime = Regime::of(&system_registers(&case.registers, features), features);
    for (at, descriptor) in &case.written {
        ram.store64(*at, *descriptor);
    }
    let expected = walk(&case.registers, |at| ram.load64(at), case.va, asker);
    let rights = Rights { privileged: !asker.el0, pan: asker.pan };
    let found = translate(&regime, ram, case.va, rights, access);
    let same = match (&found, &expected.result) {
        (Ok(found), Ok(expected)) => {
            found.pa == expected.pa
                // Instructions have attributes of their own where the MMU is off; nothing shows them.
                && (u64::from(found.attributes) == expected.attributes || !regime.enabled)
                && u64::from(found.shareability) == expected.shareability
                && found.global == expected.global
        }
        (Err(found), Err(expected)) => found.0 == *expected,
        _ => false,
    };
    if !same {
        let found = found.map(|found| (found.pa, found.attributes, found.shareability, found.global));
        return Err(format!("{found:x?}, not {:x?}", expected.result));
    }
    for (at, descriptor) in &case.written {
        let now = ram.load64(*at);
        let updated = expected.update.filter(|(address, _)| address == at).map(|(_, new)| new);
        // An access without permission may set the access flag, or not.
        let either = expected.result.is_err() && now == Some(*descriptor);
        if !(either || now == Some(updated.unwrap_or(*descriptor))) {
            return Err(format!("descriptor at {at:#x} is {now:x?}, not {updated:x?}"));
        }
    }
    // What the TLB will allow without asking again is allowed, and changes no descriptor.
    if let Ok(found) = found {
        for (way, allowed) in
            [(Way::Read, found.read), (Way::Write, found.write), (Way::Execute, found.execute)]
        {
            // PAN is of data, and entries for instructions are of their own.
            if asker.pan && way == Way::Execute {
                continue;
            }
            let again = walk(&case.registers, |at| ram.load64(at), case.va, Asker { way, ..asker });
            if allowed && (again.result.is_err() || again.update.is_some()) {
                return Err(format!(
                    "{way:?} is cached, but is {:x?} with {:x?}",
                    again.result, again.update
                ));
            }
        }
    }
    Ok(expected.result.err().map_or(0x40, |fault| fault) | u32::from(expected.update.is_some()) << 8)
}

/// Runs the cases of a granule, and gives how often each outcome was.
fn check(granule: u32) -> BTreeMap<u32, u32> {
    let rig = Rig::new(&[]);
    let mut random = Random(u64::from(granule));
    let mut outcomes = BTreeMap::new();
    for number in 0..CASES {
        let case = draw(&mut random, granule, &rig.ram);
        let features = Features {
            // At most 48.
            pa_bits: case.registers.pa_bits as u8,
            hafdbs: case.registers.hafdbs,
            hpds: case.registers.hpds,
            ..Features::MAX
        };
        for (el0, pan) in ASKERS {
            for (way, access) in WAYS {
                if pan && way == Way::Execute {
                    continue;
                }
                let asker = Asker { el0, pan, way };
                match compare(&case, &features, &rig.ram, asker, access) {
                    Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
                    Err(problem) => panic!(
                        "case {number}: {problem}\n{asker:?} of {:#x}\n{:#x?}\n{:#x?}",
                        case.va, case.registers, case.written
                    ),
                }
            }
        }
        for (at, _) in &case.written {
            rig.ram.store64(*at, 0);
        }
    }
    outcomes
}

/// Every outcome that a granule can have was seen, by its first and its last level.
fn check_outcomes(
    granule: u32,
    levels: std::ops::RangeInclusive<u32>,
    blocks: std::ops::RangeInclusive<u32>,
) {
    let outcomes = check(granule);
    let mut wanted = vec![0x40, 0x140, 0x00, 0x04];
    for level in levels {
        // Translation faults, table addresses that are too large, tables where nothing is.
        wanted.push(0x04 + level);
        wanted.push(level);
        if level > 0 {
            wanted.push(0x14 + level);
        }
    }
    for level in blocks {
        // Access flag, and permission with and without it being set.
        wanted.extend([0x08 + level, 0x0c + level, 0x10c + level]);
    }
    for outcome in wanted {
        let times = outcomes.get(&outcome).copied().unwrap_or(0);
        assert!(times >= 5, "outcome {outcome:#x} {times} times: {outcomes:x?}");
    }
}

#[test]
fn translation_by_4_kib() {
    check_outcomes(12, 0..=3, 1..=3);
}

#[test]
fn translation_by_16_kib() {
    check_outcomes(14, 1..=3, 2..=3);
}

#[test]
fn translation_by_64_kib() {
    check_outcomes(16, 1..=3, 2..=3);
}
