//! Layouts as raw words: each field set alone must be the bit that the specification prints.

use crate::register::{Access, Field, Register};
use crate::vtd::interrupt_remapping::Irte;
use crate::vtd::invalidation_queue::{ContextInvalidate, InterruptInvalidate, IotlbInvalidate, Wait};
use crate::vtd::regs::*;
use crate::vtd::tables::{ContextEntry, RootEntry};
use crate::vtd::{Config, Reason};

#[test]
fn the_preset_reports_these_capabilities() {
    let config = Config::preset("vtd-legacy").unwrap();
    // DRD, DWD, MAMV 18, NFR 7, PSI, SSLPS 2M+1G, FRO 22h, ZLR, MGAW 47, SAGAW 39+48, ND 16 bits.
    let cap = 1 << 55
        | 1 << 54
        | 18 << 48
        | 7 << 40
        | 1 << 39
        | 3 << 34
        | 0x22 << 24
        | 1 << 22
        | 47 << 16
        | 6 << 8
        | 6;
    assert_eq!(config.cap().raw(), cap);
    assert_eq!(config.cap().raw(), 0x00d2_078c_226f_0606);
    // MHMV 15, IRO 0fh, PT, EIM, IR, QI, C.
    assert_eq!(config.ecap().raw(), 0xf0_0f5b);
    assert_eq!(config.ver().raw(), 0x10);
    assert_eq!(Config::preset("vtd-imaginary"), None);
}

/// (name, highest bit, lowest bit), as printed in VT-d Rev 5.10.
fn check<R: Register>(rows: &[(&str, u32, u32)]) {
    let named: Vec<_> = R::FIELDS
        .iter()
        .filter(|Field { name, .. }| !name.starts_with('_'))
        .map(|Field { name, hi, lo, .. }| (*name, *hi, *lo))
        .collect();
    assert_eq!(named, rows);
}

#[test]
fn capability_layouts() {
    check::<Cap>(&[
        ("esrtps", 63, 63),
        ("esirtps", 62, 62),
        ("ecmds", 61, 61),
        ("fs5lp", 60, 60),
        ("pi", 59, 59),
        ("fs1gp", 56, 56),
        ("drd", 55, 55),
        ("dwd", 54, 54),
        ("mamv", 53, 48),
        ("nfr", 47, 40),
        ("psi", 39, 39),
        ("sslps", 37, 34),
        ("fro", 33, 24),
        ("zlr", 22, 22),
        ("mgaw", 21, 16),
        ("sagaw", 12, 8),
        ("cm", 7, 7),
        ("phmr", 6, 6),
        ("plmr", 5, 5),
        ("rwbf", 4, 4),
        ("nd", 2, 0),
    ]);
    check::<Ecap>(&[
        ("irreq", 62, 62),
        ("eimer", 61, 61),
        ("rdts", 60, 60),
        ("hpt1gps", 59, 59),
        ("sms", 58, 58),
        ("ssirws", 57, 57),
        ("ptrs", 56, 56),
        ("hpts", 55, 55),
        ("rprivs", 53, 53),
        ("adms", 52, 52),
        ("pms", 51, 51),
        ("tdxcs", 50, 50),
        ("rps", 49, 49),
        ("smpwcs", 48, 48),
        ("fsts", 47, 47),
        ("ssts", 46, 46),
        ("ssads", 45, 45),
        ("vcs", 44, 44),
        ("smts", 43, 43),
        ("pds", 42, 42),
        ("dit", 41, 41),
        ("pasid", 40, 40),
        ("pss", 39, 35),
        ("eafs", 34, 34),
        ("nwfs", 33, 33),
        ("srs", 31, 31),
        ("ers", 30, 30),
        ("prs", 29, 29),
        ("nest", 26, 26),
        ("mts", 25, 25),
        ("mhmv", 23, 20),
        ("iro", 17, 8),
        ("sc", 7, 7),
        ("pt", 6, 6),
        ("eim", 4, 4),
        ("ir", 3, 3),
        ("dt", 2, 2),
        ("qi", 1, 1),
        ("c", 0, 0),
    ]);
}

#[test]
fn software_write_masks_and_reserved_bits() {
    // Values that Linux and QEMU use as masks, or the specification's columns.
    assert_eq!(Rtaddr::RW, 0xffff_ffff_ffff_fc00);
    assert_eq!(Iqt::RW, 0x7_fff0);
    assert_eq!(Iqa::RW, 0xffff_ffff_ffff_f807);
    assert_eq!(Fsts::RW1C, 0x71);
    assert_eq!(Ics::RW1C, 0x1);
    assert_eq!(EventControl::RW, 0x8000_0000);
    assert_eq!(EventData::RW, 0xffff);
    assert_eq!(EventAddress::RW, 0xffff_fffc);
    assert_eq!(Frcd::RW1C, [0, 1 << 63]);
    assert_eq!((Frcd::RW, Iqh::RW, Fsts::RW), ([0, 0], 0, 0));
    assert_eq!(RootEntry::RESERVED, [0xffe, !0]);
    assert_eq!(ContextEntry::RESERVED, [0xff0, 0xffff_ffff_ff00_0080]);
    assert_eq!(ContextInvalidate::RESERVED, [0xfffc_0000_0000_f1c0, !0]);
    assert_eq!(IotlbInvalidate::RESERVED, [0xffff_ffff_0000_f100, 0xf80]);
    assert_eq!(Wait::RESERVED, [0xffff_f180, 0x3]);
    assert_eq!(InterruptInvalidate::RESERVED, [0xffff_0000_07ff_f1e0, !0]);
    assert_eq!(Irte::RESERVED, [0xff00_f000, 0xffff_ffff_fff0_0000]);
    assert_eq!(Irta::RW, 0xffff_ffff_ffff_f80f);
}

#[test]
fn entry_and_record_fields_lie_where_printed() {
    let root = RootEntry::from_raw([0x1234_5678_9001, 0]);
    assert_eq!((root.p(), root.ctp()), (true, 0x1_2345_6789));
    let context = ContextEntry::from_raw([0xabcd_e00b, 0x00be_ef02]);
    assert_eq!((context.p(), context.fpd(), context.tt(), context.ssptptr()), (true, true, 2, 0xabcde));
    assert_eq!((context.aw(), context.did()), (2, 0xbeef));
    let record = Frcd::from_raw([0x1234_5000, 0xc000_0006_1000_0018]);
    assert_eq!((record.f(), record.t1(), record.t2(), record.at()), (true, true, true, 0));
    assert_eq!((record.fr(), record.sid(), record.fi()), (6, 0x18, 0x12345));
    let record = Frcd::from_raw([0, 0x3abc_de00_e000_0000]);
    assert_eq!((record.at(), record.pv()), (3, 0xabcde));
    assert_eq!((record.pp(), record.exe(), record.privileged()), (true, true, true));
    let fsts = Fsts::from_raw(0x0572);
    assert_eq!(
        (fsts.fri(), fsts.ite(), fsts.ice(), fsts.iqe(), fsts.ppf(), fsts.pfo()),
        (5, true, true, true, true, false)
    );
    let iqercd = Iqercd::from_raw(0x1111_2222_0000_0004);
    assert_eq!((iqercd.icesid(), iqercd.itesid(), iqercd.iqei()), (0x1111, 0x2222, 4));
    let ccmd = Ccmd::from_raw(0xf800_0002_1234_5678);
    assert_eq!((ccmd.icc(), ccmd.cirg(), ccmd.caig(), ccmd.fm()), (true, 3, 3, 2));
    assert_eq!((ccmd.sid(), ccmd.did()), (0x1234, 0x5678));
    let iotlb = Iotlb::from_raw(0xb603_9999_0000_0000);
    assert_eq!((iotlb.ivt(), iotlb.iirg(), iotlb.iaig(), iotlb.did()), (true, 3, 3, 0x9999));
    assert_eq!((iotlb.dr(), iotlb.dw()), (true, true));
    let iva = Iva::from_raw(0x1234_5052);
    assert_eq!((iva.addr(), iva.ih(), iva.am()), (0x12345, true, 0x12));
}

#[test]
fn every_row_of_an_entry_has_an_entry_access() {
    for fields in [RootEntry::FIELDS, ContextEntry::FIELDS, Wait::FIELDS, IotlbInvalidate::FIELDS] {
        for field in fields {
            assert!(
                matches!(field.access, Access::Field | Access::Ignored | Access::Reserved),
                "{field:?} of an entry has a register's access"
            );
        }
    }
}

#[test]
fn reason_codes_are_the_published_ones() {
    let codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes, (1..=0xe).chain(0x20..=0x26).chain([0x29, 0x30, 0x31, 0x33]).collect::<Vec<_>>());
    let unqualified: Vec<_> =
        Reason::ALL.iter().filter(|reason| !reason.qualified()).map(|reason| reason.code()).collect();
    assert_eq!(unqualified, [1, 8, 9, 0xa, 0x20, 0x21, 0x23, 0x25, 0x29, 0x30, 0x31, 0x33]);
}
