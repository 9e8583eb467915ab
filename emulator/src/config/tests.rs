use devices::iommu::cache::Policy;
use devices::vtd::AddressWidth;

use super::*;

fn at(device: u8, function: u8) -> SlotAddress {
    SlotAddress { device, function }
}

fn check_error<T: std::fmt::Debug>(result: Result<T, ConfigError>, expected: &str) {
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[test]
fn sizes() {
    for (text, bytes) in [
        ("512M", 0x2000_0000),
        ("4m", 0x40_0000),
        ("4096K", 0x40_0000),
        ("0x400000", 0x40_0000),
        ("3G", 0xc000_0000),
        ("256G", 0x40_0000_0000),
        ("536870912", 0x2000_0000),
    ] {
        assert_eq!(text.parse::<MemorySize>().unwrap().bytes(), bytes, "{text}");
    }
    for text in
        ["", "M", "3M", "257G", "5000001", "-1M", "+8M", "8MB", "8 M", "1.5G", "99999999999999999999", "ä"]
    {
        let expected = format!(
            "memory={text} is not valid: expected a size such as 512M or 4G: a multiple of 4K, from 4M to 256G"
        );
        check_error(text.parse::<MemorySize>(), &expected);
    }
    for (text, shown) in [("512M", "512M"), ("1024M", "1G"), ("4100K", "4100K")] {
        assert_eq!(text.parse::<MemorySize>().unwrap().to_string(), shown);
    }
}

#[test]
fn devices() {
    let edu = DeviceKind::Edu { dma_mask: 0x0fff_ffff };
    let nvme = |medium| DeviceKind::Nvme { medium, latency: 20_000 };
    let file = |path: &str, read_only, snapshot| MediumSpec::File { path: path.into(), read_only, snapshot };
    for (text, kind, address, bus) in [
        ("edu", edu.clone(), None, None),
        ("edu,dma-mask=0xffffffffffffffff", DeviceKind::Edu { dma_mask: u64::MAX }, None, None),
        ("edu,addr=04.0,bus=rp0", edu.clone(), Some(at(4, 0)), Some("rp0")),
        ("edu,bus=pcie.0,addr=1f.7", edu, Some(at(31, 7)), None),
        ("exerciser", DeviceKind::Exerciser { functions: 1, latency: 1000 }, None, None),
        ("exerciser,latency=0,functions=8", DeviceKind::Exerciser { functions: 8, latency: 0 }, None, None),
        ("iommu-testdev,addr=a", DeviceKind::IommuTestdev, Some(at(10, 0)), None),
        ("nvme,size=64M", nvme(MediumSpec::Memory { bytes: 0x400_0000 }), None, None),
        ("nvme,size=512,addr=3", nvme(MediumSpec::Memory { bytes: 512 }), Some(at(3, 0)), None),
        ("nvme,file=a=b.img", nvme(file("a=b.img", false, false)), None, None),
        ("nvme,file=/d,readonly=on,snapshot=off", nvme(file("/d", true, false)), None, None),
        ("nvme,snapshot=on,file=/d,bus=rp0", nvme(file("/d", false, true)), None, Some("rp0")),
        (
            "nvme,size=1G,latency=0",
            DeviceKind::Nvme { medium: MediumSpec::Memory { bytes: 1 << 30 }, latency: 0 },
            None,
            None,
        ),
        ("root-port,id=rp0", DeviceKind::RootPort { id: "rp0".into() }, None, None),
    ] {
        let expected = DeviceSpec { kind, address, bus: bus.map(str::to_owned), platform: None };
        assert_eq!(text.parse::<DeviceSpec>().unwrap(), expected, "{text}");
    }
}

#[test]
fn devices_that_are_refused() {
    for (text, expected) in [
        ("", "unknown device ''; known: edu, exerciser, iommu-testdev, nvme, root-port"),
        ("ahci,addr=1", "unknown device 'ahci'; known: edu, exerciser, iommu-testdev, nvme, root-port"),
        ("edu,mask=1", "edu has no option 'mask'; its options: addr, bus, dma-mask"),
        ("edu,", "edu has no option ''; its options: addr, bus, dma-mask"),
        ("edu,addr", "edu: write the option 'addr' once, as addr=VALUE"),
        ("edu,addr=", "edu: write the option 'addr' once, as addr=VALUE"),
        ("edu,addr=1,addr=2", "edu: write the option 'addr' once, as addr=VALUE"),
        ("edu,dma-mask=x", "dma-mask=x is not valid: expected a number such as 0xfffffff"),
        ("exerciser,functions=0", "functions=0 is not valid: expected a number from 1 to 8"),
        ("exerciser,functions=9", "functions=9 is not valid: expected a number from 1 to 8"),
        (
            "exerciser,latency=4294967296",
            "latency=4294967296 is not valid: expected nanoseconds, a 32-bit number",
        ),
        (
            "edu,addr=20.0",
            "addr=20.0 is not valid: expected device.function in hexadecimal, from 00.0 to 1f.7",
        ),
        ("edu,addr=1.8", "addr=1.8 is not valid: expected device.function in hexadecimal, from 00.0 to 1f.7"),
        (
            "edu,addr=+1.0",
            "addr=+1.0 is not valid: expected device.function in hexadecimal, from 00.0 to 1f.7",
        ),
        ("edu,addr=1.", "addr=1. is not valid: expected device.function in hexadecimal, from 00.0 to 1f.7"),
        ("nvme", "nvme needs file=PATH, a disk image, or size=BYTES, memory, and not both"),
        (
            "nvme,addr=1,readonly=on",
            "nvme needs file=PATH, a disk image, or size=BYTES, memory, and not both",
        ),
        ("nvme,file=a,size=1M", "nvme needs file=PATH, a disk image, or size=BYTES, memory, and not both"),
        (
            "nvme,size=1M,snapshot=on",
            "readonly= and snapshot= are for nvme,file=PATH; leave them out, or give a file",
        ),
        (
            "nvme,file=a,snapshot=on,readonly=on",
            "readonly=on and snapshot=on exclude each other; nothing is written where nothing can be",
        ),
        ("nvme,size=0", "size=0 is not valid: expected a size such as 64M: a multiple of 512, at most 64G"),
        (
            "nvme,size=513",
            "size=513 is not valid: expected a size such as 64M: a multiple of 512, at most 64G",
        ),
        (
            "nvme,size=65G",
            "size=65G is not valid: expected a size such as 64M: a multiple of 512, at most 64G",
        ),
        ("nvme,file=a,readonly=1", "readonly=1 is not valid: expected on or off"),
        (
            "nvme,image=a",
            "nvme has no option 'image'; its options: addr, bus, file, latency, readonly, size, snapshot",
        ),
        ("nvme,file=", "nvme: write the option 'file' once, as file=VALUE"),
        ("root-port", "root-port needs the option id=VALUE"),
        ("root-port,id=a,bus=b", "root-port has no option 'bus'; its options: addr, id"),
        (
            "root-port,id=pcie.0",
            "id=pcie.0 is not valid: expected up to 32 letters, digits, '-', '_' or '.', and neither pcie.0 nor platform",
        ),
    ] {
        check_error(text.parse::<DeviceSpec>(), expected);
    }
}

#[test]
fn iommus() {
    for (text, cache, address_width) in [
        ("vtd-legacy", Policy::Retain, AddressWidth::Bits48),
        ("vtd-legacy,cache=retain,aw-bits=39", Policy::Retain, AddressWidth::Bits39),
        ("vtd-legacy,cache=tiny,aw-bits=48", Policy::Tiny, AddressWidth::Bits48),
        ("vtd-legacy,aw-bits=57,cache=adversarial", Policy::Adversarial, AddressWidth::Bits57),
        ("vtd-legacy,cache=off", Policy::Off, AddressWidth::Bits48),
    ] {
        let spec = text.parse::<IommuSpec>().unwrap();
        let unit = &spec.vtd().unwrap().config;
        assert_eq!((spec.preset.as_str(), unit.cache), ("vtd-legacy", cache), "{text}");
        assert_eq!(unit.address_width, address_width, "{text}");
    }
    for (text, expected) in [
        (
            "vtd,cache=off",
            "unknown IOMMU 'vtd'; known: vtd-legacy, vtd-legacy-cm, smmuv3.0-s1, smmuv3.1-s2, smmuv3.2-nested, smmuv3.3-full",
        ),
        ("vtd-legacy,cache=big", "cache=big is not valid: expected retain, tiny, adversarial or off"),
        ("vtd-legacy,aw-bits=40", "aw-bits=40 is not valid: expected 39, 48 or 57"),
        ("vtd-legacy,aw-bits=+48", "aw-bits=+48 is not valid: expected 39, 48 or 57"),
        ("vtd-legacy,intremap=yes", "intremap=yes is not valid: expected on or off"),
        ("vtd-legacy,compress-faults=1", "compress-faults=1 is not valid: expected on or off"),
        (
            "vtd-legacy,caches=off",
            "vtd-legacy has no option 'caches'; its options: abort-dma, aw-bits, base, cache, caching-mode, \
             compress-faults, devices, interrupt-set-invalidates, intremap, protected-regions, rmrr, \
             root-set-invalidates, write-buffer-flush",
        ),
    ] {
        check_error(text.parse::<IommuSpec>(), expected);
    }
}

#[test]
fn boards() {
    for (text, ioapic_verify) in
        [("q35", true), ("q35,ioapic-verify=on", true), ("q35,ioapic-verify=off", false)]
    {
        let spec = text.parse::<MachineSpec>().unwrap();
        let ioapic_source = SourceId::new(0xff, 0, 0);
        assert_eq!(spec, MachineSpec::Q35(Q35Spec { ioapic_verify, ioapic_source }), "{text}");
    }
    let spec = "q35,ioapic-source=f0:1f.7".parse::<MachineSpec>().unwrap();
    assert_eq!(spec, MachineSpec::Q35(Q35Spec { ioapic_source: SourceId(0xf0ff), ..Q35Spec::default() }));
    for (text, cpus) in [("virt", 1), ("virt,cpus=8", 8), ("virt,cpus=0x2", 2)] {
        assert_eq!(text.parse::<MachineSpec>().unwrap(), MachineSpec::Virt(VirtSpec { cpus }), "{text}");
    }
    for (text, expected) in [
        ("pc", "unknown machine 'pc'; known: q35, virt"),
        ("virt,cpus=0", "cpus=0 is not valid: expected a number from 1 to 8"),
        ("virt,cpus=9", "cpus=9 is not valid: expected a number from 1 to 8"),
        ("virt,ioapic-verify=off", "virt has no option 'ioapic-verify'; its options: cpus"),
        ("q35,hpet=off", "q35 has no option 'hpet'; its options: ioapic-source, ioapic-verify"),
        ("q35,ioapic-verify=no", "ioapic-verify=no is not valid: expected on or off"),
        (
            "q35,ioapic-source=f0:20.0",
            "ioapic-source=f0:20.0 is not valid: expected bus:device.function in hexadecimal, such as f0:1f.0",
        ),
        ("q35,ioapic-verify", "q35: write the option 'ioapic-verify' once, as ioapic-verify=VALUE"),
    ] {
        check_error(text.parse::<MachineSpec>(), expected);
    }
}

#[test]
fn the_io_apic_has_a_requester_id_of_its_own() {
    let devices =
        ["root-port,id=a,addr=1", "root-port,id=b,addr=2", "exerciser,functions=2,addr=3", "edu,bus=a"];
    let devices = devices.map(|text| text.parse::<DeviceSpec>().unwrap());
    let placed = place(&devices).unwrap();
    for (source, whose) in [
        ("00:00.0", Some("that of the host bridge")),
        ("00:01.0", Some("that of root-port")),
        ("00:03.0", Some("that of exerciser")),
        ("00:03.1", Some("that of exerciser")),
        ("00:03.2", None),
        ("00:04.0", None),
        ("01:00.0", Some("on a bus behind a root port")),
        ("02:1f.7", Some("on a bus behind a root port")),
        ("03:00.0", None),
        ("ff:1f.7", None),
    ] {
        let spec = format!("q35,ioapic-source={source}").parse::<MachineSpec>().unwrap();
        let error = spec.check_places(&placed).err().map(|error| error.to_string());
        let expected = whose.map(|whose| {
            format!(
                "ioapic-source={source} cannot be the I/O APIC's: it is {whose}; choose an id that no function \
                 has, such as f0:1f.0"
            )
        });
        assert_eq!(error, expected);
    }
}

fn placed(texts: &[&str]) -> Result<Vec<(String, SlotAddress)>, ConfigError> {
    let specs = texts.iter().map(|text| text.parse()).collect::<Result<Vec<DeviceSpec>, _>>()?;
    let placed = place(&specs)?;
    Ok(placed.iter().map(|p| (p.spec.kind.name().to_owned(), p.address)).collect())
}

#[test]
fn places_are_given_in_order_around_those_asked_for() {
    let places =
        placed(&["exerciser,functions=2", "edu", "iommu-testdev,addr=02.0", "edu,bus=rp", "root-port,id=rp"]);
    let expected = [
        ("root-port", at(4, 0)),
        ("exerciser", at(1, 0)),
        ("edu", at(3, 0)),
        ("iommu-testdev", at(2, 0)),
        ("edu", at(0, 0)),
    ];
    assert_eq!(places.unwrap(), expected.map(|(name, at)| (name.to_owned(), at)));
    let two_functions = placed(&["edu,addr=5.1", "iommu-testdev,addr=5.0"]).unwrap();
    assert_eq!(two_functions[0].1, at(5, 1));
}

#[test]
fn places_that_are_refused() {
    let many: Vec<&str> = std::iter::repeat_n("edu", 32).collect();
    for (texts, expected) in [
        (
            &["edu,addr=4", "exerciser,addr=04.0"][..],
            "exerciser cannot be at 04.0 on bus pcie.0: edu is there; choose another addr=, or leave it out",
        ),
        (
            &["edu,addr=0.0"],
            "edu cannot be at 00.0 on bus pcie.0: the host bridge is there; choose another addr=, or leave it out",
        ),
        (
            &["edu,addr=4.1", "exerciser,addr=4,functions=2"],
            "exerciser cannot be at 04.1 on bus pcie.0: edu is there; choose another addr=, or leave it out",
        ),
        (
            &["exerciser,addr=4.7,functions=2"],
            "exerciser cannot be at 04.7 on bus pcie.0: its functions do not fit one device; use function 0",
        ),
        (
            &["edu,addr=4.1"],
            "edu cannot be at 04.1 on bus pcie.0: software finds it only if that device has a function 0; add one, or use function 0",
        ),
        (
            &["root-port,id=a", "edu,bus=a,addr=1"],
            "edu cannot be at 01.0 on bus a: the link behind a root port has device 0 only; use addr=00",
        ),
        (&["edu,bus=b", "root-port,id=a"], "unknown bus 'b'; known: a, pcie.0"),
        (&["root-port,id=a", "root-port,id=a"], "two root ports are called 'a'; give each its own id="),
        (
            &["root-port,id=a", "edu,bus=a", "edu,bus=a"],
            "bus a has no free slot for edu; take a device away, or put it behind a root port",
        ),
        (&many, "bus pcie.0 has no free slot for edu; take a device away, or put it behind a root port"),
    ] {
        check_error(placed(texts), expected);
    }
}

#[test]
fn units_have_an_address_devices_and_reserved_memory() {
    let text = "vtd-legacy,base=0xfed91000,devices=00:02.0+00:1f.7,rmrr=0x7f000000-0x7fffffff@00:02.0";
    let spec = text.parse::<IommuSpec>().unwrap();
    let unit = spec.vtd().unwrap();
    assert_eq!((unit.base, &spec.devices), (Some(0xfed9_1000), &Some(vec![at(2, 0), at(31, 7)])));
    let reserved = Reserved { first: 0x7f00_0000, last: 0x7fff_ffff, devices: vec![at(2, 0)] };
    assert_eq!(spec.reserved(), Some(&reserved));
    let base = "a multiple of 0x1000 from 0xfed80000 to 0xfedff000";
    let devices = "functions of bus 00 joined by '+', such as 00:02.0+00:03.0";
    let rmrr =
        "whole pages from 4M on below 256T and functions of bus 00, such as 0x7f000000-0x7fffffff@00:02.0";
    for (option, expected) in [
        ("base=0xfed90800", base),
        ("base=0xfed7f000", base),
        ("base=0xfee00000", base),
        ("base=x", base),
        ("devices=02.0", devices),
        ("devices=01:00.0", devices),
        ("devices=00:02.0+", devices),
        ("devices=00:20.0", devices),
        ("rmrr=0x7f000000-0x7fffffff", rmrr),
        ("rmrr=0x7f000000@00:02.0", rmrr),
        ("rmrr=0x7f000800-0x7fffffff@00:02.0", rmrr),
        ("rmrr=0x7f000000-0x7f001000@00:02.0", rmrr),
        ("rmrr=0x7f001000-0x7f000fff@00:02.0", rmrr),
        ("rmrr=0x3ff000-0x4fffff@00:02.0", rmrr),
        ("rmrr=0x7f000000-0x7fffffff@", rmrr),
        ("rmrr=0x7f000000-0x1000000000fff@00:02.0", rmrr),
        ("rmrr=0x7f000000-0xffffffffffffffff@00:02.0", rmrr),
    ] {
        let expected = format!("{option} is not valid: expected {expected}");
        check_error(format!("vtd-legacy,{option}").parse::<IommuSpec>(), &expected);
    }
}

#[test]
fn a_saved_description_is_held_to_what_options_accept() {
    let options = ["vtd-legacy,base=0xfed91000,devices=00:03.0,rmrr=0x500000-0x500fff@00:03.0"];
    let disks = ["nvme,size=1M", "nvme,file=disk.img,readonly=on"];
    let config = MachineConfig {
        iommus: options.map(|text| text.parse().unwrap()).into(),
        devices: DEVICES.iter().chain(&disks).map(|text| text.parse().unwrap()).collect(),
        ..MachineConfig::default()
    };
    let whole = serde_json::to_value(&config).unwrap();
    let read = |saved: serde_json::Value| serde_json::from_value::<MachineConfig>(saved).unwrap();
    assert!(read(whole.clone()).check().is_ok());
    let slot = "addr=20.0 is not valid: expected device.function in hexadecimal, from 00.0 to 1f.7";
    let functions = "is not valid: expected a number from 1 to 8";
    for (place, value, expected) in [
        (
            "/iommus/0/preset",
            "vtd".into(),
            "unknown IOMMU 'vtd'; known: vtd-legacy, vtd-legacy-cm, smmuv3.0-s1, smmuv3.1-s2, smmuv3.2-nested, smmuv3.3-full",
        ),
        (
            "/iommus/0/unit/Vtd/config/iotlb_entries",
            0x7fff_ffff.into(),
            "iotlb_entries=2147483647 is not valid: expected the preset's number",
        ),
        (
            "/iommus/0/unit/Vtd/base",
            u64::MAX.into(),
            "base=0xffffffffffffffff is not valid: expected a multiple of 0x1000 from 0xfed80000 to 0xfedff000",
        ),
        ("/iommus/0/devices/0/device", 32.into(), "addr=20.0"),
        ("/iommus/0/unit/Vtd/reserved/devices/0/device", 32.into(), slot),
        (
            "/iommus/0/unit/Vtd/reserved/last",
            u64::MAX.into(),
            "rmrr=0x500000-0xffffffffffffffff is not valid",
        ),
        ("/devices/0/kind/RootPort/id", "".into(), "root-port needs the option id=VALUE"),
        ("/devices/0/kind/RootPort/id", "pcie.0".into(), "id=pcie.0 is not valid"),
        ("/devices/0/bus", "rp".into(), "root-port has no option 'bus'; its options: addr, id"),
        ("/devices/2/kind/Exerciser/functions", 0.into(), &format!("functions=0 {functions}")),
        ("/devices/2/kind/Exerciser/functions", 255.into(), &format!("functions=255 {functions}")),
        ("/devices/2/address/device", 32.into(), slot),
        ("/devices/2/address/function", 255.into(), "addr=02.ff is not valid"),
        (
            "/devices/4/kind/Nvme/medium/Memory/bytes",
            u64::MAX.into(),
            "size=18446744073709551615 is not valid",
        ),
        ("/devices/4/kind/Nvme/medium/Memory/bytes", 0.into(), "size=0 is not valid"),
        ("/devices/5/kind/Nvme/medium/File/snapshot", true.into(), "readonly=on and snapshot=on exclude"),
    ] {
        let mut saved = whole.clone();
        *saved.pointer_mut(place).unwrap() = value;
        let config = read(saved);
        let error = config.check().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{place}: {error}");
        // Nothing is built before that.
        assert_eq!(crate::machine::Machine::new(&config).unwrap_err().to_string(), error);
    }
}

fn layout(units: &[&str], devices: &[&str]) -> Result<UnitLayout, ConfigError> {
    let units = units.iter().map(|text| text.parse()).collect::<Result<Vec<IommuSpec>, _>>()?;
    let devices = devices.iter().map(|text| text.parse()).collect::<Result<Vec<DeviceSpec>, _>>()?;
    UnitLayout::new(&units, &place(&devices)?, &devices)
}

const DEVICES: [&str; 4] =
    ["root-port,id=rp,addr=1", "edu,bus=rp", "exerciser,functions=2,addr=2", "edu,addr=3"];

#[test]
fn units_take_what_they_name_and_the_last_all_others() {
    let named = "vtd-legacy,devices=00:01.0+00:02.1";
    let other = "vtd-legacy,base=0xfed80000,devices=00:03.0";
    let (none, rp) = (None, Some("rp"));
    for (units, bases, expected) in [
        (&[][..], &[][..], [None; 6]),
        (&["vtd-legacy"], &[0xfed9_0000], [Some(0); 6]),
        (
            &[named, "vtd-legacy"],
            &[0xfed9_0000, 0xfed9_1000],
            [Some(1), Some(0), Some(0), Some(1), Some(0), Some(1)],
        ),
        (&[named, other], &[0xfed9_0000, 0xfed8_0000], [None, Some(0), Some(0), None, Some(0), Some(1)]),
        (
            &[other, named, "vtd-legacy"],
            &[0xfed8_0000, 0xfed9_1000, 0xfed9_2000],
            [Some(2), Some(1), Some(1), Some(2), Some(1), Some(0)],
        ),
    ] {
        let layout = layout(units, &DEVICES).unwrap();
        let owners = [
            (none, at(0, 0)),
            (none, at(1, 0)),
            (rp, at(0, 0)),
            (none, at(2, 0)),
            (none, at(2, 1)),
            (none, at(3, 0)),
        ]
        .map(|(bus, at)| layout.owner(bus, at));
        assert_eq!((layout.bases().collect::<Vec<_>>(), owners), (bases.to_vec(), expected), "{units:?}");
        assert_eq!(layout.ioapic(), units.len().checked_sub(1), "{units:?}");
    }
}

#[test]
fn units_that_are_refused() {
    let missing = "names no function of this machine; on bus 00 are: 00:00.0, 00:01.0, 00:02.0, 00:02.1, \
                   00:03.0; of what is behind a root port, name the port";
    for (units, expected) in [
        (&["vtd-legacy"; 9][..], "9 IOMMUs are too many; a machine has at most 8"),
        (
            &["vtd-legacy", "vtd-legacy,devices=00:01.0"],
            "IOMMU 0 has no devices=, so it takes all that no other names, and must be the last; name its devices, \
             or put it last",
        ),
        (
            &["vtd-legacy,base=0xfed91000,devices=00:01.0", "vtd-legacy"],
            "two IOMMUs have their registers at 0xfed91000; give one of them another base=",
        ),
        (
            &["vtd-legacy,devices=00:01.0", "vtd-legacy,devices=00:02.0+00:01.0"],
            "00:01.0 is named more than once in devices=; a function is behind one IOMMU",
        ),
        (&["vtd-legacy,devices=00:02.2"], &format!("devices=00:02.2 {missing}")),
        (&["vtd-legacy,rmrr=0x500000-0x500fff@00:04.0"], &format!("rmrr=00:04.0 {missing}")),
        (
            &["vtd-legacy,rmrr=0xfed8f000-0xfed90fff@00:03.0"],
            "rmrr=0xfed8f000-0xfed90fff covers the registers of IOMMU 0, at 0xfed90000, which are no memory; reserve \
             another range",
        ),
        (
            // Those of the other unit.
            &["vtd-legacy,devices=00:01.0,rmrr=0xfed91000-0xfed91fff@00:01.0", "vtd-legacy"],
            "rmrr=0xfed91000-0xfed91fff covers the registers of IOMMU 1, at 0xfed91000, which are no memory; reserve \
             another range",
        ),
        (
            &["vtd-legacy,rmrr=0xfeeff000-0xfeffffff@00:03.0"],
            "rmrr=0xfeeff000-0xfeffffff covers interrupt messages, 0xfee00000 to 0xfeefffff, which are no memory; \
             reserve another range",
        ),
        (
            &["vtd-legacy,rmrr=0x500000-0xffffffffffff@00:03.0"],
            "rmrr=0x500000-0xffffffffffff covers interrupt messages, 0xfee00000 to 0xfeefffff, which are no memory; \
             reserve another range",
        ),
    ] {
        check_error(layout(units, &DEVICES), expected);
    }
    for beside in ["0xfed8f000-0xfed8ffff", "0xfed91000-0xfedfffff", "0xfef00000-0xffffffffffff"] {
        let unit = format!("vtd-legacy,rmrr={beside}@00:03.0");
        assert!(layout(&[&unit], &DEVICES).is_ok(), "{beside}");
    }
}

#[test]
fn smmus() {
    let spec =
        "smmuv3.2-nested,cache=tiny,sidsize=20,streams=0x10000,devices=00:01.0".parse::<IommuSpec>().unwrap();
    let unit = spec.smmuv3().unwrap();
    assert_eq!((unit.config.cache, unit.config.idr1.sidsize()), (Policy::Tiny, 20));
    assert_eq!((unit.streams, &spec.devices), (StreamId(0x1_0000), &Some(vec![at(1, 0)])));
    let streams = "the StreamID of requester id 00:00.0, a multiple of 0x10000 below 0x100000000";
    for (text, expected) in [
        ("smmuv3.2-nested,streams=1", format!("streams=1 is not valid: expected {streams}")),
        ("smmuv3.2-nested,streams=0x100000000", format!("streams=0x100000000 is not valid: expected {streams}")),
        ("smmuv3.2-nested,sidsize=33", "sidsize=33 is not valid: expected 0 to 32".to_owned()),
        ("smmuv3.2-nested,cache=big", "cache=big is not valid: expected retain, tiny, adversarial or off".to_owned()),
        (
            "smmuv3.2-nested,st-level=0",
            "no such SMMU: IDR1.SIDSIZE from 7 on needs two-level stream tables, IDR0.ST_LEVEL = 1 [SMMUv3 6.3.2]"
                .to_owned(),
        ),
    ] {
        check_error(text.parse::<IommuSpec>(), &expected);
    }
    let error = "smmuv3.2-nested,base=0".parse::<IommuSpec>().unwrap_err().to_string();
    assert!(error.starts_with("smmuv3.2-nested has no option 'base'; its options: asid16, "), "{error}");
}

fn machine_of(board: &str, units: &[&str], devices: &[&str]) -> MachineConfig {
    MachineConfig {
        machine: board.parse().unwrap(),
        iommus: units.iter().map(|text| text.parse().unwrap()).collect(),
        devices: devices.iter().map(|text| text.parse().unwrap()).collect(),
        ..MachineConfig::default()
    }
}

#[test]
fn what_does_not_fit_the_board_is_refused() {
    for (board, units, devices, expected) in [
        (
            "virt",
            &["vtd-legacy"][..],
            &[][..],
            "vtd-legacy cannot be on the board virt, which takes SMMUv3 units; use --machine q35, or a preset such \
             as smmuv3.2-nested",
        ),
        (
            "q35",
            &["smmuv3.2-nested"],
            &[],
            "smmuv3.2-nested cannot be on the board q35, which takes VT-d units; use --machine virt, or a preset \
             such as vtd-legacy",
        ),
        (
            "q35",
            &[],
            &["exerciser,bus=platform,stream=0x10000"],
            "bus=platform cannot be on the board q35, which has no platform bus; use --machine virt",
        ),
        (
            "virt",
            &[],
            &["exerciser,bus=platform,stream=0x10000"; 33],
            "bus=platform cannot be on the board virt, which has room for 32 platform devices; take some away",
        ),
    ] {
        check_error(machine_of(board, units, devices).check(), expected);
    }
    let large = MachineConfig { memory: "256G".parse().unwrap(), ..machine_of("virt", &[], &[]) };
    check_error(large.check(), "memory=256G is not valid: expected at most 255G on the board virt");
    let mut saved = serde_json::to_value(machine_of("virt", &["smmuv3.2-nested"], &[])).unwrap();
    let read = |saved: &serde_json::Value| serde_json::from_value::<MachineConfig>(saved.clone()).unwrap();
    assert!(read(&saved).check().is_ok());
    for (place, value, expected) in [
        ("/machine/Virt/cpus", 200.into(), "cpus=200 is not valid: expected a number from 1 to 8"),
        ("/iommus/0/unit/Smmuv3/streams", 1.into(), "streams=0x1 is not valid"),
        (
            "/iommus/0/unit/Smmuv3/config/tlb_entries",
            0x7fff_ffff.into(),
            "tlb_entries=2147483647 is not valid",
        ),
        ("/iommus/0/unit/Smmuv3/config/minor", 9.into(), "no such SMMU: the minor version is 0 to 3"),
        ("/iommus/0/preset", "vtd-legacy".into(), "unknown IOMMU 'vtd-legacy'"),
    ] {
        let before = std::mem::replace(saved.pointer_mut(place).unwrap(), value);
        let error = read(&saved).check().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{place}: {error}");
        *saved.pointer_mut(place).unwrap() = before;
    }
}

#[test]
fn platform_devices() {
    let text = "exerciser,bus=platform,stream=0x10000,can-stall=on,ssid-bits=8,iommu=1,latency=5";
    let expected = PlatformSpec { stream: StreamId(0x1_0000), can_stall: true, ssid_bits: 8, iommu: Some(1) };
    let spec = text.parse::<DeviceSpec>().unwrap();
    assert_eq!((spec.platform, spec.bus, spec.address), (Some(expected), None, None));
    assert_eq!(spec.kind, DeviceKind::Exerciser { functions: 1, latency: 5 });
    let stream = "is not valid: expected a StreamID from 0x10000 to 0xeffff";
    let only_on_pci =
        "exerciser on bus=platform is one exerciser without addr= and functions=; leave them out".to_owned();
    for (text, expected) in [
        ("exerciser,bus=platform", "exerciser needs the option stream=VALUE".to_owned()),
        ("exerciser,bus=platform,stream=0xffff", format!("stream=0xffff {stream}")),
        ("exerciser,bus=platform,stream=0xf0000", format!("stream=0xf0000 {stream}")),
        ("exerciser,bus=platform,stream=0x10000,can-stall=1", "can-stall=1 is not valid: expected on or off".into()),
        (
            "exerciser,bus=platform,stream=0x10000,ssid-bits=21",
            "ssid-bits=21 is not valid: expected a number of bits from 0 to 20".into(),
        ),
        ("exerciser,bus=platform,stream=0x10000,addr=1", only_on_pci.clone()),
        ("exerciser,bus=platform,stream=0x10000,functions=2", only_on_pci),
        (
            "exerciser,can-stall=on",
            "exerciser takes stream=, can-stall=, ssid-bits= and iommu= only with bus=platform; add it, or leave them out".into(),
        ),
        (
            "exerciser,ssid-bits=0",
            "exerciser takes stream=, can-stall=, ssid-bits= and iommu= only with bus=platform; add it, or leave them out".into(),
        ),
        ("edu,stream=1", "edu has no option 'stream'; its options: addr, bus, dma-mask".into()),
    ] {
        check_error(text.parse::<DeviceSpec>(), &expected);
    }
}

#[test]
fn platform_devices_of_a_saved_machine_are_checked() {
    let machine = machine_of("virt", &[], &["exerciser,bus=platform,stream=0x10000"]);
    let saved = serde_json::to_value(machine).unwrap();
    for (place, value, expected) in [
        ("/devices/0/platform/stream", 0xffff, "stream=0xffff is not valid"),
        ("/devices/0/platform/ssid_bits", 200, "ssid-bits=200 is not valid"),
    ] {
        let mut saved = saved.clone();
        *saved.pointer_mut(place).unwrap() = value.into();
        let error = serde_json::from_value::<MachineConfig>(saved).unwrap().check().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{place}: {error}");
    }
}

#[test]
fn streams_before_one_smmu_are_different() {
    let device = "exerciser,bus=platform,stream=0x10000";
    let other = "exerciser,bus=platform,stream=0x10000,iommu=0";
    for (units, device, expected) in [
        (&["smmuv3.2-nested,sidsize=17"][..], device, Ok(Some(0))),
        (&["smmuv3.2-nested,devices=00:00.0,sidsize=17", "smmuv3.2-nested,sidsize=17"], device, Ok(Some(1))),
        (&["smmuv3.2-nested,devices=00:00.0,sidsize=17", "smmuv3.2-nested"], other, Ok(Some(0))),
        (&[], device, Ok(None)),
        (
            &["smmuv3.2-nested"],
            device,
            Err(
                "stream=0x10000 has more bits than the IOMMU takes; give that a greater sidsize=, such as 20",
            ),
        ),
        (
            &["smmuv3.2-nested,sidsize=17,streams=0x10000"],
            device,
            Err(
                "stream=0x10000 is that of a PCI function before the same IOMMU; choose another, or another streams=",
            ),
        ),
        (&[], other, Err("iommu=0 names no IOMMU; the machine has 0, counted from 0")),
    ] {
        let device: DeviceSpec = device.parse().unwrap();
        let units: Vec<IommuSpec> = units.iter().map(|text| text.parse().unwrap()).collect();
        let layout = UnitLayout::new(&units, &[], std::slice::from_ref(&device));
        let owner = layout.map(|layout| layout.platform_owner(&device.platform.unwrap()));
        assert_eq!(owner.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }
}
