//! What is run: apt with a root of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::resolve::{self, Package};
use super::sources::{self, Mirror};
use super::{PackagesError, check_suite};
use crate::linux::Arch;
use crate::linux::digest::Digest;

/// Mirrors that are tried.
const MAX_MIRRORS: usize = 4;
/// Packages that a kernel may come in: today's come in up to 5.
const MAX_PACKAGES: usize = 32;
/// How much of what a failed program said is passed on.
const MAX_REASON: usize = 1000;
/// How often it is told how far a download is, and how often it is looked whether it has ended.
const REPORT: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// Where Debian installs the keys of its archive, for sources that name none.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];

/// An apt whose lists, state and packages lie in a directory of its own.
#[derive(Debug)]
pub struct PrivateApt {
    root: PathBuf,
}

impl PrivateApt {
    /// Makes the directory `root`, which must be there, such, with the index of `suite` for `arch` from the
    /// first of the host's mirrors that has it.
    ///
    /// # Errors
    /// [`PackagesError`].
    pub fn new(
        root: &Path,
        arch: Arch,
        suite: &str,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self, PackagesError> {
        let suite = check_suite(suite)?;
        let root = fs::canonicalize(root).map_err(|source| io_error(root, source))?;
        // There is no way to write these in a configuration of apt.
        if root.to_str().is_none_or(|root| root.contains(['"', '\n', '\\'])) {
            return Err(PackagesError::Root(root));
        }
        let apt = Self { root };
        let mut failure = PackagesError::NoMirror;
        for mirror in apt.host_mirrors(progress)?.iter().take(MAX_MIRRORS) {
            progress(&format!("reading the package index of {suite} for {arch} at {}", mirror.shown()));
            match apt.configure(mirror, suite, arch).and_then(|()| apt.run("apt-get", &["-qq", "update"])) {
                Ok(_) => return Ok(apt),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Debian's mirrors among the host's sources. Where the host has read no source yet, as in a fresh
    /// container, nobody knows which they are; then the sources are read here.
    fn host_mirrors(&self, progress: &mut dyn FnMut(&str)) -> Result<Vec<Mirror>, PackagesError> {
        let targets = output(Command::new("apt-get").arg("indextargets"), "apt-get")?;
        if !targets.trim().is_empty() {
            return Ok(sources::mirrors(&targets));
        }
        progress("reading the package indexes of this host's sources");
        self.write("apt.conf", &self.settings())?;
        self.directories()?;
        // A source that cannot be reached says nothing against the others.
        match self.run("apt-get", &["-qq", "update"]) {
            Err(PackagesError::Apt { .. }) | Ok(_) => {}
            Err(error) => return Err(error),
        }
        Ok(sources::mirrors(&self.run("apt-get", &["indextargets"])?))
    }

    /// Configures `root` for one release of `mirror`.
    fn configure(&self, mirror: &Mirror, suite: &str, arch: Arch) -> Result<(), PackagesError> {
        // The file may have gone since apt read it; then the keys that apt takes for every source hold.
        let text = fs::read_to_string(&mirror.file).unwrap_or_default();
        let keyring = KEYRINGS.into_iter().find(|keyring| Path::new(keyring).exists());
        let trust = sources::trust(mirror, &text).or_signed_by(keyring);
        self.directories()?;
        self.write("debian.sources", &sources::list(mirror, &trust, suite, arch))?;
        // No package is installed, as far as this apt knows.
        self.write("status", "")?;
        let root = self.root.display();
        let settings = format!(
            r#"{}#clear APT::Architectures;
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Default-Release "";
APT::Update::Error-Mode "any";
Dir::State::status "{root}/status";
Dir::Etc::sourcelist "{root}/debian.sources";
Dir::Etc::sourceparts "{root}/none";
Dir::Etc::preferences "{root}/none/preferences";
Dir::Etc::preferencesparts "{root}/none";
"#,
            self.settings()
        );
        self.write("apt.conf", &settings)
    }

    /// Settings that keep apt within `root`; the host's others, such as its proxies, hold too. The programs
    /// that the host runs after an update are for the host's own lists. The user that apt becomes when root
    /// runs it could not enter a cache in root's home.
    fn settings(&self) -> String {
        let root = self.root.display();
        format!(
            r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "{root}/state";
Dir::State::lists "{root}/lists";
Dir::Cache "{root}/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
"#
        )
    }

    /// The newest packages that `names` are, and the other parts of the same kernels.
    ///
    /// # Errors
    /// [`PackagesError::Apt`] for what the release does not have, [`PackagesError::Answer`].
    pub fn resolve(&self, names: &[&str]) -> Result<Vec<Package>, PackagesError> {
        let mut wanted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut found: Vec<Package> = Vec::new();
        while !wanted.is_empty() {
            let mut arguments = vec!["show", "--no-all-versions"];
            arguments.extend(wanted.iter().map(String::as_str));
            let packages = resolve::packages(&self.run("apt-cache", &arguments)?)?;
            if packages.len() != wanted.len() || found.len() + packages.len() > MAX_PACKAGES {
                let reason = format!("{} packages where {} were asked for", packages.len(), wanted.len());
                return Err(PackagesError::Answer { package: wanted.join(" "), reason });
            }
            found.extend(packages);
            wanted = found.iter().flat_map(Package::exact_parts).collect();
            wanted.sort();
            wanted.dedup();
            wanted.retain(|part| found.iter().all(|package| package.exact() != *part));
        }
        Ok(found)
    }

    /// Downloads a package; returns where it is.
    ///
    /// # Errors
    /// [`PackagesError::Apt`], [`PackagesError::Digest`].
    pub fn download(
        &self,
        package: &Package,
        progress: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, PackagesError> {
        let directory = self.root.join("download");
        clear(&directory)?;
        let whole = size(package.size);
        progress(&format!("downloading {} {} ({whole})", package.name, package.version));
        let messages = self.root.join("messages");
        let log = File::create(&messages).map_err(|source| io_error(&messages, source))?;
        let mut command = self.command("apt-get");
        command.args(["-qq", "download", &package.exact()]).current_dir(&directory);
        command.stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| not_started("apt-get", &error))?;
        let status = wait(child, || {
            let so_far = files(&directory).map(|(_, size)| size).max().unwrap_or(0);
            progress(&format!("downloading {}: {} of {whole}", package.name, size(so_far)));
        });
        let status = status.map_err(|source| io_error(&directory, source))?;
        if !status.success() {
            let said = fs::read(&messages).unwrap_or_default();
            return Err(failed(&command, &said));
        }
        let file = files(&directory)
            .map(|(path, _)| path)
            .find(|path| path.extension().is_some_and(|end| end == "deb"));
        let file = file.ok_or_else(|| PackagesError::Digest(package.name.clone()))?;
        let digest =
            File::open(&file).and_then(Digest::of_reader).map_err(|source| io_error(&file, source))?;
        if digest != package.digest {
            return Err(PackagesError::Digest(package.name.clone()));
        }
        Ok(file)
    }

    fn command(&self, program: &'static str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.root.join("apt.conf"));
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    fn run(&self, program: &'static str, arguments: &[&str]) -> Result<String, PackagesError> {
        output(self.command(program).args(arguments), program)
    }

    /// Directories that apt expects, some of which it does not make.
    fn directories(&self) -> Result<(), PackagesError> {
        for name in ["state", "lists/partial", "cache/archives/partial", "none"] {
            let path = self.root.join(name);
            fs::create_dir_all(&path).map_err(|source| io_error(&path, source))?;
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), PackagesError> {
        let path = self.root.join(name);
        // A mirror's address may hold a password.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|source| io_error(&path, source))
    }
}

/// Runs `command` to its end; gives what it printed.
fn output(command: &mut Command, program: &'static str) -> Result<String, PackagesError> {
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output();
    let output = output.map_err(|error| not_started(program, &error))?;
    if !output.status.success() {
        return Err(failed(command, &output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits for `child`; calls `report` now and then.
fn wait(mut child: Child, mut report: impl FnMut()) -> io::Result<std::process::ExitStatus> {
    let mut reported = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            report();
        }
        thread::sleep(POLL);
    }
}

/// The files in `directory` with their sizes.
fn files(directory: &Path) -> impl Iterator<Item = (PathBuf, u64)> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok().filter(|data| data.is_file())?.len())))
}

/// Makes `directory`, without what was in it.
fn clear(directory: &Path) -> Result<(), PackagesError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(directory, error)),
        _ => {}
    }
    fs::create_dir_all(directory).map_err(|source| io_error(directory, source))
}

fn not_started(program: &'static str, error: &io::Error) -> PackagesError {
    match error.kind() {
        io::ErrorKind::NotFound => PackagesError::NoApt(program),
        _ => PackagesError::Apt { command: program.to_owned(), reason: error.to_string() },
    }
}

/// What a program that failed said: the lines that tell of errors, or the end of all.
fn failed(command: &Command, said: &[u8]) -> PackagesError {
    let words =
        command.get_args().skip_while(|word| *word == "-c" || word.to_string_lossy().ends_with(".conf"));
    let words = words.map(|word| word.to_string_lossy());
    let program = command.get_program().to_string_lossy();
    let command = std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ");
    PackagesError::Apt { command, reason: reason(&String::from_utf8_lossy(said)) }
}

/// The errors among apt's messages, or else its last word, in one line.
pub(super) fn reason(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    // A signature that cannot be checked is told as a warning, and as an error only what follows from it.
    let signature = |line: &&str| line.starts_with("W: GPG error");
    let mut errors: Vec<_> = lines().filter(signature).filter_map(|line| line.strip_prefix("W: ")).collect();
    if errors.iter().any(|line| line.contains("NO_PUBKEY")) {
        errors.push("this host's package debian-archive-keyring may be older than the release");
    }
    errors.extend(lines().filter_map(|line| line.strip_prefix("E: ")));
    if errors.is_empty() {
        errors.extend(lines().next_back());
    }
    let text = errors.join("; ");
    match text.char_indices().nth(MAX_REASON) {
        _ if text.is_empty() => "without a word".to_owned(),
        Some((end, _)) => format!("saying: {}…", &text[..end]),
        None => format!("saying: {text}"),
    }
}

/// A size for people: `28.1 MB`.
pub(super) fn size(bytes: u64) -> String {
    match bytes / 1000 {
        kilo @ 0..1000 => format!("{kilo} kB"),
        kilo => format!("{}.{} MB", kilo / 1000, kilo % 1000 / 100),
    }
}

fn io_error(path: &Path, source: io::Error) -> PackagesError {
    PackagesError::Io { path: path.to_owned(), source }
}
