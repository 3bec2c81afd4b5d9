#!/bin/sh
# A change of who may do what reaches files that are open, and pages that are
# cached, in a mount that another process runs; and goes back the same way.
# Serves: R7 R13 R18 R20
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
key=$(new_key)
bucket docs --sse "KMS:$key"
"$SSEFS" user create alice >/dev/null
"$SSEFS" user create bob --admin >/dev/null
cat >"$T/all" <<'END'
{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*",
"Resource":"*"}]}
END
sed 's/kms:\*/kms:GenerateDataKey/' "$T/all" >"$T/write"
"$SSEFS" policy put all "$T/all"
"$SSEFS" policy put write "$T/write"
"$SSEFS" policy attach all --user alice
start_mount docs -o user=alice
py "$key" <<'PY'
import mmap
from lib import *

data = pattern(600000, 1)
put(p("big"), data)
put(p("small"), b"small")
os.mkdir(p("aes"))
os.setxattr(p("aes"), "user.sse.default", b"AES256")
put(p("aes", "f"), b"aes")


def lose(desc, away, back, want=errno.EACCES):
    """Access is lost by ssefs commands, and comes back by others."""
    fd = os.open(p("big"), os.O_RDWR)
    m = mmap.mmap(fd, 600000, prot=mmap.PROT_READ)
    eq(m[:100] + m[300000:300100], data[:100] + data[300000:300100],
       desc + ": before, also through a map")
    for c in away:
        eq(ssefs(*c).returncode, 0, " ".join(c))
    err(want, desc + ": open to read", os.open, p("big"), os.O_RDONLY)
    err(want, desc + ": open to write", os.open, p("big"), os.O_WRONLY)
    err(want, desc + ": truncate", os.truncate, p("big"), 10)
    err(want, desc + ": an open file is not read", os.pread, fd, 100, 0)
    err(want, desc + ": nor written", os.pwrite, fd, b"x", 0)
    err(want, desc + ": a new file", put, p("new"), b"x")
    pid = os.fork()
    if pid == 0:
        _ = m[4096:4100]
        os._exit(0)
    st = os.waitpid(pid, 0)[1]
    ok(os.WIFSIGNALED(st), desc + ": a mapped page is gone")
    eq(os.stat(p("big")).st_size, 600000, desc + ": stat needs no key")
    for c in back:
        eq(ssefs(*c).returncode, 0, " ".join(c))
    eq(os.pread(fd, 100, 300000), data[300000:300100],
       desc + ": back, the open file is read again")
    eq(get(p("big")), data, desc + ": and opened")
    m.close()
    os.close(fd)


lose("a detached policy",
     [["policy", "detach", "all", "--user", "alice"]],
     [["policy", "attach", "all", "--user", "alice"]])
eq(get(p("aes", "f")), b"aes", "AES256 needs no right on keys")
ssefs("policy", "detach", "all", "--user", "alice")
eq(get(p("aes", "f")), b"aes", "also without any policy")
put(p("aes", "g"), b"x")
ssefs("policy", "attach", "all", "--user", "alice")

deny = T + "/deny"
with open(deny, "w") as f:
    f.write('{"Version":"2012-10-17","Statement":[{"Effect":"Deny",'
            '"Action":["kms:Decrypt","kms:GenerateDataKey"],'
            '"Resource":"arn:aws:kms:*:*:key/%s"}]}' % sys.argv[1])
eq(ssefs("policy", "put", "never", deny).returncode, 0, "a policy that denies")
lose("an explicit deny by a role",
     [["policy", "attach", "never", "--role", "outcast"],
      ["user", "role", "add", "alice", "outcast"]],
     [["user", "role", "rm", "alice", "outcast"]])
lose("a policy replaced in place",
     [["policy", "put", "all", deny]], [["policy", "put", "all", T + "/all"]])
# What a policy says of the encryption context holds at every open, and a
# change elsewhere does not make it be forgotten.
store = None
for l in ssefs("audit", "show").stdout.decode().split("\n"):
    if "encryptionContext" in l:
        store = l.split('"encryptionContext":{"')[1].split('"', 4)
context = T + "/context"
with open(context, "w") as f:
    f.write('{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
            '"Action":"kms:*","Resource":"*","Condition":{"StringEquals":'
            '{"kms:EncryptionContext:%s":"%s"}}}]}' % (store[0], store[2]))
eq(ssefs("policy", "put", "all", context).returncode, 0,
   "a policy on the encryption context")
fd = os.open(p("big"), os.O_RDONLY)
eq(get(p("big")), data, "opened twice")
ssefs("key", "tag", sys.argv[1], "x=y")
eq(os.pread(fd, 10, 0), data[:10], "read after a change elsewhere")
os.close(fd)
lose("a policy with conditions",
     [["policy", "detach", "all", "--user", "alice"]],
     [["policy", "attach", "all", "--user", "alice"]])
# What a policy says of the key's tags and aliases.
owned = T + "/owned"
with open(owned, "w") as f:
    f.write('{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
            '"Action":"kms:*","Resource":"*","Condition":{"StringEquals":'
            '{"aws:ResourceTag/owner":"alice"},"ForAnyValue:StringEquals":'
            '{"kms:ResourceAliases":"alias/team"}}}]}')
eq(ssefs("key", "tag", sys.argv[1], "owner=alice").returncode, 0, "a tag")
eq(ssefs("key", "alias", "create", "team", sys.argv[1]).returncode, 0, "an alias")
eq(ssefs("policy", "put", "all", owned).returncode, 0, "a policy on both")
lose("a tag that is changed", [["key", "tag", sys.argv[1], "owner=bob"]],
     [["key", "tag", sys.argv[1], "owner=alice"]])
lose("an alias that is removed", [["key", "alias", "rm", "team"]],
     [["key", "alias", "create", "team", sys.argv[1]]])
ssefs("policy", "put", "all", T + "/all")
lose("a tenant's role for SSE-KMS",
     [["tenant", "set", "sse-kms-role=tenant_admin"]],
     [["user", "role", "add", "alice", "tenant_admin"]])
ssefs("tenant", "set", "sse-kms-role=")
lose("a user that is removed", [["user", "rm", "alice"]],
     [["user", "create", "alice"],
      ["policy", "attach", "all", "--user", "alice"]])
lose("a key that is disabled", [["key", "disable", sys.argv[1]]],
     [["key", "enable", sys.argv[1]]], errno.EKEYREVOKED)

# Who may only write goes on writing, whatever else is changed.
ssefs("policy", "detach", "all", "--user", "alice")
ssefs("policy", "attach", "write", "--user", "alice")
fd = works("who may only make data keys makes a file", os.open, p("up"),
           os.O_CREAT | os.O_RDWR)
eq(os.write(fd, data), 600000, "writes it")
ssefs("user", "role", "add", "alice", "nothing")
ssefs("key", "tag", sys.argv[1], "a=b")
eq(os.pwrite(fd, b"more", 600000), 4, "and goes on after a change elsewhere")
works("cuts it", os.ftruncate, fd, 500000)
eq(os.pread(fd, 10, 0), data[:10], "reads what it wrote itself")
works("fsync", os.fsync, fd)
err(errno.EACCES, "but does not open it again", os.open, p("up"), os.O_RDONLY)
ssefs("policy", "detach", "write", "--user", "alice")
err(errno.EACCES, "and stops when it may not", os.pwrite, fd, b"x", 0)
os.close(fd)
PY
stop_mount

# R19: a tenant that has its files under the default key only.
start_mount docs -o user=bob
echo x >"$M/before"
"$SSEFS" tenant set customer-keys=deny
errno "no new file under a key that the tenant made" EACCES \
    dd if=/dev/zero of="$M/after" bs=1 count=1
is "those that are there are read" "$(cat "$M/before")" x
mkdir "$M/def"
setfattr -n user.sse.default -v KMS "$M/def"
ok "the default key is fine" sh -c "echo x >'$M/def/f'"
"$SSEFS" tenant set customer-keys=allow
ok "allowed again" sh -c "echo x >'$M/after'"
stop_mount
log=$("$SSEFS" audit show)
like "refusals are recorded, with the user" "$log" \
    'user/alice.*"Decrypt".*AccessDenied'
ok "the audit log is whole" "$SSEFS" audit verify
done_testing
