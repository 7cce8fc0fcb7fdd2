// SPDX-License-Identifier: GPL-2.0

//! How many steps the module has taken through the kernel's structures and its own: so that a test
//! can tell whether what a read does grows as what there is to show, or faster.
//!
//! They are counted on kernels with KUnit alone, and shown in `/sys/kernel/debug/nsinspect/steps` there.
//! On all others nothing of this is left.

#![deny(unsafe_code)]

#[cfg(CONFIG_KUNIT = "y")]
pub(crate) use counted::{
    show,
    Shown, //
};

/// One step.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// From one process or thread to the next.
    Task,
    /// From one number in the initial pid namespace to the next.
    Number,
    /// From one namespace to the next.
    Namespace,
    /// From one mount to the next, or to the one that it is mounted on, or below.
    Mount,
    /// From one directory to its parent.
    Name,
    /// From one place of a table to the next, or a comparison in a search.
    Probe,
    /// Back to an earlier place in a list of tasks: the one where a walk paused was reaped.
    Lost,
}

/// Counts a step.
#[inline(always)]
pub(crate) fn count(_step: Step) {
    #[cfg(CONFIG_KUNIT = "y")]
    counted::count(_step);
}

/// Is called where a walk that holds no lock rests, and lasts for a while where steps are counted: so
/// that what may happen meanwhile, and hardly ever does, happens under test. May sleep.
#[inline(always)]
pub(crate) fn rest() {
    #[cfg(CONFIG_KUNIT = "y")]
    kernel::time::delay::fsleep(kernel::time::Delta::from_millis(1));
}

#[cfg(CONFIG_KUNIT = "y")]
mod counted {
    use super::Step;
    use kernel::{
        debugfs::{
            Dir,
            File,
            Writer, //
        },
        fmt,
        prelude::*,
        sync::atomic::{
            Atomic,
            Relaxed, //
        },
    };

    /// A counter for each [`Step`].
    struct Counters {
        task: Atomic<u64>,
        number: Atomic<u64>,
        namespace: Atomic<u64>,
        mount: Atomic<u64>,
        name: Atomic<u64>,
        probe: Atomic<u64>,
        lost: Atomic<u64>,
    }

    static COUNTERS: Counters = Counters {
        task: Atomic::new(0),
        number: Atomic::new(0),
        namespace: Atomic::new(0),
        mount: Atomic::new(0),
        name: Atomic::new(0),
        probe: Atomic::new(0),
        lost: Atomic::new(0),
    };

    pub(super) fn count(step: Step) {
        let counter = match step {
            Step::Task => &COUNTERS.task,
            Step::Number => &COUNTERS.number,
            Step::Namespace => &COUNTERS.namespace,
            Step::Mount => &COUNTERS.mount,
            Step::Name => &COUNTERS.name,
            Step::Probe => &COUNTERS.probe,
            Step::Lost => &COUNTERS.lost,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// What the file shows: all steps since the module was loaded.
    pub(crate) struct Total;

    impl Writer for Total {
        fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            writeln!(
                f,
                "task={} number={} namespace={} mount={} name={} probe={} lost={}",
                COUNTERS.task.load(Relaxed),
                COUNTERS.number.load(Relaxed),
                COUNTERS.namespace.load(Relaxed),
                COUNTERS.mount.load(Relaxed),
                COUNTERS.name.load(Relaxed),
                COUNTERS.probe.load(Relaxed),
                COUNTERS.lost.load(Relaxed),
            )
        }
    }

    /// The file; it goes when this is dropped.
    pub(crate) type Shown = Pin<KBox<File<Total>>>;

    /// Makes it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn show() -> Result<Shown> {
        let directory = Dir::new(c"nsinspect");
        KBox::pin_init(directory.read_only_file(c"steps", Total), GFP_KERNEL)
    }
}
