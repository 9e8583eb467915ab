use std::thread;

use tempfile::TempDir;

use super::unpack::{Part, part};
use super::*;
use crate::linux::deb::tests::package_of;
use crate::linux::modules::{ModuleError, tests::object};
use crate::linux::{directory, fetch};

const RELEASE: &str = "6.12.1-cloud-arm64";

fn what(cache: &TempDir) -> Fetch {
    Fetch { arch: Arch::Arm64, suite: "trixie".to_owned(), cache: cache.path().join("cache"), offline: true }
}

/// A cache to which the packages of a kernel of `release` and a busybox were downloaded.
fn downloaded(packages: &[(&str, Vec<u8>)]) -> (TempDir, PathBuf) {
    let cache = tempfile::tempdir().unwrap();
    let fetch = what(&cache);
    let directory = directory(&fetch.cache, fetch.arch, &fetch.suite).unwrap();
    fs::create_dir_all(directory.join("debs")).unwrap();
    let mut list = String::new();
    for (name, bytes) in packages {
        fs::write(directory.join("debs").join(name), bytes).unwrap();
        list += &format!("{}  {name}\n", Digest::of(bytes));
    }
    fs::write(directory.join("packages"), list).unwrap();
    (cache, directory)
}

fn kernel() -> Vec<u8> {
    package_of(&[
        (&format!("./boot/vmlinuz-{RELEASE}"), b"a kernel"),
        (&format!("./boot/System.map-{RELEASE}"), b"symbols"),
        (&format!("./usr/lib/modules/{RELEASE}/kernel/a.ko"), &object(&["name=a", "depends=b"])),
        (&format!("./usr/lib/modules/{RELEASE}/modules.builtin"), b"kernel/b.ko\n"),
    ])
}

fn busybox() -> Vec<u8> {
    package_of(&[("./usr/bin/busybox", b"a busybox"), ("./usr/share/doc/busybox-static/copyright", b"text")])
}

fn both() -> (TempDir, PathBuf) {
    downloaded(&[("kernel.deb", kernel()), ("busybox.deb", busybox())])
}

/// Fetches; returns what was told meanwhile, or the error.
fn run(fetch: &Fetch) -> Result<Vec<String>, LinuxError> {
    let mut told = Vec::new();
    let found = super::super::fetch(fetch, &mut |line| told.push(line.to_owned()))?;
    assert_eq!((found.kernel.as_slice(), found.busybox.as_slice()), (&b"a kernel"[..], &b"a busybox"[..]));
    assert_eq!((found.release.as_str(), found.modules.len()), (RELEASE, 1));
    let modules = found.modules.load_order(&["a"]).unwrap();
    assert_eq!(modules[0].data(), object(&["name=a", "depends=b"]));
    Ok(told)
}

#[test]
fn parts_are_found_where_releases_have_them() {
    let kernel = |release: &str| Some(Part::Kernel(release.to_owned()));
    let module = |release: &str, file: &str| Some(Part::Module(release.to_owned(), file.to_owned()));
    for (path, expected) in [
        ("boot/vmlinuz-6.1.0-50-cloud-arm64", kernel("6.1.0-50-cloud-arm64")),
        ("usr/lib/modules/7.2.13/vmlinuz", kernel("7.2.13")),
        ("lib/modules/6.1/kernel/fs/a.ko", module("6.1", "kernel/fs/a.ko")),
        ("usr/lib/modules/6.1/modules.order", module("6.1", "modules.order")),
        ("bin/busybox", Some(Part::Busybox)),
        ("usr/bin/busybox", Some(Part::Busybox)),
        ("boot/config-6.1", None),
        ("usr/lib/modules/x", None),
        ("usr/share/bin/busybox", None),
        ("etc/modules", None),
    ] {
        assert_eq!(part(path), expected, "{path}");
    }
}

#[test]
fn packages_are_unpacked_once() {
    let (cache, directory) = both();
    let fetch = what(&cache);
    assert_eq!(run(&fetch).unwrap(), ["unpacking 2 packages"]);
    assert_eq!(run(&fetch).unwrap(), [""; 0]);
    // The packages are not needed any more.
    fs::remove_dir_all(directory.join("debs")).unwrap();
    assert_eq!(run(&fetch).unwrap(), [""; 0]);
}

#[test]
fn what_is_damaged_is_made_anew() {
    let (cache, directory) = both();
    let fetch = what(&cache);
    run(&fetch).unwrap();
    let manifest = fs::read(directory.join("files/manifest")).unwrap();
    let half = &manifest[..manifest.len() / 2];
    for (file, content) in [
        ("kernel", &b"another kernel"[..]),
        ("busybox", b""),
        ("release", b"6.13"),
        ("manifest", b""),
        ("manifest", half),
        ("manifest", b"\xff\n"),
    ] {
        fs::write(directory.join("files").join(file), content).unwrap();
        assert_eq!(run(&fetch).unwrap(), ["unpacking 2 packages"], "{file}");
    }
    for file in ["kernel", "manifest", "release"] {
        fs::remove_file(directory.join("files").join(file)).unwrap();
        assert_eq!(run(&fetch).unwrap(), ["unpacking 2 packages"], "{file}");
    }
    // What a process that was killed left behind.
    fs::remove_dir_all(directory.join("files")).unwrap();
    fs::create_dir_all(directory.join("files.new/modules")).unwrap();
    fs::write(directory.join("files.new/modules/old.ko"), "old").unwrap();
    assert_eq!(run(&fetch).unwrap(), ["unpacking 2 packages"]);
}

#[test]
fn a_module_is_compared_when_it_is_loaded() {
    let (cache, directory) = both();
    run(&what(&cache)).unwrap();
    fs::write(directory.join("files/modules/kernel/a.ko"), object(&["name=evil"])).unwrap();
    let found = fetch(&what(&cache), &mut |_| {}).unwrap();
    assert!(matches!(found.modules.load_order(&["a"]), Err(ModuleError::Changed(..))));
}

#[test]
fn offline_says_what_is_missing() {
    let missing = |fetch: &Fetch| match run(fetch) {
        Err(LinuxError::Cache(error @ CacheError::NotFetched { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let cache = tempfile::tempdir().unwrap();
    let told = missing(&what(&cache));
    assert!(told.contains("does not have Debian trixie for arm64"), "{told}");
    assert!(told.contains("run once without --offline") && told.contains("--kernel FILE"), "{told}");
    // A question leaves nothing behind.
    assert!(!cache.path().join("cache").exists());

    let (cache, directory) = both();
    fs::write(directory.join("debs/kernel.deb"), "damaged").unwrap();
    missing(&what(&cache));
    fs::write(directory.join("debs/kernel.deb"), kernel()).unwrap();
    run(&what(&cache)).unwrap();
    // The same release under another name is another one.
    missing(&Fetch { suite: "sid".to_owned(), ..what(&cache) });
    let listed = fs::read_to_string(directory.join("packages")).unwrap();
    fs::remove_dir_all(directory.join("files")).unwrap();
    for list in ["", "\n", "rubbish\n", &listed.replace("  kernel", "  absent")] {
        fs::write(directory.join("packages"), list).unwrap();
        missing(&what(&cache));
    }
    fs::write(directory.join("packages"), listed).unwrap();
    run(&what(&cache)).unwrap();
}

#[test]
fn packages_must_have_a_kernel_and_a_busybox() {
    let check = |packages: &[(&str, Vec<u8>)], expected: &str| {
        let (cache, _directory) = downloaded(packages);
        let told = run(&what(&cache)).unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    };
    check(&[("busybox.deb", busybox())], "have no kernel");
    check(&[("kernel.deb", kernel())], "have no busybox");
    let modules = package_of(&[("./lib/modules/6.1/kernel/a.ko", b"")]);
    check(&[("modules.deb", modules.clone()), ("busybox.deb", busybox())], "have no kernel");
    check(&[("kernel.deb", kernel()), ("modules.deb", modules)], "files of another kernel");
    check(&[("kernel.deb", b"no package".to_vec())], "it is not a Debian package");
}

#[test]
fn two_may_fetch_at_once() {
    let (cache, _directory) = both();
    let fetch = &what(&cache);
    let told: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| run(fetch).unwrap())).collect();
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    let unpacked = told.iter().filter(|line| line.starts_with("unpacking")).count();
    assert_eq!(unpacked, 1, "{told:?}");
}

#[test]
fn the_cache_is_the_users() {
    let check = |variables: &[(&str, &str)], expected: Option<&str>| {
        let value =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        assert_eq!(directory_from(value).ok(), expected.map(PathBuf::from), "{variables:?}");
    };
    check(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")], Some("/c/iommulator/linux"));
    check(&[("HOME", "/h")], Some("/h/.cache/iommulator/linux"));
    // A relative path is to be ignored (XDG Base Directory Specification).
    check(&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")], Some("/h/.cache/iommulator/linux"));
    check(&[("XDG_CACHE_HOME", ""), ("HOME", "")], None);
    check(&[], None);
}

#[test]
fn a_manifest_is_whole_or_nothing() {
    let mut manifest = Manifest::default();
    manifest.insert("kernel".to_owned(), Digest::of(b"1"));
    manifest.insert("modules/a b.ko".to_owned(), Digest::of(b"2"));
    let text = manifest.text();
    assert_eq!(Manifest::parse(&text).as_ref(), Some(&manifest));
    assert_eq!(manifest.below("modules").collect::<Vec<_>>(), [("a b.ko".into(), Some(Digest::of(b"2")))]);
    for end in 0..text.len() {
        assert_eq!(Manifest::parse(&text[..end]), None, "{end}");
    }
}
