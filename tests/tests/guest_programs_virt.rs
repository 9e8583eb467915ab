//! The built-in guest of the board virt, in this process and on the software processor: the reports must
//! be the same to the letter.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use devices::events::Time;
use emulator::boot::{self, aarch64::Firmware};
use emulator::config::MachineConfig;
use emulator::hosted;
use emulator::machine::Machine;
use emulator::soft::{self, Soft};

const CHECKED_IN: &[u8] = include_bytes!("../../guests/images/smmuv3_dma-aarch64.elf");
const DEVICES: &[&str] = &["exerciser,functions=2", "exerciser,bus=platform,stream=0x10000,can-stall=on"];
/// Machine time that a run may take.
const LIMIT: u64 = 60_000_000_000;

fn machine(iommu: &str, devices: &[&str]) -> Machine {
    let config = MachineConfig {
        machine: "virt".parse().unwrap(),
        iommus: vec![iommu.parse().unwrap()],
        memory: "64M".parse().unwrap(),
        devices: devices.iter().map(|spec| spec.parse().unwrap()).collect(),
        ..MachineConfig::default()
    };
    let mut machine = Machine::new(&config).unwrap();
    machine.assign_resources().unwrap();
    machine
}

/// What the program returned, or why it did not, and what it said.
fn run_hosted(machine: Machine, command_line: &str) -> (String, String) {
    let mut report = Vec::new();
    let options = hosted::Options { command_line, limit: Time(LIMIT) };
    let finished = hosted::run(machine, options, &mut |text| report.extend_from_slice(text), |hw| {
        guests::programs::smmuv3_dma::run(hw)
    });
    (format!("{:?}", finished.ending), String::from_utf8(report).unwrap())
}

fn run_soft(machine: Machine, image: &[u8], command_line: &str) -> (String, String) {
    let guest = boot::aarch64::Guest { image, command_line, initrd: None, firmware: Firmware::Tree };
    let start = boot::aarch64::start(&machine, guest).unwrap();
    let mut soft = Soft::new(machine, &soft::Options::default()).ok().unwrap();
    soft.start(start.entry, start.tree);
    let mut report = Vec::new();
    let console = &mut |text: &[u8]| report.extend_from_slice(text);
    let ending = soft::run(&mut soft, Time(LIMIT), console, &mut |_| ControlFlow::Continue(()));
    (format!("{ending:?}"), String::from_utf8(report).unwrap())
}

/// Checks that a report is whole and without failures; returns how many checks held, and how many of
/// them were skipped.
fn check((ending, report): &(String, String)) -> (usize, usize) {
    let lines = |prefix: &str| report.lines().filter(|line| line.starts_with(prefix)).count();
    let (held, failed) = (lines("ok "), lines("not ok "));
    assert_eq!((ending.as_str(), failed), ("Exited(0)", 0), "{report}");
    assert_eq!(report.lines().last(), Some(format!("1..{held}").as_str()), "the plan is complete");
    (held, report.matches("# SKIP").count())
}

#[test]
fn the_guest_holds_in_this_process_and_again() {
    let run = || run_hosted(machine("smmuv3.2-nested,sidsize=17", DEVICES), "cache=retain");
    let first = run();
    let (held, skipped) = check(&first);
    assert!(held >= 340 && skipped == 0, "{held} checks, {skipped} skipped; sections are missing");
    assert_eq!(run(), first, "a run is a function of machine and program");
}

/// Units that keep less, that are larger, that have other granules, or that lack a stage.
#[test]
fn the_guest_holds_on_every_kind_of_unit() {
    let one: &[&str] = &["exerciser"];
    for (iommu, devices, command_line, least) in [
        ("smmuv3.3-full", DEVICES, "cache=retain", 330),
        ("smmuv3.2-nested,cache=tiny,sidsize=17", DEVICES, "", 320),
        ("smmuv3.2-nested,cache=adversarial,sidsize=17", DEVICES, "", 320),
        ("smmuv3.2-nested,cache=off,sidsize=17", DEVICES, "", 320),
        ("smmuv3.2-nested,granules=64k,sidsize=17", DEVICES, "cache=retain", 300),
        ("smmuv3.2-nested,term-model=1,sidsize=17", DEVICES, "cache=retain", 330),
        ("smmuv3.2-nested", one, "cache=retain", 320),
        ("smmuv3.0-s1", one, "cache=retain", 180),
        ("smmuv3.1-s2", one, "cache=retain", 150),
    ] {
        let run = run_hosted(machine(iommu, devices), command_line);
        let (held, _) = check(&run);
        assert!(held >= least, "{iommu}: {held} checks; sections are missing");
    }
}

/// The checks can fail: a unit that forgets is told from one that is said to keep everything.
#[test]
fn a_unit_that_forgets_is_found_out() {
    let (ending, report) = run_hosted(machine("smmuv3.2-nested,cache=off", &["exerciser"]), "cache=retain");
    assert_eq!(ending, "Exited(1)");
    assert!(report.contains("\nnot ok ") && report.contains("still sees the old page"), "{report}");
}

#[test]
fn the_image_reports_what_the_same_program_reports_in_this_process() {
    let build = || machine("smmuv3.2-nested,sidsize=17", DEVICES);
    let hosted = run_hosted(build(), "cache=retain");
    let built = run_soft(build(), guests::image::SMMUV3_DMA, "cache=retain");
    assert_eq!(built, hosted, "the image that this build made or took");
    if guests::image::SMMUV3_DMA != CHECKED_IN {
        assert_eq!(run_soft(build(), CHECKED_IN, "cache=retain"), hosted, "the checked-in image");
    }
}
