//! What of the architecture is implemented.

use serde::{Deserialize, Serialize};

/// Optional features, named as the architecture names them (FEAT_…). Each is checked where it acts,
/// and the ID registers are computed from the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// FEAT_LSE: atomic instructions.
    pub lse: bool,
    /// FEAT_CRC32.
    pub crc32: bool,
    /// FEAT_LOR: LDLAR and STLLR, with one limited-ordering region that is never configured.
    pub lor: bool,
    /// FEAT_PAN.
    pub pan: bool,
    /// FEAT_UAO.
    pub uao: bool,
    /// FEAT_DPB: DC CVAP.
    pub dpb: bool,
    /// FEAT_LRCPC: LDAPR.
    pub lrcpc: bool,
    /// FEAT_LRCPC2: LDAPUR and STLUR.
    pub lrcpc2: bool,
    /// FEAT_FlagM.
    pub flagm: bool,
    /// FEAT_FlagM2.
    pub flagm2: bool,
    /// FEAT_SB.
    pub sb: bool,
    /// FEAT_SSBS2.
    pub ssbs: bool,
    /// FEAT_DIT.
    pub dit: bool,
    /// FEAT_HAFDBS, access flag and dirty state.
    pub hafdbs: bool,
    /// FEAT_HPDS: hierarchical permission disables.
    pub hpds: bool,
    /// FEAT_TLBIOS and FEAT_TLBIRANGE.
    pub tlbi_range: bool,
    /// FEAT_TTCNP: the common-not-private bit, which changes nothing here.
    pub ttcnp: bool,
    /// 16-bit ASIDs.
    pub asid16: bool,
    /// FEAT_FP16: half-precision arithmetic.
    pub fp16: bool,
    /// FEAT_RDM: SQRDMLAH and SQRDMLSH.
    pub rdm: bool,
    /// FEAT_DotProd.
    pub dotprod: bool,
    /// FEAT_FHM.
    pub fhm: bool,
    /// FEAT_FCMA.
    pub fcma: bool,
    /// FEAT_JSCVT.
    pub jscvt: bool,
    /// FEAT_FRINTTS.
    pub frintts: bool,
    /// FEAT_AES and FEAT_PMULL.
    pub aes: bool,
    /// FEAT_SHA1.
    pub sha1: bool,
    /// FEAT_SHA256.
    pub sha256: bool,
    /// FEAT_PMUv3, with a cycle counter and no event counters.
    pub pmu: bool,
    /// The machine has a GIC whose CPU interface is reached by system registers.
    pub gic: bool,
    /// Log2 of the physical address space: 32, 36, 40, 42, 44 or 48.
    pub pa_bits: u8,
}

impl Features {
    /// Armv8.0-A with its CRC32 extension, as a Cortex-A53 or A57 has it.
    pub const V8_0: Self = Self {
        lse: false,
        crc32: true,
        lor: false,
        pan: false,
        uao: false,
        dpb: false,
        lrcpc: false,
        lrcpc2: false,
        flagm: false,
        flagm2: false,
        sb: false,
        ssbs: false,
        dit: false,
        hafdbs: false,
        hpds: false,
        tlbi_range: false,
        ttcnp: false,
        asid16: true,
        fp16: false,
        rdm: false,
        dotprod: false,
        fhm: false,
        fcma: false,
        jscvt: false,
        frintts: false,
        aes: false,
        sha1: false,
        sha256: false,
        pmu: true,
        gic: true,
        pa_bits: 44,
    };

    /// Everything that is implemented.
    pub const MAX: Self = Self {
        lse: true,
        crc32: true,
        lor: true,
        pan: true,
        uao: true,
        dpb: true,
        lrcpc: true,
        lrcpc2: true,
        flagm: true,
        flagm2: true,
        sb: true,
        ssbs: true,
        dit: true,
        hafdbs: true,
        hpds: true,
        tlbi_range: true,
        ttcnp: true,
        asid16: true,
        fp16: true,
        rdm: true,
        dotprod: true,
        fhm: true,
        fcma: true,
        jscvt: true,
        frintts: true,
        aes: true,
        sha1: true,
        sha256: true,
        pa_bits: 48,
        ..Self::V8_0
    };
}
