//! Two processors, translation with `iommu.strict=1`, a disk in a file, and DMA that nobody has asked for.

use std::fs;
use std::sync::LazyLock;
use std::thread;

use devices::addr::{Iova, SourceId};
use devices::fabric::{Access, Attrs, Initiator, Kind, Transaction};
use emulator::boot::aarch64::Firmware;
use emulator::machine::{Machine, MachineState};
use emulator::snapshot;
use tempfile::NamedTempFile;

use crate::disk;
use crate::guest::{Boot, Guest, Ran};

const EXERCISER: SourceId = SourceId::new(0, 1, 0);
const DISK: SourceId = SourceId::new(0, 2, 0);
/// An address to which nobody maps anything.
const STRAY: u64 = 0xdead_0000;
/// The page that holds GITS_TRANSLATER, to which the kernel maps message interrupts.
const DOORBELL: u64 = 0x0809_0000;

/// Gives the exerciser a driver, and with it a domain in which nothing is mapped; reads and writes the disk;
/// stands idle, then reads until the kernel has told of a second event; and lets go of the disk, so that
/// nothing of it is mapped any more.
const SCRIPT: [&str; 3] = [
    "
set -e
exerciser=/sys/bus/pci/devices/0000:00:01.0
echo uio_pci_generic >$exerciser/driver_override
echo 0000:00:01.0 >/sys/bus/pci/drivers_probe
printf '\\006' | dd of=$exerciser/config bs=1 seek=4 conv=notrunc 2>/dev/null
for at in 1 2; do echo \"domain of $at: $(cat /sys/bus/pci/devices/0000:00:0$at.0/iommu_group/type)\"; done
for cpu in 0 1; do echo \"runs on $(taskset -c $cpu cut -d ' ' -f 39 /proc/self/stat)\"; done
",
    disk::SCRIPT,
    "
echo idle
sleep 0.05
echo busy
while [ $(dmesg | grep -c 'smmu.*event') -lt 2 ]; do
    dd if=/dev/nvme0n1 of=/dev/null bs=64k iflag=direct 2>/dev/null
done
echo 0000:00:02.0 >/sys/bus/pci/drivers/nvme/unbind
grep IPI /proc/interrupts
",
];

/// A run, and what was learnt of it on the way.
struct Session {
    ran: Ran,
    /// What the file of the disk held in the end.
    disk: Vec<u8>,
    /// Answers of the control socket.
    idle: String,
    busy: String,
    /// Of stray DMA, and of DMA of the disk to where it is allowed to go.
    explained: [String; 2],
    /// A page of the disk's, and where it leads.
    page: (u64, u64),
    /// The machine while the guest stood idle.
    state: MachineState,
}

/// Runs it all; the second half, if so asked, in a machine that is restored from the file that the first has
/// saved.
fn run(interrupted: bool) -> Session {
    let file = disk::file();
    let (saved, path) = (NamedTempFile::new().unwrap(), file.path().to_str().unwrap());
    let mut guest = Guest::start(&Boot {
        iommu: "smmuv3.2-nested",
        cpus: 2,
        firmware: Firmware::Tree,
        devices: &["exerciser,addr=1", &format!("nvme,file={path},addr=2")],
        modules: &["uio_pci_generic", "nvme"],
        disks: &["/dev/nvme0n1"],
        append: "iommu.strict=1",
        script: &SCRIPT.concat(),
    });
    guest.run_to_output("idle\n");
    let idle = guest.order(&format!("dma exerciser write {STRAY:#x} 64"));
    guest.run_to_console("event 0x10 received:");
    assert_eq!(guest.order(&format!("save {}", saved.path().display())), "ok\n");
    let page = guest.live(DISK).into_iter().find(|(_, pa)| *pa != DOORBELL).unwrap();
    let explain = |guest: &mut Guest, source, address: u64| {
        let answer = guest.order(&format!("explain {source} {address:#x} write"));
        answer.strip_suffix("\nok\n").unwrap().to_owned()
    };
    let explained = [explain(&mut guest, EXERCISER, STRAY), explain(&mut guest, DISK, page.0)];
    let state = snapshot::read(saved.path()).unwrap();
    if interrupted {
        guest = guest.moved_to(state.clone());
    }
    guest.run_to_output("busy\n");
    let busy = guest.order("dma exerciser read 0xbeef1008 4");
    let ran = guest.finish();
    Session { ran, disk: fs::read(file.path()).unwrap(), idle, busy, explained, page, state }
}

/// Two runs at once.
static SESSIONS: LazyLock<[Session; 2]> = LazyLock::new(|| {
    let again = thread::spawn(|| run(true));
    [run(false), again.join().unwrap()]
});

fn session() -> &'static Session {
    &SESSIONS[0]
}

#[test]
fn the_kernel_drives_the_unit_and_has_nothing_to_complain_of() {
    let Ran { console, output, heard } = &session().ran;
    for line in [
        "iommu: DMA domain TLB invalidation policy: strict mode (set via kernel command line)",
        "arm-smmu-v3 9050000.iommu: ias 48-bit, oas 48-bit",
    ] {
        assert!(console.contains(line), "'{line}' is missing\n{console}");
    }
    for line in ["domain of 1: DMA\n", "domain of 2: DMA\n"] {
        assert!(output.contains(line), "'{line}' is missing\n{output}");
    }
    let of_events = |line: &&str| line.contains(": event 0x10 received:") || line.contains(": \t0x");
    let warnings: Vec<_> = session().ran.warnings().filter(|line| !of_events(line)).collect();
    assert_eq!(warnings, [""; 0], "{console}");
    assert_eq!(heard.stale, [""; 0], "what the sanitizer has found");
}

#[test]
fn both_processors_run_programs_and_interrupt_each_other() {
    let output = &session().ran.output;
    assert!(output.contains("runs on 0\nruns on 1\n"), "{output}");
    let line = |name| output.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
    let function_calls = line("IPI1:");
    let counts: Vec<u32> = function_calls.split_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    assert!(counts.len() == 2 && counts.iter().all(|count| *count > 0), "{function_calls}");
}

#[test]
fn the_disk_holds_what_the_guest_wrote_and_the_guest_reads_what_it_holds() {
    let Session { ran, disk, .. } = session();
    for sum in disk::sums() {
        assert!(ran.output.contains(&sum), "'{sum}' is missing\n{}", ran.output);
    }
    assert!(*disk == disk::contents_after(), "the file is not what the guest has written");
}

#[test]
fn every_dma_of_the_disk_is_translated_and_invalidated() {
    let disk = session().ran.heard.master(DISK);
    assert!(disk.done > 200 && disk.refused == 0, "{disk:?}");
    assert!(disk.translations >= disk.done && disk.identical == 0, "{disk:?}");
    // With `iommu.strict=1` what is unmapped is invalidated at once; only the page of message interrupts
    // stays as long as the domain.
    assert_eq!(disk.asids.len(), 1, "{disk:?}");
    assert!(disk.invalidated > 100, "{disk:?}");
    assert!(disk.live.values().all(|pa| *pa == DOORBELL), "{disk:x?}");
}

/// The record as the kernel prints it, with the fields of F_TRANSLATION [SMMUv3 7.3.13].
#[test]
fn the_kernel_tells_of_stray_dma_whether_idle_or_busy() {
    let Session { ran: Ran { console, heard, .. }, idle, busy, .. } = session();
    for answer in [idle, busy] {
        assert!(answer.starts_with("ok aborted"), "{answer}");
    }
    let told: Vec<_> = console.split("event 0x10 received:").skip(1).map(words).collect();
    assert_eq!(told.len(), 2, "{console}");
    for ([word0, word1, address, _], (expected, read)) in told.iter().zip([(STRAY, 0), (0xbeef_1008, 1)]) {
        assert_eq!((word0 & 0xff, word0 >> 32), (0x10, u64::from(EXERCISER.0)), "type and StreamID");
        assert_eq!(*address, expected);
        assert_eq!((word1 >> 35 & 1, word1 >> 39 & 1, word1 >> 40 & 3), (read, 0, 2), "RnW, S2, CLASS");
    }
    assert_eq!(heard.records, told, "what the unit has written");
    let exerciser = heard.master(EXERCISER);
    assert_eq!((exerciser.done, exerciser.refused, exerciser.translations), (0, 2, 0), "{exerciser:?}");
}

/// The four words that follow on lines of their own.
fn words(text: &str) -> [u64; 4] {
    let word = |line: &str| u64::from_str_radix(line.rsplit_once("0x")?.1.trim(), 16).ok();
    let words: Vec<_> = text.lines().filter_map(word).take(4).collect();
    words.try_into().unwrap()
}

#[test]
fn a_machine_saved_while_the_guest_runs_explains_as_it_did() {
    let Session { state, explained: [stray, of_disk], page: (iova, pa), .. } = session();
    assert!(stray.contains("F_TRANSLATION"), "{stray}");
    assert!(of_disk.contains(&format!("{pa:#x}")), "{pa:#x}\n{of_disk}");
    let mut machine = Machine::without_files(state.config()).unwrap();
    machine.restore(state.clone()).unwrap();
    for (source, address, explained) in [(EXERCISER, STRAY, stray), (DISK, *iova, of_disk)] {
        let request = Transaction {
            initiator: Initiator::Pci { segment: 0, source },
            pasid: None,
            address: Iova(address),
            len: 4,
            access: Access::Write,
            attrs: Attrs::default(),
            kind: Kind::Untranslated,
        };
        assert_eq!(machine.explain(&request, 0).unwrap().to_string(), *explained);
    }
}

#[test]
fn a_second_run_that_is_saved_and_restored_half_way_is_the_same() {
    let [one, other] = &*SESSIONS;
    assert!(one.ran.heard.events > 5_000, "{}", one.ran.heard.events);
    assert_eq!(one.ran.console, other.ran.console);
    assert_eq!(one.ran.output, other.ran.output);
    let trace = |session: &Session| (session.ran.heard.events, session.ran.heard.digest);
    assert_eq!(trace(one), trace(other));
    assert!(one.disk == other.disk, "the disks differ");
}
