//! Objects of one context: ids, users, destruction.
//!
//! An object has a count of its *users*: one for the table it is in, one for every object that
//! depends on it ([`Hold`]) and one for every call that works on it now ([`Ref`]). `DESTROY` needs
//! the table to be the only user, else it is `EBUSY`. Who destroys an object it owns itself (a
//! driver that unbinds a device) waits for calls to end instead ([`Objects::destroy_held`]); no call
//! finds the object from then on, so that none can make it wait for long.
//!
//! Ids are the lowest free from 1 on, reused; an id is taken from [`Objects::reserve`] on but can be
//! found only after [`Pending::publish`]. A *tombstone* is an id that is never given again.
//!
//! What an object owns is gone when the call that destroyed it returns: whoever used it let go of
//! its memory before it gave up its count.
//!
//! Absent: any lock held while an object is destroyed.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Deref;

use vm_allocator::IdAllocator;

use crate::ctx::Ctx;
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::sync::{Arc, Condvar, Mutex, lock, wait};

/// Ids fit 31 bits [kernel: xa_limit_31b].
const LAST_ID: u32 = i32::MAX as u32;

/// What can be in a context's table.
pub(crate) trait Object: Any + Send + Sync {
    /// The last act, when no user is left and the id is free again.
    fn destroy(&self, ctx: &Ctx) {
        let _ = ctx;
    }
}

struct Entry {
    object: Arc<dyn Object>,
    /// The table, holders and running calls.
    users: u32,
    /// Running calls alone.
    calls: u32,
    /// Its owner waits for them to end, and lets none begin.
    leaving: bool,
}

struct Table {
    ids: IdAllocator,
    /// Ids that are not free: of objects, reserved, tombstones.
    taken: u32,
    entries: BTreeMap<u32, Entry>,
}

impl Table {
    fn remove(&mut self, id: u32) -> Option<Arc<dyn Object>> {
        let entry = self.entries.remove(&id)?;
        self.free(id);
        Some(entry.object)
    }

    fn take(&mut self) -> Result<u32> {
        let id = self.ids.allocate_id().map_err(|_| Errno::ENOMEM)?;
        self.taken += 1;
        Ok(id)
    }

    /// The object `id` for a call that begins.
    fn enter(&mut self, id: u32) -> Option<&mut Entry> {
        self.entries.get_mut(&id).filter(|entry| !entry.leaving)
    }

    fn free(&mut self, id: u32) {
        self.taken -= 1;
        let freed = self.ids.free_id(id);
        debug_assert!(freed.is_ok(), "id {id} was allocated and is freed once");
    }
}

/// The table of one context.
pub(crate) struct Objects {
    table: Mutex<Table>,
    /// A call let go of an object.
    quiet: Condvar,
}

impl Default for Objects {
    fn default() -> Self {
        // The range is not empty, the one thing that can be wrong with it.
        let ids = IdAllocator::new(1, LAST_ID).unwrap_or_else(|error| unreachable!("{error}"));
        Self { table: Mutex::new(Table { ids, taken: 0, entries: BTreeMap::new() }), quiet: Condvar::new() }
    }
}

impl Objects {
    /// Takes the lowest free id for an object to be made.
    ///
    /// # Errors
    /// `ENOMEM` where all ids are taken.
    pub(crate) fn reserve(self: &Arc<Self>) -> Result<Pending> {
        fault_point(Errno::ENOMEM)?;
        let id = lock(&self.table).take()?;
        Ok(Pending { objects: Arc::clone(self), id, published: false })
    }

    /// The object `id` for the time of a call, if it is a `T`.
    ///
    /// # Errors
    /// `ENOENT`.
    pub(crate) fn get<T: Object>(self: &Arc<Self>, id: u32) -> Result<Ref<T>> {
        fault_point(Errno::ENOENT)?;
        self.find(id).ok_or(Errno::ENOENT)
    }

    /// The object `id` for the time of a call, whatever it is.
    ///
    /// # Errors
    /// `ENOENT`.
    pub(crate) fn get_any(self: &Arc<Self>, id: u32) -> Result<AnyRef> {
        fault_point(Errno::ENOENT)?;
        let mut table = lock(&self.table);
        let entry = table.enter(id).ok_or(Errno::ENOENT)?;
        entry.users += 1;
        entry.calls += 1;
        let object = Arc::clone(&entry.object);
        drop(table);
        Ok(AnyRef { object, claim: self.claim(id, true) })
    }

    /// As [`Self::get`], of an id that does not come from the caller: it fails only where the object
    /// is being destroyed.
    pub(crate) fn find<T: Object>(self: &Arc<Self>, id: u32) -> Option<Ref<T>> {
        let mut table = lock(&self.table);
        let entry = table.enter(id)?;
        let any: Arc<dyn Any + Send + Sync> = entry.object.clone();
        let object = any.downcast::<T>().ok()?;
        entry.users += 1;
        entry.calls += 1;
        drop(table);
        Some(Ref { object, claim: self.claim(id, true) })
    }

    /// Destroys `id` where only the table uses it.
    ///
    /// # Errors
    /// `ENOENT`; `EBUSY` where it has other users.
    pub(crate) fn destroy(&self, ctx: &Ctx, id: u32) -> Result<()> {
        let mut table = lock(&self.table);
        match table.entries.get(&id) {
            None => return Err(Errno::ENOENT),
            Some(entry) if entry.users > 1 => return Err(Errno::EBUSY),
            Some(_) => {}
        }
        let object = table.remove(id);
        drop(table);
        if let Some(object) = object {
            object.destroy(ctx);
        }
        Ok(())
    }

    /// Destroys what `hold` names once running calls have let it go, `hold` being its only holder. No
    /// call finds it meanwhile [kernel: iommufd_object_dec_wait]. Its id becomes a tombstone where
    /// `tombstone` says so.
    ///
    /// # Errors
    /// `EBUSY` where there are other holders; `hold` is dropped all the same.
    pub(crate) fn destroy_held<T: Object>(&self, ctx: &Ctx, hold: Hold<T>, tombstone: bool) -> Result<()> {
        let id = hold.id();
        let mut table = lock(&self.table);
        while let Some(entry) = table.entries.get_mut(&id)
            && entry.calls > 0
        {
            entry.leaving = true;
            table = wait(&self.quiet, table);
        }
        if let Some(entry) = table.entries.get_mut(&id)
            && entry.users > 2
        {
            entry.leaving = false;
            drop(table);
            return Err(Errno::EBUSY);
        }
        let object =
            if tombstone { table.entries.remove(&id).map(|entry| entry.object) } else { table.remove(id) };
        drop(table);
        hold.forget();
        if let Some(object) = object {
            object.destroy(ctx);
        }
        Ok(())
    }

    /// Drops `hold` and, where no other user is left, destroys the object: how one that nobody made
    /// on purpose goes.
    pub(crate) fn release_auto<T: Object>(&self, ctx: &Ctx, hold: Hold<T>) {
        let id = hold.id();
        hold.forget();
        let mut table = lock(&self.table);
        // In one step: two that let go at once must not both leave it to the other.
        let Some(entry) = table.entries.get_mut(&id) else { return };
        entry.users -= 1;
        let object = if entry.users == 1 { table.remove(id) } else { None };
        drop(table);
        if let Some(object) = object {
            object.destroy(ctx);
        }
    }

    /// Destroys everything, what nothing depends on first.
    pub(crate) fn teardown(&self, ctx: &Ctx) {
        loop {
            let ids: Vec<u32> = lock(&self.table).entries.keys().copied().collect();
            let destroyed = ids.into_iter().filter(|id| self.destroy(ctx, *id).is_ok()).count();
            if destroyed == 0 {
                break;
            }
        }
        debug_assert!(self.is_empty(), "objects are left that hold one another");
    }

    /// Whether it holds no object.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.table).entries.is_empty()
    }

    /// Does `act` where all ids are free, tombstones being not, before any can be taken [kernel:
    /// xa_empty].
    ///
    /// # Errors
    /// `EBUSY`, and what `act` says.
    pub(crate) fn if_unused(&self, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let table = lock(&self.table);
        if table.taken > 0 {
            return Err(Errno::EBUSY);
        }
        act()
    }

    fn claim(self: &Arc<Self>, id: u32, call: bool) -> Claim {
        Claim { objects: Arc::clone(self), id, call, armed: true }
    }

    fn hold<T: Object>(self: &Arc<Self>, id: u32, object: &Arc<T>) -> Hold<T> {
        if let Some(entry) = lock(&self.table).entries.get_mut(&id) {
            entry.users += 1;
        }
        Hold { object: Arc::clone(object), claim: self.claim(id, false) }
    }
}

/// One count of an object's users, given back when dropped.
struct Claim {
    objects: Arc<Objects>,
    id: u32,
    call: bool,
    armed: bool,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        if let Some(entry) = lock(&self.objects.table).entries.get_mut(&self.id) {
            entry.users -= 1;
            entry.calls -= u32::from(self.call);
        }
        if self.call {
            self.objects.quiet.notify_all();
        }
    }
}

/// An id without an object yet. Dropped, the id is free again.
pub(crate) struct Pending {
    objects: Arc<Objects>,
    id: u32,
    published: bool,
}

impl Pending {
    /// The id the object will have.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Lets others find the object.
    pub(crate) fn publish<T: Object>(mut self, object: Arc<T>) {
        self.insert(object, 1);
    }

    /// Lets others find the object, and holds it.
    pub(crate) fn publish_held<T: Object>(mut self, object: Arc<T>) -> Hold<T> {
        self.insert(object.clone(), 2);
        Hold { object, claim: self.objects.claim(self.id, false) }
    }

    fn insert(&mut self, object: Arc<dyn Object>, users: u32) {
        lock(&self.objects.table).entries.insert(self.id, Entry { object, users, calls: 0, leaving: false });
        self.published = true;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.published {
            lock(&self.objects.table).free(self.id);
        }
    }
}

/// An object of any kind, in use by a running call.
pub(crate) struct AnyRef {
    // Dropped in this order: see the module's doc.
    object: Arc<dyn Object>,
    claim: Claim,
}

impl AnyRef {
    /// The same as a `T`, if it is one.
    pub(crate) fn downcast<T: Object>(self) -> std::result::Result<Ref<T>, Self> {
        let Self { object, claim } = self;
        let any: Arc<dyn Any + Send + Sync> = object.clone();
        match any.downcast::<T>() {
            Ok(found) => {
                drop(object);
                Ok(Ref { object: found, claim })
            }
            Err(_) => Err(Self { object, claim }),
        }
    }
}

/// An object in use by a running call.
pub(crate) struct Ref<T: Object> {
    // Dropped in this order: see the module's doc.
    object: Arc<T>,
    claim: Claim,
}

impl<T: Object> Ref<T> {
    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.claim.id
    }

    /// Becomes a user beyond the call.
    pub(crate) fn hold(&self) -> Hold<T> {
        self.claim.objects.hold(self.claim.id, &self.object)
    }
}

impl<T: Object> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

/// A user of an object for longer than a call: while it lives, `DESTROY` is `EBUSY`.
pub(crate) struct Hold<T: Object> {
    // Dropped in this order: see the module's doc.
    object: Arc<T>,
    claim: Claim,
}

impl<T: Object> Hold<T> {
    /// The object's id.
    pub(crate) fn id(&self) -> u32 {
        self.claim.id
    }

    /// Drops it without giving its count back.
    fn forget(mut self) {
        self.claim.armed = false;
    }
}

impl<T: Object> Clone for Hold<T> {
    fn clone(&self) -> Self {
        self.claim.objects.hold(self.claim.id, &self.object)
    }
}

impl<T: Object> Deref for Hold<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}
