//! `caps`: what an IOMMU says of itself.

use std::fmt::Write as _;

use clap::Args;
use devices::register::Register;
use emulator::config::IommuSpec;
use emulator::exit::Exit;
use serde_json::{Map, Value, json};

use super::Failure;

/// The options of `caps`.
#[derive(Debug, Args)]
pub struct Caps {
    /// IOMMU and its options, such as vtd-legacy,aw-bits=39
    preset: IommuSpec,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl Caps {
    pub fn run(self) -> Result<Exit, Failure> {
        super::print(&if self.json { json_of(&self.preset) } else { text_of(&self.preset) })?;
        Ok(Exit::Success)
    }
}

fn text_of(IommuSpec { preset, unit, .. }: &IommuSpec) -> String {
    let mut text = format!("{preset}\n");
    write_register(&mut text, "CAP", &unit.cap());
    write_register(&mut text, "ECAP", &unit.ecap());
    text
}

fn json_of(IommuSpec { preset, unit, .. }: &IommuSpec) -> String {
    let value = json!({ "preset": preset, "CAP": object_of(&unit.cap()), "ECAP": object_of(&unit.ecap()) });
    format!("{value:#}\n")
}

fn write_register<R: Register>(text: &mut String, name: &str, register: &R) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{name} {:#018x}", register.bits(63, 0));
    for (field, bits, value) in fields(register) {
        let _ = writeln!(text, "  {bits:>5}  {field:<8} {value:#x}");
    }
}

/// A 64-bit number is written as text, because readers of JSON keep only 53 bits of one.
fn object_of<R: Register>(register: &R) -> Value {
    let fields: Map<String, Value> =
        fields(register).map(|(field, _, value)| (field.to_uppercase(), value.into())).collect();
    json!({ "raw": format!("{:#018x}", register.bits(63, 0)), "fields": fields })
}

fn fields<R: Register>(register: &R) -> impl Iterator<Item = (&'static str, String, u64)> {
    R::FIELDS.iter().filter(|field| !field.name.starts_with('_')).map(|field| {
        let bits =
            if field.hi == field.lo { field.hi.to_string() } else { format!("{}:{}", field.hi, field.lo) };
        (field.name, bits, register.bits(field.hi, field.lo))
    })
}
