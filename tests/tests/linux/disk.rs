//! A disk of which both sides know what is on it.

use std::io::Write;

use emulator::linux::digest::Digest;
use tempfile::NamedTempFile;

/// Bytes of the disk.
pub const SIZE: usize = 2 << 20;
/// Where the guest writes, in bytes, and how many.
const AT: usize = 1 << 20;
const LEN: usize = 256 << 10;

/// What the guest does with it: reads it all past its page cache, writes text, and reads it all again.
pub const SCRIPT: &str = "
sum() { sha256sum | cut -d ' ' -f 1; }
echo \"before: $(dd if=/dev/nvme0n1 bs=64k iflag=direct 2>/dev/null | sum)\"
seq 100000 | head -c 262144 >/tmp/text
dd if=/tmp/text of=/dev/nvme0n1 bs=32k seek=32 oflag=direct conv=notrunc,fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
echo \"after: $(sum </dev/nvme0n1)\"
";

/// What is on it at first: no two sectors are the same.
pub fn contents() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..SIZE / 8).flat_map(|_| next().to_le_bytes()).collect()
}

/// What is on it when [`SCRIPT`] has run.
pub fn contents_after() -> Vec<u8> {
    let mut bytes = contents();
    let text: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    bytes[AT..AT + LEN].copy_from_slice(&text.as_bytes()[..LEN]);
    bytes
}

/// A file with the first contents.
pub fn file() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&contents()).unwrap();
    file
}

/// The lines that [`SCRIPT`] prints if it reads what it should.
pub fn sums() -> [String; 2] {
    let line = |when, bytes: &[u8]| format!("{when}: {}", Digest::of(bytes));
    [line("before", &contents()), line("after", &contents_after())]
}
