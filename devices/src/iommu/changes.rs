//! How a control half changes the half that translates.

use std::sync::Arc;

/// A translating half, as far as its changes have an end.
pub(crate) trait Complete {
    /// Returns when no request is under way any more that may go by what the changes before replaced.
    fn complete(&self);
}

/// The back end as the control half keeps it: changes are collected, and completed together before
/// software can see that any of them is.
pub(crate) struct Changes<B: ?Sized> {
    back_end: Arc<B>,
    open: bool,
}

impl<B: Complete + ?Sized> Changes<B> {
    pub fn new(back_end: Arc<B>) -> Self {
        Self { back_end, open: false }
    }

    /// To make one more change.
    pub fn make(&mut self) -> &B {
        self.open = true;
        &self.back_end
    }

    /// Completes the changes made so far.
    pub fn complete(&mut self) {
        if std::mem::take(&mut self.open) {
            self.back_end.complete();
        }
    }
}
