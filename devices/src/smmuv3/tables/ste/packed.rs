//! A decoded STE in four words, in which it is kept: what to do costs less to unpack than to decode, and
//! words can be read without a lock.

use super::{ContextLayout, ContextTable, DefaultSubstream, Overrides, Service, Stream};
use crate::addr::Pa;
use crate::register;
use crate::smmuv3::invalidation::StreamWorld;
use crate::smmuv3::tables::{granule_number, granule_of};
use crate::smmuv3::vmsa::{Granule, HardwareUpdate, Stage2};

register! {
    /// The fields of [`Stream`].
    pub struct Packed: [u64; 4] {
        255:223 Ignored _r1,
        222:222 Field   no_access_fault: bool,
        221:221 Field   dirty: bool,
        220:220 Field   access: bool,
        219:218 Field   shareability: u8,
        217:217 Field   xnx: bool,
        216:216 Field   forced_write_back: bool,
        215:215 Field   protected_walk: bool,
        214:214 Field   big_endian: bool,
        213:213 Field   ds: bool,
        212:206 Field   output_bits: u32,
        /// 1 more than it is, so that it is not negative.
        205:202 Field   start_level: u8,
        201:195 Field   input_bits: u32,
        194:193 Field   granule: u8,
        /// Stage 2 is on.
        192:192 Field   stage2: bool,
        191:128 Field   table: u64,
        127:64  Field   contexts: u64,
        63:50   Ignored _r0,
        /// 1 more than the override is, where there is one.
        49:47   Field   over_shareability: u8,
        /// Likewise.
        46:42   Field   over_memory: u8,
        /// 2 and 3 where there is one.
        41:40   Field   over_privileged: u8,
        39:38   Field   over_instruction: u8,
        37:37   Field   merge: bool,
        36:36   Field   stage2_records: bool,
        35:35   Field   stage2_stalls: bool,
        34:34   Field   no_stall: bool,
        33:32   Field   substreams: u8,
        31:24   Field   log2_count: u32,
        23:22   Field   layout: u8,
        /// Stage 1 is on.
        21:21   Field   stage1: bool,
        20:19   Field   world_number: u8,
        18:3    Field   vmid: u16,
        2:1     Ignored _r2,
        /// [`Stream::Serve`].
        0:0     Field   serves: bool,
    }
}

impl Packed {
    /// From what an STE means.
    pub fn new(stream: &Stream) -> Self {
        let Stream::Serve(service) = stream else { return Self::ZERO };
        let Service { world, vmid, contexts, stage2, stage2_stalls, stage2_records, merge, overrides } =
            service;
        let choice = |chosen: Option<bool>| chosen.map_or(0, |on| 2 | u8::from(on));
        let number = |chosen: Option<u8>| chosen.map_or(0, |value| value + 1);
        let Overrides { instruction, privileged, memory, shareability } = *overrides;
        let packed = Self::ZERO
            .with_serves(true)
            .with_vmid(*vmid)
            .with_world_number(match world {
                StreamWorld::El1 => 0,
                StreamWorld::El2 => 1,
                StreamWorld::El2E2h => 2,
            })
            .with_stage2_stalls(*stage2_stalls)
            .with_stage2_records(*stage2_records)
            .with_merge(*merge)
            .with_over_instruction(choice(instruction))
            .with_over_privileged(choice(privileged))
            .with_over_memory(number(memory))
            .with_over_shareability(number(shareability));
        let packed = contexts.as_ref().map_or(packed, |contexts| packed.with_context_table(contexts));
        stage2.as_ref().map_or(packed, |stage2| packed.with_stage2_tables(stage2))
    }

    fn with_context_table(self, contexts: &ContextTable) -> Self {
        let ContextTable { base, layout, log2_count, default, no_stall } = *contexts;
        self.with_stage1(true)
            .with_contexts(base)
            .with_layout(match layout {
                ContextLayout::Linear => 0,
                ContextLayout::Leaves4K => 1,
                ContextLayout::Leaves64K => 2,
            })
            .with_log2_count(log2_count)
            .with_substreams(match default {
                DefaultSubstream::Terminate => 0,
                DefaultSubstream::Bypass => 1,
                DefaultSubstream::First => 2,
            })
            .with_no_stall(no_stall)
    }

    fn with_stage2_tables(self, stage2: &Stage2) -> Self {
        let Stage2 {
            granule,
            input_bits,
            start_level,
            table,
            output_bits,
            ds,
            big_endian,
            protected_walk,
            forced_write_back,
            xnx,
            shareability,
            update: HardwareUpdate { access, dirty, no_access_fault },
        } = *stage2;
        self.with_stage2(true)
            .with_table(table.0)
            .with_granule(granule_number(granule))
            .with_input_bits(input_bits)
            // -1 to 3.
            .with_start_level((start_level + 1).clamp(0, 4) as u8)
            .with_output_bits(output_bits)
            .with_ds(ds)
            .with_big_endian(big_endian)
            .with_protected_walk(protected_walk)
            .with_forced_write_back(forced_write_back)
            .with_xnx(xnx)
            .with_shareability(shareability)
            .with_access(access)
            .with_dirty(dirty)
            .with_no_access_fault(no_access_fault)
    }

    /// What the stream is given, unless it is to be aborted.
    pub fn service(self) -> Service {
        Service {
            world: self.world(),
            vmid: self.vmid(),
            contexts: self.context_table(),
            stage2: self.stage2_tables(),
            stage2_stalls: self.stage2_stalls(),
            stage2_records: self.stage2_records(),
            merge: self.merge(),
            overrides: self.overrides(),
        }
    }

    /// [`Service::world`].
    #[inline]
    pub fn world(self) -> StreamWorld {
        match self.world_number() {
            0 => StreamWorld::El1,
            1 => StreamWorld::El2,
            _ => StreamWorld::El2E2h,
        }
    }

    /// [`Service::overrides`].
    #[inline]
    pub fn overrides(self) -> Overrides {
        let choice = |bits: u8| (bits & 2 != 0).then_some(bits & 1 != 0);
        Overrides {
            instruction: choice(self.over_instruction()),
            privileged: choice(self.over_privileged()),
            memory: self.over_memory().checked_sub(1),
            shareability: self.over_shareability().checked_sub(1),
        }
    }

    /// [`Service::contexts`].
    #[inline]
    pub fn context_table(self) -> Option<ContextTable> {
        // In a branch: what is not there is not unpacked.
        if !self.stage1() {
            return None;
        }
        Some(ContextTable {
            base: self.contexts(),
            layout: match self.layout() {
                0 => ContextLayout::Linear,
                1 => ContextLayout::Leaves4K,
                _ => ContextLayout::Leaves64K,
            },
            log2_count: self.log2_count(),
            default: match self.substreams() {
                0 => DefaultSubstream::Terminate,
                1 => DefaultSubstream::Bypass,
                _ => DefaultSubstream::First,
            },
            no_stall: self.no_stall(),
        })
    }

    /// [`Service::stage2`].
    #[inline]
    pub fn stage2_tables(self) -> Option<Stage2> {
        if !self.stage2() {
            return None;
        }
        Some(Stage2 {
            granule: self.stage2_granule(),
            input_bits: self.input_bits(),
            start_level: i32::from(self.start_level()) - 1,
            table: Pa(self.table()),
            output_bits: self.output_bits(),
            ds: self.ds(),
            big_endian: self.big_endian(),
            protected_walk: self.protected_walk(),
            forced_write_back: self.forced_write_back(),
            xnx: self.xnx(),
            shareability: self.shareability(),
            update: HardwareUpdate {
                access: self.access(),
                dirty: self.dirty(),
                no_access_fault: self.no_access_fault(),
            },
        })
    }

    /// [`Stage2::granule`]; some granule without stage 2.
    #[inline]
    pub fn stage2_granule(self) -> Granule {
        granule_of(self.granule())
    }
}
