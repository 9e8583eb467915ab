//! The cache on one thread; what several threads make of it is in `tests/protocol`.

use super::cache::{Cache, Policy};

#[test]
fn entries_stay_until_dropped_or_evicted() {
    let cache = Cache::<1>::new(8, Policy::Retain, 0);
    assert_eq!(cache.sets(), 2);
    for key in 0..5 {
        cache.insert(cache.ticket(), 0, key, [key * 10]);
    }
    assert_eq!(cache.lookup(0, 0), None, "the fifth entry of a set evicts the first");
    assert_eq!((1..5).filter_map(|key| cache.lookup(0, key)).count(), 4);
    cache.insert(cache.ticket(), 0, 4, [99]);
    assert_eq!((cache.lookup(0, 4), cache.len()), (Some([99]), 4), "an insert replaces its key");
    cache.insert(cache.ticket(), 1, 7, [70]);
    cache.invalidate_set(0, |key, _| key == 4);
    assert_eq!((cache.lookup(0, 4), cache.lookup(1, 7)), (None, Some([70])));
    cache.invalidate(|_, data| data[0] == 70);
    assert_eq!((cache.lookup(1, 7), cache.len()), (None, 3));
}

#[test]
fn a_fill_that_began_before_an_invalidation_is_refused() {
    let cache = Cache::<1>::new(8, Policy::Retain, 0);
    let ticket = cache.ticket();
    cache.invalidate_set(1, |_, _| false);
    cache.insert(ticket, 0, 1, [10]);
    assert!(cache.is_empty());
    cache.insert(cache.ticket(), 0, 1, [10]);
    assert_eq!(cache.lookup(0, 1), Some([10]));
}

#[test]
fn policies_differ_in_what_they_keep() {
    for (policy, kept) in [(Policy::Retain, 64..=64), (Policy::Tiny, 4..=4), (Policy::Off, 0..=0)] {
        let cache = Cache::<1>::new(64, policy, 1);
        (0..64).for_each(|key| cache.insert(cache.ticket(), key, key, [key]));
        assert!(kept.contains(&cache.len()), "{policy:?} keeps {}", cache.len());
    }
    let cache = Cache::<1>::new(64, Policy::Adversarial, 1);
    let mut hits = 0;
    for key in 0..1000 {
        cache.insert(cache.ticket(), key, key, [key]);
        hits += usize::from(cache.lookup(key, key).is_some());
    }
    assert!((400..700).contains(&hits), "{hits} hits; three quarters of three quarters are due");
}

#[test]
fn a_restored_cache_continues_as_the_saved_one() {
    let run = |cache: &Cache<2>| -> Vec<bool> {
        (100..400)
            .map(|key| {
                cache.insert(cache.ticket(), key, key, [key, 0]);
                cache.lookup(key - 3, key - 3).is_some()
            })
            .collect()
    };
    for seed in 0..8 {
        let cache = Cache::<2>::new(16, Policy::Adversarial, seed);
        (0..100).for_each(|key| cache.insert(cache.ticket(), key, key, [key, 1]));
        let state = cache.save();
        let other = Cache::<2>::new(16, Policy::Adversarial, 7);
        other.restore(&serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap());
        assert_eq!(other.save(), state);
        assert_eq!(run(&cache), run(&other));
    }
}
