//! `cargo run -p iommulator-tests --bin minimize -- TARGET FILE`: makes a crash of a fuzz target a
//! minimal qtest script on standard output.
//!
//! The smaller input is stored beside FILE, as FILE.min.

use anyhow::{Context, bail};
use tests::fuzz::minimize::{failure, minimize};
use tests::fuzz::{Script, TARGETS, Target};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(file), None) = (args.next(), args.next(), args.next()) else {
        bail!("usage: minimize TARGET FILE");
    };
    let Some(target) = Target::named(&name) else {
        let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        bail!("unknown target '{name}'; known: {}", known.join(", "));
    };
    let data = std::fs::read(&file).with_context(|| format!("cannot read {file}"))?;
    // Each attempt that fails would print its panic.
    std::panic::set_hook(Box::new(|_| {}));
    if failure(target, &data).is_none() {
        bail!("{file} does not fail in {name}");
    }
    let smallest = minimize(target, &data, |data| failure(target, data).is_some());
    let min = format!("{file}.min");
    std::fs::write(&min, &smallest).with_context(|| format!("cannot write {min}"))?;
    let what = failure(target, &smallest).unwrap_or_default();
    let Script { command, lines } = (target.script)(&smallest);
    eprintln!("{name}: {what}\n{min}: {} bytes of {}\nfor: {command}", smallest.len(), data.len());
    for line in lines {
        println!("{line}");
    }
    Ok(())
}
