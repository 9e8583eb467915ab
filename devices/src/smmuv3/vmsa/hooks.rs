//! What a walk tells its caller, and asks of the caller's caches.

use super::stage1::Limits;
use super::stage2::Stage2Page;
use crate::addr::{Ipa, Pa};
use crate::iommu::walk::Table;
use crate::smmuv3::event::{Class, Stage};

/// A stage-1 table on the way to a page. Levels are the walker's: 1 is the Arm ARM's level 3.
pub type Stage1Table = Table<Limits, Ipa>;
/// A stage-2 table on the way to a page.
pub type Stage2Table = Table<(), Pa>;

/// What a walk has to do with the world around it. What is not written does nothing and costs nothing;
/// `()` watches nothing and caches nothing.
///
/// `va` is the input address of stage 1 with bit 55 in the bits above it, so that an ignored top byte
/// makes no difference.
pub trait Hooks {
    /// Memory is updated. Without, a walk that looks only ends as if it had been.
    const UPDATES: bool = true;
    /// Memory attributes are asked for. Without, a mapping has those that the transaction came with.
    const ATTRIBUTES: bool = true;

    /// A descriptor was fetched. `level` is the Arm ARM's, -1 to 3; `descriptor` is in the unit's byte
    /// order.
    #[inline]
    fn fetched(&mut self, stage: Stage, level: i32, at: Pa, descriptor: u64) {
        let _ = (stage, level, at, descriptor);
    }

    /// The descriptor at `at` was updated to `descriptor`.
    #[inline]
    fn updated(&mut self, stage: Stage, at: Pa, descriptor: u64) {
        let _ = (stage, at, descriptor);
    }

    /// Where the walk for `va` may start: `root`, or a table below it.
    #[inline]
    fn stage1_start(&mut self, va: u64, root: Stage1Table) -> Stage1Table {
        let _ = va;
        root
    }

    /// The walk for `va` has come to `table`.
    #[inline]
    fn stage1_reached(&mut self, va: u64, table: Stage1Table) {
        let _ = (va, table);
    }

    /// Where the walk for `ipa` may start: `root`, or a table below it.
    #[inline]
    fn stage2_start(&mut self, ipa: Ipa, root: Stage2Table) -> Stage2Table {
        let _ = ipa;
        root
    }

    /// The walk for `ipa` has come to `table`.
    #[inline]
    fn stage2_reached(&mut self, ipa: Ipa, table: Stage2Table) {
        let _ = (ipa, table);
    }

    /// What stage 2 made of the page of `ipa`. One that does not permit what it is needed for is not
    /// used, and the tables are walked.
    #[inline]
    fn ipa_lookup(&mut self, ipa: Ipa, class: Class) -> Option<Stage2Page> {
        let _ = (ipa, class);
        None
    }

    /// What stage 2 makes of the page of `ipa`, found in the tables.
    #[inline]
    fn ipa_insert(&mut self, ipa: Ipa, class: Class, page: &Stage2Page) {
        let _ = (ipa, class, page);
    }
}

impl Hooks for () {}
