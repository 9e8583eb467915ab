use expect_test::expect;

use super::apt::{reason, size};
use super::resolve::packages;
use super::sources::{Mirror, list, mirrors, trust};
use super::*;
use crate::linux::Arch;

/// An entry of `apt-get indextargets`, cut to what matters and something that does not.
fn target(changes: &[(&str, &str)]) -> String {
    let mut fields = [
        ("MetaKey", "main/binary-amd64/Packages"),
        ("Label", "Debian"),
        ("Origin", "Debian"),
        ("Component", "main"),
        ("Created-By", "Packages"),
        ("Fallback-Of", ""),
        ("Repo-URI", "http://mirror.example/debian/"),
        ("Sourcesentry", "/etc/apt/sources.list.d/debian.sources:1"),
    ];
    for (name, value) in changes {
        fields.iter_mut().filter(|(field, _)| field == name).for_each(|field| field.1 = value);
    }
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    lines + "\n"
}

#[test]
fn mirrors_are_those_of_debian() {
    let check = |changes: &[(&str, &str)], expected: &[(&str, &str)]| {
        let found = mirrors(&target(changes));
        let found: Vec<_> = found.iter().map(|mirror| (mirror.uri.as_str(), mirror.file.as_str())).collect();
        assert_eq!(found, expected, "{changes:?}");
    };
    let sources = "/etc/apt/sources.list.d/debian.sources";
    check(&[], &[("http://mirror.example/debian/", sources)]);
    check(&[("Label", "Debian Backports")], &[("http://mirror.example/debian/", sources)]);
    check(
        &[("Sourcesentry", "/etc/apt/a:b.list:12")],
        &[("http://mirror.example/debian/", "/etc/apt/a:b.list")],
    );
    check(&[("Repo-URI", "file:/srv/debian/")], &[("file:/srv/debian/", sources)]);
    check(&[("Origin", "Ubuntu"), ("Label", "Ubuntu")], &[]);
    check(&[("Label", "Debian-Security")], &[]);
    check(&[("Component", "contrib")], &[]);
    check(&[("Created-By", "DEP-11")], &[]);
    check(&[("Repo-URI", "cdrom:[Debian GNU/Linux 12]/")], &[]);
    check(&[("Repo-URI", "http://mirror.example/a b/")], &[]);
    let twice = target(&[])
        + &target(&[("Repo-URI", "http://other.example/")])
        + &target(&[("Label", "Debian Backports")]);
    assert_eq!(mirrors(&twice).len(), 2);
    assert_eq!(mirrors(""), []);
    assert_eq!(mirrors("E: something else\n"), []);
}

fn mirror(file: &str) -> Mirror {
    Mirror { uri: "http://mirror.example/debian/".to_owned(), file: file.to_owned() }
}

/// The source made for a mirror that the host's `file` with this `text` names.
fn source(file: &str, text: &str) -> String {
    let mirror = mirror(file);
    list(&mirror, &trust(&mirror, text), "trixie", Arch::Arm64)
}

#[test]
fn a_source_is_one_release_for_one_architecture() {
    let text = "Types: deb deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
                Signed-By:\n -----BEGIN PGP\n .\n mQIN\nCheck-Valid-Until: no\nPDiffs: no\n";
    expect![[r#"
        Types: deb
        URIs: http://mirror.example/debian/
        Suites: trixie
        Components: main
        Architectures: arm64
        Targets: Packages
        Signed-By: 
         -----BEGIN PGP
         .
         mQIN
        Check-Valid-Until: no
    "#]]
    .assert_eq(&source("debian.sources", text));
}

#[test]
fn nobody_is_told_the_password_of_a_mirror() {
    for (uri, shown) in [
        ("http://mirror.example/debian/", "http://mirror.example/debian/"),
        ("https://me:se@cret@mirror.example:8443/a@b/", "https://mirror.example:8443/a@b/"),
        ("https://me:secret@mirror.example", "https://mirror.example"),
        ("file:/srv/debian/", "file:/srv/debian/"),
        ("copy:///srv/a@b/", "copy:///srv/a@b/"),
    ] {
        assert_eq!(Mirror { uri: uri.to_owned(), file: String::new() }.shown(), shown);
    }
}

#[test]
fn trust_is_that_of_the_mirrors_own_entry() {
    let check = |file: &str, text: &str, expected: &str| {
        let source = source(file, text);
        let (_, found) = source.split_once("Targets: Packages\n").unwrap();
        assert_eq!(found, expected, "{text}");
    };
    let other =
        "Types: deb\nURIs: http://mirror.example/debian-security\nSigned-By: /other.gpg\nTrusted: yes\n\n";
    let own =
        "Types: deb\n# of the house\nuris: http://a.example http://mirror.example/debian\nSuites: bookworm\n";
    check("a.sources", &format!("{other}{own}"), "");
    check("a.sources", &format!("{other}{own}Signed-By: /k.gpg\n"), "Signed-By: /k.gpg\n");
    check("a.sources", &format!("{own}trusted: Yes\n\n{other}"), "Trusted: Yes\n");
    check("a.sources", other, "");
    check("a.sources", "", "");

    let uri = "http://mirror.example/debian bookworm main";
    check("a.list", &format!("deb {uri}\n"), "");
    check(
        "a.list",
        &format!("deb [ arch=amd64 signed-by=/a.gpg,/b.gpg check-valid-until=no ] {uri}\n"),
        "Signed-By: /a.gpg /b.gpg\nCheck-Valid-Until: no\n",
    );
    check("a.list", &format!("# deb [trusted=yes] {uri}\ndeb [trusted=yes] http://mirror.example x\n"), "");
    check("a.list", &format!("deb [trusted=yes] {uri}\n"), "Trusted: yes\n");
    for broken in ["deb", "deb [trusted=yes", "deb [trusted=yes]", "[", ""] {
        check("a.list", broken, "");
    }
}

#[test]
fn debians_keyring_is_for_sources_without_keys() {
    let mirror = mirror("a.list");
    let signed = trust(&mirror, "deb [signed-by=/k.gpg] http://mirror.example/debian a main");
    assert_eq!(signed.clone().or_signed_by(Some("/debian.gpg")), signed);
    let unsigned = trust(&mirror, "deb http://mirror.example/debian a main");
    assert_eq!(unsigned.clone().or_signed_by(None), unsigned);
    let list = list(&mirror, &unsigned.or_signed_by(Some("/debian.gpg")), "sid", Arch::Arm64);
    assert!(list.ends_with("\nSigned-By: /debian.gpg\n"), "{list}");
}

/// What `apt-cache show` says of a package, with the fields that matter and some that do not.
fn shown(name: &str, version: &str, depends: &str) -> String {
    format!(
        "Package: {name}\nSource: linux-signed-arm64 (7.2.13+1)\nVersion: {version}\nArchitecture: arm64\n\
         Depends: {depends}\nTag: admin::recovery, role::program,\n use::login\nSize: 1664\n\
         SHA256: f9f57790de0237255e38929a78d3bd7abd51d1899515d5816cd341ff6a47fba8\n"
    )
}

#[test]
fn a_kernel_is_followed_through_its_parts() {
    let check = |depends: &str, expected: &[&str]| {
        let found = packages(&shown("linux-image-cloud-arm64", "7.2.13-1", depends)).unwrap();
        assert_eq!(found.iter().flat_map(Package::exact_parts).collect::<Vec<_>>(), expected, "{depends}");
    };
    // Of Debian 13, 14 and 12.
    check(
        "linux-image-6.12.107+deb13-cloud-arm64 (= 6.12.107-1)",
        &["linux-image-6.12.107+deb13-cloud-arm64=6.12.107-1"],
    );
    check(
        "dracut | initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool, \
         linux-base-7.2.13+deb14-cloud-arm64 (= 7.2.13-1), linux-binary-7.2.13+deb14-cloud-arm64 (= 7.2.13-1), \
         linux-modules-7.2.13+deb14-cloud-arm64 (= 7.2.13-1)",
        &[
            "linux-base-7.2.13+deb14-cloud-arm64=7.2.13-1",
            "linux-binary-7.2.13+deb14-cloud-arm64=7.2.13-1",
            "linux-modules-7.2.13+deb14-cloud-arm64=7.2.13-1",
        ],
    );
    check("kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool", &[]);
    check("", &[]);
    check("kmod (= 1), linux-a (= 1) | linux-b (= 1), linux-c (= -o), linux-d/../e (= 1), linux-f (= 1", &[]);
}

#[test]
fn packages_are_read_with_care() {
    let found = packages(&(shown("a", "1", "") + "\n" + &shown("b", "1:1.37.0-6+b9", ""))).unwrap();
    let names: Vec<_> = found.iter().map(Package::file_name).collect();
    assert_eq!(names, ["a_1_arm64.deb", "b_1%3a1.37.0-6+b9_arm64.deb"]);
    assert_eq!((found[1].exact().as_str(), found[1].size), ("b=1:1.37.0-6+b9", 1664));
    assert_eq!(packages("").unwrap(), []);

    let good = shown("a", "1", "");
    for (from, to, expected) in [
        ("Version: 1\n", "", "it has no field Version"),
        ("Size: 1664", "Size: many", "its size is no number"),
        ("SHA256: f9", "SHA256: ", "its SHA256 is none"),
        ("SHA256: f9", "SHA1: f9", "it has no field SHA256"),
        ("Package: a", "Package: -o", "its name, version or architecture has characters that none can have"),
        (
            "Package: a",
            "Package: ../a",
            "its name, version or architecture has characters that none can have",
        ),
        ("Version: 1", "Version: 1/2", "its name, version or architecture has characters that none can have"),
        ("arm64\nDep", "..\nDep", "its name, version or architecture has characters that none can have"),
    ] {
        let broken = good.replace(from, to);
        assert_ne!(broken, good);
        match packages(&broken) {
            Err(PackagesError::Answer { reason, .. }) => assert_eq!(reason, expected),
            other => panic!("{broken}: {other:?}"),
        }
    }
}

#[test]
fn a_release_is_named_by_letters_digits_and_signs() {
    for suite in ["trixie", "sid", "bookworm-backports", "trixie-proposed-updates", "x"] {
        assert_eq!(check_suite(suite).unwrap(), suite);
    }
    let long = "a".repeat(65);
    for suite in ["", "..", "../x", "a/b", "-o", "a b", "a\nTrusted: yes", "Trixie", "é", long.as_str()] {
        assert!(matches!(check_suite(suite), Err(PackagesError::Suite(_))), "{suite}");
    }
}

#[test]
fn what_apt_said_is_told_in_a_line() {
    let long = format!("E: {}\n", "é".repeat(2000));
    for (said, expected) in [
        ("W: old\nE: one\n N: hint\nE: two\n", "saying: one; two".to_owned()),
        ("N: first\n\n  W: last  \n\n", "saying: W: last".to_owned()),
        ("", "without a word".to_owned()),
        (
            "W: GPG error: http://mirror.example/debian sid InRelease: NO_PUBKEY 6ED0E7B82643E131\nE: not signed.\n",
            "saying: GPG error: http://mirror.example/debian sid InRelease: NO_PUBKEY 6ED0E7B82643E131; this host's \
             package debian-archive-keyring may be older than the release; not signed."
                .to_owned(),
        ),
        (long.as_str(), format!("saying: {}…", "é".repeat(1000))),
    ] {
        assert_eq!(reason(said), expected);
    }
}

#[test]
fn sizes_are_for_people() {
    for (bytes, text) in
        [(0, "0 kB"), (1_664, "1 kB"), (999_999, "999 kB"), (1_000_000, "1.0 MB"), (28_100_612, "28.1 MB")]
    {
        assert_eq!(size(bytes), text);
    }
}
