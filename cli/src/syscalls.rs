// SPDX-License-Identifier: GPL-2.0

//! System calls that no crate has: the ioctls of nsfs, `listns()`, `listmount()`, `statmount()`, and calls that take a
//! directory's descriptor.
//!
//! One function a call, with nothing in it but the call: what the answers mean is the caller's business. This is the
//! only file with unsafe code.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_long, c_uint, c_void, CStr, CString};
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

// The numbers of calls of these years are the same on all architectures but alpha.
const SYS_STATMOUNT: c_long = 457;
const SYS_LISTMOUNT: c_long = 458;
const SYS_LISTNS: c_long = 470;

// include/uapi/linux/nsfs.h
const fn io_request(number: u64) -> u64 {
    0xB7 << 8 | number
}
const fn ior_request(number: u64, size: u64) -> u64 {
    2 << 30 | size << 16 | 0xB7 << 8 | number
}
const NS_GET_USERNS: u64 = io_request(1);
const NS_GET_PARENT: u64 = io_request(2);
const NS_GET_NSTYPE: u64 = io_request(3);
const NS_GET_OWNER_UID: u64 = io_request(4);
const NS_GET_MNTNS_ID: u64 = ior_request(5, 8);
const NS_MNT_GET_INFO: u64 = ior_request(10, 16);
const NS_MNT_GET_NEXT: u64 = ior_request(11, 16);
const NS_MNT_GET_PREV: u64 = ior_request(12, 16);
const NS_GET_ID: u64 = ior_request(13, 8);

// include/uapi/linux/fcntl.h, include/linux/exportfs.h
const FD_NSFS_ROOT: c_int = -10003;
const FILEID_NSFS: c_int = 0xF1;
// include/uapi/linux/magic.h
const NSFS_MAGIC: u64 = 0x6E73_6673;

/// `listmount()`: of a whole mount namespace, from its root.
pub const LSMT_ROOT: u64 = u64::MAX;

// include/uapi/linux/mount.h
const STATMOUNT_SB_BASIC: u64 = 0x1;
const STATMOUNT_MNT_BASIC: u64 = 0x2;
const STATMOUNT_MNT_ROOT: u64 = 0x8;
const STATMOUNT_MNT_POINT: u64 = 0x10;
const STATMOUNT_FS_TYPE: u64 = 0x20;
const STATMOUNT_MNT_OPTS: u64 = 0x80;
const STATMOUNT_FS_SUBTYPE: u64 = 0x100;
const STATMOUNT_SB_SOURCE: u64 = 0x200;
const STATMOUNT_SUPPORTED_MASK: u64 = 0x1000;

// include/uapi/linux/stat.h
const STATX_NLINK: u32 = 0x4;
const STATX_INO: u32 = 0x100;
const STATX_MNT_ID: u32 = 0x1000;
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
const AT_STATX_DONT_SYNC: c_int = 0x4000;

/// `openat2()`: fail rather than wait for a file system to say what is there.
const RESOLVE_CACHED: u64 = 0x20;

/// What a call returned: a number, or why it failed.
fn result(value: c_long) -> io::Result<c_long> {
    if value < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}

/// Takes a descriptor that a call has returned.
fn owned(value: c_long) -> io::Result<OwnedFd> {
    let value = result(value)?;
    let fd = c_int::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the kernel has just opened this descriptor for us, and nobody else in this process knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn c_string(path: &[u8]) -> io::Result<CString> {
    CString::new(path).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// A namespace, by an open file of it.
///
/// What is one has been looked at to be a file of nsfs, so that the requests that only nsfs knows reach nobody else.
#[derive(Debug)]
pub struct NsFile(OwnedFd);

/// What the kernel tells of a mount namespace (`struct mnt_ns_info`).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct MountNsInfo {
    size: u32,
    nr_mounts: u32,
    mnt_ns_id: u64,
}

impl NsFile {
    /// Takes a file, if it is of a namespace.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: it is no file of a namespace.
    fn new(fd: OwnedFd) -> io::Result<Self> {
        if is_on_nsfs(fd.as_fd())? {
            Ok(Self(fd))
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    /// Opens a namespace by a link in a `/proc/PID/ns`, below a directory.
    ///
    /// # Errors
    ///
    /// As `open()`.
    pub fn open_link(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<Self> {
        Self::new(open_below(at, name)?)
    }

    /// Opens a namespace by a mount of its file. What else is at that path is not opened.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: there is no file of a namespace.
    pub fn open_mounted(path: &[u8]) -> io::Result<Self> {
        let root = open_directory(None, b"/")?;
        let place = open_place(root.as_fd(), path, false)?;
        if !is_on_nsfs(place.as_fd())? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let own = open_directory(None, b"/proc/self/fd")?;
        Self::new(open_below(
            own.as_fd(),
            place.as_raw_fd().to_string().as_bytes(),
        )?)
    }

    /// Opens a namespace by its 64-bit id (6.18).
    ///
    /// # Errors
    ///
    /// `ESTALE`: there is none, or nothing leads to it any more.
    pub fn open_id(id: u64) -> io::Result<Self> {
        let mut handle = NsHandle {
            handle_bytes: 16,
            handle_type: FILEID_NSFS,
            ns_id: id,
            ns_type: 0,
            ns_inum: 0,
        };
        // SAFETY: the kernel reads the 8 bytes before the handle and the `handle_bytes` of it, which together are the
        // struct. That lives until after the call.
        let fd = owned(unsafe {
            libc::syscall(
                libc::SYS_open_by_handle_at,
                FD_NSFS_ROOT,
                &mut handle as *mut NsHandle,
                libc::O_RDONLY | libc::O_CLOEXEC,
            )
        })?;
        Self::new(fd)
    }

    /// Its inode number.
    ///
    /// # Errors
    ///
    /// As `stat()`.
    pub fn inum(&self) -> io::Result<u32> {
        let found = statx(Some(self.0.as_fd()), b"", MountId::Old)?;
        u32::try_from(found.inode).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Its type, as in `unshare()`: `CLONE_NEWNET`.
    ///
    /// # Errors
    ///
    /// As `ioctl()`.
    pub fn clone_flag(&self) -> io::Result<u64> {
        result(self.ask(NS_GET_NSTYPE)).map(|flag| u64::try_from(flag).unwrap_or(0))
    }

    /// A request that takes no argument.
    fn ask(&self, request: u64) -> c_long {
        // SAFETY: the file is of nsfs, which takes no argument to this request and touches no memory.
        unsafe { libc::syscall(libc::SYS_ioctl, self.0.as_raw_fd(), request, 0usize) }
    }

    /// A request that writes a number.
    fn ask_for<T: Copy + Default>(&self, request: u64) -> io::Result<T> {
        let mut number = T::default();
        // SAFETY: the file is of nsfs, which writes to the argument of each request that comes here a number of the type
        // that the caller below expects. It lives until after the call.
        result(unsafe {
            libc::syscall(
                libc::SYS_ioctl,
                self.0.as_raw_fd(),
                request,
                &mut number as *mut T,
            )
        })?;
        Ok(number)
    }

    /// Opens the user namespace that owns it; of a user namespace, its parent.
    ///
    /// # Errors
    ///
    /// `EPERM`: that is out of reach, as what owns the initial one.
    pub fn owner(&self) -> io::Result<Self> {
        Self::new(owned(self.ask(NS_GET_USERNS))?)
    }

    /// Opens the pid or user namespace around it.
    ///
    /// # Errors
    ///
    /// `EPERM`: that is out of reach, as what is around the initial one. `EINVAL`: namespaces of its type are around none.
    pub fn parent(&self) -> io::Result<Self> {
        Self::new(owned(self.ask(NS_GET_PARENT))?)
    }

    /// Who made this user namespace.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it is no user namespace.
    pub fn owner_uid(&self) -> io::Result<u32> {
        self.ask_for::<u32>(NS_GET_OWNER_UID)
    }

    /// Its 64-bit id (6.18).
    ///
    /// # Errors
    ///
    /// `ENOTTY`: this kernel does not tell it.
    pub fn id(&self) -> io::Result<u64> {
        self.ask_for::<u64>(NS_GET_ID)
    }

    /// The id by which `listmount()` and `statmount()` know this mount namespace (6.11).
    ///
    /// # Errors
    ///
    /// `ENOTTY`: this kernel does not tell it. `EINVAL`: it is no mount namespace.
    pub fn mount_ns_id(&self) -> io::Result<u64> {
        self.ask_for::<u64>(NS_GET_MNTNS_ID)
    }

    fn mount_ns_info(&self, request: u64) -> io::Result<(c_long, MountNsInfo)> {
        let mut info = MountNsInfo {
            size: mem::size_of::<MountNsInfo>() as u32,
            ..MountNsInfo::default()
        };
        // SAFETY: the file is of nsfs, which writes at most as many bytes as the request's own number says, 16, to the
        // argument of these requests. That points to a struct of that size and layout that lives until after the call.
        let value = result(unsafe {
            libc::syscall(
                libc::SYS_ioctl,
                self.0.as_raw_fd(),
                request,
                &mut info as *mut MountNsInfo,
            )
        })?;
        Ok((value, info))
    }

    /// How many mounts this mount namespace has, its root mount included (6.12).
    ///
    /// # Errors
    ///
    /// `ENOTTY`: this kernel does not tell it.
    pub fn mount_count(&self) -> io::Result<u32> {
        // The kernel leaves the root mount out.
        self.mount_ns_info(NS_MNT_GET_INFO)
            .map(|(_, info)| info.nr_mounts.saturating_add(1))
    }

    /// Opens the next mount namespace by ids, or the one before (6.12).
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is none. `ENOTTY`: this kernel does not do that. `EPERM`: it takes `CAP_SYS_ADMIN`.
    pub fn beside(&self, before: bool) -> io::Result<Self> {
        let request = if before {
            NS_MNT_GET_PREV
        } else {
            NS_MNT_GET_NEXT
        };
        Self::new(owned(self.mount_ns_info(request)?.0)?)
    }
}

/// Whether a file is one of nsfs.
fn is_on_nsfs(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut about = mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: it writes a statfs to its argument, which has room for one, and lives until after the call.
    let failed = unsafe { libc::fstatfs(fd.as_raw_fd(), about.as_mut_ptr()) };
    result(failed.into())?;
    // SAFETY: the call has filled it in; besides, it was all zeros, and is made of numbers alone.
    let about = unsafe { about.assume_init() };
    Ok(about.f_type as u64 & 0xFFFF_FFFF == NSFS_MAGIC)
}

/// `struct ns_id_req`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct NsIdReq {
    size: u32,
    spare: u32,
    ns_id: u64,
    ns_type: u32,
    spare2: u32,
    user_ns_id: u64,
}

/// The 64-bit ids of all namespaces that something leads to, ascending (6.19).
///
/// # Errors
///
/// `ENOSYS`: this kernel does not have it.
pub fn listns() -> io::Result<Vec<u64>> {
    let mut ids = Vec::new();
    let mut part = vec![0u64; 1024];
    loop {
        let request = NsIdReq {
            size: mem::size_of::<NsIdReq>() as u32,
            ns_id: ids.last().copied().unwrap_or(0),
            ..NsIdReq::default()
        };
        // SAFETY: the kernel reads `size` bytes of the request, which is the size of the struct, and writes at most
        // `part.len()` numbers of 8 bytes to `part`. Both live until after the call.
        let count = result(unsafe {
            libc::syscall(
                SYS_LISTNS,
                &request as *const NsIdReq,
                part.as_mut_ptr(),
                part.len(),
                0 as c_uint,
            )
        });
        match count {
            Ok(count) => {
                let count = usize::try_from(count).unwrap_or(0).min(part.len());
                ids.extend_from_slice(&part[..count]);
                if count < part.len() {
                    return Ok(ids);
                }
            }
            // None comes after the last one.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) && !ids.is_empty() => {
                return Ok(ids);
            }
            Err(error) => return Err(error),
        }
    }
}

/// `struct file_handle` with one of nsfs in it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct NsHandle {
    handle_bytes: c_uint,
    handle_type: c_int,
    ns_id: u64,
    ns_type: u32,
    ns_inum: u32,
}

/// `struct mnt_id_req`, as of 6.11.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct MountIdReq {
    size: u32,
    spare: u32,
    mnt_id: u64,
    param: u64,
    mnt_ns_id: u64,
}

/// The 64-bit ids of the mounts below one, ascending, in the mount namespace with that id (6.11). It is not among them
/// itself.
///
/// # Errors
///
/// `ENOSYS`, `EINVAL`: this kernel does not have it. `ENOENT`: there is no such mount, or namespace.
pub fn listmount(ns_id: u64, mount: u64) -> io::Result<Vec<u64>> {
    let mut ids = Vec::new();
    let mut part = vec![0u64; 4096];
    loop {
        let request = MountIdReq {
            size: mem::size_of::<MountIdReq>() as u32,
            spare: 0,
            mnt_id: mount,
            param: ids.last().copied().unwrap_or(0),
            mnt_ns_id: ns_id,
        };
        // SAFETY: the kernel reads `size` bytes of the request, which is the size of the struct, and writes at most
        // `part.len()` numbers of 8 bytes to `part`. Both live until after the call.
        let count = result(unsafe {
            libc::syscall(
                SYS_LISTMOUNT,
                &request as *const MountIdReq,
                part.as_mut_ptr(),
                part.len(),
                0 as c_uint,
            )
        })?;
        let count = usize::try_from(count).unwrap_or(0).min(part.len());
        ids.extend_from_slice(&part[..count]);
        if count < part.len() {
            return Ok(ids);
        }
    }
}

/// `struct statmount` without what is in none of its answers here.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct RawStatMount {
    size: u32,
    mnt_opts: u32,
    mask: u64,
    sb_dev_major: u32,
    sb_dev_minor: u32,
    sb_magic: u64,
    sb_flags: u32,
    fs_type: u32,
    mnt_id: u64,
    mnt_parent_id: u64,
    mnt_id_old: u32,
    mnt_parent_id_old: u32,
    mnt_attr: u64,
    mnt_propagation: u64,
    mnt_peer_group: u64,
    mnt_master: u64,
    propagate_from: u64,
    mnt_root: u32,
    mnt_point: u32,
    mnt_ns_id: u64,
    fs_subtype: u32,
    sb_source: u32,
    opt_num: u32,
    opt_array: u32,
    opt_sec_num: u32,
    opt_sec_array: u32,
    supported_mask: u64,
}

/// Where the strings of an answer of `statmount()` begin.
const STATMOUNT_STRINGS: usize = 512;

/// What `statmount()` tells of a mount. Strings are as they are, without escapes, unless it says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatMount {
    /// Its 64-bit id.
    pub id: u64,
    /// That of the mount that it is on; the lowest one is on itself.
    pub parent: u64,
    /// Its id in `mountinfo`.
    pub old_id: u32,
    /// That of the mount that it is on.
    pub old_parent: u32,
    /// The device: major and minor.
    pub device: (u32, u32),
    /// Flags of the file system: `SB_RDONLY` is 1, `SB_SYNCHRONOUS` 0x10, `SB_DIRSYNC` 0x80, `SB_LAZYTIME` 1 << 25.
    pub sb_flags: u32,
    /// `MOUNT_ATTR_*`.
    pub attributes: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`.
    pub propagation: u64,
    /// Its peer group, or 0.
    pub peer_group: u64,
    /// The peer group that it gets mounts from, or 0.
    pub master: u64,
    /// The directory of the file system that it shows.
    pub root: Vec<u8>,
    /// Where it is, as seen from the root of its namespace; `None` if that does not reach it.
    pub point: Option<Vec<u8>>,
    /// The type of the file system.
    pub fs_type: Vec<u8>,
    /// What stands behind the type and a dot, as `sshfs` in `fuse.sshfs`; may be empty.
    pub subtype: Vec<u8>,
    /// What was mounted; `None` if this kernel does not tell (6.13), or whether it is empty (6.15).
    pub source: Option<Vec<u8>>,
    /// The options of the file system, with commas between and escaped as in `mountinfo`; may be empty. `None` if this
    /// kernel does not tell (6.11), or whether there are any (6.15).
    pub options: Option<Vec<u8>>,
}

/// Asks for a mount, by its 64-bit id and that of its mount namespace (6.11).
///
/// # Errors
///
/// `ENOENT`: there is no such mount. `ENOSYS`, `EINVAL`: this kernel does not have it.
pub fn statmount(ns_id: u64, mount: u64) -> io::Result<StatMount> {
    let mask = STATMOUNT_SB_BASIC
        | STATMOUNT_MNT_BASIC
        | STATMOUNT_MNT_ROOT
        | STATMOUNT_MNT_POINT
        | STATMOUNT_FS_TYPE
        | STATMOUNT_MNT_OPTS
        | STATMOUNT_FS_SUBTYPE
        | STATMOUNT_SB_SOURCE
        | STATMOUNT_SUPPORTED_MASK;
    let request = MountIdReq {
        size: mem::size_of::<MountIdReq>() as u32,
        spare: 0,
        mnt_id: mount,
        param: mask,
        mnt_ns_id: ns_id,
    };
    // Words of 8 bytes, so that the answer is aligned.
    let mut buffer = vec![0u64; 512];
    loop {
        let bytes = buffer.len() * 8;
        // SAFETY: the kernel reads `size` bytes of the request, which is the size of the struct, and writes at most
        // `bytes` bytes to `buffer`, which has as many. Both live until after the call.
        let done = result(unsafe {
            libc::syscall(
                SYS_STATMOUNT,
                &request as *const MountIdReq,
                buffer.as_mut_ptr(),
                bytes,
                0 as c_uint,
            )
        });
        match done {
            Ok(_) => break,
            // A file system may have options of any length; the kernel's own limit is 2 GiB.
            Err(error)
                if error.raw_os_error() == Some(libc::EOVERFLOW) && bytes < 64 * 1024 * 1024 =>
            {
                buffer = vec![0u64; buffer.len() * 8];
            }
            Err(error) => return Err(error),
        }
    }
    // SAFETY: `buffer` is aligned to 8 bytes and has at least 4096, which is more than the struct has. That is made of
    // numbers alone, so that any bytes are a valid one.
    let raw = unsafe { buffer.as_ptr().cast::<RawStatMount>().read() };
    // SAFETY: this looks at the same memory as bytes, of which it has 8 for each word, and any is a valid one. Nothing
    // changes it as long as it is borrowed.
    let bytes =
        unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), buffer.len() * 8) };
    let text = |offset: u32| -> Vec<u8> {
        let from = STATMOUNT_STRINGS.saturating_add(offset as usize);
        let rest = bytes.get(from..).unwrap_or_default();
        CStr::from_bytes_until_nul(rest).map_or_else(|_| Vec::new(), |text| text.to_bytes().into())
    };
    let has = |flag: u64| raw.mask & flag != 0;
    // What is empty has no flag, so that the kernel has to say that it knows it.
    let knows =
        |flag: u64| has(flag) || (has(STATMOUNT_SUPPORTED_MASK) && raw.supported_mask & flag != 0);
    let string = |flag: u64, offset: u32| {
        if has(flag) {
            Some(text(offset))
        } else {
            knows(flag).then(Vec::new)
        }
    };
    Ok(StatMount {
        id: raw.mnt_id,
        parent: raw.mnt_parent_id,
        old_id: raw.mnt_id_old,
        old_parent: raw.mnt_parent_id_old,
        device: (raw.sb_dev_major, raw.sb_dev_minor),
        sb_flags: raw.sb_flags,
        attributes: raw.mnt_attr,
        propagation: raw.mnt_propagation,
        peer_group: raw.mnt_peer_group,
        master: raw.mnt_master,
        root: text(raw.mnt_root),
        point: has(STATMOUNT_MNT_POINT).then(|| text(raw.mnt_point)),
        fs_type: text(raw.fs_type),
        subtype: if has(STATMOUNT_FS_SUBTYPE) {
            text(raw.fs_subtype)
        } else {
            Vec::new()
        },
        source: string(STATMOUNT_SB_SOURCE, raw.sb_source),
        options: string(STATMOUNT_MNT_OPTS, raw.mnt_opts),
    })
}

/// `struct statx`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct RawStatx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare0: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    times: [u64; 8],
    rdev_major: u32,
    rdev_minor: u32,
    dev_major: u32,
    dev_minor: u32,
    mnt_id: u64,
    rest: [u64; 13],
}

/// Which file a path leads to, and by which mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// The device of the file: major and minor. Of some file systems it is not that of the mount.
    pub device: (u32, u32),
    /// Its inode number.
    pub inode: u64,
    /// How many names lead to it; a removed directory has none.
    pub links: u32,
    /// The mount's id in `mountinfo`; `None` if this kernel does not tell (5.8), or tells the other.
    pub old_mount: Option<u32>,
    /// The mount's 64-bit id; `None` if this kernel does not tell (6.8).
    pub mount: Option<u64>,
    /// It is the root of that mount.
    pub is_mount_root: bool,
}

/// Which mount id `statx()` is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountId {
    /// That of `mountinfo`, which is used again.
    Old,
    /// That of 64 bits, which is not.
    Unique,
}

/// Says where a path ends, as far as the kernel knows that without asking a server, and triggers no automount.
///
/// The path may be absolute, or go from the directory `at`; an empty one is `at` itself.
///
/// # Errors
///
/// As `stat()`.
pub fn statx(at: Option<BorrowedFd<'_>>, path: &[u8], id: MountId) -> io::Result<FileId> {
    let path = c_string(path)?;
    let mut raw = RawStatx::default();
    let wanted = match id {
        MountId::Old => STATX_MNT_ID,
        MountId::Unique => STATX_MNT_ID_UNIQUE,
    };
    let mut flags = libc::AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    if path.is_empty() {
        flags |= libc::AT_EMPTY_PATH;
    }
    // SAFETY: the kernel reads the path up to its NUL, and writes a struct statx, which is 256 bytes, to `raw`, which is
    // of that size and layout. Both live until after the call.
    result(unsafe {
        libc::syscall(
            libc::SYS_statx,
            at.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd()),
            path.as_ptr(),
            flags,
            STATX_NLINK | STATX_INO | wanted,
            &mut raw as *mut RawStatx,
        )
    })?;
    let has = |flag: u32| raw.mask & flag != 0;
    // A kernel that does not know the 64-bit id tells the other one in its place.
    let unique = has(STATX_MNT_ID_UNIQUE);
    Ok(FileId {
        device: (raw.dev_major, raw.dev_minor),
        inode: raw.ino,
        links: raw.nlink,
        old_mount: if has(STATX_MNT_ID) && !unique {
            u32::try_from(raw.mnt_id).ok()
        } else {
            None
        },
        mount: unique.then_some(raw.mnt_id),
        is_mount_root: raw.attributes & STATX_ATTR_MOUNT_ROOT != 0,
    })
}

/// Opens a file below a directory to read it.
///
/// # Errors
///
/// As `open()`.
pub fn open_below(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    open_with(at, name, libc::O_RDONLY)
}

/// Opens a directory below a directory, or by an absolute path, without a right to look into it.
///
/// # Errors
///
/// As `open()`.
pub fn open_directory(at: Option<BorrowedFd<'_>>, name: &[u8]) -> io::Result<OwnedFd> {
    let name = c_string(name)?;
    // SAFETY: the kernel reads the name up to its NUL. It lives until after the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat,
            at.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd()),
            name.as_ptr(),
            libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
            0 as c_int,
        )
    })
}

fn open_with(at: BorrowedFd<'_>, name: &[u8], flags: c_int) -> io::Result<OwnedFd> {
    let name = c_string(name)?;
    // SAFETY: the kernel reads the name up to its NUL. It lives until after the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat,
            at.as_raw_fd(),
            name.as_ptr(),
            flags | libc::O_CLOEXEC,
            0 as c_int,
        )
    })
}

/// `struct open_how`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Goes to a place below a directory, follows no link at its end, and gives a descriptor that is good for nothing but
/// [`statx`].
///
/// # Errors
///
/// `EAGAIN`, if it is to use what the kernel remembers alone: a file system would have to be asked.
pub fn open_place(at: BorrowedFd<'_>, path: &[u8], only_cached: bool) -> io::Result<OwnedFd> {
    let path = c_string(path)?;
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: if only_cached { RESOLVE_CACHED } else { 0 },
    };
    // SAFETY: the kernel reads the path up to its NUL, and as many bytes of `how` as it is told that there are. Both
    // live until after the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            at.as_raw_fd(),
            path.as_ptr(),
            &how as *const OpenHow,
            mem::size_of::<OpenHow>(),
        )
    })
}

/// Reads a symbolic link below a directory.
///
/// # Errors
///
/// As `readlink()`; `ENAMETOOLONG`, if it has more than 4096 bytes.
pub fn read_link_below(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<u8>> {
    let name = c_string(name)?;
    let mut buffer = [0u8; 4097];
    // SAFETY: the kernel reads the name up to its NUL, and writes at most `buffer.len()` bytes to `buffer`. Both live
    // until after the call.
    let length = result(unsafe {
        libc::syscall(
            libc::SYS_readlinkat,
            at.as_raw_fd(),
            name.as_ptr(),
            buffer.as_mut_ptr().cast::<c_char>(),
            buffer.len(),
        )
    })?;
    let length = usize::try_from(length).unwrap_or(0);
    if length >= buffer.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    Ok(buffer[..length].to_vec())
}

/// What a clock shows, in nanoseconds; 0 if there is no such clock.
fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes a timespec to its argument, which is one, and lives until after the call.
    let failed = unsafe { libc::clock_gettime(id, &mut time) };
    if failed != 0 {
        return 0;
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// Nanoseconds since boot, with the time in suspend.
pub fn boottime() -> u64 {
    clock(libc::CLOCK_BOOTTIME)
}

/// How long processors have worked for this process, in nanoseconds: its own code, and the kernel's for it.
pub fn processor_time() -> u64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The signals that end a program which goes on until it is told not to: SIGINT, SIGTERM and SIGHUP. From when there is
/// one of these they wait to be taken, and end nothing by themselves.
#[allow(missing_debug_implementations)]
pub struct EndSignals {
    set: libc::sigset_t,
}

impl EndSignals {
    /// Has these signals wait. Threads that are there already must not get them.
    ///
    /// # Errors
    ///
    /// The kernel refuses it.
    pub fn hold() -> io::Result<Self> {
        let mut set = mem::MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: it fills in the set that it gets, which lives until after the call.
        let failed = unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        result(failed.into())?;
        // SAFETY: the call has filled it in; besides, it was all zeros, and is made of numbers alone.
        let mut set = unsafe { set.assume_init() };
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: it changes the set that it gets, which is a valid one.
            let failed = unsafe { libc::sigaddset(&mut set, signal) };
            result(failed.into())?;
        }
        // SAFETY: it reads the set, and a null pointer says that nobody wants the former one.
        let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        Ok(Self { set })
    }

    /// Waits for so long, or until one of them comes; gives whether one has. Others may end the wait early.
    ///
    /// # Errors
    ///
    /// The kernel does not have it.
    pub fn wait(&self, time: std::time::Duration) -> io::Result<bool> {
        let time = libc::timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        // SAFETY: it reads the set and the time, which both live until after the call; a null pointer says that nobody
        // wants to know more of the signal.
        let signal = unsafe { libc::sigtimedwait(&self.set, std::ptr::null_mut(), &time) };
        match result(signal.into()) {
            Ok(_) => Ok(true),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => Ok(false),
                _ => Err(error),
            },
        }
    }
}

/// Whether nobody reads what is written to a pipe or terminal any more.
pub fn is_abandoned(fd: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: 0,
        revents: 0,
    };
    // SAFETY: it is told of one pollfd, and writes to that one, which lives until after the call. It does not wait.
    let count = unsafe { libc::poll(&mut poll, 1, 0) };
    count > 0 && poll.revents & (libc::POLLERR | libc::POLLHUP) != 0
}

/// How many nanoseconds a tick of the times in procfs has.
pub fn nanoseconds_per_tick() -> u64 {
    // SAFETY: it takes a number and touches no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    1_000_000_000 / u64::try_from(ticks).unwrap_or(100).max(1)
}

/// The effective user id of this process.
pub fn effective_uid() -> u32 {
    // SAFETY: it takes nothing, touches no memory of ours, and never fails.
    unsafe { libc::geteuid() }
}

// So that a struct that is not as the kernel's does not compile.
const _: () = assert!(mem::size_of::<RawStatx>() == 256);
const _: () = assert!(mem::size_of::<NsIdReq>() == 32);
const _: () = assert!(mem::size_of::<MountIdReq>() == 32);
const _: () = assert!(mem::size_of::<NsHandle>() == 24);
const _: () = assert!(mem::size_of::<MountNsInfo>() == 16);
const _: () = assert!(mem::size_of::<RawStatMount>() < STATMOUNT_STRINGS);
const _: () = assert!(mem::size_of::<*const c_void>() == mem::size_of::<usize>());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Device;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_root_is_where_std_says() {
        let about = std::fs::metadata("/").expect("metadata");
        let found = statx(None, b"/", MountId::Old).expect("statx");
        assert_eq!(found.inode, about.ino());
        assert_eq!(
            found.device,
            (
                Device::from_dev(about.dev()).major,
                Device::from_dev(about.dev()).minor
            )
        );
    }

    #[test]
    fn links_below_a_directory() {
        let proc = open_directory(None, b"/proc/self").expect("open");
        let link = read_link_below(proc.as_fd(), b"ns/mnt").expect("link");
        assert!(link.starts_with(b"mnt:["));
        assert!(read_link_below(proc.as_fd(), b"nothing").is_err());
        assert!(open_below(proc.as_fd(), b"a\0b").is_err());
        let place = open_place(proc.as_fd(), b"status", false).expect("place");
        let id = statx(Some(place.as_fd()), b"", MountId::Old).expect("statx");
        assert_ne!(id.inode, 0);
    }

    #[test]
    fn a_namespace_has_an_owner() {
        let proc = open_directory(None, b"/proc/self").expect("open");
        let file = NsFile::open_link(proc.as_fd(), b"ns/uts").expect("open");
        let about = std::fs::metadata("/proc/self/ns/uts").expect("metadata");
        assert_eq!(u64::from(file.inum().expect("inum")), about.ino());
        assert_eq!(file.clone_flag().expect("type"), 0x0400_0000);
        match file.owner() {
            Ok(owner) => assert!(owner.owner_uid().is_ok()),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
        }
        assert!(file.owner_uid().is_err());
    }

    #[test]
    fn only_files_of_namespaces_are_asked() {
        let proc = open_directory(None, b"/proc/self").expect("open");
        let error = NsFile::open_link(proc.as_fd(), b"status").expect_err("no namespace");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(NsFile::open_mounted(b"/proc").is_err());
    }

    #[test]
    fn the_clock_goes_on() {
        let before = boottime();
        assert!(before > 0);
        assert!(boottime() >= before);
        assert!(nanoseconds_per_tick() > 0);
        assert!(processor_time() > 0);
    }

    #[test]
    fn a_stream_is_abandoned_once_its_reader_is_gone() {
        let (reader, writer) = std::os::unix::net::UnixStream::pair().expect("a pair");
        assert!(!is_abandoned(writer.as_fd()));
        drop(reader);
        assert!(is_abandoned(writer.as_fd()));
    }
}
