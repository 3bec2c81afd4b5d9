#!/bin/sh
# Requests as AWS refuses them: what cannot be together, dry runs, members that
# must not be passed over, names of keys and principals.
# Serves: R7 R21
. "$(dirname "$0")/../../lib.sh"
new_store
py <<'END_PY'
import base64, json
from kmsapi import Api, Refused, Server, run, user
from lib import eq, ok

srv = Server()
api = Api(srv, user("boss", "--admin"))
alice = Api(srv, user("alice"))
ACCOUNT = "000000000000"
ALICE = "arn:aws:iam::%s:user/alice" % ACCOUNT
m = api("CreateKey")["KeyMetadata"]
key, arn = m["KeyId"], m["Arn"]
other = api("CreateKey")["KeyMetadata"]["KeyId"]
plain = base64.b64encode(b"x").decode()
blob = api("Encrypt", KeyId=key, Plaintext=plain)["CiphertextBlob"]

def records(event):
    return [json.loads(l) for l in
            run("audit", "show", "--event", event).stdout.splitlines()]

# ---- CreateKey
api.fails("ValidationException", "both specs", "CreateKey",
          "You cannot specify KeySpec and CustomerMasterKeySpec",
          KeySpec="SYMMETRIC_DEFAULT",
          CustomerMasterKeySpec="SYMMETRIC_DEFAULT")
api.fails("ValidationException", "HMAC without usage", "CreateKey",
          "You must specify a KeyUsage value for all KMS keys except for "
          "symmetric encryption keys.", KeySpec="HMAC_256")
for usage in "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT":
    api.fails("ValidationException", "symmetric, " + usage, "CreateKey",
              "KeyUsage %s is not compatible with KeySpec SYMMETRIC_DEFAULT" %
              usage, KeyUsage=usage)
ok(api("CreateKey", KeyUsage="ENCRYPT_DECRYPT",
       CustomerMasterKeySpec="SYMMETRIC_DEFAULT"), "the older spec alone")
api.fails("ValidationException", "GenerateRandom of nothing", "GenerateRandom",
          "NumberOfBytes is required.")

# ---- DryRun: nothing is done, and it is said whether it would be
WOULD = "The request would have succeeded, but the DryRun option is set."
grant = dict(KeyId=key, GranteePrincipal=ALICE, Operations=["Decrypt"])
have = api("CreateGrant", **grant)
calls = (("Encrypt", dict(KeyId=key, Plaintext=plain)),
         ("Decrypt", dict(CiphertextBlob=blob)),
         ("ReEncrypt", dict(CiphertextBlob=blob, DestinationKeyId=other)),
         ("GenerateDataKey", dict(KeyId=key, KeySpec="AES_256")),
         ("GenerateDataKeyWithoutPlaintext",
          dict(KeyId=key, KeySpec="AES_256")),
         ("CreateGrant", grant),
         ("RevokeGrant", dict(KeyId=key, GrantId=have["GrantId"])),
         ("RetireGrant", dict(KeyId=arn, GrantId=have["GrantId"])),
         ("RetireGrant", dict(GrantToken=have["GrantToken"])))
for op, body in calls:
    api.fails("DryRunOperationException", op + " dry", op, WOULD, DryRun=True,
              **body)
    api.fails("SerializationException", op + ", DryRun of another type", op,
              DryRun="true", **body)
eq([g["GrantId"] for g in api("ListGrants", KeyId=key)["Grants"]],
   [have["GrantId"]], "no grant was made or taken back")
api("UpdateKeyDescription", KeyId=key, Description="")
eq(records("RevokeGrant")[-1]["errorCode"], "DryRunOperationException",
   "a dry run is recorded as one")
for op, body in calls[:6]:
    if op != "Decrypt":
        alice.fails("AccessDeniedException", op + " dry, without the right",
                    op, DryRun=True, **body)
alice.fails("DryRunOperationException", "Decrypt dry, by a grant", "Decrypt",
            DryRun=True, CiphertextBlob=blob)
none = "0" * 64
api.fails("NotFoundException", "RevokeGrant dry, no such", "RevokeGrant",
          DryRun=True, KeyId=key, GrantId=none)
api.fails("NotFoundException", "RetireGrant dry, no such", "RetireGrant",
          DryRun=True, KeyId=arn, GrantId=none)
api.fails("InvalidCiphertextException", "Decrypt dry, another context",
          "Decrypt", DryRun=True, CiphertextBlob=blob,
          EncryptionContext={"a": "b"})
api("DisableKey", KeyId=key)
api.fails("DisabledException", "Encrypt dry, disabled", "Encrypt", DryRun=True,
          KeyId=key, Plaintext=plain)
api("EnableKey", KeyId=key)
api("EnableKey", KeyId=key)
api.fails("NotFoundException", "a dry run makes no default key", "Encrypt",
          DryRun=True, KeyId="alias/aws/s3", Plaintext=plain)
ok("Plaintext" in api("GenerateDataKey", KeyId=key, KeySpec="AES_256",
                      DryRun=False), "DryRun false")

# ---- Recipient: the answer must not be given in clear
r = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
     "AttestationDocument": plain}
for op, body in (("Decrypt", dict(CiphertextBlob=blob)),
                 ("GenerateDataKey", dict(KeyId=key, KeySpec="AES_256")),
                 ("GenerateRandom", dict(NumberOfBytes=8))):
    api.fails("UnsupportedOperationException", op + " for an enclave", op,
              Recipient=r, **body)
    api.fails("ValidationException", op + ", another algorithm", op,
              "enum value set", Recipient={"KeyEncryptionAlgorithm": "x"},
              **body)
    ok(api(op, Recipient=None, **body), op + ", Recipient null")

# ---- Origins and specs
external = api("CreateKey", Origin="EXTERNAL")["KeyMetadata"]
NOT = "%s origin is %s which is not valid for this operation."
for op, body in (("EnableKeyRotation", {}), ("DisableKeyRotation", {}),
                 ("RotateKeyOnDemand", {})):
    api.fails("UnsupportedOperationException", op + ", imported", op,
              NOT % (external["Arn"], "EXTERNAL"), KeyId=external["KeyId"],
              **body)
wrap = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256",
        "WrappingKeySpec": "RSA_2048"}
for op, body in (("GetParametersForImport", wrap),
                 ("ImportKeyMaterial", {
                     "ImportToken": plain, "EncryptedKeyMaterial": plain,
                     "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}),
                 ("DeleteImportedKeyMaterial", {})):
    api.fails("UnsupportedOperationException", op + ", made here", op,
              NOT % (arn, "AWS_KMS"), KeyId=key, **body)
for a, s in (("SM2PKE", "SM2"), ("RSAES_OAEP_SHA_256", "SM2"),
             ("RSAES_PKCS1_V1_5", "RSA_2048"), ("SM2PKE", "RSA_2048")):
    api.fails("UnsupportedOperationException", a + " with " + s,
              "GetParametersForImport", "%s with %s is not supported" % (a, s),
              KeyId=external["KeyId"], WrappingAlgorithm=a, WrappingKeySpec=s)
for spec in "ECC_NIST_EDWARDS25519", "ML_DSA_44", "ML_DSA_87", "SM2":
    api.fails("UnsupportedOperationException", "a key of " + spec, "CreateKey",
              "is not supported", KeySpec=spec, KeyUsage="SIGN_VERIFY")
api("ScheduleKeyDeletion", KeyId=external["KeyId"])
m = api("DescribeKey", KeyId=external["KeyId"])["KeyMetadata"]
eq((m["KeyState"], "ExpirationModel" in m, "DeletionDate" in m),
   ("PendingDeletion", False, True),
   "a key that goes without material has no expiration")

# ---- Names
for name in arn.replace(":kms:", ":s3:"), "arn:x", arn.replace(":key/", ":x/"):
    api.fails("InvalidArnException", "DescribeKey of " + name[:16],
              "DescribeKey", KeyId=name)
MRK = "mrk-" + "ab" * 16
for name, like in (
        (MRK, "Key 'arn:aws:kms:us-east-1:%s:key/%s' does not exist" %
         (ACCOUNT, MRK)),
        (arn.replace(key, MRK), "key/%s' does not exist" % MRK),
        ("mrk-fake", "Invalid keyId 'mrk-fake'"),
        (key.replace("-", ""), "Invalid keyId '%s'" % key.replace("-", ""))):
    for op in "DescribeKey", "EnableKey", "GetKeyPolicy":
        api.fails("NotFoundException", "%s of %s" % (op, name[:20]), op, like,
                  KeyId=name)
for name in "bob", "arn:aws:iam::x", "arn:aws:s3:::b", "a@b":
    for op, member, body in (
            ("CreateGrant", "GranteePrincipal", {"Operations": ["Decrypt"]}),
            ("CreateGrant", "RetiringPrincipal", {
                "Operations": ["Decrypt"], "GranteePrincipal": ALICE}),
            ("ListGrants", "GranteePrincipal", {}),
            ("ListRetirableGrants", "RetiringPrincipal", None)):
        kw = {} if body is None else dict(body, KeyId=key)
        kw[member] = name
        api.fails("InvalidArnException", "%s %s %s" % (op, member, name), op,
                  "Invalid principal '%s'" % name, **kw)
eq(api("GetKeyRotationStatus", KeyId=arn)["KeyId"], key,
   "GetKeyRotationStatus answers the id")
eq(api("RotateKeyOnDemand", KeyId=arn)["KeyId"], key, "RotateKeyOnDemand too")
for name in key, arn:
    eq([x["KeyId"] for x in api("ListKeyRotations", KeyId=name)["Rotations"]],
       [key], "and ListKeyRotations")
eq({g["IssuingAccount"] for g in api("ListGrants", KeyId=key)["Grants"]},
   {"arn:aws:iam::%s:root" % ACCOUNT}, "a grant's issuer is the account")

# ---- What was used
old = api("DescribeKey", KeyId=other)["KeyMetadata"]["CurrentKeyMaterialId"]
before = api("GenerateDataKey", KeyId=other, KeySpec="AES_256")
eq(before["KeyMaterialId"], old, "GenerateDataKey: KeyMaterialId")
api("RotateKeyOnDemand", KeyId=other)
new = api("DescribeKey", KeyId=other)["KeyMetadata"]["CurrentKeyMaterialId"]
ok(new != old, "a rotation makes other material")
eq(api("GenerateDataKeyWithoutPlaintext", KeyId=other,
       NumberOfBytes=1)["KeyMaterialId"], new, "which is used next")
eq(api("Decrypt", CiphertextBlob=before["CiphertextBlob"])["KeyMaterialId"],
   old, "Decrypt tells what it was under")
r = api("ReEncrypt", CiphertextBlob=before["CiphertextBlob"],
        DestinationKeyId=other)
eq((r["SourceKeyMaterialId"], r["DestinationKeyMaterialId"]), (old, new),
   "ReEncrypt both")
eq([x["KeyMaterialId"] for x in
    api("ListKeyRotations", KeyId=other)["Rotations"]], [new],
   "as ListKeyRotations names it")
api("EnableKeyRotation", KeyId=other, RotationPeriodInDays=90)
api("ScheduleKeyDeletion", KeyId=other)
s = api("GetKeyRotationStatus", KeyId=other)
eq((s["KeyRotationEnabled"], "NextRotationDate" in s), (False, False),
   "a key that is to go does not rotate")
api("CancelKeyDeletion", KeyId=other)
s = api("GetKeyRotationStatus", KeyId=other)
eq((s["KeyRotationEnabled"], s["RotationPeriodInDays"]), (True, 90),
   "and does again when it is kept")
bob = Api(srv, user("bob"))
bob.fails("AccessDeniedException", "Decrypt without the right", "Decrypt",
          "is not authorized to perform: kms:Decrypt on the resource "
          "associated with this ciphertext", CiphertextBlob=blob)
bob.fails("AccessDeniedException", "and with the key's name", "Decrypt",
          "on resource: " + arn, CiphertextBlob=blob, KeyId=key)
ok(srv.stop(), "the server ends")
END_PY
done_testing
