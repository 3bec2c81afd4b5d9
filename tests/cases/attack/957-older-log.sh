#!/bin/sh
# Who cuts the audit log and has the keystore say that it is of a format whose
# head had no HMAC is found out for ever.
# Serves: R18 R24
. "$(dirname "$0")/../../lib.sh"
require jq sqlite3

new_store
bucket docs
for i in 1 2 3 4 5; do
	"$SSEFS" key create >/dev/null
done
log=$S/keys.db-audit.log
unlike "a log of today's" "$("$SSEFS" audit verify)" 'older format'

head -n 1 "$log" >"$T/cut"
cp "$T/cut" "$log"
mac=$(tail -n 1 "$log" | sed 's/.*"mac":"\([0-9a-f]*\)".*/\1/')
head=$(printf '%016x%016x%s' 1 "$(wc -c <"$log")" "$mac")
sqlite3 "$S/keys.db" >/dev/null <<END
ALTER TABLE keys DROP COLUMN origin;
ALTER TABLE keys DROP COLUMN expires;
ALTER TABLE keys DROP COLUMN imported;
ALTER TABLE keys DROP COLUMN policy;
ALTER TABLE aliases DROP COLUMN updated;
ALTER TABLE versions DROP COLUMN reason;
ALTER TABLE versions DROP COLUMN provider;
ALTER TABLE versions DROP COLUMN wraps;
DROP TABLE grants; DROP TABLE providers; DROP TABLE tenants; DROP TABLE users;
DROP TABLE access_keys; DROP TABLE user_roles; DROP TABLE policies;
DROP TABLE attachments; DROP TABLE audit_segments;
UPDATE meta SET v = x'$head' WHERE k = 'audit';
UPDATE meta SET v = 3 WHERE k = 'format';
END
ok "it is taken for an older one" "$SSEFS" key ls
like "verification tells" "$("$SSEFS" audit verify)" \
    '^the records up to 1 come from an older format'
is "in JSON" "$("$SSEFS" audit verify --json | jq -c '[.intact, .olderTo]')" \
    '[true,1]'
like "so does fsck" "$("$SSEFS" fsck)" 'K2: note: audit log: the records up to 1 come'
like "on record" "$("$SSEFS" audit show)" UpgradeKeystore
"$SSEFS" key create >/dev/null
"$SSEFS" audit rotate
like "it is never forgotten" "$("$SSEFS" audit verify)" 'older format'
done_testing
