//! `qtest`: a machine driven by a script.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use emulator::exit::Exit;
use emulator::machine::Machine;
use emulator::qtest::{self, Refusals};

use super::checks::{CheckArgs, Ran};
use super::machine::MachineArgs;
use super::trace::{self, TraceArgs};
use super::{Failure, OrExit};

/// The options of `qtest`.
#[derive(Debug, Args)]
pub struct Qtest {
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    channel: Channel,
    #[command(flatten)]
    trace: TraceArgs,
    #[command(flatten)]
    checks: CheckArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Channel {
    /// Connect to this UNIX socket, on which the client listens
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Read commands from standard input and answer on standard output; if standard input is a file, a
    /// command that fails fails the run
    #[arg(long)]
    stdio: bool,
}

impl Channel {
    /// Whether commands come from a file, so that nobody reads the answers before the next command.
    fn is_file(&self) -> bool {
        let stdin = || File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata();
        self.stdio && stdin().is_ok_and(|metadata| metadata.is_file())
    }
}

impl Qtest {
    pub fn run(self) -> Result<Exit, Failure> {
        let mut machine = Machine::new(&self.machine.config()).or_exit(Exit::Usage)?;
        self.trace.start(&mut machine)?;
        let checks = self.checks.start(&mut machine)?;
        // A client hears of its mistakes and may want them; what judges a run without anybody who
        // listens must not pass because its commands were no commands.
        let strict = checks.are_asked_for() || self.channel.is_file();
        let result = self.serve(&mut machine).and_then(|refusals| {
            let failed = strict && refusals.count != 0;
            if failed { Err(Failure::new(Exit::Usage, refusals)) } else { Ok(None) }
        });
        let traced = trace::finish(&mut machine);
        let ran = Ran { name: "script", driver: "qtest", result };
        let exit = checks.finish(&machine, ran)?;
        traced.map(|()| exit)
    }

    fn serve(&self, machine: &mut Machine) -> Result<Refusals, Failure> {
        match &self.channel.socket {
            Some(path) => {
                let stream = UnixStream::connect(path)
                    .with_context(|| {
                        format!("cannot connect to {}; does a client listen there?", path.display())
                    })
                    .or_exit(Exit::Environment)?;
                qtest::serve(machine, &stream, &stream)
            }
            None => qtest::serve(machine, io::stdin().lock(), io::stdout().lock()),
        }
        .context("the connection broke")
        .or_exit(Exit::Environment)
    }
}
