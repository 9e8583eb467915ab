//! One register or entry as it is shown.

use serde::Serialize;

use super::Hex;
use crate::register::Register;

/// Where the words of a step come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The register at this offset.
    Register(Hex),
    /// What a register held when software last told the unit to take it.
    Latch,
    /// Memory.
    Memory(Hex),
    /// A cache, which may hold what memory has no more.
    Cache,
    /// The request itself.
    Request,
    /// What the entries before it lead to.
    Walk,
}

/// A field of a register or entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldView {
    /// The specification's mnemonic in lower case.
    pub name: &'static str,
    /// Highest bit.
    pub hi: u32,
    /// Lowest bit.
    pub lo: u32,
    /// Value.
    pub value: Hex,
    /// Whether another value would have let the request go on from here.
    pub decides: bool,
}

/// A register or table entry that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What the specification calls it.
    pub table: &'static str,
    /// Where it is.
    pub place: Place,
    /// Its words, lowest first; none if it cannot be read.
    pub words: Vec<Hex>,
    /// Its fields, highest first.
    pub fields: Vec<FieldView>,
    /// Bits that are set and must be zero.
    pub must_be_zero: Vec<u32>,
    /// What follows from it.
    pub meaning: String,
    /// Whether the request ends here or because of what is here.
    pub decides: bool,
}

impl Step {
    /// A step without fields.
    pub(crate) fn bare(table: &'static str, place: Place, words: &[u64]) -> Self {
        Self {
            table,
            place,
            words: words.iter().copied().map(Hex).collect(),
            fields: Vec::new(),
            must_be_zero: Vec::new(),
            meaning: String::new(),
            decides: false,
        }
    }

    pub(crate) fn new<R: Register>(table: &'static str, place: Place, words: &[u64], register: &R) -> Self {
        let fields = R::FIELDS.iter().filter(|field| !field.name.starts_with('_'));
        let fields = fields.map(|field| FieldView {
            name: field.name,
            hi: field.hi,
            lo: field.lo,
            value: Hex(register.bits(field.hi, field.lo)),
            decides: false,
        });
        Self { fields: fields.collect(), ..Self::bare(table, place, words) }
    }

    pub(crate) fn only(mut self, names: &[&str]) -> Self {
        self.fields.retain(|field| names.contains(&field.name));
        self
    }

    pub(crate) fn meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = meaning.into();
        self
    }

    /// The request ends because of these fields.
    pub(crate) fn blame(&mut self, names: &[&str]) {
        self.decides = true;
        for field in self.fields.iter_mut().filter(|field| names.contains(&field.name)) {
            field.decides = true;
        }
    }

    /// The request ends because of the bits set in `wrong`.
    pub(crate) fn blame_bits(&mut self, wrong: &[u64]) {
        self.decides = true;
        let bits = (0..).zip(wrong).flat_map(|(at, word)| {
            (0..u64::BITS).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * u64::BITS + bit)
        });
        self.must_be_zero = bits.collect();
        for field in &mut self.fields {
            field.decides |= self.must_be_zero.iter().any(|bit| (field.lo..=field.hi).contains(bit));
        }
    }

    /// Whether the field of this name decides.
    pub(crate) fn decided_by(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name && field.decides)
    }

    /// The value of the field of this name.
    pub(crate) fn value_of(&self, name: &str) -> Option<u64> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.value.0)
    }
}
