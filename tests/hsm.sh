# shellcheck shell=sh
# hsm.sh: a SoftHSM token in the case's own directory.  Source it after lib.sh.
#
#	new_token		make the token "tok" in $T/tokens, its PIN in $T/pin
#	pin			the PIN: nothing that random digits or base64 contain
#	HSM			the URI of a provider in it
#	module			the path of SoftHSM's library
#	token_gone, token_back	take the token away, bring it back
#	token_mend		after a kill of who used it: SoftHSM empties the
#				token's own file and writes it anew at each login,
#				and may have died in between

require softhsm2-util
module=/usr/lib/softhsm/libsofthsm2.so
[ -f $module ] || skip_all "no SoftHSM library"
SOFTHSM2_CONF=$T/softhsm2.conf
export SOFTHSM2_CONF
pin=the-pin-of-tok
HSM="pkcs11:token=tok?module-path=$module&pin-source=$T/pin"

new_token() {
	mkdir "$T/tokens"
	printf '%s\n' "directories.tokendir = $T/tokens" \
	    "objectstore.backend = file" "log.level = ERROR" >"$SOFTHSM2_CONF"
	softhsm2-util --init-token --free --label tok --pin "$pin" \
	    --so-pin 5678 >/dev/null || skip_all "SoftHSM makes no token"
	(umask 077 && echo "$pin" >"$T/pin")
	cp "$T"/tokens/*/token.object "$T/token.object"
}
token_mend() {
	for token_file in "$T"/tokens/*/token.object; do
		[ -s "$token_file" ] || cp "$T/token.object" "$token_file"
	done
}
token_gone() { mv "$T/tokens" "$T/tokens.gone"; }
token_back() { mv "$T/tokens.gone" "$T/tokens"; }
