#!/bin/sh
# Key material from outside, wrapped by openssl as AWS's manual says, and what
# is refused of it.
# Serves: R12 R25
. "$(dirname "$0")/../../lib.sh"
require openssl

new_store
py <<'END'
import base64, os, subprocess, time
from kmsapi import Api, Server, user
from lib import T, eq, ok, until

srv = Server()
api = Api(srv, user("alice", "--admin"))
b64 = lambda b: base64.b64encode(b).decode()


def openssl(*args, data=b""):
    r = subprocess.run(["openssl", *args], input=data, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE)
    if r.returncode != 0:
        raise RuntimeError(r.stderr.decode())
    return r.stdout


def oaep(public, data, md):
    with open(T + "/public.der", "wb") as f:
        f.write(public)
    return openssl("pkeyutl", "-encrypt", "-pubin", "-inkey",
                   T + "/public.der", "-keyform", "DER", "-pkeyopt",
                   "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:" + md,
                   "-pkeyopt", "rsa_mgf1_md:" + md, data=data)


def wrap(alg, public, material):
    md = "sha1" if alg.endswith("_1") else "sha256"
    if not alg.startswith("RSA_AES"):
        return oaep(public, material, md)
    aes = os.urandom(32)
    return oaep(public, aes, md) + openssl(
        "enc", "-id-aes256-wrap-pad", "-K", aes.hex(), "-iv", "A65959A6",
        data=material)


def parameters(key, alg="RSAES_OAEP_SHA_256", spec="RSA_2048"):
    p = api("GetParametersForImport", KeyId=key, WrappingAlgorithm=alg,
            WrappingKeySpec=spec)
    return p["ImportToken"], base64.b64decode(p["PublicKey"]), p


def external():
    m = api("CreateKey", Origin="EXTERNAL")["KeyMetadata"]
    eq((m["KeyState"], m["Origin"], m["Enabled"]),
       ("PendingImport", "EXTERNAL", False), "CreateKey of an external key")
    return m["KeyId"]


def bring(key, material, alg="RSAES_OAEP_SHA_256", spec="RSA_2048", **kw):
    token, public, _ = parameters(key, alg, spec)
    kw.setdefault("ExpirationModel", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    return api("ImportKeyMaterial", KeyId=key, ImportToken=token,
               EncryptedKeyMaterial=b64(wrap(alg, public, material)), **kw)


for alg, spec in (("RSAES_OAEP_SHA_1", "RSA_2048"),
                  ("RSAES_OAEP_SHA_256", "RSA_3072"),
                  ("RSA_AES_KEY_WRAP_SHA_1", "RSA_2048"),
                  ("RSA_AES_KEY_WRAP_SHA_256", "RSA_2048")):
    key = external()
    material = os.urandom(32)
    bring(key, material, alg, spec)
    m = api("DescribeKey", KeyId=key)["KeyMetadata"]
    eq((m["KeyState"], m["ExpirationModel"]),
       ("Enabled", "KEY_MATERIAL_DOES_NOT_EXPIRE"), alg + " " + spec)
    e = api("Encrypt", KeyId=key, Plaintext="AAEC")["CiphertextBlob"]
    eq(api("Decrypt", CiphertextBlob=e)["Plaintext"], "AAEC", "it works")

# ---- Its end, and the same again
api("DeleteImportedKeyMaterial", KeyId=key)
eq(api("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"], "PendingImport",
   "DeleteImportedKeyMaterial")
api.fails("KMSInvalidStateException", "Decrypt without material", "Decrypt",
          like="pending import", CiphertextBlob=e)
token, public, p = parameters(key)
ok(0 < p["ParametersValidTo"] - time.time() <= 86400, "ParametersValidTo")
api.fails("IncorrectKeyMaterialException", "other material",
          "ImportKeyMaterial", KeyId=key, ImportToken=token,
          ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
          EncryptedKeyMaterial=b64(wrap("RSAES_OAEP_SHA_256", public,
                                        os.urandom(32))))
bring(key, material)
eq(api("Decrypt", CiphertextBlob=e)["Plaintext"], "AAEC",
   "the same material opens what was under it")

# ---- What expires
key = external()
soon = int(time.time()) + 600
bring(key, material, ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=soon)
m = api("DescribeKey", KeyId=key)["KeyMetadata"]
eq((m["ExpirationModel"], m["ValidTo"]), ("KEY_MATERIAL_EXPIRES", soon),
   "ExpirationModel, ValidTo")
token, public, _ = parameters(key)
a = api("ImportKeyMaterial", KeyId=key, ImportToken=token, ValidTo=soon,
        EncryptedKeyMaterial=b64(wrap("RSAES_OAEP_SHA_256", public, material)))
eq(a, {"KeyId": m["Arn"], "KeyMaterialId": m["CurrentKeyMaterialId"]},
   "ImportKeyMaterial tells which material it is")
gone = external()
d = bring(gone, material, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE")
d = api("DescribeKey", KeyId=gone)["KeyMetadata"]
for op, kw in (("DeleteImportedKeyMaterial", {}),
               ("ImportKeyMaterial", {"ImportToken": token,
                                      "EncryptedKeyMaterial": token})):
    api.fails("UnsupportedOperationException", op + " of one of several", op,
              KeyId=gone, KeyMaterialId=d["CurrentKeyMaterialId"], **kw)
    api.fails("ValidationException", op + ", an id that is too short", op,
              KeyId=gone, KeyMaterialId="00", **kw)
eq(api("DescribeKey", KeyId=gone)["KeyMetadata"]["KeyState"], "Enabled",
   "the material is still there")
api.fails("ValidationException", "an unknown ImportType", "ImportKeyMaterial",
          "enum value set", KeyId=gone, ImportToken=token,
          EncryptedKeyMaterial=token, ImportType="OTHER")
eq(api("DeleteImportedKeyMaterial", KeyId=gone),
   {"KeyId": d["Arn"], "KeyMaterialId": d["CurrentKeyMaterialId"]},
   "DeleteImportedKeyMaterial too")
eq(api("DeleteImportedKeyMaterial", KeyId=gone), {"KeyId": d["Arn"]},
   "and again: none")
token, public, _ = parameters(key)
blob = b64(wrap("RSAES_OAEP_SHA_256", public, material))
api("ImportKeyMaterial", KeyId=key, ImportToken=token,
    EncryptedKeyMaterial=blob, ValidTo=int(time.time()) + 4)
state = lambda: api("DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"]
until(lambda: state() == "PendingImport")
eq(state(), "PendingImport", "it expires")

# ---- What is refused
token, public, _ = parameters(key)
good = b64(wrap("RSAES_OAEP_SHA_256", public, material))
base = {"KeyId": key, "ImportToken": token, "EncryptedKeyMaterial": good}
never = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
api.fails("ValidationException", "no ValidTo", "ImportKeyMaterial",
          like="validTo", **base)
api.fails("ValidationException", "ValidTo that has passed",
          "ImportKeyMaterial", ValidTo=1, **base)
api.fails("ValidationException", "ValidTo, and never", "ImportKeyMaterial",
          ValidTo=time.time() + 99, **base, **never)
api.fails("InvalidImportTokenException", "a token that is none",
          "ImportKeyMaterial", **dict(base, ImportToken="AAAA", **never))
other = external()
api.fails("InvalidImportTokenException", "another key's token",
          "ImportKeyMaterial", **dict(base, KeyId=other, **never))
t = bytearray(base64.b64decode(token))
t[len(t) // 2] ^= 1
api.fails("InvalidImportTokenException", "an altered token",
          "ImportKeyMaterial", **dict(base, ImportToken=b64(bytes(t)),
                                      **never))
api.fails("InvalidCiphertextException", "nonsense for material",
          "ImportKeyMaterial",
          **dict(base, EncryptedKeyMaterial=b64(os.urandom(256)), **never))
api.fails("IncorrectKeyMaterialException", "16 bytes", "ImportKeyMaterial",
          **dict(base, EncryptedKeyMaterial=b64(
              wrap("RSAES_OAEP_SHA_256", public, b"x" * 16)), **never))
ours = api("CreateKey")["KeyMetadata"]["KeyId"]
api.fails("UnsupportedOperationException", "a key made here",
          "GetParametersForImport", KeyId=ours, WrappingKeySpec="RSA_2048",
          WrappingAlgorithm="RSAES_OAEP_SHA_256")
api.fails("UnsupportedOperationException", "PKCS #1 v1.5",
          "GetParametersForImport", KeyId=key, WrappingKeySpec="RSA_2048",
          WrappingAlgorithm="RSAES_PKCS1_V1_5")
api.fails("UnsupportedOperationException", "rotation by period",
          "EnableKeyRotation", KeyId=other)
ok(srv.stop(), "the server ends")
END
done_testing
