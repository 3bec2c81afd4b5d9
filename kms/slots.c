/*
 * The calls on slots: adding, changing, removing, listing ways to unlock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"

#include "kms/gate.h"
#include "kms/kms_internal.h"
#include "kms/slot.h"

struct change {
	struct slot *s;              /* add, change */
	unsigned n;                  /* remove, change */
	const struct kms_root *root; /* change */
};

/* Before a slot is made: a token keeps the key that is made in it. */
static enum err
slot_exists(struct kms *k, unsigned n)
{
	LOCK_SCOPE(&k->conn);
	struct slot *s CLEANUP_FREE = calloc(SLOT_MAX, sizeof(*s));
	unsigned have = 0;

	if (s == NULL)
		return ERR_NOMEM;
	TRY(slot_load(&k->db, s, &have));
	for (unsigned i = 0; i < have; i++)
		if (s[i].n == n)
			return OK;
	return err_fail(ERR_NOENT, "no slot %u", n);
}

/* The change that was to bring in slot ${s} ended with ${e}.  What a commit that
 * failed has left is known only to the next one that opens the keystore, so the
 * key in the token is not destroyed; its owner is told. */
static enum err
made_for(const struct slot *s, enum err e)
{
	char why[256];

	if (e == OK || s->kind != KMS_ROOT_TOKEN)
		return e;
	(void)snprintf(why, sizeof(why), "%s", err_detail(e));
	log_warn("slot %u was not recorded; a key that was made for it stays "
		 "in the token: remove it there, unless ssefs key slot ls "
		 "shows the slot after all",
	    s->n);
	return err_fail(e, "%s", why);
}

static enum err
free_number(struct kms *k, unsigned *ret)
{
	LOCK_SCOPE(&k->conn);
	struct slot *s CLEANUP_FREE = calloc(SLOT_MAX, sizeof(*s));
	unsigned n = 0;

	if (s == NULL)
		return ERR_NOMEM;
	TRY(slot_load(&k->db, s, &n));
	*ret = 0;
	for (unsigned i = 0; i < n && s[i].n == *ret; i++)
		++*ret;
	if (*ret >= SLOT_MAX)
		return err_fail(ERR_LIMIT, "all %d slots are in use", SLOT_MAX);
	return OK;
}

static enum err
add_tx(struct kms *k, void *arg)
{
	const struct change *a = arg;

	return slot_insert(&k->db, a->s);
}

static enum err
op_add(struct kms *k, struct call *c)
{
	struct slot *s CLEANUP_FREE = calloc(1, sizeof(*s));
	struct change a = { .s = s };
	unsigned n = 0;

	if (s == NULL)
		return ERR_NOMEM;
	TRY(gate_policy(k, c, "kms:AddSlot", "*"));
	/* A passphrase takes a while to stretch: outside every lock.  Should
	 * another process take the number meanwhile, the insert says so. */
	TRY(free_number(k, &n));
	TRY(slot_make(k->uuid, k->sealing, n, c->arg, k->kmk, s));
	return made_for(s, kms_change(k, add_tx, &a, false));
}

enum err
kms_slot_add(
    struct kms *k, const struct kms_who *who, const struct kms_root *root)
{
	struct kms_root copy = *root;
	struct call c = { .who = who, .event = "AddSlot", .arg = &copy };

	return gate_run(k, &c, op_add);
}

/* In one transaction, so that there is always a way. */
static enum err
change_tx(struct kms *k, void *arg)
{
	const struct change *a = arg;

	TRY(slot_delete(&k->db, a->n));
	if (sqlite3_changes(k->db.h) == 0)
		return err_fail(ERR_NOENT, "no slot %u", a->n);
	return slot_insert(&k->db, a->s);
}

static enum err
op_change(struct kms *k, struct call *c)
{
	struct slot *s CLEANUP_FREE = calloc(1, sizeof(*s));
	struct change *a = c->arg;

	if (s == NULL)
		return ERR_NOMEM;
	TRY(gate_policy(k, c, "kms:AddSlot", "*"));
	TRY(gate_policy(k, c, "kms:RemoveSlot", "*"));
	TRY(slot_exists(k, a->n));
	TRY(slot_make(k->uuid, k->sealing, a->n, a->root, k->kmk, s));
	a->s = s;
	return made_for(s, kms_change(k, change_tx, a, false));
}

enum err
kms_slot_change(struct kms *k, const struct kms_who *who, unsigned n,
    const struct kms_root *root)
{
	struct change a = { .n = n, .root = root };
	struct call c = { .who = who, .event = "ChangeSlot", .arg = &a };

	if (n >= SLOT_MAX)
		return err_fail(ERR_NOENT, "no slot %u", n);
	return gate_run(k, &c, op_change);
}

static enum err
remove_tx(struct kms *k, void *arg)
{
	const struct change *a = arg;
	struct slot *s CLEANUP_FREE = calloc(SLOT_MAX, sizeof(*s));
	unsigned n = 0, i = 0;

	if (s == NULL)
		return ERR_NOMEM;
	TRY(slot_load(&k->db, s, &n));
	while (i < n && s[i].n != a->n)
		i++;
	if (i == n)
		return err_fail(ERR_NOENT, "no slot %u", a->n);
	if (n == 1)
		return err_fail(ERR_PERM,
		    "slot %u is the only way to the keys; add another first",
		    a->n);
	return slot_delete(&k->db, a->n);
}

static enum err
op_remove(struct kms *k, struct call *c)
{

	TRY(gate_policy(k, c, "kms:RemoveSlot", "*"));
	return kms_change(k, remove_tx, c->arg, false);
}

enum err
kms_slot_remove(struct kms *k, const struct kms_who *who, unsigned n)
{
	struct change a = { .n = n };
	struct call c = { .who = who, .event = "RemoveSlot", .arg = &a };

	return gate_run(k, &c, op_remove);
}

enum err
kms_slot_list(struct kms *k,
    void (*cb)(void *arg, unsigned n, enum kms_root_kind kind, const char *path,
	int64_t created),
    void *arg)
{
	struct slot *s CLEANUP_FREE = calloc(SLOT_MAX, sizeof(*s));
	unsigned n = 0;
	enum err e;

	if (s == NULL)
		return ERR_NOMEM;
	lock_take(&k->conn);
	e = slot_load(&k->db, s, &n);
	lock_drop(&k->conn);
	TRY(e);
	for (unsigned i = 0; i < n; i++)
		cb(arg, s[i].n, s[i].kind, s[i].path, s[i].created);
	return OK;
}
