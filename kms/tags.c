/*
 * Tags and descriptions: what people note on a key.  Policies may ask about
 * tags.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kms/gate.h"
#include "kms/kms_internal.h"

/* ---- What they may be --------------------------------------------------- */

enum err
description_check(const char *s)
{

	if (!name_text_ok(s, 0, KMS_DESC_CHARS))
		return err_fail(ERR_INVAL,
		    "a description is UTF-8 of %d characters at most",
		    KMS_DESC_CHARS);
	return OK;
}

static enum err
tag_check(const struct kms_tag *t)
{

	if (!name_text_ok(t->name, 1, KMS_TAG_NAME_CHARS))
		return err_fail(ERR_INVAL,
		    "a tag's name is UTF-8 of 1 to %d characters",
		    KMS_TAG_NAME_CHARS);
	if (strncasecmp(t->name, "aws:", 4) == 0)
		return err_fail(
		    ERR_INVAL, "Tags beginning with aws: are reserved");
	if (!name_text_ok(t->value, 0, KMS_TAG_CHARS))
		return err_fail(ERR_INVAL,
		    "a tag's value is UTF-8 of %d characters at most",
		    KMS_TAG_CHARS);
	return OK;
}

enum err
tags_check(const struct kms_tag *tags, size_t n)
{

	if (n > KMS_TAGS_MAX)
		return err_fail(
		    ERR_INVAL, "Too many tags: a key has %d", KMS_TAGS_MAX);
	for (size_t i = 0; i < n; i++) {
		TRY(tag_check(&tags[i]));
		for (size_t j = 0; j < i; j++)
			if (strcmp(tags[i].name, tags[j].name) == 0)
				return err_fail(
				    ERR_INVAL, "Duplicate tag keys");
	}
	return OK;
}

/* ---- Facts -------------------------------------------------------------- */

#define FACT_REQUEST "aws:RequestTag/"

/* "aws:RequestTag/NAME" for each, and the list of all names. */
static size_t
facts_size(const struct kms_tag *tags, size_t n)
{
	size_t size = (n + 1 + TAGS_FACTS_ROOM) * sizeof(struct policy_fact) +
		      2 * n * sizeof(const char *);

	for (size_t i = 0; tags != NULL && i < n; i++)
		size += sizeof(FACT_REQUEST) + strlen(tags[i].name);
	return size;
}

enum err
tags_facts(const struct kms_tag *tags, const char *const *names, size_t n,
    struct policy_fact **ret, size_t *ret_n)
{
	struct policy_fact *f = calloc(1, facts_size(tags, n));
	const char **name, **value;
	char *s;

	*ret = f;
	*ret_n = 0;
	if (f == NULL)
		return ERR_NOMEM;
	name = (const char **)(void *)(f + n + 1 + TAGS_FACTS_ROOM);
	value = name + n;
	s = (char *)(void *)(value + n);
	for (size_t i = 0; i < n; i++) {
		name[i] = tags != NULL ? tags[i].name : names[i];
		if (tags == NULL)
			continue;
		value[i] = tags[i].value;
		f[(*ret_n)++] = (struct policy_fact)POLICY_FACT(s, value[i]);
		s = stpcpy(stpcpy(s, FACT_REQUEST), name[i]) + 1;
	}
	f[(*ret_n)++] = (struct policy_fact){
		.key = "aws:TagKeys", .values = name, .n = n
	};
	return OK;
}

/* ---- Changing ----------------------------------------------------------- */

static enum err
tags_count(struct kms *k, const uint8_t uuid[static UUID_LEN])
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t n = 0;
	bool row = false;

	TRY(kdb_query(&k->db, &st, "SELECT count(*) FROM tags WHERE key = ?",
	    "b", (const void *)uuid, (size_t)UUID_LEN));
	TRY(kdb_step(&k->db, st, &row));
	TRY(kdb_col_int(st, 0, 0, INT64_MAX, &n));
	if (n > KMS_TAGS_MAX)
		return err_fail(
		    ERR_LIMIT, "a key has %d tags at most", KMS_TAGS_MAX);
	return OK;
}

enum err
tags_put(struct kms *k, const uint8_t uuid[static UUID_LEN],
    const struct kms_tag *tags, size_t n)
{

	for (size_t i = 0; i < n; i++)
		TRY(kdb_run(&k->db,
		    "INSERT OR REPLACE INTO tags(key, name, value) "
		    "VALUES(?,?,?)",
		    "btt", (const void *)uuid, (size_t)UUID_LEN, tags[i].name,
		    tags[i].value));
	return tags_count(k, uuid);
}

struct note {
	const struct keyref *key;
	const struct kms_tag *tags;
	const char *const *names; /* to be removed */
	size_t n;
	const char *text; /* description */
};

static enum err
tag_set_tx(struct kms *k, void *arg)
{
	const struct note *a = arg;

	return tags_put(k, a->key->uuid, a->tags, a->n);
}

static enum err
tag_remove_tx(struct kms *k, void *arg)
{
	const struct note *a = arg;

	for (size_t i = 0; i < a->n; i++)
		TRY(kdb_run(&k->db,
		    "DELETE FROM tags WHERE key = ? AND name = ?", "bt",
		    (const void *)a->key->uuid, (size_t)UUID_LEN, a->names[i]));
	return OK;
}

static enum err
description_tx(struct kms *k, void *arg)
{
	const struct note *a = arg;

	TRY(kdb_run(&k->db, "UPDATE keys SET description = ? WHERE uuid = ?",
	    "tb", a->text, (const void *)a->key->uuid, (size_t)UUID_LEN));
	return keys_changed(k, a->key);
}

static enum err
change_note(
    struct kms *k, struct call *c, const char *action, kms_change_fn *fn)
{
	struct note *a = c->arg;

	TRY(gate_key(k, c, c->keyname, action, &c->key));
	TRY(state_managed(&c->key));
	TRY(state_allows(&c->key, KEY_OP_CHANGE));
	a->key = &c->key;
	/* Rights may hang on a tag. */
	return kms_change(k, fn, a, a->text == NULL);
}

static enum err
op_tag_set(struct kms *k, struct call *c)
{
	const struct note *a = c->arg;

	TRY(tags_check(a->tags, a->n));
	return change_note(k, c, "kms:TagResource", tag_set_tx);
}

enum err
kms_tag_set(struct kms *k, const struct kms_who *who, const char *keyname,
    const struct kms_tag *tags, size_t n)
{
	struct policy_fact *facts CLEANUP_FREE = NULL;
	struct note a = { .tags = tags, .n = n };
	struct params params;
	struct call c = { .who = who,
		.event = "TagResource",
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.arg = &a };

	params_begin(&params);
	params_tags(&params, "tags", tags, n);
	TRY(tags_facts(tags, NULL, n, &facts, &c.nfacts));
	c.facts = facts;
	return gate_run(k, &c, op_tag_set);
}

static enum err
op_tag_remove(struct kms *k, struct call *c)
{

	return change_note(k, c, "kms:UntagResource", tag_remove_tx);
}

enum err
kms_tag_remove(struct kms *k, const struct kms_who *who, const char *keyname,
    const char *const *names, size_t n)
{
	struct policy_fact *facts CLEANUP_FREE = NULL;
	struct note a = { .names = names, .n = n };
	struct params params;
	struct call c = { .who = who,
		.event = "UntagResource",
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.arg = &a };

	params_begin(&params);
	params_strs(&params, "tagKeys", names, n);
	TRY(tags_facts(NULL, names, n, &facts, &c.nfacts));
	c.facts = facts;
	return gate_run(k, &c, op_tag_remove);
}

static enum err
op_description(struct kms *k, struct call *c)
{
	const struct note *a = c->arg;

	TRY(description_check(a->text));
	return change_note(k, c, "kms:UpdateKeyDescription", description_tx);
}

enum err
kms_key_set_description(struct kms *k, const struct kms_who *who,
    const char *keyname, const char *text)
{
	struct note a = { .text = text };
	struct params params;
	struct call c = { .who = who,
		.event = "UpdateKeyDescription",
		.keyname = keyname == NULL ? "" : keyname,
		.params = &params,
		.arg = &a };

	params_begin(&params);
	params_str(&params, "description", text);
	return gate_run(k, &c, op_description);
}

/* ---- Reading ------------------------------------------------------------ */

struct tag_text {
	char name[KMS_TAG_NAME_MAX];
	char value[KMS_TAG_MAX];
};

/* Copied out, so that callbacks run without a lock. */
struct tag_list {
	struct tag_text v[KMS_TAGS_MAX];
	size_t n;
};

static enum err
op_tag_list(struct kms *k, struct call *c)
{
	struct tag_list *l = c->arg;

	TRY(gate_key(k, c, c->keyname, "kms:ListResourceTags", &c->key));
	LOCK_SCOPE(&k->conn);
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(&k->db, &st,
	    "SELECT name, value FROM tags WHERE key = ? ORDER BY name", "b",
	    (const void *)c->key.uuid, (size_t)UUID_LEN));
	for (l->n = 0; l->n < KMS_TAGS_MAX; l->n++) {
		struct tag_text *t = &l->v[l->n];

		TRY(kdb_step(&k->db, st, &row));
		if (!row)
			break;
		TRY(kdb_col_text(st, 0, t->name, sizeof(t->name)));
		TRY(kdb_col_text(st, 1, t->value, sizeof(t->value)));
	}
	return OK;
}

enum err
kms_tag_list(struct kms *k, const struct kms_who *who, const char *keyname,
    void (*cb)(void *arg, const char *name, const char *value), void *arg)
{
	struct tag_list *l CLEANUP_FREE = calloc(1, sizeof(*l));
	struct call c = { .who = who,
		.event = "ListResourceTags",
		.read_only = true,
		.keyname = keyname == NULL ? "" : keyname,
		.arg = l };

	if (l == NULL)
		return ERR_NOMEM;
	TRY(gate_run(k, &c, op_tag_list));
	for (size_t i = 0; i < l->n; i++)
		cb(arg, l->v[i].name, l->v[i].value);
	return OK;
}
