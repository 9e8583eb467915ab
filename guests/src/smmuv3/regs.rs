//! Offsets and bits of the register file [SMMUv3 6.3], as far as the driver uses them.

/// Identification, 32 bits each.
pub const IDR0: u64 = 0x00;
/// Sizes of queues, StreamIDs and SubstreamIDs.
pub const IDR1: u64 = 0x04;
/// Features of later versions.
pub const IDR3: u64 = 0x0c;
/// Granules and output size.
pub const IDR5: u64 = 0x14;
/// Architecture version.
pub const AIDR: u64 = 0x1c;
/// Enables, 32 bits.
pub const CR0: u64 = 0x20;
/// Acknowledges [`CR0`].
pub const CR0ACK: u64 = 0x24;
/// Attributes of table and queue accesses.
pub const CR1: u64 = 0x28;
/// What is recorded, and broadcasts.
pub const CR2: u64 = 0x2c;
/// What happens to transactions while the unit is off.
pub const GBPA: u64 = 0x44;
/// Interrupt enables.
pub const IRQ_CTRL: u64 = 0x50;
/// Acknowledges [`IRQ_CTRL`].
pub const IRQ_CTRLACK: u64 = 0x54;
/// Global errors; one is active where it differs from [`GERRORN`].
pub const GERROR: u64 = 0x60;
/// Software's side of [`GERROR`].
pub const GERRORN: u64 = 0x64;
/// Message of the global error interrupt, 64 bits; data (+8) and attributes (+12) follow.
pub const GERROR_IRQ_CFG0: u64 = 0x68;
/// Stream table, 64 bits.
pub const STRTAB_BASE: u64 = 0x80;
/// Its format and size, 32 bits.
pub const STRTAB_BASE_CFG: u64 = 0x88;
/// Command queue, 64 bits.
pub const CMDQ_BASE: u64 = 0x90;
/// Where software writes next, 32 bits.
pub const CMDQ_PROD: u64 = 0x98;
/// Where the unit reads next, and the error in 30:24.
pub const CMDQ_CONS: u64 = 0x9c;
/// Event queue, 64 bits.
pub const EVENTQ_BASE: u64 = 0xa0;
/// Message of the event queue's interrupt, 64 bits; data (+8) and attributes (+12) follow.
pub const EVENTQ_IRQ_CFG0: u64 = 0xb0;
/// Where the unit writes the next record, in page 1; bit 31 is OVFLG.
pub const EVENTQ_PROD: u64 = 0x1_00a8;
/// Where software reads next, in page 1; bit 31 is OVACKFLG.
pub const EVENTQ_CONS: u64 = 0x1_00ac;

/// CR0: translation.
pub const SMMUEN: u32 = 1 << 0;
/// CR0: the event queue.
pub const EVENTQEN: u32 = 1 << 2;
/// CR0: the command queue.
pub const CMDQEN: u32 = 1 << 3;
/// CR1: tables and queues are Inner Shareable and write-back.
pub const CR1_WRITE_BACK: u32 = 0b11 << 10 | 0b01 << 8 | 0b01 << 6 | 0b11 << 4 | 0b01 << 2 | 0b01;
/// CR2: record C_BAD_STREAMID.
pub const RECINVSID: u32 = 1 << 1;
/// CR2: take no part in broadcasts.
pub const PTM: u32 = 1 << 2;
/// GBPA: take over what is written.
pub const UPDATE: u32 = 1 << 31;
/// GBPA: abort everything.
pub const ABORT: u32 = 1 << 20;
/// GBPA: shareability as the transaction has it.
pub const SHCFG_INCOMING: u32 = 1 << 12;
/// IRQ_CTRL: global errors.
pub const GERROR_IRQEN: u32 = 1 << 0;
/// IRQ_CTRL: the event queue.
pub const EVENTQ_IRQEN: u32 = 1 << 2;
/// GERROR: a command error.
pub const CMDQ_ERR: u32 = 1 << 0;
/// GERROR: a record could not be written.
pub const EVENTQ_ABT_ERR: u32 = 1 << 2;
/// GERROR: the message of a CMD_SYNC could not be written.
pub const MSI_CMDQ_ABT_ERR: u32 = 1 << 4;
/// GERROR: the message of the event queue could not be written.
pub const MSI_EVENTQ_ABT_ERR: u32 = 1 << 5;
/// Read- and write-allocate hint of the base registers.
pub const ALLOCATE: u64 = 1 << 62;
/// OVFLG and OVACKFLG.
pub const OVERFLOW: u32 = 1 << 31;

/// Declares fields of an identification register: single bits and numbers.
macro_rules! fields {
    ($register:ident, $($(#[$doc:meta])* $name:ident $hi:literal : $lo:literal),+ $(,)?) => {
        impl $register {
            $($(#[$doc])*
            pub const fn $name(self) -> u32 {
                self.0 >> $lo & ((1 << ($hi - $lo + 1)) - 1)
            })+
        }
    };
}

/// IDR0 [SMMUv3 6.3.1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idr0(pub u32);

fields!(
    Idr0,
    /// Stream table levels: 0 linear only, 1 two levels as well.
    st_level 28:27,
    /// 1: terminated transactions are always aborted.
    term_model 26:26,
    /// 0 stalls and terminates, 1 no stalls, 2 stalls only.
    stall_model 25:24,
    /// Endianness of tables: 0 both, 2 little, 3 big.
    ttendian 22:21,
    /// Two-level CD tables.
    cd2l 19:19,
    /// VMIDs of 16 bits.
    vmid16 18:18,
    /// Page requests.
    pri 16:16,
    /// Events to processors (SEV).
    sev 14:14,
    /// Message interrupts.
    msi 13:13,
    /// ASIDs of 16 bits.
    asid16 12:12,
    /// Address translation services.
    ats 10:10,
    /// EL2 contexts.
    hyp 9:9,
    /// Updates of descriptors: 0 none, 1 access flag, 2 dirty state too.
    httu 7:6,
    /// Coherent accesses to tables and queues.
    cohacc 4:4,
    /// Table formats: bit 1 is VMSAv8-64.
    ttf 3:2,
    /// Stage 1.
    s1p 1:1,
    /// Stage 2.
    s2p 0:0,
);

/// IDR1 [SMMUv3 6.3.2].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idr1(pub u32);

fields!(
    Idr1,
    /// STE.PRIVCFG and INSTCFG take effect.
    attr_perms_ovr 26:26,
    /// Log2 of the most entries of a command queue.
    cmdqs 25:21,
    /// The same of an event queue.
    eventqs 20:16,
    /// Bits of a SubstreamID.
    ssidsize 10:6,
    /// Bits of a StreamID.
    sidsize 5:0,
);

/// IDR3 [SMMUv3 6.3.4].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idr3(pub u32);

fields!(
    Idr3,
    /// Invalidation of ranges.
    ril 10:10,
    /// Stage 2 forces write-back.
    fwb 8:8,
    /// Stage-2 execution rights by privilege.
    xnx 4:4,
);

/// IDR5 [SMMUv3 6.3.6].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idr5(pub u32);

fields!(
    Idr5,
    /// Stalls that may be outstanding.
    stall_max 31:16,
    /// 64-KiB granule.
    gran64k 6:6,
    /// 16-KiB granule.
    gran16k 5:5,
    /// 4-KiB granule.
    gran4k 4:4,
    /// Output address size, encoded.
    oas 2:0,
);

impl Idr5 {
    /// Bits of an output address.
    pub const fn output_bits(self) -> u32 {
        match self.oas() {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            5 => 48,
            6 => 52,
            _ => 56,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_bits_of_the_specification() {
        type Field = (&'static str, u32, u32, fn(u32) -> u32);
        let rows: [Field; 30] = [
            ("ST_LEVEL", 28, 27, |v| Idr0(v).st_level()),
            ("TERM_MODEL", 26, 26, |v| Idr0(v).term_model()),
            ("STALL_MODEL", 25, 24, |v| Idr0(v).stall_model()),
            ("TTENDIAN", 22, 21, |v| Idr0(v).ttendian()),
            ("CD2L", 19, 19, |v| Idr0(v).cd2l()),
            ("VMID16", 18, 18, |v| Idr0(v).vmid16()),
            ("PRI", 16, 16, |v| Idr0(v).pri()),
            ("SEV", 14, 14, |v| Idr0(v).sev()),
            ("MSI", 13, 13, |v| Idr0(v).msi()),
            ("ASID16", 12, 12, |v| Idr0(v).asid16()),
            ("ATS", 10, 10, |v| Idr0(v).ats()),
            ("Hyp", 9, 9, |v| Idr0(v).hyp()),
            ("HTTU", 7, 6, |v| Idr0(v).httu()),
            ("COHACC", 4, 4, |v| Idr0(v).cohacc()),
            ("TTF", 3, 2, |v| Idr0(v).ttf()),
            ("S1P", 1, 1, |v| Idr0(v).s1p()),
            ("S2P", 0, 0, |v| Idr0(v).s2p()),
            ("CMDQS", 25, 21, |v| Idr1(v).cmdqs()),
            ("EVENTQS", 20, 16, |v| Idr1(v).eventqs()),
            ("SSIDSIZE", 10, 6, |v| Idr1(v).ssidsize()),
            ("SIDSIZE", 5, 0, |v| Idr1(v).sidsize()),
            ("ATTR_PERMS_OVR", 26, 26, |v| Idr1(v).attr_perms_ovr()),
            ("RIL", 10, 10, |v| Idr3(v).ril()),
            ("FWB", 8, 8, |v| Idr3(v).fwb()),
            ("XNX", 4, 4, |v| Idr3(v).xnx()),
            ("STALL_MAX", 31, 16, |v| Idr5(v).stall_max()),
            ("GRAN64K", 6, 6, |v| Idr5(v).gran64k()),
            ("GRAN16K", 5, 5, |v| Idr5(v).gran16k()),
            ("GRAN4K", 4, 4, |v| Idr5(v).gran4k()),
            ("OAS", 2, 0, |v| Idr5(v).oas()),
        ];
        for (name, hi, lo, field) in rows {
            for bit in 0..32 {
                let expected = if (lo..=hi).contains(&bit) { 1 << (bit - lo) } else { 0 };
                assert_eq!(field(1 << bit), expected, "{name}, bit {bit}");
            }
        }
        assert_eq!(CR1_WRITE_BACK, 0xd75);
    }
}
