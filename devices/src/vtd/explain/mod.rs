//! Why a request ends as it does: the tables read, field by field, and the bit that decided.
//!
//! [`Unit::explain`] puts the request to copies of the translating half: one with the caches as they
//! are, one with empty caches. So the answer is by construction the one that a DMA would get now,
//! down to the random choices of an adversarial cache, and what the unit itself holds does not
//! change: no fault is recorded, nothing is cached or forgotten.
//!
//! The steps are those of memory as it is now, caches aside. Where caches lead to something else,
//! [`Explanation::through_caches`] has the entries that do, faulting ones of caching mode included, and
//! [`Explanation::fresh`] what the request would come to without them.
//!
//! What is absent: rules. Whether an entry is valid is asked of [`tables`](super::tables) and
//! [`interrupt_remapping`](super::interrupt_remapping); here is only which of its bits to point at.

mod answer;
mod run;
mod steps;
mod text;

use super::Unit;
use super::capability::Config;
use super::interrupt_remapping::{Format, decode_request};
use super::regs::{Gsts, Pmen, Rtaddr};
use super::tables::{Context, Translation, decode_context};
use super::translate::{ENTRY_NAMES, IotlbEntry, Peek, Translator};
use crate::fabric::{Access, Kind, Transaction, is_interrupt_write};
use crate::iommu::cache::Policy;
use crate::iommu::explain::{self, rights_text};
pub use crate::iommu::explain::{Cached, FieldView, Hex, Place, RequestView, Step};
use crate::iommu::walk::{Rights, Table};
pub use answer::{Answer, Cause, Refused, Region};
use run::Run;

/// All there is to say about a request.
pub type Explanation = explain::Explanation<Refused>;

impl Unit {
    /// Explains `request`, which must not cross a 4-KiB border; `data` counts where it is an
    /// interrupt.
    pub fn explain(&self, request: &Transaction, data: u32) -> Explanation {
        let (config, mem) = self.control.parts();
        let state = self.translator.save();
        // The copies serve nobody else, and what is stale is said here.
        let config = &Config { sanitize: false, concurrent: false, ..config.clone() };
        let run = |cache| {
            let copy = Translator::new(&Config { cache, ..config.clone() }, mem.clone());
            copy.restore(&state);
            Run::of(&copy, &self.translator, config, request, data)
        };
        let now = run(config.cache);
        // A cache without room drops what it is given.
        let empty = run(Policy::Off);
        let peek = self.translator.peek(request);
        let registers = steps::Registers {
            gsts: Gsts::from_raw(self.control.read_dword(GSTS)),
            rtaddr: self.rtaddr(),
            latched: peek.root,
            irta: peek.interrupt_table,
            pmen: Pmen::from_raw(self.control.read_dword(PMEN)),
            protected: peek.protected,
        };
        let answer = |run: &Run, steps: &[Step]| {
            let ranges = peek.protected.as_ref();
            let region = ranges.and_then(|ranges| steps::region(ranges, run.protected, request.len));
            Answer::new(run, steps, region, mem)
        };
        let (steps, _) = steps::build(config, &registers, request, data, &empty);
        let (mut through_caches, header) = steps::build(config, &registers, request, data, &now);
        let caches = self.caches(config, request, data, &peek, &now);
        let (answer, fresh) = (answer(&now, &through_caches), answer(&empty, &steps));
        let fresh = (!answer.decides_as(&fresh)).then_some(fresh);
        through_caches.drain(..header);
        if fresh.is_none() {
            through_caches.clear();
        }
        Explanation { request: view(request, data), steps, caches, through_caches, answer, fresh }
    }

    /// RTADDR_REG as software reads it.
    fn rtaddr(&self) -> Rtaddr {
        let dword = |offset| u64::from(self.control.read_dword(offset));
        Rtaddr::from_raw(dword(RTADDR) | dword(RTADDR + 4) << 32)
    }

    /// The caches that `now` met.
    fn caches(
        &self,
        config: &Config,
        request: &Transaction,
        data: u32,
        peek: &Peek,
        now: &Run,
    ) -> Vec<Cached> {
        let words = |[low, high]: [u64; 2]| format!("{high:#018x} {low:#018x}");
        if now.interrupt {
            let Ok(Format::Remappable(index)) = decode_request(request.address.0, data) else {
                return Vec::new();
            };
            if !peek.remapping {
                return Vec::new();
            }
            let held = self.translator.peek_interrupt(index);
            return vec![Cached {
                cache: "interrupt entry cache",
                holds: held.map(|held| format!("index {index:#x}: {}", words(held.entry.raw()))),
                used: now.used.interrupt.is_some(),
                stale: held.is_some_and(|held| held.stale),
                starts: false,
            }];
        }
        if !peek.enabled || now.by_range() {
            return Vec::new();
        }
        let iotlb = Cached {
            cache: "IOTLB",
            holds: peek.page.map(|held| {
                let from = Hex(request.address.page().0);
                let IotlbEntry { page, rights, fpd, .. } = held.entry;
                let to = match rights {
                    Rights::NONE => "not present".to_owned(),
                    _ => format!("{page}, {}", permits(rights)),
                };
                format!("page {from} -> {to}{}", if fpd { ", FPD = 1" } else { "" })
            }),
            used: now.used.page.is_some(),
            stale: peek.page.is_some_and(|held| held.stale),
            starts: false,
        };
        let context = Cached {
            cache: "context cache",
            holds: peek.context.map(|held| words(held.entry.raw())),
            used: now.used.context.is_some(),
            stale: peek.context.is_some_and(|held| held.stale),
            starts: false,
        };
        let mut caches = vec![iotlb, context];
        caches.extend(self.structures(config, request, peek, now));
        caches
    }

    /// The paging-structure cache, of the domain that the request is in by `now` or would be by the
    /// cached context entry.
    fn structures(&self, config: &Config, request: &Transaction, peek: &Peek, now: &Run) -> Vec<Cached> {
        let cached = || {
            let entry = peek.context?.entry;
            decode_context(entry, config.cap(), config.ecap()).ok()
        };
        let Some(Context { domain, translation: Translation::SecondStage { root, width }, .. }) =
            now.context(config).or_else(cached)
        else {
            return Vec::new();
        };
        let held = self.translator.peek_structures(domain, root, width, request.address);
        let cached = held.into_iter().map(|held| {
            let Table { base, level, rights } = held.entry;
            // Named after the entry above the table.
            let name = ENTRY_NAMES[level as usize];
            Cached {
                cache: STRUCTURES,
                holds: Some(format!("{name} -> table at {base}, {}", permits(rights))),
                used: now.used.structure == Some(held.entry),
                stale: held.stale,
                starts: true,
            }
        });
        cached.collect()
    }
}

fn permits(rights: Rights) -> &'static str {
    rights_text(rights.grants(Rights::READ), rights.grants(Rights::WRITE))
}

/// Offset of GSTS_REG [VT-d 11.4.4.2].
const GSTS: u64 = 0x1c;
/// Offset of RTADDR_REG [VT-d 11.4.5].
const RTADDR: u64 = 0x20;
/// Offset of PMEN_REG [VT-d 11.4.8.1].
const PMEN: u64 = 0x64;

/// Names of tables, as the walker reports them.
const ROOT_ENTRY: &str = "root entry";
const CONTEXT_ENTRY: &str = "context entry";
const INTERRUPT_ENTRY: &str = "interrupt entry";

/// What the cache of tables on the way to a page is called [VT-d 6.2.5].
const STRUCTURES: &str = "paging-structure cache";

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
        stream: None,
        address: Hex(address.0),
        len,
        access,
        kind,
        pasid: pasid.map(crate::addr::Pasid::get),
        privileged: false,
        instruction: false,
        data: is_interrupt(request).then_some(Hex(data.into())),
    }
}
