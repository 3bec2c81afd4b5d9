#!/bin/sh
# Every operation on a key in every state, each cell of the table checked.
# Serves: R12 R25
. "$(dirname "$0")/../../lib.sh"

new_store
py <<'END'
import base64
from kmsapi import Api, Refused, Server, user
from lib import eq, ok

srv = Server()
api = Api(srv, user("alice", "--admin"))
B64 = base64.b64encode(b"x" * 32).decode()
OK, DIS, INV, UNS = ("ok", "DisabledException", "KMSInvalidStateException",
                     "UnsupportedOperationException")
STATES = ("Enabled", "Disabled", "PendingImport", "PendingDeletion")
# An operation, its members beside KeyId, and what it comes to in each state.
# An external key is PendingImport; on the others import is refused.
TABLE = (
    ("Encrypt", {"Plaintext": B64}, OK, DIS, INV, INV),
    ("GenerateDataKey", {"KeySpec": "AES_256"}, OK, DIS, INV, INV),
    ("GenerateDataKeyWithoutPlaintext", {"NumberOfBytes": 9},
     OK, DIS, INV, INV),
    ("Decrypt", {}, OK, DIS, None, INV),
    ("ReEncrypt", {"from": 1}, OK, DIS, None, INV),
    ("ReEncrypt", {"to": 1}, OK, DIS, INV, INV),
    ("CreateGrant", {"Operations": ["Decrypt"], "GranteePrincipal":
                     "arn:aws:iam::000000000000:user/alice"},
     OK, DIS, INV, INV),
    ("EnableKey", {}, OK, OK, INV, INV),
    ("DisableKey", {}, OK, OK, INV, INV),
    ("EnableKeyRotation", {}, OK, DIS, UNS, INV),
    ("DisableKeyRotation", {}, OK, DIS, UNS, INV),
    ("RotateKeyOnDemand", {}, OK, DIS, UNS, INV),
    ("ScheduleKeyDeletion", {"PendingWindowInDays": 7}, OK, OK, OK, INV),
    ("CancelKeyDeletion", {}, INV, INV, INV, OK),
    ("CreateAlias", {"AliasName": "alias/s%d"}, OK, OK, OK, INV),
    ("UpdateAlias", {"AliasName": "alias/spare"}, OK, OK, OK, INV),
    ("TagResource", {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
     OK, OK, OK, INV),
    ("UntagResource", {"TagKeys": ["a"]}, OK, OK, OK, INV),
    ("UpdateKeyDescription", {"Description": "d"}, OK, OK, OK, INV),
    ("GetParametersForImport", {"WrappingAlgorithm": "RSAES_OAEP_SHA_256",
                                "WrappingKeySpec": "RSA_2048"},
     UNS, UNS, OK, INV),
    ("DeleteImportedKeyMaterial", {}, UNS, UNS, OK, INV),
    ("DescribeKey", {}, OK, OK, OK, OK),
    ("GetKeyRotationStatus", {}, OK, OK, OK, OK),
    ("GetKeyPolicy", {}, OK, OK, OK, OK),
    ("PutKeyPolicy", {"Policy": None}, OK, OK, OK, OK),
    ("ListKeyPolicies", {}, OK, OK, OK, OK),
    ("ListResourceTags", {}, OK, OK, OK, OK),
    ("ListGrants", {}, OK, OK, OK, OK),
    ("ListAliases", {}, OK, OK, OK, OK),
    ("ListKeyRotations", {}, OK, OK, OK, OK),
    ("RevokeGrant", {"grant": 1}, OK, OK, None, OK),
    ("RetireGrant", {"grant": 1}, OK, OK, None, OK),
    ("DeleteAlias", {"alias": 1}, OK, OK, OK, OK),
)
good = api("CreateKey")["KeyMetadata"]["KeyId"]
api("CreateAlias", AliasName="alias/spare", TargetKeyId=good)
policy = api("GetKeyPolicy", KeyId=good)["Policy"]
serial = 0


def made(state, op, extra):
    """A key in that state, and the request about it."""
    global serial
    serial += 1
    new = {"Origin": "EXTERNAL"} if state == "PendingImport" else {}
    key = api("CreateKey", **new)["KeyMetadata"]["KeyId"]
    body = {k: v for k, v in extra.items() if k[0].isupper()}
    if "Policy" in body:
        body["Policy"] = policy
    if op in ("Decrypt", "ReEncrypt"):
        source = good if "to" in extra else key
        body["CiphertextBlob"] = api("Encrypt", KeyId=source, Plaintext=B64)[
            "CiphertextBlob"]
    if op == "ReEncrypt":
        body["DestinationKeyId"] = key if "to" in extra else good
    elif op in ("CreateAlias", "UpdateAlias"):
        body["TargetKeyId"] = key
        if "%" in body["AliasName"]:
            body["AliasName"] %= serial
    elif op == "DeleteAlias":
        body["AliasName"] = "alias/d%d" % serial
        api("CreateAlias", TargetKeyId=key, **body)
    elif op != "Decrypt":
        body["KeyId"] = key
    if "grant" in extra:
        body["GrantId"] = api(
            "CreateGrant", KeyId=key, Operations=["Decrypt"],
            GranteePrincipal="arn:aws:iam::000000000000:user/alice")["GrantId"]
    if state == "Disabled":
        api("DisableKey", KeyId=key)
    elif state == "PendingDeletion":
        api("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    return key, body


for row in TABLE:
    op, extra = row[:2]
    for state, want in zip(STATES, row[2:]):
        if want is None:
            continue  # such a key has nothing to do it with
        key, body = made(state, op, extra)
        why = ""
        try:
            api(op, **body)
            got = OK
        except Refused as e:
            got, why = e.kind, e.message
        if not eq(got, want, "%s%s, %s: %s" % (
                op, "".join(" " + k for k in extra if k.islower()), state,
                want)):
            print("#   %s" % why)
        if got in (DIS, INV) and op != "CancelKeyDeletion":
            ok(key in why and why.endswith("."), "it names the key: %s" % why)
        now = api("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"]
        then = {("EnableKey", OK): "Enabled", ("DisableKey", OK): "Disabled",
                ("ScheduleKeyDeletion", OK): "PendingDeletion",
                ("CancelKeyDeletion", OK): "Disabled"}
        eq(now, then.get((op, got), state), "%s, %s: the state after" %
           (op, state))
# An external key that is to be deleted.
key = api("CreateKey", Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
api("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
api.fails(INV, "GetParametersForImport, external, PendingDeletion",
          "GetParametersForImport", like="pending deletion", KeyId=key,
          WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048")
eq(list(api("DeleteImportedKeyMaterial", KeyId=key)), ["KeyId"],
   "DeleteImportedKeyMaterial, external, PendingDeletion: no effect")
eq(api("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"],
   "PendingDeletion", "and it stays so")
ok(srv.stop(), "the server ends")
END
done_testing
