#!/bin/bash
# The first process of a user-mode Linux guest (see src/guest.rs).
#
# Its root is the host's, read-only through hostfs, under a tmpfs overlay: every program of the host
# is there, and nothing of the host can be written but the job folder, which is /job in the guest.
#
# The kernel passes what stood on its command line as NAME=VALUE in the environment:
#   job      the job folder, as the host names it
#   role     the script of the job folder that makes this guest what it is
#   address  the guest's address on the LAN, with its prefix length
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root TERM=dumb LC_ALL=C
modules=/usr/lib/uml/modules/$(uname -r)

lay_the_overlay() {
    busybox insmod "$modules/kernel/fs/overlayfs/overlay.ko" &&
        mount -t tmpfs -o size=256m tmpfs /mnt &&
        mkdir /mnt/changes /mnt/work /mnt/root &&
        mount -t overlay -o lowerdir=/,upperdir=/mnt/changes,workdir=/mnt/work overlay /mnt/root &&
        mkdir -p /mnt/root/job &&
        mount -t hostfs -o "$job" none /mnt/root/job
}

mount_what_programs_expect() {
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs dev /dev 2>/dev/null
    mkdir -p /dev/pts
    mount -t devpts -o ptmxmode=666 devpts /dev/pts
    [ -e /dev/ptmx ] || mknod /dev/ptmx c 5 2
    [ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
    mount -t tmpfs tmpfs /run
    mkdir -p /run/lock /run/pptp
    mkdir -p /lib/modules
    ln -sfn "$modules" "/lib/modules/$(uname -r)"
}

bring_up_the_network() {
    # One modprobe for all of them: starting a program costs about 10 ms in a guest.
    busybox modprobe -a ppp_generic ppp_async ppp_synctty ppp_mppe pptp
    [ -e /dev/ppp ] || mknod /dev/ppp c 108 0
    ip -batch - <<COMMANDS
link set lo up
addr add $address dev vec0
link set vec0 up
COMMANDS
}

if [ "$1" != inside ]; then
    lay_the_overlay && exec chroot /mnt/root /bin/bash /job/init.sh inside
    echo "guest: the overlay could not be laid"
else
    mount_what_programs_expect
    bring_up_the_network
    (. "/job/$role") >/job/output 2>&1
fi
sync
# Nobody else is left to do it, and a guest without its first process would panic.
exec busybox poweroff -f
