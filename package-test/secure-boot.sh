# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A virtual machine with UEFI Secure Boot: its firmware trusts the key that Debian signs kernels with, and that of the machine's
# owner. The kernel is Debian's own, and is booted without shim; so it knows of no key that mokutil would have
# enrolled, and takes none of the firmware's for modules. Sourced by run.

# What runs in it, as the first process.
# shellcheck disable=SC2016  # for the other shell
GUEST_INIT='#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t securityfs securityfs /sys/kernel/security
mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
begin() { echo; echo "== $1"; }
begin lockdown; cat /sys/kernel/security/lockdown
for which in unsigned signed; do
    cp /modules/$which.ko "/lib/modules/$(uname -r)/updates/nsinspect.ko"
    begin $which; nsinspect --load pid 1; echo "status $?"
done
begin versions; nsinspect --version
begin end
poweroff -f
'

# The key of the machine's owner, which the firmware has.
make_keys() {
    # shellcheck disable=SC2016  # for the other bash
    detached in_rootfs "$1:/build:rw" -- bash -euo pipefail -c '
        cd /build
        openssl req -new -x509 -newkey rsa:2048 -nodes -days 36500 -sha256 -subj "/CN=nsinspect test" \
            -addext extendedKeyUsage=codeSigning -keyout owner.key -out owner.pem 2>/dev/null'
}

# module_of PACKAGE: the module in it.
module_of() { dpkg-deb --fsys-tarfile "$1" | tar --extract --to-stdout "./usr/lib/modules/$NEW/updates/nsinspect.ko"; }

# The firmware's keys; the module, unsigned and signed; what the machine boots.
prepare_secure_boot() {
    local dir=$1
    mkdir -p "$dir/tree/"{bin,dev,proc,sys,modules,lib64,usr/lib,lib/x86_64-linux-gnu,"lib/modules/$NEW/updates"}
    printf '%s' "$GUEST_INIT" >"$dir/tree/init"
    chmod 0755 "$dir/tree/init"
    make_keys "$dir"
    module_of "$MODULES" >"$dir/tree/modules/unsigned.ko"
    mkdir "$dir/signed"
    module_of "$(SIGN_KEY=$dir/owner.key SIGN_CERT=$dir/owner.pem "$PROJECT/scripts/deb" --into "$dir/signed" --modules "$NEW")" \
        >"$dir/tree/modules/signed.ko"
    cp "$("$PROJECT/scripts/cli" --program)/nsinspect" "$dir/tree/bin"
    # shellcheck disable=SC2016  # for the other bash
    detached in_rootfs "$KERNEL_DIR:/kernel" "$dir:/build:rw" "$HERE:/nsinspect" -- bash -euo pipefail -c '
        cd /build
        python3 /nsinspect/signer.py /kernel/modules/vmlinuz | openssl pkcs7 -inform DER -print_certs -out debian.pem
        virt-fw-vars --input /usr/share/OVMF/OVMF_VARS_4M.fd --output vars.fd --enroll-cert owner.pem --no-microsoft \
            --add-db "$(cat /proc/sys/kernel/random/uuid)" debian.pem --secure-boot >log 2>&1
        cp /usr/bin/busybox /usr/bin/kmod tree/bin
        for program in sh mount cat cp echo uname poweroff; do ln -s busybox tree/bin/$program; done
        ln -s kmod tree/bin/modprobe
        ldd /usr/bin/kmod | sed -n "s/.* => \(\/[^ ]*\).*/\1/p; s/^\t\(\/lib64[^ ]*\).*/\1/p" |
            while read -r library; do cp "$library" "tree/lib${library#*/lib}"; done
        cp tree/modules/unsigned.ko "tree/lib/modules/$1/updates/nsinspect.ko"
        depmod -b tree "$1" 2>/dev/null
        (cd tree && find . | cpio --create --format newc --quiet | gzip -1 >../initrd)' prepare "$NEW"
}

run_secure_boot() {
    detached in_rootfs "$KERNEL_DIR:/kernel" "$1:/build:rw" -- timeout --signal KILL 600 qemu-system-x86_64 \
        -machine q35,smm=on -accel tcg -cpu max -m 1G -nodefaults -display none -no-reboot -serial file:/build/console \
        -global driver=cfi.pflash01,property=secure,value=on \
        -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd \
        -drive if=pflash,format=raw,unit=1,file=/build/vars.fd \
        -kernel /kernel/modules/vmlinuz -initrd /build/initrd -append 'console=ttyS0 panic=-1 loglevel=4'
}

# part NAME: what the guest said in that part.
part() { tr -d '\r' <"$WORK/secure-boot/console" | sed -n "/^== $1\$/,/^== /p" | sed '1d;/^== /d'; }

step_secure_boot() {
    local environment which refused='Secure Boot refuses the module'
    environment=$("$PROJECT/scripts/setup" --quiet --env stock)
    eval "$environment"
    holds 'the kernel that boots' "$NEW" "$RELEASE"
    prepare_secure_boot "$WORK/secure-boot"
    run_secure_boot "$WORK/secure-boot" || true
    tr -d '\r' <"$WORK/secure-boot/console" | tail -n 60
    says "$(part lockdown)" '[integrity]'
    for which in unsigned signed; do
        says "$(part $which)" "$refused"
        says "$(part $which)" 'status 3'
    done
    says "$(part versions)" 'module not loaded'
    # The signature itself is whole, by the program that is not ours.
    says "$(detached in_rootfs "$WORK/secure-boot:/build" -- modinfo -F signer /build/tree/modules/signed.ko)" 'nsinspect test'
    echo "note: $(part unsigned | head -n 1)"
}
