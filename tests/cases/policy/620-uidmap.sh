#!/bin/sh
# Processes of some uids are other users: each is asked for its own right, also
# for a file that another has open.  Tenants do not reach each other's files.
# Serves: R7 R13 R20 R21
. "$(dirname "$0")/../../lib.sh"
require_fuse
require_root
new_store
key=$(new_key)
bucket docs --sse "KMS:$key"
for u in alice bob carol; do "$SSEFS" user create $u >/dev/null; done
cat >"$T/all" <<'END'
{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*",
"Resource":"*"}]}
END
"$SSEFS" policy put all "$T/all"
"$SSEFS" policy attach all --user alice
"$SSEFS" policy attach all --user carol
printf '# uids\n4001 alice\n4002 bob\n4003  carol\n' >"$T/map"
start_mount docs -o "uidmap=$T/map,user=bob,allow_other,umask=000"
py "$key" <<'PY'
from lib import *

ALICE, BOB, CAROL, OTHER = 4001, 4002, 4003, 4099


def write_new(path):
    put(path, b"x" * 5000)


def read(path):
    eq(len(get(path)), 5000, "the whole file")


def tmpfile(d):
    fd = os.open(d, os.O_TMPFILE | os.O_RDWR)
    os.write(fd, b"x")
    os.close(fd)


eq(as_user(ALICE, ALICE, write_new, p("a")), 0, "alice writes")
eq(as_user(ALICE, ALICE, get, p("a")), 0, "alice reads")
eq(as_user(CAROL, CAROL, get, p("a")), 0, "carol reads")
eq(as_user(BOB, BOB, get, p("a")), errno.EACCES, "bob does not")
eq(as_user(BOB, BOB, write_new, p("b")), errno.EACCES, "nor does he write")
eq(as_user(OTHER, OTHER, get, p("a")), errno.EACCES,
   "a uid that is not in the map is the mount's user: bob")
err(errno.EACCES, "and so is root", get, p("a"))
eq(as_user(ALICE, ALICE, tmpfile, M), 0, "alice makes an unnamed file")
eq(as_user(BOB, BOB, tmpfile, M), errno.EACCES, "bob does not")
eq(as_user(BOB, BOB, os.truncate, p("a"), 10), errno.EACCES,
   "bob does not cut it, though alice's key is loaded")
eq(as_user(BOB, BOB, os.stat, p("a")), 0, "bob sees its size")


def choose(uid, name):
    def fn():
        fd = os.open(p(name), os.O_CREAT | os.O_WRONLY)
        os.close(fd)
        os.setxattr(p(name), "user.sse.algorithm", b"AES256")
        os.setxattr(p(name), "user.sse.algorithm", b"aws:kms")
    return as_user(uid, uid, fn)


eq(choose(ALICE, "x1"), 0, "alice chooses a method for an empty file")
os.mkdir(p("aes"))
os.chmod(p("aes"), 0o777)
os.setxattr(p("aes"), "user.sse.default", b"AES256")
eq(choose(BOB, "aes/x2"), errno.EACCES, "bob may not choose aws:kms")
eq(as_user(BOB, BOB, os.setxattr, p("aes"), "user.sse.default",
           b"KMS:" + sys.argv[1].encode()), errno.EACCES,
   "nor make it a directory's default")
eq(as_user(ALICE, ALICE, os.setxattr, p("aes"), "user.sse.default",
           b"KMS:" + sys.argv[1].encode()), 0, "alice may")

# Alice has it open when she loses her right; carol goes on.
r, w = os.pipe()
r2, w2 = os.pipe()
pid = os.fork()
if pid == 0:
    os.setresgid(ALICE, ALICE, ALICE)
    os.setresuid(ALICE, ALICE, ALICE)
    fd = os.open(p("a"), os.O_RDWR)
    os.pread(fd, 5000, 0)
    os.write(w, b"1")
    os.read(r2, 1)
    out = 0
    for fn, a in ((os.pread, (fd, 5000, 0)), (os.pwrite, (fd, b"y", 0))):
        try:
            fn(*a)
        except OSError as e:
            out += e.errno == errno.EACCES
    os._exit(out)
os.read(r, 1)
pid2 = os.fork()
if pid2 == 0:
    os.setresgid(CAROL, CAROL, CAROL)
    os.setresuid(CAROL, CAROL, CAROL)
    fd = os.open(p("a"), os.O_RDONLY)
    eq(ssefs("policy", "detach", "all", "--user", "alice",
             "--root-key", S + ".key").returncode != 0, True,
       "carol cannot manage policies")
    os._exit(len(os.pread(fd, 5000, 0)) == 5000)
eq(os.WEXITSTATUS(os.waitpid(pid2, 0)[1]), 1, "carol reads it as well")
eq(ssefs("policy", "detach", "all", "--user", "alice").returncode, 0,
   "alice's policy is detached")
os.write(w2, b"1")
eq(os.WEXITSTATUS(os.waitpid(pid, 0)[1]), 2,
   "her open file is neither read nor written any more")
eq(as_user(CAROL, CAROL, get, p("a")), 0, "carol still reads")
eq(as_user(ALICE, ALICE, get, p("a")), errno.EACCES, "alice opens no more")
PY
stop_mount

# What is no map.
bad() {
	printf '%b' "$2" >"$T/bad"
	fails "$1" "$SSEFS" mount docs "$M" -o "uidmap=$T/bad"
}
bad "no user" '1000\n'
bad "no number" 'alice 1000\n'
bad "twice the same uid" '1 alice\n1 bob\n'
like "says so" "$(cat "$T/out")" 'uidmap.*uid 1 is there twice'
bad "a user that there is not" '1 dave\n'
like "says so" "$(cat "$T/out")" 'no user "dave"'
fails "no file" "$SSEFS" mount docs "$M" -o "uidmap=$T/none"
chmod 666 "$T/map"
fails "a file that all may write" "$SSEFS" mount docs "$M" -o "uidmap=$T/map"

# Another tenant on the same store: names, but no content (R20).
start_mount docs
echo secret >"$M/ours"
stop_mount
"$SSEFS" user create eve --admin --tenant evil >/dev/null
for u in "user=eve," ""; do
	start_mount docs -o "${u}tenant=evil"
	errno "another tenant ($u) reads" EACCES cat "$M/ours"
	errno "and writes" EACCES dd if=/dev/zero of="$M/new" bs=1 count=1
	errno "nor a directory under our key" EACCES \
	    setfattr -n user.sse.default -v "KMS:$key" "$M"
	mkdir -p "$M/theirs"
	setfattr -n user.sse.default -v KMS "$M/theirs"
	ok "its own key is fine" cp "$SSEFS" "$M/theirs/f"
	errno "our file is no source of a copy" EACCES \
	    cp "$M/ours" "$M/theirs/copy"
	stop_mount
done
start_mount docs
is "ours is as it was" "$(cat "$M/ours")" secret
errno "theirs is not for us" EACCES cat "$M/theirs/f"
stop_mount
fails "a user of one tenant is none of another" \
    "$SSEFS" mount docs "$M" -o user=eve
# Keys that cannot be here (R21).
for k in "arn:aws:kms:elsewhere:000000000000:key/$key" \
    "arn:aws:kms:us-east-1_project:000000000000:key/$key" \
    "arn:aws:kms:us-east-1:evil:key/$key"; do
	fails "$k" "$SSEFS" mount docs "$M" -o "sse_kms_key_id=$k"
	like "says why" "$(cat "$T/out")" 'region elsewhere|project|tenant'
done
done_testing
