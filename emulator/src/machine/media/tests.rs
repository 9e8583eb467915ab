use std::fs;
use std::path::Path;

use super::*;
use crate::config::MachineConfig;
use crate::machine::Machine;

fn image(directory: &Path, bytes: usize) -> std::path::PathBuf {
    let path = directory.join("disk.img");
    let data: Vec<u8> = (0..bytes).map(|at| (at / 512 + 1) as u8).collect();
    fs::write(&path, data).unwrap();
    path
}

fn spec(path: &Path, read_only: bool, snapshot: bool) -> MediumSpec {
    MediumSpec::File { path: path.to_owned(), read_only, snapshot }
}

fn open(path: &Path, read_only: bool, snapshot: bool) -> Result<Box<dyn Medium>, OpenError> {
    build(&spec(path, read_only, snapshot), Files::Opened)
}

fn refusal(path: &Path) -> String {
    open(path, false, false).err().unwrap().to_string().replace(&path.display().to_string(), "PATH")
}

#[test]
fn a_file_is_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = image(directory.path(), 4096);
    let mut medium = open(&path, false, false).unwrap();
    assert_eq!((medium.bytes(), medium.read_only()), (4096, false));
    let mut block = [0; 512];
    medium.read(1024, &mut block).unwrap();
    assert_eq!(block, [3; 512]);
    medium.write(3584, &[0xee; 512]).unwrap();
    medium.flush().unwrap();
    assert_eq!(fs::read(&path).unwrap()[3583..], [&[7][..], &[0xee; 512]].concat());
    for (at, len) in [(3585, 512), (4096, 1), (u64::MAX, 2)] {
        assert!(medium.read(at, &mut vec![0; len]).is_err(), "{at:#x}");
        assert!(medium.write(at, &vec![0; len]).is_err(), "{at:#x}");
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), 4096, "it does not grow");
}

#[test]
fn a_file_that_becomes_shorter_fails() {
    let directory = tempfile::tempdir().unwrap();
    let path = image(directory.path(), 4096);
    let mut medium = open(&path, true, false).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1024).unwrap();
    assert!(medium.read(512, &mut [0; 512]).is_ok());
    assert!(medium.read(1024, &mut [0; 512]).is_err());
}

#[test]
fn files_that_are_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = image(directory.path(), 4096);
    let before = fs::read(&path).unwrap();
    let mut medium = open(&path, true, false).unwrap();
    assert!(medium.read_only() && medium.write(0, &[0; 512]).is_err());
    medium.flush().unwrap();
    // A copy on write, beside it.
    let mut copy = open(&path, false, true).unwrap();
    assert!(!copy.read_only());
    copy.write(512, &[0xee; 512]).unwrap();
    copy.flush().unwrap();
    let mut all = [0; 1536];
    copy.read(0, &mut all).unwrap();
    assert_eq!((all[511], all[512], all[1023], all[1024]), (1, 0xee, 0xee, 3));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn files_that_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.img");
    let missing = refusal(&path);
    assert!(missing.starts_with("cannot open PATH: No such file or directory"), "{missing}");
    assert_eq!(
        refusal(directory.path()),
        "PATH is neither a file nor a block device; give file= a disk image"
    );
    assert_eq!(
        refusal(Path::new("/dev/null")),
        "PATH is neither a file nor a block device; give file= a disk image"
    );
    for bytes in [0, 511, 513, 1000] {
        fs::write(&path, vec![0; bytes]).unwrap();
        let expected = format!(
            "PATH has {bytes} bytes; a disk has a multiple of 512, at least one: 'truncate -s %512' pads it"
        );
        assert_eq!(refusal(&path), expected);
    }
    image(directory.path(), 512);
    let first = open(&path, true, false).unwrap();
    let second = open(&path, false, true).unwrap();
    let in_use = "PATH is in use by another device or machine; end that, or use snapshot=on in both";
    assert_eq!(refusal(&path), in_use);
    drop((first, second));
    let first = open(&path, false, false).unwrap();
    assert_eq!(refusal(&path), in_use);
    drop(first);
    assert!(open(&path, false, false).is_ok());
}

/// A machine with one NVMe disk at 00:01.0, whose BAR is decoded at 0xe0000000.
fn machine(options: &str) -> MachineConfig {
    MachineConfig {
        memory: "16M".parse().unwrap(),
        devices: vec![format!("nvme,addr=1,latency=0,{options}").parse().unwrap()],
        ..MachineConfig::default()
    }
}

/// Enables the controller, writes `byte` to block 1 and reads block 1 to 0x8000.
fn write_and_read(machine: &mut Machine, byte: u8) {
    const BAR: u64 = 0xe000_0000;
    let mut write = |address: u64, words: &[u32]| {
        for (at, word) in (0..).zip(words) {
            machine.write(address + 4 * at, &word.to_le_bytes());
        }
    };
    write(0xb000_8010, &[BAR as u32]);
    write(0xb000_8004, &[6]);
    write(BAR + 0x24, &[0x001f_001f, 0x1000, 0, 0x2000, 0]);
    write(BAR + 0x14, &[0x0046_0001]);
    // Create I/O Completion Queue and Submission Queue 1.
    write(0x1000, &[0x0001_0005, 0, 0, 0, 0, 0, 0x3000, 0, 0, 0, 0x000f_0001, 1, 0, 0, 0, 0]);
    write(0x1040, &[0x0002_0001, 0, 0, 0, 0, 0, 0x4000, 0, 0, 0, 0x000f_0001, 0x1_0001, 0, 0, 0, 0]);
    write(BAR + 0x1000, &[2]);
    write(0x6000, &[u32::from_le_bytes([byte; 4]); 128]);
    write(0x4000, &[0x0003_0001, 1, 0, 0, 0, 0, 0x6000, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    write(0x4040, &[0x0004_0002, 1, 0, 0, 0, 0, 0x8000, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    write(BAR + 0x1008, &[2]);
    assert_eq!(read(machine, 0x3000 + 16 + 12), 0x0001_0004, "the second has succeeded");
}

fn read(machine: &mut Machine, address: u64) -> u32 {
    let mut data = [0; 4];
    machine.read(address, &mut data);
    u32::from_le_bytes(data)
}

#[test]
fn a_disk_is_part_of_a_saved_machine() {
    let directory = tempfile::tempdir().unwrap();
    let path = image(directory.path(), 4096);
    for options in ["size=4K".to_owned(), format!("file={},snapshot=on", path.display())] {
        let config = machine(&options);
        let mut one = Machine::new(&config).unwrap();
        one.read(0, &mut [0]);
        write_and_read(&mut one, 0x5a);
        let text = serde_json::to_string(&one.save()).unwrap();
        let mut two = Machine::new(&config).unwrap();
        two.restore(serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(two.save(), one.save(), "{options}");
        assert_eq!(read(&mut two, 0x8000), 0x5a5a_5a5a);
        // The medium of the restored machine has the block: read it to another place.
        for (at, word) in
            [0x0005_0002, 1, 0, 0, 0, 0, 0xa000, 0, 0, 0, 1, 0, 0, 0, 0, 0u32].into_iter().enumerate()
        {
            two.write(0x4080 + 4 * at as u64, &word.to_le_bytes());
        }
        two.write(0xe000_1008, &3u32.to_le_bytes());
        assert_eq!(read(&mut two, 0xa000), 0x5a5a_5a5a, "{options}");
    }
    assert_eq!(fs::read(&path).unwrap()[512], 2, "the file is as it was");
}

#[test]
fn a_saved_machine_is_looked_at_without_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = image(directory.path(), 4096);
    for mode in ["", ",readonly=on", ",snapshot=on"] {
        let config = machine(&format!("file={}{mode}", path.display()));
        let one = Machine::new(&config).unwrap();
        let state = one.save();
        let mut two = Machine::without_files(&config).unwrap();
        two.restore(state.clone()).unwrap();
        assert_eq!(two.save(), state, "{mode}");
        // With another file in its place.
        drop(one);
        image(directory.path(), 512);
        let mut other = Machine::new(&config).unwrap();
        assert!(other.restore(state).unwrap_err().to_string().contains("damaged (the size of its file)"));
        drop(other);
        image(directory.path(), 4096);
    }
}
