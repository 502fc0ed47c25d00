#!/bin/busybox sh
# The guest's first process: mounts what a machine has, runs the job, tells how it ended twice (a line on the
# serial console, and the exit device, which a panic cannot fake), and sends /out back over the second serial line.
/bin/busybox --install -s /bin
export PATH=/job:/bin:/sbin HOME=/root TERM=linux
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /proc /sys /tmp /run /out /root /job /etc
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devpts devpts /dev/pts
for place in tmp run dev/shm; do mount -t tmpfs tmpfs /$place; done
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t securityfs securityfs /sys/kernel/security
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
hostname guest
ulimit -n 65536
echo 'root:x:0:0:root:/root:/bin/sh' > /etc/passwd
cd /root
exec </dev/console >/dev/console 2>&1
stty -onlcr
echo "@@BEGIN"
/job/run
code=$?
stty -onlcr
if [ -n "$(ls /out)" ]; then
    stty -F /dev/ttyS1 raw
    tar -C /out -c . > /dev/ttyS1
fi
printf '\n@@EXIT %s\n' "$code"
stty onlcr # waits until the line is out
printf "\\x$(printf %02x $code)" | dd of=/dev/port bs=1 seek=244 count=1 2>/dev/null
poweroff -f
