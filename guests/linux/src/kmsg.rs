//! The kernel's log, and the SMMU events in it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use guests::smmuv3::Record;

fn open() -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")
}

/// What follows these words in the first line that has them, of all that was said so far.
///
/// # Errors
/// The kernel's.
pub fn find(words: &str) -> io::Result<Option<String>> {
    let mut file = open()?;
    let mut line = [0; 8192];
    loop {
        let len = match file.read(&mut line) {
            Ok(len) => len,
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let line = String::from_utf8_lossy(&line[..len]);
        if let Some((_, rest)) = line.lines().next().and_then(|text| text.split_once(words)) {
            return Ok(Some(rest.to_owned()));
        }
    }
}

/// What is said after this was opened.
#[derive(Debug)]
pub struct Kmsg {
    file: File,
    /// The words of the event that is being printed.
    words: Option<Vec<u64>>,
}

impl Kmsg {
    /// Opens the log at its end.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        let mut file = open()?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, words: None })
    }

    /// The next event that the SMMUv3 driver has printed; `None` if there is none yet.
    pub fn event(&mut self) -> Option<Record> {
        let mut line = [0; 8192];
        loop {
            let len = match self.file.read(&mut line) {
                Ok(len) => len,
                // The kernel has thrown lines away that were not read in time; what is left follows.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => continue,
                Err(_) => return None,
            };
            if let Some(record) = self.take(&String::from_utf8_lossy(&line[..len])) {
                return Some(record);
            }
        }
    }

    /// Takes a record of the log: an event begins with its type, and goes on with four qwords.
    fn take(&mut self, line: &str) -> Option<Record> {
        // What follows the text are properties of the device.
        let text = line.split_once(';')?.1.lines().next()?;
        if text.contains(" event 0x") && text.ends_with(" received:") {
            self.words = Some(Vec::new());
            return None;
        }
        let words = self.words.as_mut()?;
        let (_, hex) = text.rsplit_once("0x")?;
        if hex.len() != 16 {
            return None;
        }
        words.push(u64::from_str_radix(hex, 16).ok()?);
        let record = Record(words.as_slice().try_into().ok()?);
        self.words = None;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_from_the_lines_of_the_driver() {
        let mut log = Kmsg { file: File::open("/dev/null").unwrap(), words: None };
        let said = [
            "3,600,1,-;arm-smmu-v3 9050000.smmuv3: event 0x10 received:\n SUBSYSTEM=platform\n",
            "3,601,1,-;arm-smmu-v3 9050000.smmuv3: \\x090x0000000800000010\n",
            "6,602,1,-;something else happens at 0x12\n",
            "3,603,1,-;arm-smmu-v3 9050000.smmuv3: \\x090x0000020800000000\n DEVICE=+platform:x\n",
            "3,604,1,-;arm-smmu-v3 9050000.smmuv3: \\x090x0000000000001000\n",
        ];
        for line in said {
            assert_eq!(log.take(line), None, "{line}");
        }
        let last = "3,605,1,-;arm-smmu-v3 9050000.smmuv3: \\x090x0000000000000007\n";
        assert_eq!(log.take(last), Some(Record([0x8_0000_0010, 0x208_0000_0000, 0x1000, 7])));
        assert_eq!(log.take(last), None, "outside of an event");
    }
}
