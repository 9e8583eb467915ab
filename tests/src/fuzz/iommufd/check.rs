//! What must agree while processes run: where domains and accesses say that pages are.

use std::sync::{Arc, Mutex, PoisonError};

use devices::addr::{Iova, Pa};
use iommufd::errno::{Errno, Result};
use iommufd::file::File;
use iommufd::frames::Frames;
use iommufd::process::{Caller, Capabilities, Credentials, Extent, MmId, PinAccess, UserMemory};
use iommufd::span::Span;
use iommufd::uapi::Command;
use iommufd::uapi::test::{CheckMap, Operation, TestCmd};
use iommufd::{Access, AccessFlags, AccessOps, AccessRw, Ctx};
use zerocopy::IntoBytes;

use super::known::{Area, Known};
use super::world::{Context, World};
use crate::simulated::{Descriptors, PAGE};

/// Most of a mapping that is looked at.
const BYTES_MAX: u64 = 64 * PAGE;

/// Asserts of every mapping that is known: it is there, and where an access says that its pages are, there
/// every domain has it.
pub fn all(world: &World) {
    for Context { ctx, file, known } in &world.contexts {
        if let (Some(ctx), Some(file)) = (ctx.upgrade(), file.upgrade()) {
            for area in &known.areas {
                one(&world.host.frames, &ctx, &*file, known, *area);
            }
        }
    }
}

fn one(frames: &Arc<Frames>, ctx: &Arc<Ctx>, file: &dyn File, known: &Known, area: Area) {
    let bytes = area.span.bytes().min(BYTES_MAX);
    let iova = area.span.start;
    let Some(pinned) = Pinned::new(ctx, area.ioas, iova, bytes) else { return };
    let pages = Pages { argument: Mutex::default(), extents: extents(frames, &pinned.frames) };
    for (hwpt, ioas) in &known.hwpts {
        if *ioas == area.ioas {
            match pages.check(file, *hwpt, iova, bytes) {
                // It went when its last device left.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => panic!("HWPT {hwpt} at {iova:#x}, {bytes:#x} bytes: {errno}"),
            }
        }
    }
}

/// Asserts of a mapping that was just made: what an access sees there is what its maker has there.
pub fn fresh(world: &mut World, context: usize, ioas: u32, iova: u64, user: u64, bytes: u64) {
    let Some(ctx) = world.contexts.get(context).and_then(|context| context.ctx.upgrade()) else { return };
    let bytes = bytes.min(BYTES_MAX);
    let frames = Arc::clone(&world.host.frames);
    let memory = Arc::clone(&world.actor().process.memory);
    if let Ok(access) = Access::new(&ctx, Arc::new(Nobody), AccessFlags::default()) {
        let seen = access.attach(ioas).and_then(|()| {
            // Not above 64 pages.
            let mut seen = vec![0; bytes as usize];
            access.rw(Iova(iova), &mut seen, AccessRw::Read).map(|()| seen)
        });
        let mut there = vec![0; bytes as usize];
        match (seen, memory.read(user, &mut there)) {
            (Ok(seen), Ok(())) => assert!(seen == there, "{bytes:#x} bytes at {iova:#x} are others"),
            (Err(Errno::ENOENT), _) => panic!("nothing at {iova:#x} that was just mapped"),
            _ => {}
        }
    }
    let Some(pinned) = Pinned::new(&ctx, ioas, iova, bytes) else { return };
    let pages = Span { start: user / PAGE * PAGE, last: (user + (bytes - 1)) | (PAGE - 1) };
    if let Ok(there) = memory.pin(pages, PinAccess::Read) {
        let there = there.iter().map(|extent| (frames.find(extent), extent.bytes));
        let seen = extents(&frames, &pinned.frames);
        let seen = seen.iter().map(|extent| (frames.find(extent), extent.bytes));
        assert!(runs(there) == runs(seen), "{bytes:#x} bytes at {iova:#x} are elsewhere");
    }
}

/// Runs of frames joined where they touch.
fn runs(places: impl Iterator<Item = (Option<Pa>, u64)>) -> Vec<(Option<u64>, u64)> {
    let mut runs: Vec<(Option<u64>, u64)> = Vec::new();
    for (place, bytes) in places {
        let place = place.map(|Pa(place)| place);
        match runs.last_mut() {
            Some((start, before)) if place.is_some() && start.map(|start| start + *before) == place => {
                *before += bytes;
            }
            _ => runs.push((place, bytes)),
        }
    }
    runs
}

/// The memory behind frames.
fn extents(frames: &Frames, spans: &[Span]) -> Vec<Extent> {
    let extent = |span: &Span| {
        let found = frames.object_at(Pa(span.start));
        assert!(found.is_some(), "pinned, and nothing at {:#x}", span.start);
        found.map(|(object, offset)| Extent { object, offset, bytes: span.bytes() })
    };
    spans.iter().filter_map(extent).collect()
}

/// An access's pins, undone when dropped.
struct Pinned {
    access: Access,
    iova: u64,
    bytes: u64,
    frames: Vec<Span>,
}

impl Pinned {
    /// Pins; `None` where that may be refused.
    fn new(ctx: &Arc<Ctx>, ioas: u32, iova: u64, bytes: u64) -> Option<Self> {
        let access = Access::new(ctx, Arc::new(Nobody), AccessFlags { pins: true }).ok()?;
        // What is mapped may be less aligned than pins need.
        access.attach(ioas).ok()?;
        match access.pin(Iova(iova), bytes, AccessRw::Read) {
            Ok(frames) => Some(Self { access, iova, bytes, frames }),
            Err(Errno::ENOENT) => panic!("nothing at {iova:#x} of IOAS {ioas}, where something is mapped"),
            // The memory is gone or too much, or belongs to a device.
            Err(_) => None,
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.access.unpin(Iova(self.iova), self.bytes);
    }
}

/// One who is never asked to unpin: it never keeps a pin.
struct Nobody;

impl AccessOps for Nobody {
    fn unmap(&self, _: Span) {}
}

/// A caller whose memory is what an access has pinned, from [`Self::START`] on.
struct Pages {
    argument: Mutex<TestCmd>,
    extents: Vec<Extent>,
}

impl Pages {
    const START: u64 = 1 << 40;
    const ARGUMENT: u64 = 1 << 20;

    /// `IOMMU_TEST_OP_MD_CHECK_MAP`.
    fn check(self: &Pages, file: &dyn File, hwpt: u32, iova: u64, length: u64) -> Result<()> {
        let mut command = TestCmd { op: CheckMap::OP, id: hwpt, ..TestCmd::default() };
        command.size = size_of::<TestCmd>() as u32;
        command.set(&CheckMap { iova, length, uptr: Self::START });
        let memory: Arc<dyn UserMemory> =
            Arc::new(Self { argument: Mutex::new(command), extents: self.extents.clone() });
        let files = Descriptors::default();
        let credentials = Credentials { uid: 0, capabilities: Capabilities::empty(), memlock: 0 };
        let caller = Caller { memory: &memory, files: &files, credentials };
        file.ioctl(&caller, TestCmd::REQUEST, Self::ARGUMENT).map(|_| ())
    }
}

impl UserMemory for Pages {
    fn id(&self) -> MmId {
        MmId(u64::MAX)
    }

    fn read(&self, address: u64, data: &mut [u8]) -> Result<()> {
        let command = self.argument.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = address.checked_sub(Self::ARGUMENT).ok_or(Errno::EFAULT)? as usize;
        let bytes = command.as_bytes().get(offset..offset + data.len()).ok_or(Errno::EFAULT)?;
        data.copy_from_slice(bytes);
        Ok(())
    }

    fn write(&self, _: u64, _: &[u8]) -> Result<()> {
        Err(Errno::EFAULT)
    }

    fn pin(&self, pages: Span, _: PinAccess) -> Result<Vec<Extent>> {
        let mut start = Self::START;
        let mut found = Vec::new();
        for extent in &self.extents {
            if let Some(part) = Span::sized(start, extent.bytes)?.common(pages) {
                let offset = extent.offset + (part.start - start);
                found.push(Extent { object: Arc::clone(&extent.object), offset, bytes: part.bytes() });
            }
            start += extent.bytes;
        }
        if start <= pages.last { Err(Errno::EFAULT) } else { Ok(found) }
    }
}
