/*
 * The decision.  Nothing here allocates; a request that cannot be understood
 * is denied.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/attrs.h"

#include "kms/policy_internal.h"

/* ---- The request ---------------------------------------------------------- */

/* Take the resource's ARN apart.  False: it is none. */
static bool
eval_resource(struct eval *ev)
{
	const struct policy_request *req = ev->req;
	unsigned n = 1;
	char *slash;

	if (strlen(req->arn) >= sizeof(ev->arn))
		return false;
	strcpy(ev->arn, req->arn);
	ev->part[0] = ev->arn;
	for (char *s = ev->arn; *s != '\0' && n < ARN_FIELDS; s++)
		if (*s == ':') {
			*s = '\0';
			ev->part[n++] = s + 1;
		}
	if (n < ARN_FIELDS || strcmp(ev->part[0], "arn") != 0)
		return false;
	ev->owner = req->owner != NULL ? req->owner : ev->part[4];
	ev->path = ev->part[5];
	if (strcmp(ev->part[2], "s3") == 0) {
		ev->on_object = strchr(ev->part[5], '/') != NULL;
		ev->type = ev->on_object ? "object" : "bucket";
		return ev->owner[0] != '\0';
	}
	ev->container = strchr(ev->part[5], '/') == NULL;
	/* OBS has type and path where the others have type/path. */
	slash = strchr(ev->arn + (ev->part[5] - ev->arn), '/');
	ev->path = slash == NULL ? "" : slash + 1;
	ev->type = strncmp(ev->part[5], "key", 3) == 0 &&
			   (ev->part[5][3] == '/' || ev->part[5][3] == '\0')
		       ? "KeyId"
		   : strncmp(ev->part[5], "alias", 5) == 0 ? "alias"
							   : ev->part[5];
	return ev->owner[0] != '\0';
}

static bool
eval_begin(struct eval *ev, const struct policy_request *req)
{

	if (strlen(req->action) > ACTION_MAX)
		return false;
	ev->req = req;
	ev->on_object = ev->container = ev->unresolved = false;
	ev->time[0] = ev->principal[0] = '\0';
	ev->op = op_find(req->action);
	return eval_resource(ev);
}

/* ---- Facts ---------------------------------------------------------------- */

static const char *
principal_arn(struct eval *ev, const char *prefix)
{
	const struct policy_principal *w = &ev->req->who;
	int n;

	if (w->service != NULL || (!w->root && w->user == NULL))
		return NULL;
	n = snprintf(ev->principal, sizeof(ev->principal), "%s::%s:%s%s",
	    prefix, w->account, w->root ? "root" : "user/",
	    w->root ? "" : w->user);
	return n > 0 && (size_t)n < sizeof(ev->principal) ? ev->principal
							  : NULL;
}

/* The one value of a fact that has one; NULL: not there. */
static const char *
single(struct eval *ev, enum fact_id id)
{
	const struct policy_request *req = ev->req;
	const struct policy_principal *w = &req->who;

	switch (id) {
	case FACT_TIME:
		date_format(req->time, ev->time);
		return ev->time[0] != '\0' ? ev->time : NULL;
	case FACT_EPOCH:
		(void)snprintf(
		    ev->time, sizeof(ev->time), "%lld", (long long)req->time);
		return ev->time;
	case FACT_SOURCE_IP:
		return req->source_ip;
	case FACT_USER:
		return w->root || w->service != NULL ? NULL : w->user;
	case FACT_USER_ID:
		return w->user_id;
	case FACT_ACCOUNT:
		return w->account;
	case FACT_PRINCIPAL_ARN:
		return principal_arn(ev, "arn:aws:iam");
	case FACT_PRINCIPAL_ARN_RAM:
		return principal_arn(ev, "acs:ram");
	case FACT_PRINCIPAL_TYPE:
		return w->service != NULL ? "Service"
		       : w->root          ? "Account"
					  : "User";
	case FACT_OTHER:
	case FACT_CONTEXT:
	case FACT_CONTEXT_KEYS:
		break;
	}
	return NULL;
}

/* Facts of one key may stand in several entries: ${at} counts through the
 * values of them all. */
static bool
next_other(const struct policy_request *req, const char *key, size_t *at,
    const char **ret)
{
	const struct policy_facts lists[] = { { req->facts, req->nfacts },
		req->more[0], req->more[1] };
	size_t i = 0;

	for (size_t l = 0; l < COUNTOF(lists); l++)
		for (size_t f = 0; f < lists[l].n; f++) {
			const struct policy_fact *v = &lists[l].v[f];

			if (strcasecmp(v->key, key) != 0)
				continue;
			if (*at < i + v->n) {
				*ret = v->values[*at - i];
				(*at)++;
				return true;
			}
			i += v->n;
		}
	return false;
}

bool
fact_next(struct eval *ev, const struct fact *f, size_t *at, const char **ret)
{
	const struct policy_request *req = ev->req;

	switch (f->id) {
	case FACT_OTHER:
		return next_other(req, f->name, at, ret);
	case FACT_CONTEXT:
		for (; *at < req->nctx; (*at)++)
			if (strcasecmp(req->ctx[*at].key, f->name) == 0) {
				*ret = req->ctx[(*at)++].value;
				return true;
			}
		return false;
	case FACT_CONTEXT_KEYS:
		if (*at >= req->nctx)
			return false;
		*ret = req->ctx[(*at)++].key;
		return true;
	case FACT_TIME:
	case FACT_EPOCH:
	case FACT_SOURCE_IP:
	case FACT_USER:
	case FACT_USER_ID:
	case FACT_ACCOUNT:
	case FACT_PRINCIPAL_ARN:
	case FACT_PRINCIPAL_ARN_RAM:
	case FACT_PRINCIPAL_TYPE:
		if ((*at)++ > 0)
			return false;
		*ret = single(ev, f->id);
		return *ret != NULL;
	}
	return false;
}

/* ---- Variables ------------------------------------------------------------ */

/* The one value of a key; NULL when it has none or several, or one that would
 * read as a wildcard. */
static const char *
variable(struct eval *ev, const char *key)
{
	const char *value = NULL, *more;
	struct fact f;
	size_t at = 0;

	fact_named(key, &f);
	if (!fact_next(ev, &f, &at, &value) || fact_next(ev, &f, &at, &more))
		return NULL;
	for (const char *s = value; *s != '\0'; s++)
		if ((unsigned char)*s < ' ')
			return NULL;
	return value;
}

const char *
pattern_expand(struct eval *ev, const char *pattern)
{
	const char *s = pattern;
	size_t len = 0;

	while (*s != '\0') {
		char key[POLICY_STRING_MAX];
		const char *from = s, *end;
		size_t n = strcspn(s, "\3");

		if (n == 0) {
			/* VAR key VAR, a sign, perhaps a default, VAR */
			end = strchr(s + 1, PAT_VAR);
			memcpy(key, s + 1, (size_t)(end - s - 1));
			key[end - s - 1] = '\0';
			s = end + 1;
			end = strchr(s, PAT_VAR);
			from = variable(ev, key);
			n = from != NULL ? strlen(from) : 0;
			if (from == NULL && *s == '+') {
				from = s + 1;
				n = (size_t)(end - from);
			}
			s = end + 1;
		} else {
			s += n;
		}
		if (from == NULL || n >= sizeof(ev->room) - len) {
			ev->unresolved = true;
			return NULL;
		}
		memcpy(ev->room + len, from, n);
		len += n;
	}
	ev->room[len] = '\0';
	return ev->room;
}

bool
pattern_holds(struct eval *ev, const char *pattern, const char *text, bool fold)
{

	if (strchr(pattern, PAT_VAR) != NULL) {
		pattern = pattern_expand(ev, pattern);
		if (pattern == NULL)
			return false;
	}
	return pattern_match(pattern, text, fold);
}

/* ---- Statements ----------------------------------------------------------- */

static bool
action_matches(
    const struct eval *ev, const struct policy *p, const struct statement *st)
{
	bool hit = false;

	if (ev->op != OP_NONE)
		return (st->ops >> ev->op & 1) != 0;
	for (size_t i = 0; i < st->nactions && !hit; i++)
		hit = op_other_matches(p->dialect, st->action_pattern[i],
		    ev->req->action, ev->on_object);
	return hit != st->not_action;
}

/* Does the statement speak of this request?  Its principals are the
 * caller's. */
static bool
statement_matches(
    struct eval *ev, const struct policy *p, const struct statement *st)
{

	if (!action_matches(ev, p, st) || !resource_matches(ev, p, st))
		return false;
	for (size_t i = 0; i < st->nconds; i++)
		if (!cond_holds(ev, st, &st->cond[i]))
			return false;
	return true;
}

static enum who_match
statement_names(const struct eval *ev, const struct statement *st)
{
	const enum who_match m = who_matches(st->who, st->nwho, &ev->req->who);

	/* "All but" goes with Deny only.  It spares those that are named
	 * themselves; to name an account spares the account, not its users. */
	if (st->not_who)
		return m == WHO_DIRECT ? WHO_NOT : WHO_DIRECT;
	return m;
}

static void
decide(struct policy_decision *d, enum policy_verdict verdict,
    enum policy_source source, size_t document, const struct policy *p,
    size_t statement)
{

	d->verdict = verdict;
	d->source = source;
	d->document = document;
	d->statement = statement;
	d->sid = p->statement[statement].sid;
}

/* The first statement of an identity policy that has the effect. */
static bool
identity_says(struct eval *ev, const struct policy_set *set, bool deny,
    struct policy_decision *d)
{

	for (size_t i = 0; i < set->nidentity; i++) {
		const struct policy *p = set->identity[i];

		for (size_t s = 0; s < p->n; s++)
			if (p->statement[s].deny == deny &&
			    statement_matches(ev, p, &p->statement[s])) {
				decide(d,
				    deny ? POLICY_EXPLICIT_DENY : POLICY_ALLOW,
				    POLICY_BY_IDENTITY, i, p, s);
				return true;
			}
	}
	return false;
}

/* The statement of the resource's policy that names the asker best. */
static enum who_match
resource_says(struct eval *ev, const struct policy *p, bool deny,
    struct policy_decision *d)
{
	enum who_match best = WHO_NOT;

	for (size_t s = 0; p != NULL && s < p->n && best != WHO_DIRECT; s++) {
		const struct statement *st = &p->statement[s];
		const enum who_match m =
		    st->deny == deny ? statement_names(ev, st) : WHO_NOT;

		if (m <= best || !statement_matches(ev, p, st))
			continue;
		best = m;
		decide(d, deny ? POLICY_EXPLICIT_DENY : POLICY_ALLOW,
		    POLICY_BY_RESOURCE, 0, p, s);
	}
	return best;
}

/* ---- Grants --------------------------------------------------------------- */

/* Does the context hold the pair? */
static bool
context_has(const struct policy_request *req, const struct kms_pair *pair)
{

	for (size_t i = 0; i < req->nctx; i++)
		if (strcmp(req->ctx[i].key, pair->key) == 0 &&
		    strcmp(req->ctx[i].value, pair->value) == 0)
			return true;
	return false;
}

static bool
grant_constraints(const struct eval *ev, const struct policy_grant *g)
{
	const struct policy_request *req = ev->req;

	if (!op_constrained(ev->op))
		return true;
	for (size_t i = 0; i < g->nsubset; i++)
		if (!context_has(req, &g->subset[i]))
			return false;
	if (!g->has_equals)
		return true;
	/* Keys are unique on both sides. */
	if (g->nequals != req->nctx)
		return false;
	for (size_t i = 0; i < g->nequals; i++)
		if (!context_has(req, &g->equals[i]))
			return false;
	return true;
}

static enum who_match
grant_says(const struct eval *ev, const struct policy_grant *g)
{
	char room[KMS_ARN_MAX];
	struct who who;
	bool covered = false;

	if (!op_grantable(ev->op))
		return WHO_NOT;
	for (size_t i = 0; i < g->noperations && !covered; i++)
		covered = strcmp(g->operations[i], op_name(ev->op)) == 0;
	if (!covered || !grant_constraints(ev, g) ||
	    !who_of_grantee(g->grantee, room, sizeof(room), &who))
		return WHO_NOT;
	return who_matches(&who, 1, &ev->req->who);
}

/* A grant to an account is used by those whom its own policies allow it. */
static bool
granted(
    struct eval *ev, const struct policy_set *set, struct policy_decision *d)
{

	for (size_t i = 0; i < set->ngrants; i++) {
		const enum who_match m = grant_says(ev, &set->grants[i]);
		struct policy_decision ignored;

		if (m == WHO_NOT ||
		    (m == WHO_BY_ACCOUNT &&
			!identity_says(ev, set, false, &ignored)))
			continue;
		*d = (struct policy_decision){ .verdict = POLICY_ALLOW,
			.source = POLICY_BY_GRANT,
			.document = i,
			.sid = "" };
		return true;
	}
	return false;
}

/* ---- The answer ----------------------------------------------------------- */

/* Does the account's own side allow it, without a word from the resource? */
static bool
account_says(struct eval *ev, const struct policy_set *set, bool same,
    struct policy_decision *d)
{

	if (identity_says(ev, set, false, d))
		return true;
	if (!same || set->resource != NULL || !ev->req->who.root)
		return false;
	*d = (struct policy_decision){
		.verdict = POLICY_ALLOW, .source = POLICY_BY_ROOT, .sid = ""
	};
	return true;
}

static bool
allowed(
    struct eval *ev, const struct policy_set *set, struct policy_decision *d)
{
	const struct policy_principal *w = &ev->req->who;
	const bool same = strcmp(w->account, ev->owner) == 0;
	struct policy_decision by = { .sid = "" };
	enum who_match m;

	/* For other services than the key service there is no such list. */
	if (!same && !op_crosses(ev->op) &&
	    strncasecmp(ev->req->action, "kms:", 4) == 0)
		return false;
	m = resource_says(ev, set->resource, false, &by);
	/* An account needs no leave of its own. */
	if (m == WHO_DIRECT && (same || w->root)) {
		*d = by;
		return true;
	}
	if (m != WHO_NOT || (same && set->resource == NULL)) {
		if (account_says(ev, set, same, d)) {
			d->delegated = set->resource != NULL;
			d->delegated_by = by.statement;
			return true;
		}
	}
	return granted(ev, set, d);
}

struct policy_decision
policy_evaluate(const struct policy_set *set, const struct policy_request *req)
{
	static const struct policy_decision no = { .sid = "" };
	struct policy_decision d = no;
	struct eval ev UNINIT;

	if (!eval_begin(&ev, req))
		return no;
	if (identity_says(&ev, set, true, &d) ||
	    resource_says(&ev, set->resource, true, &d) != WHO_NOT ||
	    allowed(&ev, set, &d))
		return d;
	return no;
}

void
policy_explain(const struct policy_decision *d, char ret[static POLICY_WHY_MAX])
{
	static const char *const verdicts[] = {
		[POLICY_IMPLICIT_DENY] = "denied",
		[POLICY_EXPLICIT_DENY] = "explicitly denied",
		[POLICY_ALLOW] = "allowed",
	};
	const char *quote = d->sid[0] != '\0' ? " \"" : "";
	char by[48] = "";

	if (d->delegated)
		(void)snprintf(by, sizeof(by),
		    ", as the key's policy leaves to "
		    "its account");
	switch (d->source) {
	case POLICY_BY_NOTHING:
		(void)snprintf(ret, POLICY_WHY_MAX,
		    "denied: no policy and no grant allows it");
		break;
	case POLICY_BY_IDENTITY:
		(void)snprintf(ret, POLICY_WHY_MAX,
		    "%s by Statement[%zu]%s%s%s of identity policy %zu%s",
		    verdicts[d->verdict], d->statement, quote, d->sid,
		    quote[0] != '\0' ? "\"" : "", d->document, by);
		break;
	case POLICY_BY_RESOURCE:
		(void)snprintf(ret, POLICY_WHY_MAX,
		    "%s by Statement[%zu]%s%s%s of the resource's policy",
		    verdicts[d->verdict], d->statement, quote, d->sid,
		    quote[0] != '\0' ? "\"" : "");
		break;
	case POLICY_BY_GRANT:
		(void)snprintf(
		    ret, POLICY_WHY_MAX, "allowed by grant %zu", d->document);
		break;
	case POLICY_BY_ROOT:
		(void)snprintf(ret, POLICY_WHY_MAX,
		    "allowed: the account on a resource of its own");
		break;
	}
}
