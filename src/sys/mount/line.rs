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
        bindings,
        memory::{
            charged,
            Vec, //
        },
        namespace::MntNamespace,
        read_once,
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

/// What `mountinfo` shows of a mount's flags, of what kind its peers are, and whether it is locked.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct Flags(u16);

impl Flags {
    const IDMAPPED: u16 = 1 << 8;
    const SHARED: u16 = 1 << 9;
    const SLAVE: u16 = 1 << 10;
    const UNBINDABLE: u16 = 1 << 11;
    const KERNEL_LINE: u16 = 1 << 12;
    const LOCKED: u16 = 1 << 13;

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

    /// A number that differs for most of those that many mounts have.
    pub(crate) fn mix(self) -> usize {
        usize::from(self.0 ^ self.0 >> 4)
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

    /// Nobody but whoever may unmount what it is mounted on can unmount it. C: `MNT_LOCKED`.
    pub(crate) fn is_locked(self) -> bool {
        self.has(Self::LOCKED)
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

/// The file systems that have the same options on whatever directory of them is mounted, by their
/// `super_block::s_magic`: tmpfs, overlay, ext4 (and ext2), xfs. Their `show_options()` look at the super
/// block alone. Of others that is not known; of btrfs it is not so. C: `include/uapi/linux/magic.h`.
const SAME_ON_ALL_DIRECTORIES: [c_ulong; 4] = [0x0102_1994, 0x794c_7630, 0xef53, 0x5846_5342];

/// What makes the tail of a mount. It is made of addresses: never print it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct TailKey {
    sb: usize,
    dev: u32,
    /// The mounted directory; 0 if it does not matter.
    root: usize,
    /// The source's bytes, and NULs behind.
    devname: [u64; 2],
}

/// The tails that were met while mount lists were read, with a `V` for each: many mounts have the same
/// as one before, in the same namespace or in another.
///
/// A tail is remembered for the mount of a namespace. As long as the list of that namespace does not
/// change, the mount is there, and so its super block, to whose address the tail belongs, is the same.
/// The options of a super block can change meanwhile: then the tail is that of the moment when it was
/// written, like the rest of what is known of that mount.
pub(crate) struct Tails<'n, V>(Vec<Option<Known<'n, V>>>);

/// A tail that is remembered.
#[derive(Clone, Copy)]
struct Known<'n, V> {
    key: TailKey,
    ns: MntNamespace<'n>,
    event: u64,
    value: V,
}

/// Tails that are remembered at the same time.
const TAILS: usize = 64;

impl<'n, V: Copy + PartialEq> Tails<'n, V> {
    /// Creates a memory of none, without places.
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sees to it that there are places. Until then, nothing is remembered.
    ///
    /// # Errors
    ///
    /// `ENOMEM`
    pub(crate) fn make_room(&mut self) -> Result {
        if self.0.is_empty() {
            self.0 = Vec::from_elem(None, TAILS, charged())?;
        }
        Ok(())
    }

    /// In which place a tail is, if it is remembered.
    fn place(key: &TailKey) -> usize {
        // Addresses of structures: the lowest bits are always the same.
        let mixed = (key.sb ^ key.root.rotate_left(7)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed >> 58 & (TAILS - 1)
    }

    /// What is remembered for a tail.
    fn find(&self, key: &TailKey) -> Option<V> {
        let known = self.0.get(Self::place(key))?.as_ref()?;
        (known.key == *key && known.ns.event() == known.event).then_some(known.value)
    }

    /// Remembers that a mount of `sem`'s namespace has a tail, if there are places, and returns the one
    /// where.
    pub(crate) fn remember(&mut self, key: TailKey, sem: &NamespaceSem<'n>, value: V) -> usize {
        let place = Self::place(&key);
        if let Some(known) = self.0.get_mut(place) {
            *known = Some(Known {
                key,
                ns: sem.ns,
                event: sem.event(),
                value,
            });
        }
        place
    }

    /// Remembers another value in a place, if `old` is there.
    pub(crate) fn replace(&mut self, place: usize, old: V, new: V) {
        if let Some(Some(known)) = self.0.get_mut(place) {
            if known.value == old {
                known.value = new;
            }
        }
    }
}

/// The tail of a mount.
pub(crate) enum Tail<V> {
    /// It was met before.
    Known(V),
    /// It was written; and what makes it, if it can be remembered.
    Written(Option<TailKey>),
    /// It is not to be shown.
    Absent,
}

impl<'s> Mount<'s> {
    /// Writes the mounted directory, and then what stands behind the hyphen of its line, unless that is
    /// among `tails`. If the kernel wrote the line, it stands there whole. Returns where the mounted
    /// directory ends, and the flags, which tell the rest.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if a callback of the file system says so.
    #[inline]
    pub(super) fn put_strings<V: Copy + PartialEq>(
        &self,
        seq: &mut Seq<'_>,
        options: Options,
        extent: Extent,
        tails: &Tails<'_, V>,
    ) -> Result<(usize, Tail<V>, Flags)> {
        let flags = self.flags();
        if extent == Extent::Least {
            return Ok((seq.position(), Tail::Absent, flags));
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
                return Ok((begin, Tail::Written(None), flags));
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
            return Ok((root_end, Tail::Written(None), flags));
        }
        let key = self.tail_key();
        if let Some(known) = key.as_ref().and_then(|key| tails.find(key)) {
            return Ok((root_end, Tail::Known(known), flags));
        }
        if !(options.labels && self.put_kernel_tail(seq, flags)?) {
            self.put_tail(seq, false)?;
        }
        Ok((root_end, Tail::Written(key), flags))
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

    /// What makes its tail; `None` if that cannot be told.
    fn tail_key(&self) -> Option<TailKey> {
        let (sb, devname) = (member!(self, mnt.mnt_sb), member!(self, mnt_devname));
        // SAFETY: A mount has a super block while it is there, whose operations are constant.
        let (dev, magic, has_own_devname) = unsafe {
            (
                read_once(&raw const (*sb).s_dev),
                read_once(&raw const (*sb).s_magic),
                (*read_once(&raw const (*sb).s_op)).show_devname.is_some(),
            )
        };
        if has_own_devname || devname.is_null() {
            return None;
        }
        let mut name = 0_u128;
        let mut shift = 0;
        loop {
            // SAFETY: The name belongs to the mount and is constant. It has not ended before.
            let byte = unsafe { devname.cast::<u8>().add(shift / 8).read() };
            if byte == 0 {
                break;
            }
            if shift == 128 {
                // It is longer than a key has room for.
                return None;
            }
            name |= u128::from(byte) << shift;
            shift = shift.wrapping_add(8);
        }
        let is_same_on_all = SAME_ON_ALL_DIRECTORIES.contains(&magic);
        Some(TailKey {
            sb: sb.addr(),
            dev,
            root: if is_same_on_all {
                0
            } else {
                member!(self, mnt.mnt_root).addr()
            },
            // CAST: Both halves.
            devname: [name as u64, (name >> 64) as u64],
        })
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
            .with(Flags::LOCKED, mount & bindings::MNT_LOCKED != 0)
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
