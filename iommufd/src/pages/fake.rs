//! A process, its memory and a domain, just enough to test what maps one into the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use devices::addr::{Iova, PAGE_SIZE, Pa};
use vm_memory::MmapRegion;

use super::dmabuf::{DmaBuf, Importer};
use crate::driver::{PagingDomain, Protection};
use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::file::File;
use crate::frames::PhysicalSpace;
use crate::process::{
    Caller, Capabilities, Credentials, Extent, FileTable, MemoryFile, MemoryObject, MmId, ObjectKey,
    PinAccess, UserMemory,
};
use crate::span::Span;
use crate::sync::lock;
use crate::uapi::Command;

static NEXT: AtomicU64 = AtomicU64::new(1);

fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Memory in a vector.
pub(crate) struct FakeObject {
    key: u64,
    bytes: u64,
    phase: u64,
    data: Mutex<Vec<u8>>,
}

impl FakeObject {
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        Self::build(bytes, 0, bytes)
    }

    pub(crate) fn with_phase(bytes: u64, phase: u64) -> Arc<Self> {
        Self::build(bytes, phase, bytes)
    }

    /// One that says it is large, and has no memory.
    pub(crate) fn sized_only(bytes: u64) -> Arc<dyn MemoryObject> {
        Self::build(bytes, 0, 0)
    }

    fn build(bytes: u64, phase: u64, backed: u64) -> Arc<Self> {
        let data = Mutex::new(vec![0; usize::try_from(backed).expect("small")]);
        Arc::new(Self { key: next(), bytes, phase, data })
    }
}

impl MemoryObject for FakeObject {
    fn key(&self) -> ObjectKey {
        ObjectKey(self.key)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn phase(&self) -> u64 {
        self.phase
    }

    fn page_bytes(&self) -> u64 {
        PAGE_SIZE
    }

    fn read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        let memory = lock(&self.data);
        let start = usize::try_from(offset).map_err(|_| Errno::EFAULT)?;
        data.copy_from_slice(memory.get(start..start + data.len()).ok_or(Errno::EFAULT)?);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut memory = lock(&self.data);
        let start = usize::try_from(offset).map_err(|_| Errno::EFAULT)?;
        memory.get_mut(start..start + data.len()).ok_or(Errno::EFAULT)?.copy_from_slice(data);
        Ok(())
    }

    fn mapping(&self) -> Option<Arc<MmapRegion>> {
        None
    }
}

impl MemoryFile for Arc<FakeObject> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn pin(&self, pages: Span, _access: PinAccess) -> Result<Vec<Extent>> {
        let object: Arc<dyn MemoryObject> = self.clone();
        Ok(vec![Extent { object, offset: pages.start, bytes: pages.bytes() }])
    }
}

#[derive(Clone)]
struct Vma {
    last: u64,
    object: Arc<FakeObject>,
    offset: u64,
    writable: bool,
}

/// An address space.
pub(crate) struct FakeMemory {
    id: MmId,
    vmas: Mutex<BTreeMap<u64, Vma>>,
}

impl FakeMemory {
    pub(crate) fn map(&self, address: u64, object: &Arc<FakeObject>, writable: bool) {
        self.map_part(address, object, 0, object.bytes, writable);
    }

    pub(crate) fn map_part(
        &self,
        address: u64,
        object: &Arc<FakeObject>,
        offset: u64,
        bytes: u64,
        writable: bool,
    ) {
        let vma = Vma { last: address + (bytes - 1), object: Arc::clone(object), offset, writable };
        lock(&self.vmas).insert(address, vma);
    }

    pub(crate) fn unmap_all(&self) {
        lock(&self.vmas).clear();
    }

    /// What lies behind `bytes` from `address` on.
    fn behind(&self, address: u64, bytes: usize, write: bool) -> Result<Vec<Extent>> {
        match Span::sized(address, bytes as u64) {
            Ok(span) => self.parts(span, write),
            Err(Errno::EINVAL) => Ok(Vec::new()),
            Err(_) => Err(Errno::EFAULT),
        }
    }

    fn parts(&self, bytes: Span, write: bool) -> Result<Vec<Extent>> {
        let vmas = lock(&self.vmas);
        let mut parts: Vec<Extent> = Vec::new();
        let mut at = bytes.start;
        loop {
            let (start, vma) = vmas.range(..=at).next_back().ok_or(Errno::EFAULT)?;
            if vma.last < at || (write && !vma.writable) {
                return Err(Errno::EFAULT);
            }
            let last = vma.last.min(bytes.last);
            let object: Arc<dyn MemoryObject> = vma.object.clone();
            parts.push(Extent { object, offset: vma.offset + (at - start), bytes: last - at + 1 });
            if last == bytes.last {
                return Ok(parts);
            }
            at = last + 1;
        }
    }
}

impl UserMemory for FakeMemory {
    fn id(&self) -> MmId {
        self.id
    }

    fn read(&self, address: u64, data: &mut [u8]) -> Result<()> {
        let mut done = 0;
        for part in self.behind(address, data.len(), false)? {
            let bytes = usize::try_from(part.bytes).expect("small");
            part.object.read(part.offset, &mut data[done..done + bytes])?;
            done += bytes;
        }
        Ok(())
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<()> {
        let mut done = 0;
        for part in self.behind(address, data.len(), true)? {
            let bytes = usize::try_from(part.bytes).expect("small");
            part.object.write(part.offset, &data[done..done + bytes])?;
            done += bytes;
        }
        Ok(())
    }

    fn pin(&self, pages: Span, access: PinAccess) -> Result<Vec<Extent>> {
        self.parts(pages, access == PinAccess::Write)
    }
}

/// Descriptors of files and of memory.
#[derive(Default)]
pub(crate) struct FakeFiles {
    files: Mutex<BTreeMap<i32, Arc<dyn File>>>,
    memory: Mutex<BTreeMap<i32, Arc<FakeObject>>>,
}

impl FakeFiles {
    pub(crate) fn put(&self, fd: i32, file: Arc<dyn File>) {
        lock(&self.files).insert(fd, file);
    }

    pub(crate) fn put_memory(&self, fd: i32, memory: &Arc<FakeObject>) {
        lock(&self.memory).insert(fd, Arc::clone(memory));
    }
}

impl FileTable for FakeFiles {
    fn reserve(&self) -> Result<i32> {
        Err(Errno::EMFILE)
    }

    fn install(&self, _fd: i32, _file: Arc<dyn File>) {}

    fn release(&self, _fd: i32) {}

    fn file(&self, fd: i32) -> Result<Option<Arc<dyn File>>> {
        match lock(&self.files).get(&fd) {
            Some(file) => Ok(Some(Arc::clone(file))),
            None if lock(&self.memory).contains_key(&fd) => Ok(None),
            None => Err(Errno::EBADF),
        }
    }

    fn memory_file(&self, fd: i32) -> Result<Arc<dyn MemoryFile>> {
        let memory = lock(&self.memory).get(&fd).cloned().ok_or(Errno::EBADF)?;
        Ok(Arc::new(memory))
    }
}

/// A process with memory of its own at [`Self::BUFFER`].
pub(crate) struct FakeProcess {
    pub(crate) memory: Arc<FakeMemory>,
    shared: Arc<dyn UserMemory>,
    pub(crate) files: FakeFiles,
    pub(crate) credentials: Credentials,
    pub(crate) buffer: Arc<FakeObject>,
}

impl FakeProcess {
    pub(crate) const BUFFER: u64 = 0x7f00_0000_0000;
    /// Where [`Self::ioctl`] puts arguments; a page.
    pub(crate) const ARGUMENTS: u64 = 0x10_0000;
    /// A page for what arguments point to.
    pub(crate) const SCRATCH: u64 = 0x20_0000;

    /// With a buffer of `pages`.
    pub(crate) fn new(pages: u64) -> Self {
        let memory = Arc::new(FakeMemory { id: MmId(next()), vmas: Mutex::default() });
        let buffer = FakeObject::new(pages * PAGE_SIZE);
        memory.map(Self::BUFFER, &buffer, true);
        memory.map(Self::ARGUMENTS, &FakeObject::new(PAGE_SIZE), true);
        memory.map(Self::SCRATCH, &FakeObject::new(PAGE_SIZE), true);
        let credentials = Credentials { uid: 1000, capabilities: Capabilities::empty(), memlock: u64::MAX };
        Self { shared: memory.clone(), memory, files: FakeFiles::default(), credentials, buffer }
    }

    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller { memory: &self.shared, files: &self.files, credentials: self.credentials }
    }

    /// Makes an ioctl whose argument begins with its size, which is filled in, and takes the answer.
    pub(crate) fn ioctl<T: Command>(&self, file: &dyn File, args: &mut T) -> Result<i64> {
        let mut bytes = args.as_bytes().to_vec();
        let size = u32::try_from(bytes.len()).expect("small").to_ne_bytes();
        bytes[..4].copy_from_slice(&size);
        self.memory.write(Self::ARGUMENTS, &bytes)?;
        let result = file.ioctl(&self.caller(), T::REQUEST, Self::ARGUMENTS);
        self.memory.read(Self::ARGUMENTS, args.as_mut_bytes())?;
        result
    }

    /// How often the page of the buffer is pinned.
    pub(crate) fn pins(&self, host: &crate::Host, page: u64) -> u32 {
        let object: Arc<dyn MemoryObject> = self.buffer.clone();
        host.frames.pins(&object, page * PAGE_SIZE)
    }

    /// Where the byte of the buffer is in physical memory.
    pub(crate) fn physical(&self, host: &crate::Host, offset: u64) -> Option<Pa> {
        let page = offset / PAGE_SIZE * PAGE_SIZE;
        let object: Arc<dyn MemoryObject> = self.buffer.clone();
        let pa = host.frames.find(&Extent { object, offset: page, bytes: PAGE_SIZE })?;
        Some(Pa(pa.0 + offset % PAGE_SIZE))
    }
}

/// What one call mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) iova: Span,
    pub(crate) pa: u64,
    pub(crate) protection: Protection,
    pub(crate) large: bool,
}

/// A domain that notes calls, and panics at those which break its contract.
pub(crate) struct FakeDomain {
    aperture: Span,
    page_sizes: u64,
    mappings: Mutex<BTreeMap<u64, Mapping>>,
    /// Unmapped since the last sync.
    stale: AtomicBool,
}

impl FakeDomain {
    pub(crate) fn new(aperture: Span, page_sizes: u64) -> Arc<Self> {
        Arc::new(Self { aperture, page_sizes, mappings: Mutex::default(), stale: AtomicBool::new(false) })
    }

    /// Every IOVA, pages of 2 KiB and more, as the kernel's mock has.
    pub(crate) fn everywhere() -> Arc<Self> {
        Self::new(Span::ALL, !(2048 - 1))
    }

    /// Whether something was unmapped since the last sync.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// What each call mapped, in order of IOVA.
    pub(crate) fn mappings(&self) -> Vec<Mapping> {
        lock(&self.mappings).values().copied().collect()
    }

    pub(crate) fn mapped_bytes(&self) -> u64 {
        self.mappings().iter().map(|mapping| mapping.iova.bytes()).sum()
    }
}

impl PagingDomain for FakeDomain {
    fn aperture(&self) -> Span {
        self.aperture
    }

    fn page_sizes(&self) -> u64 {
        self.page_sizes
    }

    fn map(&self, iova: Iova, pa: Pa, bytes: u64, protection: Protection, large: bool) -> Result<()> {
        fault_point(Errno::ENOMEM)?;
        let smallest = 1 << self.page_sizes.trailing_zeros();
        assert_eq!((iova.0 | pa.0 | bytes) % smallest, 0, "{iova} {pa} {bytes:#x} is whole pages");
        let span = Span::sized(iova.0, bytes).expect("within the space");
        assert!(self.aperture.covers(span), "{span:x?} is in the aperture");
        let mut mappings = lock(&self.mappings);
        let before = mappings.range(..=span.last).next_back();
        assert!(before.is_none_or(|(_, mapping)| !mapping.iova.meets(span)), "{span:x?} is not mapped");
        mappings.insert(span.start, Mapping { iova: span, pa: pa.0, protection, large });
        Ok(())
    }

    fn unmap(&self, span: Span) {
        self.stale.store(true, Ordering::Relaxed);
        let mut mappings = lock(&self.mappings);
        while let Some((&start, &mapping)) = mappings.range(..=span.last).next_back()
            && mapping.iova.meets(span)
        {
            mappings.remove(&start);
            let covered = span.covers(mapping.iova);
            assert!(covered || !mapping.large, "{span:x?} cuts {mapping:x?}");
            if mapping.iova.last > span.last {
                let rest = Span { start: span.last + 1, last: mapping.iova.last };
                let pa = mapping.pa + (rest.start - start);
                mappings.insert(rest.start, Mapping { iova: rest, pa, ..mapping });
            }
            if start < span.start {
                let rest = Span { start, last: span.start - 1 };
                mappings.insert(start, Mapping { iova: rest, ..mapping });
            }
        }
    }

    fn sync(&self) {
        self.stale.store(false, Ordering::Relaxed);
    }

    fn iova_to_phys(&self, iova: Iova) -> Option<Pa> {
        let mappings = lock(&self.mappings);
        let (_, mapping) = mappings.range(..=iova.0).next_back()?;
        mapping.iova.contains(iova.0).then(|| Pa(mapping.pa + (iova.0 - mapping.iova.start)))
    }
}

/// Shows what is plugged.
#[derive(Default)]
pub(crate) struct RecordedSpace {
    shown: Mutex<BTreeMap<u64, u64>>,
    refuses: AtomicBool,
}

impl RecordedSpace {
    pub(crate) fn shown(&self) -> Vec<(u64, u64)> {
        lock(&self.shown).iter().map(|(base, bytes)| (*base, *bytes)).collect()
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }
}

impl PhysicalSpace for RecordedSpace {
    fn plug(&self, base: Pa, object: &Arc<dyn MemoryObject>) -> Result<()> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(Errno::ENOMEM);
        }
        assert_eq!(lock(&self.shown).insert(base.0, object.bytes()), None);
        Ok(())
    }

    fn unplug(&self, base: Pa) {
        assert!(lock(&self.shown).remove(&base.0).is_some());
    }
}

/// Device memory.
pub(crate) struct FakeDmaBuf {
    bytes: u64,
    base: Pa,
    revoked: AtomicBool,
    importers: Mutex<Vec<std::sync::Weak<dyn Importer>>>,
}

impl FakeDmaBuf {
    pub(crate) fn new(base: u64, bytes: u64) -> Arc<Self> {
        Arc::new(Self { bytes, base: Pa(base), revoked: AtomicBool::new(false), importers: Mutex::default() })
    }

    pub(crate) fn revoke(&self, revoked: bool) {
        self.revoked.store(revoked, Ordering::SeqCst);
        let importers = lock(&self.importers).clone();
        if revoked {
            importers.iter().filter_map(std::sync::Weak::upgrade).for_each(|importer| importer.revoked());
        }
    }
}

impl DmaBuf for FakeDmaBuf {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn phys(&self) -> Option<Pa> {
        (!self.revoked.load(Ordering::SeqCst)).then_some(self.base)
    }

    fn attach(&self, importer: std::sync::Weak<dyn Importer>) {
        lock(&self.importers).push(importer);
    }
}
