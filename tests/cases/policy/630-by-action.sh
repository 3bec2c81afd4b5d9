#!/bin/sh
# The rights of row R28 through the API, one by one: each call needs its action
# and no other.
# Serves: R13 R28
. "$(dirname "$0")/../../lib.sh"
new_store
py <<'END_PY'
import json
from kmsapi import Api, Refused, Server, run, user
from lib import eq, ok

srv = Server()
root = Api(srv, user("boss", "--admin"))
alice = Api(srv, user("alice"))
m = root("CreateKey")["KeyMetadata"]
key, arn = m["KeyId"], m["Arn"]
root("CreateAlias", AliasName="alias/one", TargetKeyId=key)
blob = root("GenerateDataKey", KeyId=key, KeySpec="AES_256")["CiphertextBlob"]
CALLS = {
    "ListKeys": ("ListKeys", {}),
    "ListAliases": ("ListAliases", {}),
    "ListAliasesByKeyId": ("ListAliases", {"KeyId": key}),
    "DescribeKey": ("DescribeKey", {"KeyId": key}),
    "GenerateDataKey": ("GenerateDataKey",
                        {"KeyId": key, "KeySpec": "AES_256"}),
    "Decrypt": ("Decrypt", {"CiphertextBlob": blob}),
}
attached = False

def may(version, actions, resource="*"):
    """What alice can do with a policy of these actions."""
    global attached
    doc = {"Version": version, "Statement": {
        "Effect": "Allow", "Action": actions, "Resource": resource}}
    r = run("policy", "put", "p", "-", input=json.dumps(doc))
    if r.returncode != 0:
        print("# " + r.stderr)
    if not attached:
        run("policy", "attach", "p", "--user", "alice")
        attached = True
    done = set()
    for name, (op, body) in CALLS.items():
        try:
            alice(op, **body)
            done.add(name)
        except Refused as e:
            if e.kind != "AccessDeniedException":
                done.add("!" + e.kind)
    return done

RAM = ["kms:" + n for n in CALLS]
eq(may("1", RAM), set(CALLS), "RAM: all of them")
for a in RAM:
    eq(may("1", [x for x in RAM if x != a]), set(CALLS) - {a[4:]},
       "RAM: all but " + a)
    eq(may("1", [a]), {a[4:]}, "RAM: only " + a)
eq(may("1", RAM, "acs:kms:*:000000000000:key/" + key),
   set(CALLS) - {"ListKeys", "ListAliases"}, "RAM: on the key")

AWS = ["kms:" + n for n in CALLS if n != "ListAliasesByKeyId"]
both = {"ListAliases", "ListAliasesByKeyId"}
eq(may("2012-10-17", AWS), set(CALLS), "AWS: all of them")
for a in AWS:
    gone = both if a == "kms:ListAliases" else {a[4:]}
    eq(may("2012-10-17", [x for x in AWS if x != a]), set(CALLS) - gone,
       "AWS: all but " + a)
    eq(may("2012-10-17", [a]), gone, "AWS: only " + a)
eq(may("2012-10-17", ["kms:ListAliasesByKeyId"]), set(),
   "AWS has no kms:ListAliasesByKeyId")
eq(may("2012-10-17", AWS, arn), set(CALLS) - both - {"ListKeys"},
   "AWS: lists are on no key")

# A key with tags from the start: the right to tag it, too.
def creates(resource="*", *actions):
    may("2012-10-17", ["kms:CreateKey"], "*")
    doc = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*"},
        {"Effect": "Allow", "Action": list(actions) or ["kms:Sign"],
         "Resource": resource}]}
    run("policy", "put", "p", "-", input=json.dumps(doc))
    got = ""
    for letter, kw in (("k", {}), ("t", {"Tags": [
            {"TagKey": "a", "TagValue": "b"}]})):
        try:
            alice("CreateKey", **kw)
            got += letter
        except Refused as e:
            if e.kind != "AccessDeniedException":
                got += "!" + e.kind
    return got

eq(creates(), "k", "kms:CreateKey makes a key without tags")
eq(creates("*", "kms:TagResource"), "kt", "with kms:TagResource also tagged")
eq(creates("arn:aws:kms:*:000000000000:key/*", "kms:TagResource"), "kt",
   "on the account's keys")
eq(creates(arn, "kms:TagResource"), "k", "not on another key alone")

OBS = {"kms:cmk:list": both | {"ListKeys"}, "kms:cmk:get": {"DescribeKey"},
       "kms:dek:create": {"GenerateDataKey"}, "kms:dek:crypto": {"Decrypt"}}
for a, does in OBS.items():
    eq(may("1.1", [x for x in OBS if x != a], "KMS:*:*:*:*"),
       set(CALLS) - does, "OBS: all but " + a)
ok(srv.stop(), "the server ends")
END_PY
done_testing
