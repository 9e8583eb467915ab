use std::fs;

use tempfile::TempDir;

use super::super::compression::tests::{gzip, plain, xz, zstd};
use super::*;

/// An ELF64 file with nothing but the section `.modinfo`: header, names, strings, table of sections.
pub fn object(strings: &[&str]) -> Vec<u8> {
    let modinfo: Vec<u8> = strings.iter().flat_map(|string| string.bytes().chain([0])).collect();
    let names = b"\0.modinfo\0.shstrtab\0";
    let (names_at, modinfo_at) = (64, 64 + names.len());
    let sections_at = (modinfo_at + modinfo.len()).next_multiple_of(8);
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // Relocatable, AArch64, version 1; no entry, no segments.
    file.extend([1, 0, 183, 0, 1, 0, 0, 0]);
    file.extend([0; 16]);
    file.extend((sections_at as u64).to_le_bytes());
    // Flags; sizes of header, segment and section; three sections, of which the third has the names.
    file.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
    file.extend(names);
    file.extend(&modinfo);
    file.resize(sections_at, 0);
    let mut section = |name: u32, kind: u32, at: usize, size: usize| {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        for field in [0, 0, at as u64, size as u64, 0, 1, 0] {
            file.extend(field.to_le_bytes());
        }
    };
    section(0, 0, 0, 0);
    section(1, 1, modinfo_at, modinfo.len());
    section(10, 3, names_at, names.len());
    file
}

/// A directory of modules: a path and the strings of each.
fn directory(files: &[(&str, &[&str])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, strings) in files {
        write(directory.path(), path, &object(strings));
    }
    directory
}

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn order(tree: &ModuleTree, names: &[&str]) -> String {
    match tree.load_order(names) {
        Ok(modules) => modules.iter().map(Module::name).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn modinfo_says_what_to_load() {
    // As `nvme-tcp` and `vfio` of Debian 13 have it, and rubbish.
    let info = ModInfo::parse(&object(&[
        "license=GPL v2",
        "parm=wq_unbound:Use unbound workqueue (default false)",
        "depends=nvme-fabrics,,nvme-core",
        "softdep=post: vfio_iommu_type1 vfio-iommu-spapr pre: crc32c",
        "softdep=nothing",
        "alias=pci:v*d*sv*sd*bc01sc08i02*",
        "alias=devname:vfio/vfio",
        "name=nvme-tcp",
        "depends",
        "",
    ]));
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let expected = ModInfo {
        name: Some("nvme_tcp".to_owned()),
        depends: strings(&["nvme_fabrics", "nvme_core"]),
        before: strings(&["crc32c"]),
        after: strings(&["vfio_iommu_type1", "vfio_iommu_spapr"]),
        aliases: strings(&["pci:v*d*sv*sd*bc01sc08i02*", "devname:vfio/vfio"]),
    };
    assert_eq!(info, Ok(expected));
    assert_eq!(
        ModInfo::from_strings(b"name=\xff\0depends=a"),
        ModInfo { depends: strings(&["a"]), ..ModInfo::default() }
    );
}

#[test]
fn what_is_no_module_is_refused() {
    let whole = object(&["name=a"]);
    assert_eq!(ModInfo::parse(b""), Err(modinfo::NotModule::Elf));
    assert_eq!(ModInfo::parse(b"#!/bin/sh"), Err(modinfo::NotModule::Elf));
    // No truncation, and no byte set to all ones, does worse than to be refused.
    for at in 0..whole.len() {
        let _ = ModInfo::parse(&whole[..at]);
        let mut broken = whole.clone();
        broken[at] = 0xff;
        let _ = ModInfo::parse(&broken);
    }
    let mut renamed = whole;
    renamed[64 + 2] = b'M';
    assert_eq!(ModInfo::parse(&renamed), Err(modinfo::NotModule::Section));
    let list = |bytes: usize| object(&[&format!("x={}", "a".repeat(bytes - 3))]);
    assert_eq!(ModInfo::parse(&list(4 << 20)), Ok(ModInfo::default()));
    assert_eq!(ModInfo::parse(&list((4 << 20) + 1)), Err(modinfo::NotModule::Large));
}

#[test]
fn dependencies_come_first() {
    let directory = directory(&[
        ("kernel/drivers/nvme/host/nvme-core.ko", &["depends=nvme-auth,t10_pi", "name=nvme_core"]),
        ("kernel/drivers/nvme/host/nvme.ko", &["depends=nvme-core,t10-pi"]),
        ("kernel/drivers/nvme/common/nvme-auth.ko", &["depends="]),
        ("kernel/lib/t10_pi.ko", &["softdep=pre: absent"]),
        ("kernel/vfio.ko", &["softdep=post: vfio_iommu_type1 absent", "alias=devname:vfio/vfio"]),
        ("kernel/vfio_iommu_type1.ko", &["depends=vfio"]),
        ("kernel/wants.ko", &["softdep=pre: nvme-auth serial"]),
        ("kernel/lost.ko", &["depends=absent"]),
        ("kernel/egg.ko", &["depends=hen"]),
        ("kernel/hen.ko", &["depends=egg"]),
        ("kernel/shy.ko", &["softdep=post: shy pre: shy"]),
    ]);
    write(
        directory.path(),
        "modules.builtin",
        b"kernel/drivers/tty/serial.ko\nkernel/crypto/crc32c-generic.ko\n",
    );
    write(directory.path(), "modules.builtin.modinfo", b"crc32c_generic.alias=crc32c\0serial.license=GPL\0");
    let tree = ModuleTree::from_dir(directory.path()).unwrap();
    assert_eq!((tree.len(), tree.is_empty()), (11, false));
    for (names, expected) in [
        (&["nvme"][..], "nvme_auth t10_pi nvme_core nvme"),
        (&["nvme_core", "nvme-core", "nvme"], "nvme_auth t10_pi nvme_core nvme"),
        (&["vfio"], "vfio vfio_iommu_type1"),
        (&["vfio-iommu-type1"], "vfio vfio_iommu_type1"),
        (&["devname:vfio/vfio"], "vfio vfio_iommu_type1"),
        (&["wants"], "nvme_auth wants"),
        (&["serial", "crc32c_generic", "crc32c"], ""),
        (&["shy"], "shy"),
        (&[], ""),
        (&["absent"], "this kernel has no module absent; check the name, or use a kernel that has it"),
        (
            &["lost"],
            "this kernel has no module absent, which lost needs; check the name, or use a kernel that has it",
        ),
        (
            &["egg"],
            "the modules egg, hen need each other, so none can be loaded first; use modules of one build",
        ),
    ] {
        assert_eq!(order(&tree, names), expected, "{names:?}");
    }
}

#[test]
fn a_chain_has_an_end() {
    let names: Vec<_> = (0..66).map(|number| format!("m{number}")).collect();
    let directory = tempfile::tempdir().unwrap();
    for (number, name) in names.iter().enumerate() {
        let depends = format!("depends=m{}", number + 1);
        let strings: &[&str] = if number == 65 { &[] } else { &[&depends] };
        write(directory.path(), &format!("{name}.ko"), &object(strings));
    }
    let tree = ModuleTree::from_dir(directory.path()).unwrap();
    assert_eq!(tree.load_order(&["m2"]).unwrap().len(), 64);
    assert!(
        order(&tree, &["m1"]).starts_with("a chain of more than 64 dependencies comes to the module m65")
    );
}

/// Each asks for the next one only after itself: no chain of dependencies, but one all the same.
#[test]
fn a_long_train_needs_no_stack() {
    const CARS: usize = 1000;
    let directory = tempfile::tempdir().unwrap();
    for number in 0..CARS {
        let softdep = format!("softdep=post: m{}", number + 1);
        write(directory.path(), &format!("m{number}.ko"), &object(&[&softdep]));
    }
    let tree = ModuleTree::from_dir(directory.path()).unwrap();
    let load = move || tree.load_order(&["m0"]).unwrap().len();
    let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(load).unwrap();
    assert_eq!(thread.join().unwrap(), CARS);
}

#[test]
fn every_compression_gives_the_same_module() {
    let module = object(&["name=a"]);
    for (end, compress) in [("", plain as fn(&[u8]) -> Vec<u8>), (".xz", xz), (".gz", gzip), (".zst", zstd)] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &format!("kernel/a.ko{end}"), &compress(&module));
        let modules = ModuleTree::from_dir(directory.path()).unwrap().load_order(&["a"]).unwrap();
        assert_eq!((modules[0].name(), modules[0].data()), ("a", &module[..]));
    }
}

#[test]
fn a_directory_is_that_of_one_kernel() {
    let files: [(&str, &[&str]); 3] = [
        ("usr/lib/modules/6.1/kernel/a.ko.xz", &[]),
        ("etc/b.ko.txt", &[]),
        ("usr/lib/modules/6.1/build/Makefile", &[]),
    ];
    let directory = directory(&files);
    std::os::unix::fs::symlink("usr/lib", directory.path().join("lib")).unwrap();
    // A link to the sources, as installed kernels have it, is not followed.
    std::os::unix::fs::symlink(directory.path(), directory.path().join("usr/lib/modules/6.1/source"))
        .unwrap();
    for below in ["", "lib/modules", "usr/lib/modules/6.1", "usr/lib/modules/6.1/kernel"] {
        assert_eq!(ModuleTree::from_dir(&directory.path().join(below)).unwrap().len(), 1, "{below}");
    }
    let of = |path: &str| ModuleTree::from_dir(&directory.path().join(path)).unwrap_err();
    assert!(matches!(of("etc"), ModuleError::Empty(_)));
    assert!(matches!(of("absent"), ModuleError::Read { .. }));
    write(directory.path(), "usr/lib/modules/6.2/modules.builtin", b"");
    match of("") {
        ModuleError::Several { releases, .. } => assert_eq!(releases.len(), 2),
        other => panic!("{other}"),
    }
}

#[test]
fn what_was_put_beside_the_kernels_own_replaces_it() {
    let directory = directory(&[
        ("kernel/a.ko", &["depends=old"]),
        ("updates/a.ko", &[]),
        ("extra/b.ko", &[]),
        ("kernel/b.ko", &["depends=old"]),
    ]);
    assert_eq!(order(&ModuleTree::from_dir(directory.path()).unwrap(), &["a", "b"]), "a b");
}

#[test]
fn a_module_that_was_changed_is_not_loaded() {
    let directory = directory(&[("a.ko", &["name=a"])]);
    let digest = Digest::of(&object(&["name=a"]));
    let root = directory.path().to_owned();
    let tree = ModuleTree::new(root.clone(), [(PathBuf::from("a.ko"), Some(digest))]).unwrap();
    assert_eq!(order(&tree, &["a"]), "a");
    write(&root, "a.ko", &object(&["name=b"]));
    assert!(matches!(tree.load_order(&["a"]), Err(ModuleError::Changed(..))));
}

#[test]
fn what_is_called_a_module_must_be_one() {
    let directory = directory(&[("good.ko", &["depends=bad"])]);
    write(directory.path(), "bad.ko.xz", b"no");
    write(directory.path(), "cut.ko.xz", &xz(&object(&[]))[..40]);
    let tree = ModuleTree::from_dir(directory.path()).unwrap();
    for name in ["bad", "good", "cut"] {
        assert!(matches!(tree.load_order(&[name]), Err(ModuleError::Malformed { .. })), "{name}");
    }
}
