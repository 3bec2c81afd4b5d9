/*
 * scripts: what is done to a store while its disk or its memory fails.
 *
 * "all" has every operation on small files: inline, embedded in the record, and
 * with map nodes of their own; encrypted and not; and long writes that are
 * answered before they are done.  "large" has what goes other ways with many
 * map nodes: cutting, draining, and writing where it drains.
 */
#include "lib/base/attrs.h"

#include "tests/fault/tree.h"

#define K 1024u
#define X STORE_RENAME_EXCHANGE
#define N STORE_RENAME_NOREPLACE

static const struct step all_before[] = {
	{ .op = OP_MKDIR, .a = "d" },
	{ .op = OP_MKDIR, .a = "p" },
	{ .op = OP_DEFAULT, .a = "p", .b = "None" },
	{ .op = OP_MAKE, .a = "small" },
	{ .op = OP_WRITE, .a = "small", .y = 700, .z = 1 },
	{ .op = OP_MAKE, .a = "mid" },
	{ .op = OP_WRITE, .a = "mid", .y = 30 * K, .z = 2 },
	{ .op = OP_MAKE, .a = "big" },
	{ .op = OP_WRITE, .a = "big", .y = 600 * K, .z = 3 },
	{ .op = OP_MAKE, .a = "p/plain" },
	{ .op = OP_WRITE, .a = "p/plain", .y = 300 * K, .z = 4 },
	{ .op = OP_MAKE, .a = "d/old" },
	{ .op = OP_WRITE, .a = "d/old", .y = 100 * K, .z = 5 },
	{ .op = OP_LINK, .a = "d/old", .b = "d/old2" },
	{ .op = OP_XSET, .a = "d/old", .x = 0, .y = 50, .z = 6 },
};

static const struct step all_steps[] = {
	{ .op = OP_READ, .a = "mid" },
	{ .op = OP_MAKE, .a = "new" },
	{ .op = OP_WRITE, .a = "new", .y = 200, .z = 10 },
	{ .op = OP_APPEND, .a = "new", .y = 500, .z = 11 },
	{ .op = OP_FSYNC, .a = "new" },
	{ .op = OP_APPEND, .a = "new", .y = 5000, .z = 12 },
	{ .op = OP_WRITE, .a = "small", .x = 300, .y = 300, .z = 13 },
	{ .op = OP_WRITE, .a = "mid", .x = 4 * K, .y = 8 * K, .z = 14 },
	{ .op = OP_WRITE, .a = "mid", .x = 1000, .y = 9000, .z = 15 },
	{ .op = OP_SYNC },
	{ .op = OP_WRITE, .a = "big", .x = 100 * K + 7, .y = 300 * K, .z = 16 },
	{ .op = OP_PUNCH, .a = "big", .x = 5 * K, .y = 410 * K },
	{ .op = OP_MKDIR, .a = "e" },
	{ .op = OP_RENAME, .a = "d/old", .b = "e/moved" },
	{ .op = OP_RENAME, .a = "new", .b = "small" },
	{ .op = OP_RENAME, .a = "d", .b = "e", .z = X },
	{ .op = OP_FSYNC, .a = "small" },
	{ .op = OP_HOME },
	{ .op = OP_HOME },
	{ .op = OP_RENAME, .a = "p/plain", .b = "p/other", .z = N },
	{ .op = OP_EARLY, .a = "p/other", .x = 100, .y = 140 * K, .z = 23 },
	{ .op = OP_EARLY, .a = "big", .x = 350 * K + 5, .y = 300 * K, .z = 24 },
	{ .op = OP_LINK, .a = "mid", .b = "p/mid2" },
	{ .op = OP_SYMLINK, .a = "s", .b = "to/there" },
	{ .op = OP_FIFO, .a = "p/f" },
	{ .op = OP_XSET, .a = "mid", .x = 1, .y = 15000, .z = 17 },
	{ .op = OP_XSET, .a = "e/old2", .x = 0, .y = 7, .z = 18 },
	{ .op = OP_XDEL, .a = "mid", .x = 1 },
	{ .op = OP_CHMOD, .a = "mid", .x = 0600 },
	{ .op = OP_COPY, .a = "big", .b = "mid", .x = 0, .y = 128 * K, .z = 0 },
	{ .op = OP_SYNC },
	{ .op = OP_COPY, .a = "p/other", .b = "small", .y = 10000, .z = 3000 },
	{ .op = OP_WRITE, .a = "mid", .x = 64 * K, .y = 20 * K, .z = 19 },
	{ .op = OP_TRUNC, .a = "big", .x = 450 * K + 100 },
	{ .op = OP_TRUNC, .a = "p/other", .x = 70 * K + 1 },
	{ .op = OP_ZERO, .a = "p/other", .x = 60 * K + 5, .y = 30 * K },
	{ .op = OP_FALLOC, .a = "small", .x = 0, .y = 50 * K },
	{ .op = OP_REOPEN },
	{ .op = OP_HOLD, .a = "mid" },
	{ .op = OP_UNLINK, .a = "mid" },
	{ .op = OP_UNLINK, .a = "p/mid2" },
	{ .op = OP_HWRITE, .x = 10 * K, .y = 60 * K, .z = 20 },
	{ .op = OP_SYNC },
	{ .op = OP_UNLINK, .a = "s" },
	{ .op = OP_DROP },
	{ .op = OP_UNLINK, .a = "d/moved" },
	{ .op = OP_RMDIR, .a = "d" },
	{ .op = OP_MAKE, .a = "aes" },
	{ .op = OP_SSE, .a = "aes", .b = "AES256" },
	{ .op = OP_WRITE, .a = "aes", .x = 0, .y = 80 * K, .z = 21 },
	{ .op = OP_DEFAULT, .a = "p" },
	{ .op = OP_DEFAULT, .a = "e", .b = "AES256" },
	{ .op = OP_TRUNC, .a = "big", .x = 0 },
	{ .op = OP_WRITE, .a = "big", .x = 90 * K, .y = 300 * K, .z = 22 },
	{ .op = OP_FSYNC, .a = "big" },
	{ .op = OP_UNLINK, .a = "big" },
	{ .op = OP_READ, .a = "aes" },
	{ .op = OP_SYNC },
};

static const struct step large_before[] = {
	{ .op = OP_MAKE, .a = "wide" },
	{ .op = OP_SPREAD, .a = "wide", .y = 1100, .z = 100 },
	{ .op = OP_MAKE, .a = "less" },
	{ .op = OP_SPREAD, .a = "less", .y = 40, .z = 3000 },
	{ .op = OP_MAKE, .a = "from" },
	{ .op = OP_SPREAD, .a = "from", .y = 30, .z = 4000 },
};

static const struct step large_steps[] = {
	{ .op = OP_TRUNC, .a = "wide", .x = 300 * K },
	{ .op = OP_WRITE, .a = "wide", .x = 5000 * K, .y = 10 * K, .z = 1 },
	{ .op = OP_MAKE, .a = "copy" },
	{ .op = OP_COPY, .a = "from", .b = "copy", .y = 7000 * K },
	{ .op = OP_FSYNC, .a = "copy" },
	{ .op = OP_PUNCH, .a = "copy", .x = 1000 * K, .y = 3000 * K },
	{ .op = OP_UNLINK, .a = "from" },
	{ .op = OP_WRITE, .a = "copy", .x = 900 * K, .y = 200 * K, .z = 2 },
	{ .op = OP_REOPEN },
	{ .op = OP_WRITE, .a = "wide", .x = 90000 * K, .y = 10 * K, .z = 3 },
	{ .op = OP_PUNCH, .a = "less", .x = 100, .y = 9000 * K },
	{ .op = OP_UNLINK, .a = "less" },
	{ .op = OP_SYNC },
	{ .op = OP_UNLINK, .a = "copy" },
	{ .op = OP_UNLINK, .a = "wide" },
	{ .op = OP_SYNC },
};

#define SCRIPT(n)                                               \
	{                                                       \
#n, n##_before, n##_steps, COUNTOF(n##_before), \
		    COUNTOF(n##_steps)                          \
	}

const struct script scripts[] = { SCRIPT(all), SCRIPT(large) };
const unsigned nscripts = COUNTOF(scripts);
