#!/bin/sh
# A disk that refuses the bytes of a long write after the write was answered: who
# had the file open learns it from fsync, the writer from its next write too, and
# nobody is shown the bytes that are not there.
# Serves: R8 R24
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
require strace
new_store
bucket docs
start_mount docs
daemon=$(daemon_pid)

# Writes to the arena fail while this runs.
cat >"$T/failing" <<'END'
#!/bin/sh
exec strace -q -f -p "$1" -P "$2" -e trace=pwrite64,pwritev \
    -e inject=pwrite64,pwritev:error=EIO -o "$3"
END
chmod +x "$T/failing"
py "$daemon" <<'END'
import errno, os, signal, subprocess, sys
from lib import *
pid = sys.argv[1]
arena, log, trace = S + "/arena-0", S + "/mount.log", T + "/trace"
MIB = 1 << 20
f = p("f")

def traced():
    tasks = "/proc/%s/task" % pid
    return all("TracerPid:\t0" not in open("%s/%s/status" % (tasks, i)).read()
               for i in os.listdir(tasks))

def failing(fd, data, off):
    """One write with a disk that fails; how many bytes it said."""
    s = subprocess.Popen([T + "/failing", pid, arena, trace])
    ok(until(traced), "the disk fails")
    n = os.pwrite(fd, data, off)
    ok(until(lambda: "EIO" in open(trace).read()), "the bytes are refused")
    s.send_signal(signal.SIGINT)
    s.wait()
    return n

put(f, b"A" * (4 * MIB))
writer, beside, reader = (os.open(f, os.O_RDWR) for i in range(3))
os.fsync(writer)
os.pread(reader, 4 * MIB, 0)
eq(failing(writer, b"B" * MIB, MIB), MIB, "the write had been answered")
ok(until(lambda: "a write that was answered failed" in open(log).read()),
   "the log tells it")
ok(until(lambda: os.pread(reader, 2 * MIB, MIB) == b"A" * (2 * MIB)),
   "everybody sees the old bytes again")
works("another's write is no concern of it", os.pwrite, beside, b"A" * 10, 0)
for who, fd in ("another", beside), ("the writer", writer), ("a reader", reader):
    err(errno.EIO, "fsync of " + who + " tells", os.fsync, fd)
    works("once", os.fsync, fd)
err(errno.EIO, "the writer's next write tells", os.pwrite, writer, b"x", 0)
works("the one after it is done", os.pwrite, writer, b"y" * MIB, 0)
works("and synced", os.fsync, writer)
late = os.open(f, os.O_RDWR)
works("who opens it now has nothing to learn", os.fsync, late)

eq(failing(writer, b"C" * MIB, 4 * MIB), MIB, "a write at the end, answered")
ok(until(lambda: os.stat(f).st_size == 4 * MIB),
   "the file is no longer than it was")
eq(os.pread(reader, 10, 4 * MIB), b"", "no bytes behind its end")
os.close(writer)
after = os.open(f, os.O_RDWR)
err(errno.EIO, "what nobody knows is told to who opens the file now",
    os.fsync, after)
works("a directory's fsync is not concerned", os.fsync, os.open(M, os.O_RDONLY))
END
remount
is "what is there is what was there" "$(python3 - "$M/f" <<'END'
import sys
d = open(sys.argv[1], "rb").read()
print(len(d), d[:1 << 20] == b"y" * (1 << 20), set(d[1 << 20:]) == {65})
END
)" "4194304 True True"
done_testing
