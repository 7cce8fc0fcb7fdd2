// SPDX-License-Identifier: GPL-2.0

//! The line of a mount, as `mountinfo` shows it.
//!
//! C: `show_mountinfo()` in [`fs/proc_namespace.c`](srctree/fs/proc_namespace.c). That function
//! cannot show a mount which its reader's root does not lead to; it goes all the way up for each
//! mount anew, and looks for `propagate_from` among all peers of a slave mount's master, which takes
//! long where there are many. So the line is put together in [`crate::render`]. Here are the parts
//! that only the mount and its file system know, with the file system's own callbacks.

use super::{
    super::{
        bindings, read_once,
        seq::{
            Seq,
            CUT, //
        },
    },
    member,
    root_of,
    Extent,
    Mount,
    NamespaceSem, //
};
use crate::text::ByteSet;
use core::marker::PhantomData;
use kernel::{
    bindings::SEQ_SKIP,
    error::to_result,
    prelude::*, //
};

/// What `mountinfo` escapes in names of devices and file system types. C: `mangle()`.
static NAME_SPECIAL: ByteSet = ByteSet::of(b" \t\n\\#");

/// The flags of a mount that `mountinfo` shows, and how; see [`Flags`]. C: `show_vfsmnt_opts()`.
const MOUNT_FLAGS: [bindings::mount_flags; 8] = [
    bindings::MNT_READONLY,
    bindings::MNT_NOSUID,
    bindings::MNT_NODEV,
    bindings::MNT_NOEXEC,
    bindings::MNT_NOATIME,
    bindings::MNT_NODIRATIME,
    bindings::MNT_RELATIME,
    bindings::MNT_NOSYMFOLLOW,
];

/// What `mountinfo` shows of a mount's flags, and of what kind of peers it has.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flags(u16);

impl Flags {
    const IDMAPPED: u16 = 1 << 8;
    const SHARED: u16 = 1 << 9;
    const SLAVE: u16 = 1 << 10;
    const UNBINDABLE: u16 = 1 << 11;
    const KERNEL_LINE: u16 = 1 << 12;

    /// How the options are spelled, but for the first.
    const OPTIONS: [(u16, &'static [u8]); 8] = [
        (1 << 1, b",nosuid"),
        (1 << 2, b",nodev"),
        (1 << 3, b",noexec"),
        (1 << 4, b",noatime"),
        (1 << 5, b",nodiratime"),
        (1 << 6, b",relatime"),
        (1 << 7, b",nosymfollow"),
        (Self::IDMAPPED, b",idmapped"),
    ];

    fn with(self, flag: u16, is_set: bool) -> Self {
        Self(if is_set { self.0 | flag } else { self.0 })
    }

    fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }

    /// The parts of the field of options, in their order.
    pub(crate) fn options(self) -> impl Iterator<Item = &'static [u8]> {
        let first: &'static [u8] = if self.has(1) { b"ro" } else { b"rw" };
        let others = const { &Self::OPTIONS }.iter();
        let set = others.filter_map(move |(flag, option)| self.has(*flag).then_some(*option));
        Iterator::chain(core::iter::once(first), set)
    }

    /// It has peers, or had. C: `IS_MNT_SHARED()`.
    pub(crate) fn is_shared(self) -> bool {
        self.has(Self::SHARED)
    }

    /// It gets events from a master. C: `IS_MNT_SLAVE()`.
    pub(crate) fn is_slave(self) -> bool {
        self.has(Self::SLAVE)
    }

    /// It cannot be bind mounted. C: `IS_MNT_UNBINDABLE()`.
    pub(crate) fn is_unbindable(self) -> bool {
        self.has(Self::UNBINDABLE)
    }

    /// The kernel wrote the whole line.
    pub(crate) fn is_kernel_line(self) -> bool {
        self.has(Self::KERNEL_LINE)
    }
}

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

/// Who writes what of the lines.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// A security module adds options of its own to super blocks, which only the kernel's own function
    /// can tell.
    labels: bool,
    /// The kernel's own function writes all that it shows.
    kernel_lines: bool,
    /// Slave mounts show which peer group they get events from.
    pub(crate) propagate_from: bool,
}

impl Options {
    /// Finds out how lines must be written on this system, and whether they are to have
    /// `propagate_from`.
    ///
    /// Only SELinux has a `sb_show_options` hook, and the way to it, `security_sb_show_options()`,
    /// is not exported. Whether it is active shows in which names of extended attributes are labels.
    pub(crate) fn of_system(propagate_from: bool, kernel_lines: bool) -> Self {
        #[cfg(CONFIG_SECURITY)]
        // SAFETY: An FFI call with a string constant.
        let labels = unsafe { bindings::security_ismaclabel(c"selinux".as_char_ptr()) } != 0;
        #[cfg(not(CONFIG_SECURITY))]
        let labels = false;
        Self {
            labels,
            kernel_lines,
            propagate_from,
        }
    }
}

impl Options {
    /// Whether the kernel's own function writes lines, or parts of them.
    pub(crate) fn has_kernel_write(&self) -> bool {
        self.labels || self.kernel_lines
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
    let fields = position(line, SEPARATOR).unwrap_or(0);
    let field = b" propagate_from:";
    let Some(begin) = position(line, field).filter(|begin| *begin < fields) else {
        return len;
    };
    let name = begin.saturating_add(1);
    let rest = line.get(name..len).unwrap_or_default();
    let Some(size) = rest.iter().position(|byte| *byte == b' ') else {
        return len;
    };
    cut_out(line, begin, name.saturating_add(size), len)
}

/// What stands between the fields of a mount and those of its file system.
const SEPARATOR: &[u8] = b" - ";

/// As [`trim`], and cuts off all that stands before the type of the file system.
fn trim_to_tail(line: &mut [u8]) -> usize {
    let len = trim(line);
    match position(line, SEPARATOR) {
        Some(at) => cut_out(line, 0, at.saturating_add(SEPARATOR.len()), len),
        None => len,
    }
}

/// Where `wanted` begins in `bytes`.
fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}

/// Cuts what stands from `begin` to `end` out of the first `len` bytes, and returns how many remain.
fn cut_out(bytes: &mut [u8], begin: usize, end: usize, len: usize) -> usize {
    let mut kept = begin;
    for from in end..len {
        let byte = bytes.get(from).copied();
        if let (Some(byte), Some(place)) = (byte, bytes.get_mut(kept)) {
            *place = byte;
            kept = kept.saturating_add(1);
        }
    }
    kept
}

/// The file systems that have the same options on whatever directory of them is mounted: their
/// `show_options()` look at the super block alone. Of others that is not known; of btrfs it is not so.
const SAME_ON_ALL_DIRECTORIES: [&[u8]; 4] = [b"ext4", b"overlay", b"tmpfs", b"xfs"];

/// The tails that were written under one hold of the semaphore: many mounts have the same as one
/// shortly before.
pub(crate) struct Tails<'s> {
    /// Those that were met last.
    recent: [Option<Tail>; 4],
    /// The oldest of them.
    oldest: usize,
    /// How many were written.
    len: u32,
    _sem: PhantomData<&'s NamespaceSem<'s>>,
}

/// A tail that was written, and what makes it the same for another mount. All that it points to is
/// there while the semaphore is held.
#[derive(Clone, Copy)]
struct Tail {
    number: u32,
    sb: *const bindings::super_block,
    /// The mounted directory; null if it does not matter.
    root: *mut bindings::dentry,
    devname: *const c_char,
}

impl Tails<'_> {
    /// Those of no mount.
    pub(super) fn new() -> Self {
        Self {
            recent: [None; 4],
            oldest: 0,
            len: 0,
            _sem: PhantomData,
        }
    }

    /// The number of the next one.
    fn add(&mut self) -> u32 {
        let number = self.len;
        self.len = number.wrapping_add(1);
        number
    }

    /// Remembers one that was written.
    fn remember(&mut self, tail: Tail) {
        if let Some(oldest) = self.recent.get_mut(self.oldest) {
            *oldest = Some(tail);
        }
        self.oldest = self.oldest.wrapping_add(1) % self.recent.len();
    }
}

/// Whether two strings are equal; null is equal to itself.
///
/// # Safety
///
/// Each must be null or a valid string.
unsafe fn are_equal(one: *const c_char, other: *const c_char) -> bool {
    if core::ptr::eq(one, other) {
        return true;
    }
    if one.is_null() || other.is_null() {
        return false;
    }
    // SAFETY: As the caller ensures, both are valid.
    unsafe { CStr::from_char_ptr(one).to_bytes() == CStr::from_char_ptr(other).to_bytes() }
}

impl<'s> Mount<'s> {
    /// Writes the mounted directory, and then what stands behind the hyphen of its line, unless that is
    /// among `tails`. If the kernel wrote the line, it stands there whole. Returns where the mounted
    /// directory ends, which of the tails it has, and the flags, which tell the rest.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if a callback of the file system says so.
    #[inline]
    pub(super) fn put_strings(
        &self,
        seq: &mut Seq<'_>,
        options: Options,
        extent: Extent,
        tails: &mut Tails<'s>,
    ) -> Result<(usize, u32, Flags)> {
        let flags = self.flags();
        if extent == Extent::Least {
            return Ok((seq.position(), u32::MAX, flags));
        }
        let bounded = extent == Extent::Bounded;
        if options.kernel_lines && !bounded {
            let trim = if options.propagate_from {
                trim
            } else {
                trim_propagate_from
            };
            let begin = seq.position();
            if self.put_kernel_line(seq, self.sem.root(), trim)? {
                let flags = flags.with(Flags::KERNEL_LINE, true);
                return Ok((begin, tails.add(), flags));
            }
        }
        if bounded {
            seq.put(CUT);
        } else {
            self.put_root(seq)?;
        }
        let root_end = seq.position();
        if bounded {
            self.put_tail(seq, true)?;
            return Ok((root_end, tails.add(), flags));
        }
        let mut tail = self.tail();
        if let Some(known) = self.find_tail(&tail, tails) {
            return Ok((root_end, known, flags));
        }
        if !(options.labels && self.put_kernel_tail(seq, flags)?) {
            self.put_tail(seq, false)?;
        }
        tail.number = tails.add();
        tails.remember(tail);
        Ok((root_end, tail.number, flags))
    }

    /// Lets the kernel write the tail, and says whether it did.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if the kernel's function says so.
    fn put_kernel_tail(&self, seq: &mut Seq<'_>, flags: Flags) -> Result<bool> {
        // The way to its own root is the shortest. But for a slave the kernel looks for a peer that
        // can be reached from there, and finds it soonest where there is most.
        let root = if flags.is_slave() {
            self.sem.root()
        } else {
            // SAFETY: The mount is valid by the type invariants.
            Some(unsafe { root_of(self.ptr.as_ptr()) })
        };
        self.put_kernel_line(seq, root, trim_to_tail)
    }

    /// What makes its tail.
    fn tail(&self) -> Tail {
        let sb = member!(self, mnt.mnt_sb);
        // SAFETY: A mount has a super block while it is there, with operations and a type, whose name
        // is constant.
        let is_same_on_all = unsafe {
            let has_devname = (*read_once(&raw const (*sb).s_op)).show_devname.is_some();
            let name = CStr::from_char_ptr((*read_once(&raw const (*sb).s_type)).name);
            !has_devname && SAME_ON_ALL_DIRECTORIES.contains(&name.to_bytes())
        };
        Tail {
            number: u32::MAX,
            sb,
            root: if is_same_on_all {
                core::ptr::null_mut()
            } else {
                member!(self, mnt.mnt_root)
            },
            devname: member!(self, mnt_devname),
        }
    }

    /// The number of the one that is the same.
    fn find_tail(&self, tail: &Tail, tails: &Tails<'s>) -> Option<u32> {
        let is_it = |known: &&Tail| {
            core::ptr::eq(known.sb, tail.sb)
                && core::ptr::eq(known.root, tail.root)
                // SAFETY: Each is null or a name that belongs to a mount, is constant, and stays
                // while the semaphore is held, as it has been since the first was remembered.
                && unsafe { are_equal(known.devname, tail.devname) }
        };
        let known = tails.recent.iter().flatten().find(is_it)?;
        Some(known.number)
    }

    /// Lets the kernel write the line, as a process with that root sees it, and `edit` it; says
    /// whether it did. It does not show what cannot be reached from the root.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if the function says so.
    fn put_kernel_line(
        &self,
        seq: &mut Seq<'_>,
        root: Option<bindings::path>,
        edit: fn(&mut [u8]) -> usize,
    ) -> Result<bool> {
        let Some(root) = root else {
            return Ok(false);
        };
        let mut proc_mounts = bindings::proc_mounts {
            ns: self.sem.ns.as_ptr(),
            root,
            show: Some(self.sem.ops.show),
        };
        let before = seq.position();
        let raw = seq.as_raw();
        raw.private = (&raw mut proc_mounts).cast();
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
        // Too small a buffer shows in the buffer. Whatever else went wrong may do better otherwise.
        // CAST: A small number.
        if result as u32 == SEQ_SKIP || result < 0 && !seq.has_overflowed() {
            seq.rewind(before);
            return Ok(false);
        }
        seq.edit(before, edit);
        Ok(true)
    }

    /// What [`Flags`] says of it.
    fn flags(&self) -> Flags {
        // CAST: Sets of bits.
        let mount = member!(self, mnt.mnt_flags) as bindings::mount_flags;
        let tree = member!(self, mnt_t_flags) as u32;
        let mut flags = Flags::default();
        let mut bit = 1;
        for flag in MOUNT_FLAGS {
            flags = flags.with(bit, mount & flag != 0);
            bit <<= 1;
        }
        flags
            .with(Flags::IDMAPPED, self.is_idmapped())
            .with(Flags::SHARED, tree & bindings::T_SHARED != 0)
            .with(Flags::SLAVE, !member!(self, mnt_master).is_null())
            .with(Flags::UNBINDABLE, tree & bindings::T_UNBINDABLE != 0)
    }

    /// C: `is_idmapped_mnt()`.
    fn is_idmapped(&self) -> bool {
        // CAST: Both types stand for the kernel's `struct mnt_idmap`.
        let nop = (&raw const kernel::bindings::nop_mnt_idmap).cast();
        // The pointer changes once, when the mount becomes an idmapped one; it is not followed.
        let idmap = member!(self, mnt.mnt_idmap);
        !core::ptr::eq(idmap, nop)
    }

    /// The directory of the file system that is mounted. C: `show_path()`.
    fn put_root(&self, seq: &mut Seq<'_>) -> Result {
        let (root, sb) = (member!(self, mnt.mnt_root), member!(self, mnt.mnt_sb));
        // SAFETY: A mount has a super block while it is there, whose operations and root are constant
        // by then.
        let (sb_op, top) = unsafe {
            (
                &*read_once(&raw const (*sb).s_op),
                read_once(&raw const (*sb).s_root),
            )
        };
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

    /// Writes type, source and options; if `bounded`, without the options of the file system.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if a callback says so.
    fn put_tail(&self, seq: &mut Seq<'_>, bounded: bool) -> Result {
        let (root, sb) = (member!(self, mnt.mnt_root), member!(self, mnt.mnt_sb));
        // SAFETY: A mount has a super block while it is there. Its operations are constant.
        let sb_op = unsafe { &*read_once(&raw const (*sb).s_op) };
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
        if let Some(show_devname) = sb_op.show_devname.filter(|_| !bounded) {
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
        if bounded {
            seq.put(CUT);
        } else if let Some(show_options) = sb_op.show_options {
            // SAFETY: The callback wants the root directory of a mount, and a `struct seq_file`.
            let result = unsafe { show_options(seq.as_raw(), root) };
            seq.finish(result)?;
        }
        Ok(())
    }
}
