/*
 * What policies depend on.
 */
#include <string.h>
#include <strings.h>

#include "lib/base/attrs.h"

#include "kms/policy_internal.h"

int
policy_operation(const char *action)
{

	return op_find(action);
}

/* Facts that go with the asker or the resource, not with the request. */
static bool
fact_steady(const struct fact *f)
{
	static const char *const names[] = { "kms:KeySpec", "kms:KeyUsage",
		"kms:KeyOrigin", "kms:MultiRegion", "kms:EncryptionAlgorithm",
		"kms:ViaService", "kms:ResourceAliases", "aws:RequestedRegion",
		"aws:ViaAWSService", "aws:PrincipalIsAWSService" };

	switch (f->id) {
	case FACT_USER:
	case FACT_USER_ID:
	case FACT_ACCOUNT:
	case FACT_PRINCIPAL_ARN:
	case FACT_PRINCIPAL_ARN_RAM:
	case FACT_PRINCIPAL_TYPE:
		return true;
	case FACT_TIME:
	case FACT_EPOCH:
	case FACT_SOURCE_IP:
	case FACT_CONTEXT:
	case FACT_CONTEXT_KEYS:
		return false;
	case FACT_OTHER:
		break;
	}
	for (size_t i = 0; i < COUNTOF(names); i++)
		if (strcasecmp(f->name, names[i]) == 0)
			return true;
	return strncasecmp(f->name, FACT_TAG, strlen(FACT_TAG)) == 0;
}

static bool
varies(const char *pattern)
{

	return pattern != NULL && strchr(pattern, PAT_VAR) != NULL;
}

static bool
arn_varies(const struct arn *a)
{
	bool any = false;

	for (size_t i = 0; i < ARN_FIELDS && !a->any; i++)
		any = any || varies(a->field[i]);
	return any;
}

static bool
cond_steady(const struct cond *c)
{

	if (!fact_steady(&c->key))
		return false;
	for (size_t i = 0; i < c->n; i++)
		if ((c->type == COND_STRING && varies(c->value[i].pattern)) ||
		    (c->type == COND_ARN && arn_varies(&c->value[i].arn)))
			return false;
	return true;
}

bool
policy_steady(const struct policy *p, const char *action)
{
	const int op = op_find(action);

	if (op == OP_NONE)
		return false;
	for (size_t i = 0; i < p->n; i++) {
		const struct statement *st = &p->statement[i];

		if ((st->ops >> op & 1) == 0)
			continue;
		for (size_t r = 0; r < st->nresources; r++)
			if (arn_varies(&st->resource[r]))
				return false;
		for (size_t c = 0; c < st->nconds; c++)
			if (!cond_steady(&st->cond[c]))
				return false;
	}
	return true;
}
