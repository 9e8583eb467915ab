//! The command line of the emulator.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("iommulator: {:#}", failure.error);
            failure.exit.into()
        }
    }
}
