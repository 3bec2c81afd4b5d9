"""files.py WHAT DIR N [SIZE]: many files at once; prints a rate per second.

    create   N files of SIZE bytes, spread over directories of 500 (at least 10)
    stat, open, read, unlink   the same files
    fsync    N processes write 4 KiB and fsync, for 3 seconds; fsyncs per second
    sources  a C project of N files with a Makefile; prints N
"""
import os
import sys
import time

what, top, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
size = int(sys.argv[4]) if len(sys.argv) > 4 else 0
dirs = max(10, n // 500)
block = os.urandom(max(size, 4096))[:size]


def path(i):
    return "%s/d%d/f%d" % (top, i % dirs, i)


def create(q):
    fd = os.open(q, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644)
    os.write(fd, block)
    os.close(fd)


def read(q):
    fd = os.open(q, os.O_RDONLY)
    if len(os.read(fd, size + 1)) != size:
        sys.exit("%s: wrong size" % q)
    os.close(fd)


def just_open(q):
    os.close(os.open(q, os.O_RDONLY))


def fsyncs(k):
    fd = os.open("%s/fsync%d" % (top, k), os.O_CREAT | os.O_RDWR, 0o644)
    page, count, end = os.urandom(4096), 0, time.monotonic() + 3
    while time.monotonic() < end:
        os.pwrite(fd, page, count % 1024 * 4096)
        os.fsync(fd)
        count += 1
    os.close(fd)
    return count


def run_fsync():
    pipes = []
    for k in range(n):
        r, w = os.pipe()
        if os.fork() == 0:
            os.write(w, b"%d" % fsyncs(k))
            os._exit(0)
        os.close(w)
        pipes.append(r)
    total = sum(int(os.read(r, 20)) for r in pipes)
    for k in range(n):
        os.wait()
        os.unlink("%s/fsync%d" % (top, k))
    print(total // 3)


def sources():
    for i in range(n):
        with open("%s/f%d.c" % (top, i), "w") as f:
            f.write("#include <stdio.h>\n#include <stdlib.h>\n"
                    "#include <string.h>\n")
            for j in range(30):
                f.write("int f%d_%d(int x)\n{\n\tchar b[99];\n"
                        "\tsnprintf(b, sizeof(b), \"%%d\", x + %d);\n"
                        "\treturn (atoi(b) + (int)strlen(b));\n}\n"
                        % (i, j, j))
    with open(top + "/Makefile", "w") as f:
        f.write("O = $(patsubst %.c,%.o,$(wildcard *.c))\n"
                "lib.a: $(O)\n\tar rc $@ $(O)\n"
                "%.o: %.c\n\t$(CC) -O1 -MMD -c -o $@ $<\n")
    print(n)


if what == "fsync":
    run_fsync()
elif what == "sources":
    sources()
else:
    if what == "create":
        for i in range(dirs):
            os.makedirs("%s/d%d" % (top, i), exist_ok=True)
    each = {"create": create, "stat": os.stat, "open": just_open,
            "read": read, "unlink": os.unlink}[what]
    start = time.monotonic()
    for i in range(n):
        each(path(i))
    print(int(n / (time.monotonic() - start)))
