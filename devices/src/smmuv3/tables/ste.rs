//! The stream table entry [SMMUv3 5.2].

mod decode;
mod illegal;
mod packed;
mod stage2;

use crate::register;
use crate::smmuv3::capability::Config;
use crate::smmuv3::invalidation::StreamWorld;
use crate::smmuv3::regs::Gbpa;
use crate::smmuv3::vmsa::Stage2;
pub use decode::decode;
pub use illegal::Illegal;
pub(in crate::smmuv3) use packed::Packed;

register! {
    /// Stream table entry [SMMUv3 5.2]. Fields of what is never advertised (Secure, Realm, MPAM, DPT,
    /// permission indirection) have no accessor.
    pub struct Ste: [u64; 8] {
        511:388 Ignored _secure,
        387:256 Ignored _r4,
        255:248 Ignored _r3,
        /// Bits 55:4 of the stage-2 table.
        247:196 Field   s2ttb: u64,
        /// Stage 2 in the 52-bit format.
        195:195 Field   s2ds: bool,
        /// Third bit of S2SL0.
        194:194 Field   s2sl0_2: bool,
        193:192 Ignored _s2ns,
        191:187 Ignored _s2perm,
        /// Record stage-2 faults.
        186:186 Field   s2r: bool,
        /// Stall on stage-2 faults.
        185:185 Field   s2s: bool,
        184:184 Field   s2ha: bool,
        183:183 Field   s2hd: bool,
        182:182 Field   s2ptw: bool,
        181:181 Field   s2affd: bool,
        180:180 Field   s2endi: bool,
        /// 1: VMSAv8-64.
        179:179 Field   s2aa64: bool,
        178:176 Field   s2ps: u8,
        175:174 Field   s2tg: u8,
        173:172 Field   s2sh0: u8,
        171:170 Field   s2or0: u8,
        169:168 Field   s2ir0: u8,
        167:166 Field   s2sl0: u8,
        165:160 Field   s2t0sz: u8,
        159:144 Ignored _impdef2,
        143:128 Field   s2vmid: u16,
        127:116 Ignored _impdef1,
        115:114 Field   instcfg: u8,
        113:112 Field   privcfg: u8,
        111:110 Ignored _nscfg,
        109:108 Field   shcfg: u8,
        107:105 Ignored _r2,
        104:101 Field   alloccfg: u8,
        100:100 Field   mtcfg: bool,
        99:96   Field   memattr: u8,
        95:94   Field   strw: u8,
        93:92   Field   eats: u8,
        91:91   Field   s1stalld: bool,
        90:90   Ignored _s1mpam,
        89:89   Field   s2fwb: bool,
        88:88   Ignored _s1pie,
        87:84   Ignored _software,
        83:83   Field   mev: bool,
        82:82   Field   ppar: bool,
        81:81   Field   dcp: bool,
        80:77   Field   cont: u8,
        76:76   Field   dre: bool,
        75:72   Ignored _s2hwu,
        71:70   Field   s1csh: u8,
        69:68   Field   s1cor: u8,
        67:66   Field   s1cir: u8,
        65:64   Field   s1dss: u8,
        63:59   Field   s1cdmax: u8,
        58:56   Ignored _r0,
        /// Bits 55:6 of the CD, or of the CD table.
        55:6    Field   s1contextptr: u64,
        5:4     Field   s1fmt: u8,
        3:1     Field   config: u8,
        0:0     Field   v: bool,
    }
}

/// A legal STE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Config = 0xx: abort, no event.
    Abort,
    /// Config = 1xx.
    Serve(Service),
}

/// What a stream is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Regime, which tags the TLB.
    pub world: StreamWorld,
    /// VMID of the El1 world where stage 2 is implemented; else 0.
    pub vmid: u16,
    /// Stage 1: where its CDs are; `None` is bypass.
    pub contexts: Option<ContextTable>,
    /// Stage 2; `None` is bypass.
    pub stage2: Option<Stage2>,
    /// STE.S2S: stage-2 faults stall.
    pub stage2_stalls: bool,
    /// STE.S2R: stage-2 faults are recorded.
    pub stage2_records: bool,
    /// STE.MEV: events may be merged.
    pub merge: bool,
    /// Overrides of what the transaction says; none where IDR1 does not permit them.
    pub overrides: Overrides,
}

/// Where a stream's CDs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextTable {
    /// S1ContextPtr: an IPA where stage 2 is on, else a PA. Bits inside the table are 0.
    pub base: u64,
    /// How it is laid out.
    pub layout: ContextLayout,
    /// S1CDMax: log2 of the number of CDs.
    pub log2_count: u32,
    /// What a transaction without SubstreamID gets where there is more than one CD.
    pub default: DefaultSubstream,
    /// S1STALLD: CD.S must be 0.
    pub no_stall: bool,
}

/// Layout of a CD table: S1Fmt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextLayout {
    /// One table.
    Linear,
    /// Two levels; a leaf has 64 CDs, 4 KiB.
    Leaves4K,
    /// Two levels; a leaf has 1024 CDs, 64 KiB.
    Leaves64K,
}

/// S1DSS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultSubstream {
    /// 00: F_STREAM_DISABLED.
    Terminate,
    /// 01: stage 1 is bypassed.
    Bypass,
    /// 10: CD 0; SubstreamID 0 is then F_STREAM_DISABLED.
    First,
}

/// Overrides of what a transaction says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// INSTCFG: of reads only.
    pub instruction: Option<bool>,
    /// PRIVCFG.
    pub privileged: Option<bool>,
    /// MTCFG: MemAttr in its stage-2 form.
    pub memory: Option<u8>,
    /// SHCFG: 0 non-shareable, 2 outer, 3 inner.
    pub shareability: Option<u8>,
}

impl Overrides {
    /// From the fields of an STE.
    #[inline(always)]
    fn of_ste(ste: Ste, config: &Config) -> Self {
        let types = Types { mtcfg: ste.mtcfg(), memattr: ste.memattr(), shcfg: ste.shcfg() };
        Self::new(ste.instcfg(), ste.privcfg(), types, config)
    }

    /// From SMMU_GBPA, whose fields are encoded as those of an STE [SMMUv3 6.3.15].
    pub fn of_gbpa(gbpa: Gbpa, config: &Config) -> Self {
        let types = Types { mtcfg: gbpa.mtcfg(), memattr: gbpa.memattr(), shcfg: gbpa.shcfg() };
        Self::new(gbpa.instcfg(), gbpa.privcfg(), types, config)
    }

    #[inline(always)]
    fn new(instcfg: u8, privcfg: u8, types: Types, config: &Config) -> Self {
        // 0b10 clears, 0b11 sets; 0b01 is reserved and behaves as 0b00, which leaves it alone.
        let forced = |field: u8| (config.idr1.attr_perms_ovr() && field >= 0b10).then_some(field == 0b11);
        let Types { mtcfg, memattr, shcfg } = types;
        let types = config.idr1.attr_types_ovr();
        // Reserved encodings behave as Device-nGnRnE.
        let memattr = if matches!(memattr, 0b0100 | 0b1000 | 0b1100) { 0 } else { memattr };
        Self {
            instruction: forced(instcfg),
            privileged: forced(privcfg),
            memory: (types && mtcfg).then_some(memattr),
            shareability: (types && shcfg != USE_INCOMING).then_some(shcfg),
        }
    }
}

/// SHCFG that overrides nothing.
const USE_INCOMING: u8 = 0b01;

/// The fields that override memory type and shareability.
struct Types {
    mtcfg: bool,
    memattr: u8,
    shcfg: u8,
}
