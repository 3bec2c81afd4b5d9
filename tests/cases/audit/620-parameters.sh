#!/bin/sh
# What a record tells of a request: CloudTrail's requestParameters, names and
# settings, never material, tokens or blobs; and how the request came.
# Serves: R13
. "$(dirname "$0")/../../lib.sh"
new_store
py <<'END_PY'
import base64, json, os, ssl
from kmsapi import Api, Refused, Server, local, run, user
from lib import eq, ok

srv = Server()
cred = user("boss", "--admin")
api = Api(srv, cred)
ACCOUNT = "000000000000"
BOB = "arn:aws:iam::%s:user/bob" % ACCOUNT
secrets = []

def records():
    r = run("audit", "show")
    return [json.loads(l) for l in r.stdout.splitlines()], r.stdout

def last(event):
    return [r for r in records()[0] if r["eventName"] == event][-1]

def told(event, want, op=None, fails=None, **body):
    """One call, and the requestParameters of its record."""
    try:
        a = api(op or event, **body)
    except Refused as e:
        eq(e.kind, fails, event + " fails")
        a = None
    # Calls that change nothing are flushed with others.
    api("UpdateKeyDescription", KeyId=key, Description="") if key else None
    r = last(event)
    eq(r["requestParameters"], want, event)
    return a, r

key = None
a, r = told("CreateKey", {
    "keyUsage": "ENCRYPT_DECRYPT", "keySpec": "SYMMETRIC_DEFAULT",
    "origin": "AWS_KMS", "multiRegion": False,
    "bypassPolicyLockoutSafetyCheck": False, "description": "a \"key\"",
    "tags": [{"tagKey": "dept", "tagValue": "hr"}]},
    Description="a \"key\"", Tags=[{"TagKey": "dept", "TagValue": "hr"}])
key, arn = a["KeyMetadata"]["KeyId"], a["KeyMetadata"]["Arn"]
eq(r["responseElements"], None, "what was answered stands in resources")
eq(r["tlsDetails"], {"tlsVersion": "TLSv1.3",
                     "cipherSuite": r["tlsDetails"]["cipherSuite"],
                     "clientProvidedHostHeader":
                     "%s:%d" % (srv.host, srv.port)}, "tlsDetails")
ok(r["tlsDetails"]["cipherSuite"].startswith("TLS_AES_"), "its cipher suite")
other = api("CreateKey", Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
told("CreateAlias", {"targetKeyId": key, "aliasName": "alias/one"},
     AliasName="alias/one", TargetKeyId=key)
told("UpdateAlias", {"targetKeyId": other, "aliasName": "alias/one"},
     AliasName="alias/one", TargetKeyId=other)
told("ListAliases", {"keyId": other, "limit": 50}, KeyId=other)
told("ListKeys", {"limit": 7}, Limit=7)
told("DeleteAlias", {"aliasName": "alias/one"}, AliasName="alias/one")
told("TagResource", {"keyId": key, "tags": [{"tagKey": "a", "tagValue": "b"}]},
     KeyId=key, Tags=[{"TagKey": "a", "TagValue": "b"}])
told("UntagResource", {"keyId": key, "tagKeys": ["a"]}, KeyId=key,
     TagKeys=["a"])
told("EnableKeyRotation", {"keyId": key, "rotationPeriodInDays": 100},
     KeyId=key, RotationPeriodInDays=100)
told("ListKeyRotations", {"keyId": arn, "limit": 100}, KeyId=key)
policy = json.dumps({"Version": "2012-10-17", "Statement": {
    "Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*",
    "Resource": "*"}})
told("PutKeyPolicy", {"keyId": key, "policyName": "default",
                      "bypassPolicyLockoutSafetyCheck": True,
                      "policy": policy}, KeyId=key, Policy=policy,
     PolicyName="default", BypassPolicyLockoutSafetyCheck=True)
told("GetKeyPolicy", {"keyId": key, "policyName": "default"}, KeyId=key)
told("ScheduleKeyDeletion", {"keyId": other, "pendingWindowInDays": 9},
     fails="UnsupportedOperationException", KeyId=other, PendingWindowInDays=9)
api("CancelKeyDeletion", KeyId=other)

# ---- Data
P = base64.b64encode(b"very secret text").decode()
secrets += [P, "very secret text"]
ctx = {"dept": "hr"}
a, _ = told("Encrypt", {"keyId": key,
                        "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
                        "encryptionContext": ctx},
            KeyId=key, Plaintext=P, EncryptionContext=ctx)
blob = a["CiphertextBlob"]
secrets.append(blob)
told("Decrypt", {"encryptionAlgorithm": "SYMMETRIC_DEFAULT",
                 "encryptionContext": ctx}, CiphertextBlob=blob,
     EncryptionContext=ctx)
a, _ = told("ReEncrypt", {
    "destinationKeyId": arn, "sourceKeyId": key,
    "sourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    "destinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    "sourceEncryptionContext": ctx,
    "destinationEncryptionContext": {"dept": "it"}},
    CiphertextBlob=blob, SourceKeyId=key, DestinationKeyId=arn,
    SourceEncryptionContext=ctx, DestinationEncryptionContext={"dept": "it"})
secrets.append(a["CiphertextBlob"])
a, _ = told("GenerateDataKey", {"keyId": key, "numberOfBytes": 24},
            KeyId=key, NumberOfBytes=24)
secrets += [a["Plaintext"], a["CiphertextBlob"]]
a, _ = told("GenerateRandom", {"numberOfBytes": 30}, NumberOfBytes=30)
secrets.append(a["Plaintext"])

# ---- Grants
a, r = told("CreateGrant", {
    "keyId": key, "granteePrincipal": BOB, "retiringPrincipal": BOB,
    "operations": ["Decrypt", "DescribeKey"], "name": "once",
    "constraints": {"encryptionContextSubset": {"dept": "hr", "a": "b"}}},
    KeyId=key, GranteePrincipal=BOB, RetiringPrincipal=BOB,
    Operations=["DescribeKey", "Decrypt"], Name="once",
    Constraints={"EncryptionContextSubset": {"dept": "hr", "a": "b"}})
eq(r["responseElements"], {"grantId": a["GrantId"], "keyId": arn},
   "CreateGrant: responseElements")
secrets.append(a["GrantToken"])
told("ListGrants", {"keyId": key, "granteePrincipal": BOB, "limit": 50},
     KeyId=key, GranteePrincipal=BOB)
told("ListRetirableGrants", {"retiringPrincipal": BOB, "limit": 3},
     RetiringPrincipal=BOB, Limit=3)
_, r = told("RetireGrant", None, GrantToken=a["GrantToken"])
eq(r["additionalEventData"], {"grantId": a["GrantId"]},
   "RetireGrant by token: which it was")
ids = [api("CreateGrant", KeyId=key, GranteePrincipal=BOB,
           Operations=["Decrypt"])["GrantId"] for _ in range(2)]
told("RetireGrant", {"keyId": arn, "grantId": ids[0]}, KeyId=arn,
     GrantId=ids[0])
told("RevokeGrant", {"keyId": key, "grantId": ids[1]}, KeyId=key,
     GrantId=ids[1])
pairs = {"k%d" % i: "v" * 380 for i in range(8)}
told("CreateGrant", {
    "keyId": key, "granteePrincipal": BOB, "operations": ["Decrypt"],
    "constraints": {"encryptionContextEquals": pairs}}, KeyId=key,
    GranteePrincipal=BOB, Operations=["Decrypt"],
    Constraints={"EncryptionContextEquals": pairs})

# ---- Import
a, _ = told("GetParametersForImport", {
    "keyId": other, "wrappingAlgorithm": "RSAES_OAEP_SHA_256",
    "wrappingKeySpec": "RSA_2048"}, KeyId=other, WrappingKeySpec="RSA_2048",
    WrappingAlgorithm="RSAES_OAEP_SHA_256")
secrets += [a["ImportToken"], a["PublicKey"]]
wrapped = base64.b64encode(os.urandom(256)).decode()
secrets.append(wrapped)
told("ImportKeyMaterial", {
    "keyId": other, "expirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"},
    fails="InvalidCiphertextException", KeyId=other,
    ImportToken=a["ImportToken"], EncryptedKeyMaterial=wrapped,
    ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
told("ImportKeyMaterial", {
    "keyId": other, "expirationModel": "KEY_MATERIAL_EXPIRES",
    "validTo": "2100-01-01T00:00:00Z"}, fails="InvalidImportTokenException",
    KeyId=other, ImportToken=wrapped, EncryptedKeyMaterial=wrapped,
    ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=4102444800)
told("DeleteImportedKeyMaterial", {"keyId": other}, KeyId=other)

# ---- Identities
def cli(event, want, *args, stdin=None, response=None):
    r = run(*args, input=stdin)
    eq(r.returncode, 0, " ".join(args))
    got = last(event)
    eq((got["requestParameters"], got["responseElements"]), (want, response),
       event)
    return r.stdout

def made(r):
    j = json.loads(r.stdout)
    secrets.append(j["secret_access_key"])
    return j["access_key_id"]

kid = made(run("user", "create", "carl", "--json"))
r = last("CreateUser")
eq((r["requestParameters"], r["responseElements"]),
   ({"userName": "carl"}, {"accessKey": {"accessKeyId": kid,
                                         "status": "Active"}}), "CreateUser")
second = made(run("user", "key", "create", "carl", "--json"))
r = last("CreateAccessKey")
eq((r["requestParameters"], r["responseElements"]),
   ({"userName": "carl"}, {"accessKey": {"accessKeyId": second,
                                         "status": "Active"}}),
   "CreateAccessKey")
ok(second in records()[1] and kid in records()[1], "ids are no secrets")
cli("UpdateAccessKey", {"userName": "carl", "accessKeyId": kid,
                        "status": "Inactive"}, "user", "key", "disable",
    "carl", kid)
cli("DeleteAccessKey", {"userName": "carl", "accessKeyId": kid}, "user", "key",
    "rm", "carl", kid)
cli("AddRoleToUser", {"userName": "carl", "roleName": "dev"}, "user", "role",
    "add", "carl", "dev")
cli("RemoveRoleFromUser", {"userName": "carl", "roleName": "dev"}, "user",
    "role", "rm", "carl", "dev")
doc = '{"Version":"1.1","Statement":[{"Effect":"Allow","Action":"kms:cmk:get"}]}'
cli("PutPolicy", {"policyName": "p", "policyDocument": doc}, "policy", "put",
    "p", "-", stdin=doc)
cli("AttachUserPolicy", {"policyName": "p", "userName": "carl"}, "policy",
    "attach", "p", "--user", "carl")
cli("DetachUserPolicy", {"policyName": "p", "userName": "carl"}, "policy",
    "detach", "p", "--user", "carl")
cli("AttachRolePolicy", {"policyName": "p", "roleName": "dev"}, "policy",
    "attach", "p", "--role", "dev")
cli("DetachRolePolicy", {"policyName": "p", "roleName": "dev"}, "policy",
    "detach", "p", "--role", "dev")
cli("DeletePolicy", {"policyName": "p"}, "policy", "rm", "p")
cli("UpdateTenant", {"sseKmsRole": "dev", "customerKeys": "allow"}, "tenant",
    "set", "sse-kms-role=dev")
cli("DeleteUser", {"userName": "carl"}, "user", "rm", "carl")

# ---- How it came
local("DisableKey", {"KeyId": key})
ok("tlsDetails" not in last("DisableKey"), "the socket has no TLS")
run("key", "enable", key)
ok("tlsDetails" not in last("EnableKey"), "nor has a command")
c = ssl.create_default_context(cafile=srv.ca)
c.maximum_version = ssl.TLSVersion.TLSv1_2
import http.client
api.conn = http.client.HTTPSConnection(srv.host, srv.port, context=c)
api("DisableKey", KeyId=key)
suite = api.conn.sock.cipher()[0]
t = last("DisableKey")["tlsDetails"]
eq(t["tlsVersion"], "TLSv1.2", "TLS 1.2 is what it is")
eq(t["cipherSuite"].replace("TLS_", "").replace("_", "").replace("WITH", ""),
   suite.replace("-", ""), "with its suite")

# ---- Filters by the name that was given
for name, event in ("alias/one", "DeleteAlias"), (key, "CreateAlias"):
    ok(event in run("audit", "show", "--key", name).stdout,
       "--key finds " + event)
ok("ReEncrypt" in run("audit", "show", "--key", arn).stdout, "and ReEncrypt")
log = records()[1]
eq([s for s in secrets if s in log], [], "no material, token or blob")
eq(run("audit", "verify").returncode, 0, "the log is whole")
ok(srv.stop(), "the server ends")
END_PY
done_testing
