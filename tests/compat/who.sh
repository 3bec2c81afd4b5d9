#!/bin/sh
# who.sh SSEFS [ARG...]: what the keystore of $SSEFS_STORE says of identities.
ssefs=$1
shift
for what in "user ls" "user key ls alice" "user role ls bob" "tenant show" \
    "policy ls" "policy get use"; do
	# shellcheck disable=SC2086
	"$ssefs" $what "$@" || exit 1
done
