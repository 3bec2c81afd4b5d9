#!/bin/sh
# The policies that the manuals print work as printed for the user of a mount;
# with one action less, that operation fails with EACCES and no other does.
# Serves: R2 R3 R7 R28
. "$(dirname "$0")/../../lib.sh"
require_fuse
new_store
tenant=1416614965936597
policy() { "$SSEFS" policy put p - --tenant $tenant >/dev/null; }
key=$("$SSEFS" key create)
bucket docs --sse KMS
"$SSEFS" user create alice --tenant $tenant >/dev/null
"$SSEFS" user create boss --admin --tenant $tenant >/dev/null
echo '{"Version":"1","Statement":{"Effect":"Deny","Action":"kms:Sign",
    "Resource":"*"}}' | policy
"$SSEFS" policy attach p --user alice --tenant $tenant
# The tenant's account and alice, side by side, by uid.
echo "4242 alice" >"$T/map"
start_mount docs -o "tenant=$tenant,uidmap=$T/map,allow_other,umask=000"
is "a key of another tenant is no key for a directory" "$(
    mkdir "$M/other"
    setfattr -n user.sse.default -v "KMS:$key" "$M/other" 2>&1 |
    sed 's/.*: //')" "Permission denied"
cat >"$T/steps.py" <<'PY'
import json
from lib import *

TENANT = os.environ["TENANT"]
UID = 4242


def put_policy(text):
    r = subprocess.run([SSEFS, "policy", "put", "p", "-", "--tenant", TENANT],
                       input=text.encode(), stderr=subprocess.PIPE)
    if r.returncode != 0:
        print("# " + r.stderr.decode())


def write_new(path):
    with open(path, "wb") as f:
        f.write(b"x" * 5000)


def read(path):
    with open(path, "rb") as f:
        f.read()


def configure(path, key):
    os.setxattr(path, "user.sse.default", key.encode())


def did(where, n, key):
    """What alice can do: a set of letters, and what came back instead."""
    got = ""
    for letter, fn, a in (
            ("u", write_new, (p(where, "new%d" % n),)),
            ("d", read, (p(where, "old"),)),
             ("c", configure, (p(where, "conf"), key))):
        e = as_user(UID, UID, fn, *a)
        if e == 0:
            got += letter
        elif e != errno.EACCES:
            got += "!" + name(e)
    return got


count = 0


def check(desc, text, where, want, key):
    global count
    count += 1
    put_policy(text)
    eq(did(where, count, key), want, desc)
    # Names and attributes need no key.
    if as_user(UID, UID, os.stat, p(where, "old")) != 0:
        ok(False, desc + ": stat")


def obs(actions):
    return json.dumps({"Version": "1.1", "Statement": [
        {"Effect": "Allow", "Action": actions}]})


def ram(actions):
    return json.dumps({"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": actions,
         "Resource": ["acs:kms:*:%s:*" % TENANT]}]})


def aws(actions):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": actions, "Resource": "*"}]})
PY
cat >"$T/seeds.py" <<'PY'
# As the manuals print them.
OBS_A = """{
          "Version": "1.1",
          "Statement": [
              {
                  "Effect": "Allow",
                  "Action": [
                      "kms:dek:crypto",
                      "kms:dek:create",
                      "kms:cmk:get",
                      "kms:cmk:list",
                      "kms:cmk:generate",
                      "kms:cmk:crypto"
                  ]
              }
          ]
      }
"""
RAM_CONFIGURE = """{
          "Version": "1",
          "Statement": [
            {
              "Effect": "Allow",
              "Action": [
                "kms:List*",
                "kms:DescribeKey"    
              ],
              "Resource": [
                "acs:kms:*:1416614965936597:*" //This example allows the user to use all CMKs under the account. To restrict the user to use only one CMK, input the CMK ID.
              ]
            }
          ]
        }
"""
RAM_UPLOAD = RAM_CONFIGURE.replace('"kms:DescribeKey"    ',
    '"kms:DescribeKey",\n                "kms:GenerateDataKey"')
RAM_DOWNLOAD = """{
          "Version": "1",
          "Statement": [
            {
              "Effect": "Allow",
              "Action": [
            "kms:Decrypt"
              ],
              "Resource": [
                "acs:kms:*:1416614965936597:*"//This example indicates that the RAM user has the permission to decrypt data using all CMKs. To decrypt data using a specified CMK, input the CMK ID.
              ]
            }
          ]
        }
"""
PY
PYTHONPATH=$TESTS:$T TENANT=$tenant
export PYTHONPATH TENANT
py <<'PY'
from steps import *
from seeds import *

# No default key yet: who may not make data keys under it does not make it.
os.mkdir(p("def"))
os.chmod(p("def"), 0o777)
put_policy(obs(["kms:dek:create", "kms:cmk:get", "kms:cmk:list"]))
eq(as_user(UID, UID, write_new, p("def", "first")), errno.EACCES,
   "OBS: the first use of the default key needs kms:cmk:create")
put_policy(obs(["kms:cmk:create", "kms:dek:crypto"]))
eq(as_user(UID, UID, write_new, p("def", "first")), errno.EACCES,
   "which is not enough")
log = ssefs("audit", "show").stdout
eq([l for l in log.split(b"\n")
    if b'"eventName":"CreateKey"' in l and TENANT.encode() in l],
   [], "no default key was made for that")
put_policy(obs(["kms:cmk:create", "kms:dek:create", "kms:cmk:get",
                "kms:cmk:list"]))
eq(as_user(UID, UID, write_new, p("def", "first")), 0,
   "with it the key is made (B)")
write_new(p("def", "old"))
os.mkdir(p("def", "conf"))
os.chmod(p("def", "conf"), 0o777)
key = "KMS:" + os.getxattr(p("def", "old"), "user.sse.key-id").decode()
ok(TENANT in key, "the default key is the tenant's")

A = ["kms:dek:crypto", "kms:dek:create", "kms:cmk:get", "kms:cmk:list",
     "kms:cmk:generate", "kms:cmk:crypto"]
B = ["kms:cmk:get", "kms:cmk:list", "kms:cmk:create", "kms:dek:create",
     "kms:dek:crypto"]
without = {"kms:dek:crypto": "uc", "kms:dek:create": "dc",
           "kms:cmk:get": "d", "kms:cmk:list": "d"}
check("OBS, as printed in A", OBS_A, "def", "udc", key)
check("OBS, as named in B", obs(B), "def", "udc", key)
for a in A:
    check("OBS A without " + a, obs([x for x in A if x != a]), "def",
          without.get(a, "udc"), key)

check("RAM: configuring, as printed", RAM_CONFIGURE, "def", "c", key)
check("RAM: uploading, as printed", RAM_UPLOAD, "def", "uc", key)
check("RAM: downloading, as printed", RAM_DOWNLOAD, "def", "d", key)
R = ["kms:ListKeys", "kms:ListAliases", "kms:ListAliasesByKeyId",
     "kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt"]
check("RAM by name", ram(R), "def", "udc", key)
check("RAM without kms:GenerateDataKey",
      ram([x for x in R if x != "kms:GenerateDataKey"]), "def", "dc", key)
check("RAM without kms:Decrypt",
      ram([x for x in R if x != "kms:Decrypt"]), "def", "uc", key)

W = ["kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey"]
check("AWS", aws(W), "def", "udc", key)
check("AWS without kms:GenerateDataKey", aws(W[1:]), "def", "dc", key)
check("AWS without kms:Decrypt", aws([W[0], W[2]]), "def", "uc", key)
check("AWS without kms:DescribeKey", aws(W[:2]), "def", "ud", key)
check("nothing", aws(["kms:Sign"]), "def", "", key)
PY
stop_mount

# A key that the tenant made itself: RAM wants more for it.
TENANT=000000000000
"$SSEFS" user create alice >/dev/null
echo '{"Version":"1.1","Statement":{"Effect":"Deny","Action":"kms:cmk:sign"}}' |
    "$SSEFS" policy put p -
"$SSEFS" policy attach p --user alice
start_mount docs -o "uidmap=$T/map,allow_other,umask=000"
py "$key" <<'PY'
from steps import *

key = sys.argv[1]
os.mkdir(p("own"))
os.chmod(p("own"), 0o777)
os.setxattr(p("own"), "user.sse.default", b"KMS:" + key.encode())
write_new(p("own", "old"))
os.mkdir(p("own", "conf"))
os.chmod(p("own", "conf"), 0o777)
eq(os.getxattr(p("own", "old"), "user.sse.key-id").decode()[-36:], key,
   "files are under the chosen key")
key = "KMS:" + key
R = ["kms:ListKeys", "kms:ListAliases", "kms:ListAliasesByKeyId",
     "kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt"]
without = {"kms:GenerateDataKey": "dc", "kms:Decrypt": "uc"}
check("RAM, a chosen key", ram(R), "own", "udc", key)
for a in R:
    check("RAM, a chosen key, without " + a, ram([x for x in R if x != a]),
          "own", without.get(a, "d"), key)
B = ["kms:cmk:get", "kms:cmk:list", "kms:dek:create", "kms:dek:crypto"]
without = {"kms:dek:crypto": "uc", "kms:dek:create": "dc"}
check("OBS, a chosen key", obs(B), "own", "udc", key)
for a in B:
    check("OBS, a chosen key, without " + a, obs([x for x in B if x != a]),
          "own", without.get(a, "d"), key)
W = ["kms:GenerateDataKey", "kms:Decrypt"]
check("AWS, a chosen key", aws(W), "own", "ud", key)
check("AWS, a chosen key, without kms:GenerateDataKey", aws(W[1:]), "own",
      "d", key)
check("AWS, a chosen key, without kms:Decrypt", aws(W[:1]), "own", "u", key)
PY
unset PYTHONPATH TENANT
stop_mount
done_testing
