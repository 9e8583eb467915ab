//! The decoders of an SMMU: words in, typed value or architected error out; and walks of small tables.
//!
//! What is asserted is what the specification says about single fields, written as literals: which bits
//! make an entry illegal or without effect, where what is legal may lie, and what a command may name.

use std::cell::RefCell;

use devices::addr::{Pa, StreamId};
use devices::mem::PhysMem;
use devices::smmuv3::Config;
use devices::smmuv3::command::{self, Command};
use devices::smmuv3::event::{FaultKind, Stage};
use devices::smmuv3::invalidation::{AddressRange, ConfigScope, StreamWorld, TlbScope};
use devices::smmuv3::regs::{Cr2, StrtabBase, StrtabBaseCfg};
use devices::smmuv3::tables::Lookup;
use devices::smmuv3::tables::cd::{self, Cd, Context};
use devices::smmuv3::tables::context_table::L1Cd;
use devices::smmuv3::tables::ste::{self, ContextTable, Service, Ste, Stream};
use devices::smmuv3::tables::stream_table::{L1Std, StreamTable};
use devices::smmuv3::vmsa::{Attributes, Mapping, Regime, WalkFault, Wanted, translate};

use super::action::{Action, Dma};
use super::record::{Input, Record};
use super::smmuv3::plan::{BASE, CMDQ_PROD, COMMANDS, COMMANDS_LOG2, STREAMS};

/// An entry is as many records.
const WORDS: usize = 8;

/// A legal STE of Config 111 with everything of 4-KiB granules, that records carry their differences to.
const STE: [u64; 8] =
    [0xf | CONTEXTS, 0, (25 | 1 << 6 | 5 << 16 | 1 << 19 | 1 << 26) << 32, TABLES, 0, 0, 0, 0];
/// A legal CD: 39 bits from one table for both halves.
const CD: [u64; 8] = [
    25 | 25 << 16 | 2 << 22 | 1 << 31 | 5 << 32 | 1 << 41 | 1 << 45 | 1 << 46,
    TABLES,
    TABLES,
    0xff,
    0,
    0,
    0,
    0,
];
const CONTEXTS: u64 = BASE + 0x8000;
const TABLES: u64 = BASE + 0xa000;

/// Bits that no stage 2 of Non-secure state has: those of Secure state, and what is implementation defined
/// or of features that are not there [SMMUv3 5.2].
const STE_IGNORED: [u64; 8] = [0, 0x1 << 26 | 0xfff << 52, 0xffff << 16, 0xff << 56, !0, !0, !0, !0];
/// The same of a CD [SMMUv3 5.4]: AMAIR, MPAM, permission indirection.
const CD_IGNORED: [u64; 8] = [0, 0, 0, 0, !0, !0, !0, !0];

/// Feeds `data` to every decoder it names.
///
/// # Panics
/// If what the module says does not hold.
pub fn smmuv3_decode(data: &[u8]) {
    let (config, entries) = parse(data);
    for (first, words) in entries {
        match first.kind % 6 {
            0 => stream(&config, first, words),
            1 => context(&config, first, words),
            2 => order(&config, first, [words[0], words[1]]),
            3 => stream_table(&config, first, words),
            4 => context_table(&config, first, words),
            _ => walk(&config, first, words),
        }
    }
}

fn parse(data: &[u8]) -> (Config, Vec<(Record, [u64; WORDS])>) {
    let Input { config, records } = Input::parse(data);
    let preset = Config::preset(Config::PRESETS[usize::from(config) % Config::PRESETS.len()]);
    // The names are those of the presets.
    let config = preset.expect("a preset is known by its name");
    let entry = |records: &[Record]| {
        let words = std::array::from_fn(|at| records.get(at).map_or(0, |record| record.value));
        (records[0], words)
    };
    (config, records.chunks(WORDS).map(entry).collect())
}

/// What `data` is to a unit: each entry put where hardware looks for it, and looked at; and the preset.
pub fn plan(data: &[u8]) -> (&'static str, Vec<Action>) {
    let (_, entries) = parse(data);
    let preset =
        Config::PRESETS[data.first().map_or(0, |config| usize::from(*config)) % Config::PRESETS.len()];
    let mut actions = vec![
        Action::Write { offset: 0x80, size: 8, value: STREAMS },
        Action::Write { offset: 0x88, size: 4, value: 6 },
        Action::Write { offset: 0x90, size: 8, value: COMMANDS | COMMANDS_LOG2 },
        Action::Write { offset: 0x20, size: 4, value: 9 },
    ];
    let store = |at: u64, words: &[u64], actions: &mut Vec<Action>| {
        for (address, value) in (at..).step_by(8).zip(words) {
            actions.push(Action::Memory { address, value: *value });
        }
    };
    let stream = STREAMS + u64::from(Dma::write(0, 4).source) * 64;
    let mut tail = 0;
    for (first, words) in entries {
        let address = u64::from(first.shape) << 12;
        match first.kind % 6 {
            0 => store(stream, &differences(STE, words), &mut actions),
            1 => {
                store(stream, &STE, &mut actions);
                store(CONTEXTS, &differences(CD, words), &mut actions);
            }
            2 => {
                store(COMMANDS + tail % 0x100 * 16, &words[..2], &mut actions);
                tail += 1;
                actions.push(Action::Write { offset: CMDQ_PROD, size: 4, value: tail & 0x1ff });
            }
            _ => continue,
        }
        actions.push(Action::Dma(Dma::write(address, 4)));
    }
    (preset, actions)
}

fn differences(entry: [u64; WORDS], words: [u64; WORDS]) -> [u64; WORDS] {
    std::array::from_fn(|at| entry[at] ^ words[at])
}

fn without(words: [u64; WORDS], mask: [u64; WORDS]) -> [u64; WORDS] {
    std::array::from_fn(|at| words[at] & !mask[at])
}

fn cr2(first: Record) -> Cr2 {
    Cr2::from_raw(u32::from(first.place & 1))
}

fn stream(config: &Config, first: Record, words: [u64; WORDS]) {
    let words = differences(STE, words);
    let decode = |words| ste::decode(Ste::from_raw(words), config, cr2(first));
    let found = decode(words);
    assert_eq!(found, decode(without(words, STE_IGNORED)), "ignored bits matter: {words:#x?}");
    let (valid, kind) = (words[0] & 1 != 0, words[0] >> 1 & 7);
    let service = match found {
        Err(_) => return,
        Ok(Stream::Abort) => return assert!(valid && kind & 4 == 0, "{words:#x?}"),
        Ok(Stream::Serve(service)) => service,
    };
    assert!(valid && kind & 4 != 0, "{words:#x?}");
    let Service { world, vmid, contexts, stage2, .. } = service;
    assert_eq!((contexts.is_some(), stage2.is_some()), (kind & 1 != 0, kind & 2 != 0), "{words:#x?}");
    assert!(contexts.is_none() || config.idr0.s1p(), "stage 1 is not there");
    assert!(stage2.is_none() || config.idr0.s2p(), "stage 2 is not there");
    assert!(world == StreamWorld::El1 || config.idr0.hyp() && kind == 5, "{world:?}: {words:#x?}");
    assert!(vmid == 0 || u64::from(vmid) == words[2] & 0xffff, "VMID {vmid:#x}: {words:#x?}");
    assert!(vmid < 0x100 || config.idr0.vmid16(), "VMID {vmid:#x} is too wide");
    if let Some(ContextTable { base, log2_count, no_stall, .. }) = contexts {
        assert!(log2_count <= u32::from(config.idr1.ssidsize()) && base >> config.oas_bits() == 0);
        assert!(base & 0x3f == 0, "CDs at {base:#x}");
        assert_eq!(no_stall, words[1] >> 27 & 1 != 0, "{words:#x?}");
    }
    if let Some(stage2) = stage2 {
        assert!((16..=52).contains(&stage2.input_bits), "{stage2:?}");
        assert!((-1..=3).contains(&stage2.start_level) && config.supports(stage2.granule), "{stage2:?}");
        assert!(stage2.output_bits <= config.oas_bits() && stage2.table.0 >> stage2.output_bits == 0);
        assert_eq!(u64::from(64 - stage2.input_bits), words[2] >> 32 & 0x3f, "{words:#x?}");
        let update = stage2.update;
        assert!(!update.access && !update.dirty || config.idr0.httu() != 0, "{update:?}");
        assert!(words[2] >> 51 & 1 != 0, "S2AA64 is 0: {words:#x?}");
    }
}

/// What a legal STE, by Config and STRW, is to its CDs.
fn service(config: &Config, first: Record) -> Option<Service> {
    let mut words = STE;
    words[0] = words[0] & !0xf | if first.place & 2 == 0 { 0xb } else { 0xf };
    words[1] = u64::from(first.place >> 2 & 1) << 31 | u64::from(first.place >> 3 & 1) << 27;
    match ste::decode(Ste::from_raw(words), config, cr2(first)) {
        Ok(Stream::Serve(service)) => Some(service),
        Ok(Stream::Abort) | Err(_) => None,
    }
}

fn context(config: &Config, first: Record, words: [u64; WORDS]) {
    let words = differences(CD, words);
    let Some(service) = service(config, first) else { return };
    let decode = |words| cd::decode(Cd::from_raw(words), config, &service);
    let found = decode(words);
    assert_eq!(found, decode(without(words, CD_IGNORED)), "ignored bits matter: {words:#x?}");
    let Ok(Context { stage1, asid, on_fault, .. }) = found else { return };
    assert!(words[0] >> 31 & 1 != 0 && words[0] >> 41 & 1 != 0, "V or AA64 is 0: {words:#x?}");
    assert_eq!((stage1.single, stage1.single && asid != 0), (service.world == StreamWorld::El2, false));
    assert!(stage1.single || u64::from(asid) == words[0] >> 48, "ASID {asid:#x}: {words:#x?}");
    assert!(asid < 0x100 || config.idr0.asid16(), "ASID {asid:#x} is too wide");
    let bits = [on_fault.stall, on_fault.record, on_fault.abort].map(u64::from);
    assert_eq!(bits, [44, 45, 46].map(|bit| words[0] >> bit & 1), "{on_fault:?}: {words:#x?}");
    let no_stall = service.contexts.is_some_and(|table| table.no_stall) || config.idr0.stall_model() == 1;
    assert!(!on_fault.stall || !no_stall, "CD.S is 1: {words:#x?}");
    let disabled = [14, 30].map(|bit| words[0] >> bit & 1 != 0);
    assert_eq!(stage1.low.is_some(), stage1.single || !disabled[0], "TTB0: {words:#x?}");
    assert_eq!(stage1.high.is_some(), !stage1.single && !disabled[1], "TTB1: {words:#x?}");
    assert!(stage1.output_bits <= config.oas_bits(), "{stage1:?}");
    let sizes = [words[0] & 0x3f, words[0] >> 16 & 0x3f];
    for (half, size) in [stage1.low, stage1.high].into_iter().zip(sizes) {
        let Some(half) = half else { continue };
        assert!((16..=52).contains(&half.input_bits) && config.supports(half.granule), "{half:?}");
        // SMMUv3.0 may take a size out of range for one in range.
        assert!(config.minor == 0 || u64::from(64 - half.input_bits) == size, "{half:?}: {words:#x?}");
        assert!(half.table >> config.oas_bits() == 0 && half.table & 0xf == 0, "{half:?}");
    }
    let update = stage1.update;
    assert!(!update.access && !update.dirty || config.idr0.httu() != 0, "{update:?}");
}

/// Every command.
fn order(config: &Config, first: Record, words: [u64; 2]) {
    // Mostly an opcode that is there.
    const OPCODES: [u64; 24] = [
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x22, 0x23, 0x28, 0x2a, 0x30,
        0x44, 0x45, 0x46, 0x12, 0x2a, 0x22, 0x13,
    ];
    let opcode = match first.place {
        at @ 0..0xc0 => OPCODES[usize::from(at) % OPCODES.len()],
        _ => words[0] & 0xff,
    };
    let words = [words[0] & !0xff | opcode, words[1]];
    let found = command::decode(words, config, first.shape & 0xf);
    let there = match opcode {
        0x01..=0x04 | 0x30 | 0x46 => true,
        0x05 | 0x06 | 0x10..=0x13 => config.idr0.s1p(),
        0x20..=0x23 => config.idr0.hyp(),
        0x28 | 0x2a => config.idr0.s2p(),
        0x44 | 0x45 => config.idr0.stall_model() != 1,
        _ => false,
    };
    let Ok(command) = found else {
        return;
    };
    assert!(there, "a command that is not there is {command:?}: {words:#x?}");
    let secure = words[0] >> 10 & 1 != 0;
    assert!(!secure || !matches!(opcode, 0x01..=0x06 | 0x44 | 0x45), "the Secure stream table: {command:?}");
    match command {
        Command::Config(ConfigScope::Streams { first, last, .. }) => {
            let stream = StreamId((words[0] >> 32) as u32);
            assert!(first <= stream && stream <= last, "{command:?}: {words:#x?}");
        }
        Command::Tlb(TlbScope::Va { range, .. } | TlbScope::Ipa { range, .. }) => {
            let AddressRange { first, last, leaf } = range;
            let mask = if opcode == 0x2a { (1 << 52) - 1 } else { u64::MAX };
            let address = words[1] & mask & !0xfff;
            assert!(first <= address && last - first >= 0xfff, "{range:x?}: {words:#x?}");
            assert!(first & 0xfff == 0 && last & 0xfff == 0xfff && leaf == (words[1] & 1 != 0), "{range:x?}");
            // Without range invalidation, and without a granule, there is one address.
            let single = !config.idr3.ril() || words[1] >> 10 & 3 == 0;
            assert!(!single || (first, last) == (address, address | 0xfff), "{range:x?}: {words:#x?}");
        }
        Command::Prefetch
        | Command::Config(_)
        | Command::Tlb(_)
        | Command::Release(..)
        | Command::Sync(_) => {}
    }
}

fn stream_table(config: &Config, first: Record, words: [u64; WORDS]) {
    // Registers are 32 bits.
    let cfg = words[1] as u32;
    let base = StrtabBase::from_raw(words[0]);
    let table = StreamTable::new(base, StrtabBaseCfg::from_raw(cfg), config);
    let stream = StreamId((words[2] >> (first.shape & 0x1f)) as u32);
    let bits = (cfg & 0x3f).min(config.idr1.sidsize().into());
    let inside = u64::from(stream.0) >> bits == 0;
    let legal = |at: Pa, align: u64| at.0 >> config.oas_bits() == 0 && at.0.is_multiple_of(align);
    match table.locate(stream) {
        None => assert!(!inside, "stream {stream:?} of 2^{bits} has no entry"),
        Some(Lookup::Linear(at)) => assert!(inside && legal(at, 64), "an STE at {at}"),
        Some(Lookup::TwoLevel { l1 }) => {
            assert!(inside && legal(l1, 8) && cfg >> 16 & 3 == 1, "an L1STD at {l1}");
            let span = words[3] & 0x1f;
            match table.entry(L1Std::from_raw(words[3]), stream) {
                Some(at) => assert!(legal(at, 64) && (1..=11).contains(&span), "an STE at {at}, span {span}"),
                None => {
                    let split = match cfg >> 6 & 0x1f {
                        8 => 8,
                        10 => 10,
                        _ => 6,
                    };
                    let index = u64::from(stream.0) & ((1 << split) - 1);
                    let named = (1..=split + 1).contains(&span) && index >> (span - 1) == 0;
                    assert!(!named, "stream {stream:?} of span {span} has no entry");
                }
            }
        }
    }
}

fn context_table(config: &Config, first: Record, words: [u64; WORDS]) {
    let decoded = ste::decode(Ste::from_raw(differences(STE, words)), config, cr2(first));
    let Ok(Stream::Serve(Service { contexts: Some(table), .. })) = decoded else { return };
    let index = u32::from(first.shape) | u32::from(first.place) << 16;
    let inside = index >> table.log2_count == 0;
    let legal = |at: u64, align: u64| at >> config.oas_bits() == 0 && at.is_multiple_of(align);
    match table.locate(index) {
        None => assert!(!inside, "CD {index} of 2^{} has no place", table.log2_count),
        Some(Lookup::Linear(at)) => assert!(inside && legal(at, 64), "a CD at {at:#x}"),
        Some(Lookup::TwoLevel { l1 }) => {
            assert!(inside && legal(l1, 8), "an L1CD at {l1:#x}");
            let descriptor = words[7];
            let at = table.entry(L1Cd::from_raw(descriptor), index, config);
            // L2Ptr, bits 55:12, has as many as an address [SMMUv3 3.4.3].
            let reachable = (descriptor & 0x00ff_ffff_ffff_f000) >> config.oas_bits() == 0;
            assert_eq!(at.is_some(), descriptor & 1 != 0 && reachable, "L1CD {descriptor:#x}");
            assert!(at.is_none_or(|at| legal(at, 64)), "a CD at {at:x?}");
        }
    }
}

thread_local! {
    static MEM: RefCell<Option<PhysMem>> = const { RefCell::new(None) };
}

/// Three tables of 4-KiB granule, the last two descriptors of which are the input's.
fn walk(config: &Config, first: Record, words: [u64; WORDS]) {
    let Some(service) = service(config, Record { place: first.place & !2, ..first }) else { return };
    let mut cd = CD;
    cd[0] ^= words[4] & 0x3f_ff00_0000_0000 & !(1 << 41);
    let Ok(context) = cd::decode(Cd::from_raw(cd), config, &service) else { return };
    MEM.with_borrow_mut(|mem| {
        let mem = mem.get_or_insert_with(|| {
            // 64 KiB; a host that cannot map them cannot fuzz.
            PhysMem::anonymous(&[(Pa(BASE), 0x1_0000)]).expect("the host has memory for the tables")
        });
        // The three tables follow each other; what the walk is for lies in their first entries.
        let entries = [(TABLES + 0x1000) | 3, words[0], words[1]];
        for (at, entry) in (TABLES..).step_by(0x1000).zip(entries) {
            assert!(mem.write(Pa(at), &entry.to_le_bytes()).is_ok(), "{at:#x} is RAM");
        }
        let wide = config.oas_bits() == 52;
        let regime =
            Regime { stage1: Some(&context.stage1), stage2: None, wide, incoming: Attributes::DEFAULT };
        let input = u64::from(first.shape);
        let wanted = Wanted {
            read: first.place & 0x10 == 0,
            write: first.place & 0x10 != 0,
            instruction: first.place & 0x30 == 0x20,
            privileged: first.place & 0x40 != 0,
        };
        match translate(mem, &regime, input & 0xfff, wanted, &mut ()) {
            Ok(mapping) => mapped(&context, words, input & 0xfff, wanted, mapping),
            Err(WalkFault::Abort { stage, at, .. }) => {
                assert!(stage == Stage::One && mem.load64(at).is_err(), "a walk ends at {at}, which is RAM");
            }
            Err(WalkFault::Fault(fault)) => {
                assert!(fault.stage == Stage::One && fault.ipa.is_none(), "{fault:?}");
                let all_valid = words[0] & 1 != 0 && (words[0] & 2 == 0 || words[1] & 3 == 3);
                let closed = context.stage1.low.is_some_and(|half| half.no_unprivileged);
                let own = words[0] & 0xffff_ffff_f000 != TABLES + 0x2000;
                assert!(
                    fault.kind != FaultKind::Translation || !all_valid || closed || own,
                    "{fault:?}: {words:#x?}"
                );
            }
        }
    });
}

fn mapped(context: &Context, words: [u64; WORDS], input: u64, wanted: Wanted, mapping: Mapping) {
    let Mapping { pa, size_bits, block_bits, ipa, stage1, .. } = mapping;
    assert_eq!((pa.0 & 0xfff, ipa.0), (input, pa.0), "{mapping:x?}");
    assert!(pa.0 >> context.stage1.output_bits == 0, "{mapping:x?} is beyond the output");
    assert!([12, 21, 30, 39].contains(&block_bits) && size_bits == block_bits, "{mapping:x?}");
    assert!(words[0] & 1 != 0, "an invalid descriptor maps: {words:#x?}");
    // A block of 2 MiB, or what the next table has.
    assert_eq!(block_bits == 21, words[0] & 2 == 0, "{mapping:x?}: {words:#x?}");
    assert!(stage1.grant(wanted), "{mapping:x?} for {wanted:?}");
}
