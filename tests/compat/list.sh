#!/bin/sh
# list.sh DIR: what there is below DIR: kinds, modes, links, sizes, encryption,
# attributes, content.
cd "$1" || exit 1
export LC_ALL=C
find . -mindepth 1 | sort | while read -r f; do
	printf '%s %s' "$f" "$(stat -c '%F %a %h %s %i' "$f")"
	[ ! -L "$f" ] || printf ' -> %s' "$(readlink "$f")"
	if [ -f "$f" ] && [ ! -L "$f" ]; then
		printf ' %s' "$(sha256sum <"$f" | cut -c1-64)"
	fi
	echo
	[ -L "$f" ] || getfattr -d -m user "$f" 2>/dev/null | grep = || :
done
