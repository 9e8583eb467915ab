//! Intel VT-d remapping units in legacy mode.
//!
//! One [`VtdDriver`] runs one unit as an operating system does: through its registers ([`Mmio`]) and
//! through tables, descriptors and status words in host RAM. It is given nothing else of the unit, and so
//! it does not matter whether that is one of `devices::vtd`.
//!
//! Rooms: `unit` brings the hardware up and tells it what changed, by the queue in `invalidation`;
//! `context` says where each device's DMA goes; `domain` is what the core maps into, over the tables in
//! `second_stage`; `fault` reads what went wrong.
//!
//! Locks are taken in this order: context tables, domain, then table memory or queue. No lock is held
//! while [`DriverEvents`] are told.
//!
//! A unit that refuses an invalidation or does not answer can no longer vouch for any isolation. It is
//! told to let nothing pass, and everything that could fail is `EIO` from then on.
//!
//! Absent: scalable mode, and with it PASIDs, nesting and dirty tracking; device-TLBs; interrupt
//! remapping, which is left as it was found.

mod context;
mod domain;
mod domain_ids;
mod entries;
mod fault;
mod invalidation;
mod mmio;
mod regs;
mod second_stage;
mod table_memory;
mod unit;

use std::any::Any;
use std::sync::{Arc, OnceLock, Weak};

use devices::addr::{Iova, Pa, SourceId};
use devices::mem::PhysMem;
use rangemap::RangeInclusiveSet;
use thiserror::Error;
use zerocopy::IntoBytes;

use context::{Contexts, Target};
use domain::Domain;
use domain_ids::DomainIds;
use fault::FaultHandler;
pub use mmio::Mmio;
use mmio::Registers;
use table_memory::TableMemory;
pub use unit::FaultMessage;
use unit::Unit;

use super::{
    Attachment, DeviceCaps, DmaFault, DriverEvents, HwInfo, IommuDriver, NestedDomain, PageResponse,
    PagingDomain, PagingFlags, Pasid, Protection, ReservedKind, ReservedRegion, Viommu,
};
use crate::device::PhysicalDevice;
use crate::errno::{Errno, Result};
use crate::frames::Frames;
use crate::span::Span;
use crate::sync::{Mutex, lock};
use crate::uapi;
use crate::user_data::UserData;

/// Writes here are message interrupts, not DMA [VT-d 3.15].
const MESSAGES: Span = Span { start: 0xfee0_0000, last: 0xfeef_ffff };

/// What a driver has to know of its machine beside the registers.
pub struct Setup {
    /// The machine's memory.
    pub memory: PhysMem,
    /// Part of it that is the driver's alone, for tables and queues. All of it is RAM.
    pub tables: Span,
    /// Bits of a physical address, as the DMAR table says: 32 to 52 [VT-d 8.1].
    pub host_address_width: u32,
    /// All of RAM: what an identity domain maps, with `direct`, where the unit has no pass-through.
    pub ram: Vec<Span>,
    /// Memory that firmware wants devices to reach always [VT-d 8.4].
    pub direct: Vec<Direct>,
    /// Which devices are behind the unit.
    pub scope: Scope,
    /// The unit's fault event interrupt.
    pub fault_message: FaultMessage,
}

/// A reserved memory region of a device: RMRR [VT-d 8.4].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direct {
    /// The device.
    pub source: SourceId,
    /// The memory, mapped one to one.
    pub span: Span,
}

/// The devices behind a unit [VT-d 8.3].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the segment that are behind no other.
    Rest,
    /// These.
    Only(Vec<SourceId>),
}

impl Scope {
    fn covers(&self, source: SourceId) -> bool {
        match self {
            Self::Rest => true,
            Self::Only(sources) => sources.contains(&source),
        }
    }
}

/// A unit could not be taken into use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// CAP and ECAP read as all ones.
    #[error("nothing answers at the unit's registers; check their address")]
    Absent,
    /// ECAP.QI = 0.
    #[error("the unit has no queued invalidation; choose one that has")]
    NoQueue,
    /// ECAP.C = 0.
    #[error("the unit reads its tables past the caches; choose one with coherent walks")]
    NotCoherent,
    /// CAP.SAGAW names no width.
    #[error("the unit supports no second-stage tables (CAP.SAGAW is {0:#x}); choose one that does")]
    NoSecondStage(u8),
    /// CAP.ND leaves no id for a domain.
    #[error("the unit has too few domain ids; choose one with CAP.ND of at least 0")]
    NoDomains,
    /// Not 32 to 52.
    #[error("a host address width of {0} bits is not supported; give 32 to 52")]
    HostWidth(u32),
    /// Not all RAM, or not a page.
    #[error("bytes {:#x} to {:#x} are not whole pages of RAM; give the driver others for its tables", .0.start, .0.last)]
    Tables(Span),
    /// A vector below 16, or 255.
    #[error("{0} is no vector for an interrupt message; give 16 to 254")]
    Vector(u8),
    /// A command failed, or memory was too small.
    #[error("the unit could not be brought up: {0}")]
    Unit(#[from] Errno),
}

/// The driver of one unit.
pub struct VtdDriver {
    unit: Arc<Unit>,
    contexts: Contexts,
    ids: Arc<DomainIds>,
    faults: FaultHandler,
    /// Stands in for pass-through where the unit has none.
    identity: Mutex<Option<Arc<Domain>>>,
    ram: Vec<Span>,
    direct: Vec<Direct>,
    scope: Scope,
    vector: u8,
    events: OnceLock<Weak<dyn DriverEvents>>,
}

impl VtdDriver {
    /// Brings the unit up, with translation on and every device blocked.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(mmio: Arc<dyn Mmio>, setup: Setup) -> std::result::Result<Arc<Self>, SetupError> {
        let Setup { memory, tables, host_address_width, ram, direct, scope, fault_message } = setup;
        let memory = TableMemory::new(memory, tables).ok_or(SetupError::Tables(tables))?;
        if !(16..=254).contains(&fault_message.vector) {
            return Err(SetupError::Vector(fault_message.vector));
        }
        let unit = Unit::bring_up(Registers::new(mmio), memory, host_address_width, fault_message)?;
        let unit = Arc::new(unit);
        let ids = Arc::new(DomainIds::new(unit.last_domain()).ok_or(SetupError::NoDomains)?);
        Ok(Arc::new(Self {
            contexts: Contexts::new(&unit),
            unit,
            ids,
            faults: FaultHandler::default(),
            identity: Mutex::new(None),
            ram,
            direct,
            scope,
            vector: fault_message.vector,
            events: OnceLock::new(),
        }))
    }

    /// An interrupt message with this vector has arrived. To be called from any thread, but not from
    /// within an access to the unit's registers; see [`Mmio`].
    ///
    /// Whether there may be more faults than one call reports, which the unit sends no interrupt for: it is
    /// to be called again then, after others had their turn.
    #[must_use = "faults that are left on record are reported by another call"]
    pub fn interrupt(&self, vector: u8) -> bool {
        if vector != self.vector {
            return false;
        }
        let events = self.events.get().and_then(Weak::upgrade);
        self.faults.interrupt(&self.unit, |fault| {
            let fault::Recorded { source, address, write, reason } = fault;
            let device = self.contexts.device(source);
            if let Some(events) = &events {
                let (source, reason) = (source.0.into(), reason.into());
                events.dma_fault(DmaFault { device, source, pasid: None, address, write, reason });
            }
        })
    }

    /// The requester id of a device of this unit, by the name the host gave it.
    fn source(&self, device: &PhysicalDevice) -> Result<SourceId> {
        let source: SourceId = device.name().parse().map_err(|_| Errno::ENODEV)?;
        if self.scope.covers(source) { Ok(source) } else { Err(Errno::ENODEV) }
    }

    fn direct(&self, source: SourceId) -> impl Iterator<Item = Span> {
        self.direct.iter().filter(move |direct| direct.source == source).map(|direct| direct.span)
    }

    /// Where identity leads.
    fn identity(&self) -> Result<Target> {
        if self.unit.ecap.pt() {
            return Ok(Target::PassThrough);
        }
        let mut identity = lock(&self.identity);
        if let Some(domain) = &*identity {
            return Ok(Target::Domain(Arc::clone(domain)));
        }
        let domain = Domain::new(&self.unit, &self.ids)?;
        let all = Protection::READ | Protection::WRITE | Protection::CACHE;
        let mut reached: RangeInclusiveSet<u64> = self.ram.iter().map(|ram| ram.range()).collect();
        // Firmware's regions may lie in RAM or beside it, and are whole pages [VT-d 8.4].
        reached.extend(self.direct.iter().map(|direct| direct.span.range()));
        for range in reached.iter() {
            let bytes = (range.end() - range.start()).saturating_add(1);
            domain.map(Iova(*range.start()), Pa(*range.start()), bytes, all, true)?;
        }
        let domain = identity.insert(Arc::new(domain));
        Ok(Target::Domain(Arc::clone(domain)))
    }
}

impl IommuDriver for VtdDriver {
    fn connect(&self, events: Weak<dyn DriverEvents>, _frames: Arc<Frames>) {
        // Once, so the place is free.
        let _ = self.events.set(events);
    }

    /// A device that firmware keeps memory for must reach it at once; every other one starts blocked.
    fn probe(&self, device: &Arc<PhysicalDevice>) -> Result<DeviceCaps> {
        let source = self.source(device)?;
        self.contexts.add(source, device.id())?;
        Ok(DeviceCaps {
            dirty_tracking: false,
            enforce_cache_coherency: self.unit.ecap.sc(),
            isolated_msi: self.unit.registers.status().ire(),
            no_ats: true,
            pasid_bits: 0,
        })
    }

    fn release(&self, device: &PhysicalDevice) {
        if let Ok(source) = self.source(device) {
            self.contexts.remove(source);
        }
    }

    fn hw_info(&self, _device: &PhysicalDevice, requested: Option<u32>) -> Result<HwInfo> {
        let kind = uapi::HW_INFO_TYPE_INTEL_VTD;
        match requested {
            None | Some(uapi::HW_INFO_TYPE_DEFAULT) => {}
            Some(requested) if requested == kind => {}
            Some(_) => return Err(Errno::EOPNOTSUPP),
        }
        let (cap_reg, ecap_reg) = (self.unit.cap.raw(), self.unit.ecap.raw());
        let info = uapi::HwInfoVtd { cap_reg, ecap_reg, ..Default::default() };
        Ok(HwInfo { kind, data: info.as_bytes().to_vec() })
    }

    fn reserved(&self, device: &PhysicalDevice) -> Vec<ReservedRegion> {
        let mut regions = vec![ReservedRegion { span: MESSAGES, kind: ReservedKind::Msi }];
        if let Ok(source) = self.source(device) {
            let direct = |span| ReservedRegion { span, kind: ReservedKind::Direct };
            regions.extend(self.direct(source).map(direct));
        }
        regions
    }

    fn alloc_paging(
        &self,
        _device: &PhysicalDevice,
        flags: PagingFlags,
        data: Option<&UserData<'_>>,
    ) -> Result<Arc<dyn PagingDomain>> {
        // Without scalable mode nothing can be nested on a domain and no leaf has a dirty bit. That it may
        // be used for PASIDs asks for nothing here.
        if data.is_some() || flags.intersects(PagingFlags::NEST_PARENT | PagingFlags::DIRTY_TRACKING) {
            return Err(Errno::EOPNOTSUPP);
        }
        Ok(Arc::new(Domain::new(&self.unit, &self.ids)?))
    }

    fn alloc_nested(
        &self,
        _device: &PhysicalDevice,
        _parent: &Arc<dyn PagingDomain>,
        _flags: u32,
        _data: &UserData<'_>,
    ) -> Result<Arc<dyn NestedDomain>> {
        Err(Errno::EOPNOTSUPP)
    }

    fn has_viommu(&self, _device: &PhysicalDevice, _kind: u32) -> bool {
        false
    }

    fn alloc_viommu(
        &self,
        _device: &PhysicalDevice,
        _kind: u32,
        _parent: &Arc<dyn PagingDomain>,
        _data: Option<&UserData<'_>>,
    ) -> Result<Arc<dyn Viommu>> {
        Err(Errno::EOPNOTSUPP)
    }

    fn attach(&self, device: &PhysicalDevice, pasid: Option<Pasid>, to: &Attachment) -> Result<()> {
        if pasid.is_some() {
            return Err(Errno::EOPNOTSUPP);
        }
        let target = match to {
            Attachment::Blocked => Target::Blocked,
            Attachment::Identity => self.identity()?,
            Attachment::Paging(domain) => {
                let domain: Arc<dyn Any + Send + Sync> = Arc::clone(domain) as _;
                let domain = domain.downcast::<Domain>().map_err(|_| Errno::EINVAL)?;
                if !domain.is_of(&self.unit) {
                    return Err(Errno::EINVAL);
                }
                Target::Domain(domain)
            }
            Attachment::Nested(_) => return Err(Errno::EINVAL),
        };
        self.contexts.set(self.source(device)?, &target)
    }

    fn page_response(
        &self,
        _device: &PhysicalDevice,
        _pasid: Option<Pasid>,
        _group: u32,
        _response: PageResponse,
    ) {
        // A legacy-mode unit passes no page requests on, so there is none to answer.
    }
}
