//! The host's mirrors of Debian, and the source that a private apt gets.

use super::control;
use crate::linux::Arch;

/// A mirror among the host's sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mirror {
    /// Its address, which ends in a slash.
    pub uri: String,
    /// The file of the host that names it.
    pub file: String,
}

impl Mirror {
    /// Its address for people to read: without a user's name and password, which have no place in a log.
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.uri.split_once("://") else { return self.uri.clone() };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        format!("{scheme}://{host}{path}")
    }
}

/// What of a source's entry says how signatures are checked; the names are those of the options in apt's
/// format of one line, too.
const TRUST: [&str; 3] = ["Signed-By", "Trusted", "Check-Valid-Until"];

/// How the host's administrator wants a mirror's signatures to be checked: fields of [`TRUST`], and values
/// whose lines are parted by newlines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trust(Vec<(&'static str, String)>);

impl Trust {
    fn new<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self(TRUST.into_iter().filter_map(|field| Some((field, value(field)?.to_owned()))).collect())
    }

    /// Has signatures checked with `keyring`, if the administrator has not said with what.
    pub fn or_signed_by(mut self, keyring: Option<&str>) -> Self {
        if let Some(keyring) = keyring.filter(|_| self.0.iter().all(|(field, _)| *field != "Signed-By")) {
            self.0.push(("Signed-By", keyring.to_owned()));
        }
        self
    }
}

/// Debian's main archive by all its mirrors in the output of `apt-get indextargets`, each once. Debian's
/// other archives (security, derivatives' copies) have other labels and do not have every release.
pub(super) fn mirrors(targets: &str) -> Vec<Mirror> {
    let mut mirrors: Vec<Mirror> = Vec::new();
    for target in control::stanzas(targets) {
        let is = |field, value| target.get(field) == Some(value);
        if !(is("Created-By", "Packages") && is("Component", "main") && is("Origin", "Debian")) {
            continue;
        }
        let label = target.get("Label").unwrap_or_default();
        let (Some(uri), Some(entry)) = (target.get("Repo-URI"), target.get("Sourcesentry")) else { continue };
        let usable = !uri.starts_with("cdrom:") && !uri.contains(char::is_whitespace);
        if !usable || !matches!(label, "Debian" | "Debian Backports") {
            continue;
        }
        if mirrors.iter().all(|mirror| mirror.uri != uri) {
            let file = entry.rsplit_once(':').map_or(entry, |(file, _)| file);
            mirrors.push(Mirror { uri: uri.to_owned(), file: file.to_owned() });
        }
    }
    mirrors
}

/// What the text of `mirror`'s file, in either of apt's formats, says of signatures.
pub(super) fn trust(mirror: &Mirror, text: &str) -> Trust {
    let same = |uri: &str| uri.trim_end_matches('/') == mirror.uri.trim_end_matches('/');
    if !mirror.file.ends_with(".sources") {
        return text.lines().find_map(|line| one_line(line, same)).unwrap_or_default();
    }
    let entries = control::stanzas(text);
    let entry = entries
        .iter()
        .find(|entry| entry.get("URIs").is_some_and(|uris| uris.split_ascii_whitespace().any(same)));
    entry.map_or_else(Trust::default, |entry| Trust::new(|field| entry.get(field)))
}

/// `deb [signed-by=… trusted=yes] URI suite component`, if `same` holds for the URI.
fn one_line(line: &str, same: impl Fn(&str) -> bool) -> Option<Trust> {
    let rest = line.trim().strip_prefix("deb")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    if !same(rest.split_ascii_whitespace().next()?) {
        return None;
    }
    let option = |field: &str| {
        let mut options = options.split_ascii_whitespace().filter_map(|word| word.split_once('='));
        options.find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, value)| value)
    };
    // Only this format parts keyrings by commas.
    let Trust(mut fields) = Trust::new(option);
    fields.iter_mut().for_each(|(_, value)| *value = value.replace(',', " "));
    Some(Trust(fields))
}

/// The private apt's list of sources: one release of `mirror`, for one architecture.
pub(super) fn list(mirror: &Mirror, trust: &Trust, suite: &str, arch: Arch) -> String {
    let mut list = format!(
        "Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\nArchitectures: {arch}\nTargets: Packages\n",
        mirror.uri
    );
    for (field, value) in &trust.0 {
        list.push_str(&format!("{field}: {}\n", value.replace('\n', "\n ")));
    }
    list
}
