// SPDX-License-Identifier: GPL-2.0

//! `nsinspect`: tasks, namespaces and mounts of the whole system, as one text in
//! `/proc/nsinspect`.
//!
//! Data flows one way, and each part knows only what stands before it:
//!
//! * [`sys`] wraps the kernel's structures. It is the only place with `unsafe` code.
//! * [`query`] says which records a reader wants.
//! * [`snapshot`] collects what they say into plain data of its own.
//! * [`render`] writes that as text, in the pieces of [`text`].
//! * [`proc_file`] ties them together: it decides who may read, and when a snapshot is taken.
//!
//! When the module is loaded, [`built_for`] sees to it that this is the right kernel, and [`line_check`]
//! that its lines of mounts are what is expected. [`steps`] counts what they all do, for tests only.

mod built_for;
mod line_check;
mod proc_file;
mod query;
mod render;
mod snapshot;
mod steps;
mod sys;
mod text;

use core::borrow::Borrow;
use kernel::prelude::*;
use proc_file::NsInspectFile;
use snapshot::Sources;
use sys::procfs::Registration;

module! {
    type: NsInspect,
    name: "nsinspect",
    authors: ["The nsinspect developers"],
    description: "Tasks, namespaces and mounts in one consistent read",
    license: "GPL",
    params: {
        max_memory: u64 {
            default: 0,
            description: "The most memory that a read may take, in bytes (default: an eighth of the machine's, at most 1 GiB)",
        },
    },
}

/// The module, as long as it is loaded.
struct NsInspect {
    /// Dropped first and last: when it is, no code of the module runs any more.
    _file: Registration<NsInspectFile>,
    #[cfg(CONFIG_KUNIT = "y")]
    _steps: steps::Shown,
}

impl kernel::Module for NsInspect {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        built_for::check()?;
        let mut sources = Sources::find(number(module_parameters::max_memory.value()))?;
        line_check::check(&mut sources)?;
        Ok(Self {
            _file: Registration::new(c"nsinspect", sources)?,
            #[cfg(CONFIG_KUNIT = "y")]
            _steps: steps::show()?,
        })
    }
}

/// A parameter's value, of which the kernel crate of 7.2 lends a reference.
fn number(value: impl Borrow<u64>) -> u64 {
    *value.borrow()
}
