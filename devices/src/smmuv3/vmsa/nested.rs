//! Both stages together [SMMUv3 3.4; Arm ARM D8.2.1]: stage 1 fetches its descriptors through stage 2,
//! and stage 2 translates what stage 1 yields. Either may be absent, which maps every address to
//! itself.

use super::attributes::Attributes;
use super::descriptor::{Stage1Descriptor, architected};
use super::hooks::{Hooks, Stage1Table};
use super::stage1::{self, Limits};
use super::stage2;
use super::update::{self, ATTEMPTS, Updates, WriteBit, ordered};
use super::{Granule, Half, Mapping, Permissions, Regime, Stage1, WalkFault, Wanted, bounded};
use crate::addr::{Ipa, Pa};
use crate::iommu::walk::{Format as _, Leaf, Steps, Stop, Table, Why, walk};
use crate::mem::{NotRam, PhysMem};
use crate::smmuv3::event::{Class, FaultKind, Stage, TranslationFault};

/// A fetch of a stage-1 descriptor, or of a CD.
const FETCH: Wanted = Wanted { read: true, write: false, instruction: false, privileged: true };
/// An update of a stage-1 descriptor.
const UPDATE: Wanted = Wanted { write: true, ..FETCH };
/// Bits of the largest page there is, which an absent stage maps.
const WHOLE: u32 = 52;

/// Translates `input`, an address as the bus master presented it, or with stage 1 bypassed an IPA.
///
/// The caller has judged whether an IPA that comes from a bypass is in range [SMMUv3 3.4].
///
/// # Errors
/// The first fault in the order of [SMMUv3 7.3.22].
#[inline]
pub fn translate<H: Hooks>(
    mem: &PhysMem,
    regime: &Regime<'_>,
    input: u64,
    wanted: Wanted,
    hooks: &mut H,
) -> Result<Mapping, WalkFault> {
    let second = regime.stage2.map(|stage2| stage2::Walker::new(mem, stage2, regime.wide));
    let mut mapping = match regime.stage1 {
        Some(stage1) => {
            let mut first = First { mem, stage1, second: second.as_ref(), va: 0, hooks };
            first.translate(input, wanted, regime)?
        }
        None => Mapping {
            pa: Pa(input),
            size_bits: WHOLE,
            block_bits: WHOLE,
            ipa: Ipa(input),
            stage1: Permissions::ALL,
            stage2: Permissions::ALL,
            global: true,
            attributes: regime.incoming,
        },
    };
    if let Some(second) = &second {
        let page = second.translate(mapping.ipa, wanted, Class::In, hooks)?;
        mapping.pa = page.place(mapping.ipa);
        mapping.size_bits = mapping.size_bits.min(page.size_bits);
        if regime.stage1.is_none() {
            mapping.block_bits = page.size_bits;
        }
        mapping.stage2 = page.permissions;
        if H::ATTRIBUTES {
            let forced = second.forced_write_back();
            mapping.attributes = mapping.attributes.then(page.memattr, page.shareability, forced);
        }
    }
    Ok(mapping)
}

/// Translates the address of a CD or L1CD through stage 2: a privileged read of data, of [`Class::Cd`].
/// It may set the access flag, and never dirty state [SMMUv3 3.13.4].
///
/// # Errors
/// As [`translate`].
#[inline]
pub fn translate_ipa<H: Hooks>(
    mem: &PhysMem,
    regime: &Regime<'_>,
    ipa: Ipa,
    hooks: &mut H,
) -> Result<Pa, WalkFault> {
    match regime.stage2 {
        Some(stage2) => {
            let second = stage2::Walker::new(mem, stage2, regime.wide);
            Ok(second.translate(ipa, FETCH, Class::Cd, hooks)?.place(ipa))
        }
        None => Ok(Pa(ipa.0)),
    }
}

/// Stage 1 of one translation.
struct First<'a, H> {
    mem: &'a PhysMem,
    stage1: &'a Stage1,
    /// What its fetches go through.
    second: Option<&'a stage2::Walker<'a>>,
    /// See [`Hooks`].
    va: u64,
    hooks: &'a mut H,
}

impl<H: Hooks> First<'_, H> {
    /// What stage 1 makes of `input`; the result's `pa` is its `ipa`.
    #[inline]
    fn translate(&mut self, input: u64, wanted: Wanted, regime: &Regime<'_>) -> Result<Mapping, WalkFault> {
        let stage1 = self.stage1;
        let (half, va) =
            stage1::half_of(stage1, input, wanted.privileged).ok_or_else(|| fault(FaultKind::Translation))?;
        self.va = va;
        let tables = stage1::Tables::new(stage1, half, regime.wide);
        let root = Table::root(&tables, Ipa(half.table));
        let mut start = bounded(self.hooks.stage1_start(va, root), root);
        // The range check left at most 55 bits that are not copies of bit 55.
        let input = va & !(u64::MAX << half.input_bits.min(55));
        let updates = Updates::new(stage1.update, WriteBit::Zero);
        let mut attempts = ATTEMPTS;
        loop {
            let leaf = match walk(&tables, start, input, self) {
                Ok(leaf) => leaf,
                Err(Stop { why: Why::Fetch(fault), .. }) => return Err(fault),
                Err(Stop { why: Why::Absent, .. }) => return Err(fault(FaultKind::Translation)),
                Err(Stop { why: Why::Reserved, .. }) => return Err(fault(FaultKind::AddressSize)),
            };
            if !updates.accessible(leaf.entry) {
                return Err(fault(FaultKind::Access));
            }
            let descriptor = Stage1Descriptor::from_raw(leaf.entry);
            let clean = updates.clean(leaf.entry);
            let permitted = stage1::permissions(stage1, descriptor, leaf.rights, clean);
            if !permitted.grant(wanted) {
                return Err(fault(FaultKind::Permission));
            }
            let after = updates.after(leaf.entry, wanted.write);
            if after != leaf.entry && !self.update(&leaf, after)? {
                attempts -= 1;
                if attempts == 0 {
                    return Err(abort(self.place(leaf.at, UPDATE)?));
                }
                start = root;
                continue;
            }
            let attributes =
                if H::ATTRIBUTES { attributes(stage1, half, descriptor) } else { regime.incoming };
            return Ok(Mapping {
                pa: Pa(leaf.output.0),
                size_bits: tables.page_bits(leaf.level),
                block_bits: tables.page_bits(leaf.level),
                ipa: leaf.output,
                // What is granted may be cached, and unprivileged accesses meet the cache before E0PDx.
                stage1: permitted
                    .without_write_if(clean && !wanted.write)
                    .without_unprivileged_if(half.no_unprivileged && !stage1.single),
                stage2: Permissions::ALL,
                // Without ASIDs there is nothing that a page could be global to.
                global: stage1.single || !descriptor.ng(),
                attributes,
            });
        }
    }

    /// Where a descriptor lies, for a use that stage 2 must permit.
    #[inline(always)]
    fn place(&mut self, at: Ipa, wanted: Wanted) -> Result<Pa, WalkFault> {
        match self.second {
            Some(second) => Ok(second.translate(at, wanted, Class::Tt, self.hooks)?.place(at)),
            None => Ok(Pa(at.0)),
        }
    }

    /// Writes `after` to where the descriptor of `leaf` was found; false where it has changed meanwhile.
    /// Stage 2 has to permit the write, and takes note of it.
    #[cold]
    fn update(&mut self, leaf: &Leaf<Limits, Ipa>, after: u64) -> Result<bool, WalkFault> {
        let at = self.place(leaf.at, UPDATE)?;
        if !H::UPDATES {
            return Ok(true);
        }
        let replaced = update::replace(self.mem, at, leaf.entry, after, self.stage1.big_endian);
        let replaced = replaced.map_err(|NotRam| abort(at))?;
        if replaced {
            self.hooks.updated(Stage::One, at, after);
        }
        Ok(replaced)
    }
}

impl<H: Hooks> Steps<stage1::Tables> for First<'_, H> {
    type Error = WalkFault;

    #[inline]
    fn fetch(&mut self, level: u32, at: Ipa) -> Result<u64, WalkFault> {
        let at = self.place(at, FETCH)?;
        let raw = self.mem.load64(at).map_err(|NotRam| abort(at))?;
        let raw = ordered(raw, self.stage1.big_endian);
        self.hooks.fetched(Stage::One, architected(level), at, raw);
        Ok(raw)
    }

    #[inline]
    fn reached(&mut self, table: Stage1Table) {
        self.hooks.stage1_reached(self.va, table);
    }
}

/// What stage 1 makes of a page: MAIR by AttrIndx, and SH.
#[inline]
fn attributes(stage1: &Stage1, half: &Half, descriptor: Stage1Descriptor) -> Attributes {
    let fixed_shareability = stage1.ds && half.granule != Granule::K64;
    let shareability = if fixed_shareability { half.shareability } else { descriptor.sh() };
    // AttrIndx has 3 bits.
    let memory = stage1.mair.to_le_bytes()[usize::from(descriptor.attrindx())];
    Attributes::from_mair(memory, shareability)
}

/// A fault of stage 1.
#[cold]
fn fault(kind: FaultKind) -> WalkFault {
    let (stage, class) = (Stage::One, Class::In);
    WalkFault::Fault(TranslationFault { kind, stage, class, ipa: None, descriptor_read: false })
}

/// A stage-1 descriptor that cannot be read or written.
#[cold]
fn abort(at: Pa) -> WalkFault {
    WalkFault::Abort { stage: Stage::One, class: Class::Tt, at }
}
