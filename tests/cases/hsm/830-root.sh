#!/bin/sh
# The root key in a token: a store made with one, slots added, changed and
# removed, the token away, its PIN wrong, and a slot that somebody edited.
# Serves: R12 R25
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/hsm.sh"
require_fuse
require jq sqlite3 pkcs11-tool
new_token
slot() { "$SSEFS" key slot "$@"; }
kinds() { slot ls --json "$@" | jq -r '.[] | "\(.slot) \(.kind)"' | tr '\n' ,; }
root_keys() {
	pkcs11-tool --module $module --token-label tok --login --pin "$pin" \
	    --list-objects --type secrkey 2>&1
}

# ---- A store made with it ---------------------------------------------------

fails "a PIN in the URI" "$SSEFS" init --root-key \
    "pkcs11:token=tok?module-path=$module&pin-value=$pin"
fails "no such token" "$SSEFS" init --root-key \
    "pkcs11:token=other?module-path=$module&pin-source=$T/pin"
fails "no store was made" test -e "$S/meta.db"
new_store --root-key "$HSM"
like "init says where it is" "$(cat "$T/init.out")" 'made in the token pkcs11:'
fails "no key file" test -e "$S.key"
is "one slot" "$(kinds)" "0 token,"
like "a key for it in the token" "$(root_keys)" 'ssefs root:'
like "that cannot leave it" "$(root_keys)" 'never extractable, local'
is "the PIN is nowhere" "$(grep -rl -e "$pin" "$S")" ""
bucket docs
start_mount docs
echo text >"$M/f"
remount
is "a mount finds the token by itself" "$(cat "$M/f")" text
stop_mount
ok "told where it is" "$SSEFS" key ls --root-key "$HSM"

# ---- Without it -------------------------------------------------------------

token_gone
fails "the token is away: no mount" "$SSEFS" mount docs "$M"
is "exit 4" "$fails_rc" 4
like "says why" "$(cat "$T/out")" 'root key is in a token: .*(there is no token|cannot be initialised)'
"$SSEFS" serve --listen 127.0.0.1:0 >"$T/out" 2>&1
is "nor a server: exit 4" $? 4
token_back
echo 9999 >"$T/pin"
fails "a wrong PIN" "$SSEFS" key ls
like "says so" "$(cat "$T/out")" 'does not take the PIN'
echo "$pin" >"$T/pin"
chmod 644 "$T/pin"
fails "a PIN that others can read" "$SSEFS" key ls
chmod 600 "$T/pin"
ok "nothing was lost" "$SSEFS" key ls

# ---- A server that takes the store back -------------------------------------

ok "serve" "$SSEFS" serve --listen 127.0.0.1:0
server=$(daemon_pid)
start_mount docs
token_gone
stop_mount
await grep -q 'taken over' "$S/serve.log"
fails "without the token it cannot" test -S "$S/kms.sock"
like "and says why" "$(cat "$S/serve.log")" 'taken over: the root key is in a token'
token_back
ok "with it it does" await test -S "$S/kms.sock"
is "it owns the store" "$(daemon_pid)" "$server"
kill "$server"
wait_gone "$server"

# ---- More ways --------------------------------------------------------------

fails "the last way stays" slot rm 0
(umask 077 && echo first >"$T/pass" && echo second >"$T/pass2")
ok "add a passphrase" slot add --new-passphrase-file "$T/pass"
is "two slots" "$(kinds)" "0 token,1 passphrase,"
token_gone
ok "it opens without the token" "$SSEFS" key ls --passphrase-file "$T/pass"
ok "change the passphrase" slot change 1 --passphrase-file "$T/pass" \
    --new-passphrase-file "$T/pass2"
fails "the old one is none any more" "$SSEFS" key ls --passphrase-file "$T/pass"
ok "the new one is" "$SSEFS" key ls --passphrase-file "$T/pass2"
is "still two slots" "$(kinds --passphrase-file "$T/pass2")" \
    "0 token,1 passphrase,"
fails "a slot that is not there" slot change 7 --passphrase-file "$T/pass2" \
    --new-passphrase-file "$T/pass"
fails "a change to a token that is away" slot change 1 \
    --passphrase-file "$T/pass2" --new-root-key "$HSM"
ok "changes nothing" "$SSEFS" key ls --passphrase-file "$T/pass2"
token_back
made=$(root_keys | grep -c 'ssefs root:')
fails "a token's key for a slot that is not there" slot change 7 \
    --new-root-key "$HSM"
is "is not made" "$(root_keys | grep -c 'ssefs root:')" "$made"
ok "a key file" slot add --new-root-key "$T/root"
ok "the token's slot goes" slot rm 0
is "what is left" "$(kinds)" "1 passphrase,2 file,"
fails "the token alone opens nothing now" "$SSEFS" key ls --root-key "$HSM"
ok "it comes back, in the place of the passphrase" slot change 1 \
    --new-root-key "$HSM"
ok "the key file goes" slot rm 2
is "the token again" "$(kinds)" "1 token,"

# ---- A keystore that somebody edited ----------------------------------------

cp "$S/keys.db" "$T/good.db"
sqlite3 "$S/keys.db" "UPDATE slots SET salt = randomblob(32)"
fails "another key's name" "$SSEFS" key ls
cp "$T/good.db" "$S/keys.db"
sqlite3 "$S/keys.db" "UPDATE slots SET sealed = zeroblob(60)"
fails "another message" "$SSEFS" key ls
like "says so" "$(cat "$T/out")" 'not the one this slot was made with'
cp $module "$T/evil.so"
sqlite3 "$S/keys.db" "UPDATE slots SET
    path = replace(path, '$module', '$T/evil.so')"
chmod 777 "$T"
fails "a library where others could put one" "$SSEFS" key ls
like "is not loaded" "$(cat "$T/out")" 'others than root could have put'
chmod 755 "$T"
rm -f "$S/keys.db-wal" "$S/keys.db-shm"
# What is looked at is what is loaded: not what a link leads to otherwise.  In a
# chroot, whose root is no mount, unshare(1) makes no namespace of its own.
if unshare -m true 2>/dev/null; then
	echo garbage >"$T/evil.so"
	unshare -m sh -c 'mount --bind "$1" "$2" && touch "$3" && exec sleep 600' x \
	    "$T/evil.so" "$module" "$T/there" &
	elsewhere=$!
	await test -e "$T/there"
	ok "another library in another mount namespace" \
	    grep -q garbage "/proc/$elsewhere/root$module"
	cp "$T/good.db" "$S/keys.db"
	sqlite3 "$S/keys.db" "UPDATE slots SET
	    path = replace(path, '$module', '/proc/$elsewhere/root$module')"
	ok "a link of /proc leads to ours" "$SSEFS" key ls
	kill $elsewhere
else
	note "no mount namespace here: a link of /proc is not tried"
fi
# A FUSE filesystem shows whatever owner whoever mounted it likes.
said=$(mktemp -d /run/ssefs-case.XXXXXX)
chmod 755 "$said"
"$SSEFS" init --store "$T/fuse" >"$T/out"
"$SSEFS" bucket create --store "$T/fuse" lib --sse None >"$T/out"
"$SSEFS" mount --store "$T/fuse" lib "$said" -o uid=0,umask=022
cp $module "$said/lib.so"
cp "$T/good.db" "$S/keys.db"
sqlite3 "$S/keys.db" "UPDATE slots SET
    path = replace(path, '$module', '$said/lib.so')"
fails "a library in a FUSE filesystem" "$SSEFS" key ls
like "is not loaded" "$(cat "$T/out")" 'others than root could have put'
"$SSEFS" umount "$said"
rmdir "$said"
cp "$T/good.db" "$S/keys.db"
rm -f "$S/keys.db-wal" "$S/keys.db-shm"
ok "as it was" "$SSEFS" key ls
ok "a backup" "$SSEFS" backup "$T/b"
ok "restored" "$SSEFS" restore "$T/b" --store "$T/r"
ok "opens with the token" "$SSEFS" key ls --store "$T/r"
ok "the log is whole" "$SSEFS" audit verify
like "and names what was done" "$(cat "$S/keys.db-audit.log")" ChangeSlot
done_testing
