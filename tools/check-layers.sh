#!/bin/sh
# check-layers.sh: each room includes only what stands below it, and each
# dependency's header stands only in the rooms that own it.  Prints one line
# per rule broken, then a count; exits 1 when there is any.
set -u
cd "$(dirname "$0")/.." || exit 1

bad=$(mktemp)
trap 'rm -f "$bad"' EXIT

# includes ROOM: "file:header" for each include of the room's files.
includes() {
	find "$1" -name '*.[ch]' -exec sed -n \
	    's|^[ \t]*#[ \t]*include[ \t]*[<"]\([^>"]*\)[>"].*|{}:\1|p' {} \;
}

# allow ROOM PREFIX...: the room's own includes come from these folders only.
allow() {
	room=$1
	shift
	[ -d "$room" ] || return 0
	includes "$room" | awk -F: -v room="$room" -v list="$*" '
		BEGIN {
			n = split(list, ok, " ")
			m = split("lib crypto kms store fs gateway tools tests",
			    ours, " ")
		}
		{
			mine = 0
			for (i = 1; i <= m; i++)
				if (index($2, ours[i] "/") == 1)
					mine = 1
			good = index($2, room "/") == 1
			for (i = 1; i <= n; i++)
				if (index($2, ok[i] "/") == 1)
					good = 1
			if (mine && !good)
				print $1 ": includes " $2 ", which stands " \
				    "above or beside " room
		}' >>"$bad"
}

# own REGEX ROOM...: headers that match stand in these rooms only.
own() {
	re=$1
	shift
	for room in lib/base lib/json lib/net crypto kms store fs gateway \
	    tools; do
		case " $* " in *" $room "*) continue ;; esac
		[ -d "$room" ] || continue
		includes "$room" | awk -F: -v re="$re" -v owners="$*" '
			$2 ~ re {
				print $1 ": includes " $2 ", which belongs " \
				    "to " owners
			}' >>"$bad"
	done
}

allow lib/base
allow lib/json lib/base
allow lib/net lib/base
allow lib/policy lib/base
allow lib/s3 lib/base
allow crypto lib
allow kms lib crypto
allow store lib crypto kms
allow fs lib crypto kms store
allow gateway lib crypto kms store
allow tools lib crypto kms store fs gateway

own '^fuse' fs
own '^sqlite3' kms store
own '^(openssl/|argon2)' crypto
own '^jansson' lib/json
own '^curl/' lib/net
own '^libxml/' lib
own '^microhttpd' gateway
own '^gnutls/' gateway
own '^p11-kit/' kms

sort -u "$bad"
n=$(sort -u "$bad" | wc -l)
[ "$n" -eq 0 ] || { echo "check-layers: $n broken" >&2; exit 1; }
