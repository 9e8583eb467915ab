//! The decoders: words in, typed value or architected fault out.
//!
//! What is asserted is what the specification says about single bits, written as literals: a decoder
//! accepts no entry with a reserved bit set, and what it accepts lies where it may.

use devices::addr::{Pa, SourceId};
use devices::exerciser::{Descriptor as Transfer, Operation};
use devices::fabric::is_message;
use devices::iommu::walk::{Entry, Format, Rights, Steps, Table, walk};
use devices::mem::NotRam;
use devices::register::block::{self, DwordSpace, Rules};
use devices::vtd::fault::Reason;
use devices::vtd::interrupt_remapping::{self, Format as Request, Irte};
use devices::vtd::invalidation_queue::{self, Descriptor, QueueError};
use devices::vtd::regs::Irta;
use devices::vtd::tables::{self, ContextEntry, RootEntry, SecondStage, Translation};
use devices::vtd::{AddressWidth, Config};

use super::action::{Action, CONTEXT, Dma, INTERRUPTS, QUEUE, ROOT, SOURCES, set_context, set128};
use super::record::{Input, Record};

/// Address bits above the 48 that the unit has.
const BEYOND: u64 = 0xffff_0000_0000_0000;

/// Feeds `data` to every decoder it names.
///
/// # Panics
/// If what the module says does not hold.
pub fn decode(data: &[u8]) {
    let Input { config, records } = Input::parse(data);
    let width = AddressWidth::ALL[usize::from(config) % 3];
    let preset = Config::preset(Config::PRESETS[0]);
    // The first of the presets exists.
    let config = Config { address_width: width, ..preset.expect("a preset is known by its name") };
    for pair in records.chunks(2) {
        Words::of(pair).decode(&config);
    }
}

/// What `data` is to a unit: each entry put where hardware looks for it, and looked at.
pub fn plan(data: &[u8]) -> Vec<Action> {
    let Input { config: _, records } = Input::parse(data);
    let mut actions = vec![
        Action::Write { offset: 0x20, size: 8, value: ROOT },
        Action::Write { offset: 0x90, size: 8, value: QUEUE },
        Action::Write { offset: 0xb8, size: 8, value: INTERRUPTS | 7 },
        Action::Write { offset: 0x18, size: 4, value: 0x4100_0000 },
        Action::Write { offset: 0x18, size: 4, value: 0x8600_0000 },
    ];
    let mut tail = 0;
    for pair in records.chunks(2) {
        Words::of(pair).place(&mut tail, &mut actions);
    }
    actions
}

/// Two words, and what they are.
struct Words {
    first: Record,
    words: [u64; 2],
}

impl Words {
    fn of(pair: &[Record]) -> Self {
        let first = pair[0];
        let high = pair.get(1).map_or(0, |second| second.value);
        Self { first, words: [first.value, high] }
    }

    fn decode(&self, config: &Config) {
        let Self { first: Record { kind, place, shape, .. }, words } = *self;
        match kind % 8 {
            0 => root(words),
            1 => context(words, config),
            2 => second_stage(place, words, config),
            3 => descriptor(words, config),
            4 => request(words),
            5 => interrupt_entry(words, (place & 2 == 0).then_some(SourceId(shape)), place & 1 != 0),
            6 => blocks(place, shape, words),
            _ => transfer(words, shape),
        }
    }

    fn place(&self, tail: &mut u64, actions: &mut Vec<Action>) {
        let Self { first: Record { kind, place, shape, .. }, words } = *self;
        let look = Action::Dma(Dma::write(words[1], 4));
        match kind % 8 {
            0 => {
                set128(ROOT, words, actions);
                actions.push(look);
            }
            1 => {
                set_context(SOURCES[0], words, actions);
                actions.push(look);
            }
            2 => {
                let level = u64::from(place % 5) + 1;
                set_context(SOURCES[0], [(CONTEXT + 0x1000 * level) | 1, 0x102], actions);
                actions.push(Action::Memory { address: CONTEXT + 0x1000 * level, value: words[0] });
                actions.push(Action::Dma(Dma::write(words[1] & 0x1ff_ffff, 4)));
            }
            3 => {
                set128(QUEUE + *tail * 16, words, actions);
                *tail = (*tail + 1) % 256;
                actions.push(Action::Write { offset: 0x88, size: 8, value: *tail << 4 });
            }
            4 => actions.push(Action::Dma(Dma::write(0xfee0_0000 | words[0] & 0xf_fffc, 4))),
            5 => {
                set128(INTERRUPTS, words, actions);
                actions.push(Action::Dma(Dma::write(0xfee0_0010, 4)));
            }
            _ => {
                let size = [1, 2, 4, 8][usize::from(place & 3)];
                let offset = u64::from(shape & 0xfff);
                actions.push(Action::Write { offset, size, value: words[0] });
                actions.push(Action::Read { offset, size });
            }
        }
    }
}

fn root(words: [u64; 2]) {
    let [low, high] = words;
    let decoded = tables::decode_root(RootEntry::from_raw(words));
    let expected = if low & 1 == 0 {
        Err(Reason::RootNotPresent)
    } else if low & (0xffe | BEYOND) != 0 || high != 0 {
        Err(Reason::RootReserved)
    } else {
        Ok(Pa(low & !0xfff))
    };
    assert_eq!(decoded, expected, "{words:#x?}");
}

fn context(words: [u64; 2], config: &Config) {
    let [low, high] = words;
    match tables::decode_context(ContextEntry::from_raw(words), config.cap(), config.ecap()) {
        Ok(context) => {
            assert_eq!((low & 0xff1, high & 0xffff_ffff_ff00_0080), (1, 0), "reserved bits of {words:#x?}");
            assert_eq!(u64::from(context.domain), high >> 8 & 0xffff);
            assert_eq!(context.fpd, low & 2 != 0);
            assert!((1..=3).contains(&(high & 7)), "AW of {words:#x?}");
            match context.translation {
                Translation::SecondStage { root, width } => {
                    assert_eq!((low & 0xc, root), (0, Pa(low & !0xfff)));
                    assert_eq!(low & BEYOND, 0, "a table out of reach: {words:#x?}");
                    assert!(width <= config.address_width, "{width:?} is not supported");
                }
                Translation::PassThrough => assert_eq!(low & 0xc, 8),
            }
        }
        Err(reason) => {
            assert_eq!(reason == Reason::ContextNotPresent, low & 1 == 0, "{words:#x?}: {reason:?}");
        }
    }
}

fn second_stage(place: u8, words: [u64; 2], config: &Config) {
    let format = SecondStage::new(config.address_width, config.cap());
    let [raw, input] = words;
    let level = u32::from(place) % format.top() + 1;
    let size = 1u64 << (12 + 9 * (level - 1));
    match format.decode(level, raw) {
        Entry::Absent => assert_eq!(raw & 3, 0),
        Entry::Reserved => assert_ne!(raw & 3, 0),
        Entry::Table { next, rights } => {
            assert!(level > 1 && raw & 0x80 == 0, "a table at level {level}: {raw:#x}");
            assert_eq!((next, rights), (Pa(raw & 0xffff_ffff_f000), Rights::from_bits(raw)));
        }
        Entry::Page { base, rights } => {
            assert!(level == 1 || (level < 4 && raw & 0x80 != 0), "a page at level {level}: {raw:#x}");
            assert_eq!((base.0 & (size - 1), rights), (0, Rights::from_bits(raw)));
        }
    }
    // A walk sees each level once, whatever the entries say.
    let mut entries = Entries { raw, input, fetches: 0 };
    let walked = walk(&format, Table::root(&format, Pa(0x1000)), input, &mut entries);
    assert!(entries.fetches <= format.top(), "{} fetches", entries.fetches);
    if let Ok(leaf) = walked {
        let size = 1u64 << (12 + 9 * (leaf.level - 1));
        assert_eq!(leaf.output.0 & (size - 1), input & (size - 1), "the offset in the page");
        assert_eq!(leaf.output.0 & BEYOND, 0, "{} is out of reach", leaf.output);
    }
}

/// Tables that hold `raw` at every other level, and something else between.
struct Entries {
    raw: u64,
    input: u64,
    fetches: u32,
}

impl Steps<SecondStage> for Entries {
    type Error = NotRam;

    fn fetch(&mut self, level: u32, address: Pa) -> Result<u64, NotRam> {
        self.fetches += 1;
        assert_eq!(address.0 & 7, 0, "an entry at {address}");
        Ok(if self.fetches.is_multiple_of(2) { self.raw ^ self.input.rotate_left(level) } else { self.raw })
    }

    fn reached(&mut self, table: Table) {
        assert_eq!(table.base.0 & (BEYOND | 0xfff), 0, "{table:?} is no table");
    }
}

fn descriptor(words: [u64; 2], config: &Config) {
    let [low, high] = words;
    let kind = (low >> 9 & 7) << 4 | low & 0xf;
    // Reserved bits that no descriptor of this type may have [VT-d 6.5.2].
    let (reserved_low, reserved_high) = match kind {
        1 => (0xfffc_0000_0000_f1c0, u64::MAX),
        2 => (0xffff_ffff_0000_f100, 0xf80),
        4 => (0xffff_0000_07ff_f1e0, u64::MAX),
        5 => (0x0000_0000_ffff_f180, 3),
        _ => (0, 0),
    };
    match invalidation_queue::decode([low, high, 0, 0], config.cap(), config.ecap()) {
        Ok(decoded) => {
            let expected = match decoded {
                Descriptor::Context(_) => 1,
                Descriptor::Iotlb(_) => 2,
                Descriptor::Interrupt(_) => 4,
                Descriptor::Wait { .. } => 5,
            };
            assert_eq!(kind, expected, "{words:#x?}: {decoded:?}");
            assert_eq!((low & reserved_low, high & reserved_high), (0, 0), "{words:#x?}: {decoded:?}");
        }
        Err(QueueError::InvalidType) => assert!(![1, 2, 4, 5].contains(&kind), "{words:#x?}"),
        Err(error) => assert_eq!(error, QueueError::Reserved, "{words:#x?}"),
    }
}

fn request(words: [u64; 2]) {
    // An address in the window and 32 bits of data.
    let (address, data) = (0xfee0_0000 | words[0] & 0xf_fffc, words[1] as u32);
    match interrupt_remapping::decode_request(address, data) {
        Ok(Request::Compatibility) => assert_eq!(address & 0x10, 0),
        Ok(Request::Remappable(index)) => {
            let handle = (address >> 5 & 0x7fff | (address & 4) << 13) as u32;
            let subhandle = if address & 8 != 0 { data } else { 0 };
            assert_eq!((address & 0x10, index), (0x10, handle + subhandle));
            let irta = Irta::from_raw(words[1]);
            let inside = index < 2 << (words[1] & 0xf);
            let at = (words[1] & !0xfff).checked_add(u64::from(index) * 16);
            let expected = at.filter(|at| inside && at & BEYOND == 0).map(Pa);
            let found = interrupt_remapping::entry_address(irta, index);
            assert_eq!(found, expected.ok_or(Reason::InterruptIndex), "{words:#x?}");
        }
        Err(reason) => {
            assert_eq!(reason, Reason::InterruptReserved);
            assert!(address & 0x18 == 0x18 && data >> 16 != 0);
        }
    }
}

fn interrupt_entry(words: [u64; 2], source: Option<SourceId>, extended: bool) {
    let [low, high] = words;
    match interrupt_remapping::remap(Irte::from_raw(words), source, extended) {
        Ok((address, data)) => {
            assert_eq!((low & 1, low & 0xff00_f000, high & 0xffff_ffff_fff0_0000), (1, 0, 0), "{words:#x?}");
            assert!(is_message(address & 0xffff_ffff), "{address:#x} is no message");
            assert_eq!(u64::from(data & 0xff), low >> 16 & 0xff, "the vector");
        }
        Err(reason) => assert_eq!(reason == Reason::InterruptNotPresent, low & 1 == 0, "{reason:?}"),
    }
}

/// Memory behind the block accesses, by dwords.
struct Backing([u32; 8]);

impl DwordSpace for Backing {
    fn read_dword(&mut self, offset: u64) -> u32 {
        self.0[usize::try_from(offset / 4).unwrap_or_default() % 8]
    }

    fn write_dword(&mut self, offset: u64, value: u32, lanes: u32) {
        assert!(offset.is_multiple_of(4) && value & !lanes == 0, "{value:#x} in {lanes:#x} at {offset:#x}");
        let dword = &mut self.0[usize::try_from(offset / 4).unwrap_or_default() % 8];
        *dword = *dword & !lanes | value;
    }
}

fn blocks(place: u8, shape: u16, words: [u64; 2]) {
    let rules = [Rules::Aligned32, Rules::Aligned32Or64, Rules::ByteLanes][usize::from(place) % 3];
    let (offset, length) = (u64::from(shape & 0xf), usize::from(place >> 4));
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&words[0].to_le_bytes());
    bytes[8..].copy_from_slice(&words[1].to_le_bytes());
    let mut backing = Backing([0; 8]);
    block::write(&mut backing, rules, offset, &bytes[..length]);
    let mut read = [0xff; 16];
    block::read(&mut backing, rules, offset, &mut read[..length]);
    let aligned = length > 0 && offset.is_multiple_of(length as u64);
    let served = match rules {
        Rules::Aligned32 => length == 4 && aligned,
        Rules::Aligned32Or64 => (length == 4 || length == 8) && aligned,
        Rules::ByteLanes => true,
    };
    let expected = if served { bytes } else { [0; 16] };
    assert_eq!(read[..length], expected[..length], "{rules:?}: {length} bytes at {offset}");
    // What lies around it is untouched.
    let stored: u32 = backing.0.iter().map(|dword| dword.count_ones()).sum();
    let wanted: u32 = expected[..length].iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(stored, wanted, "{rules:?}: {length} bytes at {offset}");
}

fn transfer(words: [u64; 2], shape: u16) {
    let [low, high] = words;
    let descriptor = Transfer::from_raw([low, high, high, low, high, u64::from(shape), 0, 0]);
    let Ok(operation) = descriptor.operation() else { return };
    assert_eq!(low & 0x8000, 0, "a reserved bit of {low:#x}");
    assert!(low & 0x100 == 0 || low >> 16 & 0xffff < 8, "a vector that is not there: {low:#x}");
    match operation {
        Operation::Read { length, buffer } | Operation::Write { length, buffer } => {
            assert!(length > 0 && length <= 16 << 20 && buffer < 4096);
        }
        Operation::Copy { length, .. } => assert!(length > 0 && length <= 16 << 20),
        Operation::Atomic(op) => assert!(high.is_multiple_of(op.size())),
        Operation::Nop | Operation::ZeroLengthRead => {}
    }
}
