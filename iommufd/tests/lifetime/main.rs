//! The lifetime protocol of objects under a model checker: `src/object.rs`, compiled against locks
//! whose every interleaving shuttle chooses.

#![allow(clippy::unwrap_used)]

#[path = "../../src/object.rs"]
#[allow(dead_code)]
mod object;
mod sync;

/// In the library, the context; here, where objects write down that they were destroyed.
mod ctx {
    use std::sync::Mutex;

    #[derive(Default)]
    pub(crate) struct Ctx {
        pub(crate) destroyed: Mutex<Vec<&'static str>>,
    }
}

use std::sync::atomic::{AtomicBool, Ordering};

use ctx::Ctx;
use iommufd::errno::{self, Errno};
use iommufd::fault_point;
use object::{Hold, Object, Objects};
use shuttle::{check_dfs, check_random, thread};
use sync::Arc;

/// Schedules tried at random where there are too many to try all.
const SCHEDULES: usize = 5_000;

/// An object that knows whether it may be used.
struct Thing {
    name: &'static str,
    destroyed: AtomicBool,
    /// Set by the drop: what the object owns is free then.
    freed: Arc<AtomicBool>,
    _depends_on: Option<Hold<Thing>>,
}

impl Thing {
    fn new(name: &'static str, depends_on: Option<Hold<Thing>>) -> (Arc<Self>, Arc<AtomicBool>) {
        let freed = Arc::new(AtomicBool::new(false));
        let thing = Self {
            name,
            destroyed: AtomicBool::new(false),
            freed: Arc::clone(&freed),
            _depends_on: depends_on,
        };
        (Arc::new(thing), freed)
    }

    fn work(&self) {
        assert!(!self.destroyed.load(Ordering::SeqCst), "{} is used after it was destroyed", self.name);
        thread::yield_now();
        assert!(!self.destroyed.load(Ordering::SeqCst), "{} is destroyed while in use", self.name);
    }
}

impl Object for Thing {
    fn destroy(&self, ctx: &Ctx) {
        assert!(!self.destroyed.swap(true, Ordering::SeqCst), "{} is destroyed twice", self.name);
        ctx.destroyed.lock().unwrap().push(self.name);
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        self.freed.store(true, Ordering::SeqCst);
    }
}

/// A context with one object in it, id 1.
fn one() -> (Arc<Ctx>, Arc<Objects>, Arc<AtomicBool>) {
    let objects = Arc::<Objects>::default();
    let (thing, freed) = Thing::new("thing", None);
    let pending = objects.reserve().unwrap();
    assert_eq!(pending.id(), 1);
    pending.publish(thing);
    (Arc::default(), objects, freed)
}

fn spawn(
    objects: &Arc<Objects>,
    work: impl FnOnce(&Arc<Objects>) + Send + 'static,
) -> thread::JoinHandle<()> {
    let objects = Arc::clone(objects);
    thread::spawn(move || work(&objects))
}

/// A call that works on object 1, if it is there.
fn call(objects: &Arc<Objects>) {
    if let Ok(thing) = objects.get::<Thing>(1) {
        thing.work();
    }
}

/// All interleavings of a call with `DESTROY`: who is first wins, and what is destroyed is free
/// when `DESTROY` returns.
#[test]
fn destroy_against_a_call() {
    check_dfs(
        || {
            let (ctx, objects, freed) = one();
            let caller = spawn(&objects, call);
            match objects.destroy(&ctx, 1) {
                Ok(()) => assert!(freed.load(Ordering::SeqCst), "destroyed, yet not free"),
                Err(errno) => assert_eq!(errno, Errno::EBUSY),
            }
            caller.join().unwrap();
            let gone = freed.load(Ordering::SeqCst);
            assert_eq!(objects.get::<Thing>(1).is_err(), gone);
            assert_eq!(objects.destroy(&ctx, 1), if gone { Err(Errno::ENOENT) } else { Ok(()) });
            assert!(objects.is_empty());
            assert_eq!(*ctx.destroyed.lock().unwrap(), ["thing"]);
        },
        None,
    );
}

/// Two that destroy: one succeeds.
#[test]
fn destroy_against_destroy() {
    check_dfs(
        || {
            let (ctx, objects, _) = one();
            let other_ctx = Arc::clone(&ctx);
            let other = spawn(&objects, move |objects| {
                let _ = objects.destroy(&other_ctx, 1);
            });
            let _ = objects.destroy(&ctx, 1);
            other.join().unwrap();
            assert_eq!(*ctx.destroyed.lock().unwrap(), ["thing"]);
        },
        None,
    );
}

/// An owner that destroys waits for calls, and those that come later find nothing.
#[test]
fn an_owner_waits_for_calls() {
    check_random(
        || {
            let objects = Arc::<Objects>::default();
            let ctx = Ctx::default();
            let (thing, freed) = Thing::new("thing", None);
            let hold = objects.reserve().unwrap().publish_held(thing);
            let callers = [spawn(&objects, call), spawn(&objects, call)];
            assert_eq!(objects.destroy(&ctx, 1), Err(Errno::EBUSY));
            assert_eq!(objects.destroy_held(&ctx, hold, true), Ok(()));
            assert!(freed.load(Ordering::SeqCst));
            assert!(objects.get::<Thing>(1).is_err());
            callers.into_iter().for_each(|caller| caller.join().unwrap());
            assert_eq!(objects.reserve().unwrap().id(), 2, "the tombstone was given again");
        },
        SCHEDULES,
    );
}

/// While an owner waits for a call, no other begins; a call that repeats cannot keep it waiting.
#[test]
fn an_owner_that_waits_lets_no_call_begin() {
    check_random(
        || {
            let objects = Arc::<Objects>::default();
            let ctx = Ctx::default();
            let (thing, freed) = Thing::new("thing", None);
            let hold = objects.reserve().unwrap().publish_held(thing);
            let first = objects.get::<Thing>(1).unwrap();
            let caller = spawn(&objects, move |objects| {
                while let Ok(next) = objects.get::<Thing>(1) {
                    next.work();
                }
                assert!(objects.find::<Thing>(1).is_none() && objects.get_any(1).is_err());
                first.work();
            });
            assert_eq!(objects.destroy_held(&ctx, hold, false), Ok(()));
            assert!(freed.load(Ordering::SeqCst));
            caller.join().unwrap();
        },
        SCHEDULES,
    );
}

/// An owner that is not the only holder gives up, and calls find the object again.
#[test]
fn an_owner_that_gives_up_lets_calls_begin() {
    check_random(
        || {
            let objects = Arc::<Objects>::default();
            let ctx = Ctx::default();
            let (thing, freed) = Thing::new("thing", None);
            let hold = objects.reserve().unwrap().publish_held(thing);
            let other = hold.clone();
            let caller = spawn(&objects, call);
            assert_eq!(objects.destroy_held(&ctx, hold, false), Err(Errno::EBUSY));
            caller.join().unwrap();
            objects.get::<Thing>(1).unwrap().work();
            assert_eq!(objects.destroy_held(&ctx, other, false), Ok(()));
            assert!(freed.load(Ordering::SeqCst));
        },
        SCHEDULES,
    );
}

/// What must not change once an id was given: reserved, of an object or a tombstone.
#[test]
fn an_id_that_is_taken_keeps_the_table_in_use() {
    check_random(
        || {
            let objects = Arc::<Objects>::default();
            let ctx = Ctx::default();
            let changed = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&changed);
            let maker = spawn(&objects, move |objects| {
                let pending = objects.reserve().unwrap();
                let before = seen.load(Ordering::SeqCst);
                thread::yield_now();
                assert_eq!(seen.load(Ordering::SeqCst), before, "it changed with an id reserved");
                drop(pending);
            });
            let set = objects.if_unused(|| {
                thread::yield_now();
                changed.store(true, Ordering::SeqCst);
                Ok(())
            });
            assert_eq!(set.is_ok(), changed.load(Ordering::SeqCst));
            maker.join().unwrap();
            assert_eq!(objects.if_unused(|| Ok(())), Ok(()));
            let hold = objects.reserve().unwrap().publish_held(Thing::new("thing", None).0);
            assert_eq!(objects.if_unused(|| Ok(())), Err(Errno::EBUSY));
            objects.destroy_held(&ctx, hold, true).unwrap();
            assert!(objects.is_empty());
            assert_eq!(objects.if_unused(|| Ok(())), Err(Errno::EBUSY), "a tombstone is left");
        },
        SCHEDULES,
    );
}

/// What a call comes to depend on cannot be destroyed under it.
#[test]
fn destroy_against_a_new_dependent() {
    check_random(
        || {
            let (ctx, objects, freed) = one();
            let caller = spawn(&objects, |objects| {
                let Ok(parent) = objects.get::<Thing>(1) else { return };
                let hold = parent.hold();
                drop(parent);
                let pending = objects.reserve().unwrap();
                hold.work();
                pending.publish(Thing::new("child", Some(hold)).0);
            });
            let destroyed = objects.destroy(&ctx, 1).is_ok();
            caller.join().unwrap();
            assert_eq!(freed.load(Ordering::SeqCst), destroyed);
            if !destroyed {
                assert_eq!(objects.destroy(&ctx, 1), Err(Errno::EBUSY));
            }
            objects.teardown(&ctx);
            assert!(objects.is_empty() && freed.load(Ordering::SeqCst));
            let expected: &[_] = if destroyed { &["thing"] } else { &["child", "thing"] };
            assert_eq!(*ctx.destroyed.lock().unwrap(), expected);
        },
        SCHEDULES,
    );
}

/// An object nobody made on purpose goes with its last holder, whoever that is, and an id that is
/// reused meanwhile does not drag another object along.
#[test]
fn the_last_of_several_holders_destroys() {
    check_random(
        || {
            let objects = Arc::<Objects>::default();
            let ctx = Arc::<Ctx>::default();
            let (thing, freed) = Thing::new("auto", None);
            let hold = objects.reserve().unwrap().publish_held(thing);
            let other_hold = hold.clone();
            let other_ctx = Arc::clone(&ctx);
            let other = spawn(&objects, move |objects| objects.release_auto(&other_ctx, other_hold));
            let maker =
                spawn(&objects, |objects| objects.reserve().unwrap().publish(Thing::new("new", None).0));
            objects.release_auto(&ctx, hold);
            other.join().unwrap();
            maker.join().unwrap();
            assert!(freed.load(Ordering::SeqCst));
            assert_eq!(*ctx.destroyed.lock().unwrap(), ["auto"]);
        },
        SCHEDULES,
    );
}

/// Ids are different, and the lowest that are free.
#[test]
fn ids_given_at_once_differ() {
    check_random(
        || {
            let objects = Arc::<Objects>::default();
            let makers: Vec<_> = (0..3)
                .map(|_| {
                    spawn(&objects, |objects| objects.reserve().unwrap().publish(Thing::new("thing", None).0))
                })
                .collect();
            drop(objects.reserve().unwrap());
            makers.into_iter().for_each(|maker| maker.join().unwrap());
            let found = (1..=4).filter(|id| objects.get::<Thing>(*id).is_ok()).count();
            assert_eq!(found, 3);
        },
        SCHEDULES,
    );
}

#[test]
fn ids_are_the_lowest_free_and_reused() {
    check_dfs(
        || {
            let objects = Arc::<Objects>::default();
            let ctx = Ctx::default();
            let make = || {
                let pending = objects.reserve().unwrap();
                let id = pending.id();
                pending.publish(Thing::new("thing", None).0);
                id
            };
            assert_eq!([make(), make(), make()], [1, 2, 3]);
            objects.destroy(&ctx, 1).unwrap();
            objects.destroy(&ctx, 2).unwrap();
            assert_eq!([make(), make(), make()], [1, 2, 4]);
        },
        None,
    );
}
