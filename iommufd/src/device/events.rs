//! What drivers report, and where it goes.

use super::{DeviceId, PhysicalDevices};
use crate::driver::{DmaFault, DriverEvents, PageRequest, PageResponse};
use crate::errno::{Errno, Result};
use crate::fault::queue::FaultGroup;
use crate::sync::lock;

impl DriverEvents for PhysicalDevices {
    fn page_request(&self, device: DeviceId, request: PageRequest) {
        let Some(device) = self.get(device) else { return };
        if !request.last {
            device.keep_partial(request);
            return;
        }
        let requests = device.complete(request);
        let route = device.host_group().fault_route(request.pasid, device.driver().user_pasid_table());
        let group = FaultGroup { device, requests, last: request };
        let refused = match route {
            Some(route) => match route.fault.clone() {
                Some(queue) => queue.deliver(&route, group),
                None => Err(group),
            },
            None => Err(group),
        };
        if let Err(group) = refused {
            group.answer(PageResponse::Invalid);
        }
    }

    fn dma_fault(&self, fault: DmaFault) {
        lock(&self.faults).push(fault);
    }

    fn viommu_event(&self, device: DeviceId, kind: u32, data: &[u8]) -> Result<()> {
        let device = self.get(device).ok_or(Errno::ENOENT)?;
        let viommu = device.host_group().viommu().ok_or(Errno::ENOENT)?;
        viommu.report_event(kind, data)
    }

    fn virtual_id(&self, device: DeviceId) -> Option<u64> {
        self.get(device)?.host_group().viommu()?.virtual_id(device)
    }
}
