# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2016,SC2034  # for other shells; run uses STEPS
#
# The steps: what happens to the packages on one machine, from the first installation to the last
# removal, and what must hold after each. Sourced by run.

STEPS=(
    install update_kernel remove_kernel remove reinstall_without_source source_arrives killed
    other_compiler interrupted disk_fills boots purge
    fleet fleet_boots same_twice secure_boot
)

STATE=/var/lib/nsinspect

fail() {
    echo "$*" >&2
    exit 1
}

# holds WHAT WANTED FOUND
holds() { [[ $2 == "$3" ]] || fail "$1: not as it should be"$'\n'"wanted: $2"$'\n'"found:  $3"; }

says() { grep -qF -- "$2" <<<"$1" || fail "this does not say '$2':"$'\n'"$1"; }

# lines WORD...: sorted, each on a line of its own.
lines() { printf '%s\n' "$@" | sort; }

# state_is [RELEASE...]: the module is there for these kernels and no other, by all that tells; nothing is
# half-done, and nothing left lying about.
state_is() {
    holds 'dpkg --audit' '' "$(in_machine dpkg --audit)"
    holds 'what dkms has installed' "$(lines "$@")" \
        "$(in_machine dkms status nsinspect | sed -n 's/^[^,]*, \(.*\), x86_64: installed$/\1/p' | sort)"
    holds 'modules' "$(lines "$@")" "$(modules)"
    holds 'trees' "$(lines "$@")" "$(trees)"
    local release
    for release; do
        holds "modinfo of $release" "0.1.0 $release SMP" \
            "$(in_machine modinfo -k "$release" -F version nsinspect) $(in_machine modinfo -k "$release" -F vermagic nsinspect | cut -d' ' -f1,2)"
    done
}

# The kernels that there is something made for.
trees() { ! [[ -d $MACHINE$STATE ]] || find "$MACHINE$STATE" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort; }

# The kernels that have a file of the module.
modules() { (cd "$MACHINE/usr/lib/modules" && find . -name 'nsinspect.ko*' | cut -d/ -f2 | sort); }

# apt_says OPTION...: what apt prints; it must not fail.
apt_says() { apt "$@" 2>&1 | tee /dev/stderr; }

# --- updates ----------------------------------------------------------------------------------

# Kernels without Rust, of 7.2 and 7.3, with the sources of these, and our packages, in one go.
step_install() {
    local said start=$SECONDS
    said=$(apt_says install "linux-image-$OLD" "linux-headers-$OLD" "linux-image-$A" "linux-headers-$A" "linux-image-$NEW" \
        "linux-headers-$NEW" "linux-source-7.2=$VERSION_A" "linux-source-7.3=$VERSION_NEW" nsinspect nsinspect-dkms)
    echo "note: installed after $((SECONDS - start)) s"
    state_is "$A" "$NEW"
    if grep "nsinspect: .*$OLD" <<<"$said"; then fail "there is a line on a kernel without Rust"; fi
    # Signed with the key of DKMS.
    says "$(in_machine modinfo -k "$NEW" -F signer nsinspect)" 'DKMS module signing key'
    says "$(in_machine nsinspect --version)" 'module not loaded'
    grep -qx '#nsinspect' "$MACHINE/etc/modules-load.d/nsinspect.conf"
    echo "note: $(grep -h 'made the Rust metadata' "$MACHINE"/var/lib/dkms/nsinspect/0.1.0/*/x86_64/log/make.log | paste -sd';')"
    echo "note: $(du --summarize --block-size=M "$MACHINE$STATE/$NEW" | cut -f1) for the metadata of $NEW"
}

# A kernel comes, and in the same run the source that replaces the one of the kernel before.
step_update_kernel() {
    apt install "linux-image-$B" "linux-headers-$B" "linux-source-7.2=$VERSION_B"
    state_is "$A" "$B" "$NEW"
}

step_remove_kernel() {
    apt purge "linux-image-$A" "linux-headers-$A" "linux-modules-$A" "linux-binary-$A" "linux-base-$A"
    state_is "$B" "$NEW"
    [[ ! -e $MACHINE/usr/lib/modules/$A ]] || fail "there is something left in /lib/modules: $(find "$MACHINE/usr/lib/modules/$A")"
}

step_remove() {
    apt remove nsinspect-dkms
    state_is
    [[ ! -e $MACHINE$STATE ]] || fail "$STATE is still there"
}

# The source of both kernels is missing, and then that of one is there in another version.
step_reinstall_without_source() {
    local said
    apt purge linux-source-7.2 linux-source-7.3
    said=$(apt_says install nsinspect-dkms)
    state_is
    says "$said" "nsinspect: no module for $B: install the source of that kernel: apt install linux-source-7.2=$VERSION_B"
    says "$said" "nsinspect: no module for $NEW: install the source of that kernel: apt install linux-source-7.3=$VERSION_NEW"
    said=$(apt_says install "linux-source-7.2=$VERSION_A")
    state_is
    says "$said" "no module for $B: install the source of that kernel, for $VERSION_A is another: apt install linux-source-7.2=$VERSION_B"
}

step_source_arrives() {
    apt install "linux-source-7.2=$VERSION_B"
    state_is "$B"
    apt purge "linux-image-$B" "linux-headers-$B" "linux-modules-$B" "linux-binary-$B" "linux-base-$B" linux-source-7.2
    state_is
}

# --- what goes wrong --------------------------------------------------------------------------

# anew: makes the next build have all to do.
anew() {
    in_machine dkms unbuild nsinspect/0.1.0 -k "$NEW"
    rm -rf "${MACHINE:?}$STATE"
}

# until_building: waits until the crates of the kernel are being compiled in the machine.
until_building() {
    local deadline=$((SECONDS + 300))
    until pgrep --full "$STATE/${NEW//+/.}.new/source/rust/" >/dev/null; do
        ((SECONDS < deadline)) || fail 'nobody compiles anything'
        sleep 0.2
    done
}

# The power fails while dpkg processes what the source's arrival has triggered: nothing can be tidied up.
step_killed() {
    local pid first status=0
    apt install linux-source-7.3 &
    pid=$!
    until_building
    # All of the machine ends with its first process, and that is gone once all others are.
    first=$(pgrep --parent "$(pgrep --parent "$pid" unshare)")
    kill -KILL "$first"
    tail --pid="$first" --follow /dev/null
    wait "$pid" || status=$?
    ((status)) || fail 'apt was not ended'
    [[ -d $MACHINE$STATE/$NEW.new ]] || fail 'the build was not under way'
    in_machine dpkg --configure -a
    in_machine /usr/src/nsinspect-0.1.0/scripts/dkms update
    state_is "$NEW"
}

step_other_compiler() {
    local said
    anew
    # In its place, for DKMS does not look into /usr/local.
    in_machine dpkg-divert --quiet --local --rename --add /usr/bin/rustc
    printf '#!/bin/sh\n[ "$1" = --version ] && echo "rustc 1.99.0" || exec rustc.distrib "$@"\n' >"$MACHINE/usr/bin/rustc"
    chmod 0755 "$MACHINE/usr/bin/rustc"
    said=$(apt_says install --reinstall nsinspect-dkms)
    rm "$MACHINE/usr/bin/rustc"
    in_machine dpkg-divert --quiet --local --rename --remove /usr/bin/rustc
    state_is
    says "$said" "no module for $NEW: the kernel is built with rustc 1.85"
    says "$said" "and here is rustc 1.99.0: install that version"
}

# with_disk MB COMMAND...: in the machine, with no more room than that for what we keep, of which nothing may stay.
with_disk() {
    local left
    mkdir -p "$MACHINE$STATE"
    mount -t tmpfs -o "size=${1}M" tmpfs "$MACHINE$STATE"
    shift
    "$@"
    left=$(find "$MACHINE$STATE" -mindepth 1 -maxdepth 1 ! -name .lock ! -name '*.skipped')
    umount "$MACHINE$STATE"
    holds 'what is left on the full disk' '' "$left"
}

# Somebody presses Ctrl-C during a build; and when what was begun is finished, the disk is too small.
step_interrupted() {
    local pid said
    # Started by a program that does not have SIGINT ignored, as a shell has for what is in the background.
    python3 -c 'import os, signal, sys; os.setpgid(0, 0); signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])' \
        bash -c "$(declare -f in_machine); MACHINE=$MACHINE; in_machine apt-get -q --yes install --reinstall nsinspect-dkms" &
    pid=$!
    until_building
    kill -INT -- "-$pid"
    wait "$pid" || true
    [[ ! -e $MACHINE$STATE/$NEW.new ]] || fail 'half a tree is left'
    # Whatever apt made of it, in the end all is configured.
    said=$(with_disk 300 in_machine sh -c 'dpkg --configure -a; apt-get -q --yes install --reinstall nsinspect-dkms')
    echo "$said"
    says "$said" "no module for $NEW: $STATE has 300 MB free, and it takes 700"
    state_is
}

# There is room at first, and then there is none.
step_disk_fills() {
    local said filler
    (
        deadline=$((SECONDS + 300))
        until [[ -d $MACHINE$STATE/$NEW.new/output ]] || ((SECONDS > deadline)); do sleep 0.1; done
        fallocate --length "$(($(df --output=avail -k "$MACHINE$STATE" | tail -n 1) - 20000))K" "$MACHINE$STATE/filler"
        while [[ -e $MACHINE$STATE/$NEW.new ]] && ((SECONDS <= deadline)); do sleep 0.1; done
        rm -f "$MACHINE$STATE/filler"
    ) &
    filler=$!
    said=$(with_disk 750 apt_says install --reinstall nsinspect-dkms)
    wait "$filler"
    says "$said" "no module for $NEW: the Rust metadata cannot be built"
    state_is
    # There is room again.
    rm -rf "${MACHINE:?}$STATE"
    in_machine /usr/src/nsinspect-0.1.0/scripts/dkms update
    state_is "$NEW"
}

# --- on the running kernel --------------------------------------------------------------------

# verifies: boots the machine, where the module is loaded at boot, and has the command compare it with all else.
verifies() {
    local said
    sed -i 's/^#nsinspect$/nsinspect/' "$MACHINE/etc/modules-load.d/nsinspect.conf" 2>/dev/null ||
        echo nsinspect >"$MACHINE/etc/modules-load.d/nsinspect.conf"
    said=$(boot 'nsinspect --version; nsinspect verify; modprobe -r nsinspect; modprobe nsinspect && nsinspect --version' | tee /dev/stderr)
    holds 'the versions' "nsinspect 0.1.0 module 0.1.0 format 1" "$(head -n 3 <<<"$said" | paste -sd' ')"
    says "$said" 'facts compared, 0 differ'
    echo "note: $(grep 'facts compared' <<<"$said")"
    holds 'the versions, loaded again' "nsinspect 0.1.0 module 0.1.0 format 1" "$(tail -n 3 <<<"$said" | paste -sd' ')"
}

step_boots() { verifies; }

step_purge() {
    apt purge nsinspect-dkms nsinspect
    holds 'modules' '' "$(modules)"
    holds 'dpkg --audit' '' "$(in_machine dpkg --audit)"
    holds 'what is left' '' "$(find "$MACHINE"/etc "$MACHINE"/var/lib "$MACHINE"/usr -name '*nsinspect*' \
        ! -name 'nsinspect.service' ! -path '*/var/lib/apt/*' ! -path '*/var/lib/dpkg/*' | sort)"
}

# A machine of a fleet: no compiler, no headers.
step_fleet() {
    new_machine
    apt install "linux-image-$NEW" nsinspect "nsinspect-modules-$NEW"
    holds 'dpkg --audit' '' "$(in_machine dpkg --audit)"
    holds 'modules' "$NEW" "$(modules)"
    holds 'modinfo' 0.1.0 "$(in_machine modinfo -k "$NEW" -F version nsinspect)"
    if in_machine sh -c 'command -v gcc rustc dkms'; then fail 'there is a compiler'; fi
}

step_fleet_boots() {
    verifies
    apt purge "nsinspect-modules-$NEW"
    holds 'modules' '' "$(modules)"
    if in_machine modinfo -k "$NEW" nsinspect; then fail 'depmod was not run'; fi
}

# The package of the finished module, built from a checkout elsewhere, with its own output.
step_same_twice() {
    mkdir "$WORK/again"
    git -c safe.directory='*' clone -q "$PROJECT" "$WORK/elsewhere"
    files | (cd "$PROJECT" && xargs -d '\n' cp --parents --target-directory "$WORK/elsewhere")
    "$WORK/elsewhere/scripts/deb" --into "$WORK/again" --modules "$NEW"
    cmp "$MODULES" "$WORK/again/${MODULES##*/}"
    rm -rf "$WORK"/{elsewhere,again}
}
