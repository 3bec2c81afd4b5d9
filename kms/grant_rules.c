/*
 * What a grant may be, and what policies may ask about it.
 */
#include <string.h>

#include "kms/grant_rules.h"
#include "kms/name.h"

static enum err
text_check(const char *s, size_t max, const char *what)
{

	if (strnlen(s, max) < max && name_utf8_ok(s))
		return OK;
	return err_fail(
	    ERR_INVAL, "%s is UTF-8 of %zu bytes at most", what, max - 1);
}

/* Services have dots in their names; what has none is a slip. */
bool
kms_principal_ok(const char *s)
{

	return (strncmp(s, "arn:", 4) == 0 || strchr(s, '.') != NULL) &&
	       policy_grantee_ok(s);
}

enum err
grant_principal_check(const char *s, const char *what)
{

	TRY(text_check(s, KMS_PRINCIPAL_MAX, what));
	if (kms_principal_ok(s))
		return OK;
	return err_fail(
	    ERR_INVAL, "%s is no ARN of a user, a role or an account", what);
}

enum err
grant_check(const struct kms_grant *g)
{

	TRY(text_check(g->name, KMS_GRANT_NAME_MAX, "a grant's name"));
	TRY(grant_principal_check(g->grantee, "the grantee"));
	if (*g->retiring != '\0')
		TRY(grant_principal_check(
		    g->retiring, "the retiring principal"));
	if (g->operations == 0 ||
	    (g->operations & ~(uint32_t)KMS_GRANT_ALL) != 0)
		return err_fail(ERR_INVAL, "a grant allows some operations");
	if (g->npairs > KMS_GRANT_PAIRS_MAX)
		return err_fail(ERR_INVAL, "a constraint has %d pairs at most",
		    KMS_GRANT_PAIRS_MAX);
	for (size_t i = 0; i < g->npairs; i++)
		if (!name_text_ok(g->pairs[i].value, 0, KMS_GRANT_VALUE_MAX))
			return err_fail(ERR_INVAL,
			    "a value in a constraint is UTF-8 of %d characters "
			    "at most",
			    KMS_GRANT_VALUE_MAX);
	if ((g->constraint == KMS_CONSTRAINT_NONE) != (g->npairs == 0))
		return err_fail(ERR_INVAL,
		    "a constraint has pairs, and pairs are a constraint");
	return OK;
}

static bool
has_pair(const struct kms_grant *g, const struct kms_pair *pair)
{

	for (size_t i = 0; i < g->npairs; i++)
		if (strcmp(g->pairs[i].key, pair->key) == 0 &&
		    strcmp(g->pairs[i].value, pair->value) == 0)
			return true;
	return false;
}

bool
grant_within(const struct kms_grant *from, const struct kms_grant *g)
{

	if ((g->operations & ~from->operations) != 0)
		return false;
	if (from->constraint == KMS_CONSTRAINT_EQUALS &&
	    (g->constraint != from->constraint || g->npairs != from->npairs))
		return false;
	for (size_t i = 0; i < from->npairs; i++)
		if (!has_pair(g, &from->pairs[i]))
			return false;
	return true;
}

/* ---- Facts -------------------------------------------------------------- */

static void
put_fact(
    struct grant_facts *f, const char *key, const char *const *values, size_t n)
{

	f->v[f->n++] =
	    (struct policy_fact){ .key = key, .values = values, .n = n };
}

void
grant_service_fact(const struct kms_who *who, struct grant_facts *f)
{

	f->for_service = who->via_service != NULL ? "true" : "false";
	put_fact(f, "kms:GrantIsForAWSResource", &f->for_service, 1);
}

void
grant_end_facts(const struct kms_grant *g, struct grant_facts *f)
{

	f->constraint = g->constraint == KMS_CONSTRAINT_EQUALS
			    ? "EncryptionContextEquals"
			    : "EncryptionContextSubset";
	if (g->constraint != KMS_CONSTRAINT_NONE)
		put_fact(f, "kms:GrantConstraintType", &f->constraint, 1);
}

void
grant_facts(const struct kms_grant *g, struct grant_facts *f)
{
	size_t n = 0;

	for (unsigned i = 0; i < KMS_GRANT_OPS; i++)
		if ((g->operations & UINT32_C(1) << i) != 0)
			f->op[n++] = kms_grant_op_name(i);
	put_fact(f, "kms:GrantOperations", f->op, n);
	put_fact(f, "kms:GranteePrincipal", &g->grantee, 1);
	if (*g->retiring != '\0')
		put_fact(f, "kms:RetiringPrincipal", &g->retiring, 1);
	grant_end_facts(g, f);
}
