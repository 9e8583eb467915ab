//! The protocol between DMA and invalidation, in every order and with every value that the memory
//! model allows (by loom): no DMA lands through a translation whose invalidation has completed.
//!
//! The files checked are those of the library, compiled a second time against loom's atomics: they
//! take theirs from `crate::sync`, and here that is another module. What is played here is what stands
//! around them: a table of one entry, two pages, a device that translates by cache and table as the
//! translating half of a unit does, and the control half that invalidates.
//!
//! A page is a cell whose accesses loom tracks. Where software takes back a page while a DMA may still
//! reach it, or reaches it without the DMA having happened before, loom reports two concurrent
//! accesses.
#![allow(missing_docs, unsafe_code, reason = "a test; loom's cells are read through pointers")]

mod cases;
mod model;
mod sync;

#[expect(dead_code, reason = "compiled for the model, which needs less than the library offers")]
#[path = "../../src/iommu/cache.rs"]
mod cache;
#[path = "../../src/fabric/guard.rs"]
mod guard;
