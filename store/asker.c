/*
 * asker: who asked for files' keys, each of them once.
 *
 * There are as many as users have come through this process, which is few; they
 * are kept until the store closes, as files that are open name them.
 */
#include <stdio.h>
#include <string.h>

#include "store/object.h"

#define BITS 64

static bool
same(const struct asker *a, const struct kms_who *who)
{
	const char *tenant =
	    who->tenant != NULL ? who->tenant : KMS_TENANT_DEFAULT;

	return (strcmp(a->user, who->user) == 0 &&
		strcmp(a->tenant, tenant) == 0 &&
		strcmp(a->agent, who->agent) == 0);
}

struct kms_who
asker_who(const struct store *st, const struct kms_who *who)
{
	struct kms_who w = *who;

	w.via_service = st->kms != NULL ? kms_via_storage(st->kms) : NULL;
	return (w);
}

enum err
asker_get(struct store *st, const struct kms_who *who, const struct asker **ret)
{
	struct asker *a = NULL;
	unsigned n = 0;

	for (a = st->askers; a != NULL; a = a->next, n++)
		if (same(a, who)) {
			*ret = a;
			return (OK);
		}
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return (ERR_NOMEM);
	(void)snprintf(a->tenant, sizeof(a->tenant), "%s",
	    who->tenant != NULL ? who->tenant : KMS_TENANT_DEFAULT);
	(void)snprintf(a->user, sizeof(a->user), "%s", who->user);
	(void)snprintf(a->agent, sizeof(a->agent), "%s", who->agent);
	a->who = asker_who(
	    st, &(const struct kms_who){
		    .tenant = a->tenant, .user = a->user, .agent = a->agent });
	a->bit = n < BITS ? UINT64_C(1) << n : 0;
	a->next = st->askers;
	st->askers = a;
	*ret = a;
	return (OK);
}

bool
askers_lost(struct store *st, const char *arn, uint64_t *may)
{
	bool lost = false;

	for (const struct asker *a = st->askers; a != NULL; a = a->next) {
		if (a->bit != 0 && (*may & a->bit) == 0)
			continue;
		if (kms_still(st->kms, &a->who, arn, NULL, 0, true) !=
		    ERR_ACCESS)
			continue;
		*may &= ~a->bit;
		lost = true;
	}
	return (lost);
}

void
askers_close(struct store *st)
{
	while (st->askers != NULL) {
		struct asker *a = st->askers;

		st->askers = a->next;
		free(a);
	}
}
