//! Packages as the index describes them, and which of their dependencies belong to a kernel.

use super::PackagesError;
use super::control::{self, Stanza};
use crate::linux::digest::Digest;

/// A package of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The architecture that it is for, or `all`.
    pub architecture: String,
    /// Bytes of its file.
    pub size: u64,
    /// What its file is.
    pub digest: Digest,
    /// The other parts of the same kernel, by name and version.
    pub parts: Vec<(String, String)>,
}

impl Package {
    /// The name of its file: with the version's epoch written as apt writes it.
    pub fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture)
    }

    /// How apt is asked for this very version.
    pub fn exact(&self) -> String {
        format!("{}={}", self.name, self.version)
    }

    /// How apt is asked for the other parts.
    pub(super) fn exact_parts(&self) -> impl Iterator<Item = String> {
        self.parts.iter().map(|(name, version)| format!("{name}={version}"))
    }

    fn from_stanza(stanza: &Stanza) -> Result<Self, PackagesError> {
        let name = stanza.get("Package").unwrap_or_default();
        let answer =
            |reason: &str| PackagesError::Answer { package: name.to_owned(), reason: reason.to_owned() };
        let field = |field| stanza.get(field).ok_or_else(|| answer(&format!("it has no field {field}")));
        let [version, architecture] = [field("Version")?, field("Architecture")?];
        if !is_name(name) || !is_version(version) || !is_name(architecture) {
            return Err(answer("its name, version or architecture has characters that none can have"));
        }
        let number = || answer("its size is no number");
        Ok(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: architecture.to_owned(),
            size: field("Size")?.parse().map_err(|_| number())?,
            digest: field("SHA256")?.parse().map_err(|_| answer("its SHA256 is none"))?,
            parts: parts(stanza.get("Depends").unwrap_or_default()),
        })
    }
}

/// The packages in the output of `apt-cache show`.
pub(super) fn packages(shown: &str) -> Result<Vec<Package>, PackagesError> {
    control::stanzas(shown).iter().map(Package::from_stanza).collect()
}

/// The dependencies that are parts of the same kernel: those whose name starts with `linux-` and whose version
/// is given exactly. The others (tools that make an initramfs, `linux-base`) are not for a guest that gets
/// its root from here.
fn parts(depends: &str) -> Vec<(String, String)> {
    let part = |dependency: &str| {
        let (name, version) = dependency.trim().strip_suffix(')')?.split_once('(')?;
        let (name, version) = (name.trim(), version.trim().strip_prefix('=')?.trim());
        let fine = name.starts_with("linux-") && is_name(name) && is_version(version);
        fine.then(|| (name.to_owned(), version.to_owned()))
    };
    depends.split(',').filter_map(part).collect()
}

/// Letters, digits and what Debian allows besides; so it is neither an option nor a path.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn is_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b':' | b'~'))
}
