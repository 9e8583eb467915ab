//! Where fields lie, against the masks of Linux (`STRTAB_STE_n_…`, `CTXDESC_CD_n_…`) and of QEMU, and the
//! bit numbers that the specification prints where those have none.

use crate::register::{Access, Register};
use crate::smmuv3::tables::cd::Cd;
use crate::smmuv3::tables::context_table::L1Cd;
use crate::smmuv3::tables::ste::Ste;
use crate::smmuv3::tables::stream_table::L1Std;

/// (name, word, mask in it) of every named field, highest first.
fn check<const N: usize, R: Register>(from_words: fn([u64; N]) -> R, rows: &[(&str, usize, u64)]) {
    let named: Vec<_> = R::FIELDS.iter().filter(|field| !field.name.starts_with('_')).collect();
    assert_eq!(
        named.iter().map(|field| field.name).collect::<Vec<_>>(),
        rows.iter().map(|row| row.0).collect::<Vec<_>>()
    );
    for (name, word, mask) in rows {
        let mut words = [0; N];
        words[*word] = *mask;
        let entry = from_words(words);
        for field in &named {
            let (value, all) = (entry.bits(field.hi, field.lo), u64::MAX >> (63 - (field.hi - field.lo)));
            assert_eq!(
                value,
                if field.name == *name { all } else { 0 },
                "{} by the mask of {name}",
                field.name
            );
        }
        assert_eq!(entry.bits(63 + 64 * *word as u32, 64 * *word as u32) & !mask, 0);
    }
}

#[test]
fn stream_table_entries() {
    check(
        Ste::from_words,
        &[
            ("s2ttb", 3, 0x00ff_ffff_ffff_fff0),
            ("s2ds", 3, 1 << 3),
            ("s2sl0_2", 3, 1 << 2),
            ("s2r", 2, 1 << 58),
            ("s2s", 2, 1 << 57),
            ("s2ha", 2, 1 << 56),
            ("s2hd", 2, 1 << 55),
            ("s2ptw", 2, 1 << 54),
            ("s2affd", 2, 1 << 53),
            ("s2endi", 2, 1 << 52),
            ("s2aa64", 2, 1 << 51),
            ("s2ps", 2, 0x0007_0000_0000_0000),
            ("s2tg", 2, 0xc000_0000_0000),
            ("s2sh0", 2, 0x3000_0000_0000),
            ("s2or0", 2, 0x0c00_0000_0000),
            ("s2ir0", 2, 0x0300_0000_0000),
            ("s2sl0", 2, 0x00c0_0000_0000),
            ("s2t0sz", 2, 0x003f_0000_0000),
            ("s2vmid", 2, 0xffff),
            ("instcfg", 1, 0x000c_0000_0000_0000),
            ("privcfg", 1, 0x0003_0000_0000_0000),
            ("shcfg", 1, 0x3000_0000_0000),
            ("alloccfg", 1, 0x01e0_0000_0000),
            ("mtcfg", 1, 1 << 36),
            ("memattr", 1, 0x000f_0000_0000),
            ("strw", 1, 0xc000_0000),
            ("eats", 1, 0x3000_0000),
            ("s1stalld", 1, 1 << 27),
            ("s2fwb", 1, 1 << 25),
            ("mev", 1, 1 << 19),
            ("ppar", 1, 1 << 18),
            ("dcp", 1, 1 << 17),
            ("cont", 1, 0x0001_e000),
            ("dre", 1, 1 << 12),
            ("s1csh", 1, 0xc0),
            ("s1cor", 1, 0x30),
            ("s1cir", 1, 0x0c),
            ("s1dss", 1, 0x03),
            ("s1cdmax", 0, 0xf800_0000_0000_0000),
            ("s1contextptr", 0, 0x00ff_ffff_ffff_ffc0),
            ("s1fmt", 0, 0x30),
            ("config", 0, 0x0e),
            ("v", 0, 1),
        ],
    );
}

#[test]
fn context_descriptors() {
    check(
        Cd::from_words,
        &[
            ("mair1", 3, 0xffff_ffff_0000_0000),
            ("mair0", 3, 0xffff_ffff),
            ("ds", 2, 1 << 58),
            ("ttb1", 2, 0x00ff_ffff_ffff_fff0),
            ("e0pd1", 2, 1 << 2),
            ("had1", 2, 1 << 1),
            ("ttb0", 1, 0x00ff_ffff_ffff_fff0),
            ("e0pd0", 1, 1 << 2),
            ("had0", 1, 1 << 1),
            ("asid", 0, 0xffff_0000_0000_0000),
            ("aset", 0, 1 << 47),
            ("a", 0, 1 << 46),
            ("r", 0, 1 << 45),
            ("s", 0, 1 << 44),
            ("ha", 0, 1 << 43),
            ("hd", 0, 1 << 42),
            ("aa64", 0, 1 << 41),
            ("pan", 0, 1 << 40),
            ("tbi1", 0, 1 << 39),
            ("tbi0", 0, 1 << 38),
            ("uwxn", 0, 1 << 37),
            ("wxn", 0, 1 << 36),
            ("affd", 0, 1 << 35),
            ("ips", 0, 0x0007_0000_0000),
            ("v", 0, 1 << 31),
            ("epd1", 0, 1 << 30),
            ("sh1", 0, 0x3000_0000),
            ("or1", 0, 0x0c00_0000),
            ("ir1", 0, 0x0300_0000),
            ("tg1", 0, 0x00c0_0000),
            ("t1sz", 0, 0x003f_0000),
            ("endi", 0, 1 << 15),
            ("epd0", 0, 1 << 14),
            ("sh0", 0, 0x3000),
            ("or0", 0, 0x0c00),
            ("ir0", 0, 0x0300),
            ("tg0", 0, 0x00c0),
            ("t0sz", 0, 0x003f),
        ],
    );
}

#[test]
fn level_1_descriptors() {
    check(L1Std::from_words, &[("l2ptr", 0, 0x00ff_ffff_ffff_ffc0), ("span", 0, 0x1f)]);
    check(L1Cd::from_words, &[("l2ptr", 0, 0x00ff_ffff_ffff_f000), ("v", 0, 1)]);
}

#[test]
fn entries_have_no_register_rows_and_no_reserved_bits() {
    for field in [Ste::FIELDS, Cd::FIELDS, L1Std::FIELDS, L1Cd::FIELDS].into_iter().flatten() {
        assert!(matches!(field.access, Access::Field | Access::Ignored), "{field:?}");
    }
}

#[test]
fn rules_name_fields_that_there_are() {
    use crate::smmuv3::tables::{cd, ste};
    for rule in ste::Illegal::ALL {
        assert!(Ste::FIELDS.iter().any(|field| field.name == rule.field()), "{rule}");
    }
    for rule in cd::Illegal::ALL {
        assert!(Cd::FIELDS.iter().any(|field| field.name == rule.field()), "{rule}");
    }
}
