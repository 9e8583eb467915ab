//! Exceptions, traps and translation, whose records another emulator has made by the same image.
//! `tests/system` has the image, and `tests/vectors` what makes the records.

#[path = "../../../tests/system/cases.rs"]
mod cases;
#[path = "../../../tests/system/debug.rs"]
mod debug;
#[path = "../../../tests/system/events.rs"]
mod events;
#[path = "../../../tests/system/image.rs"]
mod image;
#[path = "../../../tests/system/memory.rs"]
mod memory;
#[path = "../../../tests/system/records.rs"]
mod records;
#[path = "../../../tests/system/registers.rs"]
mod registers;
#[path = "../../../tests/system/tlb.rs"]
mod tlb;

use image::{CASES, Case, Image, RAM, RECORDS, Record, SIZE};

use super::rig::{BASE, Rig};
use super::vectors::format;
use crate::a64::{Features, Stop};

/// What a Neoverse N1 has.
const NEOVERSE_N1: Features = Features {
    lrcpc2: false,
    flagm: false,
    flagm2: false,
    sb: false,
    dit: false,
    tlbi_range: false,
    ..Features::MAX
};

/// Where the monitor keeps the address of the case that runs.
const CURRENT: u64 = 0x4001_0100;

/// The fields of a record.
const FIELDS: [&str; 20] = [
    "vector", "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "ESR", "FAR", "ELR", "SPSR", "PAR",
    "SP_EL0", "SP_EL1", "seen 0", "seen 1",
];

/// Runs the image, and gives its records.
fn run(image: &mut Image, features: Features) -> Vec<Record> {
    assert_eq!(RAM, BASE);
    let mut rig = Rig::sized(&[], features, SIZE);
    for (at, bytes) in (RAM..).step_by(8).zip(image.finish(false).chunks(8)) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let frame = rig.ram.frame(at).unwrap();
        rig.ram.store(frame, at % 4096, u64::from_le_bytes(word));
    }
    rig.board.stop = true;
    let stop = rig.cluster.run(&mut rig.board, 100_000_000);
    let load = |at: u64| rig.ram.load64(at).unwrap();
    let last = (load(CURRENT) - CASES) as usize / 296;
    let last = image.cases.get(last).map(|case| &case.name);
    assert_eq!(stop, Stop::Firmware { cpu: 0 }, "{last:?} does not end");
    let bytes: Vec<u8> = (RECORDS..RECORDS + 160 * image.cases.len() as u64)
        .step_by(8)
        .flat_map(|at| load(at).to_le_bytes())
        .collect();
    records::decode(&bytes)
}

/// May a field be what was found?
fn allowed(field: &str, found: u64, value: u64, expected: &Record) -> bool {
    let class = expected.0[11] >> 26;
    match (field, class) {
        // Of a breakpoint it is unknown; QEMU writes 0.
        ("FAR", 0x30 | 0x31) => true,
        // Of a watchpoint, any address from the first one accessed to the last one watched. QEMU has
        // the first one watched.
        ("FAR", 0x34 | 0x35) => found & !7 == value & !7,
        _ => found == value,
    }
}

/// What differs, for people.
fn explain(case: &Case, found: &Record, expected: &Record) -> Option<String> {
    let differences: Vec<_> = FIELDS
        .iter()
        .zip(found.0.iter().zip(expected.0))
        .filter(|(name, (found, value))| !allowed(name, **found, *value, expected))
        .map(|(name, (found, expected))| format!("{name} {found:#x}, not {expected:#x}"))
        .collect();
    (!differences.is_empty()).then(|| format!("{}\n    {}", case.name, differences.join("\n    ")))
}

/// Runs an image, and compares its records with those of a file.
fn check(file: &[u8], mut image: Image, features: Features) {
    let expected = records::read(file);
    let found = run(&mut image, features);
    assert_eq!((found.len(), expected.len()), (image.cases.len(), image.cases.len()));
    let failures: Vec<_> = image
        .cases
        .iter()
        .zip(found.iter().zip(&expected))
        .filter_map(|(case, (found, expected))| explain(case, found, expected))
        .collect();
    let few: Vec<_> = failures.iter().take(40).cloned().collect();
    assert!(failures.is_empty(), "{} of {}\n{}", failures.len(), expected.len(), few.join("\n"));
}

#[test]
fn the_machine_records_what_the_reference_records() {
    check(include_bytes!("../../../tests/system/records.bin"), cases::image(), NEOVERSE_N1);
}

#[test]
fn later_features_record_what_the_reference_records() {
    check(include_bytes!("../../../tests/system/later_records.bin"), cases::later_image(), Features::MAX);
}
