//! Every node, as source.

use super::dtc::source;
use super::*;

/// The lines of node `name`, less their common indentation, empty lines, and the interrupt map, which
/// has a test of its own.
fn node_of(source: &str, name: &str) -> String {
    let head = format!("{name} {{");
    let mut lines = source.lines().skip_while(|line| line.trim_start() != head);
    let first = lines.next().unwrap_or_else(|| panic!("no {name} in {source}"));
    let indentation = first.len() - first.trim_start().len();
    let end = format!("{}}};", &first[..indentation]);
    let rest: Vec<_> = lines.take_while(|line| **line != end).collect();
    let text = |line: &&str| line.get(indentation..).unwrap_or_default().replace('\t', "    ");
    let lines = std::iter::once(&first).chain(&rest).map(text);
    let lines = lines.filter(|line| !line.is_empty() && !line.trim_start().starts_with("interrupt-map ="));
    lines.collect::<Vec<_>>().join("\n")
}

fn check(machine: &Description, rows: &[&str]) {
    let source = source(machine);
    for expected in rows {
        let expected = expected.trim();
        let name = expected.lines().next().unwrap().trim_end_matches(" {");
        assert_eq!(node_of(&source, name), expected);
    }
}

#[test]
fn what_qemus_machine_has() {
    check(
        &virt(),
        &[
            r#"
chosen {
    stdout-path = "/serial@9000000";
"#,
            r#"
aliases {
    serial0 = "/serial@9000000";
"#,
            r#"
memory@40000000 {
    device_type = "memory";
    reg = <0x0 0x40000000 0x0 0x40000000>;
"#,
            r#"
cpus {
    #address-cells = <0x1>;
    #size-cells = <0x0>;
    cpu@0 {
        device_type = "cpu";
        compatible = "arm,armv8";
        reg = <0x0>;
        enable-method = "psci";
    };
    cpu@1 {
        device_type = "cpu";
        compatible = "arm,armv8";
        reg = <0x1>;
        enable-method = "psci";
    };
"#,
            r#"
psci {
    compatible = "arm,psci-1.0\0arm,psci-0.2";
    method = "hvc";
"#,
            r#"
timer {
    compatible = "arm,armv8-timer";
    interrupts = <0x1 0xd 0x4 0x1 0xe 0x4 0x1 0xb 0x4 0x1 0xa 0x4>;
    always-on;
"#,
            r#"
pmu {
    compatible = "arm,armv8-pmuv3";
    interrupts = <0x1 0x7 0x4>;
"#,
            r#"
interrupt-controller@8000000 {
    compatible = "arm,gic-v3";
    #interrupt-cells = <0x3>;
    interrupt-controller;
    #address-cells = <0x2>;
    #size-cells = <0x2>;
    ranges;
    #redistributor-regions = <0x1>;
    reg = <0x0 0x8000000 0x0 0x10000 0x0 0x80a0000 0x0 0xf60000>;
    phandle = <0x1>;
    msi-controller@8080000 {
        compatible = "arm,gic-v3-its";
        msi-controller;
        #msi-cells = <0x1>;
        reg = <0x0 0x8080000 0x0 0x20000>;
        phandle = <0x2>;
    };
"#,
            r#"
apb-pclk {
    compatible = "fixed-clock";
    #clock-cells = <0x0>;
    clock-frequency = <0x16e3600>;
    phandle = <0x3>;
"#,
            r#"
serial@9000000 {
    compatible = "arm,pl011\0arm,primecell";
    reg = <0x0 0x9000000 0x0 0x1000>;
    interrupts = <0x0 0x1 0x4>;
    clocks = <0x3 0x3>;
    clock-names = "uartclk\0apb_pclk";
"#,
            r#"
rtc@9010000 {
    compatible = "arm,pl031\0arm,primecell";
    reg = <0x0 0x9010000 0x0 0x1000>;
    interrupts = <0x0 0x2 0x4>;
    clocks = <0x3>;
    clock-names = "apb_pclk";
"#,
            r#"
iommu@9050000 {
    compatible = "arm,smmu-v3";
    reg = <0x0 0x9050000 0x0 0x20000>;
    interrupts = <0x0 0x4a 0x1 0x0 0x4b 0x1 0x0 0x4c 0x1 0x0 0x4d 0x1>;
    interrupt-names = "eventq\0priq\0cmdq-sync\0gerror";
    dma-coherent;
    #iommu-cells = <0x1>;
    phandle = <0x4>;
"#,
            r#"
pcie@4010000000 {
    compatible = "pci-host-ecam-generic";
    device_type = "pci";
    #address-cells = <0x3>;
    #size-cells = <0x2>;
    #interrupt-cells = <0x1>;
    linux,pci-domain = <0x0>;
    bus-range = <0x0 0xff>;
    reg = <0x40 0x10000000 0x0 0x10000000>;
    ranges = <0x1000000 0x0 0x0 0x0 0x3eff0000 0x0 0x10000 0x2000000 0x0 0x10000000 0x0 0x10000000 0x0 0x2eff0000 0x3000000 0x80 0x0 0x80 0x0 0x80 0x0>;
    interrupt-map-mask = <0x1800 0x0 0x0 0x7>;
    msi-map = <0x0 0x2 0x0 0x10000>;
    iommu-map = <0x0 0x4 0x0 0x10000>;
    dma-coherent;
"#,
        ],
    );
}

#[test]
fn what_else_a_machine_can_have() {
    check(
        &rich(),
        &[
            r#"
chosen {
    stdout-path = "/serial@9000000";
    bootargs = "console=ttyAMA0 \"quoted\"";
    linux,initrd-start = <0x0 0x48000000>;
    linux,initrd-end = <0x0 0x480fffff>;
    rng-seed = <0x10111213 0x14151617 0x18191a1b 0x1c1d1e1f 0x20212223 0x24252627 0x28292a2b 0x2c2d2e2f>;
"#,
            r#"
aliases {
    serial0 = "/serial@9000000";
    serial1 = "/serial@9040000";
"#,
            r#"
serial@9040000 {
    compatible = "arm,pl011\0arm,primecell";
    reg = <0x0 0x9040000 0x0 0x1000>;
    interrupts = <0x0 0x8 0x4>;
    clocks = <0x3 0x3>;
    clock-names = "uartclk\0apb_pclk";
"#,
            r#"
memory@100000000 {
    device_type = "memory";
    reg = <0x1 0x0 0x0 0x40000000>;
"#,
            r#"
reserved-memory {
    #address-cells = <0x2>;
    #size-cells = <0x2>;
    ranges;
    reserved@7f000000 {
        reg = <0x0 0x7f000000 0x0 0x100000>;
        iommu-addresses = <0xc 0x2000000 0x0 0x7f000000 0x0 0x100000 0x9 0x0 0x7f000000 0x0 0x100000>;
        phandle = <0x7>;
    };
    reserved@8000000 {
        reg = <0x0 0x8000000 0x0 0x100000>;
        iommu-addresses = <0xd 0x2000000 0x0 0x8000000 0x0 0x100000 0xc 0x2000000 0x0 0x8000000 0x0 0x100000>;
        phandle = <0x8>;
    };
"#,
            r#"
cpus {
    #address-cells = <0x2>;
    #size-cells = <0x0>;
    cpu@100000000 {
        device_type = "cpu";
        compatible = "arm,armv8";
        reg = <0x1 0x0>;
        enable-method = "psci";
    };
    cpu@100000001 {
        device_type = "cpu";
        compatible = "arm,armv8";
        reg = <0x1 0x1>;
        enable-method = "psci";
    };
    cpu@100000100 {
        device_type = "cpu";
        compatible = "arm,armv8";
        reg = <0x1 0x100>;
        enable-method = "psci";
    };
"#,
            r#"
iommu@9070000 {
    compatible = "arm,smmu-v3";
    reg = <0x0 0x9070000 0x0 0x20000>;
    #iommu-cells = <0x1>;
    msi-parent = <0x2 0x10000>;
    phandle = <0x5>;
"#,
            r#"
iommu@9090000 {
    compatible = "arm,smmu-v3";
    reg = <0x0 0x9090000 0x0 0x20000>;
    interrupts = <0x0 0x50 0x1 0x0 0x51 0x1>;
    interrupt-names = "eventq\0gerror";
    dma-coherent;
    #iommu-cells = <0x1>;
    phandle = <0x6>;
"#,
            r#"
dma-controller@c000000 {
    compatible = "iommulator,exerciser-2\0iommulator,exerciser";
    reg = <0x0 0xc000000 0x0 0x10000>;
    interrupts = <0x0 0x70 0x4 0x0 0x71 0x1>;
    dma-coherent;
    iommus = <0x6 0x7 0x6 0xffffffff>;
    pasid-num-bits = <0x8>;
    dma-can-stall;
    msi-parent = <0x2 0x10001>;
    memory-region = <0x7>;
    phandle = <0x9>;
"#,
            r#"
dma@c010000 {
    compatible = "iommulator,plain";
    reg = <0x0 0xc010000 0x0 0x1000>;
    msi-parent = <0x2 0x10002>;
    phandle = <0xa>;
"#,
            r#"
gpu@c020000 {
    compatible = "iommulator,gpu";
    reg = <0x0 0xc020000 0x0 0x1000>;
    iommus = <0x4 0x1>;
    phandle = <0xb>;
"#,
            r#"
pcie@4010000000 {
    compatible = "pci-host-ecam-generic";
    device_type = "pci";
    #address-cells = <0x3>;
    #size-cells = <0x2>;
    #interrupt-cells = <0x1>;
    linux,pci-domain = <0x0>;
    bus-range = <0x0 0xff>;
    reg = <0x40 0x10000000 0x0 0x10000000>;
    ranges = <0x1000000 0x0 0x0 0x0 0x3eff0000 0x0 0x10000 0x2000000 0x0 0x10000000 0x0 0x10000000 0x0 0x2eff0000 0x3000000 0x80 0x0 0x80 0x0 0x80 0x0>;
    interrupt-map-mask = <0x1800 0x0 0x0 0x7>;
    msi-map = <0x0 0x2 0x0 0x10000>;
    iommu-map = <0x8 0x4 0x1008 0xf8 0x100 0x5 0x0 0x100 0x8000 0x5 0x8000 0x8000>;
    ats-supported;
    dma-coherent;
    function@1 {
        reg = <0x800 0x0 0x0 0x0 0x0>;
        memory-region = <0x7 0x8>;
        phandle = <0xc>;
    };
    function@2,3 {
        reg = <0x1300 0x0 0x0 0x0 0x0>;
        memory-region = <0x8>;
        phandle = <0xd>;
    };
"#,
        ],
    );
}

#[test]
fn what_a_machine_does_not_have_is_not_told() {
    let mut machine = virt();
    machine.gic.its = None;
    machine.rtc = None;
    machine.smmus.clear();
    machine.pci.streams.clear();
    machine.pci.io = None;
    machine.pci.memory.truncate(1);
    machine.pci.last_bus = 15;
    machine.pci.coherent = false;
    check(
        &machine,
        &[r#"
pcie@4010000000 {
    compatible = "pci-host-ecam-generic";
    device_type = "pci";
    #address-cells = <0x3>;
    #size-cells = <0x2>;
    #interrupt-cells = <0x1>;
    linux,pci-domain = <0x0>;
    bus-range = <0x0 0xf>;
    reg = <0x40 0x10000000 0x0 0x1000000>;
    ranges = <0x2000000 0x0 0x10000000 0x0 0x10000000 0x0 0x2eff0000>;
    interrupt-map-mask = <0x1800 0x0 0x0 0x7>;
"#],
    );
    let source = source(&machine);
    for absent in [
        "its",
        "msi",
        "rtc@",
        "iommu@",
        "iommu-map",
        "reserved-memory",
        "ats-supported",
        "bootargs",
        "initrd",
    ] {
        assert!(!source.contains(absent), "{absent}");
    }
    machine.gic.its = Some(0x0808_0000);
    assert!(dtc::source(&machine).contains("msi-map = <0x0 0x2 0x0 0x1000>"));
}
