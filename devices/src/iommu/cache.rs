//! A bounded, set-associative cache that many threads read without a lock.
//!
//! Each way is a sequence lock: a reader that meets a writer sees a miss. Entries live until they
//! are invalidated or evicted, as in hardware, so a missing invalidation shows. A fill that began
//! before an invalidation is refused, so what a walk found in tables that have changed since cannot
//! enter after the invalidation has passed. What is *not* here: meaning. Keys and data are words; the
//! IOMMU models give them sense.

use serde::{Deserialize, Serialize};

use crate::sync::{AtomicU8, AtomicU64, Ordering, fence, fence_after_rmw, spin_loop};

/// How long a cache keeps what it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// As long as there is room: a missing invalidation shows at once.
    #[default]
    Retain,
    /// As `Retain`, with room for four entries only.
    Tiny,
    /// Hits, misses and drops entries at random, by the machine's seed.
    Adversarial,
    /// Keeps nothing.
    Off,
}

impl Policy {
    /// All policies with the names that options use.
    pub const ALL: [(&'static str, Self); 4] = [
        ("retain", Self::Retain),
        ("tiny", Self::Tiny),
        ("adversarial", Self::Adversarial),
        ("off", Self::Off),
    ];
}

const WAYS: usize = 4;
/// No key of a model is all ones.
const EMPTY: u64 = u64::MAX;

/// One entry: `sequence` is odd while a writer is inside.
#[derive(Debug)]
struct Way<const W: usize> {
    sequence: AtomicU64,
    key: AtomicU64,
    data: [AtomicU64; W],
}

/// The ways that a key can be in.
#[derive(Debug)]
#[repr(align(64))]
struct Set<const W: usize> {
    ways: [Way<W>; WAYS],
}

/// A cache of entries of `W` words.
#[derive(Debug)]
pub struct Cache<const W: usize> {
    sets: Box<[Set<W>]>,
    /// The way of each set to evict next, apart so that a lookup does not load them.
    victims: Box<[AtomicU8]>,
    policy: Policy,
    random: AtomicU64,
    /// Number of invalidations.
    generation: AtomicU64,
}

/// Taken before the tables are read, shown when their contents are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// A saved [`Cache`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// (way number, key, data) of every entry.
    entries: Vec<(usize, u64, Vec<u64>)>,
    victims: Vec<u8>,
    random: u64,
}

impl<const W: usize> Cache<W> {
    /// A cache with room for `entries`, rounded up to a power of two; `seed` drives
    /// [`Policy::Adversarial`].
    pub fn new(entries: usize, policy: Policy, seed: u64) -> Self {
        let sets = match policy {
            Policy::Retain | Policy::Adversarial => entries.div_ceil(WAYS).next_power_of_two(),
            Policy::Tiny => 1,
            Policy::Off => 0,
        };
        let victims = (0..sets).map(|_| AtomicU8::new(0)).collect();
        let sets = (0..sets).map(|_| Set::default()).collect();
        // Xorshift needs a state that is not zero.
        let (random, generation) = (AtomicU64::new(seed | 1), AtomicU64::new(0));
        Self { sets, victims, policy, random, generation }
    }

    /// The data cached under `key`. `place` chooses the set: equal keys have equal places.
    #[inline]
    pub fn lookup(&self, place: u64, key: u64) -> Option<[u64; W]> {
        let mut data = [0; W];
        self.lookup_into(place, key, &mut data).then_some(data)
    }

    /// As [`Self::lookup`], into `data`, which means nothing if the answer is false. For a caller that keeps
    /// many words in memory: a result would be copied there, in pieces other than those it was stored in, for
    /// which processors wait.
    #[inline]
    pub fn lookup_into(&self, place: u64, key: u64, data: &mut [u64; W]) -> bool {
        let Some(set) = self.set(place) else { return false };
        let Some(way) = set.ways.iter().find(|way| way.key.load(Ordering::Relaxed) == key) else {
            return false;
        };
        let Some(found) = way.read(key) else { return false };
        *data = found;
        self.policy != Policy::Adversarial || self.spares(way, key)
    }

    /// The data cached under `key`, without a lookup's effects: nothing is dropped at random.
    pub fn peek(&self, place: u64, key: u64) -> Option<[u64; W]> {
        self.set(place)?.ways.iter().find_map(|way| way.read(key))
    }

    /// To be taken before the first read of what will be cached.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.generation.load(Ordering::Acquire))
    }

    /// Caches `data` under `key`, in place of an older entry if there is no room; nothing happens if
    /// there was an invalidation since `ticket` was taken.
    pub fn insert(&self, ticket: Ticket, place: u64, key: u64, data: [u64; W]) {
        let Some(index) = self.index(place) else { return };
        let set = &self.sets[index];
        if self.policy == Policy::Adversarial && self.chance(4) {
            return;
        }
        let holding = |wanted: u64| set.ways.iter().find(|way| way.key.load(Ordering::Relaxed) == wanted);
        let way = holding(key).or_else(|| holding(EMPTY)).unwrap_or_else(|| {
            &set.ways[usize::from(self.victims[index].fetch_add(1, Ordering::Relaxed)) % WAYS]
        });
        way.store(key, data, || self.ticket() == ticket);
    }

    /// Drops the entries of one set for which `drop` says so.
    pub fn invalidate_set(&self, place: u64, drop: impl Fn(u64, &[u64; W]) -> bool) {
        self.outdate_tickets();
        for way in self.set(place).into_iter().flat_map(|set| &set.ways) {
            way.clear_if(&drop);
        }
    }

    /// Drops every entry for which `drop` says so.
    pub fn invalidate(&self, drop: impl Fn(u64, &[u64; W]) -> bool) {
        self.outdate_tickets();
        for way in self.sets.iter().flat_map(|set| &set.ways) {
            way.clear_if(&drop);
        }
    }

    /// Has what was begun before not be cached.
    pub fn outdate_tickets(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        // Pairs with the fence of `Way::store`.
        fence_after_rmw();
    }

    /// Number of sets; 0 for a cache that keeps nothing.
    pub fn sets(&self) -> usize {
        self.sets.len()
    }

    /// Number of entries held.
    pub fn len(&self) -> usize {
        self.ways().filter(|way| way.key.load(Ordering::Relaxed) != EMPTY).count()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cache as data; nobody may be using it meanwhile.
    pub fn save(&self) -> State {
        let entries = self.ways().enumerate().filter_map(|(number, way)| {
            let key = way.key.load(Ordering::Acquire);
            let data = way.read(key)?;
            (key != EMPTY).then(|| (number, key, data.to_vec()))
        });
        State {
            entries: entries.collect(),
            victims: self.victims.iter().map(|victim| victim.load(Ordering::Relaxed)).collect(),
            random: self.random.load(Ordering::Relaxed),
        }
    }

    /// Replaces the contents by what was saved from a cache of the same size; what does not fit is
    /// dropped, which a cache may always do.
    pub fn restore(&self, state: &State) {
        let State { entries, victims, random } = state;
        self.invalidate(|_, _| true);
        for (number, key, data) in entries {
            if let (Some(way), Ok(data)) = (self.ways().nth(*number), <[u64; W]>::try_from(&data[..])) {
                way.store(*key, data, || true);
            }
        }
        for (place, victim) in self.victims.iter().zip(victims) {
            place.store(*victim, Ordering::Relaxed);
        }
        // Zero is no state of a generator: it would never leave it.
        self.random.store(if *random == 0 { 1 } else { *random }, Ordering::Relaxed);
    }

    fn ways(&self) -> impl Iterator<Item = &Way<W>> {
        self.sets.iter().flat_map(|set| &set.ways)
    }

    fn set(&self, place: u64) -> Option<&Set<W>> {
        self.sets.get(self.index(place)?)
    }

    /// The set of a place; `None` if there are none. Their number is a power of two.
    fn index(&self, place: u64) -> Option<usize> {
        // The masked place is below the number of sets.
        self.sets.len().checked_sub(1).map(|mask| place as usize & mask)
    }

    /// Whether a hit under [`Policy::Adversarial`] remains one.
    #[cold]
    fn spares(&self, way: &Way<W>, key: u64) -> bool {
        let drops = self.chance(4);
        if drops {
            way.clear_if(|found, _| found == key);
        }
        !drops
    }

    /// True once in `n` times.
    fn chance(&self, n: u64) -> bool {
        let next = |mut x: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^ (x << 17)
        };
        let old = self.random.load(Ordering::Relaxed);
        let new = next(old);
        self.random.store(new, Ordering::Relaxed);
        (new >> 33).is_multiple_of(n)
    }
}

impl<const W: usize> Default for Set<W> {
    fn default() -> Self {
        Self { ways: std::array::from_fn(|_| Way::default()) }
    }
}

impl<const W: usize> Default for Way<W> {
    fn default() -> Self {
        Self {
            sequence: AtomicU64::new(0),
            key: AtomicU64::new(EMPTY),
            data: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl<const W: usize> Way<W> {
    /// The data, if `key` is what is stored and no writer was inside meanwhile.
    #[inline]
    fn read(&self, key: u64) -> Option<[u64; W]> {
        let before = self.sequence.load(Ordering::Acquire);
        let same_key = self.key.load(Ordering::Relaxed) == key;
        let data = std::array::from_fn(|i| self.data[i].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let after = self.sequence.load(Ordering::Relaxed);
        (before == after && before.is_multiple_of(2) && same_key).then_some(data)
    }

    /// Stores an entry unless `current`, asked inside the lock, says that it is out of date.
    fn store(&self, key: u64, data: [u64; W], current: impl Fn() -> bool) {
        let locked = self.lock();
        // Pairs with the fence of `Cache::outdate_tickets`: either `current` sees the new generation, or
        // the invalidation sees that a writer is, or was, inside.
        fence_after_rmw();
        if current() {
            self.key.store(key, Ordering::Relaxed);
            for (place, word) in self.data.iter().zip(data) {
                place.store(word, Ordering::Relaxed);
            }
        }
        self.sequence.store(locked + 1, Ordering::Release);
    }

    fn clear_if(&self, drop: impl Fn(u64, &[u64; W]) -> bool) {
        // A writer that enters after this look finds the generation changed and stores nothing: both
        // sides write before they look, with a fence between.
        let writing = !self.sequence.load(Ordering::Acquire).is_multiple_of(2);
        if !writing && self.key.load(Ordering::Relaxed) == EMPTY {
            return;
        }
        let locked = self.lock();
        let key = self.key.load(Ordering::Relaxed);
        let data = std::array::from_fn(|i| self.data[i].load(Ordering::Relaxed));
        if key != EMPTY && drop(key, &data) {
            self.key.store(EMPTY, Ordering::Relaxed);
        }
        self.sequence.store(locked + 1, Ordering::Release);
    }

    /// Enters as the one writer; returns the odd sequence number. The critical section is a few
    /// stores, so waiting for another writer is short.
    fn lock(&self) -> u64 {
        loop {
            let even = self.sequence.load(Ordering::Relaxed) & !1;
            let entered =
                self.sequence.compare_exchange_weak(even, even + 1, Ordering::SeqCst, Ordering::Relaxed);
            if entered.is_ok() {
                fence(Ordering::Release);
                return even + 1;
            }
            spin_loop();
        }
    }
}
