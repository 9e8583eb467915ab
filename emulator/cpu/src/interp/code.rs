//! The cache of decoded pages, and how writes to code reach it.
//!
//! Pages are keyed by physical page, so an address space switch costs nothing and aliases share
//! their decodes. A store by a CPU to such a page takes the slow way (see
//! [`super::Tlb::guard`]) and forgets just the operations it overlaps, so code and data may share a
//! page. Device writes come through [`CodeWatch`], from wherever the machine's memory reports them.
//!
//! The cache is bounded; when it is full it is emptied, which needs `&mut` and therefore happens
//! between runs, when nobody holds a page.

use std::cell::{Cell, OnceCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::mem::{Frame, PAGE_SIZE, Ram};

/// Decoded pages that are kept.
const CAPACITY: usize = 4096;
/// Reported device writes that are kept apart; more are forgotten into "everything changed".
const REPORTS: usize = 256;

/// One decoded page of an instruction set.
pub trait CodePage {
    /// A page of which nothing is decoded yet.
    fn new(frame: Frame) -> Self;
    /// Bytes `first..=last` of the page changed.
    fn forget(&self, first: u16, last: u16);
}

/// A page of the cache, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageId(u32);

impl PageId {
    /// The number of no page.
    pub const NONE: Self = Self(u32::MAX);
}

/// The decoded pages of one machine, shared by its CPUs.
pub struct CodePages<P> {
    /// By frame: number of the page plus one, or 0.
    index: Vec<Cell<u32>>,
    pages: Vec<OnceCell<Box<P>>>,
    used: Cell<usize>,
    watch: Arc<CodeWatch>,
}

impl<P: CodePage> CodePages<P> {
    /// An empty cache for code in `ram`.
    pub fn new(ram: &Ram) -> Self {
        let frames = ram.frames();
        Self {
            index: vec![Cell::new(0); frames],
            pages: (0..CAPACITY).map(|_| OnceCell::new()).collect(),
            used: Cell::new(0),
            watch: Arc::new(CodeWatch::new(ram.clone())),
        }
    }

    /// What device writes are reported to.
    pub fn watch(&self) -> Arc<CodeWatch> {
        Arc::clone(&self.watch)
    }

    /// The page decoded for `frame`, if there is one.
    pub fn find(&self, frame: Frame) -> Option<PageId> {
        let number = self.index.get(frame.index())?.get();
        Some(PageId(number.checked_sub(1)?))
    }

    /// A page for `frame`, which has none; `None` when the cache is full.
    pub fn add(&self, frame: Frame) -> Option<PageId> {
        let slot = self.used.get();
        let page = self.pages.get(slot)?;
        page.get_or_init(|| Box::new(P::new(frame)));
        self.used.set(slot + 1);
        // The capacity fits 32 bits.
        self.index.get(frame.index())?.set(slot as u32 + 1);
        self.watch.mark(frame);
        Some(PageId(slot as u32))
    }

    /// The page of a number this cache gave since it was last emptied.
    #[inline]
    pub fn get(&self, id: PageId) -> Option<&P> {
        self.pages.get(id.0 as usize)?.get().map(|page| &**page)
    }

    /// `size` bytes at `offset` of `frame` changed.
    pub fn written(&self, frame: Frame, offset: u64, size: u64) {
        if let Some(page) = self.find(frame).and_then(|id| self.get(id)) {
            let first = offset.min(PAGE_SIZE - 1);
            let last = (offset + size.saturating_sub(1)).min(PAGE_SIZE - 1);
            // Both are below the page size.
            page.forget(first as u16, last as u16);
        }
    }

    /// Forgets what device writes changed since the last call.
    pub fn drain(&self) {
        if !self.watch.reported.swap(false, Ordering::Acquire) {
            return;
        }
        let reports = std::mem::take(&mut *self.watch.reports.lock().unwrap_or_else(PoisonError::into_inner));
        if reports.all {
            for page in self.pages.iter().filter_map(OnceCell::get) {
                page.forget(0, (PAGE_SIZE - 1) as u16);
            }
        }
        for (frame, first, last) in reports.ranges {
            self.written(frame, u64::from(first), u64::from(last - first) + 1);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.index.iter().for_each(|number| number.set(0));
        self.pages.iter_mut().for_each(|page| drop(page.take()));
        self.used.set(0);
        self.watch.clear();
    }
}

/// Knows which pages of RAM hold decoded code, and collects writes to them.
///
/// The machine calls [`Self::written`] for every write to RAM that is not made by a CPU of this
/// crate. A write elsewhere costs a look at one bit.
pub struct CodeWatch {
    ram: Ram,
    /// One bit per frame.
    code: Vec<AtomicU64>,
    reported: AtomicBool,
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    all: bool,
    ranges: Vec<(Frame, u16, u16)>,
}

impl CodeWatch {
    fn new(ram: Ram) -> Self {
        let words = ram.frames().div_ceil(64);
        Self {
            ram,
            code: (0..words).map(|_| AtomicU64::new(0)).collect(),
            reported: AtomicBool::new(false),
            reports: Mutex::default(),
        }
    }

    /// Bytes `first..=last` of physical memory may have changed.
    pub fn written(&self, first: u64, last: u64) {
        for (start, end) in self.ram.ranges() {
            let (first, last) = (first.max(start), last.min(end));
            if first > last {
                continue;
            }
            for page in (first & !(PAGE_SIZE - 1)..=last).step_by(PAGE_SIZE as usize) {
                let Some(frame) = self.ram.frame(page).filter(|frame| self.is_code(*frame)) else { continue };
                let (from, to) = (first.max(page) - page, last.min(page | (PAGE_SIZE - 1)) - page);
                // Offsets in a page fit 16 bits.
                self.report(frame, from as u16, to as u16);
            }
        }
    }

    fn report(&self, frame: Frame, first: u16, last: u16) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.ranges.len() < REPORTS {
            reports.ranges.push((frame, first, last));
        } else {
            reports.all = true;
        }
        self.reported.store(true, Ordering::Release);
    }

    /// Does the page hold decoded code?
    pub fn is_code(&self, frame: Frame) -> bool {
        let word = self.code.get(frame.index() / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (frame.index() % 64) & 1 != 0)
    }

    fn mark(&self, frame: Frame) {
        if let Some(word) = self.code.get(frame.index() / 64) {
            word.fetch_or(1 << (frame.index() % 64), Ordering::Relaxed);
        }
    }

    fn clear(&self) {
        self.code.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        *self.reports.lock().unwrap_or_else(PoisonError::into_inner) = Reports::default();
        self.reported.store(false, Ordering::Release);
    }
}
