"""verify.py NAME: what the files T/acks0.. promise is on the mount."""
from lib import *

bad, count = [], 0
for k in range(3):
    base = p("w%d" % k)
    want, maybe, ver, app = {}, set(), 0, 0
    path = T + "/acks%d" % k
    if not os.path.exists(path): continue
    for line in open(path):
        w = line.split()
        count += 1
        if w[0] == "new": want[w[1]] = (int(w[2]), int(w[3]))
        elif w[0] == "ver": ver = int(w[2])
        elif w[0] == "app": app = int(w[2])
        elif w[0] == "maybe": maybe.add(w[1])
        elif w[0] == "del": want[w[1]] = None
    for n, v in want.items():
        q = base + "/" + n
        if v is None:
            if os.path.lexists(q): bad.append("%s is back" % q)
        elif not os.path.lexists(q):
            if n not in maybe: bad.append("%s is missing" % q)
        elif get(q) != pattern(v[1], v[0]):
            bad.append("%s is not what was written" % q)
    if ver:
        b = get(base + "/v")
        got = int(b[:12])
        if got < ver: bad.append("w%d/v: version %d, acknowledged %d" % (
            k, got, ver))
        if b[12:] != pattern(20000, got):
            bad.append("w%d/v: version %d is torn" % (k, got))
    if app:
        b = get(base + "/log")
        if len(b) // 100 < app:
            bad.append("w%d/log: %d records, acknowledged %d" % (
                k, len(b) // 100, app))
        # The last record may be there in part, unless it was acknowledged.
        whole = b"".join(b"%099d\n" % i for i in range(len(b) // 100 + 1))
        if not whole.startswith(b):
            bad.append("w%d/log: a record is torn" % k)
    # What was not synced may be missing, but must be readable.
    for d, _, files in os.walk(base):
        for n in files: get(os.path.join(d, n))
for b in bad[:10]: print("#  ", b)
ok(not bad, "%s: all of %d acknowledged operations" % (sys.argv[1],
                                                           count))
