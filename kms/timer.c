/*
 * The timer: what happens to keys by themselves, when its time has come.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

#include "kms/kms_internal.h"

static bool
delete_due(const struct tkey *t, int64_t now)
{

	return t->state == KMS_PENDING_DELETION && t->delete_at <= now;
}

static bool
rotate_due(const struct tkey *t, int64_t now)
{

	return t->state == KMS_ENABLED && t->rotate_days != 0 &&
	       t->rotate_at <= now;
}

static bool
expire_due(const struct tkey *t, int64_t now)
{

	return t->expires != 0 && t->expires <= now && t->nv != 0;
}

typedef enum err due_fn(struct kms *k, struct due *d);

static due_fn *
due_fn_of(const struct tkey *t, int64_t now)
{

	if (delete_due(t, now))
		return keys_delete_due;
	if (expire_due(t, now))
		return keys_expire_due;
	return rotate_due(t, now) ? keys_rotate_due : NULL;
}

/* The first key after the ${*pos}th for which it is time. */
static bool
next_due(struct kms *k, size_t *pos, struct due *d, due_fn **ret)
{
	RWLOCK_READ_SCOPE(&k->tab_lock);

	while (*pos < k->tab->nkeys) {
		const struct tkey *t = &k->tab->keys[(*pos)++];

		*ret = due_fn_of(t, d->now);
		if (*ret == NULL)
			continue;
		memcpy(d->uuid, t->uuid, UUID_LEN);
		memcpy(d->tenant, t->tenant, sizeof(d->tenant));
		strcpy(d->arn, t->arn);
		d->kind = t->kind;
		d->told = atomic_load(&t->told);
		return true;
	}
	return false;
}

enum err
kms_timer(struct kms *k)
{
	struct due d = { .now = clock_wall().tv_sec };
	enum err first = OK;
	due_fn *fn;
	bool mine;

	rwlock_read(&k->tab_lock);
	mine = k->uses != NULL;
	rwlock_drop(&k->tab_lock);
	if (!mine)
		return OK;

	/* A key that goes moves those behind it up by one; it is passed over
	 * until the next time. */
	for (size_t pos = 0; next_due(k, &pos, &d, &fn);) {
		const enum err e = fn(k, &d);

		if (first == OK)
			first = e;
	}
	return first;
}
