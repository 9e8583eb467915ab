//! Every DMA of the other tests is explained first, and must come out so.

use super::*;
use crate::addr::{Iova, PAGE_SIZE};
use crate::fabric::{Access, Transaction};
use crate::smmuv3::explain::{Answer, Explanation, Place};

impl Rig {
    /// Does a DMA by `act` and holds its outcome against the explanation given before: of the first page, as
    /// an explanation is of one transaction.
    pub(super) fn as_explained(
        &mut self,
        initiator: Initiator,
        request: Request,
        access: Access,
        len: u64,
        act: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        // Some tests do thousands, and copies of a unit take their time.
        self.dmas += 1;
        if self.dmas > 8 && !self.dmas.is_multiple_of(17) {
            return act(self);
        }
        let piece = len.min(PAGE_SIZE - request.address.page_offset());
        let explanation = self.explain(initiator, request, access, piece);
        let (reports, stale) = (self.reports.len(), self.stale.len());
        let prod = self.register(0x1_00a8);
        let outcome = act(self);
        let recorded = self.register(0x1_00a8).wrapping_sub(prod) & 0xff;
        let new: Vec<_> = self.reports[reports..].iter().map(|report| report.record()).collect();
        if piece < len {
            return outcome;
        }
        if self.sanitizes() {
            let due = explanation.caches.iter().any(|cached| cached.used && cached.stale);
            assert!(self.stale.len() == stale || due, "{explanation}");
        }
        match &explanation.answer {
            Answer::Refused(refused) => {
                assert_eq!(outcome, refused.outcome, "{explanation}");
                let due = refused.event.iter().filter_map(|event| event.record);
                let due: Vec<_> = due.map(|words| words.map(|word| word.0)).collect();
                assert_eq!(new, due, "{explanation}");
                let written = refused.event.iter().filter(|event| event.fate == "recorded").count();
                assert_eq!(recorded as usize, written, "{explanation}");
            }
            Answer::Memory { ram: false, .. } => assert_eq!((outcome, new.len()), (UR, 0), "{explanation}"),
            Answer::Memory { .. } | Answer::Interrupt { .. } | Answer::Nothing => {
                assert_eq!((outcome, new.len()), (Outcome::Done, 0), "{explanation}");
            }
        }
        outcome
    }

    pub(super) fn explain(
        &self,
        initiator: Initiator,
        request: Request,
        access: Access,
        len: u64,
    ) -> Explanation {
        let Request { address, pasid, attrs, kind } = request;
        let transaction = Transaction { initiator, pasid, address, len, access, attrs, kind };
        // A few of these will do as well.
        let before = (self.dmas < 4).then(|| self.unit.save());
        let explanation = self.unit.explain(&transaction, 0);
        assert!(before.is_none_or(|before| before == self.unit.save()), "nothing changes");
        self.check_steps(&explanation);
        explanation
    }

    /// What holds of every explanation.
    fn check_steps(&self, explanation: &Explanation) {
        let Explanation { steps, through_caches, answer, fresh, .. } = explanation;
        for step in steps.iter().chain(through_caches) {
            if let Place::Memory(at) = step.place {
                for (word, offset) in step.words.iter().zip((0..).step_by(8)) {
                    let there = self.load(at.0 + offset);
                    assert!(word.0 == there || word.0 == there.swap_bytes(), "{explanation}");
                }
            }
        }
        // A refusal points at something, and nothing but the last step is missing.
        for (answer, part) in [(fresh.as_ref().unwrap_or(answer), steps), (answer, through_caches)] {
            let refused = matches!(answer, Answer::Refused(_)) && !part.is_empty();
            assert!(!refused || part.iter().any(|step| step.decides), "{explanation}");
            let missing = |step: &&crate::smmuv3::explain::Step| {
                matches!(step.place, Place::Memory(_)) && step.words.is_empty()
            };
            let missing = part.iter().filter(missing).count();
            assert!(missing <= 1, "{explanation}");
        }
        assert_eq!(fresh.is_none(), through_caches.is_empty(), "{explanation}");
    }

    /// A read of a word by the function at [`PORT`], explained.
    pub(super) fn ask(&self, request: Request, access: Access) -> Explanation {
        self.explain(self.port.initiator(), request, access, 4)
    }
}

/// A word of a page, as the function at [`PORT`] asks for it.
pub(super) fn at(address: u64) -> Request {
    Request { address: Iova(address), ..Request::at(address) }
}
