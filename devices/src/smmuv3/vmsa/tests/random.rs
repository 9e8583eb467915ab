//! Tables full of anything, and parameters that no legal STE or CD yields: no panic, and a bounded
//! number of fetches.

use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 32) % end
    }

    fn flag(&mut self) -> bool {
        self.below(2) != 0
    }

    fn granule(&mut self) -> Granule {
        [Granule::K4, Granule::K16, Granule::K64][self.below(3) as usize]
    }

    /// A descriptor that mostly leads on: into the tables' memory, valid, accessed.
    fn descriptor(&mut self) -> u64 {
        let raw = self.next();
        match self.below(8) {
            0 => raw,
            1 => raw & 0xfff0_0000_000f_ffff | 0x701,
            2..=4 => raw & 0xf0_0fff | 0x743,
            _ => raw & 0xf_0fff | 0x743,
        }
    }

    fn update(&mut self) -> HardwareUpdate {
        HardwareUpdate { access: self.flag(), dirty: self.flag(), no_access_fault: self.flag() }
    }

    /// Bits of an input: legal ones, or any.
    fn bits(&mut self) -> u32 {
        let bits = if self.below(8) == 0 { self.next() >> 32 } else { 16 + self.below(37) };
        u32::try_from(bits).unwrap()
    }

    fn half(&mut self) -> Option<Half> {
        let half = Half {
            granule: self.granule(),
            input_bits: self.bits(),
            table: self.table(),
            top_byte_ignored: self.flag(),
            no_hierarchy: self.flag(),
            no_unprivileged: self.below(8) == 0,
            shareability: self.below(4) as u8,
        };
        (self.below(8) != 0).then_some(half)
    }

    fn table(&mut self) -> u64 {
        if self.below(16) == 0 { self.next() } else { self.below(16) << 16 }
    }

    fn output_bits(&mut self) -> u32 {
        [32, 36, 40, 48, 52, 64][self.below(6) as usize]
    }

    fn stage1(&mut self) -> Stage1 {
        Stage1 {
            low: self.half(),
            high: self.half(),
            single: self.flag(),
            output_bits: self.output_bits(),
            ds: self.flag(),
            big_endian: self.below(8) == 0,
            write_implies_xn: self.flag(),
            pan: self.flag(),
            update: self.update(),
            mair: self.next(),
        }
    }

    fn stage2(&mut self) -> Stage2 {
        let level = self.below(5) as i32 - 1;
        Stage2 {
            granule: self.granule(),
            input_bits: self.bits(),
            start_level: if self.below(8) == 0 { self.next() as i32 } else { level },
            table: Pa(self.table()),
            output_bits: self.output_bits(),
            ds: self.flag(),
            big_endian: self.below(8) == 0,
            protected_walk: self.flag(),
            forced_write_back: self.flag(),
            xnx: self.flag(),
            shareability: self.below(4) as u8,
            update: self.update(),
        }
    }

    fn wanted(&mut self) -> Wanted {
        Wanted { read: self.flag(), write: self.flag(), instruction: self.flag(), privileged: self.flag() }
    }

    fn address(&mut self) -> u64 {
        let address = self.next() >> (12 + self.below(36));
        if self.flag() { !address } else { address }
    }
}

#[test]
fn walks_end() {
    let mut random = Random(0x1d87_2b41_5f3c_9a77);
    let mem = PhysMem::anonymous(&[(Pa(0), 0x10_0000)]).unwrap();
    let (mut found, mut faults, mut longest) = (0, 0, 0);
    for round in 0..400 {
        if round % 20 == 0 {
            let words: Vec<u8> = (0..0x2_0000).flat_map(|_| random.descriptor().to_le_bytes()).collect();
            mem.write(Pa(0), &words).unwrap();
        }
        let (stage1, stage2) = (random.stage1(), random.stage2());
        for _ in 0..50 {
            let stages = regime(random.flag().then_some(&stage1), random.flag().then_some(&stage2));
            let regime = Regime { wide: random.flag(), ..stages };
            let mut log = Log::default();
            let (address, wanted) = (random.address(), random.wanted());
            match translate(&mem, &regime, address, wanted, &mut log) {
                Ok(mapping) => {
                    found += 1;
                    assert!(mapping.stage1.grant(wanted) && mapping.stage2.grant(wanted));
                    assert!((12..=52).contains(&mapping.size_bits));
                }
                Err(_) => faults += 1,
            }
            // An update of each of five stage-1 descriptors' stage-2 pages, and of the last descriptor
            // itself, is no change by others; only tables that contain themselves can see any.
            let walks = if log.updated.is_empty() { 1 } else { 16 * 16 };
            longest = longest.max(log.fetched.len());
            assert!(log.fetched.len() <= 35 * walks, "{} fetches", log.fetched.len());
            let _ = translate_ipa(&mem, &regime, Ipa(address), &mut ());
        }
    }
    assert!(found > 500 && faults > 500 && longest > 12, "{found} found, {faults} faults, {longest} fetches");
}
