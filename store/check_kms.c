/*
 * check_kms: fsck of the keystore: identities (K1), the audit log (K2).
 */
#include <stdio.h>

#include "kms/audit.h"
#include "kms/who.h"
#include "store/check_internal.h"

static void
bad_identity(void *arg, const char *what)
{
	struct check *ck = arg;

	check_say(ck, "K1", 0, ck->repair, "%s", what);
}

static enum err
check_identities(struct check *ck)
{
	const struct kms_who root = { .user = KMS_ROOT_USER, .agent = "fsck" };
	bool good = false, all = false;

	TRY(kms_identities_check(ck->st->kms, bad_identity, ck, &good));
	if (good || !ck->repair)
		return (OK);
	TRY(kms_identities_repair(ck->st->kms, &root, &all));
	if (all)
		check_say(ck, "K1", 0, true,
		    "identities: which of them are genuine cannot be shown; "
		    "all users, roles, access keys, policies and attachments "
		    "are taken away, and tenants refuse files under customer "
		    "keys until ssefs tenant set");
	return (OK);
}

/* Not among the problems: what was recorded cannot be made anew. */
static void
bad_record(void *arg, uint64_t seq, const char *file, const char *what)
{
	struct check *ck = arg;
	char text[512];
	const struct store_problem p = { .invariant = "K2", .what = text };

	(void)snprintf(text, sizeof(text),
	    "audit log, record %llu (%.200s): %.200s", (unsigned long long)seq,
	    file, what);
	ck->ret->audit++;
	if (ck->cb != NULL)
		ck->cb(ck->arg, &p);
}

/* No finding: so is every log that began then. */
static void
older_records(struct check *ck, const struct audit_verdict *v)
{
	char what[AUDIT_OLDER_MAX], text[AUDIT_OLDER_MAX + 64];
	const struct store_problem p = { .invariant = "K2", .what = text };

	audit_older(v, what);
	(void)snprintf(text, sizeof(text), "note: audit log: %s", what);
	if (ck->cb != NULL)
		ck->cb(ck->arg, &p);
}

static enum err
check_audit(struct check *ck)
{
	struct audit_verdict v;

	TRY(audit_verify(ck->st->kms, bad_record, ck, &v));
	if (v.older)
		older_records(ck, &v);
	return (OK);
}

enum err
check_kms(struct check *ck)
{
	if (ck->st->kms == NULL)
		return (OK);
	TRY(check_identities(ck));
	return (check_audit(ck));
}
