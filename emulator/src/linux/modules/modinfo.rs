//! What a module says of itself: the strings `key=value` of its section `.modinfo`.

use object::LittleEndian;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};
use thiserror::Error;

use super::canonical;

/// The most bytes of the section. The drivers with the longest lists of devices have less than 1 MiB, and
/// each name in it takes ten times its length here.
const MAX_SECTION: u64 = 4 << 20;

/// What of a module's information decides what is loaded, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// Its name, if it says so: modules of old kernels do not.
    pub name: Option<String>,
    /// Modules that must be there before.
    pub depends: Vec<String>,
    /// Modules that should be loaded before, where the kernel has them.
    pub before: Vec<String>,
    /// Modules that should be loaded after, where the kernel has them.
    pub after: Vec<String>,
    /// Other names, some of them patterns.
    pub aliases: Vec<String>,
}

/// Why a file is no module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotModule {
    /// Not an object file, or a damaged one.
    #[error("it is not a little-endian ELF64 file")]
    Elf,
    /// An object file of something else.
    #[error("it has no section .modinfo")]
    Section,
    /// More information than any module has.
    #[error("its section .modinfo has more than 4 MiB")]
    Large,
}

impl ModInfo {
    /// Reads the section of the ELF64 file `object`.
    ///
    /// # Errors
    /// [`NotModule`].
    pub fn parse(object: &[u8]) -> Result<Self, NotModule> {
        let file = ElfFile64::<LittleEndian>::parse(object).map_err(|_| NotModule::Elf)?;
        let section = file.section_by_name(".modinfo").ok_or(NotModule::Section)?;
        if section.size() > MAX_SECTION {
            return Err(NotModule::Large);
        }
        Ok(Self::from_strings(section.data().map_err(|_| NotModule::Elf)?))
    }

    /// Reads strings that end in NUL. What is not text is no name of anything, and passed over.
    pub(super) fn from_strings(section: &[u8]) -> Self {
        let mut info = Self::default();
        for string in section.split(|byte| *byte == 0) {
            let Some((key, value)) = str::from_utf8(string).ok().and_then(|text| text.split_once('=')) else {
                continue;
            };
            match key {
                "name" => info.name = Some(canonical(value)),
                "depends" => {
                    info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(canonical));
                }
                "softdep" => info.soft_dependency(value),
                "alias" => info.aliases.push(canonical(value)),
                _ => {}
            }
        }
        info
    }

    /// `pre: a b post: c`
    fn soft_dependency(&mut self, value: &str) {
        let mut list = None;
        for word in value.split_ascii_whitespace() {
            match word {
                "pre:" => list = Some(&mut self.before),
                "post:" => list = Some(&mut self.after),
                name => {
                    if let Some(list) = &mut list {
                        list.push(canonical(name));
                    }
                }
            }
        }
    }
}
