// SPDX-License-Identifier: GPL-2.0

//! The line of a mount, as `mountinfo` shows it.
//!
//! C: `show_mountinfo()` in [`fs/proc_namespace.c`](srctree/fs/proc_namespace.c). That function
//! cannot show a mount which its reader's root does not lead to, and it looks for `propagate_from`
//! among all peers of a slave mount's master, which takes long where there are many. So the line is
//! written here, with the file systems' own callbacks for what only they know.

use super::{
    super::{
        bindings,
        path::PathBuf,
        read_once,
        seq::{
            Seq,
            SeqBuf,
            CUT, //
        },
    },
    member,
    Mount,
    Reach, //
};
use crate::text::ByteSet;
use kernel::{
    bindings::SEQ_SKIP,
    error::to_result,
    fs::LocalFile,
    prelude::*, //
};

/// What `mountinfo` escapes in names of paths.
static PATH_SPECIAL: ByteSet = ByteSet::of(b" \t\n\\");
/// What `mountinfo` escapes in names of devices and file system types. C: `mangle()`.
static NAME_SPECIAL: ByteSet = ByteSet::of(b" \t\n\\#");

/// The options of a mount. C: `show_vfsmnt_opts()`.
const MOUNT_OPTIONS: [(bindings::mount_flags, &[u8]); 7] = [
    (bindings::MNT_NOSUID, b",nosuid"),
    (bindings::MNT_NODEV, b",nodev"),
    (bindings::MNT_NOEXEC, b",noexec"),
    (bindings::MNT_NOATIME, b",noatime"),
    (bindings::MNT_NODIRATIME, b",nodiratime"),
    (bindings::MNT_RELATIME, b",relatime"),
    (bindings::MNT_NOSYMFOLLOW, b",nosymfollow"),
];

/// C: `SB_RDONLY`. The `SB_*` are macros that neither BTF nor bindgen keeps; they are the same bits
/// as the `MS_*` of the `mount()` system call.
const SB_RDONLY: c_ulong = 1 << 0;

/// The options of a super block. C: `show_sb_opts()`.
const SB_OPTIONS: [(c_ulong, &[u8]); 4] = [
    (1 << 4, b",sync"),
    (1 << 7, b",dirsync"),
    (1 << 6, b",mand"),
    (1 << 25, b",lazytime"),
];

/// How lines are written.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// A security module adds options of its own to super blocks.
    labels: bool,
    /// Slave mounts show which peer group they get events from.
    propagate_from: bool,
}

impl Options {
    /// Finds out how lines must be written on this system, and whether they are to have
    /// `propagate_from`, which takes long where there are many peers.
    ///
    /// Only SELinux has a `sb_show_options` hook, and the way to it, `security_sb_show_options()`,
    /// is not exported. Whether it is active shows in which names of extended attributes are labels.
    pub(crate) fn of_system(propagate_from: bool) -> Self {
        #[cfg(CONFIG_SECURITY)]
        // SAFETY: An FFI call with a string constant.
        let labels = unsafe { bindings::security_ismaclabel(c"selinux".as_char_ptr()) } != 0;
        #[cfg(not(CONFIG_SECURITY))]
        let labels = false;
        Self {
            labels,
            propagate_from,
        }
    }
}

/// How much of a line is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    All,
    /// Without the mounted directory and the options of the file system, which can be of any length.
    Bounded,
    /// Without the mount point and the device, too, which can be long.
    Least,
}

/// What is needed to write lines, to be used for many.
pub(crate) struct LineBuf {
    seq: SeqBuf,
    path: PathBuf,
    options: Options,
}

impl LineBuf {
    /// Makes room for lines of usual length.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn new(options: Options) -> Result<Self> {
        Ok(Self {
            seq: SeqBuf::new()?,
            path: PathBuf::new()?,
            options,
        })
    }

    /// Writes the line of a mount, without a newline, for the reader who opened `file`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn write(&mut self, mount: &Mount<'_>, file: &LocalFile) -> Result<(Reach, &[u8])> {
        let reach = mount.place(&mut self.path)?;
        let (path, options) = (&self.path, self.options);
        for parts in [Parts::All, Parts::Bounded, Parts::Least] {
            let written = self.seq.write(file, |seq| {
                let wants_kernel = options.labels || options.propagate_from && mount.is_slave();
                if wants_kernel
                    && parts == Parts::All
                    && mount.kernel_line(seq, options.propagate_from)?
                {
                    return Ok(());
                }
                mount.line(seq, path, parts)
            })?;
            if let Some(len) = written {
                return Ok((reach, self.seq.written(len)));
            }
        }
        // What is left of a line fits.
        Err(EOVERFLOW)
    }
}

/// Cuts the newline off a line that the kernel wrote, and returns how long it is then.
fn trim(line: &mut [u8]) -> usize {
    line.strip_suffix(b"\n").map_or(line.len(), <[u8]>::len)
}

/// As [`trim`], and cuts `propagate_from` out of the line.
fn trim_propagate_from(line: &mut [u8]) -> usize {
    let len = trim(line);
    // The field stands among those before the hyphen; names before it have their blanks escaped.
    let fields = line
        .windows(3)
        .position(|bytes| bytes == b" - ")
        .unwrap_or(0);
    let field = b" propagate_from:";
    let begin = line
        .windows(field.len())
        .position(|bytes| bytes == field)
        .filter(|begin| *begin < fields);
    let Some(begin) = begin else {
        return len;
    };
    let name = begin.saturating_add(1);
    let rest = line.get(name..len).unwrap_or_default();
    let Some(size) = rest.iter().position(|byte| *byte == b' ') else {
        return len;
    };
    let mut kept = begin;
    for from in name.saturating_add(size)..len {
        let byte = line.get(from).copied();
        if let (Some(byte), Some(place)) = (byte, line.get_mut(kept)) {
            *place = byte;
            kept = kept.saturating_add(1);
        }
    }
    kept
}

impl Mount<'_> {
    /// Lets the kernel write the line, and says whether it did. It does not show what cannot be
    /// reached from the root.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if the function says so.
    fn kernel_line(&self, seq: &mut Seq<'_>, propagate_from: bool) -> Result<bool> {
        let Some(root) = self.sem.root else {
            return Ok(false);
        };
        let mut proc_mounts = bindings::proc_mounts {
            ns: self.sem.ns.as_ptr(),
            root,
            show: Some(self.sem.ops.show),
        };
        let raw = seq.as_raw();
        raw.private = (&raw mut proc_mounts).cast();
        let before = raw.count;
        // SAFETY: `show` is `show_mountinfo()`, which wants a `struct proc_mounts` as `private`,
        // and to be called with the semaphore held, as it is.
        let result = unsafe {
            let mnt = &raw mut (*self.ptr.as_ptr()).mnt;
            (self.sem.ops.show)(raw, mnt)
        };
        raw.private = core::ptr::null_mut();
        match to_result(result) {
            Err(e) if e == ENOMEM => return Err(e),
            _ => {}
        }
        // Too small a buffer shows in the buffer. Whatever else went wrong may do better below.
        // CAST: A small number.
        if result as u32 == SEQ_SKIP || result < 0 && !seq.has_overflowed() {
            let raw = seq.as_raw();
            raw.count = before;
            return Ok(false);
        }
        seq.edit(
            before,
            if propagate_from {
                trim
            } else {
                trim_propagate_from
            },
        );
        Ok(true)
    }

    /// Writes the line; `path` is where the mount is mounted.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if a callback says so.
    fn line(&self, seq: &mut Seq<'_>, path: &PathBuf, parts: Parts) -> Result {
        let sb = member!(self, mnt.mnt_sb);
        // SAFETY: A mount has a super block while it is there. Its operations are constant.
        let sb_op = unsafe { &*read_once(&raw const (*sb).s_op) };
        let root = member!(self, mnt.mnt_root);
        let parent = member!(self, mnt_parent);
        // SAFETY: A mount has a parent, at least itself, while the semaphore is held.
        let parent_id = unsafe { read_once(&raw const (*parent).mnt_id) };

        seq.put_number(member!(self, mnt_id));
        seq.put(b" ");
        seq.put_number(parent_id);
        seq.put(b" ");
        let (major, minor) = self.device();
        seq.put_number(major);
        seq.put(b":");
        seq.put_number(minor);
        seq.put(b" ");
        match parts {
            Parts::All => self.put_root(seq, sb_op)?,
            Parts::Bounded | Parts::Least => seq.put(CUT),
        }
        seq.put(b" ");
        if parts != Parts::Least {
            seq.put_escaped(path.as_bytes(), &PATH_SPECIAL);
        }
        if parts == Parts::Least || path.is_cut() {
            seq.put(CUT);
        }

        // CAST: A set of bits.
        let flags = member!(self, mnt.mnt_flags) as bindings::mount_flags;
        seq.put(if flags & bindings::MNT_READONLY != 0 {
            b" ro"
        } else {
            b" rw"
        });
        for (flag, name) in MOUNT_OPTIONS {
            if flags & flag != 0 {
                seq.put(name);
            }
        }
        if self.is_idmapped() {
            seq.put(b",idmapped");
        }
        self.put_propagation(seq);

        seq.put(b" - ");
        // SAFETY: The type of a super block stays as long as it, and its name with it; a subtype is
        // set before the super block is mounted.
        unsafe {
            let name = (*read_once(&raw const (*sb).s_type)).name;
            seq.put_escaped(CStr::from_char_ptr(name).to_bytes(), &NAME_SPECIAL);
            let subtype = read_once(&raw const (*sb).s_subtype);
            if !subtype.is_null() {
                seq.put(b".");
                seq.put_escaped(CStr::from_char_ptr(subtype).to_bytes(), &NAME_SPECIAL);
            }
        }
        seq.put(b" ");
        let devname = member!(self, mnt_devname);
        if parts == Parts::Least {
            seq.put(CUT);
        } else if let Some(show_devname) = sb_op.show_devname {
            // SAFETY: The callback wants the root directory of a mount, and a `struct seq_file`.
            let result = unsafe { show_devname(seq.as_raw(), root) };
            seq.finish(result)?;
        } else if !devname.is_null() {
            // SAFETY: The name belongs to the mount and is constant.
            let name = unsafe { CStr::from_char_ptr(devname) };
            seq.put_escaped(name.to_bytes(), &NAME_SPECIAL);
        }

        // SAFETY: Valid, as above; a remount may change the flags meanwhile.
        let flags = unsafe { read_once(&raw const (*sb).s_flags) };
        seq.put(if flags & SB_RDONLY != 0 {
            b" ro"
        } else {
            b" rw"
        });
        for (flag, name) in SB_OPTIONS {
            if flags & flag != 0 {
                seq.put(name);
            }
        }
        if parts != Parts::All {
            seq.put(CUT);
        } else if let Some(show_options) = sb_op.show_options {
            // SAFETY: The callback wants the root directory of a mount, and a `struct seq_file`.
            let result = unsafe { show_options(seq.as_raw(), root) };
            seq.finish(result)?;
        }
        Ok(())
    }

    /// The directory of the file system that is mounted. C: `show_path()`.
    fn put_root(&self, seq: &mut Seq<'_>, sb_op: &bindings::super_operations) -> Result {
        let (root, sb) = (member!(self, mnt.mnt_root), member!(self, mnt.mnt_sb));
        // SAFETY: A mount has a super block while it is there, whose root is constant by then.
        let top = unsafe { read_once(&raw const (*sb).s_root) };
        if let Some(show_path) = sb_op.show_path {
            // SAFETY: The callback wants the root directory of a mount, and a `struct seq_file`.
            let result = unsafe { show_path(seq.as_raw(), root) };
            seq.finish(result)
        } else if core::ptr::eq(root, top) {
            // So it is for most mounts, and the kernel would take long to find that out.
            seq.put(b"/");
            Ok(())
        } else {
            // SAFETY: The mount has a reference to its root directory. The third argument is the
            // string that `show_path()` uses. What is returned is a length, or -1 for a path that
            // had no room, which shows in the buffer.
            unsafe { bindings::seq_dentry(seq.as_raw(), root, c" \t\n\\".as_char_ptr()) };
            Ok(())
        }
    }

    /// C: `is_idmapped_mnt()`.
    fn is_idmapped(&self) -> bool {
        // CAST: Both types stand for the kernel's `struct mnt_idmap`.
        let nop = (&raw const kernel::bindings::nop_mnt_idmap).cast();
        // The pointer changes once, when the mount becomes an idmapped one; it is not followed.
        let idmap = member!(self, mnt.mnt_idmap);
        !core::ptr::eq(idmap, nop)
    }

    /// Whether it gets events from a master. C: `IS_MNT_SLAVE()`.
    fn is_slave(&self) -> bool {
        !member!(self, mnt_master).is_null()
    }

    /// The fields between the options and the hyphen.
    fn put_propagation(&self, seq: &mut Seq<'_>) {
        // CAST: A set of bits.
        let flags = member!(self, mnt_t_flags) as u32;
        if flags & bindings::T_SHARED != 0 {
            seq.put(b" shared:");
            seq.put_number(member!(self, mnt_group_id));
        }
        let master = member!(self, mnt_master);
        if !master.is_null() {
            seq.put(b" master:");
            // SAFETY: A master is there while the semaphore is held.
            seq.put_number(unsafe { read_once(&raw const (*master).mnt_group_id) });
        }
        if flags & bindings::T_UNBINDABLE != 0 {
            seq.put(b" unbindable");
        }
    }
}
