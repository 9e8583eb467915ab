//! The kernel's command line.

/// After a panic the machine is reset, which ends the run. Half of a boot of Debian's kernel would go into
/// tests of ciphers.
const ALWAYS: &str = "console=ttyAMA0 panic=-1 cryptomgr.notests";

/// What is told to the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Whether the kernel keeps its messages to itself.
    pub quiet: bool,
    /// The user's terminal.
    pub terminal: Option<Terminal>,
    /// The user's words. The kernel takes the last of what contradicts each other.
    pub append: String,
}

/// What is known of a terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Its kind, as TERM names it.
    pub kind: Option<String>,
    /// Columns and rows.
    pub size: Option<(u16, u16)>,
}

impl Words {
    /// The whole of it.
    pub fn command_line(&self) -> String {
        let Self { quiet, terminal, append } = self;
        let mut line = ALWAYS.to_owned();
        if *quiet {
            line += " quiet";
        }
        // What the kernel does not know is in /init's environment: a serial line has no size of its own.
        if let Some(Terminal { kind, size }) = terminal {
            if let Some(kind) = kind.as_deref().filter(|kind| is_kind(kind)) {
                line += &format!(" TERM={kind}");
            }
            if let Some((columns, rows)) = size {
                line += &format!(" COLUMNS={columns} LINES={rows}");
            }
        }
        if !append.is_empty() {
            line += &format!(" {append}");
        }
        line
    }
}

/// Whether this is a name of a kind of terminal, and not something that would end the word.
fn is_kind(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_were_asked_for() {
        let terminal = |kind: &str| Some(Terminal { kind: Some(kind.to_owned()), size: Some((132, 40)) });
        for (quiet, terminal, append, line) in [
            (false, None, "", ""),
            (true, None, "iommu.strict=1 debug", " quiet iommu.strict=1 debug"),
            (false, terminal("xterm-256color"), "", " TERM=xterm-256color COLUMNS=132 LINES=40"),
            (false, terminal("x init=/bin/false"), "a", " COLUMNS=132 LINES=40 a"),
            (false, terminal(""), "", " COLUMNS=132 LINES=40"),
            (false, Some(Terminal { kind: Some("vt100".to_owned()), size: None }), "", " TERM=vt100"),
        ] {
            let words = Words { quiet, terminal, append: append.to_owned() };
            assert_eq!(words.command_line(), format!("console=ttyAMA0 panic=-1 cryptomgr.notests{line}"));
        }
    }
}
