/*
 * JSON text to a document (lib/json), walked and written again: what comes out
 * reads as the same document, and the limits are no estimate.
 *
 * Input: limits of depth and values (one byte each), the text.
 */
#include "lib/json/json.h"

#include "tests/fuzz/fuzz.h"

#define TEXT_MAX ((size_t)1 << 16)

struct tally {
	struct jout *j;
	size_t values;
	unsigned depth, deepest;
};

static void walk(struct tally *t, const char *name, const struct jval *v);

static enum err
member(void *arg, const char *name, const struct jval *v)
{
	walk(arg, name, v);
	return (OK);
}

static void
enter(struct tally *t)
{
	if (++t->depth > t->deepest)
		t->deepest = t->depth;
}

static void
walk(struct tally *t, const char *name, const struct jval *v)
{
	t->values++;
	switch (jval_type(v)) {
	case JTYPE_OBJECT:
		enter(t);
		jout_object(t->j, name);
		HOLDS(jval_each(v, member, t) == OK);
		jout_close(t->j, '}');
		t->depth--;
		break;
	case JTYPE_ARRAY:
		enter(t);
		jout_array(t->j, name);
		for (size_t i = 0; i < jval_count(v); i++)
			walk(t, NULL, jval_at(v, i));
		HOLDS(jval_at(v, jval_count(v)) == NULL);
		jout_close(t->j, ']');
		t->depth--;
		break;
	case JTYPE_STR:
		HOLDS(jval_text(v) != NULL);
		jout_str(t->j, name, jval_text(v));
		break;
	case JTYPE_INT:
	case JTYPE_REAL:
	case JTYPE_BOOL:
	case JTYPE_NULL:
		HOLDS(jval_text(v) == NULL);
		jout_bool(t->j, name, true);
		break;
	}
}

/* Every getter on every member; exactly the right one takes it. */
static enum err
getters(void *arg, const char *name, const struct jval *v)
{
	const struct jval *root = arg, *r = NULL;
	const enum jtype type = jval_type(v);
	const bool null = type == JTYPE_NULL;
	const char *s = NULL;
	uint8_t bytes[16];
	int64_t i = 0;
	size_t n = 0;
	bool t = false;

	HOLDS(jval_member(root, name) == v);
	HOLDS((jval_get_str(root, name, &s) == OK) == (type == JTYPE_STR));
	HOLDS((jval_get_bool(root, name, &t) == OK) == (type == JTYPE_BOOL));
	HOLDS((jval_get_array(root, name, &r) == OK) == (type == JTYPE_ARRAY));
	HOLDS(
	    (jval_get_object(root, name, &r) == OK) == (type == JTYPE_OBJECT));
	HOLDS(type != JTYPE_INT || jval_get_i64(root, name, &i) == OK);
	HOLDS(jval_get_time(root, name, &i) != OK || type == JTYPE_INT ||
	      type == JTYPE_REAL);
	HOLDS((jval_get_i64(root, name, &i) == ERR_NODATA) == null);
	if (jval_get_b64(root, name, bytes, sizeof(bytes), &n) == OK)
		HOLDS(n <= sizeof(bytes) && s != NULL);
	return (OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	struct jlimits lim = { TEXT_MAX, 0, 0 };
	struct jdoc *d CLEANUP_JDOC = NULL, *again CLEANUP_JDOC = NULL;
	struct buf b CLEANUP_BUF = { 0 }, b2 CLEANUP_BUF = { 0 };
	struct jout j;
	struct tally t = { .j = &j };

	lim.depth = (unsigned)feed_int(&f, 1);
	lim.values = 4 * (size_t)feed_int(&f, 1);
	uint8_t *text CLEANUP_FREE = exact(f.p, f.len);
	if (jdoc_parse(text, f.len, &lim, &d) != OK) {
		HOLDS(d == NULL);
		return (0);
	}
	buf_init(&b, 8 * TEXT_MAX);
	jout_begin(&j, &b, false);
	walk(&t, NULL, jdoc_root(d));
	HOLDS(j.e == OK);
	HOLDS(t.values <= lim.values && t.deepest <= lim.depth);
	HOLDS(jval_each(jdoc_root(d), getters,
		  (void *)(uintptr_t)jdoc_root(d)) == OK);
	/* As many limits as it has, then less of each. */
	lim = (struct jlimits){ b.len, t.deepest, t.values };
	HOLDS(jdoc_parse(b.p, b.len, &lim, &again) == OK);
	t = (struct tally){ .j = &j };
	buf_init(&b2, 8 * TEXT_MAX);
	jout_begin(&j, &b2, false);
	walk(&t, NULL, jdoc_root(again));
	HOLDS(b.len == b2.len && memcmp(b.p, b2.p, b.len) == 0);
	struct jdoc *none = NULL;
	lim.values--;
	HOLDS(jdoc_parse(b.p, b.len, &lim, &none) == ERR_LIMIT);
	lim.values++;
	lim.depth--;
	HOLDS(jdoc_parse(b.p, b.len, &lim, &none) == ERR_LIMIT);
	return (0);
}
