//! Linux as a host of virtual machines: a kernel of our own recipe lets a program in user space nest its
//! translation tables under the kernel's, by iommufd and VFIO.
//!
//! The kernel takes minutes to build, so these tests run only where they are asked for:
//! `guests/linux/build arm64`, then `cargo test --release -p iommulator-tests --test linux_nesting`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use devices::events::Time;
use devices::trace::TraceEvent;
use emulator::boot::aarch64;
use emulator::config::MachineConfig;
use emulator::linux::cpio::Archive;
use emulator::machine::Machine;
use emulator::soft::{self, Soft};
use emulator::trace::Sink;

/// Two functions that share a group, and one that is alone in its own.
const DEVICES: [&str; 2] = ["exerciser,functions=2", "exerciser"];
/// Machine time that a run may take: some ten times what it needs.
const LIMIT: Time = Time(20_000_000_000);
/// The ASID of the program's tables.
const GUEST_ASID: u16 = 0x77;

/// What a script of `guests/linux` prints last: a path.
fn script(name: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/linux").join(name);
    let ran = Command::new(&script).args(arguments).stderr(Stdio::inherit()).output().unwrap();
    let printed = String::from_utf8(ran.stdout).unwrap();
    let last = printed.lines().last().filter(|_| ran.status.success());
    last.unwrap_or_else(|| panic!("guests/linux/{name} {} failed; it said why", arguments.join(" ")))
        .to_owned()
}

/// The kernel, and an initramfs with nothing but the program.
fn images() -> &'static (Vec<u8>, Vec<u8>) {
    static IMAGES: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let kernel = std::fs::read(script("build", &["--cached", "arm64"])).unwrap();
        let program = std::fs::read(script("build-program", &["arm64"])).unwrap();
        let mut archive = Archive::default();
        archive.directory("dev", 0o755).unwrap();
        archive.character_device("dev/console", 0o600, (5, 1)).unwrap();
        archive.file("init", 0o755, &program).unwrap();
        (kernel, archive.finish())
    })
}

/// What the trace of a run says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    events: u64,
    /// Uses of translations that memory no longer bears out.
    stale: Vec<String>,
    /// VMIDs of the commands that name the ASID of the program's tables.
    vmids: BTreeSet<u16>,
}

struct Ear(Arc<Mutex<Heard>>);

impl Sink for Ear {
    fn record(&mut self, _: Time, event: &TraceEvent) {
        let mut heard = self.0.lock().unwrap();
        heard.events += 1;
        match *event {
            TraceEvent::Stale { ref stale, .. } => heard.stale.push(stale.to_string()),
            // ASID in bits 63:48, VMID in 47:32 [SMMUv3 4.4.2].
            TraceEvent::QueueEntry {
                kind: "CMD_TLBI_NH_VA" | "CMD_TLBI_NH_ASID", words: [word, _], ..
            } if (word >> 48) as u16 == GUEST_ASID => {
                heard.vmids.insert((word >> 32) as u16);
            }
            _ => {}
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Ran {
    ending: String,
    console: String,
    heard: Heard,
}

/// Boots Linux behind a unit, with words for the program.
fn run(iommu: &str, sanitize: bool, words: &str) -> Ran {
    let (kernel, initrd) = images();
    let mut unit: emulator::config::IommuSpec = iommu.parse().unwrap();
    unit.set_sanitize(sanitize);
    let config = MachineConfig {
        machine: "virt".parse().unwrap(),
        iommus: vec![unit],
        memory: "256M".parse().unwrap(),
        devices: DEVICES.iter().map(|spec| spec.parse().unwrap()).collect(),
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    let heard = Arc::new(Mutex::new(Heard::default()));
    machine.set_trace(Some(Box::new(Ear(heard.clone()))));
    let command_line = format!("console=ttyAMA0 panic=-1 {words}");
    let firmware = aarch64::Firmware::Tree;
    let guest = aarch64::Guest { image: kernel, command_line: &command_line, initrd: Some(initrd), firmware };
    let start = aarch64::start(&machine, guest).unwrap();
    let mut soft = Soft::new(machine, &soft::Options::default()).ok().unwrap();
    soft.start(start.entry, start.tree);
    let mut console = Vec::new();
    let ending = soft::run(&mut soft, LIMIT, &mut |text| console.extend_from_slice(text), &mut |_| {
        ControlFlow::Continue(())
    });
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    // A terminal's line ends.
    let console = String::from_utf8(console).unwrap().replace('\r', "");
    Ran { ending: format!("{ending:?}"), console, heard }
}

/// Checks that a report is whole and that nothing failed. Returns how many checks there were, and those that
/// were skipped.
fn check(Ran { ending, console, .. }: &Ran) -> (usize, Vec<&str>) {
    let (_, report) =
        console.split_once("TAP version 13\n").unwrap_or_else(|| panic!("no report\n{console}"));
    let (skipped, done): (Vec<_>, Vec<_>) = report
        .lines()
        .filter(|line| line.starts_with("ok ") || line.starts_with("not ok "))
        .partition(|line| line.contains(" # SKIP "));
    let failed: Vec<_> = done.iter().filter(|line| line.starts_with("not ok ")).collect();
    assert!(failed.is_empty(), "{failed:#?}\n{report}");
    let checks = done.len() + skipped.len();
    assert!(report.contains(&format!("\n1..{checks}\n")), "the plan is complete\n{report}");
    assert_eq!(ending, "Off", "{report}");
    (checks, skipped)
}

/// What the driver's own tests said, of which Linux 6.12 has 22.
fn check_driver(console: &str) {
    let totals = console
        .lines()
        .find_map(|line| line.split_once("- the driver's own tests: pass:")?.1.split_once(' '));
    let (passed, others) = totals.unwrap_or_else(|| panic!("the driver's tests did not run\n{console}"));
    let passed: u32 = passed.parse().unwrap();
    assert!(passed >= 22, "{passed} of the driver's tests");
    assert_eq!(others, format!("fail:0 skip:0 total:{passed}"));
}

#[test]
fn a_program_nests_its_tables_under_those_of_linux() {
    let ran = run("smmuv3.2-nested", false, "cache=retain");
    let (checks, skipped) = check(&ran);
    assert!(checks >= 135, "{checks} checks; sections are missing");
    assert!(
        matches!(skipped[..], [skipped] if skipped.ends_with("# SKIP IDR0.HTTU offers no dirty state")),
        "{skipped:?}"
    );
    check_driver(&ran.console);
    // The program's commands name VMID 0; the kernel must have put its own in.
    assert!(!ran.heard.vmids.is_empty() && !ran.heard.vmids.contains(&0), "{:?}", ran.heard.vmids);
    assert_eq!(
        run("smmuv3.2-nested", false, "cache=retain"),
        ran,
        "a run is a function of machine and images"
    );
}

/// Linux 7.2 takes dirty state without an invalidation. The program finds that a write is missed, and the
/// sanitizer says which command would have helped.
#[test]
fn it_learns_which_pages_devices_wrote() {
    let ran = run("smmuv3.3-full", true, "");
    let (checks, skipped) = check(&ran);
    assert!(checks >= 150, "{checks} checks; sections are missing");
    assert!(skipped.iter().all(|known| known.contains("# SKIP Linux 7.2 gathers")), "{skipped:?}");
    let stale = &ran.heard.stale;
    assert_eq!(stale.len(), skipped.len(), "{stale:?}");
    for stale in stale {
        let [what, missing] = ["(Write at 0x40005000)", "missing: CMD_TLBI_NH_VA of 0x40005000,"];
        assert!(stale.contains(what) && stale.contains(missing), "{stale}");
    }
}

/// Units that keep less and units that lack a stage; what they use is never out of date.
#[test]
fn every_kind_of_unit_serves_it() {
    for (iommu, least) in [
        ("smmuv3.2-nested", 130),
        ("smmuv3.2-nested,cache=tiny", 130),
        ("smmuv3.2-nested,cache=adversarial", 130),
        ("smmuv3.3-full,cache=off", 150),
        ("smmuv3.0-s1", 59),
        ("smmuv3.1-s2", 59),
    ] {
        let ran = run(iommu, true, "");
        let (checks, _) = check(&ran);
        assert!(checks >= least, "{iommu}: {checks} checks; sections are missing");
        assert_eq!(ran.heard.stale, [""; 0], "{iommu}");
        check_driver(&ran.console);
    }
}

/// The checks can fail: a unit that forgets is told from one that is said to keep everything.
#[test]
fn a_unit_that_forgets_is_found_out() {
    let ran = run("smmuv3.2-nested,cache=off", false, "cache=retain");
    let failed: Vec<_> = ran.console.lines().filter(|line| line.starts_with("not ok ")).collect();
    assert_eq!(failed.len(), 5, "{failed:?}");
    assert!(
        failed.iter().all(|line| line.contains("keeps to it though the tables say otherwise")),
        "{failed:?}"
    );
}
