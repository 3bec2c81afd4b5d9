/*
 * From the tree of a document to its statements.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/attrs.h"

#include "kms/policy_internal.h"

#define SID_MAX 128

size_t
path_enter(struct parser *ps, const char *fmt, ...)
{
	const size_t back = ps->path_len, room = sizeof(ps->path) - back;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(ps->path + back, room, fmt, ap);
	va_end(ap);
	ps->path_len += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
	return back;
}

void
path_leave(struct parser *ps, size_t back)
{

	ps->path_len = back;
	ps->path[back] = '\0';
}

enum err
parse_fault(struct parser *ps, const struct node *at, const char *fmt, ...)
{
	struct policy_fault *f = &ps->r.fault;
	va_list ap;

	f->line = at->line;
	f->column = at->column;
	va_start(ap, fmt);
	(void)vsnprintf(f->why, sizeof(f->why), fmt, ap);
	va_end(ap);
	return ERR_PARSE;
}

enum err
parse_alloc(struct parser *ps, size_t size, void *ret)
{
	void *p = arena_alloc(&ps->p->mem, size);

	if (p == NULL)
		return ERR_NOMEM;
	memcpy(ret, &p, sizeof(p));
	return OK;
}

/* ---- Patterns ------------------------------------------------------------- */

/*
 * ${key}, ${key, 'default'}, ${*}, ${?}, ${$}: *${s} stands behind the brace
 * and is moved behind the other one; what it means is appended at *${to}, and
 * takes no more bytes than it took in the text.
 */
static enum err
parse_variable(
    struct parser *ps, const struct node *at, const char **s, char **to)
{
	const char *p = *s, *end = strchr(p, '}');
	size_t key;

	if (end == NULL)
		return parse_fault(ps, at, "a policy variable without its end");
	if (end - p == 1 && strchr("*?$", *p) != NULL) {
		*(*to)++ = *p;
		*s = end + 1;
		return OK;
	}
	key = strcspn(p, ", '}");
	if (key == 0 || memchr(p, '{', key) != NULL)
		return parse_fault(ps, at, "a policy variable without a name");
	*(*to)++ = PAT_VAR;
	memmove(*to, p, key);
	*to += key;
	*(*to)++ = PAT_VAR;
	p += key;
	if (*p == '}') {
		/* "${" and "}" gave room for three bytes; the fourth comes
		 * from parse_pattern(). */
		*(*to)++ = '-';
	} else {
		const char *quote;

		if (*p == ',')
			p++;
		p += strspn(p, " ");
		quote = *p == '\'' ? strchr(p + 1, '\'') : NULL;
		if (quote == NULL || quote[1] != '}')
			return parse_fault(ps, at,
			    "the default of a policy variable reads "
			    "${key, 'default'}");
		*(*to)++ = '+';
		memmove(*to, p + 1, (size_t)(quote - p - 1));
		*to += quote - p - 1;
		end = quote + 1;
	}
	*(*to)++ = PAT_VAR;
	*s = end + 1;
	return OK;
}

enum err
parse_pattern(struct parser *ps, const struct node *at, const char *text,
    bool wild, char **ret)
{
	const bool vars = ps->p->dialect == POLICY_AWS_2012;
	char *to;

	/* "${k}", four bytes, becomes five. */
	TRY(parse_alloc(ps, strlen(text) + strlen(text) / 4 + 1, &to));
	*ret = to;
	while (*text != '\0') {
		if (vars && text[0] == '$' && text[1] == '{') {
			text += 2;
			TRY(parse_variable(ps, at, &text, &to));
		} else if (wild && *text == '*') {
			*to++ = PAT_STAR;
			text++;
		} else if (wild && *text == '?') {
			*to++ = PAT_ANY;
			text++;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
	return OK;
}

/* ---- Statements ----------------------------------------------------------- */

static enum err
parse_scalar(struct parser *ps, const struct node *n, bool plain)
{

	if (n->type == NODE_STRING ||
	    (plain && (n->type == NODE_NUMBER || n->type == NODE_BOOL)))
		return OK;
	return parse_fault(ps, n,
	    plain ? "must be a string, a number, true or "
		    "false, or a list of them"
		  : "must be a string or a list of strings");
}

enum err
parse_list(struct parser *ps, const struct node *n, bool plain,
    const struct node **ret_first, size_t *ret_n)
{

	*ret_first = n;
	*ret_n = 1;
	if (n->type == NODE_ARRAY) {
		*ret_first = n->child;
		*ret_n = n->n;
		if (n->n == 0)
			return parse_fault(ps, n, "an empty list");
		for (n = n->child; n != NULL; n = n->next)
			TRY(parse_scalar(ps, n, plain));
		return OK;
	}
	return parse_scalar(ps, n, plain);
}

static bool
all_of(const char *s, size_t len, const char *more)
{

	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
			(s[i] >= 'A' && s[i] <= 'Z') ||
			(s[i] >= '0' && s[i] <= '9') ||
			strchr(more, s[i]) != NULL))
			return false;
	return len > 0;
}

/* "*", or as the dialect has it. */
static enum err
check_action(struct parser *ps, const struct node *n)
{
	const char *s = n->text, *colon = strchr(s, ':');
	const char *second = colon == NULL ? NULL : strchr(colon + 1, ':');

	if (strcmp(s, "*") == 0)
		return OK;
	if (!all_of(s, strlen(s), ":*?_-/."))
		return parse_fault(ps, n, "\"%.64s\" is no action", s);
	if (ps->p->dialect == POLICY_OBS) {
		if (colon == NULL ||
		    (second == NULL && strcmp(colon, ":*") != 0) ||
		    (second != NULL && strchr(second + 1, ':') != NULL))
			return parse_fault(ps, n,
			    "\"%.64s\" is no action of a Version 1.1 policy, "
			    "which reads service:type:operation",
			    s);
		return OK;
	}
	if (colon == NULL || colon == s || colon[1] == '\0' || second != NULL)
		return parse_fault(ps, n,
		    "\"%.64s\" is no action, which reads service:Operation", s);
	if (memchr(s, '?', (size_t)(colon - s)) != NULL ||
	    (memchr(s, '*', (size_t)(colon - s)) != NULL && colon - s != 1))
		return parse_fault(
		    ps, n, "\"%.64s\": a service has no wildcards", s);
	return OK;
}

static enum err
parse_actions(struct parser *ps, const struct node *n, struct statement *st)
{
	size_t i = 0;

	TRY(parse_list(ps, n, false, &n, &st->nactions));
	TRY(parse_alloc(ps, st->nactions * sizeof(*st->action), &st->action));
	TRY(parse_alloc(ps, st->nactions * sizeof(*st->action_pattern),
	    &st->action_pattern));
	for (; n != NULL && i < st->nactions; n = n->next, i++) {
		char *pattern;

		TRY(check_action(ps, n));
		TRY(parse_alloc(ps, strlen(n->text) + 1, &pattern));
		strcpy(pattern, n->text);
		pattern_wild(pattern);
		st->action[i] = n->text;
		st->action_pattern[i] = pattern;
		st->ops |= op_matching(ps->p->dialect, pattern);
	}
	if (st->not_action)
		st->ops = ~st->ops;
	return OK;
}

static enum err
parse_sid(struct parser *ps, const struct node *n, struct statement *st)
{
	const struct policy *p = ps->p;

	if (n->type != NODE_STRING || strlen(n->text) > SID_MAX)
		return parse_fault(
		    ps, n, "must be a string of %d bytes at most", SID_MAX);
	for (const struct statement *o = p->statement; o < st; o++)
		if (n->text[0] != '\0' && strcmp(o->sid, n->text) == 0)
			return parse_fault(ps, n,
			    "\"%.64s\" names another statement too", n->text);
	st->sid = n->text;
	return OK;
}

static enum err
parse_effect(struct parser *ps, const struct node *n, struct statement *st)
{

	if (n->type == NODE_STRING && strcmp(n->text, "Deny") == 0)
		st->deny = true;
	else if (n->type != NODE_STRING || strcmp(n->text, "Allow") != 0)
		return parse_fault(ps, n, "must be \"Allow\" or \"Deny\"");
	return OK;
}

static enum err
parse_action(struct parser *ps, const struct node *n, struct statement *st)
{

	st->not_action = n->key[0] == 'N';
	return parse_actions(ps, n, st);
}

static enum err
parse_resource(struct parser *ps, const struct node *n, struct statement *st)
{

	st->not_resource = n->key[0] == 'N';
	return resource_parse(ps, n, st);
}

static enum err
parse_who(struct parser *ps, const struct node *n, struct statement *st)
{

	st->not_who = n->key[0] == 'N';
	if (ps->p->kind == POLICY_IDENTITY)
		return parse_fault(ps, n,
		    "an identity policy names no principals: it belongs to "
		    "those that it is attached to");
	return who_parse(ps, n, st);
}

enum element {
	SID,
	EFFECT,
	WHO,
	NOT_WHO,
	ACTION,
	NOT_ACTION,
	RESOURCE,
	NOT_RESOURCE,
	CONDITION,
	ELEMENTS
};

static const struct {
	const char *name;
	enum err (*parse)(
	    struct parser *ps, const struct node *n, struct statement *st);
} elements[ELEMENTS] = {
	[SID] = { "Sid", parse_sid },
	[EFFECT] = { "Effect", parse_effect },
	[WHO] = { "Principal", parse_who },
	[NOT_WHO] = { "NotPrincipal", parse_who },
	[ACTION] = { "Action", parse_action },
	[NOT_ACTION] = { "NotAction", parse_action },
	[RESOURCE] = { "Resource", parse_resource },
	[NOT_RESOURCE] = { "NotResource", parse_resource },
	[CONDITION] = { "Condition", cond_parse },
};

/* ${a} or ${b}, not both; neither only when not ${needed}. */
static enum err
one_of(struct parser *ps, const struct node *at, unsigned seen, enum element a,
    enum element b, bool needed)
{
	const unsigned both = 1u << a | 1u << b;

	if ((seen & both) == both)
		return parse_fault(ps, at, "both %s and %s", elements[a].name,
		    elements[b].name);
	if ((seen & both) == 0 && needed)
		return parse_fault(ps, at, "neither %s nor %s",
		    elements[a].name, elements[b].name);
	return OK;
}

static enum err
parse_statement(struct parser *ps, const struct node *n, struct statement *st)
{
	const struct policy *p = ps->p;
	unsigned seen = 0;

	st->sid = "";
	if (n->type != NODE_OBJECT)
		return parse_fault(ps, n, "a statement must be an object");
	for (const struct node *m = n->child; m != NULL; m = m->next) {
		size_t back, e = 0;

		while (e < ELEMENTS && strcmp(m->key, elements[e].name) != 0)
			e++;
		for (size_t i = 0; e == ELEMENTS && i < ELEMENTS; i++)
			if (strcasecmp(m->key, elements[i].name) == 0)
				return parse_fault(ps, m,
				    "\"%s\" is written \"%s\"", m->key,
				    elements[i].name);
		if (e == ELEMENTS)
			return parse_fault(ps, m,
			    "\"%.64s\" is no element of a statement", m->key);
		seen |= 1u << e;
		back = path_enter(ps, ".%s", m->key);
		TRY(elements[e].parse(ps, m, st));
		path_leave(ps, back);
	}
	if ((seen & 1u << EFFECT) == 0)
		return parse_fault(ps, n, "no Effect");
	TRY(one_of(ps, n, seen, ACTION, NOT_ACTION, true));
	TRY(one_of(
	    ps, n, seen, RESOURCE, NOT_RESOURCE, p->dialect != POLICY_OBS));
	TRY(one_of(ps, n, seen, WHO, NOT_WHO, p->kind == POLICY_RESOURCE));
	if (st->not_who && !st->deny)
		return parse_fault(ps, n,
		    "NotPrincipal goes with Deny only: with Allow it would "
		    "allow everybody else");
	return OK;
}

/* ---- Documents ------------------------------------------------------------ */

static enum err
parse_version(struct parser *ps, const struct node *n)
{
	static const struct {
		const char *text;
		enum policy_dialect dialect;
	} versions[] = { { "1.1", POLICY_OBS }, { "1", POLICY_RAM },
		{ "2008-10-17", POLICY_AWS_2008 },
		{ "2012-10-17", POLICY_AWS_2012 } };

	for (size_t i = 0; i < COUNTOF(versions); i++)
		if (n->type == NODE_STRING &&
		    strcmp(n->text, versions[i].text) == 0) {
			ps->p->dialect = versions[i].dialect;
			return OK;
		}
	return parse_fault(
	    ps, n, "must be \"1.1\", \"1\", \"2008-10-17\" or \"2012-10-17\"");
}

static enum err
parse_statements(struct parser *ps, const struct node *n)
{
	struct policy *p = ps->p;
	const struct node *first = n->type == NODE_ARRAY ? n->child : n;
	const size_t count = n->type == NODE_ARRAY ? n->n : 1;

	if (count == 0)
		return parse_fault(ps, n, "no statement");
	if (count > POLICY_STATEMENTS_MAX &&
	    parse_fault(ps, n, "over %d statements", POLICY_STATEMENTS_MAX) !=
		OK)
		return ERR_LIMIT;
	TRY(parse_alloc(ps, count * sizeof(*p->statement), &p->statement));
	for (n = first; p->n < count && n != NULL; n = n->next) {
		const size_t back = path_enter(ps, "Statement[%zu]", p->n);

		TRY(parse_statement(ps, n, &p->statement[p->n]));
		path_leave(ps, back);
		p->n++;
	}
	return OK;
}

static enum err
parse_document(struct parser *ps, const struct node *n)
{
	const struct node *version = NULL, *statement = NULL;

	if (n->type != NODE_OBJECT)
		return parse_fault(ps, n, "a policy must be an object");
	for (const struct node *m = n->child; m != NULL; m = m->next) {
		if (strcmp(m->key, "Version") == 0)
			version = m;
		else if (strcmp(m->key, "Statement") == 0)
			statement = m;
		else if (strcmp(m->key, "Id") != 0)
			return parse_fault(ps, m,
			    "\"%.64s\" is no element of a policy", m->key);
		else if (m->type != NODE_STRING)
			return parse_fault(ps, m, "Id must be a string");
	}
	ps->p->dialect = POLICY_AWS_2008;
	if (version != NULL) {
		const size_t back = path_enter(ps, "Version");

		TRY(parse_version(ps, version));
		path_leave(ps, back);
	}
	if (ps->r.comments && ps->p->dialect != POLICY_RAM) {
		const struct node at = { .line = ps->r.comment_line,
			.column = ps->r.comment_column };

		return parse_fault(
		    ps, &at, "comments are for Version 1 policies only");
	}
	if (statement == NULL)
		return parse_fault(ps, n, "no Statement");
	return parse_statements(ps, statement);
}

enum err
policy_parse(const char *text, size_t len, enum policy_kind kind,
    struct policy **ret, struct policy_fault *ret_fault)
{
	struct policy *p = calloc(1, sizeof(*p));
	struct parser ps = { .p = p };
	struct policy_fault *f = &ps.r.fault;
	struct node *n = NULL;
	enum err e;

	if (p == NULL)
		return ERR_NOMEM;
	p->kind = kind;
	ps.r.mem = &p->mem;
	e = json_read(&ps.r, text, len, &n);
	if (e == OK)
		e = parse_document(&ps, n);
	if (e == OK) {
		*ret = p;
		return OK;
	}
	policy_free(p);
	if (e == ERR_NOMEM)
		return e;
	strcpy(f->where, ps.path);
	if (ret_fault != NULL)
		*ret_fault = *f;
	return err_fail(e, "malformed policy, line %u, column %u: %s%s%s",
	    f->line, f->column, f->where, f->where[0] != '\0' ? ": " : "",
	    f->why);
}

void
policy_free(struct policy *p)
{

	if (p == NULL)
		return;
	arena_release(&p->mem);
	free(p);
}

/* ---- What a document says ------------------------------------------------- */

enum policy_dialect
policy_dialect(const struct policy *p)
{

	return p->dialect;
}

const char *
policy_dialect_name(enum policy_dialect d)
{

	switch (d) {
	case POLICY_OBS:
		return "OBS 1.1";
	case POLICY_RAM:
		return "RAM 1";
	case POLICY_AWS_2008:
		return "AWS 2008-10-17";
	case POLICY_AWS_2012:
		return "AWS 2012-10-17";
	}
	return "";
}

size_t
policy_statements(const struct policy *p)
{

	return p->n;
}

const char *
policy_sid(const struct policy *p, size_t i)
{

	return p->statement[i].sid;
}

void
policy_idle_actions(const struct policy *p,
    void (*cb)(void *arg, size_t statement, const char *action), void *arg)
{

	for (size_t i = 0; i < p->n; i++) {
		const struct statement *st = &p->statement[i];

		for (size_t a = 0; a < st->nactions; a++)
			if (strncasecmp(st->action[a], "kms:", 4) == 0 &&
			    op_matching(p->dialect, st->action_pattern[a]) == 0)
				cb(arg, i, st->action[a]);
	}
}
