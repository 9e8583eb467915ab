//! `caps`: what an IOMMU says of itself.

use std::fmt::Write as _;

use clap::Args;
use devices::register::{Field, Register, extract};
use emulator::config::{IommuSpec, UnitSpec};
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

/// A capability register and its name.
struct Shown {
    name: &'static str,
    bits: u32,
    raw: u64,
    fields: &'static [Field],
}

impl Shown {
    fn new<R: Register>(name: &'static str, register: &R) -> Self {
        Self { name, bits: R::BITS, raw: register.bits(R::BITS - 1, 0), fields: R::FIELDS }
    }

    /// A register of 32 bits whose fields are all of what is never there, or that has none.
    const fn plain(name: &'static str, raw: u32) -> Self {
        Self { name, bits: 32, raw: raw as u64, fields: &[] }
    }

    fn raw(&self) -> String {
        // Two characters are "0x".
        let width = self.bits as usize / 4 + 2;
        format!("{:#0width$x}", self.raw)
    }

    fn fields(&self) -> impl Iterator<Item = (&'static str, String, u64)> {
        self.fields.iter().filter(|field| !field.name.starts_with('_')).map(|field| {
            let bits = if field.hi == field.lo {
                field.hi.to_string()
            } else {
                format!("{}:{}", field.hi, field.lo)
            };
            (field.name, bits, extract(&[self.raw], field.hi, field.lo))
        })
    }
}

/// What software reads to learn what the unit can do.
fn registers(unit: &UnitSpec) -> Vec<Shown> {
    match unit {
        UnitSpec::Vtd(unit) => {
            vec![Shown::new("CAP", &unit.config.cap()), Shown::new("ECAP", &unit.config.ecap())]
        }
        UnitSpec::Smmuv3(unit) => vec![
            Shown::new("IDR0", &unit.config.idr0),
            Shown::new("IDR1", &unit.config.idr1),
            Shown::plain("IDR2", unit.config.idr2()),
            Shown::new("IDR3", &unit.config.idr3),
            Shown::plain("IDR4", unit.config.idr4()),
            Shown::new("IDR5", &unit.config.idr5),
            Shown::plain("IIDR", unit.config.iidr()),
            Shown::plain("AIDR", unit.config.aidr()),
        ],
    }
}

fn text_of(IommuSpec { preset, unit, .. }: &IommuSpec) -> String {
    let mut text = format!("{preset}\n");
    for register in registers(unit) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{} {}", register.name, register.raw());
        for (field, bits, value) in register.fields() {
            let _ = writeln!(text, "  {bits:>5}  {field:<8} {value:#x}");
        }
    }
    text
}

/// A 64-bit number is written as text, because readers of JSON keep only 53 bits of one.
fn json_of(IommuSpec { preset, unit, .. }: &IommuSpec) -> String {
    let mut value = Map::from_iter([("preset".to_owned(), preset.as_str().into())]);
    for register in registers(unit) {
        let fields: Map<String, Value> =
            register.fields().map(|(field, _, value)| (field.to_uppercase(), value.into())).collect();
        value.insert(register.name.to_owned(), json!({ "raw": register.raw(), "fields": fields }));
    }
    format!("{:#}\n", Value::Object(value))
}
