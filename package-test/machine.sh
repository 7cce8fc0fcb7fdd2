# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034  # the steps use the variables
#
# The machine that the packages are tested on: a Debian 13 in a directory, covered by an overlay so that
# nothing of a run stays, and the directory of packages that it installs from. Sourced by run.

# What that Debian has from the start. It is no more than a machine has that boots.
MACHINE_PACKAGES=(
    apt busybox-static dbus kmod libpam-systemd mount procps systemd systemd-sysv util-linux util-linux-extra
)
# What nsinspect-dkms asks for, which is to be in the directory of packages.
BUILD_PACKAGES=(bindgen bpftool dkms gcc kmod man-db openssl python3 rust-src rustc xz-utils)

# The kernels: one without Rust, two of one series, and the newest. The flavour "cloud" is the smaller one.
FLAVOURS=("6.12 cloud" "7.2 cloud" "7.3 ")

# prepare_machine: makes what the steps need. Sets
#   WORK       a directory of this run
#   MACHINE    the root of the machine, mounted
#   OLD A B NEW   the kernels' releases: without Rust, the last but one and the last of 7.2, the last of 7.3
#   VERSION_A VERSION_B VERSION_NEW   the versions of their packages
# The packages that are tested are in WORK/ours, and nsinspect-modules-NEW is MODULES.
prepare_machine() {
    local environment key
    environment=$("$PROJECT/scripts/setup" --quiet --env)
    eval "$environment"
    key=$({ echo "$SUITE_OF_MACHINE ${MACHINE_PACKAGES[*]} ${BUILD_PACKAGES[*]} ${FLAVOURS[*]}" && declare -f make_base fetch_packages finish_base boot_command && echo "$FETCH"; } | hash_of)
    BASE=$CACHE/packages-$key
    lock "packages-$key"
    [[ -d $BASE ]] || make_all "$BASE"
    unlock "packages-$key"
    touch "$BASE.used"
    WORK=$(mktemp -d "$CACHE/run/$$.XXXXXX")
    on_exit clean_up
    export BASE WORK ROOTFS
    use_machine
    mkdir -p "$WORK/ours"
    note 'building the packages'
    "$PROJECT/scripts/deb" --into "$WORK/ours" --lint >/dev/null
    "$PROJECT/scripts/deb" --into "$WORK/ours" --modules "$NEW" >/dev/null
    index "$WORK/ours"
    new_machine
}

# use_machine: sets what the steps refer to, once the machine is there.
use_machine() {
    MACHINE=$WORK/machine
    # shellcheck source=/dev/null
    source "$BASE/kernels"
    MODULES=$(echo "$WORK/ours/nsinspect-modules-$NEW"_*.deb)
}

SUITE_OF_MACHINE=trixie

clean_up() {
    umount --recursive --lazy "$WORK/machine" 2>/dev/null || true
    rm -rf "$WORK" || { sleep 1 && rm -rf "$WORK"; }
}

# --- what is kept in the cache ----------------------------------------------------------------

# make_all DIR: leaves the finished root file system and packages there, or nothing.
make_all() {
    LOG=$CACHE/log/package-test-$(date +%Y%m%d-%H%M%S)-$$.log
    need_mmdebstrap_here
    rm -rf "$CACHE"/packages-*.new
    mkdir "$1.new"
    step "making a Debian for the packages" make_base "$1.new/root"
    step "fetching kernels and compilers for it" fetch_packages "$1.new"
    step "setting up that Debian" finish_base "$1.new"
    mv "$1.new" "$1"
}

need_mmdebstrap_here() { command -v mmdebstrap >/dev/null || die "needs mmdebstrap: make setup installs it"; }

make_base() {
    private mmdebstrap --mode=root --variant=minbase --include="${MACHINE_PACKAGES[*]}" \
        --dpkgopt='force-unsafe-io' "$SUITE_OF_MACHINE" "$1" ${NSINSPECT_MIRROR:+"$NSINSPECT_MIRROR"}
}

# fetch_packages DIR: gets all that is going to be installed into DIR/repository, and notes which kernels these are.
fetch_packages() {
    local root=$1/root mirror
    mkdir -p "$1/repository"
    mirror=$(awk '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\//) { print $i; exit } }' "$root/etc/apt/sources.list")
    echo "deb $mirror $SUITE_OF_MACHINE-backports main" >"$root/etc/apt/sources.list.d/backports.list"
    # shellcheck disable=SC2016  # for the other bash
    private env http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" bash -euo pipefail -c '
        root=$1 repository=$2
        shift 2
        mount --bind /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || cp /etc/resolv.conf "$root/etc/resolv.conf"
        mkdir -p "$root/repository"
        mount --bind "$repository" "$root/repository"
        mount -t proc proc "$root/proc"
        exec chroot "$root" bash -euo pipefail -c "$FETCH" fetch "$@"' fetch "$root" "$1/repository" "${FLAVOURS[@]}" -- "${BUILD_PACKAGES[@]}"
}

# finish_base DIR: makes that the only place where the machine gets packages from.
finish_base() {
    local root=$1/root
    mv "$root/kernels" "$1/kernels" && index "$1/repository" || return
    rm -rf "$root"/etc/apt/sources.list{,.d/*} "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
    printf 'deb [trusted=yes] file:/%s ./\n' repository ours >"$root/etc/apt/sources.list"
    mkdir -p "$root"/{ours,build,cli,kernel,nsinspect,results,vm}
    boot_command "$root"
}

# The same as on a whole Debian of set-up: systemd runs the command of scripts/vm once it is up.
boot_command() {
    echo 0123456789abcdef0123456789abcdef >"$1/etc/machine-id"
    echo host >"$1/etc/hostname"
    printf '%s\n' '[Unit]' 'After=multi-user.target' '[Service]' 'ExecStart=/nsinspect/scripts/guest/init unit' \
        >"$1/etc/systemd/system/nsinspect.service"
    mkdir -p "$1/etc/systemd/system/multi-user.target.wants"
    ln -s ../nsinspect.service "$1/etc/systemd/system/multi-user.target.wants"
    ln -sf /dev/null "$1/etc/systemd/system/getty.target"
}

# Runs in the machine, with a network: fetch FLAVOUR... -- PACKAGE...
# shellcheck disable=SC2016  # for the other bash
export FETCH='
    apt-get update -q
    # newest SERIES FLAVOUR: release and version of its headers, of which the image and the source are there.
    complete() {
        apt-cache pkgnames "linux-headers-$1." | grep -E "^linux-headers-[0-9.]+[+]deb[0-9]+-${2:+$2-}amd64$" | sed s/linux-headers-// |
            while read -r release; do
                version=$(apt-cache madison "linux-headers-$release" | awk "{ print \$3; exit }")
                ! apt-cache madison "linux-image-$release" | grep -q . || echo "$release $version"
            done | sort -V -k 2
    }
    packages=()
    names=()
    while [[ $1 != -- ]]; do
        read -r series flavour <<<"$1"
        shift
        case $series in 6.12) wanted=(OLD) ;; 7.2) wanted=(A B) ;; *) wanted=(NEW) ;; esac
        while read -r release version; do
            printf "%s=%q\nVERSION_%s=%q\n" "$wanted" "$release" "$wanted" "$version" >>/kernels
            names+=("$wanted")
            wanted=("${wanted[@]:1}")
            packages+=("linux-image-$release=$version" "linux-headers-$release=$version")
            [[ $series == 6.12 ]] || sources+=("linux-source-$series=$version")
        done < <(complete "$series" "$flavour" | tail -n ${#wanted[@]})
    done
    shift
    [[ ${names[*]} == "OLD A B NEW" ]] || { echo "the archive has not all of the kernels: ${names[*]}"; exit 1; }
    apt-get install -q --yes --no-install-recommends --download-only -o Dir::Cache::archives=/repository/ \
        linux-base/trixie-backports "${packages[@]}" "$@"
    cd /repository
    rm -rf lock partial
    apt-get download -q "${sources[@]}"'

index() { detached in_rootfs "$1:/build:rw" -- bash -c 'cd /build && dpkg-scanpackages --multiversion . >Packages' 2>/dev/null; }

# --- in the machine ---------------------------------------------------------------------------

# new_machine: the machine as it was at first.
new_machine() {
    umount --recursive --lazy "$WORK/machine" 2>/dev/null || true
    rm -rf "$WORK"/{upper,work}
    mkdir -p "$WORK"/{upper,work,machine}
    mount -t overlay -o "lowerdir=$BASE/root,upperdir=$WORK/upper,workdir=$WORK/work" overlay "$MACHINE"
    mkdir -p "$MACHINE/repository" "$MACHINE/ours"
    mount --bind -o ro "$BASE/repository" "$MACHINE/repository"
    mount --bind -o ro "$WORK/ours" "$MACHINE/ours"
    in_machine apt-get update -q
}

# in_machine COMMAND...: runs it there, as root, with no network, in namespaces that end with it.
in_machine() {
    # shellcheck disable=SC2016  # for the other bash
    unshare --mount --pid --net --ipc --fork --kill-child --propagation private bash -euo pipefail -c '
        root=$1
        shift
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
        exec env --ignore-environment HOME=/root LANG=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"' machine "$MACHINE" "$@"
}

apt() { in_machine apt-get -q --yes --no-install-recommends "$@"; }

# boot COMMAND: boots the machine as it is, with systemd, and runs the command there.
boot() { KERNEL=stock SYSTEM=1 VM_SYSTEM=$MACHINE LOAD=none VM_TIMEOUT=600 "$PROJECT/scripts/vm" "$1"; }
