# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034  # for setup
#
# How the Debian 13 root file system is made. It serves twice: its compilers build the module and the
# command, and virtual machines boot on it. Sourced by setup.

SUITE=trixie
ROOTFS_PACKAGES=(
    # to build kernel trees and modules
    bc bindgen bison bpftool ca-certificates clang cpio flex gcc kmod libdw-dev libelf-dev
    libssl-dev lld llvm make pahole perl python3 rsync rust-clippy rust-src rustc rustfmt
    xz-utils zstd
    # to build the command
    cargo librust-anstyle-dev librust-clap-complete-dev librust-clap-dev librust-clap-mangen-dev
    librust-itoa-dev librust-libc-dev librust-memchr-dev librust-serde-dev librust-serde-json-dev
    librust-terminal-size-dev librust-unicode-width-dev
    # to check sources
    librust-proptest-dev pyflakes3 shellcheck
    # to build packages
    build-essential debhelper dh-dkms lintian
    # to boot with Secure Boot
    ovmf python3-virt-firmware
    # to run virtual machines
    qemu-system-x86 virtiofsd virtme-ng
    # for the programs in them
    busybox-static crun e2fsprogs iproute2 libcap2-bin mount procps strace util-linux util-linux-extra
    # to compare with, and to profile
    libbpf-dev linux-perf
)

rootfs_key() {
    { echo "$SUITE ${ROOTFS_PACKAGES[*]}" && declare -f bootstrap finish_rootfs; } | hash_of
}

# make_rootfs DIR: leaves the finished root file system there, or nothing.
make_rootfs() {
    local new=$1.new
    need_space 2800
    HALF_MADE=$new
    step "making the Debian $SUITE root file system" bootstrap "$new"
    finish_rootfs "$new"
    mv "$new" "$1"
    HALF_MADE=''
}

bootstrap() {
    private mmdebstrap --mode=root --variant=minbase \
        --include="${ROOTFS_PACKAGES[*]}" \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        "$SUITE" "$1" ${NSINSPECT_MIRROR:+"$NSINSPECT_MIRROR"}
}

# Adds what no package brings: the source of kernels, at the mirror that mmdebstrap has chosen;
# mount points; the command on the PATH, which is where its own mount point is; a note of the
# compilers, which kernel trees are keyed by; and a virtiofsd that lets a guest keep what it has read.
# Nobody writes to the root file system, and without that a guest reads each program anew whenever
# it is started, which takes ten times as long.
finish_rootfs() {
    local mirror
    mirror=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\//) { print $i; exit } }' \
        "$1/etc/apt/sources.list")
    echo "deb $mirror $SUITE-backports main" >"$1/etc/apt/sources.list.d/backports.list"
    mkdir -p "$1"/{build,cli,kernel,nsinspect,results,vm} "$1/usr/lib/modules"
    ln -s /cli/nsinspect "$1/usr/local/bin/nsinspect"
    chroot "$1" dpkg-query --show binutils bindgen clang-19 gcc-14 libc6 pahole rust-src rustc \
        >"$1/etc/nsinspect-compilers"
    printf '%s\n' '#!/bin/sh' 'exec /usr/libexec/virtiofsd --cache always "$@"' \
        >"$1/usr/local/bin/virtiofsd"
    chmod 0755 "$1/usr/local/bin/virtiofsd"
}
