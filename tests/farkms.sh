# shellcheck shell=sh
# farkms.sh: a key service beside a case (farkms.py).  Source it after lib.sh.
#
#	far_make		certificates and credentials in $F
#	far_start		start it, at the same port as before
#	far_stop
#	far_mode [WORD [N]]	what it does wrong from now on (farkms.py)
#	far_count OP		how many such requests came in
#	far_state STATE		set the state of all far keys
#	far_add [NAME=VALUE...]	make it known to $S as the provider "far"
#
# $F is its folder, $F/ca.pem what vouches for it, $far_url its URL.
F=$T/far
far_port=0

far_make() {
	mkdir -p "$F"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -days 2 -subj /CN=far -addext subjectAltName=IP:127.0.0.1 \
	    -keyout "$F/key.pem" -out "$F/ca.pem" 2>/dev/null || return 1
	printf '[default]\naws_access_key_id = AKIDTEST\n%s\n' \
	    'aws_secret_access_key = secret' >"$F/credentials"
	chmod 600 "$F/credentials" "$F/key.pem"
}

far_start() {
	if [ "$far_port" = 0 ]; then
		"$PY" "$TESTS/farkms.py" --hold "$F" 3<&- &
		await test -f "$F/held"
		far_port=$(cat "$F/held")
	fi
	rm -f "$F/port"
	"$PY" "$TESTS/farkms.py" "$F" "$F/ca.pem" "$F/key.pem" "$far_port" \
	    3<&- &
	far_pid=$!
	await test -f "$F/port"
	far_url=https://127.0.0.1:$far_port
}

far_stop() {
	kill -9 "$far_pid"
	wait "$far_pid" 2>/dev/null
	return 0
}

far_mode() {
	echo "$*" >"$F/mode.next"
	mv "$F/mode.next" "$F/mode"
}

far_count() { grep -cx "$1" "$F/log"; }

far_state() {
	for far_file in "$F"/key.*-*; do
		sed -i "s/\"KeyState\": \"[A-Za-z]*\"/\"KeyState\": \"$1\"/" \
		    "$far_file"
	done
}

far_add() {
	# The last of several with one name counts.
	far_opts=
	for far_o in "ca=$F/ca.pem" "credentials=$F/credentials" timeout=10000 \
	    "$@"; do
		far_opts=$(printf '%s\n' "$far_opts" | tr ' ' '\n' |
		    grep -v "^${far_o%%=*}=" | tr '\n' ' ')
		far_opts="$far_opts $far_o"
	done
	# shellcheck disable=SC2086
	"$SSEFS" kms provider add far "$far_url" $far_opts
}
