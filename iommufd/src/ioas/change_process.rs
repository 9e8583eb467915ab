//! `IOMMU_IOAS_CHANGE_PROCESS`: another process goes on, and pays.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::Ioas;
use crate::accounting::{Mode, Payer};
use crate::ctx::Command;
use crate::errno::{Errno, Result};
use crate::pages::Pages;
use crate::sync::lock;
use crate::uapi;

pub(crate) fn change_process(command: &mut Command<'_, uapi::IoasChangeProcess>) -> Result<i64> {
    if command.reserved != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let all = lock(&command.ctx.ioas.all);
    let ioases: Vec<Arc<Ioas>> = all.values().filter_map(Weak::upgrade).collect();
    // With every table frozen, no pages are pinned or released through any.
    let frozen: Vec<_> = ioases.iter().map(|ioas| ioas.table.freeze()).collect();

    // Copies share pages: each is to be charged once.
    let mut pages: BTreeMap<usize, &Arc<Pages>> = BTreeMap::new();
    for one in frozen.iter().flat_map(|table| table.pages()) {
        if !one.is_file() {
            return Err(Errno::EINVAL);
        }
        pages.insert(Arc::as_ptr(one).addr(), one);
    }
    let moving: Vec<(&Arc<Pages>, Payer, u64)> = pages
        .into_values()
        .filter_map(|pages| {
            let (before, count) = pages.charge();
            let after = Payer::of(command.caller, before.mode);
            before.differs_from(&after).then_some((pages, after, count))
        })
        .collect();

    let accounts = &command.ctx.host.accounts;
    let total =
        |mode| moving.iter().filter(|(_, payer, _)| payer.mode == mode).map(|(.., count)| count).sum();
    let (user, mm) = (Payer::of(command.caller, Mode::User), Payer::of(command.caller, Mode::Mm));
    accounts.charge(&user, total(Mode::User))?;
    if let Err(errno) = accounts.charge(&mm, total(Mode::Mm)) {
        accounts.uncharge(&user, total(Mode::User));
        return Err(errno);
    }
    moving.into_iter().for_each(|(pages, payer, _)| pages.hand_over(payer));
    Ok(0)
}
