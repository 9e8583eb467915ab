//! The blob as two other readers see it: the device tree compiler, and libfdt behind fdtget.

use std::fs;
use std::io::ErrorKind;
use std::process::Command;

use super::*;

/// Runs `tool` on the blob of `machine`, insists on its being content, and returns what it says.
fn run(tool: &str, machine: &Description, before: &[&str], after: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("machine.dtb"), build(machine).unwrap()).unwrap();
    let mut command = Command::new(tool);
    command.current_dir(directory.path()).args(before).arg("machine.dtb").args(after);
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("there is no {tool}: install device-tree-compiler")
        }
        output => output.unwrap(),
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{tool}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// The source of a machine's tree. Versions of the compiler pad numbers differently, so they are
/// written anew.
pub(super) fn source(machine: &Description) -> String {
    let source = run("dtc", machine, &["-I", "dtb", "-O", "dts"], &[]);
    let mut parts = source.split("0x");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_hexdigit()).unwrap();
        plain.push_str(&format!("{:#x}{}", u32::from_str_radix(&part[..end], 16).unwrap(), &part[end..]));
    }
    plain
}

/// A property as fdtget prints it: cells in hexadecimal, or strings.
fn property(machine: &Description, kind: &str, node: &str, name: &str) -> String {
    run("fdtget", machine, &["-t", kind], &[node, name]).trim_end().to_owned()
}

#[test]
fn libfdt_finds_what_a_kernel_looks_up() {
    let pcie = "/pcie@4010000000";
    for (kind, node, name, expected) in [
        ("s", "/chosen", "stdout-path", "/serial@9000000"),
        ("s", "/chosen", "bootargs", "console=ttyAMA0 \"quoted\""),
        ("x", "/chosen", "linux,initrd-start", "0 48000000"),
        ("x", "/chosen", "linux,initrd-end", "0 480fffff"),
        (
            "x",
            "/chosen",
            "rng-seed",
            "10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627 28292a2b 2c2d2e2f",
        ),
        ("x", "/memory@100000000", "reg", "1 0 0 40000000"),
        ("s", "/psci", "compatible", "arm,psci-1.0 arm,psci-0.2"),
        ("x", pcie, "iommu-map", "8 4 1008 f8 100 5 0 100 8000 5 8000 8000"),
        ("x", "/iommu@9070000", "phandle", "5"),
        ("x", "/dma-controller@c000000", "iommus", "6 7 6 ffffffff"),
        ("x", "/interrupt-controller@8000000/msi-controller@8080000", "phandle", "2"),
        ("x", "/reserved-memory/reserved@7f000000", "reg", "0 7f000000 0 100000"),
    ] {
        assert_eq!(property(&rich(), kind, node, name), expected, "{node} {name}");
    }
}

#[test]
fn interrupt_pins_swizzle() {
    let map = property(&virt(), "x", "/pcie@4010000000", "interrupt-map");
    let cells: Vec<_> = map.split(' ').map(|cell| u32::from_str_radix(cell, 16).unwrap()).collect();
    assert_eq!(cells.len(), 160);
    let spis = [[3, 4, 5, 6], [4, 5, 6, 3], [5, 6, 3, 4], [6, 3, 4, 5]];
    let pins =
        [0, 0x800, 0x1000, 0x1800].into_iter().flat_map(|device| (1..=4).map(move |pin| (device, pin)));
    for (((device, pin), spi), entry) in pins.zip(spis.as_flattened()).zip(cells.chunks(10)) {
        assert_eq!(entry, [device, 0, 0, pin, 1, 0, 0, 0, *spi, 4]);
    }
}
