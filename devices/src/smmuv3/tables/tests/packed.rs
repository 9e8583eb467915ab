//! Decoded entries survive being packed.

use crate::addr::Pa;
use crate::smmuv3::invalidation::StreamWorld;
use crate::smmuv3::tables::cd::{self, Context, OnFault};
use crate::smmuv3::tables::ste::{
    self, ContextLayout, ContextTable, DefaultSubstream, Overrides, Service, Stream,
};
use crate::smmuv3::vmsa::{Granule, Half, HardwareUpdate, Stage1, Stage2};

/// Xorshift, so that every run sees the same values.
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn flag(&mut self) -> bool {
        self.number() >> 40 & 1 != 0
    }

    fn below(&mut self, n: u32) -> u32 {
        (self.number() >> 40) as u32 % n
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.flag() { Some(make(self)) } else { None }
    }

    fn granule(&mut self) -> Granule {
        [Granule::K4, Granule::K16, Granule::K64][self.below(3) as usize]
    }

    fn update(&mut self) -> HardwareUpdate {
        HardwareUpdate { access: self.flag(), dirty: self.flag(), no_access_fault: self.flag() }
    }

    fn contexts(&mut self) -> ContextTable {
        use {ContextLayout::*, DefaultSubstream::*};
        ContextTable {
            base: self.number(),
            layout: [Linear, Leaves4K, Leaves64K][self.below(3) as usize],
            log2_count: self.below(21),
            default: [Terminate, Bypass, First][self.below(3) as usize],
            no_stall: self.flag(),
        }
    }

    fn stage2(&mut self) -> Stage2 {
        Stage2 {
            granule: self.granule(),
            input_bits: self.below(53),
            start_level: self.below(5) as i32 - 1,
            table: Pa(self.number()),
            output_bits: self.below(53),
            ds: self.flag(),
            big_endian: self.flag(),
            protected_walk: self.flag(),
            forced_write_back: self.flag(),
            xnx: self.flag(),
            shareability: self.below(4) as u8,
            update: self.update(),
        }
    }

    fn service(&mut self) -> Service {
        use StreamWorld::*;
        Service {
            world: [El1, El2, El2E2h][self.below(3) as usize],
            vmid: self.number() as u16,
            contexts: self.some(Self::contexts),
            stage2: self.some(Self::stage2),
            stage2_stalls: self.flag(),
            stage2_records: self.flag(),
            merge: self.flag(),
            overrides: Overrides {
                instruction: self.some(Self::flag),
                privileged: self.some(Self::flag),
                memory: self.some(|random| random.below(16) as u8),
                shareability: self.some(|random| random.below(4) as u8),
            },
        }
    }

    fn half(&mut self) -> Half {
        Half {
            granule: self.granule(),
            input_bits: self.below(53),
            table: self.number(),
            top_byte_ignored: self.flag(),
            no_hierarchy: self.flag(),
            no_unprivileged: self.flag(),
            shareability: self.below(4) as u8,
        }
    }

    fn context(&mut self) -> Context {
        Context {
            stage1: Stage1 {
                low: self.some(Self::half),
                high: self.some(Self::half),
                single: self.flag(),
                output_bits: self.below(53),
                ds: self.flag(),
                big_endian: self.flag(),
                write_implies_xn: self.flag(),
                pan: self.flag(),
                update: self.update(),
                mair: self.number(),
            },
            asid: self.number() as u16,
            aset: self.flag(),
            on_fault: OnFault { stall: self.flag(), abort: self.flag(), record: self.flag() },
        }
    }
}

#[test]
fn an_ste_is_what_it_was() {
    let mut random = Random(0x5afe_c0de);
    for _ in 0..20_000 {
        let service = random.service();
        let packed = ste::Packed::new(&Stream::Serve(service));
        assert!(packed.serves());
        assert_eq!(packed.service(), service, "{packed:?}");
    }
    assert!(!ste::Packed::new(&Stream::Abort).serves());
}

#[test]
fn a_cd_is_what_it_was() {
    let mut random = Random(0xc0de_5afe);
    for _ in 0..20_000 {
        let context = random.context();
        let packed = cd::Packed::new(&context);
        assert_eq!(packed.context(), context, "{packed:?}");
        let Stage1 { low, high, single, .. } = context.stage1;
        for (address, half) in [(0x7f << 48, low), (0x80 << 48, if single { low } else { high })] {
            let expected = half.map(|half| (half.granule, half.top_byte_ignored));
            assert_eq!(packed.half_of(address), expected);
        }
        let closes = low.into_iter().chain(high).any(|half| half.no_unprivileged);
        assert_eq!(packed.closes_a_half(), closes);
    }
}
