//! Why a request ends as it does: the tables read, field by field, and the bit that decided.
//!
//! [`Unit::explain`] puts the request to copies of the translating half: one with the caches as they
//! are, one with empty caches. So the answer is by construction the one that a DMA would get now,
//! down to the random choices of an adversarial cache, and what the unit itself holds does not
//! change: no fault is recorded, nothing is cached or forgotten.
//!
//! The steps are those of memory as it is now, caches aside. Where a cache holds something else,
//! [`Explanation::fresh`] says what the request would come to without it.
//!
//! What is absent: rules. Whether an entry is valid is asked of [`tables`](super::tables) and
//! [`interrupt_remapping`](super::interrupt_remapping); here is only which of its bits to point at.

mod answer;
mod run;
mod steps;
mod text;

use serde::Serialize;

use super::capability::Config;
use super::interrupt_remapping::{Format, decode_request};
use super::regs::{Gsts, Rtaddr};
use super::tables::ContextEntry;
use super::translate::{Peek, Translator};
use super::{Reason, Unit};
use crate::addr::PAGE_SIZE;
use crate::fabric::{Access, Kind, Transaction, Verdict, is_interrupt_write};
use crate::iommu::cache::Policy;
use crate::iommu::walk::Rights;
pub use answer::{Answer, Cause};
use run::Run;
pub use steps::{FieldView, Place, Step};

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
    /// Requester id as bus:device.function.
    pub source: String,
    /// First byte.
    pub address: Hex,
    /// Bytes.
    pub len: u64,
    /// What it does.
    pub access: Access,
    /// Address type.
    pub kind: Kind,
    /// PASID, if it carries one.
    pub pasid: Option<u32>,
    /// The data, where the request is an interrupt.
    pub data: Option<Hex>,
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
}

/// All there is to say about a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The request.
    pub request: RequestView,
    /// Registers and table entries that decide, in order, as memory holds them now.
    pub steps: Vec<Step>,
    /// The caches that stand before the tables.
    pub caches: Vec<Cached>,
    /// What the request comes to.
    pub answer: Answer,
    /// What it would come to with empty caches, where that is something else.
    pub fresh: Option<Answer>,
}

impl Unit {
    /// Explains `request`, which must not cross a 4-KiB border; `data` counts where it is an
    /// interrupt.
    pub fn explain(&self, request: &Transaction, data: u32) -> Explanation {
        let (config, mem) = self.control.parts();
        let state = self.translator.save();
        let copy = |cache| {
            let copy = Translator::new(&Config { cache, ..config.clone() }, mem.clone());
            copy.restore(&state);
            Run::of(&copy, request, data)
        };
        let now = copy(config.cache);
        // A cache without room drops what it is given.
        let fresh = copy(Policy::Off);
        let peek = self.translator.peek(request.initiator.source(), request.address);
        let registers = steps::Registers {
            gsts: Gsts::from_raw(self.control.read_dword(GSTS)),
            rtaddr: self.rtaddr(),
            latched: peek.root,
            irta: peek.interrupt_table,
        };
        let steps = steps::build(config, &registers, request, data, &fresh);
        let caches = self.caches(request, data, &peek, &now, &fresh);
        let cached_page = peek.page.filter(|_| now.hit).map(|(_, rights)| (PAGE_SIZE, rights));
        let answer = Answer::new(&now, cached_page.or(fresh.page), &steps, mem);
        let without = Answer::new(&fresh, fresh.page, &steps, mem);
        let fresh = (!answer.decides_as(&without)).then_some(without);
        Explanation { request: view(request, data), steps, caches, answer, fresh }
    }

    /// RTADDR_REG as software reads it.
    fn rtaddr(&self) -> Rtaddr {
        let dword = |offset| u64::from(self.control.read_dword(offset));
        Rtaddr::from_raw(dword(RTADDR) | dword(RTADDR + 4) << 32)
    }

    fn caches(&self, request: &Transaction, data: u32, peek: &Peek, now: &Run, fresh: &Run) -> Vec<Cached> {
        if now.interrupt {
            let Ok(Format::Remappable(index)) = decode_request(request.address.0, data) else {
                return Vec::new();
            };
            let entry = self.translator.peek_interrupt(index).map(|entry| entry.raw());
            return vec![Cached {
                cache: "interrupt entry cache",
                holds: entry.map(|[low, high]| format!("index {index:#x}: {high:#018x} {low:#018x}")),
                used: entry.is_some() && now.fetched(INTERRUPT_ENTRY).is_none(),
                stale: entry.is_some() && entry != fresh.fetched(INTERRUPT_ENTRY),
            }];
        }
        let by_range = fresh.verdict == Verdict::Nothing
            || matches!(fresh.reason, Some((Reason::InterruptRangeAccess, _)));
        if !peek.enabled || by_range {
            return Vec::new();
        }
        let context = peek.context.map(ContextEntry::raw);
        let refused_before = matches!(now.reason, Some((Reason::TableMode | Reason::PasidInLegacy, _)));
        let looked_up = !now.hit && !refused_before;
        let rights = |rights: Rights| match (rights.grants(Rights::READ), rights.grants(Rights::WRITE)) {
            (true, true) => "reads and writes",
            (true, false) => "reads",
            (false, true) => "writes",
            (false, false) => "nothing",
        };
        vec![
            Cached {
                cache: "IOTLB",
                holds: peek.page.map(|(page, granted)| {
                    format!("page {} -> {page}, {}", Hex(request.address.page().0), rights(granted))
                }),
                used: now.hit,
                stale: peek.page.is_some_and(|(page, granted)| {
                    fresh.page_address() != Some(page)
                        || fresh.page.map(|(_, rights)| rights) != Some(granted)
                }),
            },
            Cached {
                cache: "context cache",
                holds: context.map(|[low, high]| format!("{high:#018x} {low:#018x}")),
                used: looked_up && context.is_some() && now.fetched(CONTEXT_ENTRY).is_none(),
                stale: context.is_some() && context != fresh.fetched(CONTEXT_ENTRY),
            },
        ]
    }
}

/// Offset of GSTS_REG [VT-d 11.4.4.2].
const GSTS: u64 = 0x1c;
/// Offset of RTADDR_REG [VT-d 11.4.5].
const RTADDR: u64 = 0x20;

/// Names of tables, as the walker reports them.
const ROOT_ENTRY: &str = "root entry";
const CONTEXT_ENTRY: &str = "context entry";
const INTERRUPT_ENTRY: &str = "interrupt entry";

/// Whether the unit takes `request` for an interrupt.
fn is_interrupt(request: &Transaction) -> bool {
    request.access == Access::Write
        && request.kind == Kind::Untranslated
        && is_interrupt_write(request.address, request.len)
}

fn view(request: &Transaction, data: u32) -> RequestView {
    let Transaction { initiator, pasid, address, len, access, attrs: _, kind } = *request;
    RequestView {
        source: initiator.to_string(),
        address: Hex(address.0),
        len,
        access,
        kind,
        pasid: pasid.map(crate::addr::Pasid::get),
        data: is_interrupt(request).then_some(Hex(data.into())),
    }
}
