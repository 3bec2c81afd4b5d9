/*
 * member: what the requests of an operation may hold, and the check that they
 * do, as clients leave it to the server.
 *
 * Members that are not listed are ignored, as AWS does.  Pure and thread-safe.
 */
#ifndef GATEWAY_MEMBER_H
#define GATEWAY_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/aws.h"
#include "lib/json/json.h"

enum member_type {
	MEMBER_STR,  /* min, max: characters; pattern or set */
	MEMBER_BLOB, /* base64; min, max: bytes */
	MEMBER_INT,  /* min, max: the value */
	MEMBER_BOOL,
	MEMBER_TIME,  /* seconds since 1970 */
	MEMBER_MAP,   /* strings by name */
	MEMBER_STRS,  /* strings; min, max: how many; of: what each may be */
	MEMBER_LIST,  /* objects; min, max: how many; of: their members */
	MEMBER_OBJECT /* of: its members */
};

/* A pattern and how AWS writes it. */
struct member_pattern {
	const char *text;
	bool (*ok)(const char *s);
};

struct member {
	const char *name; /* NULL: the end of a table */
	enum member_type type;
	bool required;
	uint32_t min, max;
	const struct member_pattern *pattern;
	const char *const *set;  /* values of an enumeration, then NULL */
	const struct member *of; /* MEMBER_STRS: a single one */
};

extern const struct member_pattern pattern_alias, pattern_marker, pattern_word,
    pattern_policy, pattern_principal;

/*
 * member_check(in, table, err):
 * Does the object ${in} hold what ${table} says?  ERR_INVAL after setting
 * ${err}: SerializationException for a wrong type, ValidationException that
 * names every other fault, in AWS's words.
 */
enum err member_check(const struct jval *in, const struct member *table,
    struct aws_error *err) MUSTCHECK;

#endif
