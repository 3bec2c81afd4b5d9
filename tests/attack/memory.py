"""What a process keeps in memory: every key of the store is looked for while it
serves, and once more when it has done all it does and is about to end.

A process is stopped at its end by ptrace(2) (PTRACE_O_TRACEEXIT): its threads
are gone, its memory still there.
"""
import array
import ctypes
import os
import re
import shutil
import signal
import subprocess
import threading
import time

from kmsapi import local
from lib import (M, S, SSEFS, T, eq, err, errno, get, libc, ok, pattern, put,
                 until)
from attack.keys import all_keys, sealed_keys
from attack.scene import alive, call, must

CONT, SEIZE, LISTEN = 7, 0x4206, 0x4208
O_FORKS, O_EXIT = 0x2 | 0x4 | 0x8, 0x40
EVENT_EXIT, EVENT_STOP = 6, 128
WALL = 0x40000000
PASS = b"a passphrase of the test, 0123456789"

libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                        ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(req, pid, data=0):
    if libc.ptrace(req, pid, 0, data) < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


def mappings(pid):
    """(from, to, name, flags of VmFlags) of each that can be read."""
    out, at = [], None
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)",
                         line)
            if m:
                at = (int(m[1], 16), int(m[2], 16), m[3], m[4].strip())
            elif line.startswith("VmFlags:") and at[2][0] == "r" and \
                    at[3] not in ("[vvar]", "[vsyscall]"):
                out.append((at[0], at[1], at[3] or "anonymous",
                            line.split()[1:]))
    return out


PAGE = os.sysconf("SC_PAGE_SIZE")
PIECE = 4096    # pages that are read at once


def resident(pid, a, b):
    """(from, to) of what of a mapping is in memory or in swap: nothing else of it
    was ever touched."""
    out = []
    with open("/proc/%d/pagemap" % pid, "rb", buffering=0) as f:
        for at in range(a, b, PIECE * PAGE):
            n = min(PIECE, (b - at) // PAGE)
            f.seek(at // PAGE * 8)
            pages = array.array("Q", f.read(8 * n))
            if not any(pages):
                continue
            for i, p in enumerate(pages):
                if p >> 62 == 0:
                    continue
                page = at + i * PAGE
                if out and out[-1][1] == page and \
                        page - out[-1][0] < PIECE * PAGE:
                    out[-1][1] += PAGE
                else:
                    out.append([page, page + PAGE])
    return out


def scan(pid, secrets):
    """Where each secret stands: label -> list of (mapping, protected)."""
    found = {}
    with open("/proc/%d/mem" % pid, "rb", buffering=0) as f:
        for a, b, name, flags in mappings(pid):
            safe = "lo" in flags and "dd" in flags
            data, end = b"", 0
            for at, to in resident(pid, a, b):
                # Pieces, with what may lie across their edges.
                data = data[-64:] if at == end else b""
                try:
                    f.seek(at)
                    data += f.read(to - at)
                except OSError:
                    continue
                end = to
                for label, v in secrets.items():
                    if v in data:
                        found.setdefault(label, []).append((name, safe))
    return found


def show(found):
    return "; ".join("%s in %s%s" % (k, v[0][0], "" if v[0][1] else
                                     " (not protected)")
                     for k, v in sorted(found.items()))


ALWAYS = "the store's path"


class Watch:
    """Lets a process, and what it starts, run to its end; done() gives what
    each of them still holds then."""

    def __init__(self, secrets):
        # Its environment names the store: that is found at every end.
        self.secrets = dict(secrets, **{ALWAYS: S.encode()})
        self.left, self.ends, self.blind = {}, 0, 0
        self.status = {}

    def seize(self, pid):
        seen = set()
        while True:
            tids = set(map(int, os.listdir("/proc/%d/task" % pid))) - seen
            if not tids:
                return
            for t in tids:
                ptrace(SEIZE, t, O_FORKS | O_EXIT)
            seen |= tids

    def start(self, argv, **kw):
        """Stopped before its first instruction of its own."""
        pid = os.fork()
        if pid == 0:
            try:
                os.kill(os.getpid(), signal.SIGSTOP)
                null = os.open("/dev/null", os.O_RDWR)
                for fd in (0, 1, 2):
                    os.dup2(null, fd)
                os.execv(argv[0], argv)
            finally:
                os._exit(127)
        os.waitpid(pid, os.WUNTRACED)
        ptrace(SEIZE, pid, O_FORKS | O_EXIT)
        os.kill(pid, signal.SIGCONT)
        return pid

    def run(self, until=None):
        """Handle stops until the processes in the set have ended; without one,
        until all have."""
        until = {0} if until is None else set(until)
        left = 60000
        while until and left > 0:
            left -= 1
            try:
                tid, status = os.waitpid(-1, WALL | os.WNOHANG)
            except ChildProcessError:
                return
            if tid == 0:
                time.sleep(0.002)
                continue
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                self.status[tid] = status
                until.discard(tid)
                continue
            self.stopped(tid, status >> 16, os.WSTOPSIG(status))
        for pid in until:
            ok(False, "process %d ends" % pid)
            if pid != 0:
                os.kill(pid, signal.SIGKILL)

    def stopped(self, tid, event, sig):
        if event == EVENT_EXIT:
            with open("/proc/%d/status" % tid) as f:
                leader = re.search(r"^Tgid:\s*(\d+)", f.read(), re.M)[1]
            if int(leader) == tid:
                self.ends += 1
                found = scan(tid, self.secrets)
                self.blind += found.pop(ALWAYS, None) is None
                self.left.update(found)
        if event == EVENT_STOP and sig in (signal.SIGSTOP, signal.SIGTSTP):
            ptrace(LISTEN, tid)
            return
        # A signal of the process's own goes to it.
        ptrace(CONT, tid, sig if event == 0 else 0)


FILE_KEYS = ("docs/tree: content key", "docs/tree: block key",
             "docs/emb: record key")


def control(pid, secrets, what, need=FILE_KEYS):
    """While it serves: what must be there is found, and only where it is
    locked and left out of dumps."""
    found = scan(pid, secrets)
    need = ("keystore key",) + need
    missing = [n for n in need if n not in found]
    if not ok(not missing, what + ": the search finds keys that are in use"):
        print("#   not found: %s; found: %s" % (missing, show(found)))
    bare = {k: [p for p in v if not p[1]] for k, v in found.items()}
    bare = {k: v for k, v in bare.items() if v}
    if not ok(not bare, what + ": they stand only in locked memory that is "
              "left out of dumps"):
        print("#   " + show(bare))
    with open("/proc/%d/status" % pid) as f:
        locked = int(re.search(r"VmLck:\s*(\d+)", f.read())[1])
    ok(locked > 0, what + ": memory is locked (%d KiB)" % locked)
    with open("/proc/%d/limits" % pid) as f:
        core = re.search(r"Max core file size\s+(\S+)\s+(\S+)", f.read())
    ok(core.groups() == ("0", "0"), what + ": core dumps are off")


def nothing_left(watch, what, ends=1):
    if not ok(watch.ends >= ends and not watch.blind and not watch.left,
              what + ": no key is left at its end"):
        print("#   %d ends seen, %d of them blindly; %s" % (
            watch.ends, watch.blind, show(watch.left)))


NAMES = ("docs/inl", "docs/emb", "docs/tree", "aes/a")


def prepare(*args):
    must("init", "--store", S, *args)
    os.makedirs(M, exist_ok=True)
    must("bucket", "create", "docs")
    must("bucket", "create", "aes", "--sse", "AES256")
    must("mount", "/", M)
    for name, n in zip(NAMES, (300, 9000, 300000, 20000)):
        put(os.path.join(M, name), pattern(n, name))
    must("umount", M)


def use():
    for name in NAMES:
        get(os.path.join(M, name))


def daemon():
    with open(os.path.join(S, "lock")) as f:
        return int(f.read().split()[0])


def serving(secrets, what, args, end, before=None, **kw):
    """Mount, use, look, end it, look again."""
    w = Watch(secrets)
    must("mount", "/", M, *args)
    pid = daemon()
    held = os.open(os.path.join(M, "docs/tree"), os.O_RDWR)
    use()
    control(pid, secrets, what, **kw)
    if before is not None:
        before(pid, held)
    w.seize(pid)
    thread = threading.Thread(target=end, args=(pid, held))
    thread.start()
    w.run({pid})
    thread.join()
    nothing_left(w, what)


def by_umount(pid, held):
    os.close(held)
    subprocess.run([SSEFS, "umount", M], stdout=subprocess.DEVNULL)


def by_signal(sig):
    def end(pid, held):
        os.close(held)
        os.kill(pid, sig)
    return end


def by_two(pid, held):
    """The second one cuts off who has a file open."""
    os.kill(pid, signal.SIGTERM)
    until(lambda: not os.path.ismount(M))
    os.kill(pid, signal.SIGTERM)
    until(lambda: not alive(pid))
    os.close(held)


def failed_sync(pid, held):
    """It stops, as far as changes are concerned."""
    s = subprocess.Popen(["strace", "-qqq", "-f", "-p", str(pid), "-o",
                          T + "/trace", "-e", "trace=fdatasync", "-e",
                          "inject=fdatasync:error=EIO"])

    def traced():
        at = "/proc/%d/task" % pid
        return all("TracerPid:\t0" not in open("%s/%s/status" % (at, i)).read()
                   for i in os.listdir(at))
    until(traced)
    os.pwrite(held, b"x" * 9000, 0)
    err(errno.EIO, "a sync that fails", os.fsync, held)
    s.send_signal(signal.SIGINT)
    s.wait()
    err(errno.EROFS, "is the end of all changes", os.truncate,
        os.path.join(M, "docs/inl"), 5)


def by_lazy(pid, held):
    subprocess.run(["umount", "-l", M])
    os.close(held)


def by_death(sig):
    """A fault, as far as the process can tell."""
    def end(pid, held):
        os.kill(pid, sig)
        os.close(held)
    return end


def commands(secrets):
    passfile = T + "/pass"
    with open(passfile, "wb") as f:
        f.write(PASS + b"\n")
    os.chmod(passfile, 0o600)
    wrong = T + "/wrong.key"
    with open(wrong, "wb") as f:
        f.write(bytes(range(32)))
    os.chmod(wrong, 0o600)
    secrets = dict(secrets, passphrase=PASS)

    def run(what, code, argv):
        w = Watch(secrets)
        pid = w.start((SSEFS,) + argv)
        w.run()
        nothing_left(w, what)
        ok(w.status[pid] == code << 8, "%s: exit %d (%#x)" % (
            what, code, w.status[pid]))

    for what, code, argv in (
            ("fsck", 0, ("fsck",)), ("scrub", 0, ("scrub", "--keys")),
            ("key create", 0, ("key", "create")),
            ("key rotate", 0, ("key", "rotate", "alias/ssefs/default")),
            ("audit verify", 0, ("audit", "verify")),
            ("a mount of no bucket", 7, ("mount", "nobucket", M)),
            ("a mount on no directory", 5, ("mount", "docs", M + "/none")),
            ("a second slot", 0, ("key", "slot", "add",
                                  "--new-passphrase-file", passfile)),
            ("a command by passphrase", 0,
             ("key", "ls", "--passphrase-file", passfile)),
            ("a wrong root key", 8, ("fsck", "--root-key", wrong)),
            ("a wrong passphrase", 8, ("fsck", "--passphrase-file", wrong))):
        run(what, code, argv)
    # The key was rotated above.
    old = all_keys(S, NAMES)
    secrets.update(old)
    run("rekey", 0, ("rekey",))
    new = all_keys(S, NAMES)
    secrets.update(new)
    ok(new["docs/emb: wrapping key"] != old["docs/emb: wrapping key"],
       "rekey: it is wrapped anew")
    run("backup", 0, ("backup", T + "/backup"))
    run("restore", 0, ("restore", T + "/backup", "--store", T + "/restored"))
    # The starter, and its child, which serves on.
    w = Watch(secrets)
    thread = threading.Thread(target=when_mounted)
    thread.start()
    w.start((SSEFS, "mount", "/", M, "--passphrase-file", passfile))
    w.run()
    thread.join()
    nothing_left(w, "a mount by passphrase, and its starter", 2)


def when_mounted():
    for _ in range(1200):
        if os.path.exists(os.path.join(M, NAMES[0])):
            break
        time.sleep(0.05)
    use()
    call("umount", M)


def serve(secrets):
    """A server, which owns the store, uses its keys and is told to end."""
    w = Watch(secrets)
    pid = w.start((SSEFS, "serve", "-f", "--listen", "127.0.0.1:0"))

    def answers():
        # What was killed above left its socket there.
        try:
            return local("ListKeys", {})[0] == 200
        except OSError:
            return False

    def ask():
        if until(answers):
            key = {"KeyId": "alias/ssefs/default"}
            st, a = local("Encrypt", dict(key, Plaintext="AAEC"))
            eq((st, local("Decrypt", {"CiphertextBlob": a["CiphertextBlob"]})[1]
                ["Plaintext"]), (200, "AAEC"), "serve: it encrypts")
            ok(call("scrub", "--keys")[0] == 0, "serve: it scrubs")
            control(pid, secrets, "serve", ())
        os.kill(pid, signal.SIGTERM)

    thread = threading.Thread(target=ask)
    thread.start()
    w.run()
    thread.join()
    nothing_left(w, "serve")
    ok(w.status[pid] == 0, "serve: exit 0")


def sealed():
    """Another store, whose metadata is sealed."""
    for tail in "", ".key":
        os.rename(S + tail, T + "/first" + tail)
    prepare("--seal-metadata")
    secrets = sealed_keys(S)
    ok("metadata key" in secrets and "message key 0" in secrets,
       "sealed metadata: its keys are known")
    serving(secrets, "sealed metadata", (), by_umount, need=("metadata key",))
    w = Watch(secrets)
    pid = w.start((SSEFS, "fsck"))
    w.run()
    nothing_left(w, "sealed metadata: fsck")
    ok(w.status[pid] == 0, "sealed metadata: exit 0")


def main():
    prepare()
    secrets = all_keys(S, NAMES)
    ok(len(secrets) > 20, "%d secrets are known" % len(secrets))
    serving(secrets, "umount", (), by_umount)
    serving(secrets, "SIGTERM", (), by_signal(signal.SIGTERM))
    serving(secrets, "SIGINT", ("-o", "threads=2"), by_signal(signal.SIGINT))
    serving(secrets, "a second SIGTERM", (), by_two)
    serving(secrets, "lazy umount with an open file", (), by_lazy)
    if shutil.which("strace"):
        serving(secrets, "a failed sync", (), by_umount, failed_sync)
    for name in "SIGSEGV", "SIGABRT":
        serving(secrets, name, (), by_death(getattr(signal, name)))
        subprocess.run(["umount", "-l", M])
        with open(os.path.join(S, "mount.log")) as f:
            ok("died of signal %02d" % getattr(signal, name) in f.read(),
               name + ": the log says so")
    serve(secrets)
    commands(secrets)
    sealed()


def possible():
    """May we trace our own children?"""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    try:
        ptrace(SEIZE, pid, O_EXIT)
        return True
    except OSError:
        return False
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
