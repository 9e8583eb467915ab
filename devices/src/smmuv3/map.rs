//! Where the registers lie [SMMUv3 6.1, 6.2]: page 0 at 0, page 1 at 0x10000.

use super::regs::REGISTERS_SIZE;

/// A place in the register file: the register and which dword of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub reg: Reg,
    pub dword: u32,
}

/// The registers that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reg {
    Idr0,
    Idr1,
    Idr2,
    Idr3,
    Idr4,
    Idr5,
    Iidr,
    Aidr,
    Cr0,
    Cr0Ack,
    Cr1,
    Cr2,
    Statusr,
    Gbpa,
    IrqCtrl,
    IrqCtrlAck,
    Gerror,
    Gerrorn,
    GerrorIrqCfg0,
    GerrorIrqCfg1,
    GerrorIrqCfg2,
    StrtabBase,
    StrtabBaseCfg,
    CmdqBase,
    CmdqProd,
    CmdqCons,
    EventqBase,
    EventqProd,
    EventqCons,
    EventqIrqCfg0,
    EventqIrqCfg1,
    EventqIrqCfg2,
    /// SMMU_PIDR4 to 7, SMMU_PIDR0 to 3, SMMU_CIDR0 to 3: twelve dwords in this order.
    Identification,
}

/// (offset, dwords, register, the specification's name)
const MAP: &[(u64, u32, Reg, &str)] = &[
    (0x0_0000, 1, Reg::Idr0, "SMMU_IDR0"),
    (0x0_0004, 1, Reg::Idr1, "SMMU_IDR1"),
    (0x0_0008, 1, Reg::Idr2, "SMMU_IDR2"),
    (0x0_000c, 1, Reg::Idr3, "SMMU_IDR3"),
    (0x0_0010, 1, Reg::Idr4, "SMMU_IDR4"),
    (0x0_0014, 1, Reg::Idr5, "SMMU_IDR5"),
    (0x0_0018, 1, Reg::Iidr, "SMMU_IIDR"),
    (0x0_001c, 1, Reg::Aidr, "SMMU_AIDR"),
    (0x0_0020, 1, Reg::Cr0, "SMMU_CR0"),
    (0x0_0024, 1, Reg::Cr0Ack, "SMMU_CR0ACK"),
    (0x0_0028, 1, Reg::Cr1, "SMMU_CR1"),
    (0x0_002c, 1, Reg::Cr2, "SMMU_CR2"),
    (0x0_0040, 1, Reg::Statusr, "SMMU_STATUSR"),
    (0x0_0044, 1, Reg::Gbpa, "SMMU_GBPA"),
    (0x0_0050, 1, Reg::IrqCtrl, "SMMU_IRQ_CTRL"),
    (0x0_0054, 1, Reg::IrqCtrlAck, "SMMU_IRQ_CTRLACK"),
    (0x0_0060, 1, Reg::Gerror, "SMMU_GERROR"),
    (0x0_0064, 1, Reg::Gerrorn, "SMMU_GERRORN"),
    (0x0_0068, 2, Reg::GerrorIrqCfg0, "SMMU_GERROR_IRQ_CFG0"),
    (0x0_0070, 1, Reg::GerrorIrqCfg1, "SMMU_GERROR_IRQ_CFG1"),
    (0x0_0074, 1, Reg::GerrorIrqCfg2, "SMMU_GERROR_IRQ_CFG2"),
    (0x0_0080, 2, Reg::StrtabBase, "SMMU_STRTAB_BASE"),
    (0x0_0088, 1, Reg::StrtabBaseCfg, "SMMU_STRTAB_BASE_CFG"),
    (0x0_0090, 2, Reg::CmdqBase, "SMMU_CMDQ_BASE"),
    (0x0_0098, 1, Reg::CmdqProd, "SMMU_CMDQ_PROD"),
    (0x0_009c, 1, Reg::CmdqCons, "SMMU_CMDQ_CONS"),
    (0x0_00a0, 2, Reg::EventqBase, "SMMU_EVENTQ_BASE"),
    // The aliases of page 1 at 0xa8 and 0xac are optional, and not here.
    (0x0_00b0, 2, Reg::EventqIrqCfg0, "SMMU_EVENTQ_IRQ_CFG0"),
    (0x0_00b8, 1, Reg::EventqIrqCfg1, "SMMU_EVENTQ_IRQ_CFG1"),
    (0x0_00bc, 1, Reg::EventqIrqCfg2, "SMMU_EVENTQ_IRQ_CFG2"),
    (0x0_0fd0, 12, Reg::Identification, "SMMU_PIDR/CIDR"),
    (0x1_00a8, 1, Reg::EventqProd, "SMMU_EVENTQ_PROD"),
    (0x1_00ac, 1, Reg::EventqCons, "SMMU_EVENTQ_CONS"),
];

fn row(offset: u64) -> Option<&'static (u64, u32, Reg, &'static str)> {
    let row = MAP.iter().rfind(|(start, ..)| *start <= offset)?;
    (offset - row.0 < u64::from(row.1) * 4).then_some(row)
}

/// The register at `offset`, a multiple of 4.
pub(super) fn place(offset: u64) -> Option<Place> {
    let (start, _, reg, _) = *row(offset)?;
    // Below 12.
    Some(Place { reg, dword: ((offset - start) / 4) as u32 })
}

/// The specification's name of the register at `offset`, or "".
pub(super) fn name_at(offset: u64) -> &'static str {
    row(offset).map_or("", |(.., name)| name)
}

/// Whether an access of `len` bytes is one that registers serve: an aligned dword, or all of a 64-bit
/// register at once.
pub(super) fn serves(offset: u64, len: usize) -> bool {
    let whole = |(start, dwords, ..): &(u64, u32, Reg, &str)| *start == offset && *dwords == 2;
    match len {
        4 => offset < REGISTERS_SIZE && offset.is_multiple_of(4),
        8 => row(offset).is_some_and(whole),
        _ => false,
    }
}
