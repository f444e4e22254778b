#!/bin/bash
# A real systemd for tests, as PID 1 of namespaces of its own, made of the machine's programs: no image, nothing is
# installed, nothing of the machine is changed. It needs root and a cgroup v2.
#
#   systemd.sh boot DIR    starts it; DIR/run is its /run, DIR/cgroup names its control group
#   systemd.sh stop DIR    ends it with everything in it, and removes DIR
#
# Its D-Bus is at DIR/run/dbus/system_bus_socket. Its units are in DIR/run/systemd/system.
set -euo pipefail

# inside DIR: makes the root file system and becomes systemd. It runs in the new namespaces.
inside() {
  local dir=$1 root=$1/root link dev
  mount -t tmpfs -o mode=755 tmpfs "$root"
  cd "$root"
  mkdir -p usr etc/systemd/system etc/dbus-1 var/log tmp run proc sys dev root old
  mount --rbind /usr usr
  for link in bin sbin lib lib64 lib32; do
    if [[ -L /$link ]]; then cp -a "/$link" .; elif [[ -d /$link ]]; then mkdir "$link" && mount --rbind "/$link" "$link"; fi
  done
  mount --bind "$dir/run" run
  mkdir -p "$dir/share" srv
  mount --bind "$dir/share" srv
  mount -t proc proc proc
  mount -t sysfs sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs dev
  for dev in null zero full random urandom tty; do
    touch "dev/$dev"
    mount --bind "/dev/$dev" "dev/$dev"
  done
  ln -s /proc/self/fd dev/fd
  mkdir dev/shm
  cp /etc/passwd /etc/group /etc/nsswitch.conf etc/
  cp -r /etc/dbus-1/. etc/dbus-1/ 2>/dev/null || true
  : >etc/machine-id
  printf '[Unit]\nDescription=nothing but what tests ask for\nAllowIsolate=yes\nWants=dbus.socket\n' >etc/systemd/system/default.target
  pivot_root . old
  cd /
  umount -l /old
  export container=test
  exec /lib/systemd/systemd --system --log-target=console --show-status=no
}

boot() {
  local dir mount=/sys/fs/cgroup group
  mkdir -p "$1/run" "$1/root" "$1/share"
  dir=$(realpath "$1")
  [[ -f $mount/cgroup.controllers ]] || mount=/sys/fs/cgroup/unified
  group=$mount/gctest-systemd-$$
  mkdir "$group"
  mount -t tmpfs -o mode=755 tmpfs "$dir/run"
  echo "$group" >"$dir/cgroup"
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec setsid unshare --mount --pid --fork --cgroup --uts --ipc --net --propagation private "$0" inside "$dir"
  ) >"$dir/log" 2>&1 </dev/null &
  for _ in $(seq 600); do
    [[ -S $dir/run/dbus/system_bus_socket ]] && return
    kill -0 $! 2>/dev/null || break
    sleep 0.05
  done
  tail -n 20 "$dir/log" >&2
  return 1
}

stop() {
  local dir group
  dir=$(realpath "$1")
  if [[ ! -f $dir/cgroup ]]; then # it did not get far
    rm -rf "$dir"
    return
  fi
  group=$(cat "$dir/cgroup")
  echo 1 >"$group/cgroup.kill"
  for _ in $(seq 600); do
    grep -q 'populated 0' "$group/cgroup.events" && break
    sleep 0.05
  done
  find "$group" -depth -type d -exec rmdir {} +
  umount -l "$dir/run"
  rm -rf "$dir"
}

case ${1:-} in
boot | stop | inside) "$1" "$2" ;;
*)
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac
