//! Commands and what they share.

/// Writes a line to standard error; `eprintln!` would panic where nobody reads it any more.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write;
        // There is nobody to tell.
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}

mod backend;
mod caps;
mod checks;
mod control;
mod demo;
mod duration;
mod explain;
mod files;
mod linux;
mod machine;
mod qtest;
mod run;
mod signals;
mod soft;
mod terminal;
mod trace;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use emulator::exit::Exit;

/// Emulates machines whose interesting part is the IOMMU
#[derive(Debug, Parser)]
#[command(name = "iommulator", version, after_help = Exit::HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the built-in guest and tell what happens in the machine (without a command, this one)
    Demo(demo::Demo),
    /// Run a guest image
    Run(run::Run),
    /// Boot Linux behind an IOMMU, to a shell or for one command
    ///
    /// Without --kernel it is Debian's own kernel, fetched by this host's apt and kept in a cache.
    Linux(Box<linux::Linux>),
    /// Show the capability registers of an IOMMU, field by field
    Caps(caps::Caps),
    /// Serve QEMU's qtest protocol
    Qtest(qtest::Qtest),
    /// Say what a device's request would come to, entry by entry, and which bit decides
    Explain(explain::Explain),
}

/// Does what the command line says: the process's exit status.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(error) => {
            // An error means that nobody reads it.
            let _ = error.print();
            match (error.use_stderr(), std::env::args_os().nth(1)) {
                (false, _) => Exit::Success.into(),
                (true, Some(command)) if command == "linux" => linux::Status::Own(Exit::Usage).into(),
                (true, _) => Exit::Usage.into(),
            }
        }
    }
}

impl Cli {
    fn run(self) -> ExitCode {
        let ended = match self.command.unwrap_or_else(|| Command::Demo(demo::Demo::default())) {
            Command::Demo(demo) => demo.run(),
            Command::Run(run) => run.run(),
            Command::Linux(linux) => return linux.run(),
            Command::Caps(caps) => caps.run(),
            Command::Qtest(qtest) => qtest.run(),
            Command::Explain(explain) => explain.run(),
        };
        match ended {
            Ok(exit) => exit.into(),
            Err(failure) => {
                failure.tell();
                failure.exit.into()
            }
        }
    }
}

/// An ending that needs explaining.
#[derive(Debug)]
pub struct Failure {
    /// For the caller.
    pub exit: Exit,
    /// For people.
    pub error: anyhow::Error,
}

impl Failure {
    fn new(exit: Exit, message: impl std::fmt::Display) -> Self {
        Self { exit, error: anyhow!("{message}") }
    }

    fn tell(&self) {
        tell!("iommulator: {:#}", self.error);
    }
}

/// Writes to standard output; `println!` would panic where nobody reads it any more.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
        .or_exit(Exit::Environment)
}

/// Gives errors their exit code.
trait OrExit<T> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into() })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_lists_every_exit_code() {
        let help = Cli::command().render_long_help().to_string();
        for exit in [
            Exit::Success,
            Exit::GuestFailed,
            Exit::Usage,
            Exit::Environment,
            Exit::CannotRun,
            Exit::Timeout,
            Exit::Crashed,
        ] {
            assert!(help.contains(&format!("\n  {}  ", exit.code())), "{exit:?}");
        }
    }
}
