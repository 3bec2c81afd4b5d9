/*
 * Grants in memory: with their key, in the order of their ids, and once more as
 * the policy engine takes them.
 */
#include <stdlib.h>
#include <string.h>

#include "kms/context.h"
#include "kms/table.h"

static const char *const op_names[KMS_GRANT_OPS] = {
	"Decrypt",
	"Encrypt",
	"GenerateDataKey",
	"GenerateDataKeyWithoutPlaintext",
	"ReEncryptFrom",
	"ReEncryptTo",
	"CreateGrant",
	"RetireGrant",
	"DescribeKey",
};

const char *
kms_grant_op_name(unsigned i)
{

	return i < KMS_GRANT_OPS ? op_names[i] : NULL;
}

uint32_t
kms_grant_op_bit(const char *name)
{

	for (unsigned i = 0; i < KMS_GRANT_OPS; i++)
		if (strcmp(name, op_names[i]) == 0)
			return UINT32_C(1) << i;
	return 0;
}

/* ---- One grant ---------------------------------------------------------- */

static const char *
put(char **p, const char *s)
{
	const size_t len = strlen(s) + 1;
	const char *at = *p;

	memcpy(*p, s, len);
	*p += len;
	return at;
}

enum err
tgrant_new(const struct kms_grant *g, const char *id, const char *arn,
    struct tgrant **ret)
{
	size_t len = strlen(g->name) + strlen(g->grantee) +
		     strlen(g->retiring) + strlen(g->issuer) + 4;
	struct tgrant *t;
	char *p;

	for (size_t i = 0; i < g->npairs; i++)
		len += strlen(g->pairs[i].key) + strlen(g->pairs[i].value) + 2;
	t = calloc(1, sizeof(*t) + g->npairs * sizeof(t->pairs[0]) + len);
	if (t == NULL)
		return ERR_NOMEM;
	p = (char *)(t->pairs + g->npairs);
	t->g = *g;
	strcpy(t->id, id);
	strcpy(t->arn, arn);
	t->g.id = t->id;
	t->g.key = t->arn;
	t->g.name = put(&p, g->name);
	t->g.grantee = put(&p, g->grantee);
	t->g.retiring = put(&p, g->retiring);
	t->g.issuer = put(&p, g->issuer);
	t->g.pairs = t->pairs;
	for (size_t i = 0; i < g->npairs; i++) {
		t->pairs[i].key = put(&p, g->pairs[i].key);
		t->pairs[i].value = put(&p, g->pairs[i].value);
	}
	for (unsigned i = 0; i < KMS_GRANT_OPS; i++)
		if ((g->operations & UINT32_C(1) << i) != 0)
			t->ops[t->nops++] = op_names[i];
	*ret = t;
	return OK;
}

const struct tgrant *
table_grant(const struct tkey *k, const char *id)
{
	size_t lo = 0, hi = k->ngrants;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		const int c = strcmp(id, k->grants[mid]->id);

		if (c == 0)
			return k->grants[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static void
as_allowed(const struct tgrant *t, struct policy_grant *ret)
{

	memset(ret, 0, sizeof(*ret));
	ret->grantee = t->g.grantee;
	ret->operations = t->ops;
	ret->noperations = t->nops;
	ret->has_equals = t->g.constraint == KMS_CONSTRAINT_EQUALS;
	if (ret->has_equals) {
		ret->equals = t->g.pairs;
		ret->nequals = t->g.npairs;
	} else {
		ret->subset = t->g.pairs;
		ret->nsubset = t->g.npairs;
	}
}

/* ---- All ---------------------------------------------------------------- */

#define PAIRS_MAX 64 /* that grants once had */

/* What a row is read into. */
struct row {
	uint8_t key[UUID_LEN];
	char id[KMS_GRANT_ID_MAX];
	char name[KMS_GRANT_NAME_MAX];
	char grantee[KMS_PRINCIPAL_MAX];
	char retiring[KMS_PRINCIPAL_MAX];
	char issuer[KMS_PRINCIPAL_MAX];
	struct kms_pair pairs[PAIRS_MAX];
	char room[KMS_CONTEXT_MAX];
};

static enum err
read_row(sqlite3_stmt *st, struct row *r, struct kms_grant *g)
{
	int64_t operations = 0, constraint = 0;
	const void *context;

	TRY(kdb_col_text(st, 0, r->id, sizeof(r->id)));
	TRY(kdb_col_blob(st, 1, r->key, sizeof(r->key)));
	TRY(kdb_col_text(st, 2, r->name, sizeof(r->name)));
	TRY(kdb_col_text(st, 3, r->grantee, sizeof(r->grantee)));
	TRY(kdb_col_text(st, 4, r->retiring, sizeof(r->retiring)));
	TRY(kdb_col_text(st, 5, r->issuer, sizeof(r->issuer)));
	TRY(kdb_col_int(st, 6, 1, KMS_GRANT_ALL, &operations));
	TRY(kdb_col_int(
	    st, 7, KMS_CONSTRAINT_NONE, KMS_CONSTRAINT_SUBSET, &constraint));
	context = sqlite3_column_blob(st, 8);
	TRY(kdb_col_int(st, 9, INT64_MIN, INT64_MAX, &g->created));
	if (context == NULL ||
	    context_read(context, (size_t)sqlite3_column_bytes(st, 8), r->pairs,
		COUNTOF(r->pairs), r->room, &g->npairs) != OK)
		return err_fail(
		    ERR_CORRUPT, "keystore: malformed constraint of a grant");
	g->name = r->name;
	g->grantee = r->grantee;
	g->retiring = r->retiring;
	g->issuer = r->issuer;
	g->operations = (uint32_t)operations;
	g->constraint = (enum kms_constraint)constraint;
	g->pairs = r->pairs;
	return OK;
}

/* Room for one more of ${size} bytes, in steps of powers of two. */
static enum err
grow(void **array, size_t n, size_t size)
{
	void *bigger;

	if (n != 0 && (n & (n - 1)) != 0)
		return OK;
	bigger = reallocarray(*array, n == 0 ? 1 : 2 * n, size);
	if (bigger == NULL)
		return ERR_NOMEM;
	*array = bigger;
	return OK;
}

static enum err
add(struct table *t, const struct row *r, const struct kms_grant *g)
{
	struct tkey *k = table_by_id(t, r->key);
	void *grants, *allow;

	if (k == NULL)
		return err_fail(ERR_CORRUPT, "keystore: a grant is on no key");
	grants = k->grants;
	TRY(grow(&grants, k->ngrants, sizeof(struct tgrant *)));
	k->grants = grants;
	allow = k->allow;
	TRY(grow(&allow, k->ngrants, sizeof(*k->allow)));
	k->allow = allow;
	TRY(tgrant_new(g, r->id, k->arn, &k->grants[k->ngrants]));
	as_allowed(k->grants[k->ngrants], &k->allow[k->ngrants]);
	k->ngrants++;
	return OK;
}

enum err
table_load_grants(struct db *db, struct table *t)
{
	struct row *r CLEANUP_FREE = calloc(1, sizeof(*r));
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	if (r == NULL)
		return ERR_NOMEM;
	TRY(kdb_query(db, &st,
	    "SELECT id, key, name, grantee, retiring, issuer, operations, "
	    "constrained, context, created FROM grants ORDER BY id",
	    ""));
	for (;;) {
		struct kms_grant g = { 0 };

		TRY(kdb_step(db, st, &row));
		if (!row)
			return OK;
		TRY(read_row(st, r, &g));
		TRY(add(t, r, &g));
	}
}
