#!/bin/sh
# SQLite databases on the mount, in WAL and in delete mode, with several
# writers; integrity_check, also after a kill -9 of the mount.
# Serves: R30
. "$(dirname "$0")/../lib.sh"
require_fuse
new_store
bucket docs
start_mount docs

cat >"$T/load.py" <<'PY'
import os
import sqlite3
import sys
path, mode, k, n = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
db = sqlite3.connect(path, timeout=60, isolation_level=None)
db.execute("PRAGMA journal_mode=" + mode)
# FULL does not sync the removal of a journal, which is the commit; EXTRA does,
# but overlooks that a directory of a dead mount cannot be opened.
db.execute("PRAGMA synchronous=EXTRA")
db.execute("CREATE TABLE IF NOT EXISTS t(w, i, s, PRIMARY KEY(w, i))")
ack = open(sys.argv[5], "a")
for i in range(n):
    db.execute("BEGIN IMMEDIATE")
    for j in range(5):
        db.execute("INSERT INTO t VALUES(?,?,?)",
                   (k, i * 5 + j, ("%d-%d " % (k, i)) * 40))
    db.execute("COMMIT")
    d = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(d)
    os.close(d)
    print(i, file=ack, flush=True)
PY
for mode in wal delete; do
	# Two connections cannot switch a database to WAL at once.
	$PY "$T/load.py" "$M/$mode.db" $mode 0 0 "$T/ack.$mode.0"
	for k in 1 2 3; do
		$PY "$T/load.py" "$M/$mode.db" $mode $k 40 "$T/ack.$mode.$k" \
		    2>>"$T/load.err" &
	done
	wait
	is "$mode: three writers" "$($PY -c "
import sqlite3
print(sqlite3.connect('$M/$mode.db').execute('select count(*) from t').fetchone()[0])")" 600
done
is "no complaints" "$(cat "$T/load.err")" ""
remount
check() {
	$PY -c "
import sqlite3
db = sqlite3.connect('$1')
print(db.execute('pragma integrity_check').fetchone()[0],
      db.execute('select count(*) from t').fetchone()[0])"
}
for mode in wal delete; do
	is "$mode: intact after a remount" "$(check "$M/$mode.db")" "ok 600"
done

for mode in wal delete; do
	: >"$T/ack.$mode"
	$PY "$T/load.py" "$M/crash-$mode.db" $mode 9 100000 "$T/ack.$mode" \
	    2>/dev/null &
	load=$!
	while [ "$(wc -l <"$T/ack.$mode")" -lt 30 ]; do
		sleep 0.05
	done
	kill_mount
	wait $load
	start_mount docs
	out=$(check "$M/crash-$mode.db")
	like "$mode: intact after a kill -9 of the mount" "$out" '^ok '
	acked=$(wc -l <"$T/ack.$mode")
	ok "$mode: every acknowledged transaction is there ($acked)" \
	    [ "${out#ok }" -ge $((acked * 5)) ]
done
done_testing
