//! Integer instructions, group by group. The words are an assembler's, the results QEMU's.

use super::rig::Rig;
use crate::a64::Nzcv;

/// X0 to X3 and NZCV before an instruction.
type Inputs = (u64, u64, u64, u64, u8);

const MIXED: Inputs = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x1111_1111_2222_2222, 0x3333, 0b0110);
const EXTREME: Inputs = (0x8000_0000_0000_0000, 0xffff_ffff_ffff_ffff, 0x7fff_ffff_ffff_ffff, 0, 0b1001);
const NARROW: Inputs = (0xffff_ffff_8000_0000, 0x0000_0000_7fff_ffff, 0x21, 5, 0b0000);

/// Runs each instruction alone and compares X0 and NZCV.
fn check(rows: &[(u32, Inputs, u64, u8)]) {
    for &(word, (x0, x1, x2, x3, nzcv), result, flags) in rows {
        let mut rig = Rig::new(&[word, 0x14000000]);
        let core = rig.core();
        [core.x[0], core.x[1], core.x[2], core.x[3]] = [x0, x1, x2, x3];
        core.nzcv = Nzcv(nzcv);
        let core = rig.run(2).core();
        assert_eq!((core.x[0], core.nzcv.0), (result, flags), "{word:#x}: {:#x}", core.x[0]);
        assert_eq!(core.x[crate::a64::regs::ZR], 0, "{word:#x}");
    }
}

#[test]
#[rustfmt::skip]
fn data_processing_immediate() {
    check(&[
        (0x913ffc20, MIXED, 0xfedcba987654420f, 0x6), // add x0,x1,#0xfff
        (0x913ffc20, EXTREME, 0xffe, 0x9), // add x0,x1,#0xfff
        (0x11400420, EXTREME, 0xfff, 0x9), // add w0,w1,#1,lsl #12
        (0x11400420, NARROW, 0x80000fff, 0x0), // add w0,w1,#1,lsl #12
        (0xb1000420, NARROW, 0x80000000, 0x0), // adds x0,x1,#1
        (0xb1000420, MIXED, 0xfedcba9876543211, 0x8), // adds x0,x1,#1
        (0x31000420, MIXED, 0x76543211, 0x0), // adds w0,w1,#1
        (0x31000420, EXTREME, 0x0, 0x6), // adds w0,w1,#1
        (0xd1000420, EXTREME, 0xfffffffffffffffe, 0x9), // sub x0,x1,#1
        (0xd1000420, NARROW, 0x7ffffffe, 0x0), // sub x0,x1,#1
        (0x513ffc20, NARROW, 0x7ffff000, 0x0), // sub w0,w1,#0xfff
        (0x513ffc20, MIXED, 0x76542211, 0x6), // sub w0,w1,#0xfff
        (0xf1000420, MIXED, 0xfedcba987654320f, 0xa), // subs x0,x1,#1
        (0xf1000420, EXTREME, 0xfffffffffffffffe, 0xa), // subs x0,x1,#1
        (0x71001420, EXTREME, 0xfffffffa, 0xa), // subs w0,w1,#5
        (0x71001420, NARROW, 0x7ffffffa, 0x2), // subs w0,w1,#5
        (0xf1001c3f, NARROW, 0xffffffff80000000, 0x2), // cmp x1,#7
        (0xf1001c3f, MIXED, 0x123456789abcdef, 0xa), // cmp x1,#7
        (0x3100043f, MIXED, 0x123456789abcdef, 0x0), // cmn w1,#1
        (0x3100043f, EXTREME, 0x8000000000000000, 0x6), // cmn w1,#1
        (0x92089c20, EXTREME, 0xff00ff00ff00ff00, 0x9), // and x0,x1,#0xff00ff00ff00ff00
        (0x92089c20, NARROW, 0x7f00ff00, 0x0), // and x0,x1,#0xff00ff00ff00ff00
        (0x121f7420, NARROW, 0x7ffffffe, 0x0), // and w0,w1,#0x7ffffffe
        (0x121f7420, MIXED, 0x76543210, 0x6), // and w0,w1,#0x7ffffffe
        (0xb200f020, MIXED, 0xffddffdd77557755, 0x6), // orr x0,x1,#0x5555555555555555
        (0xb200f020, EXTREME, 0xffffffffffffffff, 0x9), // orr x0,x1,#0x5555555555555555
        (0x32010420, EXTREME, 0xffffffff, 0x9), // orr w0,w1,#0x80000001
        (0x32010420, NARROW, 0xffffffff, 0x0), // orr w0,w1,#0x80000001
        (0xd27cec20, NARROW, 0xffffffff8000000f, 0x0), // eor x0,x1,#0xfffffffffffffff0
        (0xd27cec20, MIXED, 0x123456789abcde0, 0x6), // eor x0,x1,#0xfffffffffffffff0
        (0x5204cc20, MIXED, 0x86a4c2e0, 0x6), // eor w0,w1,#0xf0f0f0f0
        (0x5204cc20, EXTREME, 0xf0f0f0f, 0x9), // eor w0,w1,#0xf0f0f0f0
        (0xf2410020, EXTREME, 0x8000000000000000, 0x8), // ands x0,x1,#0x8000000000000000
        (0xf2410020, NARROW, 0x0, 0x4), // ands x0,x1,#0x8000000000000000
        (0x72010020, NARROW, 0x0, 0x4), // ands w0,w1,#0x80000000
        (0x72010020, MIXED, 0x0, 0x4), // ands w0,w1,#0x80000000
        (0xf2401c3f, MIXED, 0x123456789abcdef, 0x0), // tst x1,#0xff
        (0xf2401c3f, EXTREME, 0x8000000000000000, 0x0), // tst x1,#0xff
        (0xd2e24680, EXTREME, 0x1234000000000000, 0x9), // mov x0,#0x1234000000000000
        (0xd2e24680, NARROW, 0x1234000000000000, 0x0), // mov x0,#0x1234000000000000
        (0x129db960, NARROW, 0xffff1234, 0x0), // mov w0,#0xffff1234
        (0x129db960, MIXED, 0xffff1234, 0x6), // mov w0,#0xffff1234
        (0x92c00aa0, MIXED, 0xffffffaaffffffff, 0x6), // movn x0,#0x55,lsl #32
        (0x92c00aa0, EXTREME, 0xffffffaaffffffff, 0x9), // movn x0,#0x55,lsl #32
        (0xf2b579a0, EXTREME, 0x80000000abcd0000, 0x9), // movk x0,#0xabcd,lsl #16
        (0xf2b579a0, NARROW, 0xffffffffabcd0000, 0x0), // movk x0,#0xabcd,lsl #16
        (0x72b579a0, NARROW, 0xabcd0000, 0x0), // movk w0,#0xabcd,lsl #16
        (0x72b579a0, MIXED, 0xabcdcdef, 0x6), // movk w0,#0xabcd,lsl #16
        (0xf2f579a0, MIXED, 0xabcd456789abcdef, 0x6), // movk x0,#0xabcd,lsl #48
        (0xf2f579a0, EXTREME, 0xabcd000000000000, 0x9), // movk x0,#0xabcd,lsl #48
        (0xd373c820, EXTREME, 0xffffffffffffe000, 0x9), // lsl x0,x1,#13
        (0xd373c820, NARROW, 0xfffffffe000, 0x0), // lsl x0,x1,#13
        (0x53010020, NARROW, 0x80000000, 0x0), // lsl w0,w1,#31
        (0x53010020, MIXED, 0x0, 0x6), // lsl w0,w1,#31
        (0xd37ffc20, MIXED, 0x1, 0x6), // lsr x0,x1,#63
        (0xd37ffc20, EXTREME, 0x1, 0x9), // lsr x0,x1,#63
        (0x53047c20, EXTREME, 0xfffffff, 0x9), // lsr w0,w1,#4
        (0x53047c20, NARROW, 0x7ffffff, 0x0), // lsr w0,w1,#4
        (0x9348fc20, NARROW, 0x7fffff, 0x0), // asr x0,x1,#8
        (0x9348fc20, MIXED, 0xfffedcba98765432, 0x6), // asr x0,x1,#8
        (0x13087c20, MIXED, 0x765432, 0x6), // asr w0,w1,#8
        (0x13087c20, EXTREME, 0xffffffff, 0x9), // asr w0,w1,#8
        (0xd354fc20, EXTREME, 0xfffffffffff, 0x9), // ubfx x0,x1,#20,#44
        (0xd354fc20, NARROW, 0x7ff, 0x0), // ubfx x0,x1,#20,#44
        (0x53073c20, NARROW, 0x1ff, 0x0), // ubfx w0,w1,#7,#9
        (0x53073c20, MIXED, 0x64, 0x6), // ubfx w0,w1,#7,#9
        (0xd3440c20, MIXED, 0x0, 0x6), // ubfiz x0,x1,#60,#4
        (0xd3440c20, EXTREME, 0xf000000000000000, 0x9), // ubfiz x0,x1,#60,#4
        (0x531d4c20, EXTREME, 0x7ffff8, 0x9), // ubfiz w0,w1,#3,#20
        (0x531d4c20, NARROW, 0x7ffff8, 0x0), // ubfiz w0,w1,#3,#20
        (0x93438c20, NARROW, 0xfffffff, 0x0), // sbfx x0,x1,#3,#33
        (0x93438c20, MIXED, 0xffffffff0eca8642, 0x6), // sbfx x0,x1,#3,#33
        (0x131e7c20, MIXED, 0x1, 0x6), // sbfx w0,w1,#30,#2
        (0x131e7c20, EXTREME, 0xffffffff, 0x9), // sbfx w0,w1,#30,#2
        (0x936f1020, EXTREME, 0xfffffffffffe0000, 0x9), // sbfiz x0,x1,#17,#5
        (0x936f1020, NARROW, 0xfffffffffffe0000, 0x0), // sbfiz x0,x1,#17,#5
        (0x130f1020, NARROW, 0xfffe0000, 0x0), // sbfiz w0,w1,#17,#5
        (0x130f1020, MIXED, 0xffe00000, 0x6), // sbfiz w0,w1,#17,#5
        (0x93401c20, MIXED, 0x10, 0x6), // sxtb x0,w1
        (0x93401c20, EXTREME, 0xffffffffffffffff, 0x9), // sxtb x0,w1
        (0x13003c20, EXTREME, 0xffffffff, 0x9), // sxth w0,w1
        (0x13003c20, NARROW, 0xffffffff, 0x0), // sxth w0,w1
        (0x93407c20, NARROW, 0x7fffffff, 0x0), // sxtw x0,w1
        (0x93407c20, MIXED, 0x76543210, 0x6), // sxtw x0,w1
        (0x53001c20, MIXED, 0x10, 0x6), // uxtb w0,w1
        (0x53001c20, EXTREME, 0xff, 0x9), // uxtb w0,w1
        (0xb3747420, EXTREME, 0x800003fffffff000, 0x9), // bfi x0,x1,#12,#30
        (0xb3747420, NARROW, 0xfffffffffffff000, 0x0), // bfi x0,x1,#12,#30
        (0x33040c20, NARROW, 0xf0000000, 0x0), // bfi w0,w1,#28,#4
        (0x33040c20, MIXED, 0x9abcdef, 0x6), // bfi w0,w1,#28,#4
        (0xb372fc20, MIXED, 0x123456789abffb7, 0x6), // bfxil x0,x1,#50,#14
        (0xb372fc20, EXTREME, 0x8000000000003fff, 0x9), // bfxil x0,x1,#50,#14
        (0x33017820, EXTREME, 0x3fffffff, 0x9), // bfxil w0,w1,#1,#30
        (0x33017820, NARROW, 0xbfffffff, 0x0), // bfxil w0,w1,#1,#30
        (0xb3410020, NARROW, 0xffffffff80000000, 0x0), // bfi x0,x1,#63,#1
        (0xb3410020, MIXED, 0x123456789abcdef, 0x6), // bfi x0,x1,#63,#1
        (0x93c20420, MIXED, 0x888888891111111, 0x6), // extr x0,x1,x2,#1
        (0x93c20420, EXTREME, 0xbfffffffffffffff, 0x9), // extr x0,x1,x2,#1
        (0x13827c20, EXTREME, 0xffffffff, 0x9), // extr w0,w1,w2,#31
        (0x13827c20, NARROW, 0xfffffffe, 0x0), // extr w0,w1,w2,#31
        (0x93c18420, NARROW, 0x3fffffff80000000, 0x0), // ror x0,x1,#33
        (0x93c18420, MIXED, 0x3b2a19087f6e5d4c, 0x6), // ror x0,x1,#33
        (0x13810020, MIXED, 0x76543210, 0x6), // ror w0,w1,#0
        (0x13810020, EXTREME, 0xffffffff, 0x9), // ror w0,w1,#0
    ]);
}

#[test]
#[rustfmt::skip]
fn data_processing_register() {
    check(&[
        (0x8b020020, MIXED, 0xfedcba998765432, 0x6), // add x0,x1,x2
        (0x8b020020, EXTREME, 0x7ffffffffffffffe, 0x9), // add x0,x1,x2
        (0x0b020020, EXTREME, 0xfffffffe, 0x9), // add w0,w1,w2
        (0x0b020020, NARROW, 0x80000020, 0x0), // add w0,w1,w2
        (0x8b021420, NARROW, 0x8000041f, 0x0), // add x0,x1,x2,lsl #5
        (0x8b021420, MIXED, 0x20fedcbcba987650, 0x6), // add x0,x1,x2,lsl #5
        (0x0b421420, MIXED, 0x77654321, 0x6), // add w0,w1,w2,lsr #5
        (0x0b421420, EXTREME, 0x7fffffe, 0x9), // add w0,w1,w2,lsr #5
        (0x8b82fc20, EXTREME, 0xffffffffffffffff, 0x9), // add x0,x1,x2,asr #63
        (0x8b82fc20, NARROW, 0x7fffffff, 0x0), // add x0,x1,x2,asr #63
        (0xcb020020, NARROW, 0x7fffffde, 0x0), // sub x0,x1,x2
        (0xcb020020, MIXED, 0xedcba98754320fee, 0x6), // sub x0,x1,x2
        (0x4b820420, MIXED, 0x654320ff, 0x6), // sub w0,w1,w2,asr #1
        (0x4b820420, EXTREME, 0x0, 0x9), // sub w0,w1,w2,asr #1
        (0xcb0103e0, EXTREME, 0x1, 0x9), // neg x0,x1
        (0xcb0103e0, NARROW, 0xffffffff80000001, 0x0), // neg x0,x1
        (0xab020020, NARROW, 0x80000020, 0x0), // adds x0,x1,x2
        (0xab020020, MIXED, 0xfedcba998765432, 0x2), // adds x0,x1,x2
        (0x2b020020, MIXED, 0x98765432, 0x9), // adds w0,w1,w2
        (0x2b020020, EXTREME, 0xfffffffe, 0xa), // adds w0,w1,w2
        (0xab420420, EXTREME, 0x3ffffffffffffffe, 0x2), // adds x0,x1,x2,lsr #1
        (0xab420420, NARROW, 0x8000000f, 0x0), // adds x0,x1,x2,lsr #1
        (0xeb020020, NARROW, 0x7fffffde, 0x2), // subs x0,x1,x2
        (0xeb020020, MIXED, 0xedcba98754320fee, 0xa), // subs x0,x1,x2
        (0x6b020020, MIXED, 0x54320fee, 0x2), // subs w0,w1,w2
        (0x6b020020, EXTREME, 0x0, 0x6), // subs w0,w1,w2
        (0x6b027c20, EXTREME, 0x7fffffff, 0x2), // subs w0,w1,w2,lsl #31
        (0x6b027c20, NARROW, 0xffffffff, 0x9), // subs w0,w1,w2,lsl #31
        (0xeb820420, NARROW, 0x7fffffef, 0x2), // subs x0,x1,x2,asr #1
        (0xeb820420, MIXED, 0xf654320fe54320ff, 0xa), // subs x0,x1,x2,asr #1
        (0x6b02003f, MIXED, 0x123456789abcdef, 0x2), // cmp w1,w2
        (0x6b02003f, EXTREME, 0x8000000000000000, 0x6), // cmp w1,w2
        (0xab02003f, EXTREME, 0x8000000000000000, 0x2), // cmn x1,x2
        (0xab02003f, NARROW, 0xffffffff80000000, 0x0), // cmn x1,x2
        (0x8b220020, NARROW, 0x80000020, 0x0), // add x0,x1,w2,uxtb
        (0x8b220020, MIXED, 0xfedcba9876543232, 0x6), // add x0,x1,w2,uxtb
        (0x8b22b020, MIXED, 0xfedcba9876565430, 0x6), // add x0,x1,w2,sxth #4
        (0x8b22b020, EXTREME, 0xffffffffffffffef, 0x9), // add x0,x1,w2,sxth #4
        (0x0b222420, EXTREME, 0x1fffd, 0x9), // add w0,w1,w2,uxth #1
        (0x0b222420, NARROW, 0x80000041, 0x0), // add w0,w1,w2,uxth #1
        (0xcb22c820, NARROW, 0x7fffff7b, 0x0), // sub x0,x1,w2,sxtw #2
        (0xcb22c820, MIXED, 0xfedcba97edcba988, 0x6), // sub x0,x1,w2,sxtw #2
        (0xab224020, MIXED, 0xfedcba9898765432, 0x8), // adds x0,x1,w2,uxtw
        (0xab224020, EXTREME, 0xfffffffe, 0x2), // adds x0,x1,w2,uxtw
        (0xeb228c20, EXTREME, 0x7, 0x2), // subs x0,x1,w2,sxtb #3
        (0xeb228c20, NARROW, 0x7ffffef7, 0x2), // subs x0,x1,w2,sxtb #3
        (0x6b22a020, NARROW, 0x7fffffde, 0x2), // subs w0,w1,w2,sxth
        (0x6b22a020, MIXED, 0x76540fee, 0x2), // subs w0,w1,w2,sxth
        (0x8a020020, MIXED, 0x1010101022002200, 0x6), // and x0,x1,x2
        (0x8a020020, EXTREME, 0x7fffffffffffffff, 0x9), // and x0,x1,x2
        (0x8a220020, EXTREME, 0x8000000000000000, 0x9), // bic x0,x1,x2
        (0x8a220020, NARROW, 0x7fffffde, 0x0), // bic x0,x1,x2
        (0x0a220020, NARROW, 0x7fffffde, 0x0), // bic w0,w1,w2
        (0x0a220020, MIXED, 0x54541010, 0x6), // bic w0,w1,w2
        (0xaa020020, MIXED, 0xffddbb9976763232, 0x6), // orr x0,x1,x2
        (0xaa020020, EXTREME, 0xffffffffffffffff, 0x9), // orr x0,x1,x2
        (0x2a220020, EXTREME, 0xffffffff, 0x9), // orn w0,w1,w2
        (0x2a220020, NARROW, 0xffffffff, 0x0), // orn w0,w1,w2
        (0xca020020, NARROW, 0x7fffffde, 0x0), // eor x0,x1,x2
        (0xca020020, MIXED, 0xefcdab8954761032, 0x6), // eor x0,x1,x2
        (0x4a220020, MIXED, 0xab89efcd, 0x6), // eon w0,w1,w2
        (0x4a220020, EXTREME, 0xffffffff, 0x9), // eon w0,w1,w2
        (0xcae21c20, EXTREME, 0xfeffffffffffffff, 0x9), // eon x0,x1,x2,ror #7
        (0xcae21c20, NARROW, 0xbdffffff80000000, 0x0), // eon x0,x1,x2,ror #7
        (0xea020020, NARROW, 0x21, 0x0), // ands x0,x1,x2
        (0xea020020, MIXED, 0x1010101022002200, 0x0), // ands x0,x1,x2
        (0x6a220020, MIXED, 0x54541010, 0x0), // bics w0,w1,w2
        (0x6a220020, EXTREME, 0x0, 0x4), // bics w0,w1,w2
        (0x0ac22420, EXTREME, 0xffffffff, 0x9), // and w0,w1,w2,ror #9
        (0x0ac22420, NARROW, 0x10800000, 0x0), // and w0,w1,w2,ror #9
        (0xaa02fc20, NARROW, 0x800000007fffffff, 0x0), // orr x0,x1,x2,lsl #63
        (0xaa02fc20, MIXED, 0xfedcba9876543210, 0x6), // orr x0,x1,x2,lsl #63
        (0x4a820c20, MIXED, 0x72107654, 0x6), // eor w0,w1,w2,asr #3
        (0x4a820c20, EXTREME, 0x0, 0x9), // eor w0,w1,w2,asr #3
        (0x6a420820, EXTREME, 0x3fffffff, 0x0), // ands w0,w1,w2,lsr #2
        (0x6a420820, NARROW, 0x8, 0x0), // ands w0,w1,w2,lsr #2
        (0xeaa2f020, NARROW, 0x7fffffff, 0x0), // bics x0,x1,x2,asr #60
        (0xeaa2f020, MIXED, 0xfedcba9876543210, 0x8), // bics x0,x1,x2,asr #60
        (0xaa0103e0, MIXED, 0xfedcba9876543210, 0x6), // mov x0,x1
        (0xaa0103e0, EXTREME, 0xffffffffffffffff, 0x9), // mov x0,x1
        (0x2a0103e0, EXTREME, 0xffffffff, 0x9), // mov w0,w1
        (0x2a0103e0, NARROW, 0x7fffffff, 0x0), // mov w0,w1
        (0xaa2103e0, NARROW, 0xffffffff80000000, 0x0), // mvn x0,x1
        (0xaa2103e0, MIXED, 0x123456789abcdef, 0x6), // mvn x0,x1
        (0x9a020020, MIXED, 0xfedcba998765433, 0x6), // adc x0,x1,x2
        (0x9a020020, EXTREME, 0x7ffffffffffffffe, 0x9), // adc x0,x1,x2
        (0x1a020020, EXTREME, 0xfffffffe, 0x9), // adc w0,w1,w2
        (0x1a020020, NARROW, 0x80000020, 0x0), // adc w0,w1,w2
        (0xba020020, NARROW, 0x80000020, 0x0), // adcs x0,x1,x2
        (0xba020020, MIXED, 0xfedcba998765433, 0x2), // adcs x0,x1,x2
        (0x3a020020, MIXED, 0x98765433, 0x9), // adcs w0,w1,w2
        (0x3a020020, EXTREME, 0xfffffffe, 0xa), // adcs w0,w1,w2
        (0xda020020, EXTREME, 0x7fffffffffffffff, 0x9), // sbc x0,x1,x2
        (0xda020020, NARROW, 0x7fffffdd, 0x0), // sbc x0,x1,x2
        (0xfa020020, NARROW, 0x7fffffdd, 0x2), // sbcs x0,x1,x2
        (0xfa020020, MIXED, 0xedcba98754320fee, 0xa), // sbcs x0,x1,x2
        (0x7a020020, MIXED, 0x54320fee, 0x2), // sbcs w0,w1,w2
        (0x7a020020, EXTREME, 0xffffffff, 0x8), // sbcs w0,w1,w2
        (0xfa420025, EXTREME, 0x8000000000000000, 0x5), // ccmp x1,x2,#5,eq
        (0xfa420025, NARROW, 0xffffffff80000000, 0x5), // ccmp x1,x2,#5,eq
        (0x7a42102a, NARROW, 0xffffffff80000000, 0x2), // ccmp w1,w2,#10,ne
        (0x7a42102a, MIXED, 0x123456789abcdef, 0xa), // ccmp w1,w2,#10,ne
        (0xba422020, MIXED, 0x123456789abcdef, 0x2), // ccmn x1,x2,#0,hs
        (0xba422020, EXTREME, 0x8000000000000000, 0x0), // ccmn x1,x2,#0,hs
        (0xfa5f482f, EXTREME, 0x8000000000000000, 0xa), // ccmp x1,#31,#15,mi
        (0xfa5f482f, NARROW, 0xffffffff80000000, 0xf), // ccmp x1,#31,#15,mi
        (0x3a416824, NARROW, 0xffffffff80000000, 0x4), // ccmn w1,#1,#4,vs
        (0x3a416824, MIXED, 0x123456789abcdef, 0x4), // ccmn w1,#1,#4,vs
        (0x9a82c020, MIXED, 0x1111111122222222, 0x6), // csel x0,x1,x2,gt
        (0x9a82c020, EXTREME, 0xffffffffffffffff, 0x9), // csel x0,x1,x2,gt
        (0x1a82d020, EXTREME, 0xffffffff, 0x9), // csel w0,w1,w2,le
        (0x1a82d020, NARROW, 0x21, 0x0), // csel w0,w1,w2,le
        (0x9a828420, NARROW, 0x22, 0x0), // csinc x0,x1,x2,hi
        (0x9a828420, MIXED, 0x1111111122222223, 0x6), // csinc x0,x1,x2,hi
        (0x1a829420, MIXED, 0x76543210, 0x6), // csinc w0,w1,w2,ls
        (0x1a829420, EXTREME, 0xffffffff, 0x9), // csinc w0,w1,w2,ls
        (0xda82a020, EXTREME, 0xffffffffffffffff, 0x9), // csinv x0,x1,x2,ge
        (0xda82a020, NARROW, 0x7fffffff, 0x0), // csinv x0,x1,x2,ge
        (0x5a82b020, NARROW, 0xffffffde, 0x0), // csinv w0,w1,w2,lt
        (0x5a82b020, MIXED, 0xdddddddd, 0x6), // csinv w0,w1,w2,lt
        (0xda827420, MIXED, 0xfedcba9876543210, 0x6), // csneg x0,x1,x2,vc
        (0xda827420, EXTREME, 0x8000000000000001, 0x9), // csneg x0,x1,x2,vc
        (0x5a825420, EXTREME, 0x1, 0x9), // csneg w0,w1,w2,pl
        (0x5a825420, NARROW, 0x7fffffff, 0x0), // csneg w0,w1,w2,pl
        (0x9a82e020, NARROW, 0x7fffffff, 0x0), // csel x0,x1,x2,al
        (0x9a82e020, MIXED, 0xfedcba9876543210, 0x6), // csel x0,x1,x2,al
        (0x9a82f020, MIXED, 0xfedcba9876543210, 0x6), // csel x0,x1,x2,nv
        (0x9a82f020, EXTREME, 0xffffffffffffffff, 0x9), // csel x0,x1,x2,nv
        (0x9ac22020, EXTREME, 0x8000000000000000, 0x9), // lsl x0,x1,x2
        (0x9ac22020, NARROW, 0xfffffffe00000000, 0x0), // lsl x0,x1,x2
        (0x1ac22020, NARROW, 0xfffffffe, 0x0), // lsl w0,w1,w2
        (0x1ac22020, MIXED, 0xd950c840, 0x6), // lsl w0,w1,w2
        (0x9ac22420, MIXED, 0x3fb72ea6, 0x6), // lsr x0,x1,x2
        (0x9ac22420, EXTREME, 0x1, 0x9), // lsr x0,x1,x2
        (0x1ac22420, EXTREME, 0x1, 0x9), // lsr w0,w1,w2
        (0x1ac22420, NARROW, 0x3fffffff, 0x0), // lsr w0,w1,w2
        (0x9ac22820, NARROW, 0x0, 0x0), // asr x0,x1,x2
        (0x9ac22820, MIXED, 0xffffffffffb72ea6, 0x6), // asr x0,x1,x2
        (0x1ac22820, MIXED, 0x1d950c84, 0x6), // asr w0,w1,w2
        (0x1ac22820, EXTREME, 0xffffffff, 0x9), // asr w0,w1,w2
        (0x9ac22c20, EXTREME, 0xffffffffffffffff, 0x9), // ror x0,x1,x2
        (0x9ac22c20, NARROW, 0x3fffffff80000000, 0x0), // ror x0,x1,x2
        (0x1ac22c20, NARROW, 0xbfffffff, 0x0), // ror w0,w1,w2
        (0x1ac22c20, MIXED, 0x1d950c84, 0x6), // ror w0,w1,w2
        (0x9ac20820, MIXED, 0xe, 0x6), // udiv x0,x1,x2
        (0x9ac20820, EXTREME, 0x2, 0x9), // udiv x0,x1,x2
        (0x1ac20820, EXTREME, 0x1, 0x9), // udiv w0,w1,w2
        (0x1ac20820, NARROW, 0x3e0f83e, 0x0), // udiv w0,w1,w2
        (0x9ac20c20, NARROW, 0x3e0f83e, 0x0), // sdiv x0,x1,x2
        (0x9ac20c20, MIXED, 0x0, 0x6), // sdiv x0,x1,x2
        (0x1ac20c20, MIXED, 0x3, 0x6), // sdiv w0,w1,w2
        (0x1ac20c20, EXTREME, 0x1, 0x9), // sdiv w0,w1,w2
        (0x9adf0820, EXTREME, 0x0, 0x9), // udiv x0,x1,xzr
        (0x9adf0820, NARROW, 0x0, 0x0), // udiv x0,x1,xzr
        (0x1adf0c20, NARROW, 0x0, 0x0), // sdiv w0,w1,wzr
        (0x1adf0c20, MIXED, 0x0, 0x6), // sdiv w0,w1,wzr
        (0x9b020c20, MIXED, 0x80a50dbabf4f953, 0x6), // madd x0,x1,x2,x3
        (0x9b020c20, EXTREME, 0x8000000000000001, 0x9), // madd x0,x1,x2,x3
        (0x1b020c20, EXTREME, 0x1, 0x9), // madd w0,w1,w2,w3
        (0x1b020c20, NARROW, 0x7fffffe4, 0x0), // madd w0,w1,w2,w3
        (0x9b028c20, NARROW, 0xffffffef80000026, 0x0), // msub x0,x1,x2,x3
        (0x9b028c20, MIXED, 0xf7f5af24540b6d13, 0x6), // msub x0,x1,x2,x3
        (0x1b028c20, MIXED, 0x540b6d13, 0x6), // msub w0,w1,w2,w3
        (0x1b028c20, EXTREME, 0xffffffff, 0x9), // msub w0,w1,w2,w3
        (0x9b027c20, EXTREME, 0x8000000000000001, 0x9), // mul x0,x1,x2
        (0x9b027c20, NARROW, 0x107fffffdf, 0x0), // mul x0,x1,x2
        (0x9b220c20, NARROW, 0x107fffffe4, 0x0), // smaddl x0,w1,w2,x3
        (0x9b220c20, MIXED, 0xfc6f59babf4f953, 0x6), // smaddl x0,w1,w2,x3
        (0x9b228c20, MIXED, 0xf0390a64540b6d13, 0x6), // smsubl x0,w1,w2,x3
        (0x9b228c20, EXTREME, 0xffffffffffffffff, 0x9), // smsubl x0,w1,w2,x3
        (0x9ba20c20, EXTREME, 0xfffffffe00000001, 0x9), // umaddl x0,w1,w2,x3
        (0x9ba20c20, NARROW, 0x107fffffe4, 0x0), // umaddl x0,w1,w2,x3
        (0x9ba28c20, NARROW, 0xffffffef80000026, 0x0), // umsubl x0,w1,w2,x3
        (0x9ba28c20, MIXED, 0xf0390a64540b6d13, 0x6), // umsubl x0,w1,w2,x3
        (0x9b427c20, MIXED, 0xffec94f918e120d8, 0x6), // smulh x0,x1,x2
        (0x9b427c20, EXTREME, 0xffffffffffffffff, 0x9), // smulh x0,x1,x2
        (0x9bc27c20, EXTREME, 0x7ffffffffffffffe, 0x9), // umulh x0,x1,x2
        (0x9bc27c20, NARROW, 0x0, 0x0), // umulh x0,x1,x2
        (0xdac00020, NARROW, 0xfffffffe00000000, 0x0), // rbit x0,x1
        (0xdac00020, MIXED, 0x84c2a6e195d3b7f, 0x6), // rbit x0,x1
        (0x5ac00020, MIXED, 0x84c2a6e, 0x6), // rbit w0,w1
        (0x5ac00020, EXTREME, 0xffffffff, 0x9), // rbit w0,w1
        (0xdac00420, EXTREME, 0xffffffffffffffff, 0x9), // rev16 x0,x1
        (0xdac00420, NARROW, 0xff7fffff, 0x0), // rev16 x0,x1
        (0x5ac00420, NARROW, 0xff7fffff, 0x0), // rev16 w0,w1
        (0x5ac00420, MIXED, 0x54761032, 0x6), // rev16 w0,w1
        (0xdac00820, MIXED, 0x98badcfe10325476, 0x6), // rev32 x0,x1
        (0xdac00820, EXTREME, 0xffffffffffffffff, 0x9), // rev32 x0,x1
        (0xdac00c20, EXTREME, 0xffffffffffffffff, 0x9), // rev x0,x1
        (0xdac00c20, NARROW, 0xffffff7f00000000, 0x0), // rev x0,x1
        (0x5ac00820, NARROW, 0xffffff7f, 0x0), // rev w0,w1
        (0x5ac00820, MIXED, 0x10325476, 0x6), // rev w0,w1
        (0xdac01020, MIXED, 0x0, 0x6), // clz x0,x1
        (0xdac01020, EXTREME, 0x0, 0x9), // clz x0,x1
        (0x5ac01020, EXTREME, 0x0, 0x9), // clz w0,w1
        (0x5ac01020, NARROW, 0x1, 0x0), // clz w0,w1
        (0xdac01420, NARROW, 0x20, 0x0), // cls x0,x1
        (0xdac01420, MIXED, 0x6, 0x6), // cls x0,x1
        (0x5ac01420, MIXED, 0x0, 0x6), // cls w0,w1
        (0x5ac01420, EXTREME, 0x1f, 0x9), // cls w0,w1
        (0x1ac24020, EXTREME, 0xffffff, 0x9), // crc32b w0,w1,w2
        (0x1ac24020, NARROW, 0x6114002c, 0x0), // crc32b w0,w1,w2
        (0x1ac24420, NARROW, 0x32b978e3, 0x0), // crc32h w0,w1,w2
        (0x1ac24420, MIXED, 0xf0c73241, 0x6), // crc32h w0,w1,w2
        (0x1ac24820, MIXED, 0x5367d8c7, 0x6), // crc32w w0,w1,w2
        (0x1ac24820, EXTREME, 0x0, 0x9), // crc32w w0,w1,w2
        (0x9ac24c20, EXTREME, 0x3303a3c3, 0x9), // crc32x w0,w1,x2
        (0x9ac24c20, NARROW, 0x1ee7f2cc, 0x0), // crc32x w0,w1,x2
        (0x1ac25020, NARROW, 0x7fd4a173, 0x0), // crc32cb w0,w1,w2
        (0x1ac25020, MIXED, 0xd1ae6d74, 0x6), // crc32cb w0,w1,w2
        (0x1ac25420, MIXED, 0x77559356, 0x6), // crc32ch w0,w1,w2
        (0x1ac25420, EXTREME, 0xffff, 0x9), // crc32ch w0,w1,w2
        (0x1ac25820, EXTREME, 0x0, 0x9), // crc32cw w0,w1,w2
        (0x1ac25820, NARROW, 0x3f0e3173, 0x0), // crc32cw w0,w1,w2
        (0x9ac25c20, NARROW, 0x59498097, 0x0), // crc32cx w0,w1,x2
        (0x9ac25c20, MIXED, 0xd276ea0f, 0x6), // crc32cx w0,w1,x2
        (0xba1e042a, MIXED, 0x123456789abcdef, 0xe), // rmif x1,#60,#10
        (0xba1e042a, EXTREME, 0x8000000000000000, 0xb), // rmif x1,#60,#10
        (0x3a00082d, EXTREME, 0x8000000000000000, 0x8), // setf8 w1
        (0x3a00082d, NARROW, 0xffffffff80000000, 0x8), // setf8 w1
        (0x3a00482d, NARROW, 0xffffffff80000000, 0x8), // setf16 w1
        (0x3a00482d, MIXED, 0x123456789abcdef, 0x2), // setf16 w1
        (0xd500401f, MIXED, 0x123456789abcdef, 0x4), // cfinv
        (0xd500401f, EXTREME, 0x8000000000000000, 0xb), // cfinv
        (0xd500403f, EXTREME, 0x8000000000000000, 0x8), // xaflag
        (0xd500403f, NARROW, 0xffffffff80000000, 0x8), // xaflag
        (0xd500405f, NARROW, 0xffffffff80000000, 0x0), // axflag
        (0xd500405f, MIXED, 0x123456789abcdef, 0x6), // axflag
    ]);
}
