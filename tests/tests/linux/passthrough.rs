//! Four processors, ACPI tables, `iommu.passthrough=1`, and a disk whose file stays as it is.

use std::fs;
use std::sync::LazyLock;

use devices::addr::SourceId;
use emulator::boot::aarch64::Firmware;

use crate::disk;
use crate::guest::{Boot, Guest, Ran};

const DISK: SourceId = SourceId::new(0, 1, 0);

/// What it leaves running prints as long as it is let.
const SCRIPT: [&str; 3] = [
    "
set -e
echo \"domain: $(cat /sys/bus/pci/devices/0000:00:01.0/iommu_group/type)\"
echo \"online: $(cat /sys/devices/system/cpu/online)\"
for cpu in 0 1 2 3; do echo \"runs on $(taskset -c $cpu cut -d ' ' -f 39 /proc/self/stat)\"; done
",
    disk::SCRIPT,
    "
for cpu in 0 1 2 3; do
    taskset -c $cpu dd if=/dev/nvme0n1 of=/dev/null bs=64k count=4 iflag=direct 2>/dev/null
done
grep nvme /proc/interrupts
while :; do echo more; done &
",
];

/// A run, and what the file of its disk held then.
static SESSION: LazyLock<(Ran, Vec<u8>)> = LazyLock::new(|| {
    let file = disk::file();
    let guest = Guest::start(&Boot {
        iommu: "smmuv3.2-nested",
        cpus: 4,
        firmware: Firmware::Acpi,
        devices: &[&format!("nvme,file={},snapshot=on,addr=1", file.path().to_str().unwrap())],
        modules: &["nvme"],
        disks: &["/dev/nvme0n1"],
        append: "iommu.passthrough=1",
        script: &SCRIPT.concat(),
    });
    (guest.finish(), fs::read(file.path()).unwrap())
});

#[test]
fn the_kernel_finds_the_machine_in_acpi_tables_and_has_nothing_to_complain_of() {
    let Ran { console, heard, .. } = &SESSION.0;
    for line in ["ACPI: IORT 0x", "arm-smmu-v3 arm-smmu-v3.0.auto: ias 48-bit, oas 48-bit"] {
        assert!(console.contains(line), "'{line}' is missing\n{console}");
    }
    assert_eq!(SESSION.0.warnings().collect::<Vec<_>>(), [""; 0], "{console}");
    assert_eq!(heard.stale, [""; 0], "what the sanitizer has found");
}

#[test]
fn four_processors_run_programs_and_take_interrupts_of_the_disk() {
    let Ran { output, .. } = &SESSION.0;
    assert!(output.contains("online: 0-3\nruns on 0\nruns on 1\nruns on 2\nruns on 3\n"), "{output}");
    let queues: Vec<_> = output.lines().filter(|line| line.contains("nvme0q")).collect();
    for cpu in 0..4 {
        let taken = |line: &&&str| line.split_whitespace().nth(1 + cpu).is_some_and(|count| count != "0");
        assert!(queues.iter().any(|line| taken(&line)), "processor {cpu}: {queues:#?}");
    }
}

#[test]
fn dma_goes_to_the_address_that_the_disk_is_given() {
    let (Ran { console, output, heard }, _) = &*SESSION;
    assert!(console.contains("iommu: Default domain type: Passthrough (set via kernel command line)"));
    assert!(output.contains("domain: identity\n"), "{output}");
    let disk = heard.master(DISK);
    assert!(disk.done > 100 && disk.refused == 0 && disk.asids.iter().all(|asid| *asid == 0), "{disk:?}");
    assert_eq!((disk.translations, disk.invalidated), (disk.identical, 0));
    assert_eq!(heard.records, [[0; 4]; 0]);
}

#[test]
fn what_the_guest_writes_does_not_reach_the_file() {
    let (ran, file) = &*SESSION;
    for sum in disk::sums() {
        assert!(ran.output.contains(&sum), "'{sum}' is missing\n{}", ran.output);
    }
    assert!(*file == disk::contents(), "the file has changed");
}
