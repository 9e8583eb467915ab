//! A host, a driver and a process for the tests of everything that has to do with devices.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use devices::addr::{Iova, Pa};
use vm_memory::MmapRegion;
use zerocopy::{Immutable, IntoBytes};

use super::{BoundDevice, GroupId, PhysicalDevice};
use crate::ctx::Iommufd;
use crate::driver::*;
use crate::errno::{Errno, Result};
use crate::file::File;
use crate::frames::Frames;
use crate::host::{Host, Options};
use crate::process::*;
use crate::span::Span;
use crate::sync::lock;
use crate::uapi;
use crate::user_data::{UserArray, UserData};

pub(crate) const VIOMMU: u32 = 7;
pub(crate) const NESTED: u32 = 8;
pub(crate) const QUEUE: u32 = 9;
pub(crate) const HW_INFO: u32 = 10;
pub(crate) const EVENTS: u32 = 11;

/// What the driver was told, as text, and what it does when told.
#[derive(Default)]
pub(crate) struct FakeDriver {
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    pub(crate) caps: Mutex<DeviceCaps>,
    pub(crate) reserved: Mutex<Vec<ReservedRegion>>,
    /// The device that refuses to be attached, and how.
    pub(crate) refuses: Mutex<Option<(String, Errno)>>,
    pub(crate) user_pasid_table: Mutex<bool>,
    pub(crate) units: Mutex<BTreeMap<String, u32>>,
    /// The device that cannot be blocked.
    pub(crate) unblockable: Mutex<Option<String>>,
    /// Called when a page request is answered.
    pub(crate) on_response: Mutex<Option<Box<dyn Fn() + Send>>>,
    events: Mutex<Option<Weak<dyn DriverEvents>>>,
    domains: Mutex<Vec<Weak<FakeDomain>>>,
}

impl FakeDriver {
    /// What was told since the last look.
    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.log))
    }

    pub(crate) fn events(&self) -> Arc<dyn DriverEvents> {
        lock(&self.events).as_ref().and_then(Weak::upgrade).unwrap()
    }

    /// Domains that exist, the oldest first.
    pub(crate) fn domains(&self) -> Vec<Arc<FakeDomain>> {
        lock(&self.domains).iter().filter_map(Weak::upgrade).collect()
    }

    fn say(&self, line: String) {
        lock(&self.log).push(line);
    }
}

/// What is mapped, by page, and which of it is dirty.
#[derive(Default)]
pub(crate) struct FakeDomain {
    number: usize,
    pub(crate) mapped: Mutex<BTreeMap<u64, u64>>,
    /// Written ranges, as leaves; `None` where tracking is off.
    pub(crate) dirty: Mutex<Option<Vec<Span>>>,
    tracks: bool,
}

impl PagingDomain for FakeDomain {
    fn aperture(&self) -> Span {
        Span { start: 0, last: (1 << 48) - 1 }
    }

    fn page_sizes(&self) -> u64 {
        4096
    }

    fn map(&self, iova: Iova, pa: Pa, bytes: u64, _protection: Protection, _large: bool) -> Result<()> {
        crate::fault_point::fault_point(Errno::ENOMEM)?;
        let mut mapped = lock(&self.mapped);
        for offset in (0..bytes).step_by(4096) {
            mapped.insert(iova.0 + offset, pa.0 + offset);
        }
        Ok(())
    }

    fn unmap(&self, span: Span) {
        lock(&self.mapped).retain(|iova, _| !span.contains(*iova));
    }

    fn sync(&self) {}

    fn iova_to_phys(&self, iova: Iova) -> Option<Pa> {
        let offset = iova.0 % 4096;
        lock(&self.mapped).get(&(iova.0 - offset)).map(|pa| Pa(pa + offset))
    }

    fn dirty(&self) -> Option<&dyn DirtyTracking> {
        if self.tracks { Some(self) } else { None }
    }

    fn enforce_cache_coherency(&self) -> bool {
        true
    }
}

impl DirtyTracking for FakeDomain {
    fn set(&self, on: bool) -> Result<()> {
        *lock(&self.dirty) = on.then(Vec::new);
        Ok(())
    }

    fn enabled(&self) -> bool {
        lock(&self.dirty).is_some()
    }

    fn read(&self, span: Span, keep: bool, dirty: &mut dyn FnMut(Span)) -> Result<()> {
        let mut leaves = lock(&self.dirty);
        let leaves = leaves.as_mut().ok_or(Errno::EINVAL)?;
        let hit: Vec<_> = leaves.iter().copied().filter(|leaf| leaf.meets(span)).collect();
        if !keep {
            leaves.retain(|leaf| !leaf.meets(span));
        }
        hit.into_iter().for_each(|leaf| dirty(Span { start: leaf.start.max(span.start), ..leaf }));
        Ok(())
    }
}

pub(crate) struct FakeNested;

impl NestedDomain for FakeNested {
    /// Entries are single bytes; an odd one is wrong.
    fn invalidate(&self, entries: &mut UserArray<'_>) -> Result<()> {
        for index in 0..entries.count() {
            let entry: u8 = entries.read(NESTED, index, 1)?;
            if entry % 2 == 1 {
                return Err(Errno::EIO);
            }
            entries.done(1);
        }
        Ok(())
    }
}

pub(crate) struct FakeViommu {
    log: Arc<Mutex<Vec<String>>>,
    window: Option<Arc<MmapRegion>>,
}

impl FakeViommu {
    fn say(&self, line: String) {
        lock(&self.log).push(line);
    }
}

struct FakeQueue {
    log: Arc<Mutex<Vec<String>>>,
    index: u32,
}

impl Drop for FakeQueue {
    fn drop(&mut self) {
        lock(&self.log).push(format!("queue {} ends", self.index));
    }
}

impl Viommu for FakeViommu {
    fn alloc_nested(
        &self,
        device: &PhysicalDevice,
        flags: u32,
        data: &UserData<'_>,
    ) -> Result<Arc<dyn NestedDomain>> {
        let _: u32 = data.read(NESTED, 4)?;
        self.say(format!("nested through viommu for {} {flags:#x}", device.name()));
        Ok(Arc::new(FakeNested))
    }

    fn invalidate(&self, entries: &mut UserArray<'_>) -> Result<()> {
        FakeNested.invalidate(entries)
    }

    fn add_device(&self, device: &Arc<PhysicalDevice>, virtual_id: u64) -> Result<()> {
        crate::fault_point::fault_point(Errno::ENOMEM)?;
        self.say(format!("{} is {virtual_id:#x}", device.name()));
        Ok(())
    }

    fn remove_device(&self, virtual_id: u64) {
        self.say(format!("{virtual_id:#x} is gone"));
    }

    fn window(&self) -> Option<Arc<MmapRegion>> {
        self.window.clone()
    }

    fn report(&self, data: &UserData<'_>, offset: Option<u64>) -> Result<()> {
        data.write(offset.unwrap_or(0).as_bytes())
    }

    fn has_queue(&self, kind: u32) -> bool {
        kind == QUEUE
    }

    fn queue_needs(&self, _kind: u32, index: u32) -> Option<u32> {
        index.checked_sub(1)
    }

    fn alloc_queue(
        &self,
        _kind: u32,
        index: u32,
        base: Pa,
        bytes: u64,
    ) -> Result<Box<dyn Any + Send + Sync>> {
        crate::fault_point::fault_point(Errno::ENOMEM)?;
        self.say(format!("queue {index} of {bytes:#x} at page offset {:#x}", base.page_offset()));
        Ok(Box::new(FakeQueue { log: Arc::clone(&self.log), index }))
    }
}

impl IommuDriver for FakeDriver {
    fn connect(&self, events: Weak<dyn DriverEvents>, _frames: Arc<Frames>) {
        *lock(&self.events) = Some(events);
    }

    fn probe(&self, _device: &Arc<PhysicalDevice>) -> Result<DeviceCaps> {
        Ok(*lock(&self.caps))
    }

    fn release(&self, device: &PhysicalDevice) {
        self.say(format!("{} released", device.name()));
    }

    fn hw_info(&self, _device: &PhysicalDevice, requested: Option<u32>) -> Result<HwInfo> {
        match requested {
            None | Some(HW_INFO) => Ok(HwInfo { kind: HW_INFO, data: vec![1, 2, 3, 4] }),
            Some(_) => Err(Errno::EOPNOTSUPP),
        }
    }

    fn reserved(&self, _device: &PhysicalDevice) -> Vec<ReservedRegion> {
        lock(&self.reserved).clone()
    }

    fn alloc_paging(
        &self,
        _device: &PhysicalDevice,
        flags: PagingFlags,
        data: Option<&UserData<'_>>,
    ) -> Result<Arc<dyn PagingDomain>> {
        crate::fault_point::fault_point(Errno::ENOMEM)?;
        if let Some(data) = data {
            let _: u32 = data.read(NESTED, 4)?;
        }
        let mut domains = lock(&self.domains);
        let tracks = flags.contains(PagingFlags::DIRTY_TRACKING);
        let domain = Arc::new(FakeDomain { number: domains.len(), tracks, ..FakeDomain::default() });
        domains.push(Arc::downgrade(&domain));
        Ok(domain)
    }

    fn alloc_nested(
        &self,
        device: &PhysicalDevice,
        _parent: &Arc<dyn PagingDomain>,
        flags: u32,
        data: &UserData<'_>,
    ) -> Result<Arc<dyn NestedDomain>> {
        let _: u32 = data.read(NESTED, 4)?;
        self.say(format!("nested for {} {flags:#x}", device.name()));
        Ok(Arc::new(FakeNested))
    }

    fn unit(&self, device: &PhysicalDevice) -> u32 {
        lock(&self.units).get(device.name()).copied().unwrap_or(0)
    }

    fn user_pasid_table(&self) -> bool {
        *lock(&self.user_pasid_table)
    }

    fn has_viommu(&self, _device: &PhysicalDevice, kind: u32) -> bool {
        kind == VIOMMU
    }

    fn alloc_viommu(
        &self,
        _device: &PhysicalDevice,
        _kind: u32,
        _parent: &Arc<dyn PagingDomain>,
        data: Option<&UserData<'_>>,
    ) -> Result<Arc<dyn Viommu>> {
        crate::fault_point::fault_point(Errno::ENOMEM)?;
        let window = data.map(|_| Arc::new(MmapRegion::new(0x2000).unwrap()));
        Ok(Arc::new(FakeViommu { log: Arc::clone(&self.log), window }))
    }

    fn attach(&self, device: &PhysicalDevice, pasid: Option<Pasid>, to: &Attachment) -> Result<()> {
        let what = match to {
            Attachment::Blocked => "blocked".to_owned(),
            Attachment::Identity => "identity".to_owned(),
            Attachment::Nested(_) => "nested".to_owned(),
            Attachment::Paging(domain) => {
                let domain: &dyn Any = &**domain;
                format!("domain {}", domain.downcast_ref::<FakeDomain>().unwrap().number)
            }
        };
        if let Some((name, errno)) = &*lock(&self.refuses)
            && name == device.name()
            && !matches!(to, Attachment::Blocked | Attachment::Identity)
        {
            self.say(format!("{name} refuses {what}"));
            return Err(*errno);
        }
        if matches!(to, Attachment::Blocked) && lock(&self.unblockable).as_deref() == Some(device.name()) {
            self.say(format!("{} refuses {what}", device.name()));
            return Err(Errno::EIO);
        }
        let pasid = pasid.map(|pasid| format!(".{}", pasid.0)).unwrap_or_default();
        self.say(format!("{}{pasid}: {what}", device.name()));
        Ok(())
    }

    fn page_response(
        &self,
        device: &PhysicalDevice,
        pasid: Option<Pasid>,
        group: u32,
        response: PageResponse,
    ) {
        let pasid = pasid.map(|pasid| format!(".{}", pasid.0)).unwrap_or_default();
        self.say(format!("{}{pasid} group {group}: {response:?}", device.name()));
        if let Some(called) = &*lock(&self.on_response) {
            called();
        }
    }
}

/// A process's memory: pages that are there, others that are not.
pub(crate) struct FakeMemory {
    pages: Mutex<BTreeMap<u64, Box<[u8; 4096]>>>,
}

/// Where the arguments of calls are.
pub(crate) const ARGUMENT: u64 = 0x1000;
/// Where memory for tests is: 16 pages.
pub(crate) const BUFFER: u64 = 0x10_0000;

impl FakeMemory {
    fn new() -> Self {
        let pages = std::iter::once(ARGUMENT).chain((0..16).map(|page| BUFFER + page * 4096));
        Self { pages: Mutex::new(pages.map(|page| (page, Box::new([0; 4096]))).collect()) }
    }

    pub(crate) fn unmap(&self, address: u64) {
        lock(&self.pages).remove(&address);
    }

    fn each(&self, address: u64, bytes: usize, mut each: impl FnMut(&mut u8, usize)) -> Result<()> {
        let mut pages = lock(&self.pages);
        for at in 0..bytes {
            let address = address.checked_add(at as u64).ok_or(Errno::EFAULT)?;
            let page = pages.get_mut(&(address & !0xfff)).ok_or(Errno::EFAULT)?;
            each(&mut page[(address % 4096) as usize], at);
        }
        Ok(())
    }
}

/// The memory, shared with what pins it.
#[derive(Clone)]
pub(crate) struct Shared(pub(crate) Arc<FakeMemory>);

impl UserMemory for Shared {
    fn id(&self) -> MmId {
        MmId(1)
    }

    fn read(&self, address: u64, data: &mut [u8]) -> Result<()> {
        self.0.each(address, data.len(), |byte, at| data[at] = *byte)
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<()> {
        self.0.each(address, data.len(), |byte, at| *byte = data[at])
    }

    fn pin(&self, pages: Span, _access: PinAccess) -> Result<Vec<Extent>> {
        let present = lock(&self.0.pages);
        for page in (pages.start..=pages.last).step_by(4096) {
            if !present.contains_key(&page) {
                return Err(Errno::EFAULT);
            }
        }
        Ok(vec![Extent { object: Arc::new(self.clone()), offset: pages.start, bytes: pages.bytes() }])
    }
}

impl MemoryObject for Shared {
    fn key(&self) -> ObjectKey {
        ObjectKey(1)
    }

    fn bytes(&self) -> u64 {
        BUFFER + 16 * 4096
    }

    fn phase(&self) -> u64 {
        0
    }

    fn page_bytes(&self) -> u64 {
        4096
    }

    fn read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        UserMemory::read(self, offset, data)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        UserMemory::write(self, offset, data)
    }

    fn mapping(&self) -> Option<Arc<MmapRegion>> {
        None
    }
}

#[derive(Default)]
pub(crate) struct FakeFiles {
    files: Mutex<BTreeMap<i32, Option<Arc<dyn File>>>>,
}

impl FakeFiles {
    pub(crate) fn close(&self, fd: i32) {
        let file = lock(&self.files).remove(&fd);
        drop(file);
    }

    pub(crate) fn open(&self) -> Vec<i32> {
        lock(&self.files).keys().copied().collect()
    }
}

impl FileTable for FakeFiles {
    fn reserve(&self) -> Result<i32> {
        let mut files = lock(&self.files);
        let fd = (3..).find(|fd| !files.contains_key(fd)).unwrap();
        files.insert(fd, None);
        Ok(fd)
    }

    fn install(&self, fd: i32, file: Arc<dyn File>) {
        lock(&self.files).insert(fd, Some(file));
    }

    fn release(&self, fd: i32) {
        lock(&self.files).remove(&fd);
    }

    fn file(&self, fd: i32) -> Result<Option<Arc<dyn File>>> {
        lock(&self.files).get(&fd).cloned().ok_or(Errno::EBADF)
    }

    fn memory_file(&self, _fd: i32) -> Result<Arc<dyn MemoryFile>> {
        Err(Errno::EBADF)
    }
}

/// A host with the driver, one open of its `/dev/iommu`, and a process.
pub(crate) struct World {
    pub(crate) host: Arc<Host>,
    pub(crate) driver: Arc<FakeDriver>,
    pub(crate) fd: Arc<Iommufd>,
    pub(crate) memory: Shared,
    pub(crate) files: FakeFiles,
}

impl World {
    /// What is unclaimed passes untranslated, so that it differs from what is blocked.
    pub(crate) fn new() -> Self {
        Self::with(Options { passthrough: true, ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Self {
        let host = Host::new(options);
        let driver = Arc::new(FakeDriver::default());
        *lock(&driver.caps) =
            DeviceCaps { isolated_msi: true, dirty_tracking: true, pasid_bits: 8, ..Default::default() };
        let dynamic: Arc<dyn IommuDriver> = driver.clone();
        host.add_driver(&dynamic);
        let fd = host.open();
        let memory = Shared(Arc::new(FakeMemory::new()));
        Self { host, driver, fd, memory, files: FakeFiles::default() }
    }

    pub(crate) fn device(&self, name: &str, group: Option<u32>) -> Arc<PhysicalDevice> {
        let driver: Arc<dyn IommuDriver> = self.driver.clone();
        self.host.add_device(name, &driver, group.map(GroupId)).unwrap()
    }

    /// A device of its own group, bound.
    pub(crate) fn bound(&self, name: &str) -> BoundDevice {
        BoundDevice::bind(self.fd.ctx(), &self.device(name, None)).unwrap()
    }

    /// An ioctl with `args`, which holds the answer afterwards.
    pub(crate) fn call<T: uapi::Command>(&self, args: &mut T) -> Result<i64> {
        let size = u32::try_from(size_of::<T>()).unwrap();
        args.as_mut_bytes()[..4].copy_from_slice(&size.to_ne_bytes());
        UserMemory::write(&self.memory, ARGUMENT, args.as_bytes())?;
        let memory: Arc<dyn UserMemory> = Arc::new(self.memory.clone());
        let credentials = Credentials { uid: 0, capabilities: Capabilities::IPC_LOCK, memlock: u64::MAX };
        let caller = Caller { memory: &memory, files: &self.files, credentials };
        let result = self.fd.ioctl(&caller, T::REQUEST, ARGUMENT);
        let mut bytes = vec![0; size_of::<T>()];
        UserMemory::read(&self.memory, ARGUMENT, &mut bytes)?;
        *args = T::read_from_bytes(&bytes).unwrap();
        result
    }

    pub(crate) fn ioas(&self) -> u32 {
        let mut args = uapi::IoasAlloc::default();
        self.call(&mut args).unwrap();
        args.out_ioas_id
    }

    pub(crate) fn map(&self, ioas: u32, iova: u64, address: u64, bytes: u64) -> Result<()> {
        use uapi::IoasMapFlags as Flags;
        let mut args = uapi::IoasMap {
            flags: Flags::FIXED_IOVA | Flags::READABLE | Flags::WRITEABLE,
            ioas_id: ioas,
            user_va: address,
            length: bytes,
            iova,
            ..Default::default()
        };
        self.call(&mut args).map(|_| ())
    }

    pub(crate) fn unmap(&self, ioas: u32, iova: u64, bytes: u64) -> Result<()> {
        let mut args = uapi::IoasUnmap { ioas_id: ioas, iova, length: bytes, ..Default::default() };
        self.call(&mut args).map(|_| ())
    }

    pub(crate) fn destroy(&self, id: u32) -> Result<()> {
        self.call(&mut uapi::Destroy { id, ..Default::default() }).map(|_| ())
    }

    /// A HWPT as `args` say.
    pub(crate) fn hwpt(&self, mut args: uapi::HwptAlloc) -> Result<u32> {
        self.call(&mut args).map(|_| args.out_hwpt_id)
    }

    /// Puts `value` at the start of the buffer.
    pub(crate) fn put<T: IntoBytes + Immutable + ?Sized>(&self, address: u64, value: &T) {
        UserMemory::write(&self.memory, address, value.as_bytes()).unwrap();
    }

    pub(crate) fn bytes(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut data = vec![0; bytes];
        UserMemory::read(&self.memory, address, &mut data).unwrap();
        data
    }

    pub(crate) fn file(&self, fd: u32) -> Arc<dyn File> {
        self.files.file(fd.cast_signed()).unwrap().unwrap()
    }
}
