/*
 * Policies: documents of any text, and what a request makes of them.
 *
 * Input: a byte of choices; the action and the resource of the request, the
 * key and the value of a fact, each with a NUL; the document.
 */
#include "kms/policy.h"

#include "tests/fuzz/fuzz.h"

static const char deny_all[] =
    "{\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}}";

/* A fault names a place inside the document. */
static void
fault(const struct policy_fault *f, const char *text, size_t len, enum err e)
{
	unsigned lines = 1;

	HOLDS(e == ERR_PARSE || e == ERR_LIMIT);
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	HOLDS(f->why[0] != '\0');
	HOLDS(f->line >= 1 && f->line <= lines);
	HOLDS(f->column >= 1 && f->column <= len + 1);
	HOLDS(strlen(f->where) < sizeof(f->where));
}

static void
idle(void *arg, size_t statement, const char *action)
{
	const struct policy *p = arg;

	HOLDS(statement < policy_statements(p) && action[0] != '\0');
}

static void
decide(const struct policy *p, enum policy_kind kind,
    const struct policy_request *req)
{
	const struct policy *list[2] = { p, NULL };
	struct policy_set set = { .identity = list };
	struct policy *no = NULL;
	struct policy_decision d, again;
	char why[POLICY_WHY_MAX];

	if (kind == POLICY_IDENTITY)
		set.nidentity = 1;
	else
		set.resource = p;
	d = policy_evaluate(&set, req);
	again = policy_evaluate(&set, req);
	HOLDS(d.verdict == again.verdict && d.statement == again.statement);
	HOLDS(d.sid != NULL);
	HOLDS((d.verdict == POLICY_IMPLICIT_DENY) ==
	      (d.source == POLICY_BY_NOTHING));
	if (d.source == POLICY_BY_IDENTITY || d.source == POLICY_BY_RESOURCE)
		HOLDS(strcmp(d.sid, policy_sid(p, d.statement)) == 0);
	policy_explain(&d, why);
	HOLDS(strlen(why) < sizeof(why));
	/* Nothing stands against a Deny of everything; but what no resource is
	 * matches nothing. */
	HOLDS(policy_parse(deny_all, strlen(deny_all), POLICY_IDENTITY, &no,
		  NULL) == OK);
	list[set.nidentity++] = no;
	again = policy_evaluate(&set, req);
	HOLDS(again.verdict != POLICY_ALLOW);
	if (d.verdict != POLICY_IMPLICIT_DENY)
		HOLDS(again.verdict == POLICY_EXPLICIT_DENY);
	policy_free(no);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const roles[] = { "r" };
	struct feed f = { data, len };
	const unsigned choice = (unsigned)feed_int(&f, 1);
	const enum policy_kind kind =
	    choice & 1 ? POLICY_RESOURCE : POLICY_IDENTITY;
	char *action = feed_str(&f), *arn = feed_str(&f), *key = feed_str(&f),
	     *value = feed_str(&f);
	char *text = (char *)exact(f.p, f.len);
	const char *values[2] = { value, key };
	const struct policy_fact fact = { key, values, choice >> 1 & 3 };
	const struct kms_pair ctx = { key, value };
	struct policy_request req = { .action = action,
		.arn = arn,
		.owner = choice & 8 ? "1" : NULL,
		.who = { .account = "1",
		    .user = "u",
		    .roles = roles,
		    .nroles = 1,
		    .root = (choice & 16) != 0,
		    .service = choice & 32 ? "s" : NULL },
		.time = 1795262400,
		.source_ip = choice & 64 ? value : NULL,
		.ctx = &ctx,
		.nctx = choice >> 7,
		.facts = &fact,
		.nfacts = fact.n < 3 };
	struct policy_fault why;
	struct policy *p = NULL;
	const enum err e = policy_parse(text, f.len, kind, &p, &why);

	if (e == OK) {
		HOLDS(policy_statements(p) > 0);
		HOLDS(policy_dialect_name(policy_dialect(p))[0] != '\0');
		policy_idle_actions(p, idle, p);
		decide(p, kind, &req);
	} else {
		HOLDS(p == NULL);
		fault(&why, text, f.len, e);
	}
	policy_free(p);
	free(action);
	free(arn);
	free(key);
	free(value);
	free(text);
	return 0;
}
