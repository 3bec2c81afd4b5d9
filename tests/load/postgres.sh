#!/bin/sh
# PostgreSQL on the mount under pgbench: mount and server are killed with kill -9,
# the mount comes back, the database recovers, no acknowledged transaction is
# missing and the sums agree.
# Serves: R30
# Environment: LOOPS (default 5), PGBIN (default: the newest installed).
. "$(dirname "$0")/../lib.sh"
require_fuse
require_root
PGBIN=${PGBIN:-$(find /usr/lib/postgresql/*/bin -name initdb 2>/dev/null |
    sort -V | tail -n 1 | xargs -r dirname)}
[ -x "${PGBIN:-}/initdb" ] || skip_all "PostgreSQL is not installed"
id postgres >/dev/null 2>&1 || skip_all "there is no user postgres"
new_store
bucket docs
start_mount docs -o allow_other
chmod 755 "$T"
chown postgres "$M"
mkdir "$T/run"
chown postgres "$T/run"

as_pg() { setpriv --reuid postgres --regid postgres --clear-groups \
    env LC_ALL=C.UTF-8 "$@"; }
sql() { as_pg "$PGBIN/psql" -h "$T/run" -qAtX -d postgres -c "$1"; }
pg_start() {
	as_pg "$PGBIN/pg_ctl" -D "$M/pg" -w -t 60 -l "$T/run/log" \
	    -o "-k $T/run -c listen_addresses= -c shared_buffers=16MB" start \
	    >/dev/null
}

ok "initdb" as_pg "$PGBIN/initdb" -D "$M/pg" -A trust --data-checksums
ok "the server starts" pg_start
ok "pgbench -i" as_pg "$PGBIN/pgbench" -h "$T/run" -i -q -s 2 postgres
sql "create table acks (n int primary key)"

# Each number that is printed was committed.
acker() {
	acker_n=$1
	while sql "insert into acks values ($acker_n)" 2>/dev/null; do
		echo "$acker_n"
		acker_n=$((acker_n + 1))
	done
}

i=1
while [ $i -le "${LOOPS:-5}" ]; do
	acker $((i * 100000)) >>"$T/acked" &
	acking=$!
	as_pg "$PGBIN/pgbench" -h "$T/run" -n -c 4 -T 60 postgres \
	    >/dev/null 2>&1 &
	bench=$!
	sleep 4
	server=$(head -n 1 "$M/pg/postmaster.pid")
	daemon=$(daemon_pid)
	kill -9 "$daemon"
	# All of it: a process that waits for one that died would wait for ever.
	family="$server $(pgrep -P "$server" | tr '\n' ' ')"
	# shellcheck disable=SC2086
	kill -9 $family
	for p in $family; do wait_gone "$p"; done
	wait $acking $bench
	umount -l "$M"
	out=$("$SSEFS" fsck 2>&1)
	is "loop $i: fsck" $? 0 || note "$out"
	start_mount docs -o allow_other
	rm -f "$M/pg/postmaster.pid"
	ok "loop $i: the server recovers" pg_start || tail -n 5 "$T/run/log"
	sql "select n from acks order by n" >"$T/have"
	is "loop $i: no acknowledged commit of $(wc -l <"$T/acked") is missing" \
	    "$(sort "$T/acked" | comm -23 - "$T/have" | head -n 3)" ""
	is "loop $i: the sums agree" "$(sql "select
	    (select sum(abalance) from pgbench_accounts) =
	    (select sum(tbalance) from pgbench_tellers) and
	    (select sum(abalance) from pgbench_accounts) =
	    (select sum(bbalance) from pgbench_branches) and
	    (select sum(abalance) from pgbench_accounts) =
	    (select coalesce(sum(delta), 0) from pgbench_history)")" t
	i=$((i + 1))
done
ok "the server stops" as_pg "$PGBIN/pg_ctl" -D "$M/pg" -w -m fast stop
remount
ok "every page has its checksum" as_pg "$PGBIN/pg_checksums" -D "$M/pg" --check
done_testing
