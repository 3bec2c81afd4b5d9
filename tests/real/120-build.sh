#!/bin/sh
# A C project built with make -j2 on the mount: the same object code as on an
# ordinary disk.
# Serves: R30
. "$(dirname "$0")/../lib.sh"
require_fuse
require gcc make
new_store
bucket docs
start_mount docs
mkdir "$T/proj"
$PY - "$T/proj" <<'PY'
import sys
d = sys.argv[1]
N = 24
open(d + "/all.h", "w").write("".join("int f%d(int);\n" % i for i in range(N)))
for i in range(N):
    with open(d + "/f%d.c" % i, "w") as f:
        f.write('#include <stdio.h>\n#include <string.h>\n#include "all.h"\n')
        for j in range(20):
            f.write("static int g%d(int x)\n{\n\treturn (x * %d + %d) %% 1009;\n}\n"
                    % (j, i + j + 1, j))
        f.write("int f%d(int x)\n{\n%s\treturn (x);\n}\n" % (
            i, "".join("\tx = g%d(x);\n" % j for j in range(20))))
with open(d + "/main.c", "w") as f:
    f.write('#include <stdio.h>\n#include "all.h"\nint main(void)\n{\n\tint x = 1;\n')
    f.write("".join("\tx = f%d(x);\n" % i for i in range(N)))
    f.write('\tprintf("%d\\n", x);\n\treturn (0);\n}\n')
open(d + "/Makefile", "w").write("""
O = $(patsubst %.c,%.o,$(sort $(wildcard *.c)))
prog: libf.a main.o
	$(CC) -o $@ main.o libf.a
libf.a: $(filter-out main.o,$(O))
	rm -f $@ && ar rcsD $@ $^
%.o: %.c all.h
	$(CC) -O1 -MMD -c -o $@ $<
clean:
	rm -f *.o *.d *.a prog
""")
PY
cp -a "$T/proj" "$M/proj"
ok "make -j2 on the mount" make -s -j2 -C "$M/proj"
ok "make -j2 elsewhere" make -s -j2 -C "$T/proj"
is "the program runs" "$("$M/proj/prog")" "$("$T/proj/prog")"
ok "nothing to be done a second time" make -q -C "$M/proj"
remount
is "the same files after a remount" "$(diff -r "$T/proj" "$M/proj")" ""
ok "still nothing to be done" make -q -C "$M/proj"
touch "$M/proj/f3.c"
fails "a touched source is seen" make -q -C "$M/proj"
ok "rebuild" make -s -j2 -C "$M/proj"
ok "clean" make -s -C "$M/proj" clean
done_testing
