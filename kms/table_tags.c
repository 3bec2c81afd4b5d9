/*
 * The tags of the keys in memory, as facts for policies.
 */
#include <stdlib.h>
#include <string.h>

#include "kms/table.h"

/* What a fact points to. */
struct ttag {
	const char *value;
	char key[]; /* then the value */
};

static enum err
ttag_new(const char *name, const char *value, struct ttag **ret)
{
	const size_t len = strlen(FACT_TAG) + strlen(name) + 1;
	struct ttag *t = malloc(sizeof(*t) + len + strlen(value) + 1);

	if (t == NULL)
		return ERR_NOMEM;
	strcpy(t->key, FACT_TAG);
	strcat(t->key, name);
	t->value = strcpy(t->key + len, value);
	*ret = t;
	return OK;
}

/* Most keys have a few. */
static enum err
room_for_one(struct tkey *k)
{
	void *p;

	if (k->ntags != 0 && (k->ntags < 4 || (k->ntags & (k->ntags - 1)) != 0))
		return OK;
	p = reallocarray(
	    k->tags, k->ntags == 0 ? 4 : 2 * k->ntags, sizeof(*k->tags));
	if (p == NULL)
		return ERR_NOMEM;
	k->tags = p;
	p = reallocarray(
	    k->tag, k->ntags == 0 ? 4 : 2 * k->ntags, sizeof(struct ttag *));
	if (p == NULL)
		return ERR_NOMEM;
	k->tag = p;
	return OK;
}

static enum err
add(struct tkey *k, const char *name, const char *value)
{
	struct ttag *t;

	TRY(room_for_one(k));
	TRY(ttag_new(name, value, &t));
	k->tag[k->ntags] = t;
	k->tags[k->ntags++] =
	    (struct policy_fact){ .key = t->key, .values = &t->value, .n = 1 };
	return OK;
}

void
table_free_tags(struct tkey *k)
{

	for (size_t i = 0; i < k->ntags; i++)
		free(k->tag[i]);
	free(k->tag);
	free(k->tags);
}

enum err
table_load_tags(struct db *db, struct table *t)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(db, &st,
	    "SELECT key, name, value FROM tags ORDER BY key, name", ""));
	for (;;) {
		char name[KMS_TAG_NAME_MAX], value[KMS_TAG_MAX];
		uint8_t uuid[UUID_LEN];
		struct tkey *k;

		TRY(kdb_step(db, st, &row));
		if (!row)
			return OK;
		TRY(kdb_col_blob(st, 0, uuid, sizeof(uuid)));
		TRY(kdb_col_text(st, 1, name, sizeof(name)));
		TRY(kdb_col_text(st, 2, value, sizeof(value)));
		k = table_by_id(t, uuid);
		if (k == NULL)
			return err_fail(
			    ERR_CORRUPT, "keystore: a tag is on no key");
		TRY(add(k, name, value));
	}
}
