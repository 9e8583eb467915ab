//! Dependencies first.

use std::collections::{BTreeSet, VecDeque};

use super::{Module, ModuleError, ModuleTree, canonical};

/// The longest chain of dependencies. Those of real kernels have fewer than 20 links.
const MAX_DEPTH: usize = 64;

/// The modules that load `names`, in order.
pub(super) fn load_order(tree: &ModuleTree, names: &[&str]) -> Result<Vec<Module>, ModuleError> {
    let mut order =
        Order { tree, done: BTreeSet::new(), chain: Vec::new(), after: VecDeque::new(), modules: Vec::new() };
    for name in names {
        order.require(&canonical(name))?;
        while let Some(other) = order.after.pop_front() {
            order.add(&other)?;
        }
    }
    Ok(order.modules)
}

struct Order<'a> {
    tree: &'a ModuleTree,
    /// What needs no further look.
    done: BTreeSet<String>,
    /// The modules whose dependencies are being looked at, each because of the one before.
    chain: Vec<String>,
    /// What should be loaded after those that are done. A chain of these may be of any length, so none is
    /// looked at within another.
    after: VecDeque<String>,
    modules: Vec<Module>,
}

impl Order<'_> {
    /// Adds `name` and what it depends on; it must be there.
    fn require(&mut self, name: &str) -> Result<(), ModuleError> {
        if let Some(start) = self.chain.iter().position(|link| link == name) {
            return Err(ModuleError::Cycle(self.chain[start..].to_vec()));
        }
        if self.add(name)? {
            return Ok(());
        }
        match self.by_alias(name)? {
            // An alias of a module that waits for this very dependency would be a cycle.
            Some(module) => self.require(&module),
            None => Err(ModuleError::Missing { name: name.to_owned(), by: self.chain.last().cloned() }),
        }
    }

    /// Adds `name` if the kernel has it and it is not being added already.
    fn wish(&mut self, name: &str) -> Result<(), ModuleError> {
        if !self.chain.iter().any(|link| link == name) {
            self.add(name)?;
        }
        Ok(())
    }

    /// Adds `name`, and says whether the kernel has it.
    fn add(&mut self, name: &str) -> Result<bool, ModuleError> {
        let tree = self.tree;
        if self.done.contains(name) || tree.builtin.contains(name) || tree.aliases.contains(name) {
            return Ok(true);
        }
        let Some(file) = tree.files.get(name) else { return Ok(false) };
        if self.chain.len() == MAX_DEPTH {
            return Err(ModuleError::Deep(name.to_owned()));
        }
        let (module, info) = tree.read(name, file)?;
        self.chain.push(name.to_owned());
        info.before.iter().try_for_each(|other| self.wish(other))?;
        info.depends.iter().try_for_each(|other| self.require(other))?;
        self.chain.pop();
        self.done.insert(name.to_owned());
        self.modules.push(module);
        self.after.extend(info.after);
        Ok(true)
    }

    /// The module that has the alias `name`. Without the index that an installed kernel has, every module is
    /// asked: this takes seconds, before a name is found to be wrong.
    fn by_alias(&self, name: &str) -> Result<Option<String>, ModuleError> {
        for (module, file) in &self.tree.files {
            let (_, info) = self.tree.read(module, file)?;
            if info.name.as_deref() == Some(name) || info.aliases.iter().any(|alias| alias == name) {
                return Ok(Some(module.clone()));
            }
        }
        Ok(None)
    }
}
