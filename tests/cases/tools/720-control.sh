#!/bin/sh
# While a mount owns the store: scrub, and commands on buckets, go through it.
# Serves: R4 R10 R24
. "$(dirname "$0")/../../lib.sh"
require_fuse
require jq

sock() { stat -c '%F %a %u' "$S/control" 2>/dev/null || echo none; }
ours="socket 600 $(id -u)"
# Does the process have a connection?
connected() {
	connected_ino=$(ls -l "/proc/$1/fd" |
	    sed -n 's/.*socket:\[\([0-9]*\)\]$/\1/p')
	awk -v i="${connected_ino:-none}" '$7 == i && $6 == "03" { f = 1 }
	    END { exit !f }' /proc/net/unix
}
# A scrub that lasts, until the mount is at it: it hears one request after the
# other.
slow_scrub() {
	"$SSEFS" scrub --rate 100K >"$T/slow" 2>&1 &
	slow=$!
	await connected $slow
	"$SSEFS" bucket ls >/dev/null
}

new_store
bucket docs
is "no socket without a mount" "$(sock)" none

# ---- A mount of all buckets -------------------------------------------------

start_mount /
is "the socket is for its owner alone" "$(sock)" "$ours"
fails "a name that is looked for in vain" stat "$M/late"
ok "bucket create" "$SSEFS" bucket create late --sse AES256
ok "the kernel learns of it" test -d "$M/late"
is "its mode is that of others" "$(stat -c %a "$M/late")" \
    "$(stat -c %a "$M/docs")"
echo x >"$M/late/f"
is "its default holds" "$(xa user.sse.algorithm "$M/late/f")" AES256
is "bucket ls" "$("$SSEFS" bucket ls | tr -s ' ')" "docs KMS
late AES256"
"$SSEFS" bucket ls --json >"$T/mounted.json"
is "bucket ls --json" "$(jq -c 'map([.name, .default])' "$T/mounted.json")" \
    '[["docs","KMS"],["late","AES256"]]'
fails "bucket create twice" "$SSEFS" bucket create late
like "says so" "$(cat "$T/out")" '^ssefs: bucket "late": .*exists'
fails "a bad name" "$SSEFS" bucket create 'sp ace'
fails "a long name" "$SSEFS" bucket create "$(printf %02000d 0)"
fails "a bad default" "$SSEFS" bucket create other --sse ROT13
fails "an unknown key" "$SSEFS" bucket create other --sse KMS:alias/nope
like "what to do about it" "$(cat "$T/out")" 'ssefs key ls'
ok "bucket encryption set" "$SSEFS" bucket encryption set late None
is "bucket encryption get" "$("$SSEFS" bucket encryption get late)" None
is "and its --json" "$("$SSEFS" bucket encryption get late --json |
    jq -c '[.name, .default]')" '["late","None"]'
is "the mount says the same" "$(xa user.sse.default "$M/late")" None
fails "of no bucket" "$SSEFS" bucket encryption get nope
fails "set to nonsense" "$SSEFS" bucket encryption set late ROT13
fails "bucket rm of a full one" "$SSEFS" bucket rm late
like "says why" "$(cat "$T/out")" 'not empty'
rm "$M/late/f"
# Somebody is in there, and has listed the directory above.
(cd "$M/late" && ls .. >/dev/null && "$SSEFS" bucket rm late && ! touch x \
    2>"$T/touch")
is "bucket rm under a working directory" $? 0
like "nothing can be made there" "$(cat "$T/touch")" 'No such file'
is "the kernel learns of that too" "$(ls "$M")" docs
fails "also by its name" stat "$M/late"
fails "bucket rm again" "$SSEFS" bucket rm late
ok "the same name by mkdir" mkdir "$M/late"
ok "and removed by command" "$SSEFS" bucket rm late
ok "and made by command" "$SSEFS" bucket create late
ok "and removed by rmdir" rmdir "$M/late"
fails "fsck needs the store alone" "$SSEFS" fsck
like "and says so" "$(cat "$T/out")" 'in use by process [0-9]+'

# ---- Scrub beside writers ---------------------------------------------------

head -c 4000000 /dev/urandom >"$M/docs/big"
ino=$(stat -c %i "$M/docs/big")
: >"$T/go"
(
	n=0
	while [ -e "$T/go" ]; do
		n=$((n + 1))
		head -c 300000 /dev/urandom >"$M/docs/w.$((n % 7))"
		[ $((n % 3)) -ne 0 ] || rm "$M/docs/w.$((n % 7))"
		mkdir -p "$M/docs/wd/in"
		ln -s "to $n" "$M/docs/wd/in/link.$n"
		setfattr -n user.n -v "$n" "$M/docs/wd/in"
		mv "$M/docs/wd/in" "$M/docs/w.in"
		rm -r "$M/docs/wd" "$M/docs/w.in"
	done
) &
writers=$!
for i in 1 2 3; do
	out=$("$SSEFS" scrub --keys)
	is "scrub $i: exit" $? 0
	like "scrub $i: clean" "$out" '^[0-9]+ files, [0-9]+ blocks.*: clean$'
done
busy=0
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	"$SSEFS" scrub >/dev/null 2>"$T/again" || busy=$((busy + 1))
done
is "one after the other, each is served" $busy 0
is "scrub --json" "$("$SSEFS" scrub --json |
    jq -c '[.clean, .bad, .skipped, (.bytes >= 4000000)]')" \
    '[true,0,0,true]'
rm "$T/go"
wait "$writers"
rm -rf "$M"/docs/w.* "$M/docs/wd"
"$SSEFS" scrub >/dev/null
mkdir "$M/docs/a dir"
mv "$M/docs/big" "$M/docs/a dir/100% big"

py <<'END'
import json, os, pty, re, subprocess, time
from lib import eq, ok
def scrub(*args):
    up, down = pty.openpty()
    t = time.time()
    p = subprocess.Popen([os.environ['SSEFS'], 'scrub', *args],
        stdout=subprocess.PIPE, stderr=down)
    os.close(down)
    out = p.stdout.read()
    p.wait()
    err = b''
    try:
        while b := os.read(up, 65536):
            err += b
    except OSError:
        pass # the terminal's other end is closed
    return p.returncode, out, err, time.time() - t
rc, out, err, took = scrub('--rate', '1M', '--json')
eq(rc, 0, 'scrub --rate')
ok(took > 1, 'a rate is kept')
ok(json.loads(out)['clean'], 'the JSON is whole')
seen = re.findall(rb'\r(\d+) of (\d+) MiB', err)
ok(len(seen) >= 2, 'progress stands on the terminal: %r' % err)
done = [int(a) for a, _ in seen]
eq(done, sorted(done), 'and rises')
END

slow_scrub
fails "one scrub at a time" "$SSEFS" scrub
like "says so" "$(cat "$T/out")" 'a scrub is running already'
ok "other commands go on beside it" "$SSEFS" bucket ls
kill "$slow"
wait "$slow" 2>/dev/null
ok "a scrub ends with its client" await "$SSEFS" scrub

# ---- Damage -----------------------------------------------------------------

py "$ino" <<'END'
import json, os, subprocess, sys
from lib import eq, ok
ino = int(sys.argv[1])
S, M = os.environ['S'], os.environ['M']
run = lambda *a: subprocess.run([os.environ['SSEFS'], *a],
    stdout=subprocess.PIPE, text=True)
# The only big file: half of the arena's blocks are its own, so find one that
# matters by trying.
arena = os.open(S + '/arena-0', os.O_RDWR)
size = os.fstat(arena).st_size
found = None
for at in range(4096, size, 4096 * 97):
    old = os.pread(arena, 1, at + 17)
    if not any(os.pread(arena, 4096, at)):
        continue
    os.pwrite(arena, bytes([old[0] ^ 1]), at + 17)
    r = run('scrub', '--json')
    j = json.loads(r.stdout)
    if j['bad']:
        found = j, r.returncode, run('scrub')
    os.pwrite(arena, old, at + 17)
    if found:
        break
ok(found, 'a flipped byte is found')
j, rc, text = found
eq((rc, text.returncode), (4, 4), 'it exits with 4')
eq([x['ino'] for x in j['list']], [ino], 'the file is named')
eq([x['path'] for x in j['list']], ['docs/a dir/100% big'], 'by a path too')
eq(j['list'][0]['offset'] % 4096, 0, 'and the place')
eq(j['list'][0]['error'], 'ERR_AUTH', 'and the error')
ok(text.stdout.startswith('inode %d at %d: docs/a dir/100%% big: ' % (
    ino, j['list'][0]['offset'])), 'also in words')
eq(run('scrub').returncode, 0, 'healed, it is clean')
END

# ---- Clients that misbehave -------------------------------------------------

py <<'END'
import os, socket, subprocess, time
from lib import eq, ok
S = os.environ['S']
def dial():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    d = os.open(S, os.O_RDONLY)
    s.connect('/proc/self/fd/%d/control' % d)
    os.close(d)
    return s
def rest(s):
    out = b''
    while True:
        try:
            b = s.recv(65536)
        except ConnectionResetError:
            b = b''
        if not b:
            return out
        out += b
def ask(line):
    s = dial()
    s.sendall(line)
    return rest(s)
eq(ask(b'sync\n'), b'ok\n', 'sync')
stats = ask(b'stats\n')
ok(b'\nrow writes ' in stats and stats.endswith(b'\nok\n'), 'stats')
scrub = ask(b'scrub 1 0\n').split(b'\n')
ok(any(l.startswith(b'progress ') for l in scrub), 'scrub: progress')
ok(scrub[-3].startswith(b'row ') and scrub[-2:] == [b'ok', b''],
    'scrub: its row, then ok')
for line in b'', b'nonsense', b'bucket-rm', b'scrub 1 x', b'\xff\xfe', b'a\0b':
    a = ask(line + b'\n')
    ok(a.startswith(b'err ERR_') and a.endswith(b'\n'), 'refused: %r' % line)
ok(ask(b'x' * 5000).startswith(b'err ERR_LIMIT '), 'a line without end')
dial().close()
mute, half = dial(), dial()
half.sendall(b'syn')
t = time.time()
r = subprocess.run([os.environ['SSEFS'], 'bucket', 'ls'],
    stdout=subprocess.DEVNULL)
eq(r.returncode, 0, 'bucket ls behind mute clients')
ok(time.time() - t < 25, 'they hold nobody up for long')
eq(rest(mute) + rest(half), b'', 'and are cut off')
END

if [ "$(id -u)" = 0 ]; then
	chmod 711 "$S"
	chmod 666 "$S/control"
	py <<'END'
import os, socket
from lib import eq, ok
up, down = os.pipe()
if os.fork() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ['S'] + '/control')
    try:
        s.sendall(b'bucket-ls\n')
    except BrokenPipeError:
        pass # refused unheard
    os.write(down, s.recv(4096))
    os._exit(0)
os.close(down)
a = os.read(up, 4096)
os.wait()
ok(a.startswith(b'err ERR_ACCESS '), 'another user is refused: %r' % a)
END
	chmod 600 "$S/control"
	chmod 700 "$S"
fi

# ---- The end of a mount -----------------------------------------------------

# Its request comes first: while the mount waits for a client that says nothing
# it hears no other.
slow_scrub
"$PY" - "$S" <<'END' &
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1] + '/control')
s.settimeout(60)
s.recv(1)
END
mute=$!
await connected $mute
t0=$(date +%s)
stop_mount
is "unmounting does not wait for clients" $(($(date +%s) - t0 < 20)) 1
wait "$slow"
is "a scrub that was cut off could not check" $? 8
like "says why" "$(cat "$T/slow")" 'unmounted'
wait "$mute"
is "the socket is gone" "$(sock)" none
"$SSEFS" bucket create late --sse AES256
"$SSEFS" bucket ls --json >"$T/alone.json"
is "the same output without a mount" "$(cat "$T/alone.json")" \
    "$(cat "$T/mounted.json")"

# ---- A mount of one bucket --------------------------------------------------

start_mount late
ok "bucket create beside it" "$SSEFS" bucket create more
is "bucket ls beside it" "$("$SSEFS" bucket ls | awk '{ printf "%s ", $1 }')" \
    "docs late more "
ok "bucket rm beside it" "$SSEFS" bucket rm more
fails "the mounted bucket stays" "$SSEFS" bucket rm late
like "says why" "$(cat "$T/out")" 'it is mounted'
ok "its default changes" "$SSEFS" bucket encryption set late None
is "and shows" "$(xa user.sse.default "$M")" None
ok "kept when the mount dies at once" sh -c "
    '$SSEFS' bucket create kept && '$SSEFS' bucket encryption set kept None"
kill_mount
is "a killed mount leaves its socket" "$(sock)" "$ours"
like "which is in nobody's way" "$("$SSEFS" bucket ls)" '^kept +None$'
start_mount late
is "the next mount replaces it" "$(sock)" "$ours"
ok "and listens" "$SSEFS" bucket ls
stop_mount
start_mount late -o ro
fails "a read-only mount makes no bucket" "$SSEFS" bucket create nope
like "says why" "$(cat "$T/out")" 'read-only'
ok "but lists them" "$SSEFS" bucket ls
stop_mount
mkdir "$S/control"
start_mount late
like "a name that is taken is told" "$(cat "$T/mount.out")" 'control'
ok "the mount works" touch "$M/f"
fails "commands then wait" "$SSEFS" bucket ls
like "as ever" "$(cat "$T/out")" 'in use by process'
stop_mount
rmdir "$S/control"
done_testing
