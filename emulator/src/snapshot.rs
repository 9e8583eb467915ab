//! Files of saved machines: JSON, compressed by gzip where the name ends in `.gz`.
//!
//! All pages of RAM are in it that are not zero, a third longer than they are; compressed, a Linux that
//! has booted takes a few tens of megabytes. A reader tells the two apart by their contents.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use thiserror::Error;

use crate::machine::MachineState;

/// Bytes of JSON at most: few bytes of a compressed file can be very many of these.
const MAX_BYTES: u64 = 8 << 30;
/// How a gzip file begins [RFC 1952 2.3.1].
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file that is no saved machine.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// It cannot be read, or is damaged as a gzip file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not what was written.
    #[error("this is no saved machine: {0}")]
    Json(#[from] serde_json::Error),
    /// It is too large.
    #[error("its contents are larger than {MAX_BYTES} bytes; no machine is saved so large")]
    TooLarge,
}

/// Writes a file. One that is there is replaced when the new one, `FILE.part` until then, is whole.
///
/// # Errors
/// Those of the file, and [`io::ErrorKind::FileTooLarge`] for what [`read`] would not take back.
pub fn write(file: &Path, state: &MachineState) -> io::Result<()> {
    let packed = file.extension().is_some_and(|extension| extension == "gz");
    // A pipe or a device is written to; it cannot be replaced.
    if file.metadata().is_ok_and(|there| !there.is_file()) {
        return pack(File::create(file)?, packed, state, MAX_BYTES);
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(".part");
    let beside = Path::new(&beside);
    let written =
        pack(File::create(beside)?, packed, state, MAX_BYTES).and_then(|()| fs::rename(beside, file));
    if written.is_err() {
        // Half a file is of no use; why it is half a file is what matters.
        let _ = fs::remove_file(beside);
    }
    written
}

fn pack(out: impl Write, packed: bool, state: &MachineState, limit: u64) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    if packed {
        let packed = BufWriter::with_capacity(1 << 16, GzEncoder::new(&mut out, Compression::fast()));
        let mut bounded = Bounded { out: packed, left: limit };
        serde_json::to_writer(&mut bounded, state)?;
        bounded.out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
    } else {
        serde_json::to_writer(Bounded { out: &mut out, left: limit }, state)?;
    }
    out.flush()
}

/// Takes no more than so many bytes.
struct Bounded<W> {
    out: W,
    left: u64,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            let why = format!("the machine is larger than {MAX_BYTES} bytes as a file");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        let written = self.out.write(bytes)?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a file.
///
/// # Errors
/// [`SnapshotError`].
pub fn read(file: &Path) -> Result<MachineState, SnapshotError> {
    parse(File::open(file)?, MAX_BYTES)
}

fn parse(mut file: impl Read, limit: u64) -> Result<MachineState, SnapshotError> {
    let mut begin = Vec::new();
    file.by_ref().take(GZIP.len() as u64).read_to_end(&mut begin)?;
    let packed = begin == GZIP;
    let whole = BufReader::with_capacity(1 << 16, io::Cursor::new(begin).chain(file));
    if packed { text(MultiGzDecoder::new(whole), limit) } else { text(whole, limit) }
}

fn text(contents: impl Read, limit: u64) -> Result<MachineState, SnapshotError> {
    let mut contents = BufReader::with_capacity(1 << 16, contents).take(limit);
    match serde_json::from_reader(&mut contents) {
        Ok(state) => Ok(state),
        // Nothing was wrong but that it goes on.
        Err(error) if error.is_eof() && contents.limit() == 0 => Err(SnapshotError::TooLarge),
        Err(error) if error.is_io() => Err(SnapshotError::Io(error.into())),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MachineConfig;
    use crate::machine::Machine;

    fn state() -> MachineState {
        let config = MachineConfig { memory: "16M".parse().unwrap(), ..MachineConfig::default() };
        let mut machine = Machine::new(&config).unwrap();
        machine.write(0x5000, &[0xa5; 0x3000]);
        machine.save()
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let state = state();
        let sizes = ["state.json", "state.json.gz"].map(|name| {
            let file = folder.path().join(name);
            write(&file, &state).unwrap();
            assert_eq!(read(&file).unwrap(), state, "{name}");
            // What it is called does not matter to the reader.
            let other = folder.path().join("other");
            std::fs::rename(&file, &other).unwrap();
            assert_eq!(read(&other).unwrap(), state, "{name}");
            other.metadata().unwrap().len()
        });
        assert!(sizes[1] * 4 < sizes[0], "{sizes:?}");
    }

    #[test]
    fn a_file_is_replaced_only_by_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        std::fs::write(&file, "before").unwrap();
        let state = state();
        let whole = serde_json::to_vec(&state).unwrap();
        for packed in [false, true] {
            let mut out = Vec::new();
            let error = pack(&mut out, packed, &state, whole.len() as u64 - 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            pack(&mut out, packed, &state, whole.len() as u64).unwrap();
        }
        assert!(write(&folder.path().join("missing/state.json"), &state).is_err());
        write(&file, &state).unwrap();
        assert_eq!(read(&file).unwrap(), state);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
        write(Path::new("/dev/null"), &state).unwrap();
    }

    #[test]
    fn other_files_are_refused() {
        let json = serde_json::to_vec(&state()).unwrap();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&json).unwrap();
        let gzip = gzip.finish().unwrap();
        assert!(parse(&gzip[..], json.len() as u64).is_ok());
        let mut damaged = gzip.clone();
        damaged[gzip.len() / 2] ^= 0x55;
        let rows: [(&[u8], u64, &str); 9] = [
            (b"", 100, "no saved machine"),
            (b"\x1f", 100, "no saved machine"),
            (b"{}", 100, "no saved machine: missing field"),
            (b"[1, 2", 100, "no saved machine: "),
            (&json[..json.len() - 1], 1 << 30, "no saved machine: EOF"),
            (&json, json.len() as u64 - 1, "larger than"),
            (&gzip, json.len() as u64 - 1, "larger than"),
            (&gzip[..gzip.len() / 2], 1 << 30, ""),
            (&damaged, 1 << 30, ""),
        ];
        for (bytes, limit, expected) in rows {
            let error = parse(bytes, limit).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
