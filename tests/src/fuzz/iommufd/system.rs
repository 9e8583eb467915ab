//! What a process does other than ioctls on an iommufd: files, memory, processes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use iommufd::file::{File, MapRequest, Ready, Wake};
use iommufd::process::UserMemory;
use iommufd::span::Span;
use iommufd::uapi::HwptPageResponse;
use zerocopy::IntoBytes;

use super::call::Call;
use super::draw::{DATA, FILE, HUGE, LIBRARY, PRIVATE, Region, SHARED};
use super::world::What;
use crate::simulated::{Descriptor, HUGE_PAGE, MemFd, PAGE, Sharing};

impl Call<'_> {
    /// Closes a file: one of few that hold others up, or any.
    pub fn close(&mut self) {
        let nth = self.draw.bits(4) as usize;
        let actor = self.world.actor();
        let count = actor.open.len();
        let fd = match nth {
            15 => -1,
            _ if count == 0 => nth as i32,
            _ => actor.open.remove(count - 1 - nth % count).fd,
        };
        let _ = self.world.act(|| format!("close {fd}"), |actor| actor.process.close(fd));
    }

    /// Reads from a queue.
    pub fn read(&mut self) {
        let fd = self.queue();
        let address = self.draw.pointer();
        let count = self.draw.one(&[40, 12, 400, 80, 8, 0, 39, 41, 20, 4096, 24, 100_000]);
        let _ = self.world.act(
            || format!("read {count} bytes of {fd} to {address:#x}"),
            |actor| actor.process.read(fd, address, count),
        );
    }

    /// Answers page requests.
    pub fn write(&mut self) {
        let fd = self.queue();
        let mut answers = [HwptPageResponse::default(); 3];
        for answer in &mut answers {
            *answer = HwptPageResponse {
                cookie: self.draw.bits(3) as u32,
                code: self.rarely(3) ^ self.draw.bits(1) as u32,
            };
        }
        self.world.actor().place(answers.as_bytes());
        let address = self.draw.pointer();
        let count = self.draw.one(&[8, 16, 24, 0, 7, 9, 4096]);
        let _ = self.world.act(
            || format!("write {count} bytes at {address:#x} to {fd}: {answers:?}"),
            |actor| actor.process.write(fd, address, count),
        );
    }

    /// Polls, and asks to be woken.
    pub fn poll(&mut self) {
        let fd = self.queue();
        let _ = self.world.act(|| format!("poll {fd}"), |actor| actor.process.poll(fd));
        if self.draw.flag()
            && let Some(file) = self.world.actor().file(fd)
        {
            file.watch(Arc::new(Poller { file: Arc::downgrade(&file), awake: AtomicBool::new(false) }));
        }
    }

    fn queue(&mut self) -> i32 {
        let what = self.draw.one(&[What::Faults, What::Events, What::Faults, What::Access]);
        self.world.descriptor(&mut self.draw, what)
    }

    /// Maps a file of the library.
    pub fn mmap(&mut self) {
        let fd = match self.rarely(1) {
            0 => self.fd,
            _ => self.world.descriptor(&mut self.draw, What::Faults),
        };
        let nth = self.draw.bits(2) as usize;
        let windows = self.world.known(self.context).map(|known| known.windows.clone()).unwrap_or_default();
        let known = windows.len().checked_sub(1).map(|last| windows[last - nth % windows.len()]);
        let (offset, bytes) = known.unwrap_or((PAGE, 2 * PAGE));
        let offset = offset.wrapping_add(self.draw.one(&[0, 0, 0, PAGE, PAGE.wrapping_neg(), 1 << 63]));
        let bytes = bytes.wrapping_add(self.draw.one(&[0, 0, 0, 0, PAGE, PAGE.wrapping_neg(), 1 << 40]));
        let request =
            MapRequest { offset, bytes, shared: self.rarely(1) == 0, executable: self.rarely(1) == 1 };
        let address = LIBRARY.start + self.draw.bits(2) * 2 * PAGE;
        let place = self.world.turn;
        let _ = self.world.act(
            || format!("mmap {fd} at {address:#x}: {request:x?}"),
            |actor| actor.process.mmap(address, fd, request),
        );
        self.world.seen(place);
    }

    fn pages(&mut self) -> Span {
        let region = self.draw.one(&[SHARED, PRIVATE, FILE, HUGE, LIBRARY]);
        let first = self.draw.bits(6) % region.pages;
        let count = (self.draw.bits(6) + 1).min(region.pages - first);
        Region { start: region.start + first * PAGE, pages: count }.span()
    }

    /// `munmap(2)`.
    pub fn munmap(&mut self) {
        let span = self.pages();
        let _ = self.world.act(|| format!("munmap {span:x?}"), |actor| actor.process.memory.unmap(span));
    }

    /// Maps other pages in place of those there are, or makes them read-only.
    pub fn remap(&mut self) {
        let span = self.pages();
        let (how, place) = (self.draw.bits(3), self.world.turn);
        let _ = self.world.act(
            || format!("map anew {span:x?} ({how})"),
            |actor| {
                let memory = &actor.process.memory;
                match how {
                    0..3 => memory.map_anonymous(span, Sharing::Shared, PAGE),
                    3 => memory.map_anonymous(span, Sharing::Private, PAGE),
                    4 => memory.map_anonymous(HUGE.span(), Sharing::Shared, HUGE_PAGE),
                    _ => memory.protect(span),
                }
            },
        );
        self.world.seen(place);
    }

    /// Makes a file of memory, maps it, and perhaps cuts it off.
    pub fn memfd(&mut self) {
        let pages = self.draw.bits(5) + 1;
        let (place, shrink) = (self.world.turn, self.draw.flag());
        let first = self.draw.bits(6) % FILE.pages;
        let at = Region { start: FILE.start + first * PAGE, pages: pages.min(FILE.pages - first) };
        let _ = self.world.act(
            || format!("memfd of {pages} pages at {:x?}, cut off: {shrink}", at.span()),
            |actor| {
                let file = MemFd::new(pages * PAGE, PAGE)?;
                actor.process.memory.map_memfd(at.span(), &file, 0)?;
                if shrink {
                    file.shrink(PAGE);
                }
                let fd = actor.process.descriptors.open(Descriptor::Memory(file));
                actor.opened(fd, What::MemFd);
                fd
            },
        );
        self.world.seen(place);
    }

    /// Writes to the data that pointers point to, and to memory that may be mapped.
    pub fn scatter(&mut self) {
        let value = self.draw.bits(32);
        let offset = self.draw.bits(12);
        let _ = self.world.act(
            || format!("write {value:#x} at {offset:#x}"),
            |actor| {
                actor.process.memory.write(DATA.start + offset, &value.to_ne_bytes())?;
                actor.process.memory.write(SHARED.start + offset * 8, &value.to_ne_bytes())
            },
        );
    }

    /// A request by its number, with what lies at the data as its structure.
    pub fn raw(&mut self) {
        let request = (self.draw.bits(8) | 0x3b00) as u32;
        let words: [u32; 12] = std::array::from_fn(|nth| match nth {
            0 => 48,
            _ => self.draw.bits(5) as u32,
        });
        self.world.actor().place(words.as_bytes());
        let address = self.draw.pointer();
        let (fd, context) = (self.fd, self.context);
        self.world.dma_bufs = true;
        let _ = self.world.act(
            || format!("fd {fd}: request {request:#x} with {words:?} at {address:#x}"),
            |actor| actor.process.ioctl(fd, request, address),
        );
        if let Some(known) = self.world.known(context) {
            known.may_make(4);
            known.unsure();
        }
    }
}

/// One who looks again when told: with a lock of the library held, that would not return.
struct Poller {
    file: Weak<dyn File>,
    awake: AtomicBool,
}

impl Wake for Poller {
    fn wake(&self) {
        // What is told while it looks, it sees.
        if self.awake.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(file) = self.file.upgrade() {
            let ready = file.poll();
            assert!((Ready::IN | Ready::OUT).contains(ready), "{ready:?}");
        }
        self.awake.store(false, Ordering::Relaxed);
    }
}
