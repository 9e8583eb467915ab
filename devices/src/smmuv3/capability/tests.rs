//! Presets as the words that software reads, the rules between fields, and the options.

use std::collections::BTreeSet;

use super::rules::RULES;
use super::*;
use crate::addr::StreamId;
use crate::smmuv3::stream_map::RequesterRange;

fn preset(name: &str) -> Config {
    Config::preset(name).unwrap()
}

/// Applies options as a command line gives them.
pub(in crate::smmuv3) fn with(name: &str, options: &str) -> Config {
    let mut config = preset(name);
    for (key, value) in options.split(',').filter_map(|option| option.split_once('=')) {
        Override::named(key).unwrap().apply(&mut config, value).unwrap();
    }
    config
}

#[test]
fn presets_report_these_words() {
    // (name, IDR0, IDR1, IDR3, IDR5, AIDR)
    let rows = [
        ("smmuv3.0-s1", 0x0940_001a, 0x018c_0010, 0, 0x54, 0),
        ("smmuv3.1-s2", 0x0904_2019, 0x018c_0010, 0x10, 0x55, 1),
        ("smmuv3.2-nested", 0x080c_721b, 0x0d8c_0410, 0x1514, 0x0080_0075, 2),
        ("smmuv3.3-full", 0x080e_729b, 0x0e73_0518, 0x7714, 0x0080_04f6, 3),
    ];
    assert_eq!(rows.map(|row| row.0), Config::PRESETS);
    for (name, idr0, idr1, idr3, idr5, aidr) in rows {
        let Config { idr0: r0, idr1: r1, idr3: r3, idr5: r5, .. } = preset(name);
        assert_eq!([r0.raw(), r1.raw(), r3.raw(), r5.raw()], [idr0, idr1, idr3, idr5], "{name}");
        let config = preset(name);
        assert_eq!((config.aidr(), config.iidr(), config.idr2(), config.idr4()), (aidr, 0, 0, 0));
        assert_eq!(config.check(), Ok(()), "{name}");
    }
    assert_eq!(Config::preset("smmuv3"), None);
    assert_eq!(preset("smmuv3.0-s1").id_registers()[8..], [0x0d, 0xf0, 0x05, 0xb1]);
}

/// Fields by the masks of Linux (`IDRn_…`) and QEMU.
#[test]
fn identification_fields_lie_where_printed() {
    let idr0 = Idr0::from_raw(3 << 27);
    assert_eq!((idr0.st_level(), idr0.term_model()), (3, false));
    assert_eq!(Idr0::from_raw(3 << 24).stall_model(), 3);
    assert_eq!(Idr0::from_raw(3 << 21).ttendian(), 3);
    assert_eq!(Idr0::from_raw(3 << 6).httu(), 3);
    assert_eq!(Idr0::from_raw(3 << 2).ttf(), 3);
    let bits: Vec<bool> = [19, 18, 16, 14, 13, 12, 10, 9, 4, 1, 0]
        .into_iter()
        .zip([
            Idr0::cd2l,
            Idr0::vmid16,
            Idr0::pri,
            Idr0::sev,
            Idr0::msi,
            Idr0::asid16,
            Idr0::ats,
            Idr0::hyp,
            Idr0::cohacc,
            Idr0::s1p,
            Idr0::s2p,
        ])
        .map(|(bit, get)| get(Idr0::from_raw(1 << bit)) && !get(Idr0::from_raw(!(1 << bit))))
        .collect();
    assert_eq!(bits, [true; 11]);
    let idr1 = Idr1::from_raw(0x0a31_0a90 | 1 << 27);
    assert_eq!((idr1.cmdqs(), idr1.eventqs(), idr1.ssidsize(), idr1.sidsize()), (17, 17, 10, 16));
    assert!(idr1.attr_types_ovr() && !idr1.attr_perms_ovr());
    let idr3 = Idr3::from_raw(1 << 8 | 1 << 10 | 2 << 11);
    assert_eq!((idr3.fwb(), idr3.ril(), idr3.bbml()), (true, true, 2));
    let idr5 = Idr5::from_raw(0x1234_0456);
    assert_eq!((idr5.stall_max(), idr5.vax(), idr5.oas()), (0x1234, 1, 6));
    assert_eq!((idr5.gran4k(), idr5.gran16k(), idr5.gran64k()), (true, false, true));
}

#[test]
fn sizes_follow_from_the_version_and_the_output_size() {
    // (preset, options, OAS, what IPS = 0 to 7 give, address bits of table bases)
    let rows = [
        ("smmuv3.0-s1", "oas=48", 48, [32, 36, 40, 42, 44, 48, 48, 48], 48),
        ("smmuv3.0-s1", "oas=40", 40, [32, 36, 40, 40, 40, 40, 40, 40], 48),
        ("smmuv3.2-nested", "oas=42", 42, [32, 36, 40, 42, 42, 42, 42, 42], 52),
        ("smmuv3.2-nested", "oas=52", 52, [32, 36, 40, 42, 44, 48, 52, 52], 52),
        ("smmuv3.3-full", "oas=32", 32, [32; 8], 52),
    ];
    for (name, options, oas, sizes, table_bits) in rows {
        let config = with(name, options);
        assert_eq!((config.oas_bits(), config.ias_bits()), (oas, oas), "{options}");
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(|encoding| config.output_bits(encoding)), sizes);
        assert_eq!(config.pa_mask(), u64::MAX >> (64 - oas));
        assert_eq!(config.table_address_mask(), u64::MAX >> (64 - table_bits));
    }
    // Whatever a saved configuration says.
    let config = Config { idr5: Idr5::from_raw(!0), minor: 0xff, ..preset("smmuv3.0-s1") };
    assert_eq!((config.oas_bits(), config.aidr()), (52, 0xf));
}

/// Each unit that the architecture forbids, by the start of the rule that it breaks.
#[test]
fn every_rule_refuses_something() {
    type Change = fn(&mut Config);
    let rows: &[(&str, &str, Change)] = &[
        ("smmuv3.3-full", "the minor version", |c| c.minor = 4),
        ("smmuv3.2-nested", "IDR0.TTF", |c| c.idr0 = c.idr0.with_ttf(3)),
        ("smmuv3.2-nested", "IDR0.TTF", |c| c.idr0 = c.idr0.with_ttf(1)),
        ("smmuv3.2-nested", "IDR0.ATS", |c| c.idr0 = c.idr0.with_ats(true)),
        ("smmuv3.2-nested", "IDR0.ATS", |c| c.idr0 = c.idr0.with_pri(true)),
        ("smmuv3.2-nested", "IDR0.ATS", |c| c.idr0 = c.idr0.with_atsrecerr(true)),
        ("smmuv3.2-nested", "IDR0.ATS", |c| c.idr0 = c.idr0.with_ns1ats(true)),
        ("smmuv3.2-nested", "IDR0.ATOS", |c| c.idr0 = c.idr0.with_atos(true)),
        ("smmuv3.2-nested", "IDR0.ATOS", |c| c.idr0 = c.idr0.with_vatos(true)),
        ("smmuv3.2-nested", "IDR0.BTM", |c| c.idr0 = c.idr0.with_btm(true)),
        ("smmuv3.2-nested", "IDR0.DORMHINT", |c| c.idr0 = c.idr0.with_dormhint(true)),
        ("smmuv3.3-full", "IDR0.HTTU is 0 to 2", |c| c.idr0 = c.idr0.with_httu(3)),
        ("smmuv3.2-nested", "IDR0.ST_LEVEL", |c| c.idr0 = c.idr0.with_st_level(2)),
        ("smmuv3.2-nested", "IDR0.STALL_MODEL", |c| c.idr0 = c.idr0.with_stall_model(3)),
        ("smmuv3.2-nested", "IDR0.TTENDIAN", |c| c.idr0 = c.idr0.with_ttendian(1)),
        ("smmuv3.2-nested", "the reserved bits of IDR0", |c| c.idr0 = Idr0::from_raw(c.idr0.raw() | 1 << 30)),
        ("smmuv3.3-full", "IDR1.ECMDQ", |c| c.idr1 = c.idr1.with_ecmdq(true)),
        ("smmuv3.2-nested", "IDR1.TABLES_PRESET", |c| c.idr1 = c.idr1.with_tables_preset(true)),
        ("smmuv3.2-nested", "IDR1.TABLES_PRESET", |c| c.idr1 = c.idr1.with_queues_preset(true)),
        ("smmuv3.2-nested", "IDR1.TABLES_PRESET", |c| c.idr1 = c.idr1.with_rel(true)),
        ("smmuv3.2-nested", "IDR1.PRIQS", |c| c.idr1 = c.idr1.with_priqs(1)),
        ("smmuv3.3-full", "IDR3.PASIDTT", |c| c.idr3 = c.idr3.with_pasidtt(true)),
        ("smmuv3.3-full", "IDR3.PASIDTT", |c| c.idr3 = c.idr3.with_dpt(true)),
        ("smmuv3.3-full", "IDR3.PASIDTT", |c| c.idr3 = c.idr3.with_pps(true)),
        ("smmuv3.3-full", "IDR3.EPAN", |c| c.idr3 = c.idr3.with_epan(true)),
        ("smmuv3.3-full", "IDR3.EPAN", |c| c.idr3 = c.idr3.with_mpam(true)),
        ("smmuv3.3-full", "IDR3.EPAN", |c| c.idr3 = c.idr3.with_pbha(true)),
        ("smmuv3.2-nested", "the reserved bits of IDR3", |c| c.idr3 = Idr3::from_raw(c.idr3.raw() | 1 << 18)),
        ("smmuv3.3-full", "IDR5.D128", |c| c.idr5 = c.idr5.with_d128(true)),
        ("smmuv3.3-full", "IDR5.VAX is 0 or 1", |c| c.idr5 = c.idr5.with_vax(2)),
        ("smmuv3.3-full", "IDR5.OAS is 0 to 6", |c| c.idr5 = c.idr5.with_oas(7)),
        ("smmuv3.2-nested", "the reserved bits of IDR5", |c| c.idr5 = Idr5::from_raw(c.idr5.raw() | 8)),
        ("smmuv3.2-nested", "IDR1.CMDQS", |c| c.idr1 = c.idr1.with_cmdqs(20)),
        ("smmuv3.2-nested", "IDR1.EVENTQS", |c| c.idr1 = c.idr1.with_eventqs(20)),
        ("smmuv3.2-nested", "IDR1.SSIDSIZE is at most", |c| c.idr1 = c.idr1.with_ssidsize(21)),
        ("smmuv3.2-nested", "IDR1.SIDSIZE is at most", |c| c.idr1 = c.idr1.with_sidsize(33)),
        ("smmuv3.2-nested", "IDR1.SIDSIZE from 7", |c| {
            (c.idr0, c.idr1) = (c.idr0.with_st_level(0), c.idr1.with_sidsize(7));
        }),
        ("smmuv3.2-nested", "IDR5 has at least", |c| c.idr5 = Idr5::from_raw(c.idr5.raw() & !0x70)),
        ("smmuv3.0-s1", "IDR5.VAX = 1 needs SMMUv3.1", |c| c.idr5 = c.idr5.with_vax(1)),
        ("smmuv3.2-nested", "IDR5.VAX = 1 needs GRAN64K", |c| {
            c.idr5 = c.idr5.with_vax(1).with_gran64k(false);
        }),
        ("smmuv3.0-s1", "IDR5.OAS = 6, 52 bits, needs SMMUv3.1", |c| c.idr5 = c.idr5.with_oas(6)),
        ("smmuv3.2-nested", "IDR5.OAS = 6, 52 bits, needs GRAN64K", |c| {
            c.idr5 = c.idr5.with_oas(6).with_gran64k(false);
        }),
        ("smmuv3.3-full", "IDR5.DS needs GRAN4K", |c| {
            c.idr5 = c.idr5.with_gran4k(false).with_gran16k(false);
        }),
        ("smmuv3.3-full", "IDR5.DS needs VAX", |c| c.idr5 = c.idr5.with_vax(0)),
        ("smmuv3.2-nested", "IDR5.DS needs SMMUv3.3", |c| c.idr5 = c.idr5.with_ds(true).with_vax(1)),
        ("smmuv3.0-s1", "IDR0 has at least", |c| c.idr0 = c.idr0.with_s1p(false)),
        ("smmuv3.1-s2", "IDR1.SSIDSIZE is 0", |c| c.idr1 = c.idr1.with_ssidsize(1)),
        ("smmuv3.1-s2", "IDR0.Hyp is 0", |c| c.idr0 = c.idr0.with_hyp(true)),
        ("smmuv3.2-nested", "IDR0.Hyp is 1", |c| c.idr0 = c.idr0.with_hyp(false)),
        ("smmuv3.0-s1", "IDR0.VMW", |c| c.idr0 = c.idr0.with_vmw(true)),
        ("smmuv3.1-s2", "IDR3.HAD is 0", |c| c.idr3 = c.idr3.with_had(true)),
        ("smmuv3.2-nested", "IDR3.HAD is 1", |c| c.idr3 = c.idr3.with_had(false)),
        ("smmuv3.0-s1", "IDR3.XNX is 0", |c| c.idr3 = c.idr3.with_xnx(true)),
        ("smmuv3.1-s2", "IDR3.XNX is 1", |c| c.idr3 = c.idr3.with_xnx(false)),
        ("smmuv3.0-s1", "IDR3.PTWNNC is 0", |c| c.idr3 = c.idr3.with_ptwnnc(true)),
        ("smmuv3.3-full", "IDR3.PTWNNC is 1", |c| c.idr3 = c.idr3.with_ptwnnc(false)),
        ("smmuv3.2-nested", "IDR3.BBML is 0 to 2", |c| c.idr3 = c.idr3.with_bbml(3)),
        ("smmuv3.2-nested", "IDR3.BBML is 1 or 2", |c| c.idr3 = c.idr3.with_bbml(0)),
        ("smmuv3.2-nested", "IDR3.RIL is 1", |c| c.idr3 = c.idr3.with_ril(false)),
        ("smmuv3.2-nested", "IDR3.FWB is 1", |c| c.idr3 = c.idr3.with_fwb(false)),
        ("smmuv3.3-full", "IDR3.E0PD is 1", |c| c.idr3 = c.idr3.with_e0pd(false)),
        ("smmuv3.0-s1", "IDR3.BBML, RIL", |c| c.idr3 = c.idr3.with_bbml(1)),
        ("smmuv3.0-s1", "IDR3.BBML, RIL", |c| c.idr3 = c.idr3.with_ril(true)),
        ("smmuv3.0-s1", "IDR3.BBML, RIL", |c| c.idr3 = c.idr3.with_fwb(true)),
        ("smmuv3.0-s1", "IDR3.BBML, RIL", |c| c.idr3 = c.idr3.with_stt(true)),
        ("smmuv3.1-s2", "IDR3.E0PD and PTWNNC", |c| c.idr3 = c.idr3.with_e0pd(true)),
        ("smmuv3.1-s2", "IDR3.E0PD and PTWNNC", |c| c.idr3 = c.idr3.with_ptwnnc(true)),
        ("smmuv3.2-nested", "IDR5.STALL_MAX", |c| c.idr5 = c.idr5.with_stall_max(0)),
        ("smmuv3.0-s1", "IDR5.STALL_MAX", |c| c.idr5 = c.idr5.with_stall_max(1)),
        ("smmuv3.2-nested", "IDR0.STALL_MODEL is not 2 before PCIe", |c| {
            c.idr0 = c.idr0.with_stall_model(2);
            let (segment, stream) = (0, StreamId(0));
            c.streams = StreamMap::new(vec![RequesterRange { segment, first: 0, last: 0xffff, stream }]);
        }),
        ("smmuv3.3-full", "IDR0.HTTU needs", |c| c.idr0 = c.idr0.with_cohacc(false)),
    ];
    let mut met = BTreeSet::new();
    for (name, rule, change) in rows {
        let mut config = preset(name);
        change(&mut config);
        let broken = config.check().unwrap_err();
        assert!(broken.rule.starts_with(rule), "{name}: expected {rule:?}, got {broken}");
        met.insert(broken.rule);
    }
    let all: BTreeSet<_> = RULES.iter().map(|rule| rule.text).collect();
    assert_eq!(met, all);
    assert_eq!(all.len(), RULES.len());
}

/// What is allowed right beside what [`every_rule_refuses_something`] shows to be refused.
#[test]
fn neighbours_of_what_is_refused_are_units() {
    for (name, options) in [
        ("smmuv3.2-nested", "st-level=0,sidsize=6"),
        ("smmuv3.2-nested", "sidsize=0,ssidsize=0,cmdqs=0,eventqs=0"),
        ("smmuv3.2-nested", "sidsize=32,ssidsize=20,cmdqs=19,eventqs=19"),
        ("smmuv3.2-nested", "granules=64k,vax=52,oas=52"),
        ("smmuv3.2-nested", "granules=16k,oas=32"),
        ("smmuv3.2-nested", "bbml=1,httu=access,term-model=1,ttendian=big"),
        // Of the next version.
        ("smmuv3.2-nested", "e0pd=on,ptwnnc=on,stt=on"),
        ("smmuv3.1-s2", "bbml=1,ril=on,fwb=on,stt=on,vmw=on"),
        ("smmuv3.3-full", "granules=4k,ds=on,vax=52,oas=52"),
        ("smmuv3.3-full", "granules=64k,ds=off,oas=52"),
        ("smmuv3.3-full", "ds=off,vax=48,oas=48,httu=off,cohacc=off"),
        ("smmuv3.0-s1", "had=on,ssidsize=1,cd2l=on"),
    ] {
        assert_eq!(with(name, options).check(), Ok(()), "{name},{options}");
    }
}

/// (option, values it takes with the bits that change in IDR0, IDR1, IDR3 and IDR5, values it refuses). Of
/// `smmuv3.2-nested`.
#[test]
fn options_change_their_field_and_refuse_other_values() {
    type Row = (&'static str, &'static [(&'static str, [u32; 4])], &'static [&'static str]);
    const SWITCH: &[&str] = &["", "1", "true", "On", "on "];
    const NUMBER: &[&str] = &["", "-1", "+1", "0x1", "1.0", "4294967296", "99999999999999999999"];
    let rows: &[Row] = &[
        ("asid16", &[("on", [0; 4]), ("off", [1 << 12, 0, 0, 0])], SWITCH),
        ("attr-perms-ovr", &[("off", [0, 1 << 26, 0, 0])], SWITCH),
        ("attr-types-ovr", &[("off", [0, 1 << 27, 0, 0])], SWITCH),
        ("bbml", &[("0", [0, 0, 2 << 11, 0]), ("1", [0, 0, 3 << 11, 0]), ("2", [0; 4])], &["3", "", "on"]),
        ("cd2l", &[("off", [1 << 19, 0, 0, 0])], SWITCH),
        ("cmdqs", &[("0", [0, 12 << 21, 0, 0]), ("19", [0, (12 ^ 19) << 21, 0, 0])], &["20"]),
        ("cmdqs", &[], NUMBER),
        ("cohacc", &[("off", [1 << 4, 0, 0, 0])], SWITCH),
        ("ds", &[("on", [0, 0, 0, 1 << 7])], SWITCH),
        ("e0pd", &[("on", [0, 0, 1 << 13, 0])], SWITCH),
        ("eventqs", &[("0", [0, 12 << 16, 0, 0]), ("19", [0, (12 ^ 19) << 16, 0, 0])], &["20"]),
        ("fwb", &[("off", [0, 0, 1 << 8, 0])], SWITCH),
        (
            "granules",
            &[("4k", [0, 0, 0, 0x60]), ("64k+4k", [0, 0, 0, 0x20]), ("4k+16k+64k", [0; 4])],
            &["", "4K", "4k+", "8k", "4k,64k", "4"],
        ),
        ("had", &[("off", [0, 0, 1 << 2, 0])], SWITCH),
        (
            "httu",
            &[("access", [1 << 6, 0, 0, 0]), ("dirty", [2 << 6, 0, 0, 0]), ("off", [0; 4])],
            &["on", "3"],
        ),
        ("hyp", &[("off", [1 << 9, 0, 0, 0])], SWITCH),
        ("msi", &[("off", [1 << 13, 0, 0, 0])], SWITCH),
        (
            "oas",
            &[
                ("32", [0, 0, 0, 5]),
                ("36", [0, 0, 0, 5 ^ 1]),
                ("40", [0, 0, 0, 5 ^ 2]),
                ("42", [0, 0, 0, 5 ^ 3]),
                ("44", [0, 0, 0, 5 ^ 4]),
                ("48", [0; 4]),
                ("52", [0, 0, 0, 5 ^ 6]),
            ],
            &["0", "5", "47", "56", "", "+48"],
        ),
        ("ptwnnc", &[("on", [0, 0, 1 << 14, 0])], SWITCH),
        ("ril", &[("off", [0, 0, 1 << 10, 0])], SWITCH),
        ("sev", &[("off", [1 << 14, 0, 0, 0])], SWITCH),
        ("sidsize", &[("0", [0, 16, 0, 0]), ("32", [0, 16 ^ 32, 0, 0])], &["33"]),
        ("ssidsize", &[("0", [0, 16 << 6, 0, 0]), ("20", [0, (16 ^ 20) << 6, 0, 0])], &["21"]),
        ("st-level", &[("0", [1 << 27, 0, 0, 0])], &["2", "on"]),
        (
            "stage",
            &[("1", [0x201, 0, 1 << 4, 0]), ("2", [0x202, 16 << 6, 1 << 2, 0]), ("nested", [0; 4])],
            &["0", "3", "12", "both"],
        ),
        (
            "stall",
            &[("on", [0; 4]), ("off", [1 << 24, 0, 0, 128 << 16]), ("forced", [2 << 24, 0, 0, 0])],
            &["", "force"],
        ),
        ("stall-max", &[("1", [0, 0, 0, 129 << 16]), ("65535", [0, 0, 0, 0xff7f << 16])], &["0", "65536"]),
        ("stt", &[("on", [0, 0, 1 << 9, 0])], SWITCH),
        ("term-model", &[("1", [1 << 26, 0, 0, 0])], &["2", "on"]),
        (
            "ttendian",
            &[("mixed", [0; 4]), ("little", [2 << 21, 0, 0, 0]), ("big", [3 << 21, 0, 0, 0])],
            &["le"],
        ),
        ("vax", &[("48", [0; 4]), ("52", [0, 0, 0, 1 << 10])], &["49", "56", "1"]),
        ("vmid16", &[("off", [1 << 18, 0, 0, 0])], SWITCH),
        ("vmw", &[("on", [1 << 17, 0, 0, 0])], SWITCH),
        ("xnx", &[("off", [0, 0, 1 << 4, 0])], SWITCH),
    ];
    let words =
        |config: &Config| [config.idr0.raw(), config.idr1.raw(), config.idr3.raw(), config.idr5.raw()];
    let nested = preset("smmuv3.2-nested");
    for (key, accepted, refused) in rows {
        let option = Override::named(key).unwrap();
        for (value, changed) in *accepted {
            let mut config = nested.clone();
            assert_eq!(option.apply(&mut config, value), Ok(()));
            let (old, new) = (words(&nested), words(&config));
            let difference: [u32; 4] = std::array::from_fn(|n| old[n] ^ new[n]);
            assert_eq!(difference, *changed, "{key}={value}");
        }
        for value in *refused {
            let mut config = nested.clone();
            let error = option.apply(&mut config, value).unwrap_err().to_string();
            assert_eq!(error, format!("{key}={value} is not valid: expected {}", option.expected));
            assert_eq!(config, nested, "{key}={value}");
        }
    }
    let keys: Vec<_> = OVERRIDES.iter().map(|option| option.key).collect();
    assert!(keys.is_sorted());
    assert_eq!(rows.iter().map(|row| row.0).collect::<BTreeSet<_>>(), keys.into_iter().collect());
    assert!(Override::named("asid").is_none());
}

#[test]
fn a_stage_takes_what_depends_on_it_along() {
    for name in ["smmuv3.0-s1", "smmuv3.1-s2", "smmuv3.2-nested", "smmuv3.3-full"] {
        for stage in ["1", "2", "nested"] {
            for stall in ["on", "off", "forced"] {
                let config = with(name, &format!("stage={stage},stall={stall}"));
                assert_eq!(config.check(), Ok(()), "{name} {stage} {stall}");
            }
        }
    }
    assert_eq!(with("smmuv3.0-s1", "stall=on").idr5.stall_max(), 128);
    assert_eq!(with("smmuv3.2-nested", "stall-max=7,stall=forced").idr5.stall_max(), 7);
}
