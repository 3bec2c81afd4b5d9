#!/bin/sh
# Every operation of the KMS API through boto3, over HTTPS with the store's CA.
# Serves: R6 R7 R12 R25
. "$(dirname "$0")/../../lib.sh"

$PY -c 'import boto3' 2>/dev/null || skip_all "python3-boto3 is not installed"
new_store
py <<'END'
import datetime, json
import botocore.exceptions
from kmsapi import Server, boto, user
from lib import eq, ok

srv = Server()
alice = user("alice", "--admin")
kms = boto(srv, alice)
ACCOUNT = "000000000000"

def code(kind, desc, fn, like="", **kw):
    try:
        fn(**kw)
    except botocore.exceptions.ClientError as e:
        got = e.response["Error"]
        eq(got["Code"], kind, "%s: %s" % (desc, kind))
        if like:
            ok(like in got["Message"], "%s: %r says %r" %
               (desc, got["Message"], like))
        return e.response
    ok(False, "%s: %s" % (desc, kind))

# ---- Keys
r = kms.create_key(Description="of boto3", Tags=[
    {"TagKey": "dept", "TagValue": "hr"}])
m = r["KeyMetadata"]
key, arn = m["KeyId"], m["Arn"]
ok(len(r["ResponseMetadata"]["RequestId"]) == 36, "an answer has a request id")
eq(arn, "arn:aws:kms:us-east-1:%s:key/%s" % (ACCOUNT, key), "CreateKey: Arn")
eq({k: m.get(k) for k in (
    "AWSAccountId", "Enabled", "Description", "KeyUsage", "KeyState", "Origin",
    "KeyManager", "CustomerMasterKeySpec", "KeySpec", "EncryptionAlgorithms",
    "MultiRegion")},
   {"AWSAccountId": ACCOUNT, "Enabled": True, "Description": "of boto3",
    "KeyUsage": "ENCRYPT_DECRYPT", "KeyState": "Enabled", "Origin": "AWS_KMS",
    "KeyManager": "CUSTOMER", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
    "KeySpec": "SYMMETRIC_DEFAULT",
    "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"], "MultiRegion": False},
   "CreateKey: metadata")
age = datetime.datetime.now(datetime.timezone.utc) - m["CreationDate"]
ok(abs(age.total_seconds()) < 600, "CreationDate is a time")
d = kms.describe_key(KeyId=arn)["KeyMetadata"]
eq(d, m, "DescribeKey says the same")
for what, kw in (("KeySpec", {"KeySpec": "RSA_2048",
                              "KeyUsage": "ENCRYPT_DECRYPT"}),
                 ("KeyUsage", {"KeySpec": "HMAC_256",
                               "KeyUsage": "GENERATE_VERIFY_MAC"}),
                 ("Origin", {"Origin": "AWS_CLOUDHSM"}),
                 ("MultiRegion", {"MultiRegion": True})):
    code("UnsupportedOperationException", "CreateKey " + what,
         kms.create_key, **kw)
code("ValidationException", "CreateKey, an unknown spec", kms.create_key,
     like="enum value set", KeySpec="ROT_13")
code("TagException", "CreateKey, a tag aws:", kms.create_key,
     Tags=[{"TagKey": "aws:x", "TagValue": ""}])
code("NotFoundException", "DescribeKey, no such id", kms.describe_key,
     like="does not exist", KeyId="00000000-0000-4000-8000-000000000000")
code("NotFoundException", "DescribeKey, no id", kms.describe_key,
     like="Invalid keyId 'nonsense'", KeyId="nonsense")
code("NotFoundException", "DescribeKey, another region", kms.describe_key,
     like="Invalid arn eu-west-1",
     KeyId=arn.replace("us-east-1", "eu-west-1"))
code("NotFoundException", "EnableKey by alias", kms.enable_key,
     like="Invalid keyId", KeyId="alias/one")
kms.update_key_description(KeyId=key, Description="new")
eq(kms.describe_key(KeyId=key)["KeyMetadata"]["Description"], "new",
   "UpdateKeyDescription")
for text in "x" * 8192, "\u00e9" * 8192, "\U0001f511" * 8192:
    kms.update_key_description(KeyId=key, Description=text)
    ok(kms.describe_key(KeyId=key)["KeyMetadata"]["Description"] == text,
       "UpdateKeyDescription, 8192 characters of %d bytes" %
       len(text[0].encode()))
kms.update_key_description(KeyId=key, Description="")
eq(kms.describe_key(KeyId=key)["KeyMetadata"]["Description"], "",
   "UpdateKeyDescription, none")
r = kms.create_key(Description="y" * 8192, Tags=[
    {"TagKey": "\u00e9" * 128, "TagValue": "\u00e9" * 256}])["KeyMetadata"]
eq(r["Description"], "y" * 8192, "CreateKey, a long description")
eq(kms.list_resource_tags(KeyId=r["KeyId"])["Tags"],
   [{"TagKey": "\u00e9" * 128, "TagValue": "\u00e9" * 256}],
   "a tag of 128 and 256 characters")
kms.schedule_key_deletion(KeyId=r["KeyId"])
code("ValidationException", "CreateKey, a tag's long name", kms.create_key,
     like="at 'tags.1.member.tagKey' failed to satisfy constraint: Member "
     "must have length less than or equal to 128",
     Tags=[{"TagKey": "a" * 129, "TagValue": ""}])
code("ValidationException", "CreateKey, a tag's long value", kms.create_key,
     like="at 'tags.1.member.tagValue'",
     Tags=[{"TagKey": "a", "TagValue": "a" * 257}])
code("TagException", "CreateKey, a tag AWS:", kms.create_key,
     like="reserved", Tags=[{"TagKey": "AWS:x", "TagValue": ""}])
code("TagException", "CreateKey, too many tags", kms.create_key,
     like="Too many tags",
     Tags=[{"TagKey": "t%d" % i, "TagValue": ""} for i in range(51)])
for op, kw in (kms.create_key, {}), (kms.tag_resource, {"KeyId": key}):
    code("TagException", "a tag given twice", op, like="Duplicate tag keys",
         Tags=[{"TagKey": "a", "TagValue": "1"},
               {"TagKey": "a", "TagValue": "2"}], **kw)
code("ValidationException", "UpdateKeyDescription, too long",
     kms.update_key_description, KeyId=key, Description="x" * 8193)

# ---- Aliases
many = kms.create_key()["KeyMetadata"]["KeyId"]
for i in range(50):
    kms.create_alias(AliasName="alias/many/%d" % i, TargetKeyId=many)
code("LimitExceededException", "CreateAlias, the 51st of a key",
     kms.create_alias, AliasName="alias/many/x", TargetKeyId=many)
kms.create_alias(AliasName="alias/many/x", TargetKeyId=key)
code("LimitExceededException", "UpdateAlias, the same", kms.update_alias,
     AliasName="alias/many/x", TargetKeyId=many)
for n in ["x"] + list(range(50)):
    kms.delete_alias(AliasName="alias/many/%s" % n)
kms.schedule_key_deletion(KeyId=many)
kms.create_alias(AliasName="alias/one", TargetKeyId=key)
code("AlreadyExistsException", "CreateAlias again", kms.create_alias,
     like="alias/one already exists", AliasName="alias/one", TargetKeyId=key)
for op, kw in ((kms.create_alias, {"TargetKeyId": key}),
               (kms.update_alias, {"TargetKeyId": key}),
               (kms.delete_alias, {})):
    code("ValidationException", "an alias without prefix", op,
         like='Alias must start with the prefix "alias/"', AliasName="one",
         **kw)
    code("ValidationException", "an alias with a colon", op,
         like="alias/a:b contains invalid characters for an alias",
         AliasName="alias/a:b", **kw)
    code("InvalidAliasNameException", "an alias without a name", op,
         AliasName="alias/", **kw)
    code("NotAuthorizedException", "a reserved alias", op,
         AliasName="alias/aws/one", **kw)
code("ValidationException", "CreateAlias, characters", kms.create_alias,
     like="regular expression", AliasName="alias/a b", TargetKeyId=key)
code("NotFoundException", "CreateAlias, no key", kms.create_alias,
     AliasName="alias/two",
     TargetKeyId="00000000-0000-4000-8000-000000000000")
eq(kms.describe_key(KeyId="alias/one")["KeyMetadata"]["Arn"], arn,
   "an alias names the key")
eq(kms.describe_key(KeyId="arn:aws:kms:us-east-1:%s:alias/one" % ACCOUNT)
   ["KeyMetadata"]["Arn"], arn, "so does an alias's ARN")
other = kms.create_key()["KeyMetadata"]["KeyId"]
kms.update_alias(AliasName="alias/one", TargetKeyId=other)
eq(kms.describe_key(KeyId="alias/one")["KeyMetadata"]["KeyId"], other,
   "UpdateAlias")
kms.update_alias(AliasName="alias/one", TargetKeyId=key)
code("NotFoundException", "UpdateAlias, none", kms.update_alias,
     AliasName="alias/none", TargetKeyId=key)
for i in range(6):
    kms.create_alias(AliasName="alias/n%d" % i, TargetKeyId=key)
a = [x for x in kms.list_aliases(KeyId=key)["Aliases"]]
eq(sorted(x["AliasName"] for x in a),
   sorted(["alias/one"] + ["alias/n%d" % i for i in range(6)]),
   "ListAliases of a key")
eq((a[0]["TargetKeyId"], a[0]["AliasArn"]),
   (key, "arn:aws:kms:us-east-1:%s:%s" % (ACCOUNT, a[0]["AliasName"])),
   "ListAliases: its members")
ok("CreationDate" in a[0] and "LastUpdatedDate" in a[0],
   "ListAliases: its times")
paged = [x["AliasName"] for p in kms.get_paginator("list_aliases").paginate(
    KeyId=key, PaginationConfig={"PageSize": 2}) for x in p["Aliases"]]
eq(sorted(paged), sorted(x["AliasName"] for x in a), "ListAliases by twos")
code("ValidationException", "ListAliases, a long page", kms.list_aliases,
     Limit=101)
kms.delete_alias(AliasName="alias/n0")
code("NotFoundException", "DeleteAlias again", kms.delete_alias,
     like="alias/n0 is not found", AliasName="alias/n0")

# ---- Lists
made = {kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(5)}
pages = list(kms.get_paginator("list_keys").paginate(
    PaginationConfig={"PageSize": 3}))
ids = [k["KeyId"] for p in pages for k in p["Keys"]]
ok(made | {key, other} <= set(ids) and len(ids) == len(set(ids)),
   "ListKeys by threes has each key once")
ok(all(len(p["Keys"]) == 3 for p in pages[:-1]), "its pages are full")
one = kms.list_keys(Limit=1)
eq((one["Truncated"], len(one["Keys"])), (True, 1), "Truncated")
ok(one["Keys"][0]["KeyArn"].endswith(one["Keys"][0]["KeyId"]), "KeyArn")
code("InvalidMarkerException", "ListKeys, a marker of another list",
     kms.list_aliases, Marker=one["NextMarker"])
code("InvalidMarkerException", "ListKeys, a marker made up", kms.list_keys,
     Marker="AAAA")
code("ValidationException", "ListKeys, a long page", kms.list_keys,
     Limit=1001)

# ---- Encrypt, decrypt
ctx = {"dept": "hr", "ä": "ö"}
for plain in b"x", b"y" * 4096:
    e = kms.encrypt(KeyId="alias/one", Plaintext=plain, EncryptionContext=ctx)
    eq((e["KeyId"], e["EncryptionAlgorithm"]), (arn, "SYMMETRIC_DEFAULT"),
       "Encrypt of %d" % len(plain))
    d = kms.decrypt(CiphertextBlob=e["CiphertextBlob"], EncryptionContext=ctx)
    eq((d["Plaintext"] == plain, d["KeyId"], d["EncryptionAlgorithm"]),
       (True, arn, "SYMMETRIC_DEFAULT"), "Decrypt of %d" % len(plain))
    ok(len(e["CiphertextBlob"]) <= 6144, "a blob is within AWS's bound")
blob = e["CiphertextBlob"]
eq(kms.decrypt(CiphertextBlob=blob, EncryptionContext=ctx, KeyId=key)["KeyId"],
   arn, "Decrypt with the key named")
code("IncorrectKeyException", "Decrypt, another key", kms.decrypt,
     CiphertextBlob=blob, EncryptionContext=ctx, KeyId=other)
for desc, b, c in (("no context", blob, {}),
                   ("another context", blob, {"dept": "it", "ä": "ö"}),
                   ("altered", blob[:-1] + bytes([blob[-1] ^ 1]), ctx),
                   ("cut", blob[:-1], ctx), ("garbage", b"garbage", ctx)):
    r = code("InvalidCiphertextException", "Decrypt, " + desc, kms.decrypt,
             CiphertextBlob=b, EncryptionContext=c)
    eq(r and r["Error"]["Message"], "", "and not why")
code("ValidationException", "Encrypt of 4097", kms.encrypt,
     like="Value at 'plaintext' failed to satisfy constraint: Member must "
     "have length less than or equal to 4096", KeyId=key, Plaintext=b"x" * 4097)
code("InvalidKeyUsageException", "Encrypt with RSA", kms.encrypt, KeyId=key,
     Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_1")
code("ValidationException", "Decrypt of 6145", kms.decrypt,
     CiphertextBlob=b"x" * 6145)
for kw, n in (({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16),
              ({"NumberOfBytes": 1}, 1), ({"NumberOfBytes": 1024}, 1024)):
    g = kms.generate_data_key(KeyId=key, EncryptionContext=ctx, **kw)
    eq((len(g["Plaintext"]), g["KeyId"]), (n, arn), "GenerateDataKey %s" % kw)
    eq(kms.decrypt(CiphertextBlob=g["CiphertextBlob"], EncryptionContext=ctx)
       ["Plaintext"], g["Plaintext"], "and back")
    w = kms.generate_data_key_without_plaintext(KeyId=key, **kw)
    ok("Plaintext" not in w, "GenerateDataKeyWithoutPlaintext has none")
    eq(len(kms.decrypt(CiphertextBlob=w["CiphertextBlob"])["Plaintext"]), n,
       "its blob is of one")
code("ValidationException", "GenerateDataKey, both", kms.generate_data_key,
     KeyId=key, KeySpec="AES_256", NumberOfBytes=1)
code("ValidationException", "GenerateDataKey, neither",
     kms.generate_data_key, KeyId=key)
code("ValidationException", "GenerateDataKey of 1025", kms.generate_data_key,
     KeyId=key, NumberOfBytes=1025)
r = kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=ctx,
                   DestinationKeyId=other,
                   DestinationEncryptionContext={"to": "other"})
eq((r["SourceKeyId"], r["KeyId"], r["SourceEncryptionAlgorithm"],
    r["DestinationEncryptionAlgorithm"]),
   (arn, arn.replace(key, other), "SYMMETRIC_DEFAULT", "SYMMETRIC_DEFAULT"),
   "ReEncrypt")
eq(kms.decrypt(CiphertextBlob=r["CiphertextBlob"],
               EncryptionContext={"to": "other"})["Plaintext"] == plain, True,
   "what it holds is the same")
code("IncorrectKeyException", "ReEncrypt, another source key",
     kms.re_encrypt, CiphertextBlob=blob, SourceEncryptionContext=ctx,
     SourceKeyId=other, DestinationKeyId=other)
for n in 1, 1024:
    a, b = (kms.generate_random(NumberOfBytes=n)["Plaintext"]
            for _ in range(2))
    eq((len(a), len(b)), (n, n), "GenerateRandom of %d" % n)
ok(a != b, "which differs")
code("ValidationException", "GenerateRandom of 1025", kms.generate_random,
     NumberOfBytes=1025)
code("UnsupportedOperationException", "GenerateRandom elsewhere",
     kms.generate_random, NumberOfBytes=1, CustomKeyStoreId="cks-1")

# ---- Tags
kms.tag_resource(KeyId=key, Tags=[{"TagKey": "t%d" % i, "TagValue": str(i)}
                                  for i in range(7)])
tags = kms.list_resource_tags(KeyId=key)["Tags"]
eq({t["TagKey"]: t["TagValue"] for t in tags},
   dict([("dept", "hr")] + [("t%d" % i, str(i)) for i in range(7)]),
   "TagResource, ListResourceTags")
page, seen = kms.list_resource_tags(KeyId=key, Limit=3), []
while True:
    seen += [t["TagKey"] for t in page["Tags"]]
    if not page["Truncated"]:
        break
    page = kms.list_resource_tags(KeyId=key, Limit=3,
                                  Marker=page["NextMarker"])
eq(sorted(seen), sorted(t["TagKey"] for t in tags), "by threes")
kms.untag_resource(KeyId=key, TagKeys=["t0", "t1", "nothing"])
eq(len(kms.list_resource_tags(KeyId=key)["Tags"]), 6, "UntagResource")
code("TagException", "TagResource aws:", kms.tag_resource, KeyId=key,
     Tags=[{"TagKey": "aws:x", "TagValue": "y"}])
code("LimitExceededException", "51 tags", kms.tag_resource, KeyId=key,
     Tags=[{"TagKey": "k%d" % i, "TagValue": ""} for i in range(50)])

# ---- Rotation
eq(kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"], False,
   "GetKeyRotationStatus")
kms.enable_key_rotation(KeyId=key)
eq(kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"], True,
   "EnableKeyRotation")
kms.disable_key_rotation(KeyId=key)
eq(kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"], False,
   "DisableKeyRotation")

# ---- Policies
eq(kms.list_key_policies(KeyId=key)["PolicyNames"], ["default"],
   "ListKeyPolicies")
text = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
ok("arn:aws:iam::%s:root" % ACCOUNT in text, "GetKeyPolicy: the default")
mine = json.dumps({"Version": "2012-10-17", "Id": "mine", "Statement": [
    {"Sid": "all", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
     "Principal": {"AWS": "arn:aws:iam::%s:root" % ACCOUNT}}]})
kms.put_key_policy(KeyId=key, PolicyName="default", Policy=mine)
eq(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"], mine,
   "PutKeyPolicy")
code("MalformedPolicyDocumentException", "PutKeyPolicy, nonsense",
     kms.put_key_policy, KeyId=key, PolicyName="default", Policy="{")
code("NotFoundException", "GetKeyPolicy of another name", kms.get_key_policy,
     KeyId=key, PolicyName="other")

# ---- Grants
bob = "arn:aws:iam::%s:user/bob" % ACCOUNT
user("bob")
g = kms.create_grant(KeyId=key, GranteePrincipal=bob, Name="g1",
                     RetiringPrincipal=bob,
                     Operations=["Decrypt", "GenerateDataKey"],
                     Constraints={"EncryptionContextSubset": {"dept": "hr"}})
ok(g["GrantToken"] and g["GrantId"], "CreateGrant")
for i in range(4):
    kms.create_grant(KeyId=key, GranteePrincipal=bob, Name="n%d" % i,
                     Operations=["DescribeKey"])
all_ = [x for p in kms.get_paginator("list_grants").paginate(
    KeyId=key, PaginationConfig={"PageSize": 2}) for x in p["Grants"]]
eq(sorted(x["Name"] for x in all_), ["g1", "n0", "n1", "n2", "n3"],
   "ListGrants by twos")
x = [x for x in all_ if x["Name"] == "g1"][0]
eq((x["KeyId"], x["GranteePrincipal"], x["RetiringPrincipal"],
    sorted(x["Operations"]), x["Constraints"]),
   (arn, bob, bob, ["Decrypt", "GenerateDataKey"],
    {"EncryptionContextSubset": {"dept": "hr"}}), "its members")
eq([y["GrantId"] for y in kms.list_grants(KeyId=key, GrantId=g["GrantId"])
    ["Grants"]], [g["GrantId"]], "ListGrants of one")
eq([y["GrantId"] for y in kms.list_retirable_grants(RetiringPrincipal=bob)
    ["Grants"]], [g["GrantId"]], "ListRetirableGrants")
kms.encrypt(KeyId=key, Plaintext=b"x", GrantTokens=[g["GrantToken"]])
code("InvalidGrantTokenException", "a token that is none", kms.encrypt,
     KeyId=key, Plaintext=b"x", GrantTokens=["none"])
kms.revoke_grant(KeyId=key, GrantId=g["GrantId"])
code("NotFoundException", "RevokeGrant again", kms.revoke_grant, KeyId=key,
     GrantId=g["GrantId"])
g = kms.create_grant(KeyId=key, GranteePrincipal=bob, Operations=["Decrypt"])
kms.retire_grant(GrantToken=g["GrantToken"])
eq(len(kms.list_grants(KeyId=key)["Grants"]), 4, "RetireGrant by its token")
g = kms.create_grant(KeyId=key, GranteePrincipal=bob, Operations=["Decrypt"])
kms.retire_grant(KeyId=arn, GrantId=g["GrantId"])
eq(len(kms.list_grants(KeyId=key)["Grants"]), 4, "and by its id")
code("ValidationException", "CreateGrant of nothing to grant",
     kms.create_grant, KeyId=key, GranteePrincipal=bob, Operations=["Sign"])

# ---- States
kms.disable_key(KeyId=key)
eq(kms.describe_key(KeyId=key)["KeyMetadata"]["Enabled"], False, "DisableKey")
code("DisabledException", "Encrypt under it", kms.encrypt,
     like="%s is disabled." % arn, KeyId=key, Plaintext=b"x")
kms.enable_key(KeyId=key)
kms.encrypt(KeyId=key, Plaintext=b"x")
ok(True, "EnableKey")
s = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
eq((s["KeyId"], s["KeyState"], s["PendingWindowInDays"]),
   (arn, "PendingDeletion", 7), "ScheduleKeyDeletion")
d = kms.describe_key(KeyId=key)["KeyMetadata"]
eq(d["KeyState"], "PendingDeletion", "the key's state")
eq(d["DeletionDate"], s["DeletionDate"], "DeletionDate")
code("KMSInvalidStateException", "Encrypt under it", kms.encrypt,
     like="%s is pending deletion." % arn, KeyId=key, Plaintext=b"x")
eq(kms.cancel_key_deletion(KeyId=key)["KeyId"], arn, "CancelKeyDeletion")
eq(kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"], "Disabled",
   "it ends disabled")
code("KMSInvalidStateException", "CancelKeyDeletion again",
     kms.cancel_key_deletion, KeyId=key)
code("ValidationException", "a window that is too short",
     kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=6)
eq(kms.schedule_key_deletion(KeyId=other)["PendingWindowInDays"], 30,
   "30 days when none are named")

# ---- What is not here
for name, kw in (("sign", {"KeyId": arn, "Message": b"x",
                           "SigningAlgorithm": "RSASSA_PSS_SHA_256"}),
                 ("get_public_key", {"KeyId": arn}),
                 ("generate_mac", {"KeyId": arn, "Message": b"x",
                                   "MacAlgorithm": "HMAC_SHA_256"}),
                 ("replicate_key", {"KeyId": arn,
                                    "ReplicaRegion": "eu-west-1"}),
                 ("describe_custom_key_stores", {})):
    code("UnsupportedOperationException", name, getattr(kms, name), **kw)
ok(srv.stop(), "the server ends")
END
done_testing
