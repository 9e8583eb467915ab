//! Finds and downloads packages of Debian by the host's own apt, without a change to the host.
//!
//! apt gets a root of its own in the cache: its lists, its state, its packages, one source. That source has
//! the mirror and the keys of the host's sources, and another release and architecture. What is run is in
//! `apt`; what the programs print is understood in `control`, `sources` and `resolve`, which are
//! pure.

mod apt;
mod control;
mod resolve;
mod sources;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::BRING_YOUR_OWN;

pub(super) use apt::PrivateApt;
pub(super) use resolve::Package;

/// Packages cannot be had.
#[derive(Debug, Error)]
pub enum PackagesError {
    /// No name of a release.
    #[error("'{0}' is no name of a Debian release; say trixie, sid, bookworm-backports or the like")]
    Suite(String),
    /// A host without apt.
    #[error(
        "{0} is not on this host, and kernels are fetched by apt: use a host with Debian, {BRING_YOUR_OWN}"
    )]
    NoApt(&'static str),
    /// A host whose packages come from elsewhere.
    #[error(
        "none of this host's package sources is a mirror of Debian: add one (apt-get indextargets lists them), \
         {BRING_YOUR_OWN}"
    )]
    NoMirror,
    /// A program of apt failed.
    #[error("{command} failed, {reason}; check the release's name and the network, {BRING_YOUR_OWN}")]
    Apt {
        /// What was run.
        command: String,
        /// What it said.
        reason: String,
    },
    /// apt says something else than expected.
    #[error(
        "apt's answer for the package {package} makes no sense: {reason}; see whether apt-cache show works, {BRING_YOUR_OWN}"
    )]
    Answer {
        /// Which package.
        package: String,
        /// What is wrong.
        reason: String,
    },
    /// A downloaded file that is not the one of the index.
    #[error("the download of {0} is not what the signed index says; try again, {BRING_YOUR_OWN}")]
    Digest(String),
    /// A directory whose name no configuration of apt can hold.
    #[error("the path {} has characters that apt's configuration cannot hold; give another directory for the cache", .0.display())]
    Root(PathBuf),
    /// The private root cannot be written.
    #[error("cannot write {}: {source}; give another directory for the cache", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
}

/// The longest name of a release.
const MAX_SUITE: usize = 64;

/// Returns `suite` if it can be the name of a release, and so a part of a path and a word in a list of
/// sources.
pub(super) fn check_suite(suite: &str) -> Result<&str, PackagesError> {
    let fine = suite.len() <= MAX_SUITE
        && suite.starts_with(|first: char| first.is_ascii_lowercase())
        && suite.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'));
    fine.then_some(suite).ok_or_else(|| PackagesError::Suite(suite.to_owned()))
}
