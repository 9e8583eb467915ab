//! Raw words as the specification prints them.

use crate::gic::its::Config;
use crate::gic::its::command::{Command, UnknownOpcode, decode, name};
use crate::gic::its::regs::{Baser, Cbaser, Creadr, Ctlr, Cwriter};
use crate::gic::its::tables::{Cte, Dte, Ite, Level1};

#[test]
fn registers_have_the_printed_bits() {
    assert_eq!(Ctlr::ZERO.with_quiescent(true).with_enabled(true).raw(), 0x8000_0001);
    assert_eq!(Ctlr::RW, 1);
    assert_eq!(Cbaser::RW, 0xb8ef_ffff_ffff_fcff);
    assert_eq!(Cwriter::RW, 0x000f_ffe0);
    let creadr = Creadr::ZERO.with_offset(0x7fff).with_stalled(true);
    assert_eq!((creadr.raw(), Creadr::RW), (0x000f_ffe1, 0));
    assert_eq!(Baser::RW, 0xf8e0_ffff_ffff_ffff);
    let baser = Baser::ZERO.with_table_type(7).with_entry_size(31);
    assert_eq!(baser.raw(), 0x071f_0000_0000_0000);
}

#[test]
fn the_type_says_what_there_is() {
    let typer = |device_bits| Config { device_bits, redistributors: 1 }.typer().raw();
    // Physical, entries of 8 bytes, 16 EventID bits, 16 or 20 DeviceID bits; no collections inside.
    assert_eq!(typer(16), 0x0001_ef71);
    assert_eq!(typer(20) >> 13 & 0x1f, 19);
    assert_eq!(typer(0) >> 13 & 0x1f, 0);
}

#[test]
fn table_entries_have_the_documented_bits() {
    assert_eq!(Dte::ZERO.with_valid(true).with_size(31).with_itt(1).raw(), 0x81f0_0000_0000_0100);
    assert_eq!(Ite::ZERO.with_valid(true).with_icid(0xffff).with_intid(8192).raw(), 0x8000_ffff_0000_2000);
    assert_eq!(Cte::ZERO.with_valid(true).with_processor(0xffff).raw(), 0x8000_0000_0000_ffff);
    assert_eq!(Level1::ZERO.with_valid(true).with_page(1).raw(), 0x8000_0000_0000_1000);
}

#[test]
fn commands_decode_as_printed() {
    let (device, event, icid) = (0xdddd_dddd, 0xeeee_eeee, 0xcccc);
    // Every bit that a command does not use is set.
    let w0 = |opcode: u64| 0xdddd_dddd_ffff_ff00 | opcode;
    let w1 = 0x0000_2001_eeee_eeee;
    let w2 = 0x7ff0_0000_0003_cccc;
    let w3 = 0xfff0_0000_0004_ffff;
    for (opcode, mnemonic, command) in [
        (0x01, "MOVI", Command::Movi { device, event, icid }),
        (0x03, "INT", Command::Int { device, event }),
        (0x04, "CLEAR", Command::Clear { device, event }),
        (0x05, "SYNC", Command::Sync { rdbase: 3 }),
        (0x09, "MAPC", Command::Mapc { icid, rdbase: 3, valid: false }),
        (0x0a, "MAPTI", Command::Mapti { device, event, pintid: 0x2001, icid }),
        (0x0b, "MAPI", Command::Mapti { device, event, pintid: 0xeeee_eeee, icid }),
        (0x0c, "INV", Command::Inv { device, event }),
        (0x0d, "INVALL", Command::Invall { icid }),
        (0x0e, "MOVALL", Command::Movall { from: 3, to: 4 }),
        (0x0f, "DISCARD", Command::Discard { device, event }),
    ] {
        assert_eq!(decode([w0(opcode), w1, w2, w3]), Ok(command), "{mnemonic}");
        assert_eq!(name(opcode as u8), mnemonic);
    }
    let mapd = Command::Mapd { device, size: 0x12, itt: 0x000f_edcb_a987_6500, valid: true };
    assert_eq!(decode([w0(0x08), 0xffff_ffff_ffff_fff2, 0xffff_edcb_a987_65ff, w3]), Ok(mapd));
    assert_eq!(name(8), "MAPD");
    // The last are VMOVI, VMAPP and INVDB of GICv4.
    for opcode in [0x00, 0x02, 0x06, 0x07, 0x10, 0x21, 0x29, 0x2e, 0xff] {
        assert_eq!(decode([w0(opcode), w1, w2, w3]), Err(UnknownOpcode(opcode as u8)));
    }
}
