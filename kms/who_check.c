/*
 * Identities that somebody edited: named, and taken out.
 */
#include <stdio.h>
#include <string.h>

#include "kms/authz.h"
#include "kms/who_internal.h"
#include "kms/who_mac.h"

struct look {
	void (*bad)(void *arg, const char *what);
	void *arg;
};

static void
tell(void *arg, const char *table, const char *what)
{
	const struct look *l = arg;
	char text[320];

	if (what == NULL)
		(void)snprintf(text, sizeof(text),
		    "identities: rows were removed, or older ones put back");
	else if (strcmp(table, "sqlite_master") == 0)
		(void)snprintf(text, sizeof(text),
		    "identities: %s in the keystore's schema is not one that "
		    "ssefs makes, or not as it makes it",
		    what);
	else
		(void)snprintf(text, sizeof(text),
		    "identities: the row of table %s (%s) was made outside of "
		    "ssefs",
		    table, what);
	l->bad(l->arg, text);
}

enum err
kms_identities_check(struct kms *k, void (*bad)(void *arg, const char *what),
    void *arg, bool *ret_good)
{
	struct look l = { bad, arg };
	struct kdb_tx tx CLEANUP_TX = { NULL };
	LOCK_SCOPE(&k->conn);

	TRY(kdb_begin_read(&k->db, &tx));
	TRY(who_mac_check(&k->db, k->who, tell, &l, ret_good));
	return kdb_commit(&tx);
}

static enum err
repair_tx(struct kms *k, void *arg)
{

	TRY(who_mac_purge(&k->db, k->who, arg));
	return who_counted(k);
}

static enum err
op_repair(struct kms *k, struct call *c)
{

	TRY(authz_identities(c));
	return kms_change(k, repair_tx, c->arg, true);
}

enum err
kms_identities_repair(struct kms *k, const struct kms_who *who, bool *ret_all)
{
	struct call c = {
		.who = who, .event = "RepairIdentities", .arg = ret_all
	};

	return gate_run(k, &c, op_repair);
}
