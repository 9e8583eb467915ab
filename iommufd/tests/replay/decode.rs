//! Argument structures, field by field, for people.

use std::fmt::Debug;

use iommufd::uapi::test::{self, Operation, TestCmd};
use iommufd::uapi::{self, Command, vfio};
use zerocopy::FromBytes;

/// The structure that `command` takes.
pub fn decode(command: u32, bytes: &[u8]) -> String {
    macro_rules! commands {
        ($($structure:ty = $request:expr),* $(,)?) => {
            match command {
                TestCmd::REQUEST => test_cmd(bytes),
                $(command if command == $request => show::<$structure>(bytes),)*
                _ => format!("{bytes:02x?}"),
            }
        };
    }
    commands! {
        uapi::Destroy = uapi::Destroy::REQUEST,
        uapi::IoasAlloc = uapi::IoasAlloc::REQUEST,
        uapi::IoasAllowIovas = uapi::IoasAllowIovas::REQUEST,
        uapi::IoasCopy = uapi::IoasCopy::REQUEST,
        uapi::IoasIovaRanges = uapi::IoasIovaRanges::REQUEST,
        uapi::IoasMap = uapi::IoasMap::REQUEST,
        uapi::IoasMapFile = uapi::IoasMapFile::REQUEST,
        uapi::IoasUnmap = uapi::IoasUnmap::REQUEST,
        uapi::IoasChangeProcess = uapi::IoasChangeProcess::REQUEST,
        uapi::IommuOption = uapi::IommuOption::REQUEST,
        uapi::VfioIoas = uapi::VfioIoas::REQUEST,
        uapi::HwptAlloc = uapi::HwptAlloc::REQUEST,
        uapi::HwptInvalidate = uapi::HwptInvalidate::REQUEST,
        uapi::HwptSetDirtyTracking = uapi::HwptSetDirtyTracking::REQUEST,
        uapi::HwptGetDirtyBitmap = uapi::HwptGetDirtyBitmap::REQUEST,
        uapi::HwInfo = uapi::HwInfo::REQUEST,
        uapi::FaultAlloc = uapi::FaultAlloc::REQUEST,
        uapi::ViommuAlloc = uapi::ViommuAlloc::REQUEST,
        uapi::VdeviceAlloc = uapi::VdeviceAlloc::REQUEST,
        uapi::VeventqAlloc = uapi::VeventqAlloc::REQUEST,
        uapi::HwQueueAlloc = uapi::HwQueueAlloc::REQUEST,
        vfio::IommuType1Info = vfio::ioctl::IOMMU_GET_INFO,
        vfio::IommuType1DmaMap = vfio::ioctl::IOMMU_MAP_DMA,
    }
}

/// Both sides, the lines that differ marked.
pub fn compare(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let side = |title: &str, this: &[&str], other: &[&str]| {
        let mut text = format!("  {title}:\n");
        for (index, line) in this.iter().enumerate() {
            let mark = if other.get(index) == Some(line) { ' ' } else { '!' };
            text += &format!("  {mark} {line}\n");
        }
        text
    };
    side("recorded", &expected, &found) + &side("here", &found, &expected)
}

fn show<T: FromBytes + Debug>(bytes: &[u8]) -> String {
    let mut padded = bytes.to_vec();
    padded.resize(padded.len().max(size_of::<T>()), 0);
    let (structure, _) = T::read_from_prefix(&padded).unwrap();
    let mut text = format!("{structure:#x?}");
    if let Some(tail) = bytes.get(size_of::<T>()..).filter(|tail| !tail.is_empty()) {
        text += &format!("\nbeyond it {tail:02x?}");
    }
    text
}

fn test_cmd(bytes: &[u8]) -> String {
    let mut padded = bytes.to_vec();
    padded.resize(padded.len().max(size_of::<TestCmd>()), 0);
    let (command, _) = TestCmd::read_from_prefix(&padded).unwrap();
    macro_rules! operations {
        ($($operation:ident)*) => {
            match command.op {
                $(test::$operation::OP => format!("{:#x?}", command.get::<test::$operation>()),)*
                op => format!("operation {op}"),
            }
        };
    }
    let operation = operations! {
        AddReserved MockDomain MockDomainFlags MockDomainReplace CheckMap CheckRefs CreateAccess
        DestroyAccessPages AccessPages AccessRw MemoryLimit AccessReplaceIoas Dirty CheckIotlb TriggerIopf
        CheckDevCache TriggerVevent PasidAttach PasidReplace PasidDetach PasidCheck DmabufGet DmabufRevoke
    };
    format!("TestCmd of {:#x}\n{operation}\n{:#x?}", command.id, command)
}
