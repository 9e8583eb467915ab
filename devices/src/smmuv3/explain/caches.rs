//! What the caches hold for a transaction.

use super::run::Run;
use super::steps::Question;
use super::{Cached, page_text, permits};
use crate::addr::{Ipa, Pa};
use crate::fabric::Verdict;
use crate::smmuv3::translate::{Missing, Sight, TlbEntry, Translator, without_top_byte};

/// The caches in the order in which they are asked; of those that only shorten a walk, what was used.
pub(super) fn list(unit: &Translator, question: &Question<'_>, now: &Run, fresh: &Run) -> Vec<Cached> {
    let Question { config, global, request, .. } = *question;
    let Some(stream) = question.stream.filter(|_| global.enabled) else { return Vec::new() };
    let missing = unit.difference(request, stream, global).map(|difference| difference.missing);
    let by_pages = match missing {
        Some(Missing::Va { .. } | Missing::El2Va { .. } | Missing::Ipa { .. } | Missing::Both { .. }) => true,
        Some(
            Missing::Ste | Missing::Cd { .. } | Missing::StreamDescriptor | Missing::ContextDescriptor { .. },
        )
        | None => false,
    };
    let from = request.address.page();
    let hit = unit.peek_hit(request, stream);
    let page_now = match now.verdict {
        Verdict::Memory { pa, .. } => Some(pa.page()),
        _ => None,
    };
    let page_fresh = match fresh.verdict {
        Verdict::Memory { pa, .. } => Some(pa.page()),
        _ => None,
    };
    let mut caches = Vec::new();
    let row = |cache, holds, used, stale| Cached { cache, holds, used, stale, starts: false };
    // With the sanitizer on every transaction goes past it.
    if !config.sanitize {
        let holds = hit.map(|hit| format!("page {from} -> {}, {}", hit.page, permits(hit.permissions)));
        let used = now.hit.is_some();
        caches.push(row("micro-TLB", holds, used, used && page_now != page_fresh));
    }
    let answered = now.sights.iter().find_map(|sight| match sight {
        Sight::Tlb(entry) => Some(*entry),
        _ => None,
    });
    let entry: Option<TlbEntry> = answered.or_else(|| {
        let hit = hit?;
        let plain =
            if hit.top_byte_ignored { without_top_byte(request.address.0) } else { request.address.0 };
        unit.peek_page(hit.tag, plain)
    });
    let holds = entry.map(|entry| format!("page {from} -> {}", page_text(&entry)));
    caches.push(row("TLB", holds, answered.is_some(), entry.is_some() && by_pages));
    let (ste, cd) = unit.peek_configuration(stream, request.pasid);
    let used_ste = now.sights.iter().any(|sight| matches!(sight, Sight::Ste { at: None, .. }));
    let used_cd = now.sights.iter().any(|sight| matches!(sight, Sight::Cd { at: None, .. }));
    let words = |words: [u64; 8]| {
        let last = words.iter().rposition(|word| *word != 0).unwrap_or(0);
        let words: Vec<_> = words[..=last].iter().rev().map(|word| format!("{word:#018x}")).collect();
        words.join(" ")
    };
    caches.push(row("STE cache", ste.map(words), used_ste, missing == Some(Missing::Ste)));
    if cd.is_some() {
        let stale = matches!(missing, Some(Missing::Cd { .. }));
        caches.push(row("CD cache", cd.map(words), used_cd, stale));
    }
    caches.extend(shortcuts(now, fresh));
    caches
}

/// What shortened the way to an entry or a page. It is stale where a look without the caches, that came
/// to the same question, found something else.
fn shortcuts(now: &Run, fresh: &Run) -> Vec<Cached> {
    let row = |cache, holds, stale, starts| Cached { cache, holds: Some(holds), used: true, stale, starts };
    let (mut caches, mut ipa) = (Vec::new(), Ipa(0));
    let starts = |sights: &[Sight], stage1| {
        sights.iter().any(|sight| match sight {
            Sight::Stage1 { .. } => stage1,
            Sight::Stage2 { .. } => !stage1,
            _ => false,
        })
    };
    for (at, sight) in now.sights.iter().enumerate() {
        match *sight {
            Sight::L1Std { at: None, word } => {
                let other = |sight: &Sight| matches!(sight, Sight::L1Std { word: now, .. } if *now != word);
                let stale = fresh.sights.iter().any(other);
                caches.push(row("L1STD cache", format!("{word:#018x}"), stale, false));
            }
            Sight::L1Cd { at: None, word } => {
                let other = |sight: &Sight| matches!(sight, Sight::L1Cd { word: now, .. } if *now != word);
                let stale = fresh.sights.iter().any(other);
                caches.push(row("L1CD cache", format!("{word:#018x}"), stale, false));
            }
            Sight::Stage1 { table, cached: true } => {
                let reached = |sight: &Sight| matches!(sight, Sight::Stage1Reached(there) if *there == table);
                let stale = starts(&fresh.sights, true) && !fresh.sights.iter().any(reached);
                caches.push(row("walk cache", format!("stage-1 table at {:#x}", table.base.0), stale, true));
            }
            Sight::Stage2 { table, cached: true } => {
                let reached = |sight: &Sight| matches!(sight, Sight::Stage2Reached(there) if *there == table);
                let stale = starts(&fresh.sights, false) && !fresh.sights.iter().any(reached);
                caches.push(row("walk cache", format!("stage-2 table at {}", table.base), stale, true));
            }
            Sight::Asked { ipa: asked, .. } => ipa = asked,
            Sight::IpaCached(page) if !walked_on(&now.sights[at + 1..]) => {
                let to = page.place(ipa).page();
                let holds = format!("IPA {:#x} -> {to}, {}", ipa.page().0, permits(page.permissions));
                caches.push(row(
                    "IPA cache",
                    holds,
                    found(fresh, ipa).is_some_and(|now| now != Some(to)),
                    false,
                ));
            }
            _ => {}
        }
    }
    caches
}

/// Whether what the IPA cache held was not enough, so that a walk follows.
pub(super) fn walked_on(rest: &[Sight]) -> bool {
    matches!(rest.first(), Some(Sight::Stage2 { .. }))
}

/// What a run found for an IPA: nothing if it did not ask, `Some(None)` if it asked in vain.
fn found(run: &Run, ipa: Ipa) -> Option<Option<Pa>> {
    let asked =
        run.sights.iter().any(|sight| matches!(sight, Sight::Asked { ipa: there, .. } if *there == ipa));
    asked.then(|| {
        run.sights.iter().find_map(|sight| match sight {
            Sight::Stage2Found { ipa: there, page } if *there == ipa => Some(page.place(ipa).page()),
            _ => None,
        })
    })
}
