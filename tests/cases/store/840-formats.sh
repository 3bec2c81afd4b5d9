#!/bin/sh
# A store of every format that was released opens, is clean, shows what it held,
# and takes changes; so does one that is restored from a backup of it.
# Serves: R29
. "$(dirname "$0")/../../lib.sh"
require_fuse
n=0
for tar in "$TESTS"/compat/*.tar.gz; do
	[ -f "$tar" ] || continue
	n=$((n + 1))
	v=$(basename "$tar" .tar.gz)
	mkdir "$T/$v"
	tar -C "$T/$v" -xzf "$tar"
	chmod 700 "$T/$v/s"
	chmod 600 "$T/$v/s.key"
	S=$T/$v/s K="--root-key $T/$v/s.key"
	export S SSEFS_STORE="$S"
	# shellcheck disable=SC2086
	{
		ok "$v: fsck, after a crash" "$SSEFS" fsck $K
		if [ -f "$TESTS/compat/$v.who" ]; then
			is "$v: its identities" "$(sh "$TESTS/compat/who.sh" \
			    "$SSEFS" $K | diff - "$TESTS/compat/$v.who")" ""
			ok "$v: are its own now" "$SSEFS" user create $K carol
		fi
		case $v in
		v*) like "$v: where its audit log cannot be shown whole" \
			"$("$SSEFS" fsck $K)" 'K2: note: .*older format' ;;
		*) unlike "$v: its audit log is all shown" \
			"$("$SSEFS" fsck $K)" 'older format' ;;
		esac
		start_mount / $K
		is "$v: it shows what it held" "$(sh "$TESTS/compat/list.sh" \
		    "$M" | diff - "$TESTS/compat/$v.list")" ""
		echo new >"$M/docs/new"
		cp "$M/docs/aes/copy" "$M/docs/new2"
		printf 'x' | dd of="$M/docs/aes/five" bs=1 seek=5000 \
		    conv=notrunc 2>/dev/null
		stop_mount
		ok "$v: fsck" "$SSEFS" fsck $K
		ok "$v: scrub" "$SSEFS" scrub --keys $K
		ok "$v: fsck --repair" "$SSEFS" fsck --repair $K
		ok "$v: audit verify" "$SSEFS" audit verify $K
		ok "$v: backup" "$SSEFS" backup $K "$T/$v/bk"
		ok "$v: restore" "$SSEFS" restore "$T/$v/bk" --store "$T/$v/r"
		ok "$v: fsck of that" "$SSEFS" fsck $K --store "$T/$v/r"
		start_mount / $K
		is "$v: what was written is there" \
		    "$(cat "$M/docs/new"; cmp "$M/docs/new2" "$M/docs/aes/copy"
		    dd if="$M/docs/aes/five" bs=1 skip=5000 count=1 \
			2>/dev/null)" "new
x"
		stop_mount
	}
done
is "there is one at least" "$((n > 0))" 1
done_testing
