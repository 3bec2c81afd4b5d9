#!/bin/sh
# The manual page, the help and the exit codes name the same things.
# Serves: R30
. "$(dirname "$0")/../../lib.sh"
page=$(dirname "$TESTS")/docs/man/ssefs.1
[ -f "$page" ] || skip_all "no manual page in this tree"
"$SSEFS" help | sed -n 's/^  \([a-z][a-z -]*[a-z]\)  *.*/\1/p' |
    sed 's/   *.*//' | sort >"$T/help"
is "help lists commands" "$([ "$(wc -l <"$T/help")" -gt 20 ]; echo $?)" 0
# Commands in the page: the words after Cm, up to an argument.
sed -n 's/^\.It Cm //p' "$page" |
    sed 's/ \(Ar\|Op\|Oo\|Fl\) .*//' | sort >"$T/page"
is "the page has no command more or less" \
    "$(diff "$T/help" "$T/page")" ""
while read -r words; do
	# shellcheck disable=SC2086
	like "help $words" "$("$SSEFS" help $words)" "^usage: ssefs $words "
done <"$T/help"
done_testing
