//! Finding exercisers and their IOMMU in sysfs, and giving functions to vfio-pci.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use guests::exerciser::{DEVICE, VENDOR};

const DEVICES: &str = "/sys/bus/pci/devices";

/// An exerciser as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Such as `0000:00:01.0`.
    pub name: String,
    /// The StreamID: this machine maps requester ids to themselves.
    pub stream: u32,
    /// Its IOMMU group.
    pub group: u32,
}

/// The exercisers there are, lowest address first.
///
/// # Errors
/// What reading sysfs gives; a function without an IOMMU group is one.
pub fn exercisers() -> io::Result<Vec<Function>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(DEVICES)? {
        let path = entry?.path();
        let id = |name| Ok::<_, io::Error>(fs::read_to_string(path.join(name))?.trim().to_owned());
        if id("vendor")? != format!("{VENDOR:#06x}") || id("device")? != format!("{DEVICE:#06x}") {
            continue;
        }
        let name = file_name(&path)?;
        let stream = requester(&name).ok_or_else(|| strange(&path))?;
        let group = file_name(&fs::read_link(path.join("iommu_group"))?)?;
        let group = group.parse().map_err(|_| strange(&path))?;
        found.push(Function { name, stream, group });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn strange(path: &Path) -> io::Error {
    io::Error::other(format!("{} is not as expected", path.display()))
}

fn file_name(path: &Path) -> io::Result<String> {
    path.file_name().and_then(|name| name.to_str()).map(str::to_owned).ok_or_else(|| strange(path))
}

/// The requester id of `0000:00:01.0`.
fn requester(name: &str) -> Option<u32> {
    let (rest, function) = name.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (_, bus) = rest.rsplit_once(':')?;
    let hex = |text| u32::from_str_radix(text, 16).ok();
    Some(hex(bus)? << 8 | hex(device)? << 3 | hex(function)?)
}

impl Function {
    fn path(&self) -> PathBuf {
        Path::new(DEVICES).join(&self.name)
    }

    /// Has vfio-pci drive it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn give_to_vfio(&self) -> io::Result<()> {
        fs::write(self.path().join("driver_override"), "vfio-pci")?;
        if self.path().join("driver").exists() {
            return Ok(());
        }
        fs::write("/sys/bus/pci/drivers_probe", &self.name)
    }

    /// Its character device.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where vfio-pci does not drive it.
    pub fn cdev(&self) -> io::Result<PathBuf> {
        let entry = fs::read_dir(self.path().join("vfio-dev"))?.next().ok_or(io::ErrorKind::NotFound)??;
        Ok(Path::new("/dev/vfio/devices").join(entry.file_name()))
    }
}

/// The physical address of the only SMMUv3, from its name `smmu3.0x0000000009050000`.
///
/// # Errors
/// What reading sysfs gives; [`io::ErrorKind::NotFound`] where the kernel drives none.
pub fn smmu() -> io::Result<u64> {
    for entry in fs::read_dir("/sys/class/iommu")? {
        let name = file_name(&entry?.path())?;
        if let Some(address) = name.strip_prefix("smmu3.0x").and_then(|hex| u64::from_str_radix(hex, 16).ok())
        {
            return Ok(address);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_the_requester_id() {
        for (name, id) in [
            ("0000:00:01.0", Some(0x0008)),
            ("0000:00:1f.7", Some(0x00ff)),
            ("0001:80:00.1", Some(0x8001)),
            ("00:1.0", None),
            ("pci0000:00", None),
        ] {
            assert_eq!(requester(name), id, "{name}");
        }
    }
}
