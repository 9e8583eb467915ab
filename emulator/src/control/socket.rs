//! The thread that moves lines between clients and whoever runs the machine.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::MAX_LINE;

/// How long a client may leave its answer unread.
const PATIENCE: Duration = Duration::from_secs(5);

/// A command, and where its answer goes.
#[derive(Debug)]
pub(super) struct Call {
    pub line: String,
    pub reply: Sender<String>,
}

/// A listening socket; dropping it sends clients away.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    /// `None` only while it is dropped.
    calls: Option<Receiver<Call>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    closing: AtomicBool,
    client: Mutex<Option<UnixStream>>,
}

impl Shared {
    fn client(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        // A client waits for its answer, and there is one client at a time.
        let (sender, calls) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let thread = Builder::new().name("control".into()).spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared, &sender)
        })?;
        Ok(Self { path: path.to_owned(), calls: Some(calls), shared, thread: Some(thread) })
    }

    /// The command that waits, if one does.
    pub fn waiting(&self) -> Option<Call> {
        self.calls.as_ref()?.try_recv().ok()
    }

    /// Waits for a command; `None` if none will ever come.
    pub fn wait(&self) -> Option<Call> {
        self.calls.as_ref()?.recv().ok()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // Whoever waits for an answer learns that none will come.
        self.calls = None;
        if let Some(client) = self.shared.client().take() {
            // The answer to `quit` may still be on its way out.
            let _ = client.shutdown(Shutdown::Read);
        }
        // Wakes the thread where it waits for a client; without a socket there it has ended already.
        if UnixStream::connect(&self.path).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, shared: &Shared, calls: &SyncSender<Call>) {
    for client in listener.incoming() {
        if shared.closing.load(Ordering::Acquire) {
            return;
        }
        let Ok(client) = client else { continue };
        // A client that does not read shall not keep the server from closing.
        let Ok(()) = client.set_write_timeout(Some(PATIENCE)) else { continue };
        let Ok(copy) = client.try_clone() else { continue };
        *shared.client() = Some(copy);
        // The server may have begun to close between the look above and here.
        if shared.closing.load(Ordering::Acquire) {
            return;
        }
        // An error means that the client has gone, or the server.
        let _ = converse(&client, calls);
        shared.client().take();
    }
}

fn converse(client: &UnixStream, calls: &SyncSender<Call>) -> io::Result<()> {
    let mut input = BufReader::new(client);
    let mut output = client;
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    while let Some(line) = next_line(&mut input)? {
        let answer = match line {
            Ok(line) => {
                let (reply, answer) = channel();
                calls.send(Call { line, reply }).map_err(|_| io::ErrorKind::BrokenPipe)?;
                answer.recv().map_err(gone)?
            }
            Err(why) => format!("error: {why}"),
        };
        writeln!(output, "{answer}")?;
    }
    Ok(())
}

/// The next line, or what is wrong with it; `None` at the end.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Result<String, String>>> {
    let mut line = Vec::new();
    // The newline counts too.
    input.take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        let line = String::from_utf8(line).map_err(|_| "the line is not text".to_owned());
        return Ok(Some(line));
    }
    if line.len() <= MAX_LINE {
        // What follows the last newline is no command.
        return Ok(None);
    }
    // The rest of the line is not looked at.
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        input.consume(used);
        if used == 0 {
            return Ok(None);
        }
        if end.is_some() {
            return Ok(Some(Err(format!("the line is longer than {MAX_LINE} bytes"))));
        }
    }
}
