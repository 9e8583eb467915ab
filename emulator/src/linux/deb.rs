//! Reads Debian's packages: an `ar` archive in which a compressed tar archive has the files.
//!
//! Only regular files come out; what a package says of owners, links and devices is passed over. A package is
//! input like any other: sizes, counts and paths are bounded and checked, though its digest was, too.

#[cfg(test)]
pub(super) mod tests;

use std::io::{self, BufReader, Read};

use tar::{Archive, EntryType};
use thiserror::Error;

use super::compression;

/// The most that a package's files may come to, decompressed: kernels with all their modules have 0.5 GiB.
const MAX_DATA: u64 = 2 << 30;
/// The most entries.
const MAX_ENTRIES: usize = 200_000;
/// The longest path, as in Linux.
const MAX_PATH: u64 = 4096;

const MAGIC: &[u8; 8] = b"!<arch>\n";

/// A package that cannot be read.
#[derive(Debug, Error)]
pub enum DebError {
    /// Not a package, or a damaged one.
    #[error("it is not a Debian package: {0}")]
    Malformed(&'static str),
    /// A path that leads out of the directory into which files are unpacked, or has control characters.
    #[error("it has a file with the path {0:?}, which is no path below the root")]
    Path(String),
    /// More than any package needs.
    #[error("it has more than {MAX_ENTRIES} entries, or more than 2 GiB of files")]
    TooLarge,
    /// The host cannot read or write, or compressed data are damaged.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Calls `each` with the path, without a first `/` or `./`, and the content of every regular file in the
/// package.
///
/// # Errors
/// [`DebError`], also what `each` returns.
pub fn files(
    mut package: impl Read,
    mut each: impl FnMut(&str, &mut dyn Read) -> Result<(), DebError>,
) -> Result<(), DebError> {
    let mut magic = [0; MAGIC.len()];
    package.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(DebError::Malformed("it does not start as an ar archive"));
    }
    loop {
        let Member { is_data, size } = Member::read(&mut package)?;
        if is_data {
            let mut data = package.take(size);
            tar_files(BufReader::new(&mut data), &mut each)?;
            io::copy(&mut data, &mut io::sink())?;
            return match data.limit() {
                0 => Ok(()),
                _ => Err(DebError::Malformed("it ends within a member")),
            };
        }
        let padded = size + size % 2;
        if io::copy(&mut package.by_ref().take(padded), &mut io::sink())? != padded {
            return Err(DebError::Malformed("it ends within a member"));
        }
    }
}

/// The head of a member of an `ar` archive, of which there are three in a package.
struct Member {
    is_data: bool,
    size: u64,
}

impl Member {
    fn read(package: &mut impl Read) -> Result<Self, DebError> {
        let mut head = [0; 60];
        package.read_exact(&mut head).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => DebError::Malformed("it has no member data.tar"),
            _ => error.into(),
        })?;
        let number = || DebError::Malformed("a member has no size");
        let text = str::from_utf8(&head).map_err(|_| number())?;
        if !text.ends_with("`\n") {
            return Err(DebError::Malformed("a member has no end of its head"));
        }
        let is_data = text.starts_with("data.tar");
        // Ten decimal digits: no overflow.
        let size = text.get(48..58).and_then(|size| size.trim_end().parse().ok()).ok_or_else(number)?;
        Ok(Self { is_data, size })
    }
}

fn tar_files(
    data: BufReader<impl Read>,
    each: &mut impl FnMut(&str, &mut dyn Read) -> Result<(), DebError>,
) -> Result<(), DebError> {
    let limited = Limited { source: compression::reader(data)?, left: MAX_DATA };
    let mut archive = Archive::new(limited);
    let mut long_path = None;
    // Raw entries, because the crate puts no bound to a long path.
    for (count, entry) in archive.entries()?.raw(true).enumerate() {
        if count == MAX_ENTRIES {
            return Err(DebError::TooLarge);
        }
        let mut entry = entry?;
        match entry.header().entry_type() {
            EntryType::GNULongName => {
                let path = compression::read_all(&mut entry, MAX_PATH)?;
                long_path = Some(path.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
            }
            EntryType::Regular => {
                let path = long_path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
                each(&below_root(&path)?, &mut entry)?;
            }
            EntryType::XHeader | EntryType::XGlobalHeader => {
                return Err(DebError::Malformed(
                    "its files have pax headers, which no tool of Debian writes",
                ));
            }
            // The path of a link's target comes before the link.
            EntryType::GNULongLink => {}
            _ => long_path = None,
        }
    }
    // The checksums of what was compressed come last.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

fn below_root(path: &[u8]) -> Result<String, DebError> {
    let error = || DebError::Path(String::from_utf8_lossy(path).into_owned());
    let text = str::from_utf8(path).map_err(|_| error())?;
    let below = text.strip_prefix("./").or_else(|| text.strip_prefix('/')).unwrap_or(text);
    let parts = below.split('/').all(|part| !matches!(part, "" | "." | ".."));
    // Lists of files have a line for each.
    let fine = parts && !below.contains(char::is_control);
    fine.then(|| below.to_owned()).ok_or_else(error)
}

/// A source that must end before a number of bytes.
struct Limited<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.left =
            self.left.checked_sub(count as u64).ok_or_else(|| io::Error::other(DebError::TooLarge))?;
        Ok(count)
    }
}
