//! What a legal STE means.

use super::*;
use crate::addr::Pa;
use crate::smmuv3::invalidation::StreamWorld;
use crate::smmuv3::regs::Gbpa;
use crate::smmuv3::tables::ste::{ContextLayout, ContextTable, DefaultSubstream, Overrides};
use crate::smmuv3::vmsa::{Granule, HardwareUpdate, Stage2};

const E2H: Cr2 = Cr2::from_raw(1);

fn unit(options: &str) -> Config {
    with("smmuv3.2-nested", options)
}

#[test]
fn a_nested_entry_is_this_service() {
    let expected = Service {
        world: StreamWorld::El1,
        vmid: 0x2a,
        contexts: Some(ContextTable {
            base: 0x8000_0000,
            layout: ContextLayout::Leaves4K,
            log2_count: 8,
            default: DefaultSubstream::First,
            no_stall: false,
        }),
        stage2: Some(Stage2 {
            granule: Granule::K4,
            input_bits: 40,
            start_level: 1,
            table: Pa(0x9000_0000),
            output_bits: 48,
            ds: false,
            big_endian: false,
            protected_walk: false,
            forced_write_back: false,
            xnx: true,
            shareability: 3,
            update: HardwareUpdate { access: false, dirty: false, no_access_fault: false },
        }),
        stage2_stalls: false,
        stage2_records: true,
        merge: true,
        overrides: Overrides { instruction: None, privileged: None, memory: None, shareability: None },
    };
    assert_eq!(service(NESTED, &unit(""), Cr2::ZERO), expected);
    assert_eq!(
        service(changed(NESTED, &[(3, 1, 0b101)]), &unit(""), Cr2::ZERO),
        Service { stage2: None, stage2_records: false, ..expected }
    );
    assert_eq!(
        service(changed(NESTED, &[(3, 1, 0b110)]), &unit(""), Cr2::ZERO),
        Service { contexts: None, ..expected }
    );
    assert_eq!(
        service(changed(NESTED, &[(3, 1, 0b100)]), &unit(""), Cr2::ZERO),
        Service { contexts: None, stage2: None, stage2_records: false, vmid: 0, ..expected }
    );
}

#[test]
fn worlds_and_their_vmids() {
    use StreamWorld::{El1, El2, El2E2h};
    // (options, Config, STRW, CR2, world, VMID)
    for (options, mode, strw, cr2, world, vmid) in [
        ("", 0b101, 0b00, Cr2::ZERO, El1, 0x2a),
        ("", 0b101, 0b00, E2H, El1, 0x2a),
        ("", 0b101, 0b10, Cr2::ZERO, El2, 0),
        ("", 0b101, 0b10, E2H, El2E2h, 0),
        ("", 0b111, 0b10, E2H, El1, 0x2a),
        ("", 0b110, 0b10, E2H, El1, 0x2a),
        ("", 0b100, 0b10, E2H, El1, 0),
        ("hyp=off", 0b101, 0b10, E2H, El1, 0x2a),
        ("stage=1", 0b101, 0b10, E2H, El1, 0),
    ] {
        let words = changed(NESTED, &[(3, 1, mode), (95, 94, strw)]);
        let service = service(words, &unit(options), cr2);
        assert_eq!((service.world, service.vmid), (world, vmid), "{options} {mode:#b} {strw:#b}");
    }
}

#[test]
fn substreams_and_their_default() {
    use DefaultSubstream::{Bypass, First, Terminate};
    // (options, S1CDMax, S1DSS, log2 of CDs, default)
    for (options, max, dss, log2_count, default) in [
        ("", 8, 0b00, 8, Terminate),
        ("", 8, 0b01, 8, Bypass),
        ("", 8, 0b10, 8, First),
        ("", 8, 0b11, 8, Terminate),
        ("", 0, 0b00, 0, First),
        ("", 0, 0b01, 0, First),
        ("ssidsize=0", 8, 0b01, 0, First),
    ] {
        let words = changed(NESTED, &[(63, 59, max), (65, 64, dss), (91, 91, 1)]);
        let contexts = service(words, &unit(options), Cr2::ZERO).contexts.unwrap();
        assert_eq!(
            (contexts.log2_count, contexts.default),
            (log2_count, default),
            "{options} {max} {dss:#b}"
        );
        assert!(contexts.no_stall);
    }
}

/// Bits of S1ContextPtr inside the table count as zero [SMMUv3 5.2, S1Fmt].
#[test]
fn cd_tables_are_aligned_to_their_size() {
    use ContextLayout::{Leaves4K, Leaves64K, Linear};
    // (S1Fmt, S1CDMax, layout, low bits that are cleared)
    for (fmt, max, layout, cleared) in [
        (0b00, 0, Linear, 6),
        (0b00, 1, Linear, 7),
        (0b00, 10, Linear, 16),
        (0b11, 20, Linear, 26),
        (0b01, 0, Linear, 6),
        (0b10, 0, Linear, 6),
        (0b01, 1, Leaves4K, 6),
        (0b01, 9, Leaves4K, 6),
        (0b01, 10, Leaves4K, 7),
        (0b01, 20, Leaves4K, 17),
        (0b10, 13, Leaves64K, 6),
        (0b10, 14, Leaves64K, 7),
        (0b10, 20, Leaves64K, 13),
    ] {
        let words = changed(NESTED, &[(5, 4, fmt), (63, 59, max), (47, 6, 0x3ff_ffff_ffff)]);
        let contexts = service(words, &unit("ssidsize=20"), Cr2::ZERO).contexts.unwrap();
        let expected = 0xffff_ffff_ffff >> cleared << cleared;
        assert_eq!((contexts.layout, contexts.base), (layout, expected), "{fmt:#b} {max}");
    }
}

#[test]
fn stage_2_tables_are_aligned_to_their_size() {
    // S2T0SZ, S2SL0, S2PS and low bits that are cleared: 16 bytes is the least, 64 with 52 bits.
    for (size, sl0, ps, cleared) in [
        (24, 1, 5, 13),
        (33, 1, 5, 4),
        (33, 1, 6, 6),
        (31, 1, 6, 6),
        (30, 1, 6, 7),
        (21, 1, 5, 16),
        (16, 2, 6, 12),
        (24, 2, 5, 4),
        (48, 3, 5, 7),
        (39, 3, 5, 16),
    ] {
        let words = changed(
            NESTED,
            &[(165, 160, size), (167, 166, sl0), (178, 176, ps), (239, 196, 0xfff_ffff_ffff)],
        );
        let stage2 = service(words, &with("smmuv3.3-full", ""), Cr2::ZERO).stage2.unwrap();
        assert_eq!(stage2.table.0, 0xffff_ffff_ffff >> cleared << cleared, "{size} {sl0} {ps}");
        assert_eq!(stage2.output_bits, 48, "S2DS = 0");
    }
}

#[test]
fn output_sizes_of_stage_2() {
    // (preset, options, S2TG, S2DS, S2PS, output bits, DS)
    for (name, options, tg, ds, ps, bits, effective) in [
        ("smmuv3.2-nested", "", 0, 0, 0, 32, false),
        ("smmuv3.2-nested", "", 0, 0, 4, 44, false),
        ("smmuv3.2-nested", "", 0, 0, 7, 48, false),
        ("smmuv3.2-nested", "", 0, 1, 7, 48, false),
        ("smmuv3.2-nested", "oas=44", 0, 0, 5, 44, false),
        ("smmuv3.3-full", "", 0, 0, 6, 48, false),
        ("smmuv3.3-full", "", 0, 1, 6, 52, true),
        ("smmuv3.3-full", "", 0, 1, 7, 52, true),
        ("smmuv3.3-full", "", 0, 1, 5, 48, true),
        ("smmuv3.3-full", "", 2, 1, 6, 52, true),
        ("smmuv3.3-full", "", 1, 0, 6, 52, false),
        ("smmuv3.3-full", "", 1, 1, 6, 52, false),
    ] {
        let words =
            changed(NESTED, &[(175, 174, tg), (195, 195, ds), (178, 176, ps), (165, 160, 25), (239, 224, 0)]);
        // 4K: level 1; 16K and 64K: level 2.
        let words = changed(words, &[(243, 196, 0)]);
        let stage2 = service(words, &with(name, options), Cr2::ZERO).stage2.unwrap();
        assert_eq!((stage2.output_bits, stage2.ds), (bits, effective), "{name},{options} {tg} {ds} {ps}");
    }
}

#[test]
fn table_bases_have_the_bits_of_the_version() {
    // Bits 51:48 are RES0 in SMMUv3.0, 55:52 in all others.
    let words = changed(NESTED, &[(3, 1, 0b110), (247, 240, 0xff)]);
    let mut config = with("smmuv3.0-s1", "stage=2,oas=48");
    assert_eq!(service(words, &config, Cr2::ZERO).stage2.unwrap().table, Pa(0x9000_0000));
    config.minor = 1;
    assert!(super::super::ste::decode(Ste::from_raw(words), &config, Cr2::ZERO).is_err());
    let words = changed(words, &[(243, 240, 0)]);
    assert_eq!(service(words, &config, Cr2::ZERO).stage2.unwrap().table, Pa(0x9000_0000));
}

#[test]
fn hardware_update_and_flags_of_stage_2() {
    // (S2HA, S2HD, S2AFFD) to (access, dirty, no access fault)
    for (ha, hd, affd, expected) in [
        (0, 0, 0, (false, false, false)),
        (0, 0, 1, (false, false, true)),
        (1, 0, 1, (true, false, false)),
        (0, 1, 1, (false, false, true)),
        (1, 1, 0, (true, true, false)),
    ] {
        let words = changed(NESTED, &[(184, 184, ha), (183, 183, hd), (181, 181, affd)]);
        let update = service(words, &with("smmuv3.3-full", ""), Cr2::ZERO).stage2.unwrap().update;
        assert_eq!((update.access, update.dirty, update.no_access_fault), expected, "{ha} {hd} {affd}");
    }
    let words = changed(NESTED, &[(182, 182, 1), (180, 180, 1), (89, 89, 1), (173, 172, 1), (185, 185, 1)]);
    let all = service(words, &unit(""), Cr2::ZERO);
    let stage2 = all.stage2.unwrap();
    assert!(all.stage2_stalls && stage2.protected_walk && stage2.big_endian && stage2.forced_write_back);
    assert_eq!(stage2.shareability, 0, "01 is reserved");
    // S2PTW is ignored without stage 1, S2FWB without IDR3.FWB; XNX is IDR3's.
    let alone =
        service(changed(words, &[(3, 1, 0b110)]), &unit("fwb=off,xnx=off"), Cr2::ZERO).stage2.unwrap();
    assert!(!alone.protected_walk && !alone.forced_write_back && !alone.xnx);
}

#[test]
fn overrides_follow_idr1() {
    let none = Overrides::default();
    // (INSTCFG, PRIVCFG) in 115:112; ALLOCCFG is not modelled.
    for (instcfg, instruction) in [(0, None), (1, None), (2, Some(false)), (3, Some(true))] {
        let words = changed(NESTED, &[(115, 114, instcfg)]);
        let expected = Overrides { instruction, ..none };
        assert_eq!(service(words, &unit(""), Cr2::ZERO).overrides, expected);
        assert_eq!(Overrides::of_gbpa(Gbpa::from_raw(0x1000 | (instcfg as u32) << 18), &unit("")), expected);
        let words = changed(NESTED, &[(113, 112, instcfg)]);
        let expected = Overrides { privileged: instruction, ..none };
        assert_eq!(service(words, &unit(""), Cr2::ZERO).overrides, expected);
        assert_eq!(Overrides::of_gbpa(Gbpa::from_raw(0x1000 | (instcfg as u32) << 16), &unit("")), expected);
    }
    for memattr in 0..16u8 {
        let words = changed(NESTED, &[(100, 100, 1), (99, 96, memattr.into()), (104, 101, 15)]);
        // Reserved encodings are Device-nGnRnE.
        let effective = if [4, 8, 12].contains(&memattr) { 0 } else { memattr };
        let expected = Overrides { memory: Some(effective), ..none };
        assert_eq!(service(words, &unit(""), Cr2::ZERO).overrides, expected);
        assert_eq!(Overrides::of_gbpa(Gbpa::from_raw(0x1010 | u32::from(memattr)), &unit("")), expected);
        assert_eq!(service(words, &unit("attr-types-ovr=off"), Cr2::ZERO).overrides, none);
        assert_eq!(service(changed(words, &[(100, 100, 0)]), &unit(""), Cr2::ZERO).overrides, none);
    }
    for (shcfg, shareability) in [(0, Some(0)), (1, None), (2, Some(2)), (3, Some(3))] {
        let words = changed(NESTED, &[(109, 108, shcfg)]);
        let expected = Overrides { shareability, ..none };
        assert_eq!(service(words, &unit(""), Cr2::ZERO).overrides, expected);
        assert_eq!(Overrides::of_gbpa(Gbpa::from_raw((shcfg as u32) << 12), &unit("")), expected);
        assert_eq!(service(words, &unit("attr-types-ovr=off"), Cr2::ZERO).overrides, none);
    }
    let words = changed(NESTED, &[(115, 112, 0xf)]);
    assert_eq!(service(words, &unit("attr-perms-ovr=off"), Cr2::ZERO).overrides, none);
}
