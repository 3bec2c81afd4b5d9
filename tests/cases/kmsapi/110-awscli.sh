#!/bin/sh
# A first session with the AWS command line, and with curl that signs what the
# command line of Debian lacks.
# Serves: R6 R7 R25
. "$(dirname "$0")/../../lib.sh"
require aws curl jq openssl

new_store
"$SSEFS" serve --store "$S" --listen 127.0.0.1:0 --json >"$T/serve.json" || exit 1
url=https://$(jq -r .address "$T/serve.json")
pid=$(jq -r .pid "$T/serve.json")
AWS_ACCESS_KEY_ID='' AWS_SECRET_ACCESS_KEY='' HOME=$T
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY HOME
AWS_DEFAULT_REGION=us-east-1 AWS_PAGER='' AWS_EC2_METADATA_DISABLED=true
AWS_MAX_ATTEMPTS=1
export AWS_DEFAULT_REGION AWS_PAGER AWS_EC2_METADATA_DISABLED AWS_MAX_ATTEMPTS
"$SSEFS" user create alice --admin --json >"$T/alice.json"
AWS_ACCESS_KEY_ID=$(jq -r .access_key_id "$T/alice.json")
AWS_SECRET_ACCESS_KEY=$(jq -r .secret_access_key "$T/alice.json")
kms() { aws --endpoint-url "$url" --ca-bundle "$S/tls/ca.pem" kms "$@"; }
# What the AWS command line does not know yet: OP, then the body on stdin.
call() {
	curl -s --max-time 30 --cacert "$S/tls/ca.pem" \
	    --aws-sigv4 "aws:amz:us-east-1:kms" \
	    --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
	    -H 'Content-Type: application/x-amz-json-1.1' \
	    -H "X-Amz-Target: TrentService.$1" --data-binary @- "$url/"
}

# ---- As the manual shows it -------------------------------------------------

key=$(kms create-key --description mine --query KeyMetadata.KeyId \
    --output text)
like "create-key" "$key" '^[0-9a-f-]{36}$'
ok "create-alias" kms create-alias --alias-name alias/mine --target-key-id \
    "$key"
kms generate-data-key --key-id alias/mine --key-spec AES_256 \
    --encryption-context dept=hr >"$T/dek.json"
is "generate-data-key" "$(jq -r .KeyId "$T/dek.json")" \
    "arn:aws:kms:us-east-1:000000000000:key/$key"
jq -r .CiphertextBlob "$T/dek.json" | base64 -d >"$T/blob"
is "decrypt" "$(kms decrypt --ciphertext-blob "fileb://$T/blob" \
    --encryption-context dept=hr --query Plaintext --output text)" \
    "$(jq -r .Plaintext "$T/dek.json")"
like "decrypt with another context is refused" "$(kms decrypt \
    --ciphertext-blob "fileb://$T/blob" --encryption-context dept=it 2>&1)" \
    '\(InvalidCiphertextException\) when calling the Decrypt'
is "list-keys" "$(kms list-keys --query 'Keys[].KeyId' --output text)" "$key"

# ---- By curl ----------------------------------------------------------------

for i in 1 2 3; do
	like "RotateKeyOnDemand $i" "$(printf '{"KeyId":"%s"}' "$key" |
	    call RotateKeyOnDemand)" "\"KeyId\":\"$key\""
done
printf '{"KeyId":"%s","Limit":2}' "$key" | call ListKeyRotations >"$T/r1"
is "ListKeyRotations: a page" "$(jq -c '[(.Rotations | length), .Truncated]' \
    "$T/r1")" '[2,true]'
is "its members" "$(jq -c '.Rotations[0] | [.RotationType,
    (.RotationDate > 1500000000), (.KeyId | endswith("'"$key"'"))]' "$T/r1")" \
    '["ON_DEMAND",true,true]'
jq -c '{KeyId: "'"$key"'", Limit: 2, Marker: .NextMarker}' "$T/r1" |
    call ListKeyRotations >"$T/r2"
is "and the next" "$(jq -c '[(.Rotations | length), .Truncated]' "$T/r2")" \
    '[1,false]'
is "an old blob still opens" "$(kms decrypt --ciphertext-blob \
    "fileb://$T/blob" --encryption-context dept=hr --query Plaintext \
    --output text)" "$(jq -r .Plaintext "$T/dek.json")"
printf '{"KeyId":"%s","RotationPeriodInDays":90}' "$key" |
    call EnableKeyRotation >"$T/out"
is "EnableKeyRotation every 90 days" "$(cat "$T/out")" '{}'
is "GetKeyRotationStatus tells it" "$(printf '{"KeyId":"%s"}' "$key" |
    call GetKeyRotationStatus | jq -c '[.KeyRotationEnabled,
    .RotationPeriodInDays, (.NextRotationDate > now)]')" '[true,90,true]'
like "89 days are refused" "$(printf \
    '{"KeyId":"%s","RotationPeriodInDays":89}' "$key" |
    call EnableKeyRotation)" 'greater than or equal to 90'
like "a newer operation that is not here" "$(printf '{"KeyId":"%s"}' "$key" |
    call DeriveSharedSecret)" UnsupportedOperationException
AWS_SECRET_ACCESS_KEY=wrong
like "a wrong secret" "$(echo '{}' | call ListKeys)" InvalidSignatureException
kill "$pid"
wait_gone "$pid"
done_testing
