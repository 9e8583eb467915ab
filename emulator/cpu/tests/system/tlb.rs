//! The cases of the TLB: maintenance, and address spaces.

use super::cases::{ISB, PAGE, READ_ONLY, SVC, case, regimes, run, usual};
use super::image::{HIGH, Image, PAGES, Regime};

const NOT_GLOBAL: u64 = 1 << 11;

/// TLB maintenance: after it, and only for certain after it, a changed descriptor counts.
pub fn maintenance(image: &mut Image) {
    // The operand is in X4.
    const BY_ADDRESS: [(&str, u32); 8] = [
        ("VAE1", 0xd508_8724),
        ("VALE1", 0xd508_87a4),
        ("VAAE1", 0xd508_8764),
        ("VAALE1", 0xd508_87e4),
        ("VAE1IS", 0xd508_8324),
        ("VALE1IS", 0xd508_83a4),
        ("VAAE1IS", 0xd508_8364),
        ("VAALE1IS", 0xd508_83e4),
    ];
    const OTHERS: [(&str, u32); 4] = [
        ("VMALLE1", 0xd508_871f),
        ("VMALLE1IS", 0xd508_831f),
        ("ASIDE1", 0xd508_8744),
        ("ASIDE1IS", 0xd508_8344),
    ];
    for (granule, half) in regimes() {
        let target = Target::new(image, granule, half);
        for (name, word) in BY_ADDRESS.into_iter().chain(OTHERS) {
            for asid in [0, 0x7a] {
                if name.starts_with("ASID") && asid == 0 {
                    continue;
                }
                target.maintain(image, name, word, target.by_address(asid), asid);
            }
        }
    }
}

/// TLB maintenance by range, and what is outer shareable.
pub fn later_maintenance(image: &mut Image) {
    // CRm and op2, with X4.
    let word = |crm: u32, op2: u32| 0xd508_8004 | crm << 8 | op2 << 5;
    for (granule, half) in regimes() {
        let target = Target::new(image, granule, half);
        for asid in [0, 0x7a] {
            for (name, op2) in [("VAE1OS", 1), ("VAAE1OS", 3), ("VALE1OS", 5), ("VAALE1OS", 7)] {
                target.maintain(image, name, word(1, op2), target.by_address(asid), asid);
            }
            target.maintain(image, "VMALLE1OS", 0xd508_811f, 0, asid);
            if asid != 0 {
                target.maintain(image, "ASIDE1OS", word(1, 2), asid << 48, asid);
            }
            for (crm, domain) in [(6, ""), (2, "IS"), (5, "OS")] {
                for (name, op2) in [("RVAE1", 1), ("RVAAE1", 3), ("RVALE1", 5), ("RVAALE1", 7)] {
                    // Pages before the one that is meant, scale and number: it is the first one of a
                    // range, the last one, and somewhere in a long one. QEMU 7.2 does nothing for 8 GiB.
                    for (before, scale, number) in [(0, 0, 0), (1, 0, 0), (3, 0, 1), (4, 1, 2), (5, 2, 31)] {
                        let base = ((target.va >> granule) - before) & 0x1f_ffff_ffff;
                        let kind = u64::from(granule - 10) / 2;
                        let operand = asid << 48 | kind << 46 | scale << 44 | number << 39 | base;
                        let name = format!("{name}{domain} of {operand:#x}");
                        target.maintain(image, &name, word(crm, op2), operand, asid);
                    }
                }
            }
        }
    }
}

/// A page whose descriptor is changed.
struct Target {
    regime: Regime,
    slot: u64,
    va: u64,
}

impl Target {
    fn new(image: &mut Image, granule: u32, half: usize) -> Self {
        let regime = image.regime(half, granule, usual(granule));
        let va = 5 << granule;
        Self { regime, slot: image.slot(&regime, va, 3, 0), va: regime.va(va) }
    }

    /// The operand of maintenance by address.
    fn by_address(&self, asid: u64) -> u64 {
        self.va >> 12 & 0xfff_ffff_ffff | asid << 48
    }

    /// Adds cases that read the page, change its descriptor, run `word` with its operand in X4, and
    /// read and write the page again.
    fn maintain(&self, image: &mut Image, name: &str, word: u32, operand: u64, asid: u64) {
        let half = self.regime.half;
        let global = if asid == 0 { 0 } else { NOT_GLOBAL };
        let rows = [
            ("another page", (PAGES + (1 << self.regime.granule)) | PAGE | global),
            ("read-only", PAGES | PAGE | READ_ONLY | global),
            ("nothing", 0),
        ];
        for (what, new) in rows {
            let mut case = case(&self.regime, format!("TLBI {name}, then {what}, ASID {asid:#x}"));
            case.ttbr[half] |= asid << 48;
            // TCR_EL1.A1 says whose ASID it is, AS that it has 16 bits.
            case.tcr |= (half as u64) << 22 | 1 << 36;
            case.patches = vec![(self.slot, PAGES | PAGE | global)];
            case.x[1] = self.va | 0x100;
            case.x[2] = new;
            case.x[3] = self.slot + if half == 0 { HIGH } else { 0 };
            case.x[4] = operand;
            let words = [
                0xf940_0025, // ldr x5, [x1]
                0xf900_0062, // str x2, [x3]
                0xd503_3f9f, // dsb sy
                word,
                0xd503_3f9f, // dsb sy
                ISB,
                0xf940_0026, // ldr x6, [x1]
                0xf900_0026, // str x6, [x1]
                SVC,
            ];
            run(image, &mut case, &words);
            image.push(case);
        }
    }
}

/// Two address spaces that differ in a page that is not global, and share one.
pub fn address_spaces(image: &mut Image) {
    for (granule, half) in regimes() {
        let regimes = [(); 2].map(|()| image.regime(half, granule, usual(granule)));
        for (index, regime) in (0..).zip(&regimes) {
            let page = PAGES + (index << granule);
            for (number, descriptor) in [(1, page | PAGE | NOT_GLOBAL), (2, PAGES | PAGE)] {
                let slot = image.slot(regime, number << granule, 3, 0);
                image.store(slot, descriptor);
            }
        }
        // MSR TTBR0_EL1 or TTBR1_EL1.
        let msr = 0xd518_2000 | (half as u32) << 5;
        for (name, asids, tcr) in [("8 bits", [0x17, 0x2e], 0), ("16 bits", [0x1017, 0x2017], 1 << 36)] {
            let mut case = case(&regimes[0], format!("ASID of {name}"));
            case.tcr |= tcr | (half as u64) << 22;
            case.ttbr[half] |= asids[0] << 48;
            case.x[1] = regimes[0].va(1 << granule);
            case.x[2] = regimes[0].va(2 << granule);
            case.x[3] = regimes[1].root | asids[1] << 48;
            case.x[4] = regimes[0].root | asids[0] << 48;
            let words = [
                0xf940_0025, // ldr x5, [x1]
                0xf940_0046, // ldr x6, [x2]
                msr | 3,
                ISB,
                0xf940_0027, // ldr x7, [x1]
                0xf940_0048, // ldr x8, [x2]
                msr | 4,
                ISB,
                0xf940_0029, // ldr x9, [x1]
                SVC,
            ];
            run(image, &mut case, &words);
            image.push(case);
        }
    }
}
