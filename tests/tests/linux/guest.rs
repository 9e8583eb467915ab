//! A guest that is run piece by piece: up to a line that it prints, an order from outside, and on.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use devices::addr::SourceId;
use devices::events::Time;
use emulator::boot::aarch64::{self, Firmware};
use emulator::config::{IommuSpec, MachineConfig};
use emulator::control::Server;
use emulator::linux::initramfs::{self, Initramfs, Task};
use emulator::linux::{self, Arch, Distribution, Fetch};
use emulator::machine::{Machine, MachineState};
use emulator::soft::{Ending, Options, Pause, Soft};
use tempfile::TempDir;

use crate::heard::{Ear, Heard};

/// Machine time that a guest may take: some ten times what it needs.
const LIMIT: Time = Time(20_000_000_000);
/// Machine time between two looks at what the guest has printed.
const SLICE: u64 = 1_000_000;
/// Words for every kernel. The self-tests of its cryptography would be half of a boot.
const WORDS: &str = "console=ttyAMA0 panic=-1 cryptomgr.notests";

/// The script's last words: warnings of the kernel, and what is worse.
const WARNINGS: &str = "dmesg -r | grep '^<[0-4]>' || :\n";
/// Those of every guest: the board has no seed for the kernel's own addresses, and says nothing of caches;
/// its high window has more than 32 bits; the exerciser has no interrupt pin.
const KNOWN_WARNINGS: [&str; 4] = [
    "KASLR disabled due to lack of seed",
    "cacheinfo: Unable to detect cache hierarchy for CPU 0",
    "Memory resource size exceeds max for 32 bits",
    "uio_pci_generic 0000:00:01.0: No IRQ assigned to device: no support for interrupts?",
];

/// What to boot.
pub struct Boot<'a> {
    pub iommu: &'a str,
    pub cpus: u8,
    /// How the kernel learns of the machine.
    pub firmware: Firmware,
    pub devices: &'a [&'a str],
    /// Modules that are loaded, besides those that they need.
    pub modules: &'a [&'a str],
    /// Block devices to wait for.
    pub disks: &'a [&'a str],
    /// Words for the kernel.
    pub append: &'a str,
    /// What the guest does: a script, whose output is kept apart from the kernel's.
    pub script: &'a str,
}

/// A guest that has been started.
pub struct Guest {
    soft: Soft<Machine>,
    ending: Option<Ending>,
    console: Vec<u8>,
    output: Vec<u8>,
    heard: Arc<Mutex<Heard>>,
    control: Server,
    socket: PathBuf,
    /// Holds the socket.
    _directory: TempDir,
}

/// A guest that has ended.
pub struct Ran {
    /// What came on the kernel's console.
    pub console: String,
    /// What the script printed.
    pub output: String,
    /// What went over the fabric.
    pub heard: Heard,
}

impl Ran {
    /// What the kernel warned of, but for what is known.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let known = |line: &str| KNOWN_WARNINGS.iter().any(|known| line.contains(known));
        self.output.lines().filter(move |line| line.starts_with('<') && !known(line))
    }
}

/// Debian's kernel, modules and busybox.
fn distribution() -> &'static Distribution {
    static DISTRIBUTION: OnceLock<Distribution> = OnceLock::new();
    DISTRIBUTION.get_or_init(|| {
        let cache = linux::default_directory().unwrap_or_else(|error| panic!("{error}"));
        let suite = Fetch::DEFAULT_SUITE.to_owned();
        let fetch = Fetch { arch: Arch::Arm64, suite, cache: cache.clone(), offline: false };
        linux::fetch(&fetch, &mut |line| eprintln!("{line}")).unwrap_or_else(|error| {
            let cache = cache.display();
            panic!(
                "these tests boot Debian's kernel; on another host, copy {cache} from one of Debian: {error}"
            )
        })
    })
}

impl Guest {
    pub fn start(boot: &Boot<'_>) -> Self {
        let Boot { iommu, cpus, firmware, devices, modules, disks, append, script } = *boot;
        let Distribution { kernel, modules: tree, busybox, .. } = distribution();
        let modules = &tree.load_order(modules).unwrap_or_else(|error| panic!("{error}"));
        let task = Task::Exec(format!("{script}{WARNINGS}"));
        let initrd = initramfs::build(&Initramfs { busybox, modules, disks, task, files: &[] }).unwrap();
        let mut unit: IommuSpec = iommu.parse().unwrap();
        unit.set_sanitize(true);
        let config = MachineConfig {
            machine: format!("virt,cpus={cpus}").parse().unwrap(),
            iommus: vec![unit],
            memory: "256M".parse().unwrap(),
            devices: devices.iter().map(|device| device.parse().unwrap()).collect(),
            ..MachineConfig::default()
        };
        let mut machine = Machine::new(&config).unwrap();
        machine.assign_resources().unwrap();
        let heard = Arc::new(Mutex::new(Heard::default()));
        machine.set_trace(Some(Box::new(Ear(Arc::clone(&heard)))));
        let command_line = &format!("{WORDS} {append}");
        let guest = aarch64::Guest { image: kernel, command_line, initrd: Some(&initrd), firmware };
        let start = aarch64::start(&machine, guest).unwrap();
        let options = Options { cpus: cpus.into(), ..Options::default() };
        let mut soft = Soft::new(machine, &options).ok().unwrap();
        soft.start(start.entry, start.tree);
        let directory = TempDir::new().unwrap();
        let socket = directory.path().join("control");
        let control = Server::bind(&socket).unwrap();
        let (console, output) = (Vec::new(), Vec::new());
        Self { soft, ending: None, console, output, heard, control, socket, _directory: directory }
    }

    /// Runs until the script has printed `text`.
    pub fn run_to_output(&mut self, text: &str) {
        self.run_to(text, |guest| &guest.output);
    }

    /// Runs until `text` has come on the kernel's console.
    pub fn run_to_console(&mut self, text: &str) {
        self.run_to(text, |guest| &guest.console);
    }

    fn run_to(&mut self, text: &str, place: impl Fn(&Self) -> &Vec<u8>) {
        let text = text.as_bytes();
        while !place(self).windows(text.len()).any(|window| window == text) {
            let ended = self.ending.map(|ending| format!("{ending:?}"));
            let text = String::from_utf8_lossy(text);
            assert_eq!(ended, None, "the guest never says '{text}'\n{}", self.said());
            self.run_slice();
        }
    }

    fn run_slice(&mut self) {
        let now = self.soft.now();
        match self.soft.run(now.after(SLICE)) {
            Pause::Ended(ending) => self.ending = Some(ending),
            _ => assert!(now < LIMIT, "the guest takes too long\n{}", self.said()),
        }
        let machine = self.soft.board_mut();
        self.console.extend(machine.take_console());
        self.output.extend(machine.take_auxiliary());
    }

    /// All that the guest has said, for people.
    fn said(&self) -> String {
        format!("{}\n{}", String::from_utf8_lossy(&self.console), String::from_utf8_lossy(&self.output))
    }

    /// Has the control socket do `command`, between two slices of the guest, and returns its answer. The
    /// guest stands still meanwhile, however long the host takes.
    pub fn order(&mut self, command: &str) -> String {
        thread::scope(|scope| {
            let client = scope.spawn(|| converse(&self.socket, command));
            while !client.is_finished() {
                assert!(self.control.serve(&mut self.soft).is_continue());
                thread::yield_now();
            }
            client.join().unwrap().unwrap()
        })
    }

    /// The guest in another machine, which is restored from `state`. The first lets go of the disk's file.
    pub fn moved_to(self, state: MachineState) -> Self {
        drop(self.soft);
        let mut soft = Soft::restore(state).unwrap();
        soft.board_mut().set_trace(Some(Box::new(Ear(Arc::clone(&self.heard)))));
        Self { soft, ..self }
    }

    /// The pages that a function can reach, by what was heard, and where they lead.
    pub fn live(&self, source: SourceId) -> BTreeMap<u64, u64> {
        self.heard.lock().unwrap().master(source).live
    }

    /// Runs to the end, which must be that of a script that has succeeded.
    pub fn finish(mut self) -> Ran {
        while self.ending.is_none() {
            self.run_slice();
        }
        let said = self.said();
        let output = String::from_utf8(self.output).unwrap();
        let ending = (self.ending, output.split_once('\0').map(|(_, trailer)| trailer));
        assert_eq!(ending, (Some(Ending::Off), Some("exit 0\n")), "{said}");
        let console = String::from_utf8_lossy(&self.console).into_owned();
        self.soft.into_board().set_trace(None);
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        Ran { console, output, heard }
    }
}

/// A client of the control socket.
fn converse(socket: &Path, command: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "{command}")?;
    let mut answer = String::new();
    let mut lines = BufReader::new(stream).lines();
    while !["ok", "error: "].iter().any(|end| answer.lines().last().is_some_and(|line| line.starts_with(end)))
    {
        let line = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
        answer.push_str(&line);
        answer.push('\n');
    }
    Ok(answer)
}
