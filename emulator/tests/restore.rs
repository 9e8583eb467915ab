//! `run --restore`: the binary goes on with a run that was saved.
#![allow(clippy::unwrap_used)]

mod binary;

use std::ops::ControlFlow;
use std::path::Path;

use devices::events::Time;
use emulator::boot::aarch64::{self, Firmware, Guest};
use emulator::config::MachineConfig;
use emulator::machine::Machine;
use emulator::snapshot;
use emulator::soft::{self, Ending, Options, Soft};

use binary::{check_failure, iommulator};

/// `cpu_check` on three processors, about to begin.
fn started() -> Soft<Machine> {
    started_with(&[])
}

/// The same on a machine with these devices.
fn started_with(devices: &[&str]) -> Soft<Machine> {
    let config = MachineConfig {
        machine: "virt,cpus=3".parse().unwrap(),
        memory: "64M".parse().unwrap(),
        iommus: vec!["smmuv3.2-nested".parse().unwrap()],
        devices: devices.iter().map(|spec| spec.parse().unwrap()).collect(),
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    let guest = Guest {
        image: guests::image::CPU_CHECK,
        command_line: "one two",
        initrd: None,
        firmware: Firmware::Tree,
    };
    let start = aarch64::start(&machine, guest).unwrap();
    let mut soft = Soft::new(machine, &Options { cpus: 3, ..Options::default() }).ok().unwrap();
    soft.start(start.entry, start.tree);
    soft
}

#[test]
fn a_saved_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json.gz");
    let mut soft = started();
    let (mut before, mut rest) = (Vec::new(), Vec::new());
    let console = &mut |text: &[u8]| rest.extend_from_slice(text);
    // In its middle.
    soft.run(Time(600_000));
    before.extend(soft.board_mut().take_console());
    snapshot::write(&file, &soft.save()).unwrap();
    let end = soft::run(&mut soft, Time(2_000_000_000), console, &mut |_| ControlFlow::Continue(()));
    assert_eq!(end, Ending::Exited(0));
    assert!(before.len() > 100 && rest.len() > 100, "{} and {}", before.len(), rest.len());

    let output = iommulator(&["run", "--restore", file.to_str().unwrap(), "--stats"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), String::from_utf8(rest).unwrap());
    assert!(errors.contains(" million instructions in "), "{errors}");
    // The machine alone can be asked as before.
    let asked = ["explain", "--state", file.to_str().unwrap(), "--source", "00:01.0", "--address", "0"];
    assert_eq!(iommulator(&asked).status.code(), Some(0));
}

#[test]
fn what_cannot_go_on_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (alone, text, missing) = (path("alone.json"), path("text"), path("missing"));
    snapshot::write(Path::new(&alone), &started().board().save()).unwrap();
    std::fs::write(&text, "once upon a time").unwrap();
    check_failure(&["run", "--restore", &missing], 3, "cannot read");
    check_failure(&["run", "--restore", &text], 2, "no saved machine");
    check_failure(&["run", "--restore", &alone], 2, "without its processors");
    check_failure(&["run"], 2, "required");
    for options in [
        &["cpu_check"][..],
        &["--memory", "1G"],
        &["--machine", "virt"],
        &["--iommu", "smmuv3.2-nested"],
        &["--device", "edu"],
        &["--seed", "1"],
        &["--append", "words"],
        &["--acpi"],
    ] {
        check_failure(&[&["run", "--restore", &alone], options].concat(), 2, "cannot be used with");
    }
    check_failure(&["run", "--restore", &alone, "--cpu", "kvm"], 4, "leave --cpu out");
}

#[test]
fn files_of_disks_are_opened_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    std::fs::write(&disk, [0; 4096]).unwrap();
    let saved = folder.path().join("saved.json.gz");
    let saved = saved.to_str().unwrap();
    for (option, purpose) in
        [("", "for writing"), (",readonly=on", "for reading"), (",snapshot=on", "for reading")]
    {
        let spec = format!("nvme,file={}{option}", disk.display());
        let state = started_with(&["nvme,size=4096", &spec]).save();
        snapshot::write(Path::new(saved), &state).unwrap();
        let message = format!("would open {} {purpose}; say --open-disks", disk.display());
        check_failure(&["run", "--restore", saved], 2, &message);
        let output = iommulator(&["run", "--restore", saved, "--open-disks"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    check_failure(&["run", "--open-disks", "cpu_check"], 2, "cannot be used with");
}
