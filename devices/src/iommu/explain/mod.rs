//! How a unit tells why a request ends as it does, whatever its architecture.
//!
//! A unit shows the registers and entries that decide as [`Step`]s, in order, and what its caches hold; it
//! has words of its own only for a refusal, `R`. Text and JSON are made here.

mod step;
mod text;

use serde::Serialize;

use crate::fabric::{Access, Kind};
pub use step::{FieldView, Place, Step};
pub(crate) use text::{rights_text, size};

/// A 64-bit number that serializes as text such as `"0x1f"`: readers of JSON keep only 53 bits of a
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex(pub u64);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A request as it is explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestView {
    /// Who asks: a requester id as bus:device.function, or a stream.
    pub source: String,
    /// StreamID, for a unit that knows its masters by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Hex>,
    /// First byte.
    pub address: Hex,
    /// Bytes.
    pub len: u64,
    /// What it does.
    pub access: Access,
    /// Address type.
    pub kind: Kind,
    /// PASID, or SubstreamID, if it carries one.
    pub pasid: Option<u32>,
    /// Privileged; left out, and false, where the unit does not look at it.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// An instruction fetch; likewise.
    #[serde(skip_serializing_if = "is_false")]
    pub instruction: bool,
    /// The data, where the request is an interrupt to this unit.
    pub data: Option<Hex>,
}

/// What serde asks before it leaves out a field.
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A cache entry that the request would meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cached {
    /// Which cache, as the specification calls it.
    pub cache: &'static str,
    /// What it holds; `None` for a miss.
    pub holds: Option<String>,
    /// Whether this request's answer came from it.
    pub used: bool,
    /// Whether memory says something else now: the entry is stale.
    pub stale: bool,
    /// What it gives is where a walk starts.
    #[serde(skip)]
    pub starts: bool,
}

/// What a request comes to; `R` says all there is to say about a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Answer<R> {
    /// It goes on to memory.
    Memory {
        /// Physical address of the first byte.
        address: Hex,
        /// Whether RAM is there; if not, nobody completes the request.
        ram: bool,
        /// Bytes of the page that translated it; `None` where nothing did.
        page_bytes: Option<u64>,
        /// Whether the page may be read.
        read: bool,
        /// Whether the page may be written.
        write: bool,
    },
    /// It is an interrupt and reaches the processors.
    Interrupt {
        /// Address of the message.
        address: Hex,
        /// Data of the message.
        data: Hex,
    },
    /// It completes without touching memory [VT-d 3.15].
    Nothing,
    /// It is refused.
    Refused(R),
}

/// All there is to say about a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation<R> {
    /// The request.
    pub request: RequestView,
    /// Registers and table entries that decide, in order, as memory holds them now.
    pub steps: Vec<Step>,
    /// The caches that stand before the tables.
    pub caches: Vec<Cached>,
    /// The entries that decide by way of the caches, where that comes to something else.
    pub through_caches: Vec<Step>,
    /// What the request comes to.
    pub answer: Answer<R>,
    /// What it would come to with empty caches, where that is something else.
    pub fresh: Option<Answer<R>>,
}
