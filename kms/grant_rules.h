/*
 * grant_rules: what a grant may be.
 *
 * Pure and thread-safe.
 */
#ifndef KMS_GRANT_RULES_H
#define KMS_GRANT_RULES_H

#include <stdbool.h>

#include "kms/api.h"
#include "kms/policy.h"

/* May it be made at all?  ERR_INVAL, ERR_LIMIT.  id, key, issuer and created are
 * not looked at. */
enum err grant_check(const struct kms_grant *g) MUSTCHECK;
/* Can this be whom a grant names?  ${what} begins the sentence of ERR_INVAL. */
enum err grant_principal_check(const char *s, const char *what) MUSTCHECK;
/* Does ${g} allow nothing that ${from} does not? */
bool grant_within(const struct kms_grant *from, const struct kms_grant *g);

/* What policies may ask about a grant that is to be made. */
struct grant_facts {
	const char *op[KMS_GRANT_OPS];
	const char *constraint;
	const char *for_service;
	struct policy_fact v[5];
	size_t n;
};
/* They point into ${g} and ${f}, which is zero before.  Its pairs are to be the
 * call's context while policies are asked. */
void grant_facts(const struct kms_grant *g, struct grant_facts *f);
/* What they may ask about one that is to go. */
void grant_end_facts(const struct kms_grant *g, struct grant_facts *f);
/* kms:GrantIsForAWSResource: the request comes from a service. */
void grant_service_fact(const struct kms_who *who, struct grant_facts *f);

#endif
