//! Builds the bare-metal images, or takes those that are checked in.
//!
//! Each image is compiled by `rustc` directly, with flags fixed here, so that its bytes depend on the
//! sources and the compiler alone and not on the profile, the user's flags or the place of the
//! checkout. Where the compiler lacks an image's target (no libcore for it, or no `rust-lld`), the
//! checked-in image is used instead.
//!
//! - `IOMMULATOR_RENEW_IMAGES=1` writes what was built to `images/`, with the compiler's version.
//! - `IOMMULATOR_PREBUILT_IMAGES=1` takes the checked-in images even where they could be built.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What images are built for. The name is that of the linker script, and part of an image's name.
const TARGETS: [Target; 2] = [
    Target { name: "x86_64", triple: "x86_64-unknown-none", programs: &["vtd_dma"] },
    Target { name: "aarch64", triple: "aarch64-unknown-none", programs: &["cpu_check", "smmuv3_dma"] },
];

struct Target {
    name: &'static str,
    triple: &'static str,
    /// Programs with an image; each has its source in `image/`.
    programs: &'static [&'static str],
}

const RENEW: &str = "IOMMULATOR_RENEW_IMAGES";
const PREBUILT: &str = "IOMMULATOR_PREBUILT_IMAGES";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    for path in ["build.rs", "src", "image", "images"] {
        println!("cargo::rerun-if-changed={path}");
    }
    for name in [RENEW, PREBUILT] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let names = TARGETS.map(|target| format!("{:?}", target.name)).join(", ");
    println!("cargo::rustc-check-cfg=cfg(images_built_from_source, values({names}))");

    let renew = is_set(RENEW);
    let compiler = Compiler::find()?;
    for target in &TARGETS {
        if is_set(PREBUILT) || !compiler.can_build(target) {
            if renew {
                return Err(format!(
                    "{RENEW} is set, but images cannot be built here: unset {PREBUILT}, and install the \
                     target with `rustup target add {}`",
                    target.triple
                )
                .into());
            }
            for program in target.programs {
                let name = target.image(program);
                fs::copy(checked_in(&name), compiler.out.join(name))?;
            }
            continue;
        }
        println!("cargo::rustc-cfg=images_built_from_source={:?}", target.name);
        compiler.build_library(target)?;
        for program in target.programs {
            let image = compiler.build_image(target, program)?;
            if renew {
                write_if_changed(&checked_in(&target.image(program)), &fs::read(image)?)?;
            }
        }
    }
    if renew {
        write_if_changed(Path::new("images/rustc-version"), compiler.version.as_bytes())?;
    }
    fs::write(compiler.out.join("rustc-version"), &compiler.version)?;
    Ok(())
}

impl Target {
    /// The file name of a program's image.
    fn image(&self, program: &str) -> String {
        format!("{program}-{}.elf", self.name)
    }

    /// The file name of the library for it.
    fn library(&self) -> String {
        format!("libguests-{}.rlib", self.name)
    }
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

fn checked_in(image: &str) -> PathBuf {
    Path::new("images").join(image)
}

/// Leaves the file's time alone where nothing changed, or every build would start the next one.
fn write_if_changed(path: &Path, data: &[u8]) -> Result<()> {
    if fs::read(path).ok().as_deref() != Some(data) {
        fs::write(path, data)?;
    }
    Ok(())
}

/// The compiler, and where things are.
struct Compiler {
    rustc: PathBuf,
    /// `rustc -V`, one line.
    version: String,
    /// The compiler's own directory.
    sysroot: PathBuf,
    manifest: PathBuf,
    out: PathBuf,
}

impl Compiler {
    fn find() -> Result<Self> {
        let variable = |name| env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"));
        let rustc = PathBuf::from(variable("RUSTC")?);
        let version = output(Command::new(&rustc).arg("-V"))?;
        let sysroot = output(Command::new(&rustc).args(["--print", "sysroot"]))?;
        Ok(Self {
            rustc,
            version,
            sysroot: PathBuf::from(sysroot.trim_end()),
            manifest: PathBuf::from(variable("CARGO_MANIFEST_DIR")?),
            out: PathBuf::from(variable("OUT_DIR")?),
        })
    }

    /// Whether the compiler has a libcore and a linker for the target.
    fn can_build(&self, target: &Target) -> bool {
        let query = ["--print", "target-libdir", "--target", target.triple];
        let Ok(libraries) = output(Command::new(&self.rustc).args(query)) else { return false };
        let Ok(libraries) = fs::read_dir(libraries.trim_end()) else { return false };
        let is_core = |name: &str| name.starts_with("libcore-") && name.ends_with(".rlib");
        let has_core = libraries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_core));
        let Ok(host) = env::var("HOST") else { return false };
        let linker = self.sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        has_core && (linker.exists() || linker.with_extension("exe").exists())
    }

    /// `rustc` with everything that library and image have in common.
    fn rustc(&self, target: &Target) -> Command {
        let mut command = Command::new(&self.rustc);
        command.current_dir(&self.manifest);
        // What would change the output without a trace in the sources.
        for name in ["RUSTC_FORCE_RUSTC_VERSION", "RUSTC_FORCE_INCR_COMP_ARTIFACT_HEADER"] {
            command.env_remove(name);
        }
        command.args(["--edition", "2024", "--target", target.triple, "--cap-lints", "allow"]);
        for option in [
            "opt-level=s",
            "panic=abort",
            "codegen-units=1",
            "relocation-model=static",
            "code-model=small",
            "debuginfo=0",
            "overflow-checks=on",
        ] {
            command.args(["-C", option]);
        }
        for (from, to) in [
            (self.manifest.as_path(), "guests"),
            (self.out.as_path(), "out"),
            // With the rust-src component, inlined library code would name its place.
            (&self.sysroot.join("lib/rustlib/src/rust"), "rust"),
        ] {
            let mut remap = from.as_os_str().to_owned();
            remap.push("=");
            remap.push(to);
            command.arg("--remap-path-prefix").arg(remap);
        }
        command
    }

    fn build_library(&self, target: &Target) -> Result<()> {
        let mut command = self.rustc(target);
        command.args(["--crate-name", "guests", "--crate-type", "rlib", "src/lib.rs", "-o"]);
        output(command.arg(self.out.join(target.library())))?;
        Ok(())
    }

    fn build_image(&self, target: &Target, program: &str) -> Result<PathBuf> {
        let image = self.out.join(target.image(program));
        let mut command = self.rustc(target);
        command.args(["--crate-name", program, "--crate-type", "bin"]);
        command.arg(format!("image/{program}.rs"));
        command.arg("--extern").arg(concat("guests=", self.out.join(target.library()).as_os_str()));
        let script = self.manifest.join(format!("image/{}.ld", target.name));
        command.arg("-C").arg(concat("link-arg=-T", script.as_os_str()));
        // No build id, and no version of the linker in the file.
        for option in ["strip=symbols", "link-arg=--build-id=none", "link-arg=--no-eh-frame-hdr"] {
            command.args(["-C", option]);
        }
        output(command.arg("-o").arg(&image))?;
        Ok(image)
    }
}

fn concat(prefix: &str, rest: &OsStr) -> std::ffi::OsString {
    let mut whole = std::ffi::OsString::from(prefix);
    whole.push(rest);
    whole
}

/// Runs a command and returns what it printed; an error holds what it complained of.
fn output(command: &mut Command) -> Result<String> {
    let result = command.output()?;
    if !result.status.success() {
        return Err(format!("{command:?} failed:\n{}", String::from_utf8_lossy(&result.stderr)).into());
    }
    Ok(String::from_utf8(result.stdout)?)
}
