//! The built-in guest on every back end that this host has: the reports must be the same to the
//! letter, whether it runs from its image or in this process.
//!
//! A host without KVM has to say so with IOMMULATOR_NO_KVM=1; then only the in-process run is left,
//! and the test checks that KVM really does not work.
#![allow(clippy::unwrap_used)]

use emulator::config::MachineConfig;
use emulator::hosted::{self, Ending};
use emulator::machine::Machine;

const COMMAND_LINE: &str = "cache=retain";

fn machine() -> Machine {
    let config = MachineConfig {
        iommus: vec!["vtd-legacy".parse().unwrap()],
        memory: "256M".parse().unwrap(),
        devices: ["exerciser,functions=2", "edu"].map(|spec| spec.parse().unwrap()).into(),
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    machine
}

fn run_hosted() -> (u32, String) {
    let mut report = Vec::new();
    let machine = machine();
    let options = hosted::Options { command_line: COMMAND_LINE, limit: machine.now().after(60_000_000_000) };
    let finished = hosted::run(machine, options, &mut |text| report.extend_from_slice(text), |hw| {
        guests::programs::vtd_dma::run(hw)
    });
    let Ending::Exited(value) = finished.ending else {
        panic!("the program ended with {:?}", finished.ending)
    };
    (value, String::from_utf8(report).unwrap())
}

/// Checks that held, and those that did not.
fn counts(report: &str) -> (usize, usize) {
    let lines = |prefix: &str| report.lines().filter(|line| line.starts_with(prefix)).count();
    (lines("ok "), lines("not ok "))
}

#[test]
fn the_guest_holds_in_this_process() {
    let (value, report) = run_hosted();
    let (held, failed) = counts(&report);
    assert_eq!((value, failed), (0, 0), "{report}");
    assert_eq!(report.lines().last(), Some(format!("1..{held}").as_str()), "the plan is complete");
    assert!(held >= 140, "{held} checks; sections are missing");
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod on_kvm {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use emulator::kvm::{self, Limits};
    use emulator::machine::layout::q35 as layout;
    use firmware::boot::{self, BootConfig};

    use super::*;

    const CHECKED_IN: &[u8] = include_bytes!("../../guests/images/vtd_dma-x86_64.elf");

    fn run(image: &[u8]) -> (u32, String) {
        let machine = machine();
        let ecam = layout::ECAM_BASE..=layout::ECAM_BASE + (layout::ECAM_SIZE - 1);
        let config = BootConfig { image, command_line: COMMAND_LINE, reserved: &[ecam] };
        let boot = boot::load(machine.memory(), &config).unwrap();
        let report = Arc::new(Mutex::new(Vec::new()));
        let console = Arc::clone(&report);
        let limits = Limits { timeout: Duration::from_secs(120) };
        let finished = kvm::run(machine, &boot, limits, move |text: &[u8]| {
            console.lock().unwrap().extend_from_slice(text);
        });
        let report = String::from_utf8(std::mem::take(&mut *report.lock().unwrap())).unwrap();
        (finished.end.unwrap_or_else(|error| panic!("{error}\n{report}")), report)
    }

    #[test]
    fn the_image_reports_what_the_same_program_reports_in_this_process() {
        let probed = kvm::probe();
        if std::env::var_os("IOMMULATOR_NO_KVM").is_some_and(|value| value == "1") {
            assert!(probed.is_err(), "IOMMULATOR_NO_KVM=1 is set, but KVM works here: unset it");
            return;
        }
        probed.expect(
            "KVM does not work here: give this user access to /dev/kvm, or set IOMMULATOR_NO_KVM=1 to state \
             that this host has none",
        );
        let hosted = run_hosted();
        assert_eq!(run(guests::image::VTD_DMA), hosted, "the image that this build made or took");
        if guests::image::VTD_DMA != CHECKED_IN {
            assert_eq!(run(CHECKED_IN), hosted, "the checked-in image, which another compiler made");
        }
    }
}
