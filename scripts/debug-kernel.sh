# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2164  # for setup, under its set -e
#
# The kernels that are built here, from Debian's kernel source, with everything switched on that
# finds a module's mistakes: debug, for QEMU, and uml, User-Mode Linux. What each is to have is in
# kernels/*.config. KASAN and Rust together need Clang, so LLVM builds them. Sourced by setup.

# is_built_here RELEASE
is_built_here() { [[ $1 == *-debug || $1 == *-uml ]]; }

# built_key KIND VERSION
built_key() {
    {
        echo "$1 $2"
        cat "$ROOTFS/etc/nsinspect-compilers" "$PROJECT/scripts/kernels/"{common,"$1"}.config
        declare -f unpack_source configure_kernel build_kernel strip_tree
    } | hash_of
}

# build_kernel_from_source DIR RELEASE VERSION SOURCE-PACKAGE: leaves the finished kernel there, or
# nothing.
build_kernel_from_source() {
    local dir=$1 new=$1.new release=$2 kind=${2##*-}
    need_space 9000
    HALF_MADE=$new
    rm -rf "$new"
    mkdir "$new"
    cat "$PROJECT/scripts/kernels/"{common,"$kind"}.config >"$new/wanted"
    step "downloading the source of $release" in_kernel "$new" download "$4=$3"
    step "unpacking the source of $release" in_kernel "$new" unpack_source "$4"
    step "configuring kernel $release" in_kernel "$new" configure_kernel "$kind"
    note "building kernel $release, once: 5 to 15 minutes on two cores; log: $LOG"
    step "building kernel $release" in_kernel "$new" build_kernel "$kind"
    step "stripping kernel $release" in_kernel "$new" strip_tree "$kind" "$release"
    mv "$new" "$dir"
    HALF_MADE=''
}

unpack_source() {
    cd /kernel
    dpkg-deb --extract debs/*.deb unpacked
    mkdir tree
    tar --extract --file "unpacked/usr/src/$1.tar.xz" --directory tree --strip-components 1 \
        --wildcards --wildcards-match-slash --anchored \
        --exclude '*/drivers/gpu/drm/amd/include' --exclude '*/sound/*.c' \
        --exclude '*/Documentation/*.rst' --exclude '*/*.dts*' \
        --exclude '*/tools/testing' --exclude '*/tools/perf'
    rm -rf unpacked debs
}

# Everything that the fragments do not name is off, or as the kernel's default has it. An option
# whose dependencies are not met drops out without a word, so each line is looked for afterwards.
configure_kernel() {
    local arch=x86_64 line missing=0
    cd /kernel/tree
    [[ $1 != uml ]] || arch=um
    make -s ARCH="$arch" LLVM=1 KCONFIG_ALLCONFIG=/kernel/wanted allnoconfig
    while read -r line; do
        case $line in
        CONFIG_*) ! grep -qxF "$line" .config || continue ;;
        '# CONFIG_'*' is not set')
            line=${line#\# }
            ! grep -q "^${line%% *}=" .config && continue
            ;;
        *) continue ;;
        esac
        echo "the kernel's configuration did not take: $line"
        missing=$((missing + 1))
    done </kernel/wanted
    ((missing == 0)) || { echo "the configuration lacks $missing lines that kernels/*.config want"; exit 1; }
}

# User-Mode Linux is compiled for the large code model. Clang then puts variables into sections of
# their own, .lbss among them, which the linker script does not know: they come behind what is said
# to be all data, where kmemleak does not look, and what they alone point at would be leaked. So only
# the largest, as the stack for interrupts, are to be called large: of .bss they would change the
# alignment, and leave a hole before it that nobody can read. (The vDSO, for another code model, has
# no use for the option.)
build_kernel() {
    local -a options=(LLVM=1 "LOCALVERSION=-$1" "-j$(nproc)")
    cd /kernel/tree
    mkdir /kernel/modules
    if [[ $1 == uml ]]; then
        options+=('KCFLAGS=-mlarge-data-threshold=16383 -Wno-unused-command-line-argument')
        make "${options[@]}" ARCH=um linux modules_prepare </dev/null
        # What exports symbols is the kernel alone, for it has no modules.
        cp vmlinux.symvers Module.symvers
        llvm-objcopy --strip-debug linux /kernel/modules/linux
    else
        make "${options[@]}" ARCH=x86_64 bzImage modules_prepare </dev/null
        cp vmlinux.symvers Module.symvers
        cp arch/x86/boot/bzImage /kernel/modules/vmlinuz
    fi
}

# What make needs to build a module on the tree goes to make-options, an argument a line. The
# module loader of User-Mode Linux knows no relocations by a global offset table, and its modules
# lie far from the kernel.
#
# Leaves of the tree what a module is built with: no objects, no debugging information but BTF.
strip_tree() {
    cd /kernel/tree
    [[ $(<include/config/kernel.release) == "$2" ]] ||
        { echo "the kernel calls itself $(<include/config/kernel.release), not $2"; exit 1; }
    llvm-objcopy --strip-debug vmlinux
    rm -f linux vmlinux.o vmlinux.unstripped vmlinux.a .tmp_vmlinux* arch/x86/boot/{bzImage,vmlinux.bin}
    find . \( -name '*.o' -o -name '*.a' -o -name '.*.cmd' \) \
        -not -path './scripts/*' -not -path './tools/*' -delete
    find drivers -name '*.c' -delete
    ln -s /kernel/tree /kernel/modules/build
    if [[ $1 == uml ]]; then
        printf '%s\n' ARCH=um LLVM=1 'KRUSTFLAGS=-Crelocation-model=static -Ccode-model=large'
    else
        printf '%s\n' ARCH=x86_64 LLVM=1
    fi >/kernel/make-options
}
