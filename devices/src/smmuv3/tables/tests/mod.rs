//! Entries as raw words: layouts, each rule beside its legal neighbour, the arithmetic of the tables, and
//! random words.

mod cd;
mod cd_values;
mod layout;
mod lookup;
mod packed;
mod start_levels;
mod ste;
mod ste_values;
mod sweep;

use super::cd::Cd;
use super::ste::{Service, Ste, Stream};
use crate::smmuv3::capability::Config;
use crate::smmuv3::capability::tests::with;
use crate::smmuv3::regs::Cr2;

/// Bits `hi:lo` of an entry and what they hold.
type Change = (u32, u32, u64);

/// `words` with `changes`, by the bit numbers that the specification prints. No field here straddles words.
fn changed(mut words: [u64; 8], changes: &[Change]) -> [u64; 8] {
    for (hi, lo, value) in changes {
        let (word, shift, mask) = ((lo / 64) as usize, lo % 64, u64::MAX >> (63 - (hi - lo)));
        assert!(hi / 64 == lo / 64 && value & !mask == 0, "{hi}:{lo} = {value:#x}");
        words[word] = words[word] & !(mask << shift) | value << shift;
    }
    words
}

/// A nested STE that every unit with both stages accepts: V, Config = 111, S1Fmt = 01, S1ContextPtr =
/// 0x8000_0000, S1CDMax = 8; S1DSS = 10, S1CIR = S1COR = 01, S1CSH = 11, MEV, SHCFG = 01; S2VMID = 0x2a,
/// S2T0SZ = 24, S2SL0 = 01, S2IR0 = S2OR0 = 01, S2SH0 = 11, S2TG = 4K, S2PS = 48 bits, S2AA64, S2R;
/// S2TTB = 0x9000_0000.
const NESTED: [u64; 8] =
    [0x4000_0000_8000_001f, 0x0000_1000_0008_00d6, 0x040d_3558_0000_002a, 0x9000_0000, 0, 0, 0, 0];

/// A CD that every unit with stage 1 accepts: T0SZ = T1SZ = 25, TG0 = 00 and TG1 = 10 (4K), IR = OR = 01,
/// SH = 11, V, IPS = 40 bits, AA64, R, A, ASET, ASID = 0x55; TTB0 = 0x4000_0000; TTB1 = 0x5000_0000;
/// MAIR = 0x00ff_4404.
const BOTH_HALVES: [u64; 8] =
    [0x0055_e202_b599_3519, 0x4000_0000, 0x5000_0000, 0x0000_0000_00ff_4404, 0, 0, 0, 0];

/// The service of an STE, which must be legal.
fn service(words: [u64; 8], config: &Config, cr2: Cr2) -> Service {
    match super::ste::decode(Ste::from_raw(words), config, cr2) {
        Ok(Stream::Serve(service)) => service,
        other => panic!("{words:x?}: {other:?}"),
    }
}

/// Config = 101, with STRW.
fn stage_1_only(strw: u64) -> [u64; 8] {
    changed(NESTED, &[(3, 1, 0b101), (95, 94, strw)])
}
