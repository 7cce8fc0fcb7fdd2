# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034  # for setup
#
# How the root file system of the whole system is made: a Debian 13 with systemd, which runs docker, podman,
# lxc and machined in virtual machines. Nothing is built in it. Sourced by setup, after rootfs.sh.

SYSTEM_PACKAGES=(
    # what every machine has
    dbus dbus-user-session iproute2 kmod libpam-systemd mount procps python3 systemd systemd-sysv
    util-linux util-linux-extra
    # what runs containers, and what these are filled with
    busybox-static crun docker-cli docker.io lxc netavark passt podman systemd-container uidmap
)

system_key() {
    {
        echo "$SUITE ${SYSTEM_PACKAGES[*]}"
        declare -f bootstrap bootstrap_system finish_system write_system_files mask_units
    } | hash_of
}

# make_system DIR: leaves the finished root file system there, or nothing.
make_system() {
    local new=$1.new
    need_space 1500
    HALF_MADE=$new
    step "making the Debian $SUITE system with systemd and containers" bootstrap_system "$new"
    step "setting up that system" finish_system "$new"
    mv "$new" "$1"
    HALF_MADE=''
}

bootstrap_system() {
    local -a ROOTFS_PACKAGES=("${SYSTEM_PACKAGES[@]}")
    bootstrap "$1"
}

# Adds mount points, a user, and the unit that runs the command of scripts/vm once the system is up.
# What takes long on an emulated processor and shows nothing is left out of the boot, as are the
# daemons that whoever needs them starts.
finish_system() {
    mkdir -p "$1"/{build,cli,kernel,nsinspect,results,vm} "$1/usr/lib/modules"
    ln -s /cli/nsinspect "$1/usr/local/bin/nsinspect"
    chroot "$1" useradd --create-home --uid 1000 --shell /bin/bash alice
    grep -q ^alice: "$1/etc/subuid" || echo 'alice:100000:65536' | tee -a "$1"/etc/sub{u,g}id
    install -d -o 1000 -g 1000 "$1"/home/alice/.local{,/share{,/containers}}
    write_system_files "$1"
    mask_units "$1"
    # Newer than all else: nothing is to be done anew at boot.
    touch "$1"/{etc,var}/.updated
}

write_system_files() {
    echo 0123456789abcdef0123456789abcdef >"$1/etc/machine-id"
    echo host >"$1/etc/hostname"
    printf '%s\n' '127.0.0.1 localhost host' '::1 localhost host' >"$1/etc/hosts"
    # An overlay has its upper directory in no other overlay, so those of containers are in memory.
    cat >"$1/etc/fstab" <<'END'
docker  /var/lib/docker                           tmpfs mode=0710
podman  /var/lib/containers                       tmpfs mode=0700
alice   /home/alice/.local/share/containers       tmpfs mode=0700,uid=1000,gid=1000
END
    mkdir -p "$1"/etc/{containerd,docker} "$1"/var/lib/{containers,docker}
    cat >"$1/etc/docker/daemon.json" <<'END'
{
  "bridge": "none", "iptables": false, "ip6tables": false,
  "runtimes": { "crun": { "path": "/usr/bin/crun" } },
  "storage-driver": "overlay2"
}
END
    printf '%s\n' 'version = 2' 'disabled_plugins = ["io.containerd.grpc.v1.cri"]' >"$1/etc/containerd/config.toml"
    cat >"$1/etc/systemd/system/nsinspect.service" <<'END'
[Unit]
Description=The command of scripts/vm
After=multi-user.target
[Service]
ExecStart=/nsinspect/scripts/guest/init unit
END
    mkdir -p "$1/etc/systemd/system/multi-user.target.wants"
    ln -s ../nsinspect.service "$1/etc/systemd/system/multi-user.target.wants"
}

mask_units() {
    chroot "$1" env SYSTEMD_OFFLINE=1 systemctl mask getty.target lxc-net.service lxc.service lxc-monitord.service \
        podman-restart.service podman-auto-update.timer netavark-dhcp-proxy.socket \
        modprobe@drm.service modprobe@efi_pstore.service \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer
    chroot "$1" env SYSTEMD_OFFLINE=1 systemctl disable containerd.service docker.service docker.socket podman.socket
}
