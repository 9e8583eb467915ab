//! The context descriptor [SMMUv3 5.4].

mod decode;
mod illegal;
mod packed;

use crate::register;
use crate::smmuv3::vmsa::Stage1;
pub use decode::decode;
pub use illegal::{Base, Illegal};
pub(in crate::smmuv3) use packed::Packed;

register! {
    /// Context descriptor [SMMUv3 5.4]. Fields of what is never advertised have no accessor.
    pub struct Cd: [u64; 8] {
        511:320 Ignored _r5,
        319:288 Ignored _amair1,
        287:256 Ignored _amair0,
        255:224 Field   mair1: u32,
        223:192 Field   mair0: u32,
        191:187 Ignored _hwu1,
        /// 52-bit descriptors with 4K and 16K granules.
        186:186 Field   ds: bool,
        185:184 Ignored _r4,
        /// Bits 55:4 of TTB1.
        183:132 Field   ttb1: u64,
        131:131 Ignored _aie,
        130:130 Field   e0pd1: bool,
        129:129 Field   had1: bool,
        128:128 Ignored _nscfg1,
        127:124 Ignored _hwu0,
        123:122 Ignored _pan3,
        121:120 Ignored _r2,
        /// Bits 55:4 of TTB0.
        119:68  Field   ttb0: u64,
        67:67   Ignored _haft,
        66:66   Field   e0pd0: bool,
        65:65   Field   had0: bool,
        64:64   Ignored _nscfg0,
        63:48   Field   asid: u16,
        47:47   Field   aset: bool,
        46:46   Field   a: bool,
        45:45   Field   r: bool,
        44:44   Field   s: bool,
        43:43   Field   ha: bool,
        42:42   Field   hd: bool,
        41:41   Field   aa64: bool,
        40:40   Field   pan: bool,
        39:39   Field   tbi1: bool,
        38:38   Field   tbi0: bool,
        37:37   Field   uwxn: bool,
        36:36   Field   wxn: bool,
        35:35   Field   affd: bool,
        34:32   Field   ips: u8,
        31:31   Field   v: bool,
        30:30   Field   epd1: bool,
        29:28   Field   sh1: u8,
        27:26   Field   or1: u8,
        25:24   Field   ir1: u8,
        23:22   Field   tg1: u8,
        21:16   Field   t1sz: u8,
        15:15   Field   endi: bool,
        14:14   Field   epd0: bool,
        13:12   Field   sh0: u8,
        11:10   Field   or0: u8,
        9:8     Field   ir0: u8,
        7:6     Field   tg0: u8,
        5:0     Field   t0sz: u8,
    }
}

/// A legal CD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Stage 1.
    pub stage1: Stage1,
    /// ASID; 0 in a world without.
    pub asid: u16,
    /// ASET: which set of ASIDs it belongs to; global entries do not match the other set.
    pub aset: bool,
    /// What becomes of stage-1 faults.
    pub on_fault: OnFault,
}

/// What becomes of a translation fault: CD.{A, R, S}, or STE.{S2R, S2S} [SMMUv3 3.12].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnFault {
    /// S: hold the transaction.
    pub stall: bool,
    /// A: abort; else it reads as zero and writes are ignored.
    pub abort: bool,
    /// R: record an event.
    pub record: bool,
}
