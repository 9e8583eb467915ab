//! Fuzzing: harnesses over bytes, for `cargo fuzz`, for fixed seeds in `cargo test`, and for
//! [`minimize`].
//!
//! A target is a function of bytes that panics where something is wrong. Inputs are lists of
//! [`record`]s, or lines of text; hardware is kept from input to input and reset, with only that
//! memory cleared that was written ([`journal`]).
//!
//! What is absent: a second implementation to compare with. What is asserted are rules that need
//! none.

pub mod action;
pub mod board;
pub mod decode;
pub mod digest;
pub mod gic;
pub mod iommufd;
pub mod journal;
pub mod minimize;
pub mod nvme;
pub mod pci;
pub mod qtest;
pub mod record;
pub mod seeds;
pub mod smmuv3;
pub mod smmuv3_decode;
pub mod step;
#[cfg(test)]
mod tests;
pub mod vtd;

use record::Record;

/// A harness and how its inputs are taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Runs an input; panics where something is wrong.
    pub run: fn(&[u8]),
    /// The structure of its inputs.
    pub layout: Layout,
    /// What an input is for a client of a machine.
    pub script: fn(&[u8]) -> Script,
}

/// How an input divides into what can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One byte, then records of [`Record::BYTES`].
    Records,
    /// Lines.
    Text,
}

/// A qtest script, and the machine that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The command that serves it.
    pub command: String,
    /// Its lines.
    pub lines: Vec<String>,
}

/// All targets.
pub const TARGETS: [Target; 9] = [
    Target { name: "vtd", run: vtd::vtd, layout: Layout::Records, script: vtd_script },
    Target { name: "decode", run: decode::decode, layout: Layout::Records, script: decode_script },
    Target { name: "pci", run: pci::pci, layout: Layout::Records, script: pci_script },
    Target { name: "smmuv3", run: smmuv3::smmuv3, layout: Layout::Records, script: smmuv3_script },
    Target {
        name: "smmuv3_decode",
        run: smmuv3_decode::smmuv3_decode,
        layout: Layout::Records,
        script: smmuv3_decode_script,
    },
    Target { name: "gic", run: gic::gic, layout: Layout::Records, script: gic_script },
    Target { name: "nvme", run: nvme::nvme, layout: Layout::Records, script: nvme_script },
    Target { name: "iommufd", run: iommufd::iommufd, layout: Layout::Records, script: iommufd_script },
    Target { name: "qtest", run: qtest::qtest, layout: Layout::Text, script: qtest_script },
];

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }
}

impl Layout {
    /// The pieces of `data`; joined again they are `data`. The first is never left out.
    pub fn split(self, data: &[u8]) -> (&[u8], Vec<&[u8]>) {
        match self {
            Self::Records => {
                let (first, rest) = data.split_at(data.len().min(1));
                (first, rest.chunks(Record::BYTES).collect())
            }
            Self::Text => (&[], data.split_inclusive(|byte| *byte == b'\n').collect()),
        }
    }
}

fn script(iommu: &str, steps: impl Iterator<Item = step::Step>) -> Script {
    let lines = board::Q35.prologue().into_iter().chain(steps).map(|step| step.to_string());
    Script { command: board::Q35.options(iommu), lines: lines.collect() }
}

fn vtd_script(data: &[u8]) -> Script {
    let (variant, actions) = vtd::plan(data);
    script(&variant.options(), board::Q35.lower(&actions).into_iter())
}

fn virt_script(iommu: &str, steps: Vec<step::Step>) -> Script {
    let lines = board::VIRT.prologue().into_iter().chain(steps).map(|step| step.to_string());
    Script { command: board::VIRT.options(iommu), lines: lines.collect() }
}

fn smmuv3_script(data: &[u8]) -> Script {
    let (variant, ops) = smmuv3::plan(data);
    let actions = smmuv3::plan::actions(&ops, variant.has_el2());
    virt_script(&variant.options(), board::VIRT.lower(&actions))
}

fn smmuv3_decode_script(data: &[u8]) -> Script {
    let (preset, actions) = smmuv3_decode::plan(data);
    virt_script(&format!("{preset},cache=off"), board::VIRT.lower(&actions))
}

fn gic_script(data: &[u8]) -> Script {
    virt_script("smmuv3.2-nested", gic::lower(&gic::plan(data).1))
}

fn decode_script(data: &[u8]) -> Script {
    script("vtd-legacy,cache=off", board::Q35.lower(&decode::plan(data)).into_iter())
}

fn pci_script(data: &[u8]) -> Script {
    let (iommu, ops) = pci::plan(data);
    let steps = ops.into_iter().filter_map(|op| match op {
        pci::Op::Step(step) => Some(step),
        // No command does that.
        pci::Op::Snapshot => None,
    });
    script(iommu, steps)
}

fn nvme_script(data: &[u8]) -> Script {
    let (latency, ops) = nvme::plan(data);
    let steps = ops.into_iter().filter_map(|op| match op {
        pci::Op::Step(step) => Some(step),
        // No command does that.
        pci::Op::Snapshot => None,
    });
    let lines = nvme::prologue().into_iter().chain(steps).map(|step| step.to_string());
    Script { command: nvme::options(latency), lines: lines.collect() }
}

fn iommufd_script(data: &[u8]) -> Script {
    Script { command: "reading; no command serves it".to_owned(), lines: iommufd::report(data).lines }
}

fn qtest_script(data: &[u8]) -> Script {
    let prologue = board::Q35.prologue().into_iter().map(|step| step.to_string());
    let text = String::from_utf8_lossy(data);
    let lines = prologue.chain(text.lines().map(str::to_owned)).collect();
    Script { command: board::Q35.options(qtest::IOMMU), lines }
}
