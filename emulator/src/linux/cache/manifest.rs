//! The list of what was unpacked: a digest and a path in every line, like that of `sha256sum`. Its first line
//! is the digest of the others, so that a list that lost its end is not taken for whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::linux::compression;
use crate::linux::digest::Digest;

/// The most that a list may have; that of 5,000 modules has 0.7 MiB.
const MAX_MANIFEST: u64 = 32 << 20;

/// Files, by their paths from the list's directory, and what they must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest(BTreeMap<String, Digest>);

impl Manifest {
    /// Reads a list; `None` if it is not there or not whole.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = File::open(path).and_then(|file| compression::read_all(file, MAX_MANIFEST)).ok()?;
        Self::parse(&String::from_utf8(bytes).ok()?)
    }

    /// Understands a list.
    pub fn parse(text: &str) -> Option<Self> {
        let (digest, lines) = text.split_once('\n')?;
        if digest.parse() != Ok(Digest::of(lines.as_bytes())) {
            return None;
        }
        let line = |line: &str| {
            let (digest, path) = line.split_once("  ")?;
            Some((path.to_owned(), digest.parse().ok()?))
        };
        lines.lines().map(line).collect::<Option<_>>().map(Self)
    }

    /// Adds a file.
    pub fn insert(&mut self, path: String, digest: Digest) {
        self.0.insert(path, digest);
    }

    /// The list as text.
    pub fn text(&self) -> String {
        let lines: String = self.0.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
        format!("{}\n{lines}", Digest::of(lines.as_bytes()))
    }

    /// What the file at `path` must be.
    pub fn digest(&self, path: &str) -> Option<Digest> {
        self.0.get(path).copied()
    }

    /// The files below `directory`, by their paths from there.
    pub fn below(&self, directory: &str) -> impl Iterator<Item = (PathBuf, Option<Digest>)> {
        self.0.iter().filter_map(move |(path, digest)| {
            let path = Path::new(path).strip_prefix(directory).ok()?;
            Some((path.to_owned(), Some(*digest)))
        })
    }
}
