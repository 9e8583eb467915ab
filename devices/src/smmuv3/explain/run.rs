//! A transaction put to a copy of the translating half, and what came out.

use crate::addr::StreamId;
use crate::events::Time;
use crate::fabric::{Effect, Effects, Transaction, Translate as _, Verdict};
use crate::smmuv3::event::{Reason, Report, TranslationFault};
use crate::smmuv3::translate::{Hit, Refusal, Sight, Translator};
use crate::smmuv3::vmsa::Permissions;

/// What a transaction came to.
pub(super) struct Run {
    /// The unit's word on the address.
    pub verdict: Verdict,
    /// What was seen on the way.
    pub sights: Vec<Sight>,
    /// What the control half would be told.
    pub report: Option<Report>,
    /// The entry of the hit table that answered by itself.
    pub hit: Option<Hit>,
}

impl Run {
    /// Puts `request` to `copy`, which it changes.
    pub fn of(copy: &Translator, request: &Transaction, stream: Option<StreamId>) -> Self {
        let hit = stream.and_then(|stream| copy.peek_hit(request, stream));
        let enabled = copy.registers().enabled;
        let mut fx = Effects::new(Time(0), false);
        let verdict = copy.translate(request, &mut fx);
        let report = fx.take().into_iter().find_map(|effect| match effect {
            Effect::Event { report, .. } => Some(report),
            _ => None,
        });
        let sights = copy.sights();
        // Whoever gets past the hit table looks for an STE.
        let by_hit = enabled && sights.is_empty() && matches!(verdict, Verdict::Memory { .. });
        Self { verdict, sights, report, hit: hit.filter(|_| by_hit) }
    }

    /// Why it was refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.sights.iter().find_map(|sight| match sight {
            Sight::Refused(refusal) => Some(refusal),
            _ => None,
        })
    }

    /// The fault that it was refused for, if it is one of the four that software configures.
    pub fn fault(&self) -> Option<TranslationFault> {
        match self.refusal()?.reason {
            Reason::Fault(fault) => Some(fault),
            _ => None,
        }
    }

    /// log2 of the size of the page that it goes to, and what that permits.
    pub fn page(&self) -> Option<(u32, Permissions)> {
        // Caches hold pages of 4 KiB.
        self.hit.map(|hit| (12, hit.permissions)).or_else(|| {
            self.sights.iter().find_map(|sight| match *sight {
                Sight::Page { bits, permissions } => Some((bits, permissions)),
                _ => None,
            })
        })
    }

    /// The words of the STE that counted.
    pub fn ste(&self) -> Option<[u64; 8]> {
        self.sights.iter().find_map(|sight| match *sight {
            Sight::Ste { words, .. } => Some(words),
            _ => None,
        })
    }
}
