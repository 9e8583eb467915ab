//! What every register frame says about itself [GICv3 GICD_PIDR2].

/// Value of GICD_IIDR, GICR_IIDR and GITS_IIDR: implementer Arm (JEP106 43Bh), product, variant and
/// revision 0. No table of errata names it.
pub(super) const IIDR: u32 = 0x0000_043b;

/// PIDR4 to PIDR7, PIDR0 to PIDR3, CIDR0 to CIDR3, from offset FFD0h. PIDR2 holds the architecture
/// version, 3, in bits 7:4; designer Arm; the component class is a generic IP component (Fh).
const IDENTIFICATION: [u32; 12] = [0x44, 0, 0, 0, 0, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1];

const FIRST: u64 = 0xffd0;

/// The register of component identification at `offset` of a 64-KiB frame, a multiple of 4, where
/// there is one. `part` is the low byte of the part number, in PIDR0.
pub(super) fn identification(offset: u64, part: u32) -> Option<u32> {
    let index = usize::try_from(offset.checked_sub(FIRST)? / 4).ok()?;
    IDENTIFICATION.get(index).map(|value| if index == 4 { part } else { *value })
}
