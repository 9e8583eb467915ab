//! Stage 2 [Arm ARM D8.2.5, D8.4.6]: from an intermediate physical address to a physical one.

use super::descriptor::{Layout, Stage2Descriptor, architected};
use super::hooks::{Hooks, Stage2Table};
use super::update::{self, ATTEMPTS, Updates, WriteBit, ordered};
use super::{Granule, Permissions, Stage2, WalkFault, Wanted, attributes, bounded};
use crate::addr::{Ipa, Pa};
use crate::iommu::walk::{Format as _, Steps, Stop, Table, Why, walk};
use crate::mem::{NotRam, PhysMem};
use crate::smmuv3::event::{Class, FaultKind, Stage, TranslationFault};

/// A page or block of stage 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage2Page {
    /// Its first byte.
    pub base: Pa,
    /// log2 of its bytes.
    pub size_bits: u32,
    /// What it permits; a page that is writable but clean has no write bits.
    pub permissions: Permissions,
    /// MemAttr, 4 bits, in the form that S2FWB says.
    pub memattr: u8,
    /// 0 non-shareable, 2 outer, 3 inner.
    pub shareability: u8,
}

impl Stage2Page {
    /// Where the byte of `ipa`, which is in the page, lies.
    #[inline]
    pub fn place(&self, ipa: Ipa) -> Pa {
        let inside = u64::MAX.checked_shl(self.size_bits).map_or(u64::MAX, |above| !above);
        Pa(self.base.0 | ipa.0 & inside)
    }
}

/// Stage 2 of a regime, ready to walk.
pub(super) struct Walker<'a> {
    mem: &'a PhysMem,
    stage2: &'a Stage2,
    layout: Layout,
    updates: Updates,
    /// Bits that no input may have.
    beyond: u64,
}

impl<'a> Walker<'a> {
    #[inline]
    pub fn new(mem: &'a PhysMem, stage2: &'a Stage2, wide: bool) -> Self {
        let Stage2 { granule, start_level, ds, output_bits, .. } = *stage2;
        // Clamped, the number of levels is 1 to 5.
        let top = (4 - start_level.clamp(-1, 3)).cast_unsigned();
        let updates = Updates::new(stage2.update, WriteBit::One);
        let beyond = u64::MAX.checked_shl(stage2.input_bits).unwrap_or(0);
        Self { mem, stage2, layout: Layout::new(granule, top, ds, wide, output_bits), updates, beyond }
    }

    /// S2FWB.
    #[inline]
    pub fn forced_write_back(&self) -> bool {
        self.stage2.forced_write_back
    }

    /// Translates `ipa`, which is needed for `class`.
    #[inline(always)]
    pub fn translate<H: Hooks>(
        &self,
        ipa: Ipa,
        wanted: Wanted,
        class: Class,
        hooks: &mut H,
    ) -> Result<Stage2Page, WalkFault> {
        if let Some(page) = hooks.ipa_lookup(ipa, class)
            && page.permissions.grant(wanted)
            && !self.keeps_out(page.memattr, class)
        {
            return Ok(page);
        }
        let page = self.walk(ipa, wanted, class, hooks)?;
        hooks.ipa_insert(ipa, class, &page);
        Ok(page)
    }

    /// Walks the tables, and updates the descriptor found. A copy for each use knows what it is for.
    #[inline(always)]
    fn walk<H: Hooks>(
        &self,
        ipa: Ipa,
        wanted: Wanted,
        class: Class,
        hooks: &mut H,
    ) -> Result<Stage2Page, WalkFault> {
        let Self { mem, stage2, layout, updates, beyond } = self;
        let fault = |kind| fault(kind, ipa, wanted, class);
        if ipa.0 & beyond != 0 {
            return Err(fault(FaultKind::Translation));
        }
        let root = Table::root(layout, stage2.table);
        let mut start = bounded(hooks.stage2_start(ipa, root), root);
        let mut attempts = ATTEMPTS;
        loop {
            let mut steps = Fetches { walker: self, ipa, hooks };
            let leaf = match walk(layout, start, ipa.0, &mut steps) {
                Ok(leaf) => leaf,
                Err(Stop { why: Why::Fetch(at), .. }) => {
                    return Err(WalkFault::Abort { stage: Stage::Two, class, at });
                }
                Err(Stop { why: Why::Absent, .. }) => return Err(fault(FaultKind::Translation)),
                Err(Stop { why: Why::Reserved, .. }) => return Err(fault(FaultKind::AddressSize)),
            };
            if !updates.accessible(leaf.entry) {
                return Err(fault(FaultKind::Access));
            }
            let descriptor = Stage2Descriptor::from_raw(leaf.entry);
            let memattr = descriptor.memattr();
            let clean = updates.clean(leaf.entry);
            let permitted = permissions(stage2, descriptor, clean);
            if self.keeps_out(memattr, class) || !permitted.grant(wanted) {
                return Err(fault(FaultKind::Permission));
            }
            let after = updates.after(leaf.entry, wanted.write);
            if H::UPDATES && after != leaf.entry {
                let abort = |NotRam| WalkFault::Abort { stage: Stage::Two, class, at: leaf.at };
                if !update::replace(mem, leaf.at, leaf.entry, after, stage2.big_endian).map_err(abort)? {
                    attempts -= 1;
                    if attempts == 0 {
                        return Err(abort(NotRam));
                    }
                    start = root;
                    continue;
                }
                hooks.updated(Stage::Two, leaf.at, after);
            }
            let size_bits = layout.page_bits(leaf.level);
            let fixed_shareability = stage2.ds && stage2.granule != Granule::K64;
            return Ok(Stage2Page {
                base: Pa(leaf.output.0 & (u64::MAX << size_bits)),
                size_bits,
                permissions: permitted.without_write_if(clean && !wanted.write),
                memattr,
                shareability: if fixed_shareability { stage2.shareability } else { descriptor.sh() },
            });
        }
    }

    /// S2PTW: what stage 1 is found by must not be Device memory.
    #[inline]
    fn keeps_out(&self, memattr: u8, class: Class) -> bool {
        class != Class::In
            && self.stage2.protected_walk
            && attributes::is_device(memattr, self.stage2.forced_write_back)
    }
}

/// The descriptors of one walk.
struct Fetches<'a, 'w, H> {
    walker: &'a Walker<'w>,
    ipa: Ipa,
    hooks: &'a mut H,
}

impl<H: Hooks> Steps<Layout> for Fetches<'_, '_, H> {
    /// Where no descriptor can be read.
    type Error = Pa;

    #[inline]
    fn fetch(&mut self, level: u32, at: Pa) -> Result<u64, Pa> {
        let raw = self.walker.mem.load64(at).map_err(|NotRam| at)?;
        let raw = ordered(raw, self.walker.stage2.big_endian);
        self.hooks.fetched(Stage::Two, architected(level), at, raw);
        Ok(raw)
    }

    #[inline]
    fn reached(&mut self, table: Stage2Table) {
        self.hooks.stage2_reached(self.ipa, table);
    }
}

/// What stage 2 permits [Arm ARM D8.4.6], with the write bit already set where a clean page only waits
/// for its first write.
#[inline]
pub(super) fn permissions(stage2: &Stage2, leaf: Stage2Descriptor, clean: bool) -> Permissions {
    const UNPRIVILEGED: u8 = Permissions::EXECUTE;
    const PRIVILEGED: u8 = Permissions::PRIV_EXECUTE;
    const ALL: u8 = UNPRIVILEGED | PRIVILEGED;
    const TWO_BITS: [u8; 4] = [ALL, UNPRIVILEGED, 0, PRIVILEGED];
    const ONE_BIT: [u8; 4] = [ALL, ALL, 0, 0];
    let execute = if stage2.xnx { &TWO_BITS } else { &ONE_BIT };
    // S2AP is in the order of the rights of either privilege.
    let data = leaf.s2ap() | if clean { Permissions::WRITE } else { 0 };
    // XN has two bits.
    Permissions::from_bits(data | data << 3 | execute[usize::from(leaf.xn())])
}

/// A fault of stage 2.
#[cold]
fn fault(kind: FaultKind, ipa: Ipa, wanted: Wanted, class: Class) -> WalkFault {
    let descriptor_read = kind == FaultKind::Permission && class == Class::Tt && !wanted.write;
    let stage = Stage::Two;
    WalkFault::Fault(TranslationFault { kind, stage, class, ipa: Some(ipa), descriptor_read })
}
