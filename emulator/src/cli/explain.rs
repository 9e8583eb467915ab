//! `explain`: why a request ends as it does, on a machine that a script has set up or that was saved.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use devices::addr::{Iova, PAGE_SIZE, Pasid, SourceId, StreamId};
use devices::fabric::{Access, Attrs, Initiator, Kind, Transaction};
use emulator::exit::Exit;
use emulator::machine::Machine;
use emulator::qtest::{self, Refusal};

use super::files;
use super::machine::MachineArgs;
use super::{Failure, OrExit};

/// The options of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    master: MasterArgs,
    /// The address that it puts on the bus
    #[arg(long, value_parser = number, value_name = "NUMBER")]
    address: u64,
    /// Bytes, inside one page of 4 KiB
    #[arg(long, value_parser = number, default_value = "4", value_name = "NUMBER")]
    len: u64,
    /// A write; without this, a read
    #[arg(long, conflicts_with = "atomic")]
    write: bool,
    /// An atomic operation
    #[arg(long)]
    atomic: bool,
    /// The request carries this PASID, which is the SubstreamID of an SMMUv3
    #[arg(long, value_parser = pasid, value_name = "NUMBER")]
    pasid: Option<Pasid>,
    /// The device says that it has translated the address itself (AT = 10b)
    #[arg(long)]
    translated: bool,
    /// A privileged request; an SMMUv3 looks at it
    #[arg(long)]
    privileged: bool,
    /// A fetch of an instruction; an SMMUv3 looks at it
    #[arg(long, conflicts_with_all = ["write", "atomic"])]
    instruction: bool,
    /// The data, for a write of 4 bytes that is an interrupt
    #[arg(long, value_parser = data, default_value = "0", value_name = "NUMBER")]
    data: u32,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct MasterArgs {
    /// The device, as bus:device.function
    #[arg(long, value_name = "BB:DD.F")]
    source: Option<SourceId>,
    /// The master, by its StreamID at an SMMUv3
    #[arg(long, value_parser = stream, value_name = "NUMBER")]
    stream: Option<StreamId>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct StateArgs {
    /// Commands of the qtest protocol that set the machine up; lines with '#' first are comments
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// A machine saved by 'save' of the control socket, in place of one described by options
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

impl Explain {
    pub fn run(self) -> Result<Exit, Failure> {
        let machine = match (&self.state.script, &self.state.state) {
            (_, Some(file)) => restored(file)?,
            (script, None) => {
                let mut machine = Machine::new(&self.machine.config()).or_exit(Exit::Usage)?;
                if let Some(file) = script {
                    run_script(&mut machine, file)?;
                }
                machine
            }
        };
        let explained = machine.explain(&self.request()?, self.data).or_exit(Exit::Usage)?;
        let text = if self.json {
            serde_json::to_string_pretty(&explained).or_exit(Exit::Environment)?
        } else {
            explained.to_string()
        };
        super::print(&format!("{text}\n"))?;
        Ok(Exit::Success)
    }

    fn request(&self) -> Result<Transaction, Failure> {
        let address = Iova(self.address);
        let left = PAGE_SIZE - address.page_offset();
        if self.len > left {
            let why =
                format!("--len {} crosses the end of a page, {left} bytes on; ask for each page", self.len);
            return Err(Failure::new(Exit::Usage, why));
        }
        Ok(Transaction {
            initiator: match (self.master.stream, self.master.source) {
                (Some(stream), _) => Initiator::Platform { stream, can_stall: true },
                // One of them is there.
                (None, source) => Initiator::Pci { segment: 0, source: source.unwrap_or_default() },
            },
            pasid: self.pasid,
            address,
            len: self.len,
            access: match (self.write, self.atomic) {
                (_, true) => Access::Atomic,
                (true, false) => Access::Write,
                (false, false) => Access::Read,
            },
            attrs: Attrs { privileged: self.privileged, execute: self.instruction, ..Attrs::default() },
            kind: if self.translated { Kind::Translated } else { Kind::Untranslated },
        })
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file)
        .with_context(|| format!("cannot read {}", file.display()))
        .or_exit(Exit::Environment)
}

fn run_script(machine: &mut Machine, file: &Path) -> Result<(), Failure> {
    let script = read(file)?;
    for (number, line) in (1..).zip(script.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refusals =
            qtest::serve(machine, format!("{line}\n").as_bytes(), io::sink()).or_exit(Exit::Environment)?;
        if let Some(Refusal { line, reply, .. }) = refusals.first {
            let why = format!("{}:{number}: '{line}' was answered with {reply}", file.display());
            return Err(Failure::new(Exit::Usage, why));
        }
    }
    Ok(())
}

fn restored(file: &Path) -> Result<Machine, Failure> {
    let state = files::read_snapshot(file)?;
    let mut machine = Machine::without_files(state.config()).or_exit(Exit::Usage)?;
    machine.restore(state).or_exit(Exit::Usage)?;
    Ok(machine)
}

fn number(text: &str) -> Result<u64, String> {
    emulator::config::parse_number(text).ok_or_else(|| "expected a number such as 0x1000".to_owned())
}

fn pasid(text: &str) -> Result<Pasid, String> {
    let number = number(text)?;
    let pasid = u32::try_from(number).ok().and_then(Pasid::new);
    pasid.ok_or_else(|| "a PASID has 20 bits, so it is at most 0xfffff".to_owned())
}

fn stream(text: &str) -> Result<StreamId, String> {
    u32::try_from(number(text)?).map(StreamId).map_err(|_| "a StreamID has 32 bits".to_owned())
}

fn data(text: &str) -> Result<u32, String> {
    u32::try_from(number(text)?).map_err(|_| "interrupt data has 32 bits".to_owned())
}
