//! From a CD to a stage-1 regime [SMMUv3 5.4.2, CdIllegal()].

use super::illegal::Base;
use super::{Cd, Context, Illegal, OnFault};
use crate::smmuv3::capability::Config;
use crate::smmuv3::invalidation::StreamWorld;
use crate::smmuv3::tables::ste::Service;
use crate::smmuv3::tables::{aligned, exceeds, first_table_bits, reachable_bits, shareability};
use crate::smmuv3::vmsa::{Granule, Half, HardwareUpdate, Stage1};

/// Decodes a CD that was reached through `service`. Where SMMUv3.0 leaves a choice between ILLEGAL and
/// some other value, it is ILLEGAL, as from SMMUv3.1 on.
///
/// # Errors
/// The first rule that is broken: C_BAD_CD.
pub fn decode(cd: Cd, config: &Config, service: &Service) -> Result<Context, Illegal> {
    if !cd.v() {
        return Err(Illegal::NotValid);
    }
    check_fault_model(cd, config, service)?;
    // EL2 has one range, which cannot be disabled; what is of the other is reserved.
    let single = service.world == StreamWorld::El2;
    let (low, high) = (single || !cd.epd0(), !single && !cd.epd1());
    match (config.idr0.ttendian(), cd.endi()) {
        (0b10, true) | (0b11, false) if low || high => return Err(Illegal::Endianness),
        _ => {}
    }
    if !cd.aa64() {
        return Err(Illegal::Vmsav8_32);
    }
    match (config.idr0.httu(), cd.ha(), cd.hd()) {
        (0b00, true, _) | (0b00, _, true) => return Err(Illegal::NoHardwareUpdate),
        (0b01, _, true) => return Err(Illegal::NoDirtyUpdate),
        _ => {}
    }
    if !single && !config.idr0.asid16() && cd.asid() > 0xff {
        return Err(Illegal::WideAsid);
    }
    // Each look at a half takes its fields anew: in line that costs less than to keep them.
    if low {
        Fields::low(cd).check_size(cd, config)?;
    }
    if high {
        Fields::high(cd).check_size(cd, config)?;
    }
    let output_bits = config.output_bits(cd.ips());
    let low = if low { Some(Fields::low(cd).decode(cd, config, single, output_bits)?) } else { None };
    let high = if high { Some(Fields::high(cd).decode(cd, config, single, output_bits)?) } else { None };
    let ds =
        |half: &Option<Half>| half.as_ref().is_some_and(|half| config.effective_ds(cd.ds(), half.granule));
    let ds = ds(&low) || ds(&high);
    // The halves can have granules that carry different ones; the wider counts, as descriptors of the other
    // cannot name more than they carry.
    let reach =
        |half: &Option<Half>| half.as_ref().map_or(0, |half| reachable_bits(output_bits, half.granule, ds));
    let reached = reach(&low).max(reach(&high));
    Ok(Context {
        stage1: Stage1 {
            low,
            high,
            single,
            output_bits: if reached == 0 { output_bits } else { reached },
            ds,
            big_endian: cd.endi(),
            write_implies_xn: cd.wxn(),
            pan: cd.pan() && !single,
            update: HardwareUpdate {
                access: cd.ha(),
                // HD alone is reserved, and behaves as neither.
                dirty: cd.ha() && cd.hd(),
                no_access_fault: cd.affd() && !cd.ha(),
            },
            mair: u64::from(cd.mair1()) << 32 | u64::from(cd.mair0()),
        },
        asid: if single { 0 } else { cd.asid() },
        aset: cd.aset() && !single,
        on_fault: OnFault { stall: cd.s(), abort: cd.a(), record: cd.r() },
    })
}

fn check_fault_model(cd: Cd, config: &Config, service: &Service) -> Result<(), Illegal> {
    if cd.s() && service.contexts.as_ref().is_some_and(|contexts| contexts.no_stall) {
        return Err(Illegal::StallDisabled);
    }
    if config.idr0.term_model() && !cd.a() {
        return Err(Illegal::AbortForced);
    }
    match (config.idr0.stall_model(), cd.s()) {
        (0b01, true) => Err(Illegal::StallAbsent),
        (0b10, false) => Err(Illegal::StallForced),
        _ => Ok(()),
    }
}

/// What a CD says of one half. All in line: half of it is known there.
struct Fields {
    base: Base,
    /// `None` is reserved.
    granule: Option<Granule>,
    size: u32,
    /// TTBx, bits 55:4.
    table: u64,
    top_byte_ignored: bool,
    no_hierarchy: bool,
    no_unprivileged: bool,
    shareability: u8,
}

impl Fields {
    #[inline(always)]
    fn low(cd: Cd) -> Self {
        Self {
            base: Base::Ttb0,
            granule: match cd.tg0() {
                0b00 => Some(Granule::K4),
                0b01 => Some(Granule::K64),
                0b10 => Some(Granule::K16),
                _ => None,
            },
            size: u32::from(cd.t0sz()),
            table: cd.ttb0() << 4,
            top_byte_ignored: cd.tbi0(),
            no_hierarchy: cd.had0(),
            no_unprivileged: cd.e0pd0(),
            shareability: cd.sh0(),
        }
    }

    #[inline(always)]
    fn high(cd: Cd) -> Self {
        Self {
            base: Base::Ttb1,
            granule: match cd.tg1() {
                0b01 => Some(Granule::K16),
                0b10 => Some(Granule::K4),
                0b11 => Some(Granule::K64),
                _ => None,
            },
            size: u32::from(cd.t1sz()),
            table: cd.ttb1() << 4,
            top_byte_ignored: cd.tbi1(),
            no_hierarchy: cd.had1(),
            no_unprivileged: cd.e0pd1(),
            shareability: cd.sh1(),
        }
    }

    /// Sizes come before granules: one that no granule can have is named as such.
    #[inline(always)]
    fn check_size(&self, cd: Cd, config: &Config) -> Result<(), Illegal> {
        // A reserved granule is bound by what 64K is.
        let granule = self.granule.unwrap_or(Granule::K64);
        let wide = granule == Granule::K64 || config.effective_ds(cd.ds(), granule);
        let smallest = if config.idr5.vax() != 0 && wide { 12 } else { 16 };
        if self.size < smallest || self.size > config.largest_size(granule) {
            return Err(Illegal::InputSize(self.base));
        }
        Ok(())
    }

    /// After [`Self::check_size`].
    #[inline(always)]
    fn decode(self, cd: Cd, config: &Config, single: bool, output_bits: u32) -> Result<Half, Illegal> {
        let granule = self.granule.filter(|granule| config.supports(*granule));
        let granule = granule.ok_or(Illegal::Granule(self.base))?;
        let ds = config.effective_ds(cd.ds(), granule);
        let table = self.table & config.table_address_mask();
        if exceeds(table, reachable_bits(output_bits, granule, ds)) {
            return Err(Illegal::TableRange(self.base));
        }
        // 16 to 52, and 17 at least with 64K: the size has been checked.
        let input_bits = 64 - self.size;
        // What levels of full tables leave to the first one: 1 to all bits of an index.
        let full_levels = granule.levels(input_bits).saturating_sub(1);
        let index_bits = input_bits - granule.bits() - granule.index_bits() * full_levels;
        Ok(Half {
            granule,
            input_bits,
            table: aligned(table, first_table_bits(index_bits, output_bits)),
            top_byte_ignored: self.top_byte_ignored,
            no_hierarchy: self.no_hierarchy && config.idr3.had(),
            no_unprivileged: self.no_unprivileged && config.idr3.e0pd() && !single,
            shareability: shareability(self.shareability),
        })
    }
}
