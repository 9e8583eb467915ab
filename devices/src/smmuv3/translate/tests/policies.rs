//! Caches of every policy, and caches that are saved.

use super::translation::cfgi_ste;
use super::*;
use crate::iommu::cache::Policy;

fn full(cache: Policy, seed: u64) -> Config {
    Config { cache, seed, ..config("smmuv3.3-full") }
}

/// A row of numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % end
    }
}

const SUBSTREAMS: u64 = 3;
const IPAS: u64 = 0x4321_0000;

/// What a nested stream's DMA comes to while software changes all there is and owes no invalidation.
fn well_behaved(config: Config) -> (Vec<Result<u64, Outcome>>, Vec<[u64; 4]>) {
    let mut rig = Rig::of(config);
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    let (_, root2) = rig.nested();
    let ste = [NESTED | CONTEXTS | 4 << 59, 2, s2_config(9), root2];
    rig.ste(STREAM, &ste);
    // Two trees of each substream, of which its CD names one.
    let roots: Vec<_> = (0..SUBSTREAMS).map(|_| [rig.table(), rig.table()]).collect();
    for (index, [root, _]) in (0..).zip(&roots) {
        rig.store(CONTEXTS + 64 * index, &[CD | (index + 1) << 48, *root, 0, 0xff]);
    }
    let (mut outcomes, mut events) = (Vec::new(), Vec::new());
    for _ in 0..400 {
        let index = numbers.below(SUBSTREAMS);
        let [one, other] = roots[index as usize];
        let page = numbers.below(4) * 0x1000;
        match numbers.below(6) {
            0 | 1 => {
                let leaf = IPAS + numbers.below(4) * 0x1000;
                // Absent, read only, or all there is; one in two is global.
                let bits = [0, PAGE | 1 << 7, PAGE, GLOBAL_PAGE | 1 << 7][numbers.below(4) as usize];
                let root = if numbers.below(2) == 0 { one } else { other };
                rig.map(root, page, if bits == 0 { 0 } else { leaf | bits });
                // The other substreams meet it if it is, or was, global.
                rig.commands(&[[0x13 | 9 << 32, page | 1]]);
            }
            2 => {
                let leaf = DATA + numbers.below(8) * 0x1000;
                let bits = [0, S2_PAGE, S2_PAGE & !(1 << 7)][numbers.below(3) as usize];
                rig.map(root2, IPAS + page, if bits == 0 { 0 } else { leaf | bits });
                rig.commands(&[[0x2a | 9 << 32, (IPAS + page) | 1], SYNC, [0x10 | 9 << 32, 0]]);
            }
            3 => {
                let root = if numbers.below(2) == 0 { one } else { other };
                rig.store(CONTEXTS + 64 * index + 8, &[root]);
                rig.commands(&[[0x05 | index << 12 | SID, 1], SYNC, [0x10 | 9 << 32, 0]]);
            }
            4 => {
                let invalid = rig.load(CONTEXTS + 64 * index) ^ 1 << 31;
                rig.store(CONTEXTS + 64 * index, &[invalid]);
                rig.commands(&[[0x05 | index << 12 | SID, 1]]);
            }
            _ => {
                let word = [ste[0], ste[0], BYPASS, 1, STAGE2][numbers.below(5) as usize];
                rig.ste(STREAM, &[word]);
                rig.commands(&[cfgi_ste(STREAM)]);
            }
        }
        // Global pages of one substream are the others' as well, so all start from nothing.
        rig.commands(&[[0x10 | 9 << 32, 0]]);
        for _ in 0..4 {
            let at = numbers.below(4) * 0x1000;
            let request = if index == 0 { Request::at(at) } else { substream(at, index as u32) };
            outcomes.push(rig.read_as(request).map(|word| word & !0xff));
            outcomes.push(match rig.atomic(request) {
                Outcome::Done => Ok(0),
                outcome => Err(outcome),
            });
            events.extend(std::iter::from_fn(|| rig.event()));
        }
    }
    (outcomes, events)
}

#[test]
fn no_policy_makes_a_difference_to_software_that_invalidates() {
    let retained = well_behaved(full(Policy::Retain, 0));
    let done = retained.0.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(done > 200 && retained.1.len() > 200, "{done} done, {} records", retained.1.len());
    for (policy, seed) in
        [(Policy::Off, 0), (Policy::Tiny, 0), (Policy::Adversarial, 1), (Policy::Adversarial, 0x5555)]
    {
        assert_eq!(well_behaved(full(policy, seed)), retained, "{policy:?}");
    }
}

/// Which of 64 reads of a page, whose descriptor has changed since it was cached, see the old one. Between
/// them the old descriptor is there again for other pages' sake: each read starts with it cached or not.
fn stale_reads(config: Config) -> Vec<bool> {
    let mut rig = Rig::of(config);
    let root = rig.stage1();
    let leaf = rig.map(root, 0x1000, DATA | PAGE);
    (0..64)
        .map(|_| {
            rig.store(leaf, &[DATA | PAGE]);
            rig.commands(&[[0x30, 0]]);
            rig.read(0x1000).unwrap();
            rig.store(leaf, &[(DATA + 0x1000) | PAGE]);
            rig.read(0x1000) == Ok(DATA)
        })
        .collect()
}

#[test]
fn what_was_not_invalidated_is_used_as_the_policy_says() {
    assert_eq!(stale_reads(full(Policy::Retain, 0)), [true; 64]);
    assert_eq!(stale_reads(full(Policy::Tiny, 0)), [true; 64]);
    assert_eq!(stale_reads(full(Policy::Off, 0)), [false; 64]);
    let one = stale_reads(full(Policy::Adversarial, 1));
    assert!(one.contains(&true) && one.contains(&false), "{one:?}");
    assert_eq!(stale_reads(full(Policy::Adversarial, 1)), one, "the seed decides");
    assert_ne!(stale_reads(full(Policy::Adversarial, 2)), one);
}

#[test]
fn a_tiny_tlb_forgets_what_it_has_no_room_for() {
    let mut rig = Rig::of(full(Policy::Tiny, 0));
    let root = rig.stage1();
    let leaf = rig.map(root, 0x1000, DATA | PAGE);
    assert_eq!(rig.read(0x1000), Ok(DATA));
    rig.store(leaf, &[(DATA + 0x1000) | PAGE]);
    for page in 2..6 {
        rig.map(root, page << 12, DATA | PAGE);
        assert_eq!(rig.read(page << 12), Ok(DATA));
    }
    assert_eq!(rig.read(0x1000), Ok(DATA + 0x1000));
}

#[test]
fn what_is_stale_stays_stale_in_a_unit_that_continues() {
    let mut rig = Rig::new();
    let (root1, root2) = rig.nested();
    let leaf1 = rig.map(root1, 0x1000, IPAS | PAGE);
    let leaf2 = rig.map(root2, IPAS, DATA | S2_PAGE);
    assert_eq!(rig.read(0x1000), Ok(DATA));
    rig.store(leaf1, &[0]);
    rig.store(leaf2, &[(DATA + 0x1000) | S2_PAGE]);
    rig.ste(STREAM, &[1]);
    rig.store(CONTEXTS, &[0]);
    rig.reborn(config("smmuv3.3-full"));
    assert_eq!(rig.read(0x1000), Ok(DATA));
    // Stage 1 from memory, the rest from the caches: STE, CD and IPA.
    rig.store(leaf1, &[IPAS | PAGE]);
    rig.commands(&[[0x10 | 9 << 32, 0]]);
    rig.reborn(config("smmuv3.3-full"));
    assert_eq!(rig.read(0x1000), Ok(DATA));
    rig.commands(&[[0x28 | 9 << 32, 0]]);
    assert_eq!(rig.read(0x1000), Ok(DATA + 0x1000));
    rig.commands(&[[0x04, 31]]);
    assert_eq!(rig.read(0x1000), Err(UR));
    assert_eq!(rig.event(), None);
}

#[test]
fn blocks_go_whole_in_a_unit_that_continues() {
    const BLOCK: u64 = 0x8000_0000;
    let mut rig = Rig::new();
    let root = rig.stage1();
    let page = rig.map(root, BLOCK, 0) & !0xfff;
    let at = (TABLES..rig.free).step_by(8).find(|at| rig.load(*at) == page | TABLE).unwrap();
    rig.store(at, &[DATA | PAGE & !2]);
    assert_eq!(rig.read(BLOCK + 0x3000), Ok(DATA + 0x3000));
    rig.store(at, &[(DATA + 0x20_0000) | PAGE & !2]);
    rig.reborn(config("smmuv3.3-full"));
    assert_eq!(rig.read(BLOCK + 0x3000), Ok(DATA + 0x3000));
    rig.commands(&[[0x12 | 7 << 48, BLOCK | 1]]);
    assert_eq!(rig.read(BLOCK + 0x3000), Ok(DATA + 0x20_3000));
}
