"""A store to attack, and the verdict on each attack.

A scene is made once: a store with files of every shape in two states, "old" and
"new".  Each attempt begins with a fresh copy of the new state, changes it
behind the back of ssefs, and says what every file may show afterwards:

    same    the new content (for every file that was not named)
    old     the old content
    error   EBADMSG or EUCLEAN; scrub --keys must name the file
    BYTES   these bytes

Anything else fails: other bytes, other errors, a process that dies or does not
answer, a file with an error that scrub --keys does not name, an untouched file
that is said to be damaged.

Named is a file by its path, another name of it, its inode, or the path of a
directory above it that cannot be entered.  The exceptions are those of
docs/THREATS.md: a store that cannot be opened at all (then the mount fails as
well), names that stood in damaged pages of meta.db (scrub says so), and damage
that the mount does itself because the lists of what is in use are false
(Attempt.later: a scrub after it must name the file).
"""
import json
import os
import shutil
import signal
import subprocess

from lib import M, S, SSEFS, T, errno, get, name, ok, pattern
from attack.fmt import Store

HANG = 240          # seconds after which an answer does not count any more
DAMAGE = (errno.EBADMSG, errno.EUCLEAN)

# Shape of a file -> size.  Where its map stands: none (inline content), in the
# record, in one row, in rows below a root.
SHAPES = {"inl": 300, "emb": 10000, "row": 40 * 4096 - 5, "tree": 70 * 4096}


class Late(Exception):
    pass


def _late(*_):
    raise Late()


signal.signal(signal.SIGALRM, _late)


def call(*argv):
    """Exit code and output; -N for signal N, None when it hangs."""
    try:
        r = subprocess.run((SSEFS,) + argv, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=HANG,
                           stdin=subprocess.DEVNULL)
        return r.returncode, r.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as e:
        return None, (e.stdout or b"").decode(errors="replace")


def must(*argv):
    rc, out = call(*argv)
    if rc != 0:
        raise RuntimeError("%s: exit %s: %s" % (" ".join(argv), rc, out))
    return out


def copy_store(src, dst):
    shutil.rmtree(dst, ignore_errors=True)
    subprocess.run(["cp", "-a", "--sparse=always", src, dst], check=True)
    shutil.copy2(src + ".key", dst + ".key")


def daemon():
    with open(os.path.join(S, "lock")) as f:
        return int(f.read().split()[0])


def threads(pid):
    """Where each thread of a process that does not end stands."""
    out = []
    for tid in sorted(os.listdir("/proc/%d/task" % pid)):
        at = []
        for f in ("stat", "wchan", "syscall"):
            try:
                with open("/proc/%d/task/%s/%s" % (pid, tid, f)) as h:
                    at.append(" ".join(h.read().split()[:5]))
            except OSError:
                pass
        out.append("; ".join(at))
    return out


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Scene:
    def __init__(self, counts, buckets=None, prepare=None):
        """counts: shape -> how many in bucket docs; buckets: name -> method;
        prepare(scene, state) adds files with scene.put()."""
        self.old, self.new, self.inos = {}, {}, {}
        self.base, self.before = T + "/base", T + "/before"
        must("init", "--store", S)
        os.makedirs(M, exist_ok=True)
        for bucket, sse in (buckets or {"docs": "KMS"}).items():
            must("bucket", "create", bucket, "--sse", sse)
        for state in ("old", "new"):
            must("mount", "/", M)
            self.files = getattr(self, state)
            for shape, n in counts.items():
                for i in range(n):
                    self.put("docs/%s-%02d" % (shape, i),
                             pattern(SHAPES[shape], "%s %s %d" %
                                     (state, shape, i)))
            if prepare:
                prepare(self, state)
            for path in self.files:
                self.inos[path] = os.lstat(os.path.join(M, path)).st_ino
            must("umount", M)
            copy_store(S, self.before if state == "old" else self.base)

    def put(self, path, data):
        full = os.path.join(M, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        # Overwritten, not replaced: the object stays the same.
        fd = os.open(full, os.O_CREAT | os.O_WRONLY, 0o644)
        try:
            os.pwrite(fd, data, 0)
        finally:
            os.close(fd)
        self.files[path] = data

    def attempt(self, what):
        return Attempt(self, what)

    def victims(self, shape):
        """The files of a shape, one after the other; from the first again with
        each attempt."""
        return iter(sorted(p for p in self.new
                           if os.path.basename(p).startswith(shape + "-")))


class Attempt:
    """with scene.attempt("what is done") as a: …; judged at the end."""

    def __init__(self, scene, what):
        self.scene, self.what = scene, what
        self.wants, self.names = {}, {}
        self.mounts = True      # the store can still be mounted
        self.fatal = False      # it need not be
        self.damaged = False    # tools may tell of damage beyond the files
        self.told = False       # scrub or fsck must tell of something;
                                # "scrub": scrub --keys must
        self.later = False      # the mount may do damage that they cannot see
        self.audit = False      # fsck must tell of the audit log
        self.stores = []
        self.more = []          # checks on the mount: fn(attempt)
        self.notes = []
        self.scrubbed = None    # what scrub --keys lists; None: it could not

    def __enter__(self):
        copy_store(self.scene.base, S)
        for f in ("lock", "control", "mount.log"):
            if os.path.lexists(os.path.join(S, f)):
                os.unlink(os.path.join(S, f))
        return self

    def __exit__(self, kind, *_):
        for s in self.stores:
            s.close()
        if kind is None:
            self.judge()

    def store(self, path=S):
        s = Store(path)
        self.stores.append(s)
        return s

    def hit(self, path, want, attack=None):
        """This file was attacked; want is one outcome or several."""
        self.wants[path] = want if isinstance(want, (tuple, list)) else (want,)
        if attack:
            self.names[path] = attack

    # ---- Verdict

    def judge(self):
        self.bad, self.wrong, self.unnamed = set(), {}, set()
        inos = self.tools()
        if self.mounts:     # or "maybe"
            self.read_all(inos)
        else:
            rc, out = call("mount", "/", M)
            self.expect(rc in (3, 4), "mount exits with %s: %s" % (rc, out))
            if rc == 0:
                call("umount", M)
        if self.unnamed and self.later:
            self.scrub()
        for path in self.unnamed:
            if not self.named(path):
                self.fault(path, "%s shows an error, scrub --keys does not "
                           "name it but %r" % (path, self.scrubbed))
        if not self.names:
            self.line(not self.notes and not self.bad, self.what)
            return
        self.line(not self.notes, self.what + ": all else is as it was")
        for path, attack in sorted(self.names.items()):
            self.line(path not in self.bad, "%s: %s (%s)" %
                      (self.what, attack, path), path)

    def line(self, good, desc, path=None):
        ok(good, desc)
        if not good:
            for n in self.notes if path is None else [self.wrong[path]]:
                print("#   %.400s" % n, flush=True)

    def expect(self, good, note):
        if not good:
            self.notes.append(note)
        return good

    def lists(self, *argv):
        """Exit code and list of a tool; None when it tells none."""
        rc, out = call(*argv, "--json")
        if self.audit and argv[0] == "fsck":
            self.expect(rc is not None and rc & 16,
                        "fsck does not see the audit log: exit %s" % rc)
            rc = rc and rc & ~16
        self.expect(rc in (0, 4) or not self.mounts and rc == 8 or
                    self.fatal and rc == 8,
                    "%s: exit %s: %s" % (argv[0], rc, out))
        try:
            found = json.loads(out[out.index("{"):])["list"]
        except (ValueError, KeyError):
            return rc, None
        if argv[0] == "scrub":
            self.expect(rc == (4 if found else 0) or rc == 8,
                        "scrub: exit %s with %r" % (rc, found))
        return rc, found

    def scrub(self):
        rc, self.scrubbed = self.lists("scrub", "--keys")
        self.paths = {e["path"] for e in self.scrubbed or [] if e["path"]}
        return rc

    def tools(self):
        """Inodes that scrub --keys and fsck name."""
        said = self.scrub() not in (0, None)
        rc, found = self.lists("fsck")
        said = said or rc not in (0, None)
        if self.told == "scrub":
            self.expect(self.scrubbed, "scrub --keys finds nothing")
        if self.told or any("error" in w and len(w) == 1
                            for w in self.wants.values()):
            self.expect(said, "neither scrub nor fsck finds anything")
        return {e["ino"] for e in (self.scrubbed or []) + (found or [])}

    def named(self, path):
        """Does scrub --keys name what has this path?"""
        ino = self.scene.inos.get(path)
        if self.scrubbed is None:
            return False
        parts = path.split("/")
        if self.paths & {"/".join(parts[:n + 1]) for n in range(len(parts))}:
            return True
        if any(self.scene.inos.get(p) == ino is not None for p in self.paths):
            return True
        return any(e["ino"] in (ino, 0) and
                   (e["ino"] or e["what"].startswith("meta.db is damaged"))
                   for e in self.scrubbed)

    def read_all(self, inos):
        rc, out = call("mount", "/", M)
        if rc != 0:
            self.expect(self.fatal and rc in (3, 4),
                        "mount: exit %s: %s" % (rc, out))
            return
        pid = daemon()
        try:
            signal.alarm(HANG)
            for path in self.scene.new:
                self.look(path, inos)
            for fn in self.more:
                fn(self)
            signal.alarm(0)
            self.expect(alive(pid), "the serving process died")
        except Late:
            self.notes.append("no answer within %d s" % HANG)
            os.kill(pid, signal.SIGKILL)
        finally:
            signal.alarm(0)
            rc, out = call("umount", M)
            if not self.expect(rc == 0, "umount: exit %s: %s" % (rc, out)):
                self.notes += threads(pid) if alive(pid) else []

    def show(self, path):
        """What reading gives: a word of the table above, or a note."""
        try:
            got = get(os.path.join(M, path))
        except OSError as e:
            return ("error" if e.errno in DAMAGE else name(e.errno)), None
        if got == self.scene.new.get(path):
            return "same", got
        if got == self.scene.old.get(path):
            return "old", got
        return "%d other bytes" % len(got), got

    def look(self, path, inos):
        want = self.wants.get(path, ("same",))
        shown, got = self.show(path)
        if shown not in want and got not in want:
            self.fault(path, "%s shows %s, not %s" % (path, shown, [
                w if isinstance(w, str) else "bytes" for w in want]))
        if shown == "error" and not self.named(path):
            self.unnamed.add(path)
        if shown != "same" or path in self.wants:
            return
        if path in self.paths:
            self.fault(path, "%s is whole but scrub says that it is damaged" %
                       path)
        if not self.damaged and self.scene.inos[path] in inos:
            self.fault(path, "%s is whole but said to be damaged" % path)

    def fault(self, path, note):
        self.bad.add(path)
        self.wrong[path] = note
        if path not in self.names:
            self.notes.append(note)
