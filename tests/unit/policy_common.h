/*
 * policy_common: what the tests of the policy engine share: documents parsed
 * on the spot, and a request that each test changes where it must.
 */
#ifndef TESTS_UNIT_POLICY_COMMON_H
#define TESTS_UNIT_POLICY_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kms/policy.h"
#include "lib/base/attrs.h"

#define TENANT "111122223333"
#define OTHER "444455556666"
#define ID "0a1b2c3d-1111-2222-3333-444455556666"
#define KEY "arn:aws:kms:us-east-1:" TENANT ":key/" ID
#define KEYS "arn:aws:kms:us-east-1:" TENANT ":key"
#define ALIAS "arn:aws:kms:us-east-1:" TENANT ":alias/mine"
#define NOON 1795262400 /* 2026-11-21T12:00:00Z */

/* One statement of an identity policy. */
#define ST(version, rest) \
	"{\"Version\":\"" version "\",\"Statement\":[{" rest "}]}"
#define A12(rest) ST("2012-10-17", rest)
#define ALLOW(action, resource) \
	"\"Effect\":\"Allow\",\"Action\":" action ",\"Resource\":" resource
#define DENY(action, resource) \
	"\"Effect\":\"Deny\",\"Action\":" action ",\"Resource\":" resource

static const struct policy_request plain_request = {
	.action = "kms:Decrypt",
	.arn = KEY,
	.who = { .account = TENANT, .user = "alice" },
	.time = NOON,
};

static inline struct policy *
parse(const char *text, enum policy_kind kind)
{
	struct policy *p = NULL;
	const enum err e = policy_parse(text, strlen(text), kind, &p, NULL);

	if (e != OK)
		fail_msg("%s\n%s", err_detail(e), text);
	return p;
}

/* Up to two identity policies and a key's policy, NULL where there is none. */
static inline struct policy_decision
ask(const char *a, const char *b, const char *resource,
    const struct policy_request *req)
{
	struct policy *ip[2] = { NULL, NULL }, *rp = NULL;
	const struct policy *list[2];
	struct policy_set set = { .identity = list };
	struct policy_decision d;

	if (a != NULL)
		list[set.nidentity++] = ip[0] = parse(a, POLICY_IDENTITY);
	if (b != NULL)
		list[set.nidentity++] = ip[1] = parse(b, POLICY_IDENTITY);
	if (resource != NULL)
		set.resource = rp = parse(resource, POLICY_RESOURCE);
	d = policy_evaluate(&set, req);
	d.sid = "";
	policy_free(ip[0]);
	policy_free(ip[1]);
	policy_free(rp);
	return d;
}

static inline enum policy_verdict
verdict(const char *identity, const char *resource,
    const struct policy_request *req)
{

	return ask(identity, NULL, resource, req).verdict;
}

/* ${what}, and the row that it happened in. */
#define expect_verdict(got, want, ...)                                  \
	do {                                                            \
		const enum policy_verdict got_ = (got), want_ = (want); \
		if (got_ != want_) {                                    \
			print_error(__VA_ARGS__);                       \
			fail_msg(": verdict %d, not %d", got_, want_);  \
		}                                                       \
	} while (0)

#endif
