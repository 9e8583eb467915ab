//! What is unallocated, table by table, and what only looks as if it were.

use proptest::prelude::*;

use super::*;

fn check(words: &[u32]) {
    for word in words {
        assert_eq!(decode(*word, &Features::MAX).kind, Kind::Undefined, "{word:#010x}");
    }
}

#[test]
#[rustfmt::skip]
fn unallocated_in_data_processing_immediate() {
    check(&[
        0x12400000, // and w0 with N set
        0x9200fc00, // bitmask of all ones: imms 63, N clear
        0x9240fc00, // imms 63, N 1
        0x12007c00, // imms 31 of 32
        0x1200f800, // 2-bit elements, all ones
        0x52c00000, // movz w0 shifted by 32
        0x32800000, // move wide, opc 1
        0x53008000, // ubfm w0 with imms 32
        0x53200000, // ubfm w0 with immr 32
        0xd3000000, // ubfm x0 with N clear
        0x53400000, // ubfm w0 with N set
        0xf3400000, // bitfield, opc 3
        0x13808000, // extr w0 by 32
        0x93800000, // extr x0 with N clear
        0x13a00000, // extract, o0 set
        0x91800000, // addg: MTE
    ]);
}

#[test]
#[rustfmt::skip]
fn unallocated_in_data_processing_register() {
    check(&[
        0x0a008000, // and w0 shifted by 32
        0x0b008000, // add w0 shifted by 32
        0x0bc00000, // add w0 with ROR
        0x0b201400, // add extended, shift 5
        0x0b600000, // add extended, opt 1
        0x1a000400, // adc with bits 15:10 set
        0x1a400000, // ccmp with S clear
        0x7a400400, // ccmp with o2 set
        0x7a400010, // ccmp with o3 set
        0x3a800000, // csel with S set
        0x1a800800, // csel with op2 2
        0x5ac00c00, // rev of 64 bits of a W register
        0x5ac10000, // pacia w0
        0x5ac01800, // ctz: CSSC
        0x1ac00000, // two sources, opcode 0
        0x9ac04000, // crc32b with sf set
        0x1ac04c00, // crc32x with sf clear
        0x1b200000, // smaddl with sf clear
        0x9b408000, // smulh with o0 set
        0x3b000000, // three sources, op54 1
        0x7ac00800, // one source, S set
    ]);
}

#[test]
#[rustfmt::skip]
fn unallocated_in_branches_exceptions_system() {
    check(&[
        0x54000010, // bc.eq: HBC
        0x55000000, // conditional branch, o1 set
        0xd4000000, // exception generation, LL 0
        0xd4400000, // hlt: no halting debug
        0xd4a00001, // dcps1: no debug state
        0xd61f0001, // br with op4
        0xd61f0800, // braaz: PAuth
        0xd69f03c0, // eret with a register
        0xd6bf03e0, // drps
        0xd5033fff, // sb with CRm 15
        0xd503309e, // dsb with Rt 30
        0xd503201e, // hint with Rt 30
        0xd5034f9f, // msr tco: MTE
        0xd5200000, // mrs, op0 0
    ]);
}

#[test]
#[rustfmt::skip]
fn unallocated_in_loads_and_stores() {
    check(&[
        0xb9c00000, // ldr, size 2 opc 3
        0xf9c00000, // size 3, opc 3
        0x38200c00, // register offset, bits 11:10 = 3: PAuth space
        0xb8200800, // register offset, option 0
        0xf8c00400, // prfm post-indexed
        0x08207c01, // casp with an odd Rt
        0x08217c00, // casp with an odd Rs
        0x08200000, // casp with Rt2 not 31
        0x08a00000, // cas with Rt2 not 31
        0x68400000, // ldpsw no-allocate
        0x68000000, // stgp: MTE
        0xe8400000, // pair, opc 3
        0xb8209000, // atomic, o3 with opc 1
        0xb8a0c000, // ldapr with Rs not 31
        0xd9200000, // stg: MTE
        0xd9800000, // ldapur, size 3 opc 2
    ]);
}

#[test]
#[rustfmt::skip]
fn unallocated_in_reserved() {
    check(&[
        0x00000000, // udf
        0x04000000, // SVE
        0x80000000, // SME
        0x02000000, // unallocated
    ]);
}

#[test]
fn bitmask_immediates_repeat_a_rotated_run_of_ones() {
    for (wide, n, immr, imms, value) in [
        (true, 1, 0, 0, Some(1)),
        (true, 1, 0, 62, Some(!0 >> 1)),
        (true, 1, 1, 0, Some(1 << 63)),
        (true, 0, 0, 0b111100, Some(0x5555_5555_5555_5555)),
        (true, 0, 1, 0b111100, Some(0xaaaa_aaaa_aaaa_aaaa)),
        (true, 0, 4, 0b110111 & 0b110011, Some(0xf0f0_f0f0_f0f0_f0f0)),
        (false, 0, 0, 0b011110, Some(0x7fff_ffff)),
        (false, 1, 0, 0, None),
        (true, 1, 0, 63, None),
        (true, 0, 0, 0b111101, None),
        (true, 0, 0, 0b111111, None),
    ] {
        assert_eq!(dp_imm::bitmask(wide, n, immr, imms), value, "{wide} {n} {immr} {imms:#b}");
    }
}

proptest! {
    /// Every word decodes, to the same operation each time, and features only ever add.
    #[test]
    fn decoding_is_total_and_features_only_add(word: u32) {
        let (least, most) = (decode(word, &Features::V8_0), decode(word, &Features::MAX));
        prop_assert_eq!(most, decode(word, &Features::MAX));
        // A hint of an absent feature is a NOP, so only what is undefined may change.
        if least.kind != Kind::Undefined {
            prop_assert_eq!(least, most);
        }
    }
}
