//! Descriptors as literals in memory, and what becomes of an address.
//!
//! Stage-1 tables of the levels lie at [`FIRST`], stage-2 tables at [`SECOND`]; stage 2 puts every page
//! of the first 2 MiB [`MOVED`] bytes up, so an IPA taken for a PA leads nowhere.

mod attributes;
mod faults;
mod geometry;
mod nested;
mod permissions;
mod random;
mod updates;

use super::*;
use crate::mem::PhysMem;
use crate::smmuv3::event::{Class, FaultKind, Stage};

/// Tables of levels 0 to 3.
const FIRST: [u64; 4] = [0x1_0000, 0x2_0000, 0x3_0000, 0x4_0000];
/// Tables of levels 1 to 3; the last has a page for each of the first 2 MiB.
const SECOND: [u64; 3] = [0x20_0000, 0x21_0000, 0x22_0000];
const MOVED: u64 = 0x100_0000;
/// An address with a different index at each level of 4 KiB tables: 1, 2, 3, 4.
const ADDRESS: u64 = 0x80_8060_4567;
/// What stage 1 maps it to, before stage 2.
const OUTPUT: u64 = 0x5_0567;
/// A page of stage 1: AF, inner shareable, AP = 01, AttrIndx 0.
const PAGE: u64 = 0x743;
/// A page of stage 2: AF, inner shareable, S2AP = 11, MemAttr 1111.
const PAGE2: u64 = 0x7ff;

const READ: Wanted = Wanted { read: true, write: false, instruction: false, privileged: false };
const WRITE: Wanted = Wanted { read: false, write: true, ..READ };
const ATOMIC: Wanted = Wanted { write: true, ..READ };
const FETCH: Wanted = Wanted { instruction: true, ..READ };

const fn privileged(wanted: Wanted) -> Wanted {
    Wanted { privileged: true, ..wanted }
}

/// Memory with tables of stage 1 for [`ADDRESS`], and of stage 2.
fn memory() -> PhysMem {
    memory_at(0)
}

/// The same, with the tables of stage 1 where stage 2 puts them.
fn nested_memory() -> PhysMem {
    memory_at(MOVED)
}

fn memory_at(moved: u64) -> PhysMem {
    let mem = PhysMem::anonymous(&[(Pa(0), 0x400_0000), (Pa(0xf_8000_0000_0000), 0x10_0000)]).unwrap();
    put(&mem, moved + FIRST[0] + 8, FIRST[1] | 3);
    put(&mem, moved + FIRST[1] + 2 * 8, FIRST[2] | 3);
    put(&mem, moved + FIRST[2] + 3 * 8, FIRST[3] | 3);
    put(&mem, moved + FIRST[3] + 4 * 8, 0x5_0000 | PAGE);
    put(&mem, SECOND[0], SECOND[1] | 3);
    put(&mem, SECOND[1], SECOND[2] | 3);
    for page in 0..512 {
        put(&mem, SECOND[2] + page * 8, (MOVED + page * 0x1000) | PAGE2);
    }
    mem
}

fn put(mem: &PhysMem, at: u64, descriptor: u64) {
    mem.write(Pa(at), &descriptor.to_le_bytes()).unwrap();
}

fn get(mem: &PhysMem, at: u64) -> u64 {
    mem.load64(Pa(at)).unwrap()
}

const HALF: Half = Half {
    granule: Granule::K4,
    input_bits: 48,
    table: FIRST[0],
    top_byte_ignored: false,
    no_hierarchy: false,
    no_unprivileged: false,
    shareability: 0,
};

const STAGE1: Stage1 = Stage1 {
    low: Some(HALF),
    high: None,
    single: false,
    output_bits: 40,
    ds: false,
    big_endian: false,
    write_implies_xn: false,
    pan: false,
    update: OFF,
    mair: 0xff,
};

const STAGE2: Stage2 = Stage2 {
    granule: Granule::K4,
    input_bits: 39,
    start_level: 1,
    table: Pa(SECOND[0]),
    output_bits: 40,
    ds: false,
    big_endian: false,
    protected_walk: false,
    forced_write_back: false,
    xnx: true,
    shareability: 0,
    update: OFF,
};

const OFF: HardwareUpdate = HardwareUpdate { access: false, dirty: false, no_access_fault: false };
const ACCESS: HardwareUpdate = HardwareUpdate { access: true, ..OFF };
const DIRTY: HardwareUpdate = HardwareUpdate { dirty: true, ..ACCESS };

fn regime<'a>(stage1: Option<&'a Stage1>, stage2: Option<&'a Stage2>) -> Regime<'a> {
    Regime { stage1, stage2, wide: false, incoming: Attributes::DEFAULT }
}

/// Of stage 1 alone.
fn first(mem: &PhysMem, stage1: &Stage1, address: u64, wanted: Wanted) -> Result<Mapping, WalkFault> {
    translate(mem, &regime(Some(stage1), None), address, wanted, &mut ())
}

/// Of stage 2 alone.
fn second(mem: &PhysMem, stage2: &Stage2, ipa: u64, wanted: Wanted) -> Result<Mapping, WalkFault> {
    translate(mem, &regime(None, Some(stage2)), ipa, wanted, &mut ())
}

/// Of both.
fn both(mem: &PhysMem, stage1: &Stage1, stage2: &Stage2, wanted: Wanted) -> Result<Mapping, WalkFault> {
    translate(mem, &regime(Some(stage1), Some(stage2)), ADDRESS, wanted, &mut ())
}

/// A fault of stage 1.
fn fault1(kind: FaultKind) -> WalkFault {
    let (stage, class) = (Stage::One, Class::In);
    WalkFault::Fault(TranslationFault { kind, stage, class, ipa: None, descriptor_read: false })
}

/// A fault of stage 2, of which a permission fault for a descriptor is one of reading it.
fn fault2(kind: FaultKind, class: Class, ipa: u64) -> WalkFault {
    let descriptor_read = kind == FaultKind::Permission && class == Class::Tt;
    let (stage, ipa) = (Stage::Two, Some(Ipa(ipa)));
    WalkFault::Fault(TranslationFault { kind, stage, class, ipa, descriptor_read })
}

/// Takes note of every fetch and update, and lets somebody else write after a fetch.
#[derive(Default)]
struct Log<'a> {
    fetched: Vec<(Stage, i32, u64, u64)>,
    updated: Vec<(Stage, u64, u64)>,
    meddle: Option<&'a dyn Fn(Stage, i32)>,
}

impl Hooks for Log<'_> {
    fn fetched(&mut self, stage: Stage, level: i32, at: Pa, descriptor: u64) {
        self.fetched.push((stage, level, at.0, descriptor));
        if let Some(meddle) = self.meddle {
            meddle(stage, level);
        }
    }

    fn updated(&mut self, stage: Stage, at: Pa, descriptor: u64) {
        self.updated.push((stage, at.0, descriptor));
    }
}
