#!/bin/sh
# git: a repository with history made and cloned on the mount, fsck, checkout,
# gc; the work tree byte for byte after a remount.
# Serves: R30
. "$(dirname "$0")/../lib.sh"
require_fuse
require git
export HOME="$T" GIT_CONFIG_NOSYSTEM=1
git config --global user.name tester
git config --global user.email tester@example.org
git config --global init.defaultBranch main
git config --global advice.detachedHead false
git config --global gc.auto 0
git config --global safe.directory '*'
new_store
bucket docs
start_mount docs

# 200 commits over 60 files, by fast-import, on an ordinary disk.
git init -q "$T/src"
$PY - <<'PY' | git -C "$T/src" fast-import --quiet
import random
rnd = random.Random(3)
out = []
for i in range(200):
    msg = "change %d" % i
    out.append("commit refs/heads/main\nmark :%d\n"
               "committer tester <tester@example.org> %d +0000\n"
               "data %d\n%s" % (i + 1, 1600000000 + i, len(msg), msg))
    for j in range(5):
        body = "".join("line %d %d\n" % (i, rnd.randrange(10 ** 9))
                       for _ in range(rnd.randrange(1, 200)))
        out.append("M 100644 inline d%d/f%d\ndata %d\n%s" % (
            rnd.randrange(6), rnd.randrange(10), len(body), body))
    if i == 100:
        out.append("M 120000 inline link\ndata 5\nd0/f0")
    out.append("")
print("\n".join(out))
PY
git -C "$T/src" checkout -q -f main
ok "clone onto the mount" git clone -q --no-local "$T/src" "$M/repo"
ok "fsck" git -C "$M/repo" fsck --full --strict
ok "checkout of an old commit" git -C "$M/repo" checkout -q HEAD~150
is "clean" "$(git -C "$M/repo" status --porcelain)" ""
ok "checkout of main" git -C "$M/repo" checkout -q main
ok "a branch with a commit" sh -c "cd '$M/repo' && git checkout -q -b b &&
    echo more >>d0/f0 && git commit -qam more && git checkout -q main &&
    git merge -q b"
ok "gc" git -C "$M/repo" gc -q --prune=now
ok "init and 30 commits by hand on the mount" sh -c "
    git init -q '$M/own' && cd '$M/own' &&
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 \
	25 26 27 28 29 30; do
	echo \$i >>log && mkdir -p d\$i && echo \$i >d\$i/f &&
	git add -A && git commit -qm \$i || exit 1
    done"
remount
ok "fsck after a remount" git -C "$M/repo" fsck --full --strict
ok "fsck of the other" git -C "$M/own" fsck --full
is "history" "$(git -C "$M/repo" rev-list --count main)" 201
is "history of the other" "$(git -C "$M/own" rev-list --count main)" 30
is "clean after a remount" "$(git -C "$M/repo" status --porcelain)" ""
ok "back to the cloned commit" git -C "$M/repo" checkout -q origin/main
is "the same work tree" "$(diff -r -x .git "$T/src" "$M/repo")" ""
done_testing
