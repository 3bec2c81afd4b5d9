/*
 * Conditions: operators, the facts that they look at, and what holds when a
 * fact is not there.
 *
 *	                      not there    one value    several
 *	StringEquals          false        compare      any equal
 *	StringNotEquals       true         compare      none equal
 *	...IfExists           true         as without
 *	ForAllValues:op       true         every value satisfies op
 *	ForAnyValue:op        false        some value satisfies op
 *	Null                  "true"       "false"
 *
 * The values of a condition are joined by or, its keys and operators by and.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/attrs.h"
#include "lib/base/codec.h"

#include "kms/policy_internal.h"

/* ---- Facts ---------------------------------------------------------------- */

static const struct {
	const char *key;
	enum fact_id id;
} known_facts[] = {
	{ "aws:CurrentTime", FACT_TIME },
	{ "aws:EpochTime", FACT_EPOCH },
	{ "aws:SourceIp", FACT_SOURCE_IP },
	{ "aws:username", FACT_USER },
	{ "aws:userid", FACT_USER_ID },
	{ "aws:PrincipalAccount", FACT_ACCOUNT },
	{ "kms:CallerAccount", FACT_ACCOUNT },
	{ "aws:PrincipalArn", FACT_PRINCIPAL_ARN },
	{ "acs:PrincipalARN", FACT_PRINCIPAL_ARN_RAM },
	{ "aws:PrincipalType", FACT_PRINCIPAL_TYPE },
	{ "kms:EncryptionContextKeys", FACT_CONTEXT_KEYS },
};

void
fact_named(const char *key, struct fact *ret)
{
	static const char context[] = "kms:EncryptionContext:";

	ret->id = FACT_OTHER;
	ret->name = key;
	if (strncasecmp(key, context, sizeof(context) - 1) == 0) {
		ret->id = FACT_CONTEXT;
		ret->name = key + sizeof(context) - 1;
		return;
	}
	for (size_t i = 0; i < COUNTOF(known_facts); i++)
		if (strcasecmp(key, known_facts[i].key) == 0)
			ret->id = known_facts[i].id;
}

/* Keys of the other dialects, and how AWS spells them; a prefix stands for
 * all keys that begin with it, and comes last. */
static const struct {
	enum policy_dialect dialect;
	const char *key, *aws;
} spellings[] = {
	{ POLICY_RAM, "acs:PrincipalARN", "acs:PrincipalARN" },
	{ POLICY_RAM, "acs:MFAPresent", "aws:MultiFactorAuthPresent" },
	{ POLICY_RAM, "acs:", "aws:" },
	{ POLICY_RAM, "oss:", "s3:" },
	{ POLICY_OBS, "g:DomainId", "aws:PrincipalAccount" },
	{ POLICY_OBS, "g:DomainName", "aws:PrincipalAccount" },
	{ POLICY_OBS, "g:MFAPresent", "aws:MultiFactorAuthPresent" },
	{ POLICY_OBS, "g:", "aws:" },
	{ POLICY_OBS, "obs:", "s3:" },
};

static enum err
parse_key(struct parser *ps, const char *key, struct fact *ret)
{
	char *aws;

	for (size_t i = 0; i < COUNTOF(spellings); i++) {
		const size_t len = strlen(spellings[i].key);
		const bool prefix = spellings[i].key[len - 1] == ':';

		if (spellings[i].dialect != ps->p->dialect ||
		    strncasecmp(key, spellings[i].key, len) != 0 ||
		    (!prefix && key[len] != '\0'))
			continue;
		TRY(parse_alloc(ps,
		    strlen(spellings[i].aws) + strlen(key + len) + 1, &aws));
		strcpy(aws, spellings[i].aws);
		strcat(aws, key + len);
		key = aws;
		break;
	}
	fact_named(key, ret);
	return OK;
}

/* ---- Operators ------------------------------------------------------------ */

#define NOT 1u
#define FOLD 2u   /* letter case does not matter */
#define LIKE 4u   /* with wildcards */
#define STARTS 8u /* the beginning */
#define ENDS 16u
#define OBS 32u /* in OBS only */

static const struct operator
{
	const char *name;
	enum cond_type type;
	enum cond_cmp cmp;
	unsigned flags;
}
operators[] = {
	{ "StringEquals", COND_STRING, CMP_EQ, 0 },
	{ "StringNotEquals", COND_STRING, CMP_EQ, NOT },
	{ "StringEqualsIgnoreCase", COND_STRING, CMP_EQ, FOLD },
	{ "StringNotEqualsIgnoreCase", COND_STRING, CMP_EQ, NOT | FOLD },
	{ "StringLike", COND_STRING, CMP_EQ, LIKE },
	{ "StringNotLike", COND_STRING, CMP_EQ, NOT | LIKE },
	{ "StringStartWith", COND_STRING, CMP_EQ, STARTS | OBS },
	{ "StringNotStartWith", COND_STRING, CMP_EQ, NOT | STARTS | OBS },
	{ "StringEndWith", COND_STRING, CMP_EQ, ENDS | OBS },
	{ "StringNotEndWith", COND_STRING, CMP_EQ, NOT | ENDS | OBS },
	{ "NumericEquals", COND_NUMBER, CMP_EQ, 0 },
	{ "NumericNotEquals", COND_NUMBER, CMP_EQ, NOT },
	{ "NumericLessThan", COND_NUMBER, CMP_LT, 0 },
	{ "NumericLessThanEquals", COND_NUMBER, CMP_LE, 0 },
	{ "NumericGreaterThan", COND_NUMBER, CMP_GT, 0 },
	{ "NumericGreaterThanEquals", COND_NUMBER, CMP_GE, 0 },
	{ "NumberEquals", COND_NUMBER, CMP_EQ, OBS },
	{ "NumberNotEquals", COND_NUMBER, CMP_EQ, NOT | OBS },
	{ "NumberLessThan", COND_NUMBER, CMP_LT, OBS },
	{ "NumberLessThanEquals", COND_NUMBER, CMP_LE, OBS },
	{ "NumberGreaterThan", COND_NUMBER, CMP_GT, OBS },
	{ "NumberGreaterThanEquals", COND_NUMBER, CMP_GE, OBS },
	{ "DateEquals", COND_DATE, CMP_EQ, 0 },
	{ "DateNotEquals", COND_DATE, CMP_EQ, NOT },
	{ "DateLessThan", COND_DATE, CMP_LT, 0 },
	{ "DateLessThanEquals", COND_DATE, CMP_LE, 0 },
	{ "DateGreaterThan", COND_DATE, CMP_GT, 0 },
	{ "DateGreaterThanEquals", COND_DATE, CMP_GE, 0 },
	{ "Bool", COND_BOOL, CMP_EQ, 0 },
	{ "BinaryEquals", COND_BINARY, CMP_EQ, 0 },
	{ "IpAddress", COND_IP, CMP_EQ, 0 },
	{ "NotIpAddress", COND_IP, CMP_EQ, NOT },
	{ "ArnEquals", COND_ARN, CMP_EQ, 0 },
	{ "ArnNotEquals", COND_ARN, CMP_EQ, NOT },
	{ "ArnLike", COND_ARN, CMP_EQ, 0 },
	{ "ArnNotLike", COND_ARN, CMP_EQ, NOT },
	{ "Null", COND_NULL, CMP_EQ, 0 },
};

/* ForAllValues:StringEqualsIfExists, and the like. */
static const struct operator*
    find_operator(const char *name, enum policy_dialect d, struct cond *c)
{
	static const char all[] = "ForAllValues:", any[] = "ForAnyValue:",
			  exists[] = "IfExists";
	const size_t tail = sizeof(exists) - 1;
	size_t len;

	c->set = SET_NONE;
	if (strncmp(name, all, sizeof(all) - 1) == 0) {
		c->set = SET_ALL;
		name += sizeof(all) - 1;
	} else if (strncmp(name, any, sizeof(any) - 1) == 0) {
		c->set = SET_ANY;
		name += sizeof(any) - 1;
	}
	len = strlen(name);
	c->if_exists = len > tail && strcmp(name + len - tail, exists) == 0;
	if (c->if_exists)
		len -= tail;
	for (size_t i = 0; i < COUNTOF(operators); i++) {
		const struct operator* o = & operators[i];

		if (strncmp(o->name, name, len) != 0 || o->name[len] != '\0' ||
		    ((o->flags & OBS) != 0 && d != POLICY_OBS))
			continue;
		if (o->type == COND_NULL &&
		    (c->set != SET_NONE || c->if_exists))
			return NULL;
		c->type = o->type;
		c->cmp = o->cmp;
		c->negate = (o->flags & NOT) != 0;
		c->fold = (o->flags & FOLD) != 0;
		return o;
	}
	return NULL;
}

static enum err
parse_string(struct parser *ps, const struct node *n, unsigned flags,
    union cond_value *v)
{
	char *s, *whole;
	size_t len;

	TRY(parse_pattern(ps, n, n->text, (flags & LIKE) != 0, &s));
	if ((flags & (STARTS | ENDS)) != 0) {
		len = strlen(s);
		TRY(parse_alloc(ps, len + 2, &whole));
		memcpy(whole + ((flags & ENDS) != 0), s, len);
		whole[(flags & ENDS) != 0 ? 0 : len] = PAT_STAR;
		s = whole;
	}
	v->pattern = s;
	return OK;
}

static enum err
parse_binary(struct parser *ps, const struct node *n, union cond_value *v)
{
	const size_t len = strlen(n->text);
	uint8_t *p;

	TRY(parse_alloc(ps, len + 1, &p));
	if (b64_decode(n->text, len, p, len, &v->binary.len) != OK)
		return parse_fault(ps, n, "\"%.64s\" is no base64", n->text);
	v->binary.p = p;
	return OK;
}

static enum err
parse_value(struct parser *ps, const struct node *n, const struct operator* o,
    union cond_value *v)
{
	const char *s = n->text;

	switch (o->type) {
	case COND_STRING:
		return parse_string(ps, n, o->flags, v);
	case COND_BINARY:
		return parse_binary(ps, n, v);
	case COND_ARN:
		TRY(arn_parse(ps, n, s, ARN_FIELDS, &v->arn));
		return OK;
	case COND_NUMBER:
		if (!number_parse(s, &v->number))
			return parse_fault(ps, n, "\"%.64s\" is no number", s);
		return OK;
	case COND_DATE:
		if (!date_parse(s, &v->date))
			return parse_fault(ps, n,
			    "\"%.64s\" is no date, which reads "
			    "2026-11-21T10:00:00Z",
			    s);
		return OK;
	case COND_BOOL:
	case COND_NULL:
		if (!bool_parse(s, &v->flag))
			return parse_fault(
			    ps, n, "\"%.64s\" is neither true nor false", s);
		return OK;
	case COND_IP:
		if (!net_parse(s, &v->net))
			return parse_fault(ps, n,
			    "\"%.64s\" is no address, which reads "
			    "203.0.113.0/24 or 2001:db8::/32",
			    s);
		return OK;
	}
	return ERR_INTERNAL;
}

static enum err
parse_one(struct parser *ps, const struct node *n, const struct operator* o,
    struct cond *c)
{
	const struct node *first = n;
	size_t back, i = 0;

	if (n->key[0] == '\0')
		return parse_fault(ps, n, "a condition key without a name");
	back = path_enter(ps, ".%.64s", n->key);
	TRY(parse_key(ps, n->key, &c->key));
	TRY(parse_list(ps, n, true, &first, &c->n));
	TRY(parse_alloc(ps, c->n * sizeof(*c->value), &c->value));
	for (n = first; n != NULL && i < c->n; n = n->next, i++)
		TRY(parse_value(ps, n, o, &c->value[i]));
	path_leave(ps, back);
	return OK;
}

/* An operator with its keys; each key becomes a condition of its own. */
static enum err
parse_operator(struct parser *ps, const struct node *n, struct statement *st)
{
	const size_t back = path_enter(ps, ".%.64s", n->key);
	struct cond head = { .type = COND_NULL };
	const struct operator* o = find_operator(n->key, ps->p->dialect, &head);

	if (o == NULL)
		return parse_fault(
		    ps, n, "\"%.64s\" is no operator of this dialect", n->key);
	if (n->type != NODE_OBJECT || n->n == 0)
		return parse_fault(
		    ps, n, "must be an object of condition keys");
	for (const struct node *m = n->child; m != NULL; m = m->next) {
		struct cond *c = &st->cond[st->nconds];

		*c = head;
		TRY(parse_one(ps, m, o, c));
		st->nconds++;
	}
	path_leave(ps, back);
	return OK;
}

enum err
cond_parse(struct parser *ps, const struct node *n, struct statement *st)
{
	size_t count = 0;

	if (n->type != NODE_OBJECT)
		return parse_fault(ps, n, "must be an object of operators");
	for (const struct node *m = n->child; m != NULL; m = m->next)
		count += m->n;
	TRY(parse_alloc(ps, (count + 1) * sizeof(*st->cond), &st->cond));
	for (n = n->child; n != NULL; n = n->next)
		TRY(parse_operator(ps, n, st));
	return OK;
}

/* ---- Evaluation ----------------------------------------------------------- */

static bool
compare(enum cond_cmp cmp, int c)
{

	switch (cmp) {
	case CMP_EQ:
		return c == 0;
	case CMP_LT:
		return c < 0;
	case CMP_LE:
		return c <= 0;
	case CMP_GT:
		return c > 0;
	case CMP_GE:
		return c >= 0;
	}
	return false;
}

/* The six parts are compared each on its own. */
static bool
arn_holds(struct eval *ev, const struct arn *a, const char *text)
{
	char copy[ARN_MAX];
	const char *part[ARN_FIELDS];
	unsigned n = 1;

	if (strncmp(text, "arn:", 4) != 0 || strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	part[0] = copy;
	for (char *s = copy; *s != '\0' && n < ARN_FIELDS; s++)
		if (*s == ':') {
			*s = '\0';
			part[n++] = s + 1;
		}
	if (n < ARN_FIELDS)
		return false;
	for (unsigned i = 0; i < ARN_FIELDS && !a->any; i++)
		if (!pattern_holds(ev, a->field[i], part[i], false))
			return false;
	return true;
}

static bool
binary_holds(const union cond_value *v, const char *text)
{
	uint8_t p[POLICY_STRING_MAX];
	size_t len;

	return b64_decode(text, strlen(text), p, sizeof(p), &len) == OK &&
	       len == v->binary.len && memcmp(p, v->binary.p, len) == 0;
}

/* Is ${text} what the value asks for, negation left aside? */
static bool
value_holds(struct eval *ev, const struct cond *c, const union cond_value *v,
    const char *text)
{
	struct number number;
	struct date date;
	struct net net;
	bool flag;

	switch (c->type) {
	case COND_STRING:
		return pattern_holds(ev, v->pattern, text, c->fold);
	case COND_NUMBER:
		return number_parse(text, &number) &&
		       compare(c->cmp, number_compare(&number, &v->number));
	case COND_DATE:
		return date_parse(text, &date) &&
		       compare(c->cmp, date_compare(&date, &v->date));
	case COND_BOOL:
		return bool_parse(text, &flag) && flag == v->flag;
	case COND_BINARY:
		return binary_holds(v, text);
	case COND_IP:
		return net_parse(text, &net) && net.bits == 128 &&
		       net_has(&v->net, &net);
	case COND_ARN:
		return arn_holds(ev, &v->arn, text);
	case COND_NULL:
		return false;
	}
	return false;
}

static bool
null_holds(struct eval *ev, const struct cond *c)
{
	const char *text;
	size_t at = 0;
	const bool absent = !fact_next(ev, &c->key, &at, &text);

	for (size_t i = 0; i < c->n; i++)
		if (c->value[i].flag == absent)
			return true;
	return false;
}

bool
cond_holds(struct eval *ev, const struct statement *st, const struct cond *c)
{
	bool any = false, all = true, there = false;
	const char *text;
	size_t at = 0;

	if (c->type == COND_NULL)
		return null_holds(ev, c);
	ev->unresolved = false;
	while (fact_next(ev, &c->key, &at, &text)) {
		bool hit = false;

		there = true;
		for (size_t i = 0; i < c->n && !hit; i++)
			hit = value_holds(ev, c, &c->value[i], text);
		if (hit != c->negate)
			any = true;
		else
			all = false;
	}
	/* "Not what nobody knows" allows nothing. */
	if (c->negate && ev->unresolved && !st->deny)
		return false;
	if (!there)
		return c->if_exists || c->set == SET_ALL ||
		       (c->set == SET_NONE && c->negate);
	if (c->set == SET_ALL || (c->set == SET_NONE && c->negate))
		return all;
	return any;
}
