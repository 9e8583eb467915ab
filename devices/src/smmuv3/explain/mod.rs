//! Why a transaction ends as it does: registers, STE, CD and every descriptor of both stages, field by
//! field, the bit that decided, and the event record that software would find.
//!
//! [`Unit::explain`] puts the transaction to copies of the translating half: one with the caches as they
//! are, one with empty caches. So the answer is by construction the one that a DMA would get now. Copies
//! update no descriptor: a walk goes on as if it had set the access flag or the dirty state, and the
//! step says so. Nothing is recorded, cached or held.
//!
//! The steps are those of memory as it is now, caches aside; see [`Explanation`](explain::Explanation).
//!
//! What is absent: rules. What an entry means is asked of [`tables`](super::tables) and
//! [`vmsa`](super::vmsa); here is only which of its bits to point at.

mod answer;
mod caches;
mod configuration;
mod run;
mod steps;
mod walk;

use super::Unit;
use super::translate::{TlbEntry, Translator};
use super::vmsa::Permissions;
use crate::fabric::{Initiator, Transaction};
use crate::iommu::cache::Policy;
use crate::iommu::explain::{self, rights_text};
pub use crate::iommu::explain::{Cached, FieldView, Hex, Place, RequestView, Step};
pub use answer::{Answer, Event, Refused};
use run::Run;
use steps::Question;

/// All there is to say about a transaction.
pub type Explanation = explain::Explanation<Refused>;

impl Unit {
    /// Explains `request`, which must not cross a 4-KiB border; `data` counts where it is an interrupt.
    pub fn explain(&self, request: &Transaction, data: u32) -> Explanation {
        let (config, cr0, mem) = self.control.parts();
        let state = self.translator.save();
        // The copies serve nobody else.
        let config = &super::Config { concurrent: false, ..config.clone() };
        let stream = config.streams.stream(request.initiator);
        let run = |cache| {
            let copy = Translator::witness(&super::Config { cache, ..config.clone() }, mem.clone());
            copy.restore(&state);
            Run::of(&copy, request, stream)
        };
        let now = run(config.cache);
        // A cache without room drops what it is given.
        let empty = run(Policy::Off);
        let global = self.translator.registers();
        let question = Question { config, cr0, global: &global, request, stream };
        let (steps, _) = steps::build(&question, &empty);
        let (mut through_caches, header) = steps::build(&question, &now);
        let answer = |run: &Run| Answer::new(&question, data, run, &self.control);
        let (answer, fresh) = (answer(&now), answer(&empty));
        let fresh = (!answer.decides_as(&fresh)).then_some(fresh);
        let caches = caches::list(&self.translator, &question, &now, &empty);
        through_caches.drain(..header);
        if fresh.is_none() {
            through_caches.clear();
        }
        let request = view(&question, &answer);
        Explanation { request, steps, caches, through_caches, answer, fresh }
    }
}

fn view(question: &Question<'_>, answer: &Answer) -> RequestView {
    let Transaction { initiator, pasid, address, len, access, attrs, kind } = *question.request;
    RequestView {
        source: match initiator {
            Initiator::Platform { .. } => "a platform master".to_owned(),
            Initiator::Pci { .. } | Initiator::IoApic { .. } => initiator.to_string(),
        },
        stream: question.stream.map(|stream| Hex(stream.0.into())),
        address: Hex(address.0),
        len,
        access,
        kind,
        pasid: pasid.map(crate::addr::Pasid::get),
        privileged: attrs.privileged,
        instruction: attrs.execute,
        data: match answer {
            explain::Answer::Interrupt { data, .. } => Some(*data),
            _ => None,
        },
    }
}

/// What a page permits, for people.
fn permits(permissions: Permissions) -> String {
    let bits = permissions.bits();
    let of = |bits: u8| {
        let data = rights_text(bits & Permissions::READ != 0, bits & Permissions::WRITE != 0);
        match (bits & Permissions::EXECUTE != 0, bits & 0b11) {
            (true, 0b11) => "reads, writes and execution".to_owned(),
            (true, 0) => "execution".to_owned(),
            (true, _) => format!("{data} and execution"),
            (false, _) => data.to_owned(),
        }
    };
    let (unprivileged, privileged) = (of(bits & 0b111), of(bits >> 3));
    if unprivileged == privileged {
        unprivileged
    } else {
        format!("{unprivileged}; privileged, {privileged}")
    }
}

/// What a TLB entry says, for people.
fn page_text(entry: &TlbEntry) -> String {
    let TlbEntry { page, stage1, stage2, ipa, .. } = *entry;
    let by_ipa = if ipa.0 == page.0 { String::new() } else { format!(", IPA {:#x}", ipa.0) };
    format!("{page}{by_ipa}, {}", permits(stage1.and(stage2)))
}
