//! Who has how much memory pinned [uapi IOMMU_OPTION_RLIMIT_MODE].
//!
//! Every pinned page counts in `VmPin` of the address space that mapped it. Against
//! `RLIMIT_MEMLOCK` it counts once per user, over all processes of that user, or per address space
//! as VFIO always did; memory mapped with `CAP_IPC_LOCK` counts against no limit.

use std::collections::BTreeMap;

use devices::addr::PAGE_SIZE;

use crate::errno::{Errno, Result};
use crate::fault_point::fault_point;
use crate::process::{Caller, Capabilities, MmId};
use crate::sync::{Mutex, lock};

/// Which limit pins count against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// None: whoever mapped has `CAP_IPC_LOCK`.
    Unlimited,
    /// The user's.
    User,
    /// The address space's.
    Mm,
}

/// Whose memory it is, as of the time it was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payer {
    pub(crate) mode: Mode,
    mm: MmId,
    uid: u32,
    limit_pages: u64,
}

impl Payer {
    /// The caller; `by_mm` where the context counts per address space.
    pub(crate) fn new(caller: &Caller<'_>, by_mm: bool) -> Self {
        let unlimited = caller.credentials.capabilities.contains(Capabilities::IPC_LOCK);
        let mode = match (unlimited, by_mm) {
            (true, _) => Mode::Unlimited,
            (false, true) => Mode::Mm,
            (false, false) => Mode::User,
        };
        Self::of(caller, mode)
    }

    /// The caller, paying in a mode that was decided before.
    pub(crate) fn of(caller: &Caller<'_>, mode: Mode) -> Self {
        Self {
            mode,
            mm: caller.memory.id(),
            uid: caller.credentials.uid,
            limit_pages: caller.credentials.memlock / PAGE_SIZE,
        }
    }

    /// Whether moving the charge to `other` changes any count.
    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        match self.mode {
            Mode::Unlimited => false,
            Mode::User => (self.uid, self.mm) != (other.uid, other.mm),
            Mode::Mm => self.mm != other.mm,
        }
    }
}

/// Pages charged to users and address spaces.
#[derive(Default)]
pub struct Accounts {
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    mms: BTreeMap<MmId, Charged>,
    users: BTreeMap<u32, u64>,
}

/// What `/proc/PID/status` shows of an address space, in 4-KiB pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charged {
    /// `VmPin`.
    pub pinned: u64,
    /// `VmLck`, the part charged here.
    pub locked: u64,
}

impl Accounts {
    /// What is charged to `mm` now.
    pub fn of_mm(&self, mm: MmId) -> Charged {
        lock(&self.counts).mms.get(&mm).copied().unwrap_or_default()
    }

    /// Pages charged to the user `uid` as locked.
    pub fn of_user(&self, uid: u32) -> u64 {
        lock(&self.counts).users.get(&uid).copied().unwrap_or(0)
    }

    /// Charges `pages`.
    ///
    /// # Errors
    /// `ENOMEM` above the payer's limit; nothing is charged then.
    pub(crate) fn charge(&self, payer: &Payer, pages: u64) -> Result<()> {
        if pages == 0 {
            return Ok(());
        }
        fault_point(Errno::ENOMEM)?;
        let mut counts = lock(&self.counts);
        let within = |count: u64| {
            let sum = count.checked_add(pages).ok_or(Errno::ENOMEM)?;
            if sum > payer.limit_pages { Err(Errno::ENOMEM) } else { Ok(sum) }
        };
        match payer.mode {
            Mode::Unlimited => {}
            Mode::User => {
                let count = counts.users.get(&payer.uid).copied().unwrap_or(0);
                counts.users.insert(payer.uid, within(count)?);
            }
            Mode::Mm => {
                let locked = counts.mms.get(&payer.mm).map_or(0, |mm| mm.locked);
                counts.mms.entry(payer.mm).or_default().locked = within(locked)?;
            }
        }
        let mm = counts.mms.entry(payer.mm).or_default();
        mm.pinned = mm.pinned.saturating_add(pages);
        Ok(())
    }

    /// Undoes a [`Self::charge`].
    pub(crate) fn uncharge(&self, payer: &Payer, pages: u64) {
        if pages == 0 {
            return;
        }
        let mut counts = lock(&self.counts);
        if let Some(mm) = counts.mms.get_mut(&payer.mm) {
            mm.pinned = mm.pinned.saturating_sub(pages);
            if payer.mode == Mode::Mm {
                mm.locked = mm.locked.saturating_sub(pages);
            }
            if *mm == Charged::default() {
                counts.mms.remove(&payer.mm);
            }
        }
        if payer.mode == Mode::User
            && let Some(user) = counts.users.get_mut(&payer.uid)
        {
            *user = user.saturating_sub(pages);
            if *user == 0 {
                counts.users.remove(&payer.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payer(mode: Mode, mm: u64, uid: u32, limit_pages: u64) -> Payer {
        Payer { mode, mm: MmId(mm), uid, limit_pages }
    }

    #[test]
    fn each_mode_has_its_own_limit() {
        for (mode, second_mm, second_uid, fits) in [
            (Mode::Unlimited, 1, 7, true),
            (Mode::User, 2, 7, false),
            (Mode::User, 1, 8, true),
            (Mode::Mm, 1, 8, false),
            (Mode::Mm, 2, 7, true),
        ] {
            let accounts = Accounts::default();
            let first = payer(mode, 1, 7, 10);
            assert_eq!(accounts.charge(&first, 10), Ok(()));
            let second = payer(mode, second_mm, second_uid, 10);
            let expected = if fits { Ok(()) } else { Err(Errno::ENOMEM) };
            assert_eq!(accounts.charge(&second, 1), expected, "{mode:?} {second_mm} {second_uid}");
            accounts.uncharge(&first, 10);
            if fits {
                accounts.uncharge(&second, 1);
            }
            assert_eq!(accounts.of_mm(MmId(1)), Charged::default());
            assert_eq!((accounts.of_user(7), accounts.of_user(8)), (0, 0));
        }
    }

    #[test]
    fn every_mode_counts_as_pinned() {
        for (mode, locked, user) in [(Mode::Unlimited, 0, 0), (Mode::User, 0, 3), (Mode::Mm, 3, 0)] {
            let accounts = Accounts::default();
            assert_eq!(accounts.charge(&payer(mode, 1, 7, 10), 3), Ok(()));
            assert_eq!(accounts.of_mm(MmId(1)), Charged { pinned: 3, locked }, "{mode:?}");
            assert_eq!(accounts.of_user(7), user, "{mode:?}");
        }
    }

    #[test]
    fn what_is_refused_is_not_counted() {
        let accounts = Accounts::default();
        assert_eq!(accounts.charge(&payer(Mode::Mm, 1, 7, 2), 3), Err(Errno::ENOMEM));
        assert_eq!(accounts.charge(&payer(Mode::User, 1, 7, 2), u64::MAX), Err(Errno::ENOMEM));
        assert_eq!((accounts.of_mm(MmId(1)), accounts.of_user(7)), (Charged::default(), 0));
    }
}
