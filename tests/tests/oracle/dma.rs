//! One request on both sides.

use std::cell::RefCell;
use std::fmt;

use devices::addr::{Iova, Pasid, SourceId};
use devices::fabric::{self, Abort, AtomicOp, Attrs, DmaPort, Kind, Outcome};
use tests::oracle::legacy::{self, Access, Refusal, Request, Target};

use crate::case::Operation;
use crate::rig::Rig;

/// How the oracle judged a piece.
struct Look {
    piece: Request,
    answer: Result<Target, Refusal>,
    /// Qwords that it read; `None` where there is no RAM.
    path: Vec<(u64, Option<u64>)>,
}

impl Look {
    /// Pages that it read.
    fn pages(&self) -> impl Iterator<Item = u64> {
        self.path.iter().map(|(pa, _)| pa & !0xfff)
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (pa, word) in &self.path {
            match word {
                Some(word) => writeln!(f, "  [{pa:#x}] = {word:#x}")?,
                None => writeln!(f, "  [{pa:#x}] is not RAM")?,
            }
        }
        writeln!(f, "  {:?}: {:?}", self.piece, self.answer)
    }
}

/// What a request leads to.
#[derive(Debug, PartialEq)]
struct Ending {
    done: u64,
    /// Or Unsupported Request.
    completed: bool,
    /// Bytes read, or the old value of an AtomicOp.
    data: Vec<u8>,
    interrupts: Vec<(u64, u32)>,
}

impl Rig {
    /// Issues a request and compares what comes of it.
    pub(crate) fn dma(
        &mut self,
        number: usize,
        request: &Request,
        operation: Operation,
    ) -> Result<(), String> {
        if self.caching && self.would_change_tables(request) {
            // Later walks may use the old tables or the new ones.
            return Ok(());
        }
        // Any bytes do that differ from step to step and from place to place.
        let data: Vec<u8> = (0..request.len).map(|at| at as u8 ^ (at >> 8) as u8 ^ !number as u8).collect();
        let (op, new) = self.atomic_op(request, operation);
        let mut trail = Vec::new();
        let written = if request.access == Access::Atomic { &new } else { &data };
        let expected = self.expect(request, written, &mut trail);

        let mut port = DmaPort::new(SourceId(request.source), self.mem.clone(), self.unit.translator());
        port.set_enabled(true);
        let issued = fabric::Request {
            address: Iova(request.address),
            pasid: request.pasid.and_then(Pasid::new),
            attrs: Attrs { privileged: request.privileged, ..Attrs::default() },
            kind: if request.translated { Kind::Translated } else { Kind::Untranslated },
        };
        let mut read = vec![0; data.len()];
        let (done, outcome) = match request.access {
            Access::Read => {
                let result = port.read(issued, &mut read, &mut self.fx);
                (result.done, result.outcome)
            }
            Access::Write => {
                read.clear();
                let result = port.write(issued, &data, &mut self.fx);
                (result.done, result.outcome)
            }
            Access::Atomic => match port.atomic(issued, op, &mut self.fx) {
                Ok(old) => {
                    read = old.to_le_bytes()[..data.len()].to_vec();
                    (request.len, Outcome::Done)
                }
                Err(outcome) => (0, outcome),
            },
        };
        read.truncate(usize::try_from(done).map_err(|e| e.to_string())?);
        let interrupts = self.deliver()?;
        let completed = match outcome {
            Outcome::Done => true,
            Outcome::Abort(Abort::Ur) => false,
            Outcome::Raz | Outcome::Abort(Abort::Ca) | Outcome::Stalled(_) => {
                return Err(format!("{request:?} {outcome}"));
            }
        };
        let found = Ending { done, completed, data: read, interrupts };
        if found == expected {
            return Ok(());
        }
        let trail: String = trail.iter().map(Look::to_string).collect();
        Err(format!("{request:?}\n{trail}  expected {expected:x?}\n  found    {found:x?}"))
    }

    /// What the oracle says of `request`. Does to the image and the log what should be done to
    /// memory and registers, and leaves in `trail` how it came to that.
    fn expect(&mut self, request: &Request, data: &[u8], trail: &mut Vec<Look>) -> Ending {
        let mut expected = Ending { done: 0, completed: false, data: Vec::new(), interrupts: Vec::new() };
        for piece in pieces(request) {
            // An address past the end of the address space, or a misaligned AtomicOp.
            let Some(piece) = piece else { return expected };
            let look = self.look(&piece);
            let answer = look.answer;
            self.fetched.extend(look.pages());
            trail.push(look);
            let refusal = answer.err().map(|refusal| (refusal.reason, refusal.reported));
            *self.seen.entry((piece.access, refusal)).or_default() += 1;
            let (at, len) = (expected.done as usize, piece.len as usize);
            match answer {
                Err(Refusal { reason, reported }) => {
                    if reported {
                        self.log.push(legacy::record(self.caps, &piece, reason));
                    }
                    return expected;
                }
                Ok(Target::Nothing) => {}
                Ok(Target::Interrupt) => {
                    let word = data[at..at + len].try_into().map_or(0, u32::from_le_bytes);
                    expected.interrupts.push((piece.address, word));
                }
                Ok(Target::Memory(pa)) => {
                    // Nobody but RAM answers.
                    let Some(old) = self.image.bytes(pa, len).map(<[u8]>::to_vec) else { return expected };
                    if piece.access != Access::Read {
                        self.image.set(pa, &data[at..at + len]);
                        self.dirty.insert(pa & !0xfff);
                    }
                    if piece.access != Access::Write {
                        expected.data.extend(old);
                    }
                }
            }
            expected.done += piece.len;
        }
        expected.completed = true;
        expected
    }

    /// Whether `request` would write to a page that walks have read since the last invalidation.
    fn would_change_tables(&self, request: &Request) -> bool {
        if request.access == Access::Read {
            return false;
        }
        let looks: Vec<_> = pieces(request).flatten().map(|piece| self.look(&piece)).collect();
        looks.iter().any(|look| match look.answer {
            Ok(Target::Memory(pa)) => {
                let page = pa & !0xfff;
                self.fetched.contains(&page) || looks.iter().flat_map(Look::pages).any(|read| read == page)
            }
            Ok(_) | Err(_) => false,
        })
    }

    /// Asks the oracle about a piece.
    fn look(&self, piece: &Request) -> Look {
        let path = RefCell::new(Vec::new());
        let memory = |pa| {
            let word = self.image.word(pa);
            path.borrow_mut().push((pa, word));
            word
        };
        let answer = legacy::translate(&memory, self.latched, self.caps, piece);
        Look { piece: *piece, answer, path: path.into_inner() }
    }

    /// The AtomicOp, and what its operand in memory should be afterwards.
    fn atomic_op(&self, request: &Request, operation: Operation) -> (AtomicOp, Vec<u8>) {
        let held = match self.look(request).answer {
            Ok(Target::Memory(pa)) => self.image.word(pa & !7).unwrap_or_default() >> (8 * (pa & 4)),
            Ok(_) | Err(_) => 0,
        };
        let wide: u64 = 0xfedc_ba98_7654_3210;
        // The narrow operands are the low halves of the wide ones.
        let (held32, narrow) = (held as u32, wide as u32);
        if request.len == 4 {
            let (op, new) = match operation {
                Operation::FetchAdd => (AtomicOp::FetchAdd32(narrow), held32.wrapping_add(narrow)),
                Operation::Swap => (AtomicOp::Swap32(narrow), narrow),
                Operation::CompareSwap(true) => {
                    (AtomicOp::CompareSwap32 { compare: held32, swap: narrow }, narrow)
                }
                Operation::CompareSwap(false) => {
                    (AtomicOp::CompareSwap32 { compare: !held32, swap: narrow }, held32)
                }
            };
            (op, new.to_le_bytes().to_vec())
        } else {
            let (op, new) = match operation {
                Operation::FetchAdd => (AtomicOp::FetchAdd64(wide), held.wrapping_add(wide)),
                Operation::Swap => (AtomicOp::Swap64(wide), wide),
                Operation::CompareSwap(true) => (AtomicOp::CompareSwap64 { compare: held, swap: wide }, wide),
                Operation::CompareSwap(false) => {
                    (AtomicOp::CompareSwap64 { compare: !held, swap: wide }, held)
                }
            };
            (op, new.to_le_bytes().to_vec())
        }
    }
}

/// A request cut at 4-KiB borders [VT-d 3.13]; `None` for what never reaches the unit, the rest of a
/// request that leaves the address space and a misaligned AtomicOp [PCIe 2.2.7].
fn pieces(request: &Request) -> impl Iterator<Item = Option<Request>> + use<> {
    let request = *request;
    let mut done = 0;
    let mut more = request.access == Access::Read || request.len > 0;
    std::iter::from_fn(move || {
        if !std::mem::take(&mut more) {
            return None;
        }
        let misaligned = request.access == Access::Atomic && !request.address.is_multiple_of(request.len);
        let Some(address) = request.address.checked_add(done).filter(|_| !misaligned) else {
            return Some(None);
        };
        let len = (request.len - done).min(0x1000 - address % 0x1000);
        done += len;
        more = done < request.len;
        Some(Some(Request { address, len, ..request }))
    })
}
