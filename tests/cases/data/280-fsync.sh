#!/bin/sh
# fsync and fsyncdir mean it: after a kill -9 everything synced is there.  (The
# kernel passes no syncfs to FUSE, so sync(1) waits for the next commit.)
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs -o commit=600

py <<'PY'
from lib import *

def sync(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

fd = os.open(p("f"), os.O_CREAT | os.O_RDWR)
os.write(fd, pattern(100000, 1))
works("fsync", os.fsync, fd)
os.pwrite(fd, b"second", 0)
works("fdatasync", os.fdatasync, fd)
os.close(fd)
os.makedirs(p("d", "e"))
put(p("d", "e", "x"), b"x" * 5000)
os.rename(p("d", "e", "x"), p("d", "y"))
os.setxattr(p("d", "y"), "user.k", b"v")
os.symlink("y", p("d", "l"))
works("fsync of a directory", sync, p("d"))
fd = os.open(p("osync"), os.O_CREAT | os.O_WRONLY | os.O_SYNC)
os.write(fd, b"at once")
os.close(fd)
PY
if [ -n "$(daemon_pid)" ] && [ "$(daemon_pid)" != 0 ]; then
	kill_mount
	start_mount docs
fi
py <<'PY'
from lib import *
eq(get(p("f")), b"second" + pattern(100000, 1)[6:], "fsynced data")
eq(get(p("d", "y")), b"x" * 5000, "a rename synced through its directory")
eq(os.getxattr(p("d", "y"), "user.k"), b"v", "an xattr")
eq(os.readlink(p("d", "l")), "y", "a symlink")
eq(os.listdir(p("d", "e")), [], "the old name is gone")
eq(get(p("osync")), b"at once", "O_SYNC")
PY
done_testing
