//! The cases of translation: permissions, faults of every kind, sizes, updates by hardware.
//! [`super::tlb`] has those of the TLB, [`super::events`] the others.

use super::events;
use super::format::Random;
use super::image::{Case, HIGH, Image, PAGES, Regime};
use super::tlb;

/// M, C, I, nTWI, nTWE, SPAN, and what is reserved as one.
pub const SCTLR: u64 = 0x30d5_1805;
pub const WXN: u64 = 1 << 19;
pub const ALIGNED: u64 = 1 << 1;
/// DAIF masked.
pub const MASKED: u64 = 0x3c0;
pub const EL1H: u64 = MASKED | 5;
pub const PAN: u64 = 1 << 22;
/// SVC #1
pub const SVC: u32 = 0xd400_0021;
pub const ISB: u32 = 0xd503_3fdf;
/// A page descriptor: access flag, inner shareable, attribute 0.
pub const PAGE: u64 = 0x703;
pub const BLOCK: u64 = 0x701;
pub const EL0: u64 = 1 << 6;
pub const READ_ONLY: u64 = 1 << 7;

/// What is done to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Load,
    Store,
    LoadUnprivileged,
    StoreUnprivileged,
    Execute,
    AtS1e1r,
    AtS1e1w,
    AtS1e0r,
    AtS1e0w,
    AtS1e1rp,
    AtS1e1wp,
}

impl Access {
    pub const ALL: [Self; 11] = [
        Self::Load,
        Self::Store,
        Self::LoadUnprivileged,
        Self::StoreUnprivileged,
        Self::Execute,
        Self::AtS1e1r,
        Self::AtS1e1w,
        Self::AtS1e0r,
        Self::AtS1e0w,
        Self::AtS1e1rp,
        Self::AtS1e1wp,
    ];

    /// X0 at the address in X1.
    fn word(self) -> u32 {
        match self {
            Self::Load | Self::Execute => 0xf940_0020,
            Self::Store => 0xf900_0020,
            Self::LoadUnprivileged => 0xf840_0820,
            Self::StoreUnprivileged => 0xf800_0820,
            Self::AtS1e1r => 0xd508_7801,
            Self::AtS1e1w => 0xd508_7821,
            Self::AtS1e0r => 0xd508_7841,
            Self::AtS1e0w => 0xd508_7861,
            Self::AtS1e1rp => 0xd508_7901,
            Self::AtS1e1wp => 0xd508_7921,
        }
    }

    fn is_at(self) -> bool {
        self as u8 >= Self::AtS1e1r as u8
    }
}

/// A case of a regime, with nothing to run yet.
pub fn case(regime: &Regime, name: String) -> Case {
    Case {
        name: format!(
            "{}K, half {}, {} bits: {name}",
            1 << (regime.granule - 10),
            regime.half,
            64 - regime.size
        ),
        half: regime.half,
        sctlr: SCTLR,
        tcr: regime.tcr(),
        ttbr: regime.ttbr(),
        // Normal, non-cacheable, and two kinds of device memory.
        mair: 0x0400_44ff,
        cpacr: 3 << 20,
        spsr: EL1H,
        sp: [0x4000_0000, 0x4000_0000],
        ..Case::default()
    }
}

/// Where a program runs from: the half of the monitor.
pub fn run(image: &mut Image, case: &mut Case, words: &[u32]) {
    let alias = if case.half == 0 { HIGH } else { 0 };
    case.elr = image.stub(words) + if case.sctlr & 1 == 0 { 0 } else { alias };
}

/// Adds a case of one access.
pub fn access(image: &mut Image, mut case: Case, access: Access, va: u64) {
    case.name = format!("{}: {access:?} of {va:#x} with SPSR {:#x}", case.name, case.spsr);
    case.x[0] = 0x0123_4567_89ab_cdef;
    case.x[1] = va;
    if access == Access::Execute {
        case.elr = va;
    } else if access.is_at() {
        run(image, &mut case, &[access.word(), ISB, SVC]);
    } else {
        run(image, &mut case, &[access.word(), SVC]);
    }
    image.push(case);
}

/// The size that is usual for a granule.
pub fn usual(granule: u32) -> u32 {
    [25, 28, 22][(granule as usize - 12) / 2]
}

/// Every granule and half.
pub fn regimes() -> impl Iterator<Item = (u32, usize)> {
    [12, 14, 16].into_iter().flat_map(|granule| [0, 1].map(|half| (granule, half)))
}

/// What a Neoverse N1 has.
pub fn image() -> Image {
    let mut image = blank();
    permissions(&mut image);
    faults(&mut image);
    external(&mut image);
    sizes(&mut image);
    hardware_updates(&mut image);
    tlb::maintenance(&mut image);
    tlb::address_spaces(&mut image);
    events::all(&mut image);
    image
}

/// What later processors have as well.
pub fn later_image() -> Image {
    let mut image = blank();
    tlb::later_maintenance(&mut image);
    events::later(&mut image);
    image
}

/// An image with its pages, and no case yet.
fn blank() -> Image {
    let mut image = Image::new();
    // Every second word is an SVC of its own, the other ones are NOPs at the ends of pages.
    for at in (PAGES..PAGES + 0x10_0000).step_by(8) {
        let svc = 0xd400_0001 | (at as u32 >> 3 & 0xffff) << 5;
        let other = if at & 0xff8 == 0xff8 { 0xd503_201f } else { (at as u32).wrapping_mul(0x9e37_79b1) };
        image.store(at, u64::from(other) << 32 | u64::from(svc));
    }
    image
}

/// Access permissions of pages, tables and controls, in random combinations.
fn permissions(image: &mut Image) {
    let mut random = Random(11);
    for (granule, half) in regimes() {
        let regime = image.regime(half, granule, usual(granule));
        let tables = if granule == 16 { 4 } else { 8 };
        for table in 0..tables {
            // PXNTable, UXNTable and APTable.
            let bits = if table == 0 { 0 } else { random.below(16) << 59 };
            for leaf in 0..16 {
                let va = table << regime.below(2) | leaf << granule;
                let descriptor =
                    (PAGES + (leaf << granule & 0xf_ffff)) | PAGE | leaf << 6 & 0xc0 | (leaf >> 2) << 53;
                let slot = image.slot(&regime, va, 3, bits);
                image.store(slot, descriptor);
            }
        }
        for _ in 0..500 {
            let mut case = case(&regime, "permissions".into());
            let leaf = random.below(16);
            let va = random.below(tables) << regime.below(2) | leaf << granule;
            // Execution depends on most.
            let access_kind =
                if random.below(3) == 0 { Access::Execute } else { Access::ALL[random.below(11) as usize] };
            let el0 = random.next() & 1 != 0 && !access_kind.is_at();
            case.spsr = if el0 { MASKED } else { EL1H };
            if random.below(3) == 0 {
                case.spsr |= PAN;
            }
            if random.below(3) == 0 {
                case.sctlr |= WXN;
            }
            if random.below(3) == 0 {
                // HPD0 and HPD1.
                case.tcr |= 3 << 41;
            }
            // UAO counts for unprivileged accesses.
            if random.below(4) == 0 && !el0 {
                case.spsr |= 1 << 23;
            }
            let offset = if access_kind == Access::Execute { 0 } else { 0x100 };
            case.name += &format!(" sctlr {:#x} tcr {:#x}", case.sctlr, case.tcr);
            access(image, case, access_kind, regime.va(va | offset));
        }
    }
}

/// What a walk may find.
fn faults(image: &mut Image) {
    for (granule, half) in regimes() {
        let mut all = vec![image.regime(half, granule, usual(granule))];
        if granule != 16 {
            all.push(image.regime(half, granule, 17));
        }
        for regime in all {
            let kinds = descriptors(image, &regime);
            for (name, va) in kinds {
                for kind in [Access::Load, Access::Store, Access::Execute, Access::AtS1e1r, Access::AtS1e0w] {
                    // QEMU 7.2 gives PAR_EL1.SH of device memory as the descriptor has it.
                    if name.contains("device") && kind.is_at() {
                        continue;
                    }
                    let case = case(&regime, name.clone());
                    access(image, case, kind, regime.va(va));
                }
                let case = Case { spsr: MASKED, ..case(&regime, name) };
                access(image, case, Access::Load, regime.va(va));
            }
            controls(image, &regime);
        }
    }
}

/// Puts every kind of descriptor at every level, and gives the addresses they translate.
fn descriptors(image: &mut Image, regime: &Regime) -> Vec<(String, u64)> {
    let mut kinds = Vec::new();
    // Each gets an entry of its own in the table of its level.
    let mut next = 0;
    for level in regime.first_level()..4 {
        // The size of a block, and the PA of the pages in one.
        let below = regime.below(level);
        let aligned = PAGES & !0 << below;
        let within = if aligned == PAGES { 0 } else { PAGES - aligned };
        let leaf = if level == 3 { PAGE } else { BLOCK };
        // QEMU 7.2 takes what is reserved for blocks: level 0, and level 1 of the larger granules.
        let reserved = level == 0 || level == 1 && regime.granule != 12;
        let rows = [
            ("invalid", 0),
            ("invalid but for bit 1", 0x702),
            ("without access flag", aligned | leaf & !0x400),
            ("read-only", aligned | leaf | READ_ONLY),
            ("for both", aligned | leaf | EL0),
            ("contiguous", aligned | leaf | 1 << 52),
            ("non-cacheable, outer shareable", aligned | leaf & !0x300 | 0x200 | 1 << 2),
            ("page with attribute 2, device", aligned | leaf | 2 << 2),
            ("page with attribute 3, device", aligned | leaf | 3 << 2),
            ("output address of 37 bits", 1 << 36 | aligned | leaf),
            ("output address of 47 bits", 1 << 46 | aligned | leaf),
            ("a block at level 3, a table elsewhere", if level == 3 { aligned | 0x701 } else { 1 << 36 | 3 }),
            ("both size and access flag", 1 << 36 | aligned | leaf & !0x400),
        ];
        let rows = rows.into_iter().filter(|(_, descriptor)| !reserved || descriptor & 3 != 1);
        for (name, descriptor) in rows {
            next += 1;
            let last = (64 - regime.size).saturating_sub(below);
            // Level 0 or 1 may have few entries.
            if last < 5 {
                break;
            }
            let va = next << below;
            if va >> (64 - regime.size) != 0 {
                break;
            }
            // Entries of upper levels are not to be shared with tables that were made on the way.
            let slot = image.slot(regime, va, level, 0);
            if image.load(slot) != 0 {
                continue;
            }
            image.store(slot, descriptor);
            kinds.push((format!("level {level}, {name}"), va | within));
        }
    }
    kinds
}

/// Pages and tables where nothing answers.
fn external(image: &mut Image) {
    const NOTHING: u64 = 0x0b00_0000;
    for (granule, half) in regimes() {
        let regime = image.regime(half, granule, usual(granule));
        let mut rows = Vec::new();
        for level in regime.first_level()..3 {
            let va = 1 << regime.below(level);
            let slot = image.slot(&regime, va, level, 0);
            image.store(slot, NOTHING | 3);
            rows.push((format!("no table at level {}", level + 1), va));
        }
        let slot = image.slot(&regime, 0, 3, 0);
        image.store(slot, NOTHING | PAGE | EL0);
        rows.push(("no memory to read or write".into(), 0));
        let slot = image.slot(&regime, 1 << granule, 3, 0);
        image.store(slot, NOTHING | PAGE | EL0 | READ_ONLY);
        rows.push(("no memory to execute".into(), 1 << granule));
        for (name, va) in rows {
            for spsr in [MASKED, EL1H] {
                for kind in [Access::Load, Access::Store, Access::Execute, Access::AtS1e1r] {
                    if kind.is_at() && spsr == MASKED {
                        continue;
                    }
                    let case = Case { spsr, ..case(&regime, name.clone()) };
                    access(image, case, kind, regime.va(va));
                }
            }
        }
    }
}

/// Faults that come from registers and addresses, of a page that is mapped.
fn controls(image: &mut Image, regime: &Regime) {
    let va = 0x70_0000 & !0 << regime.granule;
    let slot = image.slot(regime, va, 3, 0);
    if image.load(slot) != 0 {
        return;
    }
    image.store(slot, PAGES | PAGE | EL0 | READ_ONLY);
    let full = regime.va(va);
    let one = 64 - regime.size;
    let bit = |first: u32| 1u64 << (first + u32::from(regime.half == 1));
    let epd = if regime.half == 0 { 1 << 7 } else { 1 << 23 };
    let tbi = bit(37);
    let rows: [(&str, u64, u64, u64); 12] = [
        ("mapped", full, 0, 0),
        ("disabled", full, epd, 0),
        ("disabled and out of range", full ^ 1 << one, epd, 0),
        ("first bit out of range", full ^ 1 << one, 0, 0),
        ("bit 54", full ^ 1 << 54, 0, 0),
        ("bit 56", full ^ 1 << 56, 0, 0),
        ("top bit", full ^ 1 << 63, 0, 0),
        ("bit 56 ignored", full ^ 1 << 56, tbi, 0),
        ("a tag", full ^ 0x5a << 56, tbi, 0),
        ("a tag and bit 54", full ^ 0x5a << 56 ^ 1 << 54, tbi, 0),
        ("a table of 37 bits", full, 0, 1 << 36),
        ("a table of 47 bits, 44 being there", full, 4 << 32, 1 << 46),
    ];
    for (name, va, tcr, root) in rows {
        for kind in Access::ALL {
            let mut case = case(regime, name.into());
            case.tcr |= tcr;
            case.ttbr[regime.half] |= root;
            access(image, case, kind, va);
        }
    }
}

/// Every size, at the end of what it translates and behind it.
fn sizes(image: &mut Image) {
    for (granule, half) in regimes() {
        for size in 16..=39 {
            // Large tables are dear.
            if granule == 14 && size % 3 != 1 || granule == 16 && size % 6 != 4 {
                continue;
            }
            let regime = image.regime(half, granule, size);
            let va = !0 >> size & !0 << granule;
            let slot = image.slot(&regime, va, 3, 0);
            image.store(slot, PAGES | PAGE | EL0 | READ_ONLY);
            let full = regime.va(va);
            for (name, va) in
                [("last page", full), ("behind it", full ^ 1 << (64 - size)), ("first page", regime.va(0))]
            {
                for kind in [Access::Load, Access::Execute, Access::AtS1e1w] {
                    let case = case(&regime, name.into());
                    access(image, case, kind, va);
                }
            }
        }
    }
}

/// TCR_EL1.HA and HD.
fn hardware_updates(image: &mut Image) {
    const DBM: u64 = 1 << 51;
    for (granule, half) in regimes() {
        let regime = image.regime(half, granule, usual(granule));
        let va = 0;
        let slot = image.slot(&regime, va, 3, 0);
        let rows = [
            ("old", PAGES | PAGE & !0x400),
            ("old, for both", PAGES | PAGE & !0x400 | EL0),
            ("clean", PAGES | PAGE | READ_ONLY | DBM),
            ("clean, for both", PAGES | PAGE | READ_ONLY | EL0 | DBM),
            ("old and clean", PAGES | PAGE & !0x400 | READ_ONLY | DBM),
            ("old and clean, for both", PAGES | PAGE & !0x400 | READ_ONLY | EL0 | DBM),
            ("read-only", PAGES | PAGE | READ_ONLY),
            ("writable, with DBM", PAGES | PAGE | DBM),
            ("old, read-only", PAGES | PAGE & !0x400 | READ_ONLY),
        ];
        for (name, descriptor) in rows {
            for (controls, tcr) in [("neither", 0), ("HA", 1 << 39), ("HA and HD", 3 << 39), ("HD", 1 << 40)]
            {
                for kind in [Access::Load, Access::Store, Access::Execute] {
                    for spsr in [MASKED, EL1H] {
                        // A page for EL1 only is not to be looked at from EL0: whether the flag is set
                        // where permission is missing is open.
                        if spsr == MASKED && descriptor & EL0 == 0 {
                            continue;
                        }
                        // Whether EL1 may execute what EL0 would be allowed to write is read in two ways.
                        if spsr == EL1H && descriptor & (EL0 | DBM) == EL0 | DBM && kind == Access::Execute {
                            continue;
                        }
                        let mut case = case(&regime, format!("{name}, {controls}"));
                        case.tcr |= tcr;
                        case.spsr = spsr;
                        case.patches = vec![(slot, descriptor)];
                        case.seen = [slot, 0];
                        let offset = if kind == Access::Execute { 0 } else { 0x100 };
                        access(image, case, kind, regime.va(va | offset));
                    }
                }
            }
        }
    }
}
