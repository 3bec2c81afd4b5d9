#!/bin/sh
# Stores that must not be opened: locked, newer, without or with a bad root key.
# Serves: R8 R12 R29
. "$(dirname "$0")/../../lib.sh"
require_fuse
require sqlite3
new_store
bucket docs
start_mount docs
echo data >"$M/f"
pid=$(daemon_pid)

fails "a second opener: fsck" "$SSEFS" fsck
like "names the pid" "$(cat "$T/out")" "(^|[^0-9])$pid([^0-9]|\$)"
mkdir "$T/m2"
fails "a second opener: mount" "$SSEFS" mount docs "$T/m2"
like "names the pid too" "$(cat "$T/out")" "(^|[^0-9])$pid([^0-9]|\$)"
ok "bucket create asks the owner" "$SSEFS" bucket create more
is "the first is not disturbed" "$(cat "$M/f")" data
fails "init over a store" "$SSEFS" init
stop_mount

fails "init over other files" "$SSEFS" init --store "$T"
fails "not a store" "$SSEFS" fsck --store "$T"
like "says so" "$(cat "$T/out")" 'not an ssefs store|no such store'

# The root key.
key=$S.key
chmod 640 "$key"
fails "a root key others can read" "$SSEFS" mount docs "$M"
like "says which file" "$(cat "$T/out")" "$key"
like "and what to do" "$(cat "$T/out")" 'chmod'
fails "for key commands too" "$SSEFS" key ls
chmod 600 "$key"
mv "$key" "$T/elsewhere.key"
fails "no root key" "$SSEFS" mount docs "$M"
like "says which file is missing" "$(cat "$T/out")" "$key"
ok "named by an option" "$SSEFS" key ls --root-key "$T/elsewhere.key"
head -c 32 /dev/urandom >"$key"
chmod 600 "$key"
fails "a wrong root key" "$SSEFS" key ls
head -c 31 "$T/elsewhere.key" >"$key"
fails "a short root key" "$SSEFS" key ls
: >"$key"
fails "an empty root key" "$SSEFS" key ls
mv "$T/elsewhere.key" "$key"
ok "the right one again" "$SSEFS" key ls

# A passphrase, and a second slot.
printf 'correct horse battery\n' >"$T/pass"
printf 'wrong horse\n' >"$T/wrong"
chmod 600 "$T/pass" "$T/wrong"
ok "add a passphrase slot" "$SSEFS" key slot add --new-passphrase-file "$T/pass"
like "it is listed" "$("$SSEFS" key slot ls)" passphrase
ok "open with it" "$SSEFS" key ls --passphrase-file "$T/pass"
fails "a wrong passphrase" "$SSEFS" key ls --passphrase-file "$T/wrong"
mv "$key" "$T/away"
fails "without the key file and passphrase" "$SSEFS" key ls
ok "mount by passphrase" "$SSEFS" mount docs "$M" --passphrase-file "$T/pass"
is "reads" "$(cat "$M/f")" data
stop_mount
mv "$T/away" "$key"
ok "a store with a passphrase only" \
    "$SSEFS" init --store "$T/p" --passphrase-file "$T/pass"
fails "is not mounted without it" "$SSEFS" mount --store "$T/p" / "$M"
like "says what is missing" "$(cat "$T/out")" 'passphrase, and none'

# A newer format is refused, by version, and left alone (2 is that of stores with
# sealed metadata, 3 to 6 those of stores with blocks in table redo or ring).
sqlite3 "$S/meta.db" "UPDATE super SET format = 7" >/dev/null
sum=$(sha256sum <"$S/meta.db")
fails "a newer format" "$SSEFS" mount docs "$M"
like "names both versions" "$(cat "$T/out")" 'format 7.* 6'
fails "fsck refuses it too" "$SSEFS" fsck
is "nothing was written" "$(sha256sum <"$S/meta.db")" "$sum"
sqlite3 "$S/meta.db" "UPDATE super SET format = 1" >/dev/null
start_mount docs
is "and back" "$(cat "$M/f")" data
stop_mount

# A store without a KMS refuses KMS modes.
S=$T/plain
export S SSEFS_STORE="$S"
new_store --no-kms
fails "no KMS: bucket with KMS" "$SSEFS" bucket create docs --sse KMS
like "says why" "$(cat "$T/out")" 'key service|keystore'
bucket docs --sse None
start_mount docs
echo x >"$M/f"
is "no KMS: files are not encrypted" "$(xa user.sse.status "$M/f")" No
: >"$M/e"
fails "no KMS: a file cannot ask for it" \
    setfattr -n user.sse.algorithm -v aws:kms "$M/e"
fails "no KMS: key commands" "$SSEFS" key create
done_testing
