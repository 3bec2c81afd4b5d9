/*
 * state: a store that is open on a simulated disk, checked.
 */
#include <stdio.h>
#include <string.h>

#include "kms/audit.h"
#include "lib/base/clock.h"

#include "tests/crash/seeded.h"
#include "tests/crash/state.h"
#include "tests/crash/work.h"

#define LOOK_STREAM 2000

struct problems {
	char *text;
	size_t size;
};

static void
problem(void *arg, const struct store_problem *p)
{
	struct problems *ps = arg;
	const size_t at = strlen(ps->text);

	(void)snprintf(ps->text + at, ps->size - at, "\n#   %s inode %llu: %s",
	    p->invariant, (unsigned long long)p->ino, p->what);
}

static void
bad_block(void *arg, const struct store_damage *d)
{
	struct problems *ps = arg;
	const size_t at = strlen(ps->text);

	(void)snprintf(ps->text + at, ps->size - at,
	    "\n#   scrub: inode %llu at %llu: %s: %s",
	    (unsigned long long)d->ino, (unsigned long long)d->off,
	    err_name(d->e), d->what);
}

/* Segments that lie under others hold blocks that no file shows any more. */
static bool
scrubbed(struct store *st, char *why)
{
	char text[WHY_MAX / 2] = "";
	struct problems ps = { text, sizeof(text) };
	const struct store_scrub_opts o = {
		.keys = true, .who = &crash_who, .bad = bad_block, .arg = &ps
	};
	struct store_scrub_result res;
	const enum err e = store_scrub(st, &o, &res);

	if (e != OK)
		return (
		    because(why, "scrub: %s (%s)", err_name(e), err_detail(e)));
	return (
	    res.bad == 0 || because(why, "not all blocks are good:%s", text));
}

static bool
checked(struct store *st, char *why)
{
	char text[WHY_MAX / 2] = "";
	struct problems ps = { text, sizeof(text) };
	struct store_check_result res;
	const enum err e = store_check(st, false, problem, &ps, &res);

	if (e != OK)
		return (
		    because(why, "check: %s (%s)", err_name(e), err_detail(e)));
	return (res.problems == 0 || because(why, "fsck:%s", text));
}

static bool
audited(struct store *st, char *why)
{
	struct audit_verdict v = { .bad_seq = 0 };

	if (store_kms(st) == NULL)
		return (true);
	if (audit_verify(store_kms(st), NULL, NULL, &v) != OK)
		return (because(why, "the audit log cannot be read"));
	return (v.bad_seq == 0 || because(why, "audit record %llu: %s",
				      (unsigned long long)v.bad_seq, v.what));
}

bool
state_open(struct disk *d, struct store **ret, char *why)
{
	const struct timespec t = { 1500000000, 0 };
	const struct store_opts o = base_opts();
	enum err e;

	clock_freeze(&t);
	seeded_start(LOOK_STREAM);
	sim_mount(d, NULL);
	e = store_open_dir(&o, ret);
	return (e == OK ||
		because(why, "open: %s (%s)", err_name(e), err_detail(e)));
}

bool
state_whole(struct store *st, char *why)
{
	return (audited(st, why) && scrubbed(st, why) && checked(st, why));
}

bool
state_close(struct disk *d, struct store *st, bool good, char *why)
{
	enum err e;

	if (st != NULL) {
		e = store_close_dir(st);
		if (good && e != OK)
			good = because(why, "close: %s", err_name(e));
	}
	sim_unmount();
	disk_free(d);
	return (good);
}
