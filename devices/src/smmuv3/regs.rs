//! The registers [SMMUv3 6.3], with the bit numbers of the specification.
//!
//! Only what a preset can advertise has a row here; other offsets read zero and ignore writes.

use crate::register;

/// Bytes that the register file occupies: page 0 and page 1 [SMMUv3 6.1].
pub const REGISTERS_SIZE: u64 = 0x2_0000;

register! {
    /// SMMU_IDR0 [SMMUv3 6.3.1].
    pub struct Idr0: u32 {
        31:29 RsvdZ _r3,
        /// Stream table: 0 linear, 1 also two-level.
        28:27 Ro    st_level: u8,
        /// Faults terminate by an abort only: CD.A must be 1.
        26:26 Ro    term_model: bool,
        /// 0 stall and terminate, 1 terminate only, 2 stall forced.
        25:24 Ro    stall_model: u8,
        /// CR2.REC_CFG_ATS is there.
        23:23 Ro    atsrecerr: bool,
        /// Table endianness: 0 mixed, 2 little, 3 big.
        22:21 Ro    ttendian: u8,
        /// VATOS page.
        20:20 Ro    vatos: bool,
        /// Two-level CD tables.
        19:19 Ro    cd2l: bool,
        /// 16-bit VMIDs.
        18:18 Ro    vmid16: bool,
        /// VMID wildcards.
        17:17 Ro    vmw: bool,
        /// Page requests.
        16:16 Ro    pri: bool,
        /// Address translation operations.
        15:15 Ro    atos: bool,
        /// SEV as completion of CMD_SYNC.
        14:14 Ro    sev: bool,
        /// Message interrupts.
        13:13 Ro    msi: bool,
        /// 16-bit ASIDs.
        12:12 Ro    asid16: bool,
        /// Split-stage ATS is not there.
        11:11 Ro    ns1ats: bool,
        /// Address translation service.
        10:10 Ro    ats: bool,
        /// EL2 stage-1 contexts.
        9:9   Ro    hyp: bool,
        /// Dormant hint.
        8:8   Ro    dormhint: bool,
        /// Hardware update: 0 none, 1 access flag, 2 and dirty state.
        7:6   Ro    httu: u8,
        /// Broadcast TLB maintenance.
        5:5   Ro    btm: bool,
        /// Coherent accesses.
        4:4   Ro    cohacc: bool,
        /// Table formats: bit 0 VMSAv8-32, bit 1 VMSAv8-64.
        3:2   Ro    ttf: u8,
        /// Stage 1.
        1:1   Ro    s1p: bool,
        /// Stage 2.
        0:0   Ro    s2p: bool,
    }
}

register! {
    /// SMMU_IDR1 [SMMUv3 6.3.2].
    pub struct Idr1: u32 {
        /// Enhanced command queues.
        31:31 Ro    ecmdq: bool,
        /// Table base is fixed.
        30:30 Ro    tables_preset: bool,
        /// Queue bases are fixed.
        29:29 Ro    queues_preset: bool,
        /// Bases are relative.
        28:28 Ro    rel: bool,
        /// Attribute types can be overridden.
        27:27 Ro    attr_types_ovr: bool,
        /// INSTCFG and PRIVCFG can override.
        26:26 Ro    attr_perms_ovr: bool,
        /// log2 of the entries of the largest command queue, at most 19.
        25:21 Ro    cmdqs: u8,
        /// log2 of the entries of the largest event queue, at most 19.
        20:16 Ro    eventqs: u8,
        /// log2 of the entries of the largest PRI queue, at most 19.
        15:11 Ro    priqs: u8,
        /// Bits of a SubstreamID, 0 to 20.
        10:6  Ro    ssidsize: u8,
        /// Bits of a StreamID, 0 to 32.
        5:0   Ro    sidsize: u8,
    }
}

register! {
    /// SMMU_IDR3 [SMMUv3 6.3.4].
    pub struct Idr3: u32 {
        31:18 RsvdZ _r3,
        17:17 Ro    epan: bool,
        16:16 Ro    pasidtt: bool,
        15:15 Ro    dpt: bool,
        /// S2PTW = 0 makes Device walks Normal-NC.
        14:14 Ro    ptwnnc: bool,
        /// CD.E0PD is there.
        13:13 Ro    e0pd: bool,
        /// Level of break-before-make support.
        12:11 Ro    bbml: u8,
        /// Range invalidation and level hints.
        10:10 Ro    ril: bool,
        /// Small translation tables.
        9:9   Ro    stt: bool,
        /// Stage 2 forces write-back.
        8:8   Ro    fwb: bool,
        7:7   Ro    mpam: bool,
        6:6   RsvdZ _r2,
        /// Page-response prefix.
        5:5   Ro    pps: bool,
        /// Stage-2 execute-never for each privilege.
        4:4   Ro    xnx: bool,
        /// Page-based hardware attributes.
        3:3   Ro    pbha: bool,
        /// Hierarchical attribute disable.
        2:2   Ro    had: bool,
        1:0   RsvdZ _r0,
    }
}

register! {
    /// SMMU_IDR5 [SMMUv3 6.3.6].
    pub struct Idr5: u32 {
        /// Stalled transactions outstanding at most.
        31:16 Ro    stall_max: u16,
        15:12 RsvdZ _r2,
        /// Virtual address bits: 0 48, 1 52.
        11:10 Ro    vax: u8,
        9:9   RsvdZ _r1,
        8:8   Ro    d128: bool,
        /// 52-bit addresses with 4K and 16K granules.
        7:7   Ro    ds: bool,
        /// 64K granule.
        6:6   Ro    gran64k: bool,
        /// 16K granule.
        5:5   Ro    gran16k: bool,
        /// 4K granule.
        4:4   Ro    gran4k: bool,
        3:3   RsvdZ _r0,
        /// Output address size: 0 32, 1 36, 2 40, 3 42, 4 44, 5 48, 6 52 bits.
        2:0   Ro    oas: u8,
    }
}

register! {
    /// SMMU_CR0 and SMMU_CR0ACK [SMMUv3 6.3.9, 6.3.10].
    pub struct Cr0: u32 {
        31:9 RsvdZ _r1,
        /// VMID wildcard of invalidations.
        8:6  Rw    vmw: u8,
        5:5  RsvdZ _r0,
        /// Translated transactions are checked.
        4:4  Rw    atschk: bool,
        /// Command queue on.
        3:3  Rw    cmdqen: bool,
        /// Event queue on.
        2:2  Rw    eventqen: bool,
        /// PRI queue on.
        1:1  Rw    priqen: bool,
        /// Translation on.
        0:0  Rw    smmuen: bool,
    }
}

register! {
    /// SMMU_CR1 [SMMUv3 6.3.11].
    pub struct Cr1: u32 {
        31:12 RsvdZ _r0,
        11:10 Rw    table_sh: u8,
        9:8   Rw    table_oc: u8,
        7:6   Rw    table_ic: u8,
        5:4   Rw    queue_sh: u8,
        3:2   Rw    queue_oc: u8,
        1:0   Rw    queue_ic: u8,
    }
}

register! {
    /// SMMU_CR2 [SMMUv3 6.3.12].
    pub struct Cr2: u32 {
        31:4 RsvdZ _r0,
        /// Configuration errors of ATS requests are recorded.
        3:3  Rw    rec_cfg_ats: bool,
        /// Private TLB maintenance: broadcast is ignored.
        2:2  Rw    ptm: bool,
        /// C_BAD_STREAMID is recorded.
        1:1  Rw    recinvsid: bool,
        /// EL2 worlds are EL2-E2H.
        0:0  Rw    e2h: bool,
    }
}

register! {
    /// SMMU_GBPA [SMMUv3 6.3.15].
    pub struct Gbpa: u32 {
        31:31 Rw    update: bool,
        30:21 RsvdZ _r2,
        /// Transactions abort while translation is off.
        20:20 Rw    abort: bool,
        19:18 Rw    instcfg: u8,
        17:16 Rw    privcfg: u8,
        15:14 RsvdZ _r1,
        13:12 Rw    shcfg: u8,
        11:8  Rw    alloccfg: u8,
        7:5   RsvdZ _r0,
        4:4   Rw    mtcfg: bool,
        3:0   Rw    memattr: u8,
    }
}

register! {
    /// SMMU_IRQ_CTRL and SMMU_IRQ_CTRLACK [SMMUv3 6.3.17, 6.3.18].
    pub struct IrqCtrl: u32 {
        31:3 RsvdZ _r0,
        2:2  Rw    eventq_irqen: bool,
        1:1  Rw    priq_irqen: bool,
        0:0  Rw    gerror_irqen: bool,
    }
}

register! {
    /// SMMU_GERROR and SMMU_GERRORN [SMMUv3 6.3.19, 6.3.20].
    pub struct Gerror: u32 {
        31:9 RsvdZ _r1,
        /// Service failure mode.
        8:8  Rw    sfm_err: bool,
        /// The message of a global error was aborted.
        7:7  Rw    msi_gerror_abt_err: bool,
        /// The message of the PRI queue was aborted.
        6:6  Rw    msi_priq_abt_err: bool,
        /// The message of the event queue was aborted.
        5:5  Rw    msi_eventq_abt_err: bool,
        /// The message of a CMD_SYNC was aborted.
        4:4  Rw    msi_cmdq_abt_err: bool,
        /// A write to the PRI queue was aborted.
        3:3  Rw    priq_abt_err: bool,
        /// A write to the event queue was aborted.
        2:2  Rw    eventq_abt_err: bool,
        1:1  RsvdZ _r0,
        /// The command queue stopped at an error.
        0:0  Rw    cmdq_err: bool,
    }
}

register! {
    /// SMMU_STRTAB_BASE [SMMUv3 6.3.24].
    pub struct StrtabBase: u64 {
        63:63 RsvdZ _r1,
        /// Read-allocate hint.
        62:62 Rw    ra: bool,
        61:56 RsvdZ _r0,
        /// Bits 55:6 of the address; those above the output address size are dropped.
        55:6  Rw    addr: u64,
        5:0   RsvdZ _low,
    }
}

register! {
    /// SMMU_STRTAB_BASE_CFG [SMMUv3 6.3.25].
    pub struct StrtabBaseCfg: u32 {
        31:18 RsvdZ _r1,
        /// 0 linear, 1 two-level, others as 0.
        17:16 Rw    fmt: u8,
        15:11 RsvdZ _r0,
        /// 6, 8 or 10, others as 6.
        10:6  Rw    split: u8,
        /// log2 of the number of STEs.
        5:0   Rw    log2size: u8,
    }
}

register! {
    /// SMMU_CMDQ_BASE, SMMU_EVENTQ_BASE and SMMU_PRIQ_BASE [SMMUv3 6.3.26, 6.3.29, 6.3.35].
    pub struct QueueBase: u64 {
        63:63 RsvdZ _r1,
        /// Allocation hint.
        62:62 Rw    hint: bool,
        61:56 RsvdZ _r0,
        /// Bits 55:5 of the address.
        55:5  Rw    addr: u64,
        /// log2 of the number of entries.
        4:0   Rw    log2size: u8,
    }
}

register! {
    /// SMMU_CMDQ_PROD [SMMUv3 6.3.27].
    pub struct CmdqProd: u32 {
        31:20 RsvdZ _r0,
        /// Index after the last command that software wrote, with its wrap bit.
        19:0  Rw    wr: u32,
    }
}

register! {
    /// SMMU_CMDQ_CONS [SMMUv3 6.3.28].
    pub struct CmdqCons: u32 {
        31:31 RsvdZ _r1,
        /// Why the queue stopped; of meaning while GERROR.CMDQ_ERR is active.
        30:24 Rw    err: u8,
        23:20 RsvdZ _r0,
        /// Index of the next command, with its wrap bit.
        19:0  Rw    rd: u32,
    }
}

register! {
    /// SMMU_EVENTQ_PROD [SMMUv3 6.3.30].
    pub struct EventqProd: u32 {
        /// Differs from OVACKFLG if records were lost to a full queue.
        31:31 Rw    ovflg: bool,
        30:20 RsvdZ _r0,
        /// Index of the next record, with its wrap bit.
        19:0  Rw    wr: u32,
    }
}

register! {
    /// SMMU_EVENTQ_CONS [SMMUv3 6.3.31].
    pub struct EventqCons: u32 {
        /// OVFLG as software has seen it.
        31:31 Rw    ovackflg: bool,
        30:20 RsvdZ _r0,
        /// Index of the first record that software has not read, with its wrap bit.
        19:0  Rw    rd: u32,
    }
}

register! {
    /// SMMU_GERROR_IRQ_CFG0 and SMMU_EVENTQ_IRQ_CFG0 [SMMUv3 6.3.21, 6.3.32].
    pub struct IrqCfg0: u64 {
        63:56 RsvdZ _r1,
        /// Bits 55:2 of the message's address; 0 for no message.
        55:2  Rw    addr: u64,
        1:0   RsvdZ _r0,
    }
}

register! {
    /// SMMU_GERROR_IRQ_CFG2 and SMMU_EVENTQ_IRQ_CFG2 [SMMUv3 6.3.23, 6.3.34].
    pub struct IrqCfg2: u32 {
        31:6 RsvdZ _r0,
        /// Shareability of the message.
        5:4  Rw    sh: u8,
        /// Memory type of the message.
        3:0  Rw    memattr: u8,
    }
}
