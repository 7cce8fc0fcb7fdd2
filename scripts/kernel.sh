# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2164  # for setup, under its set -e
#
# Debian's own kernels: which release a name stands for today, and how the tree is made that
# modules in Rust can be built on, for Debian's header packages lack the Rust metadata. What is
# built from Debian's source instead is in debug-kernel.sh. Sourced by setup.

KERNEL_NAMES='stock, rt, cloud, debug, uml, one of these with a series as in stock-7.2, or a release as in 7.2.12+deb13-amd64'

is_kernel_name() {
    [[ $1 =~ ^((stock|rt|cloud|debug|uml)(-[0-9]+\.[0-9]+)?|[0-9.]+\+deb[0-9]+-([a-z]+-)?amd64)$ ]]
}

# --- which release ----------------------------------------------------------------------------

# resolve NAME [VERSION]: prints "RELEASE VERSION SOURCE-PACKAGE" for the newest kernel of that name,
# or for the one of that version alone. The answer of the package index is good for a day; when there
# is no network, for as long as that lasts, with a try an hour.
resolve() {
    local name=$1 answer=$CACHE/resolved/$1${2:+=$2}
    is_fresh "$answer" || lock index
    if ! is_fresh "$answer"; then
        if detached update_index >>"$LOG" 2>&1; then
            newest "$name" "${2:-}" >"$answer.new"
            mv "$answer.new" "$answer"
        elif [[ -s $answer ]]; then
            note "no package index, $(reason): staying with $(cut -d' ' -f1 "$answer")"
            touch -d '23 hours ago' "$answer"
        else
            die "no package index to find kernel $name in: $(reason); log: $LOG"
        fi
    fi
    cat "$answer"
}

# resolve_kdir NAME: the same for a tree that a module is built on for good. For the release that runs, it
# is that of the very version that runs: in another one, structures may be laid out otherwise.
resolve_kdir() {
    local version
    if [[ $1 != "$(uname -r)" ]]; then
        resolve "$1"
        return
    fi
    version=$(running_version)
    [[ $version ]] || die "the running kernel is none of Debian's packages, says 'uname -v':" \
        "$(uname -v); the tree that it was built in is the one for KDIR="
    if [[ -d $CACHE/kernels/$1-$(kernel_key "$version") ]]; then
        echo "$1 $version $(source_package "$version")"
    else
        resolve "$1" "$version"
    fi
}

# The version of the package that the running kernel is of, if it is one of Debian's.
running_version() { uname -v | sed -n 's/.* Debian \([^ ]*\) (.*/\1/p'; }

# source_package VERSION: the package with its source.
source_package() { echo "linux-source-$(cut -d. -f1,2 <<<"$1")"; }

is_fresh() { [[ ${REFRESH:-0} == 0 && $(find "$1" -mmin -1440 2>/dev/null) ]]; }

# Where apt keeps its state, for the root file system is not written to.
APT_BINDS=("$CACHE/apt/lists:/var/lib/apt/lists:rw" "$CACHE/apt/archives:/var/cache/apt:rw"
    /etc/resolv.conf:/etc/resolv.conf)
APT_OPTIONS=(-q -o APT::Sandbox::User=root -o Acquire::Retries=1 -o Acquire::http::Timeout=20
    -o Dir::Etc::SourceList=sources.list.d/backports.list -o Dir::Etc::SourceParts=-)

# NSINSPECT_MIRROR is where the index is read, and packages come from, also when it is set later than the
# root file system was made, as for a kernel that nothing but an archive of old packages has. What that
# says of itself is no longer valid, by its own date.
use_mirror() {
    local list=$CACHE/apt/backports.list
    [[ ${NSINSPECT_MIRROR:-} ]] || return 0
    echo "deb $NSINSPECT_MIRROR $SUITE-backports main" >"$list"
    APT_BINDS+=("$list:/etc/apt/sources.list.d/backports.list")
    [[ $NSINSPECT_MIRROR != *snapshot.debian.org/* ]] ||
        APT_OPTIONS+=(-o Acquire::Check-Valid-Until=false)
}

update_index() {
    in_rootfs "${APT_BINDS[@]}" -- apt-get update "${APT_OPTIONS[@]}" \
        -o APT::Update::Error-Mode=any
}

read_index() {
    # shellcheck disable=SC2016  # for apt to expand
    in_rootfs "${APT_BINDS[@]}" -- bash -euo pipefail -c '
        apt-get indextargets "$@" --format "\$(FILENAME)" "Created-By: Packages" |
            xargs /usr/lib/apt/apt-helper cat-file' bash "${APT_OPTIONS[@]}"
}

# newest NAME [VERSION]: the newest release of that name of which every package exists that is needed: the
# index still lists binaries whose headers and source are gone. A kernel that we build is of the
# source of the newest of Debian's.
newest() {
    local series='' release='.*' kind=${1%%-*} version source complete answer
    case $1 in
    debug* | uml*)
        newest "stock${1#"$kind"}" | {
            read -r _ version source
            echo "${version%%-*}-$kind $version $source"
        }
        return
        ;;
    stock* | rt* | cloud*)
        release="[0-9.]+[+]deb[0-9]+-$kind-amd64"
        release=${release/stock-/}
        [[ $1 != *-* ]] || series=${1#*-}
        ;;
    *) release=${1//+/[+]} ;;
    esac
    complete=$(complete_kernels "^$release$" "$series")
    answer=$(awk -v version="${2:-}" 'version == "" || $2 == version' <<<"$complete" | tail -n 1)
    [[ $answer ]] || no_such_kernel "$1" "${2:-}" "$complete"
    echo "$answer"
}

# complete_kernels PATTERN SERIES: those whose release matches, and whose version is of that series if it is
# not empty, the newest last.
complete_kernels() {
    detached read_index 2>>"$LOG" | awk -v wanted="$1" -v series="$2" '
        $1 == "Package:" { package = $2 }
        $1 == "Version:" { have[package, $2] = 1 }
        END {
            for (key in have) {
                split(key, part, SUBSEP)
                if (!sub(/^linux-binary-/, "", part[1])) continue
                release = part[1]
                version = part[2]
                match(version, /^[0-9]+\.[0-9]+/)
                own = substr(version, 1, RLENGTH)
                if (release !~ wanted || (series != "" && series != own)) continue
                source = "linux-source-" own
                if (have["linux-modules-" release, version] && have["linux-base-" release, version] &&
                    have["linux-headers-" release, version] && have[source, version])
                    print release, version, source
            }
        }' | sort -V -k 2
}

# no_such_kernel NAME VERSION COMPLETE: ends with a message.
no_such_kernel() {
    [[ $2 ]] ||
        die "the package index has no kernel $1 that is complete: binary, modules, headers, source"
    note "this machine runs $1 of version $2, which the package index has no longer, or not whole;" \
        "it has: $(cut -d' ' -f2 <<<"$3" | paste -sd' ')"
    note "install the newest and boot it: apt install linux-image-$1 && reboot"
    die "or name an archive that has it: NSINSPECT_MIRROR=http://snapshot.debian.org/archive/debian/DATE"
}

# --- its tree ---------------------------------------------------------------------------------

kernel_key() {
    { echo "$1" && cat "$ROOTFS/etc/nsinspect-compilers" &&
        declare -f download unpack prepare_tree compare_symbols; } | hash_of
}

# make_kernel DIR RELEASE VERSION SOURCE-PACKAGE: leaves the finished kernel there, or nothing.
make_kernel() {
    local dir=$1 new=$1.new release=$2
    need_space 2000
    HALF_MADE=$new
    rm -rf "$new"
    mkdir "$new"
    step "downloading kernel $release" in_kernel "$new" download \
        linux-{base,binary,modules,headers}-"$release=$3" "$4=$3"
    step "unpacking kernel $release" in_kernel "$new" unpack "$release" "$4"
    step "preparing the tree of $release" in_kernel "$new" prepare_tree "$release"
    step "comparing the Rust symbols of $release" in_kernel "$new" compare_symbols
    note "$(<"$new/symbols")"
    mv "$new" "$dir"
    HALF_MADE=''
}

# record_version DIR: notes in a tree what "uname -v" tells on its kernel, for nothing else in it says so:
# the module compares it with the kernel that it is loaded into, and make with the one that runs.
record_version() {
    local record=$1/tree/uts-version
    [[ ! -s $record ]] || return 0
    uts_version "$1/modules/vmlinuz" >"$record.new"
    [[ -s $record.new ]] || die "$1/modules/vmlinuz does not say which version it is"
    mv "$record.new" "$record"
}

# uts_version IMAGE: what "uname -v" tells on that kernel. The header of a bzImage says where the string is:
# release, builder in parentheses, version. C: kernel_version in arch/x86/boot/header.S.
uts_version() {
    local place
    place=$(od --address-radix=n --format=u2 --skip-bytes=526 --read-bytes=2 "$1")
    dd if="$1" bs=1 skip=$((place + 512)) count=256 status=none | tr '\0\n' '\n ' |
        sed -n '1s/^[^ ]* ([^)]*) //p'
}

# in_kernel DIR FUNCTION ARGUMENT...: runs the function in the root file system, DIR on /kernel.
in_kernel() {
    local dir=$1 function=$2
    shift 2
    in_rootfs "${APT_BINDS[@]}" "$dir:/kernel:rw" -- bash -euo pipefail -c \
        "APT_OPTIONS=(${APT_OPTIONS[*]}); $(declare -f "$function"); $function \"\$@\"" \
        "$function" "$@"
}

# download PACKAGE=VERSION...
download() {
    mkdir /kernel/debs && cd /kernel/debs
    apt-get download "${APT_OPTIONS[@]}" "$@"
}

# The source comes without what neither builds nor explains a module: the C code of drivers,
# other architectures, documentation.
unpack() {
    local release=$1 source=$2 deb
    cd /kernel
    for deb in debs/*.deb; do
        dpkg-deb --extract "$deb" unpacked
        rm "$deb"
    done
    mv "unpacked/usr/lib/modules/$release" modules
    ln -sfn /kernel/tree modules/build
    mkdir "/usr/lib/modules/$release"
    mount --bind modules "/usr/lib/modules/$release"
    depmod "$release"
    mkdir tree
    tar --extract --file "unpacked/usr/src/$source.tar.xz" --directory tree --strip-components 1 \
        --wildcards --wildcards-match-slash --anchored \
        --exclude '*/drivers/*.c' --exclude '*/drivers/gpu/drm/amd/include' \
        --exclude '*/sound/*.c' --exclude '*/Documentation/*.rst' --exclude '*/*.dts*' \
        --exclude '*/tools/testing' --exclude '*/tools/perf'
    mv "unpacked/usr/src/linux-headers-$release" headers
    rm -rf unpacked debs
}

# Builds what modules in Rust need, with Debian's configuration, symbols and type information
# and the very compilers, and makes sure that the tree is that kernel's.
prepare_tree() {
    local release=$1 gcc
    local -a options
    cd /kernel/tree
    grep -qx CONFIG_RUST=y ../headers/.config || { echo "kernel $release has no CONFIG_RUST"; exit 1; }
    gcc=$(sed -n 's/^CC = .*gcc-\([0-9]*\)$/\1/p' ../headers/.kernelvariables)
    [[ $(gcc -dumpversion) == "$gcc" ]] || { echo "kernel $release wants gcc-$gcc"; exit 1; }
    cp ../headers/{.config,Module.symvers,vmlinux} .
    options=("-j$(nproc)" "LOCALVERSION=${release#"$(make -s kernelversion)"}")
    make "${options[@]}" modules_prepare </dev/null
    [[ $(make -s "${options[@]}" kernelrelease) == "$release" ]] ||
        { echo "the tree calls itself $(cat include/config/kernel.release), not $release"; exit 1; }
    diff <(grep -v _VERSION_TEXT= ../headers/.config) <(grep -v _VERSION_TEXT= .config) ||
        { echo "the tree's configuration is not that of $release"; exit 1; }
    rm -r ../headers
}

# A check that the tree matches: Debian's kernel and the tree export the same Rust symbols, whose mangled names hold a
# hash of the crate's name and of the compiler. What makes it match is the same source, configuration and compiler.
compare_symbols() {
    local debian ours missing extra
    cd /kernel/tree
    debian=$(awk '$3 == "vmlinux" && $2 ~ /^(_R|rust_)/ { print $2 }' Module.symvers | sort -u)
    ours=$(sed -n 's/^EXPORT_SYMBOL_RUST_GPL(\(.*\));$/\1/p' rust/exports_*_generated.h | sort -u)
    missing=$(comm -23 <(echo "$debian") <(echo "$ours") | grep -c . || true)
    extra=$(comm -13 <(echo "$debian") <(echo "$ours") | grep -c . || true)
    echo "Rust symbols: $(($(grep -c . <<<"$debian") - missing)) of $(grep -c . <<<"$debian")" \
        "that Debian exports match, $extra more in the tree" | tee /kernel/symbols
    ((missing == 0)) || { echo "$missing Rust symbols that Debian exports are missing"; exit 1; }
}
