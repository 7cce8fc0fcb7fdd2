# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034  # those who source it use the variables
#
# What the host-side scripts share: messages, the cache and its locks, running a step with a log,
# and running a command inside the Debian root file system. Sourced, never run.
#
# Layout of the cache:
#   rootfs-KEY/           Debian 13: compilers, crates, virtme-ng, QEMU and the guest's programs
#   kernels/RELEASE-KEY/  a kernel: modules/ (with its image), tree/ (what modules are built on)
#   resolved/KERNEL       what a name stands for: "RELEASE VERSION SOURCE-PACKAGE"
#   build/                built modules, by kernel and checkout, and the command, by checkout
#   apt/ lock/ log/ run/ kvm-*

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=$(realpath -m "${NSINSPECT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/nsinspect}")
SELF=${0##*/}
QUIET=${QUIET:-}

note() { printf '%s: %s\n' "$SELF" "$*" >&2; }
detail() { [[ $QUIET ]] || note "$@"; }
die() {
    note "$@"
    exit 1
}

# Prints the comment at the head of the running script.
usage() { awk 'NR > 3 && !/^#/ { exit } NR > 3 { sub(/^# ?/, ""); print }' "$0"; }

need_root() {
    ((EUID == 0)) || die "needs root, for mounts and chroot: run it with sudo"
}

open_cache() {
    [[ $PROJECT$CACHE != *:* ]] || die "cannot work with a colon in a path: $PROJECT, $CACHE"
    mkdir -p "$CACHE"/{apt/lists,apt/archives,build,kernels,lock,log,resolved,run} ||
        die "cannot write to the cache $CACHE; NSINSPECT_CACHE names another place"
}

hash_of() { sha256sum | cut -c1-12; }

# files [PATHSPEC...]: the project's files that match one of the patterns, tracked or about to be.
files() {
    git -c safe.directory='*' -C "$PROJECT" ls-files --cached --others --exclude-standard -- "$@" |
        while read -r file; do [[ ! -f $PROJECT/$file ]] || echo "$file"; done
}

# lock NAME: holds the lock until unlock, or the end of this script; says so when it must wait.
declare -A LOCK_FD
lock() {
    local fd
    exec {fd}>"$CACHE/lock/$1"
    LOCK_FD[$1]=$fd
    flock --timeout 3 "$fd" && return
    note "another run works on $1: waiting for it"
    flock "$fd"
}
unlock() {
    local fd=${LOCK_FD[$1]}
    exec {fd}>&-
}

# --- steps ------------------------------------------------------------------------------------

# step TEXT COMMAND...: runs one part of the work, its output in $LOG, and says how long it took.
step() {
    local text=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$text" >>"$LOG"
    detached "$@" >>"$LOG" 2>&1 || die "$text failed: $(reason); log: $LOG"
    note "$text: $((SECONDS - start)) s"
}

# The likely cause of a step's failure, in one phrase.
reason() {
    local free
    free=$(df --output=avail -k "$CACHE" | tail -n 1)
    if ((free < 65536)) || grep -q 'No space left on device' "$LOG"; then
        echo "the disk of $CACHE is full"
    elif tail -n 40 "$LOG" | grep -qE 'Temporary failure|Could not (resolve|connect)|Unable to connect|Connection (failed|timed out|refused)|Network is unreachable'; then
        echo "the package mirror cannot be reached"
    elif tail -n 40 "$LOG" | grep -qE '404 +Not Found|Unable to locate package|Version .* was not found'; then
        echo "the mirror no longer has a package that its index named (REFRESH=1 reads it anew)"
    else
        awk 'NF { last = $0 } END { print last }' "$LOG"
    fi
}

# Runs a command so that a signal ends this script at once, and with it the command, whatever
# the command makes of signals: bash does not wait for what it did not start in the foreground.
detached() {
    local status=0
    "$@" <&0 &
    DETACHED=$!
    wait "$DETACHED" || status=$?
    DETACHED=''
    return "$status"
}

# on_exit COMMAND...: runs it when this script ends, by itself or by a signal, after whatever it
# had detached has ended.
on_exit() {
    # shellcheck disable=SC2064  # to be expanded now
    trap "$(printf '%q ' stop_detached "$@")" EXIT
}
stop_detached() {
    [[ ! ${DETACHED:-} ]] || { kill -KILL "$DETACHED" && wait "$DETACHED"; } 2>/dev/null || true
    "$@"
}

# --- the root file system ---------------------------------------------------------------------

# private COMMAND...: becomes that command, in mount and pid namespaces of its own that end when
# this script ends, however it ends: no mount and no process outlives it. To be "detached".
private() {
    exec setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc "$@"
}

# in_rootfs [SOURCE:TARGET[:rw]]... -- COMMAND...: runs the command in $ROOTFS, which it cannot
# write to, with these host directories mounted on it and nothing of our environment. To be
# "detached".
in_rootfs() {
    private bash -euo pipefail -c "$(declare -f enter_rootfs); enter_rootfs \"\$@\"" \
        "$SELF" "$ROOTFS" "$@"
}

enter_rootfs() {
    local root=$1 source target mode
    shift
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount -t tmpfs -o mode=0755 tmpfs "$root/run"
    mount -t tmpfs -o mode=0755 tmpfs "$root/usr/lib/modules"
    while [[ $1 != -- ]]; do
        IFS=: read -r source target mode <<<"$1"
        [[ -e $root$target ]] || mkdir -p "$root$target"
        mount --bind "$source" "$root$target"
        mount -o remount,bind,"${mode:-ro}" "$root$target"
        shift
    done
    shift
    exec env --ignore-environment HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        ${no_proxy:+no_proxy="$no_proxy"} \
        chroot "$root" "$@"
}
