//! Runs the image of cases on an emulated machine, and keeps its records.

use std::io::Write;
use std::process::Command;

use super::image::{Image, RAM, Record};
use super::records;

/// A program header's worth of ELF around bytes that are loaded at, and entered at, [`RAM`].
fn elf(bytes: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let half = |value: u16| value.to_le_bytes();
    // An executable for AArch64.
    file.extend([half(2), half(183)].concat());
    file.extend(1u32.to_le_bytes());
    file.extend([RAM, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0u32.to_le_bytes());
    file.extend([64, 56, 1, 64, 0, 0].map(half).concat());
    // To be loaded, with all rights.
    file.extend([1, 7].map(u32::to_le_bytes).concat());
    let length = bytes.len() as u64;
    file.extend([0x1000, RAM, RAM, length, length, 0x1000].map(u64::to_le_bytes).concat());
    file.resize(0x1000, 0);
    file.extend(bytes);
    file
}

/// A file of records.
fn write(records: &[Record]) -> Vec<u8> {
    let mut file = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for word in records.iter().flat_map(|record| record.0) {
        file.write_all(&word.to_le_bytes()).unwrap();
    }
    file.finish().unwrap()
}

/// Writes the records of a machine that gets `-kernel` and the name of an image as its last
/// arguments, and leaves them in a file of the name "records" where it runs.
pub fn run(mut command: Command, file: &str, mut image: Image) {
    std::fs::write("image.elf", elf(&image.finish(true))).unwrap();
    let status = command.args(["-kernel", "image.elf"]).status().unwrap();
    assert!(status.success(), "{status}");
    let records = records::decode(&std::fs::read("records").unwrap());
    assert_eq!(records.len(), image.cases.len(), "a record of each case");
    let bytes = write(&records);
    println!("{} cases, {} bytes", records.len(), bytes.len());
    assert!(records::read(&bytes) == records);
    std::fs::write(file, bytes).unwrap();
}
