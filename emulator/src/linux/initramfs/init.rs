//! The guest's `/init`: a script for busybox's shell.

use std::fmt::Write as _;

use super::{INIT_FAILED, InitramfsError, MAX_COMMAND, Task};

/// How often a missing disk is looked for, and the pause between, in seconds: 10 s and what looking takes.
const DISK_TRIES: u32 = 500;
const DISK_PAUSE: &str = "0.02";

/// The script that loads `modules` (paths without the first slash), waits for `disks` and does `task`.
pub(super) fn script(modules: &[String], disks: &[&str], task: &Task) -> Result<String, InitramfsError> {
    let mut script = preamble();
    for module in modules {
        // Writing to a string cannot fail.
        let _ = writeln!(script, "insmod {} || fail 'a module does not load'", quoted(&format!("/{module}")));
    }
    for disk in disks {
        let device = disk.strip_prefix("/dev/").filter(|name| !name.is_empty() && !name.contains('\0'));
        device.ok_or_else(|| InitramfsError::Disk((*disk).to_owned()))?;
        let _ = writeln!(script, "disk {}", quoted(disk));
    }
    match task {
        Task::Shell => script.push_str(SHELL),
        Task::Exec(command) => {
            if command.contains('\0') {
                return Err(InitramfsError::CommandNul);
            }
            if command.len() > MAX_COMMAND {
                return Err(InitramfsError::CommandLength(command.len()));
            }
            let _ = writeln!(script, "{EXEC_NEEDS}sh -c {} </dev/null >&3 2>&3 3>&-", quoted(command));
        }
    }
    script.push_str("finish $?\n");
    Ok(script)
}

/// What comes before modules and disks.
///
/// A shell that is process 1 must not end: the kernel would panic. So the trap is there for what ends a
/// shell against its will, such as a redirection that fails.
///
/// Nothing may follow the trailer, so whatever the task has left running ends before it. The line is set once
/// more, for the task may have set it otherwise. `stty` does so only when all that was written has been sent,
/// so the last call is what waits for the trailer. Until busybox is installed its programs have no names.
fn preamble() -> String {
    format!(
        r#"#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
line=

finish() {{
    trap - EXIT
    if [ -n "$line" ]; then
        kill -9 -1 2>/dev/null
        /bin/busybox stty raw -echo <&3
        printf '\000exit %s\n' "$1" >&3
        /bin/busybox stty raw <&3
    fi
    /bin/busybox poweroff -f
    exit "$1"
}}

fail() {{
    echo "init: $*" >&2
    finish {INIT_FAILED}
}}

disk() {{
    tries=0
    until [ -b "$1" ]; do
        [ $tries -lt {DISK_TRIES} ] || fail "$1 has not appeared"
        tries=$((tries + 1))
        sleep {DISK_PAUSE}
    done
}}

trap 'finish {INIT_FAILED}' EXIT
/bin/busybox mount -t proc proc /proc || fail 'cannot mount /proc'
/bin/busybox mount -t devtmpfs devtmpfs /dev || fail 'cannot mount /dev'
if [ -c /dev/ttyAMA1 ]; then
    exec 3<>/dev/ttyAMA1
    /bin/busybox stty raw -echo 115200 <&3 && line=3
fi
/bin/busybox --install -s || fail 'cannot link the programs of busybox'
mount -t sysfs sysfs /sys || fail 'cannot mount /sys'
mount -t tmpfs tmpfs /tmp -o mode=1777 || fail 'cannot mount /tmp'
mount -t tmpfs tmpfs /run -o mode=755 || fail 'cannot mount /run'
[ ! -d /sys/kernel/debug ] || mount -t debugfs debugfs /sys/kernel/debug
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
"#
    )
}

/// `cttyhack` opens the kernel's console as a terminal that has job control, which /dev/console has not.
const SHELL: &str = "export PS1='\\w \\$ '\nsetsid cttyhack sh 3>&-\n";

/// A command's output has no other way.
const EXEC_NEEDS: &str = "[ -n \"$line\" ] || fail 'there is no second serial line /dev/ttyAMA1'\n";

/// One word for a shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
