use expect_test::expect;
use tempfile::TempDir;

use super::*;
use crate::linux::ModuleTree;

/// A path, its mode and its content, of every entry as another reader of the format sees them.
fn entries(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut entries = Vec::new();
    loop {
        let mut reader = cpio::NewcReader::new(archive).unwrap();
        let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
        if reader.entry().is_trailer() {
            return entries;
        }
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut data).unwrap();
        entries.push((name, mode, data));
        archive = reader.finish().unwrap();
    }
}

fn parts<'a>(task: Task, files: &'a [GuestFile]) -> Initramfs<'a> {
    Initramfs { busybox: b"busybox", modules: &[], disks: &[], task, files }
}

fn exec(command: &str) -> Task {
    Task::Exec(command.to_owned())
}

fn file(path: &str) -> GuestFile {
    GuestFile { path: path.to_owned(), mode: 0o755, data: path.as_bytes().to_vec() }
}

fn init(parts: &Initramfs<'_>) -> String {
    let archive = build(parts).unwrap();
    let init = entries(&archive).into_iter().find(|(path, _, _)| path == "init").unwrap().2;
    String::from_utf8(init).unwrap()
}

/// What `/init` does after its preparations.
fn end_of_init(parts: &Initramfs<'_>) -> String {
    init(parts).split_once("/dev/stderr\n").unwrap().1.to_owned()
}

#[test]
fn everything_is_where_a_kernel_looks_for_it() {
    let files = [file("/opt/tool/bin/run"), file("/etc/motd"), file("/usr/bin/dd")];
    let archive = build(&parts(Task::Shell, &files)).unwrap();
    let list: String = entries(&archive)
        .iter()
        .map(|(path, mode, data)| match path.as_str() {
            "init" => format!("{mode:06o} init\n"),
            _ => format!("{mode:06o} {path} {}\n", String::from_utf8_lossy(data)).replace(" \n", "\n"),
        })
        .collect();
    expect![[r#"
        040755 bin
        040755 dev
        040755 etc
        040755 lib
        040755 lib/modules
        040755 opt
        040755 opt/tool
        040755 opt/tool/bin
        040555 proc
        040700 root
        040755 run
        040755 sbin
        040555 sys
        041777 tmp
        040755 usr
        040755 usr/bin
        040755 usr/sbin
        020600 dev/console
        020666 dev/null
        100755 bin/busybox busybox
        100755 etc/motd /etc/motd
        100755 init
        100755 opt/tool/bin/run /opt/tool/bin/run
        100755 usr/bin/dd /usr/bin/dd
    "#]]
    .assert_eq(&list);
}

#[test]
fn the_same_parts_give_the_same_bytes() {
    let build = |files: &[GuestFile]| build(&parts(exec("true"), files)).unwrap();
    let (one, other) = ([file("/a"), file("/b")], [file("/b"), file("/a")]);
    assert_eq!(build(&one), build(&one));
    // Not even the order in which files are named shows.
    assert_eq!(build(&one), build(&other));
    assert_ne!(build(&one), build(&one[..1]));
}

#[test]
fn init_does_the_task_and_tells_its_status() {
    expect![[r#"
        [ -n "$line" ] || fail 'there is no second serial line /dev/ttyAMA1'
        sh -c 'echo '\''$HOME'\'' "\
        "' </dev/null >&3 2>&3 3>&-
        finish $?
    "#]]
    .assert_eq(&end_of_init(&parts(exec("echo '$HOME' \"\\\n\""), &[])));
    expect![[r#"
        export PS1='\w \$ '
        setsid cttyhack sh 3>&-
        finish $?
    "#]]
    .assert_eq(&end_of_init(&parts(Task::Shell, &[])));
}

/// Processes that the task has left would write behind its status.
#[test]
fn nothing_comes_behind_the_status() {
    let init = init(&parts(exec("true"), &[]));
    let (_, finish) = init.split_once("finish() {\n").unwrap();
    expect![[r#"
        trap - EXIT
            if [ -n "$line" ]; then
                kill -9 -1 2>/dev/null
                /bin/busybox stty raw -echo <&3
                printf '\000exit %s\n' "$1" >&3
                /bin/busybox stty raw <&3
            fi
            /bin/busybox poweroff -f
            exit "$1""#]]
    .assert_eq(finish.split_once("\n}\n").unwrap().0.trim_start());
}

/// The object file of a module with the smallest header that is one.
fn modules() -> (TempDir, Vec<Module>) {
    let directory = tempfile::tempdir().unwrap();
    for name in ["nvme-core", "it's"] {
        let path = directory.path().join(format!("{name}.ko"));
        std::fs::write(path, crate::linux::modules::tests::object(&["name=x"])).unwrap();
    }
    let modules = ModuleTree::from_dir(directory.path()).unwrap().load_order(&["nvme_core", "it's"]).unwrap();
    (directory, modules)
}

#[test]
fn modules_and_disks_come_before_the_task() {
    let (_directory, modules) = modules();
    let parts =
        Initramfs { modules: &modules, disks: &["/dev/nvme0n1", "/dev/a'b"], ..parts(Task::Shell, &[]) };
    let end = end_of_init(&parts);
    expect![[r#"
        insmod '/lib/modules/nvme_core.ko' || fail 'a module does not load'
        insmod '/lib/modules/it'\''s.ko' || fail 'a module does not load'
        disk '/dev/nvme0n1'
        disk '/dev/a'\''b'
    "#]]
    .assert_eq(end.split_once("export").unwrap().0);
    let archive = build(&parts).unwrap();
    let stored =
        entries(&archive).into_iter().find(|(path, _, _)| path == "lib/modules/nvme_core.ko").unwrap();
    assert_eq!((stored.1, stored.2.as_slice()), (0o100_644, modules[0].data()));
}

#[test]
fn what_cannot_be_is_refused() {
    let check = |path: &str, expected: &dyn Fn(String) -> InitramfsError| {
        assert_eq!(build(&parts(Task::Shell, &[file(path)])), Err(expected(path.to_owned())), "{path}");
    };
    for path in ["", "a", "/", "/a/", "//a", "/a/../b", "/./a", "/..", "/a\0b", "./a"] {
        check(path, &InitramfsError::Path);
    }
    for path in ["/dev/x", "/proc/x/y", "/tmp/x", "/run/x", "/sys/x", "/dev"] {
        check(path, &InitramfsError::Hidden);
    }
    for path in ["/init", "/bin/busybox", "/bin", "/usr/sbin", "/lib/modules"] {
        check(path, &InitramfsError::Taken);
    }
    check("/init/x", &|_| InitramfsError::Taken("/init".to_owned()));
    check("/usr", &|_| InitramfsError::Taken("/usr".to_owned()));
    let files = [file("/a"), file("/a")];
    assert_eq!(build(&parts(Task::Shell, &files)), Err(InitramfsError::Taken("/a".to_owned())));
    let files = [file("/a"), file("/a/b")];
    assert_eq!(build(&parts(Task::Shell, &files)), Err(InitramfsError::Taken("/a".to_owned())));
    let long = format!("/{}", "n".repeat(4096));
    check(&long, &|_| InitramfsError::Cpio(CpioError::Name(4096)));

    assert_eq!(build(&parts(exec("a\0b"), &[])), Err(InitramfsError::CommandNul));
    assert_eq!(build(&parts(exec(&"x".repeat(131_072)), &[])), Err(InitramfsError::CommandLength(131_072)));
    build(&parts(exec(&"x".repeat(131_071)), &[])).unwrap();
    for disk in ["nvme0n1", "/dev/", "/etc/x", "/dev/a\0"] {
        let parts = Initramfs { disks: &[disk], ..parts(Task::Shell, &[]) };
        assert_eq!(build(&parts), Err(InitramfsError::Disk(disk.to_owned())));
    }
}
