// SPDX-License-Identifier: GPL-2.0

//! Reads `/proc/nsinspect`: how tasks, namespaces and mounts of a Linux system hang together.
//!
//! Data goes one way. [`source`] gives the bytes of a text, from the live file or a saved one; [`text`] makes typed
//! records of them, which borrow from it; [`system`] is the picture that they make together; [`identity`] says which
//! container a process belongs to; [`changes`] compares two pictures; [`audit`] says what is wrong in one. What the command
//! `nsinspect` does with these is in `commands` and `output`.
//!
//! ```no_run
//! use nsinspect::{source::{Query, Source}, system::System};
//!
//! let source = Source::live()?;
//! let text = source.ask(&Query::show("ns,tasks"))?;
//! let system = System::read(&text)?;
//! for task in &system.tasks {
//!     println!("{} is {} in there", task.pid, task.own_number().unwrap_or(0));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "command")]
pub mod args;
pub mod audit;
pub mod changes;
#[cfg(feature = "command")]
pub mod commands;
pub mod identity;
#[cfg(feature = "command")]
pub mod output;
pub mod source;
pub mod syscalls;
pub mod system;
pub mod text;
#[cfg(feature = "command")]
pub mod what;
