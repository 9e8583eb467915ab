//! Random words: nothing panics, and what is legal keeps what it promises.

use super::*;
use crate::addr::StreamId;
use crate::smmuv3::capability::Config;
use crate::smmuv3::invalidation::StreamWorld;
use crate::smmuv3::regs::{Idr0, Idr1, Idr3, Idr5, StrtabBase, StrtabBaseCfg};
use crate::smmuv3::tables::Lookup;
use crate::smmuv3::tables::context_table::L1Cd;
use crate::smmuv3::tables::stream_table::{L1Std, StreamTable};
use crate::smmuv3::tables::{cd, ste};
use crate::smmuv3::vmsa::{Granule, Half, Stage2};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// `legal` with about one bit in eight of some words turned.
    fn near(&mut self, legal: [u64; 8]) -> [u64; 8] {
        let words = self.next();
        legal.map(|word| {
            let noise = self.next() & self.next() & self.next();
            if words & word.count_ones() as u64 & 1 == 0 { word } else { word ^ noise }
        })
    }

    fn words(&mut self) -> [u64; 8] {
        std::array::from_fn(|_| self.next())
    }
}

fn units(random: &mut Random) -> Vec<Config> {
    let options = ["", "stall=forced", "oas=32", "granules=16k", "ssidsize=0", "vmid16=off,asid16=off"];
    let known = Config::PRESETS.iter().flat_map(|name| options.map(|options| with(name, options)));
    let mut units: Vec<_> = known.collect();
    // Units that no check has passed: a saved one can be anything.
    units.extend((0..24).map(|_| Config {
        idr0: Idr0::from_raw(random.next() as u32),
        idr1: Idr1::from_raw(random.next() as u32),
        idr3: Idr3::from_raw(random.next() as u32),
        idr5: Idr5::from_raw(random.next() as u32),
        minor: random.next() as u8,
        ..with("smmuv3.3-full", "")
    }));
    units
}

/// log2 of the bytes of the tables where a walk begins, less what a first level of 4K would take.
fn check_stage2(stage2: &Stage2, config: &Config) {
    let Stage2 { granule, input_bits, start_level, table, output_bits, .. } = *stage2;
    assert!(config.supports(granule));
    assert!((16..=52).contains(&input_bits) && input_bits <= config.ias_bits().max(16), "{stage2:?}");
    assert!((-1..=3).contains(&start_level));
    let wide = granule == Granule::K64 || stage2.ds;
    assert!(
        output_bits <= config.oas_bits() && (wide || output_bits <= 48 && input_bits <= 48),
        "{stage2:?}"
    );
    assert_eq!(table.0 >> output_bits, 0);
    // Levels below the first have full tables; the first has 1 to 16 of them.
    let below = (3 - start_level) as u32 * (granule.bits() - 3) + granule.bits();
    let entries = 1u64 << (input_bits - below);
    assert!((2..=16 << (granule.bits() - 3)).contains(&entries), "{stage2:?}");
    assert_eq!(table.0 % (entries * 8), 0);
}

fn check_half(half: &Half, config: &Config) {
    assert!(config.supports(half.granule));
    assert!((16..=52).contains(&half.input_bits) && half.input_bits > half.granule.bits(), "{half:?}");
    assert_eq!(half.table % 16, 0);
    assert_ne!(half.shareability, 1);
    assert!(half.table >> config.oas_bits() == 0);
}

#[test]
fn random_entries_never_panic_and_keep_their_promises() {
    let mut random = Random(0x1234_5678);
    let (mut served, mut contexts, mut refused) = (0, 0, 0);
    for config in units(&mut random) {
        for round in 0..3000 {
            let words = if round % 4 == 0 { random.words() } else { random.near(NESTED) };
            let cr2 = Cr2::from_raw(random.next() as u32);
            let service = match ste::decode(Ste::from_raw(words), &config, cr2) {
                Ok(Stream::Abort) => {
                    assert_eq!(words[0] & 0b1001, 1);
                    continue;
                }
                Err(rule) => {
                    assert!(rule == ste::Illegal::NotValid || words[0] & 0b1001 == 0b1001);
                    refused += 1;
                    continue;
                }
                Ok(Stream::Serve(service)) => service,
            };
            served += 1;
            assert_eq!(words[0] & 0b1001, 0b1001);
            assert_eq!(
                (service.contexts.is_some(), service.stage2.is_some()),
                (words[0] & 2 != 0, words[0] & 4 != 0)
            );
            assert!(service.world == StreamWorld::El1 || config.idr0.hyp() && service.stage2.is_none());
            assert!(service.vmid == 0 || config.idr0.s2p() && service.world == StreamWorld::El1);
            if let Some(stage2) = &service.stage2 {
                check_stage2(stage2, &config);
            }
            if let Some(table) = &service.contexts {
                assert!(table.log2_count <= config.idr1.ssidsize().into());
                assert!(table.base % 64 == 0 && table.base >> config.oas_bits() == 0);
                let index = random.next() as u32 >> (random.next() % 32);
                assert_eq!(table.locate(index).is_some(), u64::from(index) < 1 << table.log2_count);
                if let Some(address) = table.entry(L1Cd::from_raw(random.next()), index, &config) {
                    assert!(address % 64 == 0 && address >> config.ias_bits() == 0);
                }
            }
            let words = if round % 4 == 1 { random.words() } else { random.near(BOTH_HALVES) };
            if let Ok(context) = cd::decode(Cd::from_raw(words), &config, &service) {
                contexts += 1;
                let stage1 = &context.stage1;
                [stage1.low, stage1.high].iter().flatten().for_each(|half| check_half(half, &config));
                assert_eq!(stage1.single, service.world == StreamWorld::El2);
                assert!(!stage1.single || stage1.low.is_some() && stage1.high.is_none() && context.asid == 0);
                assert!(stage1.output_bits <= config.oas_bits());
                assert!(!stage1.update.dirty || stage1.update.access);
            }
        }
    }
    assert!(served > 5000 && contexts > 1000 && refused > 5000, "{served} {contexts} {refused}");
}

#[test]
fn random_stream_tables_stay_inside_the_output_size() {
    let mut random = Random(7);
    let (mut found, mut missed) = (0, 0);
    for config in units(&mut random) {
        for _ in 0..2000 {
            let base = StrtabBase::from_raw(random.next());
            let cfg = StrtabBaseCfg::from_raw(random.next() as u32);
            let table = StreamTable::new(base, cfg, &config);
            let stream = StreamId(random.next() as u32 >> (random.next() % 32));
            match table.locate(stream) {
                Some(Lookup::Linear(pa)) => assert!(pa.0 % 64 == 0 && pa.0 & !config.pa_mask() == 0),
                Some(Lookup::TwoLevel { l1 }) => {
                    assert!(l1.0 % 8 == 0 && l1.0 & !config.pa_mask() == 0);
                    let entry = table.entry(L1Std::from_raw(random.next()), stream);
                    entry.inspect(|pa| assert!(pa.0 % 64 == 0 && pa.0 & !config.pa_mask() == 0));
                    if entry.is_some() { found += 1 } else { missed += 1 }
                }
                None => missed += 1,
            }
        }
    }
    assert!(found > 100 && missed > 1000, "{found} {missed}");
}
