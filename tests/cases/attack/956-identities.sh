#!/bin/sh
# Who can write the keystore's file cannot give rights to users: edited, removed
# and foreign rows of identities are refused, recorded, named by fsck and taken
# out by it; and fsck looks at the audit log.
# Serves: R13 R18 R24
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq sqlite3
edit() { sqlite3 "$S/keys.db" "$1" >/dev/null; }
check() {
	"$SSEFS" fsck "$@" >"$T/fsck" 2>&1
	rc=$?
}
keep() {
	rm -rf "$T/kept"
	mkdir "$T/kept"
	cp -a "$S"/keys.db* "$T/kept"
}
back() {
	rm -f "$S"/keys.db*
	cp -a "$T"/kept/* "$S"
}

new_store
bucket docs
"$SSEFS" user create alice >/dev/null
"$SSEFS" user create bob >/dev/null
echo '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
"Action":"kms:*","Resource":"*"}]}' >"$T/policy"
"$SSEFS" policy put all "$T/policy"
"$SSEFS" policy attach all --user alice
start_mount docs
echo text >"$M/f"
stop_mount
start_mount docs -o user=alice
is "alice may" "$(cat "$M/f")" text
stop_mount
check
is "a sound store" "$rc" 0
keep

# ---- Rights that somebody wrote into the file -------------------------------

edit "UPDATE users SET admin = 1 WHERE name = 'bob'"
fails "bob made himself an administrator" "$SSEFS" mount docs "$M" -o user=bob
like "and is told that it shows" "$(cat "$T/out")" 'identities were altered'
check
is "fsck: exit 4" "$rc" 4
like "which row" "$(cat "$T/fsck")" '^K1: .*users \(000000000000, bob\)'
unlike "and no other" "$(cat "$T/fsck")" 'alice'
start_mount docs
is "the account itself goes on" "$(cat "$M/f")" text
fails "no user is made beside it" "$SSEFS" user create carol
stop_mount
like "the refusal is on record" "$(cat "$S/keys.db-audit.log")" \
    '"eventName":"CreateUser".*"errorCode".*altered'
check --repair
is "repaired: exit 1" "$rc" 1
check
is "clean afterwards" "$rc" 0
like "on record" "$(cat "$S/keys.db-audit.log")" RepairIdentities
is "bob is gone, alice not" \
    "$("$SSEFS" user ls --json | jq -r '.[].user' | tr '\n' ,)" "alice,"
back

# ---- Rights that an index gives ----------------------------------------------

# Its rows are right, and SQLite prefers what an index says that it can read
# instead.
edit "CREATE INDEX evil ON users(tenant, name, id, (admin + 1), created);
    PRAGMA writable_schema = ON;
    UPDATE sqlite_master SET sql =
    'CREATE INDEX evil ON users(tenant, name, id, admin, created)'
    WHERE name = 'evil'"
fails "bob has an index made" "$SSEFS" mount docs "$M" -o user=bob
like "and is told that it shows" "$(cat "$T/out")" 'identities were altered'
check
is "fsck: exit 4" "$rc" 4
like "what it is" "$(cat "$T/fsck")" '^K1: .*evil .*not one that ssefs makes'
unlike "nothing else" "$(cat "$T/fsck")" '^K1: .*removed'
check --repair
is "repaired: exit 1" "$rc" 1
check
is "clean afterwards" "$rc" 0
is "all are there" "$("$SSEFS" user ls --json |
    jq -r '.[] | "\(.user) \(.admin)"' | tr '\n' ,)" \
    "alice false,bob false,"
back

# A process that runs sees it with the next change.
start_mount docs -o user=alice
edit "UPDATE policies SET text = replace(text, 'kms', 'obs');
    UPDATE meta SET v = v + 1 WHERE k IN ('who', 'epoch')"
shut() { ! cat "$M/f"; }
await shut
errno "a policy edited under a mount: its user has no rights" EUCLEAN \
    cat "$M/f"
stop_mount
back

# Another keystore's row, with its MAC.
"$SSEFS" init --store "$T/other" >/dev/null
"$SSEFS" user create --store "$T/other" mallory --admin >/dev/null
edit "ATTACH '$T/other/keys.db' AS o; INSERT INTO users SELECT * FROM o.users"
check
is "another store's row: exit 4" "$rc" 4
like "named" "$(cat "$T/fsck")" 'users \(000000000000, mallory\)'
back
edit "DELETE FROM users WHERE name = 'bob'"
check
is "a row removed: exit 4" "$rc" 4
like "told" "$(cat "$T/fsck")" '^K1: .*removed, or older ones put back'
back
check
is "as it was" "$rc" 0

# ---- What a tenant refuses ---------------------------------------------------

bucket own
"$SSEFS" bucket encryption set own "KMS:$("$SSEFS" key create)" >/dev/null
"$SSEFS" tenant set customer-keys=deny
start_mount own
errno "no files under a key of the tenant's" EACCES \
    dd if=/dev/zero of="$M/new" bs=1 count=1
stop_mount
edit "UPDATE users SET created = created + 1"
start_mount own
errno "an edit of any row does not lift that" EUCLEAN \
    dd if=/dev/zero of="$M/new" bs=1 count=1
stop_mount
start_mount docs
ok "the default key is fine" sh -c "echo x >'$M/more'"
rm "$M/more"
stop_mount
check --repair
start_mount own
errno "nor does a repair" EACCES dd if=/dev/zero of="$M/new" bs=1 count=1
stop_mount
back

# A row put back has a MAC that is right.
"$SSEFS" user create mal --admin >/dev/null
edit "VACUUM INTO '$T/before.db'"
"$SSEFS" user rm mal
edit "ATTACH '$T/before.db' AS o; INSERT INTO users SELECT * FROM o.users
    WHERE name = 'mal'"
check --repair
is "a user put back: repaired, exit 1" "$rc" 1
like "what it costs is told" "$(cat "$T/fsck")" '^K1: .*all users.*taken away'
check
is "clean afterwards" "$rc" 0
is "nobody is left" "$("$SSEFS" user ls --json | jq length)" 0
like "tenants are strict" "$("$SSEFS" tenant show)" customer-keys=deny
back

# ---- The audit log ----------------------------------------------------------

sed -i '3s/"eventName":"[A-Za-z]*"/"eventName":"Nothing"/' "$S/keys.db-audit.log"
check
is "a record altered: exit 16" "$rc" 16
like "which" "$(cat "$T/fsck")" '^K2: audit log, record 3 '
unlike "it is not called clean" "$(cat "$T/fsck")" clean
is "in JSON" "$("$SSEFS" fsck --json |
    jq -r '"\(.clean) \(.problems) \(.auditFindings > 0) \(.list[0].invariant)"')" \
    "false 0 true K2"
edit "UPDATE users SET admin = 1 WHERE name = 'bob'"
check
is "both: exit 20" "$rc" 20
check --repair
is "what can be repaired is: exit 17" "$rc" 17
back
check
is "as it was again" "$rc" 0
done_testing
