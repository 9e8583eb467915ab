//! A machine with one entry in its table.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread::{JoinHandle, spawn};

use crate::cache::{Cache, Policy};
use crate::guard::{Guards, Slot};
use crate::sync::{AtomicU64, Ordering};

/// The one key, and the place of its set.
const KEY: u64 = 1;

pub struct Machine {
    guards: Guards,
    /// What the directory says the table is; there are two tables of one entry each.
    directory: AtomicU64,
    /// The page that each table maps.
    tables: [AtomicU64; 2],
    /// The paging-structure cache: the table.
    structures: Cache<1>,
    /// The IOTLB: the page.
    iotlb: Cache<1>,
    /// Two pages, with a word for each device.
    pages: [[UnsafeCell<u64>; 2]; 2],
}

impl Machine {
    /// Table 0 maps page 0, table 1 maps page 1; nothing is cached. `structures` is the policy of the
    /// paging-structure cache.
    #[expect(clippy::arc_with_non_send_sync, reason = "loom runs all its threads on one")]
    pub fn new(structures: Policy) -> Arc<Self> {
        Arc::new(Self {
            guards: Guards::default(),
            directory: AtomicU64::new(0),
            tables: [0, 1].map(AtomicU64::new),
            structures: Cache::new(1, structures, 0),
            iotlb: Cache::new(1, Policy::Tiny, 0),
            pages: std::array::from_fn(|_| [0, 0].map(UnsafeCell::new)),
        })
    }

    /// A DMA write to the word of `device`, as a port and the translating half do it.
    fn dma(&self, device: usize, slot: &Slot) {
        let _inside = slot.enter();
        let [page] = self.iotlb.lookup(KEY, KEY).unwrap_or_else(|| {
            let ticket = self.iotlb.ticket();
            let structures = self.structures.ticket();
            let [table] = self.structures.lookup(KEY, KEY).unwrap_or_else(|| {
                let table = [self.directory.load(Ordering::Acquire)];
                self.structures.insert(structures, KEY, KEY, table);
                table
            });
            let page = [self.tables[table as usize].load(Ordering::Acquire)];
            self.iotlb.insert(ticket, KEY, KEY, page);
            page
        });
        // SAFETY: the pointer is used inside the closure only; loom checks that no other access is
        // concurrent, which is what this test is about.
        self.pages[page as usize][device].with_mut(|word| unsafe { *word += 1 });
    }

    /// Device 0 or 1, on a thread of its own, does `count` DMAs.
    pub fn device(self: &Arc<Self>, device: usize, count: usize) -> JoinHandle<()> {
        let slot = self.guards.slot();
        let machine = Arc::clone(self);
        spawn(move || (0..count).for_each(|_| machine.dma(device, &slot)))
    }

    /// Caches the translation as it is at first, before there are devices.
    pub fn warm(&self) {
        self.iotlb.insert(self.iotlb.ticket(), KEY, KEY, [0]);
    }

    /// Caches the table as it is at first, before there are devices.
    pub fn warm_structures(&self) {
        self.structures.insert(self.structures.ticket(), KEY, KEY, [0]);
    }

    /// Software changes the last-level entry.
    pub fn remap_page(&self) {
        self.tables[0].store(1, Ordering::Relaxed);
    }

    /// Software changes the entry that leads to the table.
    pub fn remap_table(&self) {
        self.directory.store(1, Ordering::Relaxed);
    }

    /// The control half processes an invalidation: structures first, then translations, then it waits.
    pub fn invalidate(&self) {
        self.structures.invalidate(|key, _| key == KEY);
        self.iotlb.invalidate_set(KEY, |key, _| key == KEY);
        self.guards.wait();
    }

    /// Software takes back the page that was mapped at first.
    pub fn reuse_page(&self) {
        for word in &self.pages[0] {
            // SAFETY: as in `dma`.
            word.with_mut(|word| unsafe { *word = 0 });
        }
    }
}
