//! A decoded CD in four words, as [`ste::Packed`](crate::smmuv3::tables::ste::Packed) is of an STE.

use super::{Context, OnFault};
use crate::register;
use crate::smmuv3::tables::{granule_number, granule_of};
use crate::smmuv3::vmsa::look::is_high;
use crate::smmuv3::vmsa::{Granule, Half, HardwareUpdate, Stage1};

register! {
    /// The fields of [`Context`].
    pub struct Packed: [u64; 4] {
        255:192 Field   mair: u64,
        191:128 Field   high_table: u64,
        127:64  Field   low_table: u64,
        63:62   Ignored _r0,
        61:61   Field   record: bool,
        60:60   Field   abort: bool,
        59:59   Field   stall: bool,
        58:58   Field   aset: bool,
        57:42   Field   asid: u16,
        41:41   Field   no_access_fault: bool,
        40:40   Field   dirty: bool,
        39:39   Field   access: bool,
        38:38   Field   pan: bool,
        37:37   Field   write_implies_xn: bool,
        36:36   Field   big_endian: bool,
        35:35   Field   ds: bool,
        34:34   Field   single: bool,
        33:28   Field   output_bits: u32,
        /// [`PackedHalf`].
        27:14   Field   high: u32,
        13:0    Field   low: u32,
    }
}

register! {
    /// The fields of [`Half`], but for its table.
    struct PackedHalf: u32 {
        31:14 Ignored _r0,
        13:12 Field   shareability: u8,
        11:11 Field   no_unprivileged: bool,
        10:10 Field   no_hierarchy: bool,
        9:9   Field   top_byte_ignored: bool,
        8:3   Field   input_bits: u32,
        2:1   Field   granule: u8,
        /// The half is enabled.
        0:0   Field   enabled: bool,
    }
}

impl Packed {
    /// From what a CD means.
    pub fn new(context: &Context) -> Self {
        let Context { stage1, asid, aset, on_fault: OnFault { stall, abort, record } } = *context;
        let Stage1 { low, high, single, output_bits, ds, big_endian, write_implies_xn, pan, update, mair } =
            stage1;
        let HardwareUpdate { access, dirty, no_access_fault } = update;
        let table = |half: Option<Half>| half.map_or(0, |half| half.table);
        let half = |half: Option<Half>| half.map_or(PackedHalf::ZERO, PackedHalf::new).raw();
        Self::ZERO
            .with_low(half(low))
            .with_low_table(table(low))
            .with_high(half(high))
            .with_high_table(table(high))
            .with_single(single)
            .with_output_bits(output_bits)
            .with_ds(ds)
            .with_big_endian(big_endian)
            .with_write_implies_xn(write_implies_xn)
            .with_pan(pan)
            .with_access(access)
            .with_dirty(dirty)
            .with_no_access_fault(no_access_fault)
            .with_mair(mair)
            .with_asid(asid)
            .with_aset(aset)
            .with_stall(stall)
            .with_abort(abort)
            .with_record(record)
    }

    /// What the CD means.
    #[cfg(test)]
    pub fn context(self) -> Context {
        Context { stage1: self.stage1(), asid: self.asid(), aset: self.aset(), on_fault: self.on_fault() }
    }

    /// [`Context::stage1`].
    #[inline]
    pub fn stage1(self) -> Stage1 {
        let [low, high] = self.halves();
        Stage1 {
            low: low.half(self.low_table()),
            high: high.half(self.high_table()),
            single: self.single(),
            output_bits: self.output_bits(),
            ds: self.ds(),
            big_endian: self.big_endian(),
            write_implies_xn: self.write_implies_xn(),
            pan: self.pan(),
            update: HardwareUpdate {
                access: self.access(),
                dirty: self.dirty(),
                no_access_fault: self.no_access_fault(),
            },
            mair: self.mair(),
        }
    }

    /// [`Context::on_fault`].
    pub fn on_fault(self) -> OnFault {
        OnFault { stall: self.stall(), abort: self.abort(), record: self.record() }
    }

    /// The granule of the tables for `address`, and whether its top byte is ignored; `None` where its half
    /// is disabled.
    #[inline]
    pub fn half_of(self, address: u64) -> Option<(Granule, bool)> {
        let [low, high] = self.halves();
        let half = if is_high(address) && !self.single() { high } else { low };
        half.enabled().then(|| (granule_of(half.granule()), half.top_byte_ignored()))
    }

    /// Whether unprivileged accesses to one of the halves are translation faults.
    pub fn closes_a_half(self) -> bool {
        self.halves().into_iter().any(|half| half.enabled() && half.no_unprivileged())
    }

    #[inline]
    fn halves(self) -> [PackedHalf; 2] {
        [PackedHalf::from_raw(self.low()), PackedHalf::from_raw(self.high())]
    }
}

impl PackedHalf {
    fn new(half: Half) -> Self {
        let Half {
            granule,
            input_bits,
            table: _,
            top_byte_ignored,
            no_hierarchy,
            no_unprivileged,
            shareability,
        } = half;
        Self::ZERO
            .with_enabled(true)
            .with_granule(granule_number(granule))
            .with_input_bits(input_bits)
            .with_top_byte_ignored(top_byte_ignored)
            .with_no_hierarchy(no_hierarchy)
            .with_no_unprivileged(no_unprivileged)
            .with_shareability(shareability)
    }

    #[inline]
    fn half(self, table: u64) -> Option<Half> {
        // In a branch: what is not there is not unpacked.
        if !self.enabled() {
            return None;
        }
        Some(Half {
            granule: granule_of(self.granule()),
            input_bits: self.input_bits(),
            table,
            top_byte_ignored: self.top_byte_ignored(),
            no_hierarchy: self.no_hierarchy(),
            no_unprivileged: self.no_unprivileged(),
            shareability: self.shareability(),
        })
    }
}
