/*
 * Requests of the KMS API (gateway): an operation's name and a body, checked
 * against its table.  What is refused is told in one bounded sentence.
 *
 * Input: the name, a line feed, the body.
 */
#include "gateway/limits.h"
#include "gateway/req.h"

#include "tests/fuzz/fuzz.h"

static const struct jlimits limits = { GATE_BODY_MAX, GATE_JSON_DEPTH,
	GATE_JSON_VALUES };

/* A member that passed is of the type that the operation reads it as. */
static void
holds(const struct jval *in, const struct member *table)
{
	for (const struct member *m = table; m->name != NULL; m++) {
		const struct jval *v = jval_member(in, m->name);
		int64_t n = 0;

		if (v == NULL || jval_type(v) == JTYPE_NULL) {
			HOLDS(!m->required);
			continue;
		}
		switch (m->type) {
		case MEMBER_STR:
		case MEMBER_BLOB:
			HOLDS(jval_text(v) != NULL);
			break;
		case MEMBER_INT:
			HOLDS(jval_get_i64(in, m->name, &n) == OK);
			HOLDS(n >= m->min && n <= m->max);
			break;
		case MEMBER_TIME:
			HOLDS(jval_get_time(in, m->name, &n) == OK);
			break;
		case MEMBER_BOOL:
			HOLDS(jval_type(v) == JTYPE_BOOL);
			break;
		case MEMBER_MAP:
			HOLDS(jval_type(v) == JTYPE_OBJECT);
			break;
		case MEMBER_STRS:
			for (size_t i = 0; i < jval_count(v); i++)
				HOLDS(jval_text(jval_at(v, i)) != NULL);
			break;
		case MEMBER_LIST:
			for (size_t i = 0; i < jval_count(v); i++)
				holds(jval_at(v, i), m->of);
			break;
		case MEMBER_OBJECT:
			holds(v, m->of);
			break;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *lf = len > 0 ? memchr(data, '\n', len) : NULL;
	struct jdoc *d CLEANUP_JDOC = NULL;
	struct aws_error e = { .code = AWS_NONE };
	char name[64] = "";
	const struct op *op = NULL;

	if (lf == NULL || (size_t)(lf - data) >= sizeof(name))
		return (0);
	memcpy(name, data, (size_t)(lf - data));
	op = api_op(name);
	len -= (size_t)(lf - data) + 1;
	uint8_t *text CLEANUP_FREE = exact(lf + 1, len);
	if (op == NULL || jdoc_parse(text, len, &limits, &d) != OK ||
	    jval_type(jdoc_root(d)) != JTYPE_OBJECT)
		return (0);
	if (member_check(jdoc_root(d), op->members, &e) == OK) {
		HOLDS(e.code == AWS_NONE);
		holds(jdoc_root(d), op->members);
	} else {
		HOLDS(e.code == AWS_VALIDATION || e.code == AWS_SERIALIZATION);
		HOLDS(e.text[0] != '\0' && strlen(e.text) < AWS_TEXT_MAX);
	}
	return (0);
}
