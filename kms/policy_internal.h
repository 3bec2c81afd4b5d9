/*
 * policy_internal: the parts of the policy engine.
 *
 *	policy_json.c    text to a tree, with a line and a column for each part
 *	policy_parse.c   tree to statements
 *	policy_name.c    principals and resources of the three dialects
 *	policy_action.c  operations, and what the dialects call them
 *	policy_cond.c    conditions
 *	policy_value.c   patterns, numbers, dates, addresses
 *	policy_eval.c    the decision
 */
#ifndef KMS_POLICY_INTERNAL_H
#define KMS_POLICY_INTERNAL_H

#include <netinet/in.h>

#include "kms/policy.h"

/* ---- Memory: freed as a whole --------------------------------------------- */

struct chunk;
struct arena {
	struct chunk *head;
	size_t free; /* bytes left in it */
};

/* Zeroed; NULL when there is no memory. */
void *arena_alloc(struct arena *a, size_t size);
void arena_release(struct arena *a);

/* ---- Text ----------------------------------------------------------------- */

enum node_type {
	NODE_OBJECT,
	NODE_ARRAY,
	NODE_STRING,
	NODE_NUMBER,
	NODE_BOOL,
	NODE_NULL
};

struct node {
	enum node_type type;
	unsigned line, column;
	const char *key;  /* in an object */
	const char *text; /* STRING, NUMBER, BOOL; without control characters */
	struct node *child, *next;
	size_t n; /* children */
};

struct reader {
	struct arena *mem;
	struct policy_fault fault;
	bool comments; /* some were read */
	unsigned comment_line, comment_column;
	/* The cursor, private to policy_json.c. */
	const char *p, *end, *line_start;
	unsigned line, depth;
};

/* Read all of ${text}.  ERR_PARSE, ERR_LIMIT with r->fault; ERR_NOMEM. */
enum err json_read(struct reader *r, const char *text, size_t len,
    struct node **ret) MUSTCHECK;

/* ---- Patterns ------------------------------------------------------------- */

/*
 * Compiled patterns are strings in which these bytes, which no text of a
 * document holds, have a meaning.  A variable reads VAR key VAR, then '-', or
 * '+' and the default, then VAR.
 */
#define PAT_STAR '\1'
#define PAT_ANY '\2'
#define PAT_VAR '\3'

/* Replace * and ? by their bytes, in place. */
void pattern_wild(char *s);
/* Does ${text} match?  ? is one character of UTF-8; ${fold} ignores the case
 * of ASCII letters. */
bool pattern_match(const char *pattern, const char *text, bool fold);

/* ---- Values --------------------------------------------------------------- */

struct number {
	bool neg;
	const char *whole, *frac; /* digits, without outer zeros */
	size_t nwhole, nfrac;
};
/* Decimal digits, with a sign and a point at most; ${ret} points into ${s}. */
bool number_parse(const char *s, struct number *ret);
int number_compare(const struct number *a, const struct number *b);

struct date {
	int64_t seconds;
	uint32_t nanos;
};
/* YYYY[-MM[-DD[Thh:mm[:ss[.f]](Z|±hh:mm)]]], or seconds since 1970 (other
 * than four digits, which are a year). */
bool date_parse(const char *s, struct date *ret);
int date_compare(const struct date *a, const struct date *b);
/* As "2026-11-21T10:00:00Z". */
void date_format(int64_t seconds, char ret[static 32]);

struct net {
	bool v4;
	uint8_t addr[16];
	unsigned bits;
};
/* An address with or without /BITS.  IPv4 inside IPv6 is IPv4. */
bool net_parse(const char *s, struct net *ret);
/* Is ${a}, one address, in ${n}? */
bool net_has(const struct net *n, const struct net *a);

bool bool_parse(const char *s, bool *ret);

/* ---- Statements ----------------------------------------------------------- */

enum who_kind {
	WHO_ANY,
	WHO_ACCOUNT, /* the account; its policies decide for its users */
	WHO_MEMBERS, /* everybody of an account */
	WHO_USER,
	WHO_ROLE,
	WHO_SESSION, /* name is ROLE/USER */
	WHO_SERVICE
};

struct who {
	enum who_kind kind;
	const char *account, *name;
};

#define ARN_FIELDS 6

/* A resource pattern, or an ARN in a condition. */
struct arn {
	bool any; /* "*" */
	const char
	    *field[ARN_FIELDS]; /* compiled; as many as the dialect has */
};

enum fact_id {
	FACT_OTHER,
	FACT_TIME,
	FACT_EPOCH,
	FACT_SOURCE_IP,
	FACT_USER,
	FACT_USER_ID,
	FACT_ACCOUNT,
	FACT_PRINCIPAL_ARN,
	FACT_PRINCIPAL_ARN_RAM,
	FACT_PRINCIPAL_TYPE,
	FACT_CONTEXT,
	FACT_CONTEXT_KEYS
};

struct fact {
	enum fact_id id;
	const char *name; /* OTHER: the key; CONTEXT: the context's */
};

enum cond_type {
	COND_STRING, /* a pattern, with or without wildcards */
	COND_NUMBER,
	COND_DATE,
	COND_BOOL,
	COND_BINARY,
	COND_IP,
	COND_ARN,
	COND_NULL
};

enum cond_cmp { CMP_EQ, CMP_LT, CMP_LE, CMP_GT, CMP_GE };
enum cond_set { SET_NONE, SET_ALL, SET_ANY };

union cond_value {
	const char *pattern;
	struct number number;
	struct date date;
	bool flag; /* BOOL, NULL */
	struct {
		const uint8_t *p;
		size_t len;
	} binary;
	struct net net;
	struct arn arn;
};

struct cond {
	enum cond_type type;
	enum cond_cmp cmp;
	enum cond_set set;
	bool negate, fold, if_exists;
	struct fact key;
	union cond_value *value;
	size_t n;
};

struct statement {
	const char *sid;
	bool deny;
	bool not_action, not_resource, not_who;
	uint64_t ops;        /* the operations of the table, NotAction done */
	const char **action; /* as written */
	const char **action_pattern;
	size_t nactions;
	struct arn *resource;
	size_t nresources; /* 0: all (OBS) */
	struct who *who;   /* resource policies only */
	size_t nwho;
	struct cond *cond;
	size_t nconds;
};

struct policy {
	struct arena mem;
	enum policy_dialect dialect;
	enum policy_kind kind;
	struct statement *statement;
	size_t n;
};

/* What the parser carries along. */
struct parser {
	struct reader r;
	struct policy *p;
	char path[160];
	size_t path_len;
};

/* Set the fault and return ERR_PARSE. */
enum err parse_fault(struct parser *ps, const struct node *at, const char *fmt,
    ...) PRINTF(3, 4) MUSTCHECK;
/* Memory of the policy; ERR_NOMEM. */
enum err parse_alloc(struct parser *ps, size_t size, void *ret) MUSTCHECK;
/* ${text} as a pattern, with wildcards when ${wild} and with policy variables
 * when the dialect has them. */
enum err parse_pattern(struct parser *ps, const struct node *at,
    const char *text, bool wild, char **ret) MUSTCHECK;
/* A node that is a string or a list of strings (with ${plain}, numbers and
 * booleans too): the first, and how many, which is never 0. */
enum err parse_list(struct parser *ps, const struct node *n, bool plain,
    const struct node **ret_first, size_t *ret_n) MUSTCHECK;
/* Go into a part of the document: what its name adds to the path of faults;
 * returns what path_leave() takes. */
size_t path_enter(struct parser *ps, const char *fmt, ...) PRINTF(2, 3);
void path_leave(struct parser *ps, size_t back);

/* policy_name.c */
enum err who_parse(
    struct parser *ps, const struct node *n, struct statement *st) MUSTCHECK;
enum err resource_parse(
    struct parser *ps, const struct node *n, struct statement *st) MUSTCHECK;
/* Split ${text} at colons into ${n} patterns, the last taking the rest. */
enum err arn_parse(struct parser *ps, const struct node *at, const char *text,
    unsigned n, struct arn *ret) MUSTCHECK;
/* The principal that the grantee of a grant is, in ${room}; false: none. */
bool who_of_grantee(const char *s, char *room, size_t size, struct who *ret);

/* policy_cond.c */
enum err cond_parse(
    struct parser *ps, const struct node *n, struct statement *st) MUSTCHECK;
/* The fact that a key in its AWS spelling names; ${ret} points into it. */
void fact_named(const char *key, struct fact *ret);

/* ---- Operations ----------------------------------------------------------- */

#define OP_NONE (-1)

/* The table's index of an action of a request ("kms:Decrypt"), or OP_NONE. */
int op_find(const char *action);
/* May the operation cross accounts; may a grant allow it; is a grant's
 * constraint looked at? */
bool op_crosses(int op);
bool op_grantable(int op);
bool op_constrained(int op);
/* In AWS, is it on "*" alone, whatever the request names? */
bool op_unplaced(int op);
const char *op_name(int op);
/* The operations that a pattern of the dialect names. */
uint64_t op_matching(enum policy_dialect d, const char *pattern);
/* Does a pattern name the action of a request that is not in the table, of
 * ACTION_MAX bytes at most? */
bool op_other_matches(enum policy_dialect d, const char *pattern,
    const char *action, bool on_object);

/* ---- Evaluation ----------------------------------------------------------- */

/* A request over these is denied. */
#define ACTION_MAX 128
#define ARN_MAX 2049 /* with its NUL */
/* A pattern that is longer with its variables in it matches nothing: facts
 * have 8 KiB at most, and stars no more than a document's string. */
#define EXPAND_MAX 12288

/* One request being answered. */
struct eval {
	const struct policy_request *req;
	int op;
	const char *part[ARN_FIELDS]; /* of the resource's ARN */
	const char *owner;            /* the resource's tenant */
	bool on_object;               /* an object in a bucket */
	bool container;               /* no key and no alias: their container */
	const char *type, *path;      /* the last part, as OBS has it */
	bool unresolved;              /* a variable had no value */
	char time[32], principal[512]; /* made at their first use */
	char arn[ARN_MAX];             /* what part and path point into */
	char room[EXPAND_MAX];         /* pattern_expand()'s */
};

/* The values of a fact, one after the other; ${at} begins with 0. */
bool fact_next(
    struct eval *ev, const struct fact *f, size_t *at, const char **ret);
/* A pattern with the request's values in it; NULL, and ev->unresolved, when
 * one has none.  Valid until the next call. */
const char *pattern_expand(struct eval *ev, const char *pattern);
/* Does pattern ${pattern}, expanded, match? */
bool pattern_holds(
    struct eval *ev, const char *pattern, const char *text, bool fold);
bool cond_holds(
    struct eval *ev, const struct statement *st, const struct cond *c);
bool resource_matches(
    struct eval *ev, const struct policy *p, const struct statement *st);
/* How a list of principals names the asker. */
enum who_match { WHO_NOT, WHO_BY_ACCOUNT, WHO_DIRECT };
enum who_match who_matches(
    const struct who *w, size_t n, const struct policy_principal *asker);

#endif
