/*
 * Principals and resources, as the three dialects write them.
 */
#include <string.h>
#include <strings.h>

#include "lib/base/attrs.h"

#include "kms/name.h"
#include "kms/policy_internal.h"

/* ---- Principals ----------------------------------------------------------- */

/* Does *${s} begin with ${word}?  Then move behind it. */
static bool
skip(char **s, const char *word)
{
	const size_t len = strlen(word);

	if (strncmp(*s, word, len) != 0)
		return false;
	*s += len;
	return true;
}

/* Cut *${s} at ${c}: what stood before it; NULL when it has none. */
static char *
cut(char **s, char c)
{
	char *start = *s, *at = strchr(start, c);

	if (at == NULL)
		return NULL;
	*at = '\0';
	*s = at + 1;
	return start;
}

static bool
wildless(const char *s)
{

	return s[0] != '\0' && strpbrk(s, "*?") == NULL;
}

/* user/NAME, role/NAME. */
static bool
named_who(char *s, struct who *w)
{

	if (skip(&s, "user/"))
		w->kind = WHO_USER;
	else if (skip(&s, "role/"))
		w->kind = WHO_ROLE;
	else
		return false;
	w->name = s;
	return wildless(s);
}

/* The texts below are taken apart in place. */

static bool
aws_who(char *s, struct who *w)
{

	if (name_tenant_ok(s)) {
		w->kind = WHO_ACCOUNT;
		w->account = s;
		return true;
	}
	if (skip(&s, "arn:aws:iam::")) {
		w->account = cut(&s, ':');
		if (w->account == NULL || !name_tenant_ok(w->account))
			return false;
		w->kind = WHO_ACCOUNT;
		return strcmp(s, "root") == 0 || named_who(s, w);
	}
	if (!skip(&s, "arn:aws:sts::"))
		return false;
	w->account = cut(&s, ':');
	w->kind = WHO_SESSION;
	if (w->account == NULL || !name_tenant_ok(w->account) ||
	    !skip(&s, "assumed-role/"))
		return false;
	w->name = s;
	return wildless(s) && strchr(s, '/') != NULL;
}

static bool
ram_who(char *s, struct who *w)
{

	if (name_tenant_ok(s)) {
		w->kind = WHO_ACCOUNT;
		w->account = s;
		return true;
	}
	if (!skip(&s, "acs:ram::"))
		return false;
	w->account = cut(&s, ':');
	if (w->account == NULL || !name_tenant_ok(w->account))
		return false;
	w->kind = WHO_ACCOUNT;
	if (strcmp(s, "root") == 0)
		return true;
	w->kind = WHO_MEMBERS;
	return strcmp(s, "*") == 0 || named_who(s, w);
}

/* domain/TENANT, and behind it :user/NAME or a star for all users. */
static bool
obs_who(char *s, struct who *w)
{

	if (!skip(&s, "domain/"))
		return false;
	w->kind = WHO_ACCOUNT;
	if (strchr(s, ':') == NULL) {
		w->account = s;
		return name_tenant_ok(s);
	}
	w->account = cut(&s, ':');
	if (!name_tenant_ok(w->account))
		return false;
	w->kind = WHO_MEMBERS;
	return strcmp(s, "user/*") == 0 || named_who(s, w);
}

static bool
service_who(char *s, struct who *w)
{

	w->kind = WHO_SERVICE;
	w->name = s;
	return wildless(s);
}

static const struct {
	const char *type;
	bool obs, ram, aws;
	bool (*read)(char *s, struct who *w);
} types[] = {
	{ "AWS", false, false, true, aws_who },
	{ "RAM", false, true, false, ram_who },
	{ "ID", true, false, false, obs_who },
	{ "Service", true, true, true, service_who },
};

static enum err
who_type(struct parser *ps, const struct node *n, size_t *ret)
{
	const enum policy_dialect d = ps->p->dialect;

	for (size_t i = 0; i < COUNTOF(types); i++)
		if (strcmp(types[i].type, n->key) == 0 &&
		    (d == POLICY_OBS      ? types[i].obs
			: d == POLICY_RAM ? types[i].ram
					  : types[i].aws)) {
			*ret = i;
			return OK;
		}
	return parse_fault(
	    ps, n, "\"%.64s\" is no type of principal of this dialect", n->key);
}

/* A type's principals, appended. */
static enum err
who_list(struct parser *ps, const struct node *n, struct statement *st)
{
	const size_t back = path_enter(ps, ".%.64s", n->key);
	size_t type = 0, count = 0;
	struct who *grown;

	TRY(who_type(ps, n, &type));
	TRY(parse_list(ps, n, false, &n, &count));
	TRY(parse_alloc(ps, (st->nwho + count) * sizeof(*grown), &grown));
	if (st->nwho > 0)
		memcpy(grown, st->who, st->nwho * sizeof(*grown));
	st->who = grown;
	for (; count > 0 && n != NULL; n = n->next, count--) {
		struct who *w = &st->who[st->nwho++];
		char *s;

		if (strcmp(n->text, "*") == 0) {
			w->kind = WHO_ANY;
			continue;
		}
		TRY(parse_alloc(ps, strlen(n->text) + 1, &s));
		strcpy(s, n->text);
		if (!types[type].read(s, w))
			return parse_fault(ps, n,
			    "\"%.96s\" is no principal; wildcards stand for "
			    "everybody only",
			    n->text);
	}
	path_leave(ps, back);
	return OK;
}

enum err
who_parse(struct parser *ps, const struct node *n, struct statement *st)
{

	if (n->type == NODE_STRING && strcmp(n->text, "*") == 0) {
		TRY(parse_alloc(ps, sizeof(*st->who), &st->who));
		st->who->kind = WHO_ANY;
		st->nwho = 1;
		return OK;
	}
	if (n->type != NODE_OBJECT || n->n == 0)
		return parse_fault(
		    ps, n, "must be \"*\" or an object of types and names");
	for (n = n->child; n != NULL; n = n->next)
		TRY(who_list(ps, n, st));
	return OK;
}

bool
who_of_grantee(const char *s, char *room, size_t size, struct who *ret)
{

	if (strlen(s) >= size)
		return false;
	strcpy(room, s);
	memset(ret, 0, sizeof(*ret));
	if (strncmp(s, "arn:", 4) == 0)
		return aws_who(room, ret);
	return service_who(room, ret);
}

static bool
has_role(const struct policy_principal *a, const char *role, size_t len)
{

	for (size_t i = 0; i < a->nroles; i++)
		if (strlen(a->roles[i]) == len &&
		    memcmp(a->roles[i], role, len) == 0)
			return true;
	return false;
}

static enum who_match
who_match(const struct who *w, const struct policy_principal *a)
{
	const char *slash;

	if (w->kind == WHO_ANY)
		return WHO_DIRECT;
	if (w->kind == WHO_SERVICE || a->service != NULL)
		return w->kind == WHO_SERVICE && a->service != NULL &&
			       strcmp(w->name, a->service) == 0
			   ? WHO_DIRECT
			   : WHO_NOT;
	if (strcmp(w->account, a->account) != 0)
		return WHO_NOT;
	if (w->kind == WHO_MEMBERS)
		return WHO_DIRECT;
	if (w->kind == WHO_ACCOUNT)
		return a->root ? WHO_DIRECT : WHO_BY_ACCOUNT;
	if (w->kind == WHO_ROLE)
		return has_role(a, w->name, strlen(w->name)) ? WHO_DIRECT
							     : WHO_NOT;
	if (a->root || a->user == NULL)
		return WHO_NOT;
	if (w->kind == WHO_USER)
		return strcmp(w->name, a->user) == 0 ? WHO_DIRECT : WHO_NOT;
	slash = strchr(w->name, '/');
	return has_role(a, w->name, (size_t)(slash - w->name)) &&
		       strcmp(slash + 1, a->user) == 0
		   ? WHO_DIRECT
		   : WHO_NOT;
}

enum who_match
who_matches(const struct who *w, size_t n, const struct policy_principal *asker)
{
	enum who_match best = WHO_NOT;

	for (size_t i = 0; i < n; i++) {
		const enum who_match m = who_match(&w[i], asker);

		if (m > best)
			best = m;
	}
	return best;
}

bool
policy_names(const char *grantee, const struct policy_principal *asker)
{
	char room[POLICY_STRING_MAX];
	struct who w;

	return who_of_grantee(grantee, room, sizeof(room), &w) &&
	       who_matches(&w, 1, asker) == WHO_DIRECT;
}

bool
policy_grantee_ok(const char *grantee)
{
	char room[POLICY_STRING_MAX];
	struct who w;

	return who_of_grantee(grantee, room, sizeof(room), &w);
}

/* ---- Resources ------------------------------------------------------------ */

enum err
arn_parse(struct parser *ps, const struct node *at, const char *text,
    unsigned n, struct arn *ret)
{
	unsigned i = 1;
	char *s;

	if (strcmp(text, "*") == 0) {
		ret->any = true;
		return OK;
	}
	TRY(parse_pattern(ps, at, text, true, &s));
	ret->field[0] = s;
	for (; *s != '\0' && i < n; s++) {
		/* A variable holds three marks, with the name between the
		 * first two; its default may hold colons as well. */
		if (*s == PAT_VAR) {
			for (int marks = 0; marks < 2;)
				if (*++s == PAT_VAR)
					marks++;
		} else if (*s == ':') {
			*s = '\0';
			ret->field[i++] = s + 1;
		}
	}
	if (i < n)
		return parse_fault(ps, at,
		    "\"%.96s\" is no name of a resource: it has %u parts, not "
		    "%u",
		    text, i, n);
	return OK;
}

static enum err
resource_one(struct parser *ps, const struct node *n, struct arn *ret)
{
	const enum policy_dialect d = ps->p->dialect;
	const char *first = d == POLICY_RAM ? "acs" : "arn";

	TRY(arn_parse(
	    ps, n, n->text, d == POLICY_OBS || d == POLICY_RAM ? 5 : 6, ret));
	if (!ret->any && d != POLICY_OBS && strcmp(ret->field[0], first) != 0)
		return parse_fault(ps, n,
		    "\"%.96s\" is no name of a resource: it does not begin "
		    "with \"%s:\"",
		    n->text, first);
	return OK;
}

enum err
resource_parse(struct parser *ps, const struct node *n, struct statement *st)
{

	TRY(parse_list(ps, n, false, &n, &st->nresources));
	TRY(parse_alloc(
	    ps, st->nresources * sizeof(*st->resource), &st->resource));
	for (size_t i = 0; i < st->nresources && n != NULL; n = n->next, i++)
		TRY(resource_one(ps, n, &st->resource[i]));
	return OK;
}

/* The resource of the request as the dialect writes it: how many fields, and
 * which of them have no case. */
static unsigned
spell(const struct eval *ev, enum policy_dialect d, const char *f[ARN_FIELDS],
    unsigned *fold)
{
	const bool s3 = strcmp(ev->part[2], "s3") == 0;

	*fold = 0;
	if (d == POLICY_OBS) {
		f[0] = s3 ? "obs" : ev->part[2];
		f[1] = ev->part[3];
		f[2] = ev->owner;
		f[3] = ev->type;
		f[4] = ev->path;
		*fold = 1u << 0 | 1u << 3;
		return 5;
	}
	if (d == POLICY_RAM) {
		f[0] = "acs";
		f[1] = s3 ? "oss" : ev->part[2];
		f[2] = ev->part[3];
		f[3] = ev->owner;
		f[4] = ev->part[5];
		return 5;
	}
	for (unsigned i = 0; i < ARN_FIELDS; i++)
		f[i] = ev->part[i];
	return ARN_FIELDS;
}

/* The last part first: it tells most resources apart. */
static bool
resource_match(struct eval *ev, const struct arn *r,
    const char *const f[ARN_FIELDS], unsigned n, unsigned fold)
{

	for (unsigned i = n; i-- > 0;)
		if (!pattern_holds(ev, r->field[i], f[i], (fold >> i & 1) != 0))
			return false;
	return true;
}

bool
resource_matches(
    struct eval *ev, const struct policy *p, const struct statement *st)
{
	/* In AWS, operations on no key are on "*", and on nothing else. */
	const bool only_any = (ev->container || op_unplaced(ev->op)) &&
			      p->dialect != POLICY_OBS &&
			      p->dialect != POLICY_RAM;
	const char *f[ARN_FIELDS];
	unsigned fold = 0;
	const unsigned n = spell(ev, p->dialect, f, &fold);
	bool hit = st->nresources == 0;

	ev->unresolved = false;
	for (size_t i = 0; i < st->nresources && !hit; i++) {
		const struct arn *r = &st->resource[i];

		hit =
		    r->any || (!only_any && resource_match(ev, r, f, n, fold));
	}
	if (!st->not_resource)
		return hit;
	/* All but something that nobody knows: that allows nothing. */
	return !hit && (st->deny || !ev->unresolved);
}
