//! Interrupts [NVMe 7.5].

use serde::{Deserialize, Serialize};

use super::features::Features;
use super::queue::CompletionQueue;
use super::{QUEUES, VECTORS};
use crate::events::Time;
use crate::pci::{Context, Timer};

/// The interrupt mask and what vectors have to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Interrupts {
    /// INTMS and INTMC [NVMe 3.1.3]. It holds for the pin; MSI-X has masks of its own.
    pub(super) mask: u32,
    vectors: [Vector; VECTORS as usize],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Vector {
    /// Completions since it was raised.
    completions: u32,
    /// One of them is of the admin queue, which does not wait for others.
    urgent: bool,
    /// When it is raised, however few they are.
    deadline: Option<Time>,
}

impl Interrupts {
    /// A completion was posted on a queue of `vector`.
    pub(super) fn posted(&mut self, vector: u16, admin: bool) {
        if let Some(vector) = self.vectors.get_mut(usize::from(vector)) {
            vector.completions = vector.completions.saturating_add(1);
            vector.urgent |= admin;
        }
    }

    /// Raises the vectors whose completions are enough or have waited long enough [NVMe 5.21.1.8].
    pub(super) fn send(&mut self, features: &Features, cx: &mut Context<'_>) {
        let now = cx.now();
        let mut next: Option<Time> = None;
        for (number, vector) in (0..).zip(&mut self.vectors) {
            if vector.completions == 0 {
                continue;
            }
            if let Some((threshold, wait)) = features.coalescing(number)
                && !vector.urgent
                && vector.completions < threshold
            {
                let deadline = *vector.deadline.get_or_insert(now.after(wait));
                if deadline > now {
                    next = Some(next.map_or(deadline, |next| next.min(deadline)));
                    continue;
                }
            }
            *vector = Vector::default();
            cx.interrupt(number);
        }
        match next {
            Some(at) => cx.set_timer(Timer::Second, at.0.saturating_sub(now.0)),
            None => cx.clear_timer(Timer::Second),
        }
    }

    /// The level of the interrupt pin: a vector that is not masked has completions that software has not
    /// taken [NVMe 7.5.1].
    pub(super) fn level(&self, queues: &[Option<CompletionQueue>; QUEUES as usize]) -> bool {
        queues
            .iter()
            .flatten()
            .any(|queue| queue.used() > 0 && queue.vector.is_some_and(|vector| self.mask & 1 << vector == 0))
    }
}
