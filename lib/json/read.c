/*
 * read: the reader.  jansson makes the tree; what it may be given is decided
 * here, by one walk over the text before, and its memory is ours, so that all of
 * it is wiped.
 */
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/codec.h"
#include "lib/json/json.h"

#define DEPTH_MAX 1024 /* jansson's own, less a margin */

/* ---- Memory --------------------------------------------------------------- */

/* Before each block, so that it can be wiped; as large as malloc() aligns. */
union head {
	size_t len;
	max_align_t align;
};

static void *
wiped_alloc(size_t len)
{
	union head *h;

	if (len > SIZE_MAX - sizeof(*h))
		return NULL;
	h = malloc(sizeof(*h) + len);
	if (h == NULL)
		return NULL;
	h->len = len;
	return h + 1;
}

static void
wiped_free(void *p)
{
	union head *h = p;

	if (h == NULL)
		return;
	h--;
	explicit_bzero(h + 1, h->len);
	free(h);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
set_memory(void)
{

	json_set_alloc_funcs(wiped_alloc, wiped_free);
}

/* ---- Before the tree ------------------------------------------------------ */

/* Behind the string that begins at ${p}; NULL when it does not end. */
static const char *
skip_string(const char *p, const char *end)
{

	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && ++p == end)
			return NULL;
	return p < end ? p + 1 : NULL;
}

static enum err
too_large(const char *what)
{

	return err_fail(ERR_LIMIT, "the JSON text has too many %s", what);
}

/*
 * Depth, and how many values the tree would have: the document, one for each
 * bracket that is not empty, and one for each comma.  Text that is no JSON is
 * not found here, save NULs, which no JSON text has.
 */
static enum err
scan(const char *p, size_t len, const struct jlimits *lim)
{
	const char *end = p + len;
	const unsigned deepest =
	    lim->depth < DEPTH_MAX ? lim->depth : DEPTH_MAX;
	unsigned depth = 0;
	size_t values = 1;
	bool opened = false; /* and nothing followed yet */

	if (memchr(p, '\0', len) != NULL)
		return err_fail(ERR_PARSE, "a NUL in JSON text");
	while (p < end) {
		const char c = *p;

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
			p++;
			continue;
		}
		if (c == ',' || (opened && c != '}' && c != ']'))
			values++;
		if (values > lim->values)
			return too_large("values");
		opened = c == '{' || c == '[';
		if (opened && ++depth > deepest)
			return too_large("levels");
		if ((c == '}' || c == ']') && depth > 0)
			depth--;
		p = c == '"' ? skip_string(p, end) : p + 1;
		if (p == NULL)
			return err_fail(
			    ERR_PARSE, "a string of the JSON text has no end");
	}
	return OK;
}

/* ---- Documents ------------------------------------------------------------ */

struct jdoc {
	json_t *root;
};

static const json_t *
tree(const struct jval *v)
{

	return (const json_t *)(const void *)v;
}

static const struct jval *
value(const json_t *j)
{

	return (const struct jval *)(const void *)j;
}

static enum err
refuse(const json_error_t *why)
{
	/* Not the enumeration: newer versions of jansson add to it. */
	const int code = (int)json_error_code(why);
	const char *what = "malformed";

	if (code == json_error_out_of_memory)
		return ERR_NOMEM;
	if (code == json_error_invalid_utf8)
		what = "not UTF-8";
	else if (code == json_error_duplicate_key)
		what = "a name stands twice in an object";
	else if (code == json_error_null_character ||
		 code == json_error_null_byte_in_key)
		what = "U+0000 in a string";
	else if (code == json_error_end_of_input_expected)
		what = "more follows the document";
	else if (code == json_error_numeric_overflow)
		what = "a number is too large";
	return err_fail(ERR_PARSE, "JSON text, line %d, column %d: %s",
	    why->line, why->column, what);
}

enum err
jdoc_parse(
    const void *text, size_t len, const struct jlimits *lim, struct jdoc **ret)
{
	struct jdoc *d CLEANUP_JDOC = NULL;
	json_error_t why = { .line = 0 };

	if (len > lim->bytes)
		return too_large("bytes");
	if (len == 0)
		return err_fail(ERR_PARSE, "no JSON text");
	TRY(scan(text, len, lim));
	(void)pthread_once(&once, set_memory);
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return ERR_NOMEM;
	d->root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	/* It quotes the text. */
	explicit_bzero(why.text, sizeof(why.text) - 1);
	if (d->root == NULL)
		return refuse(&why);
	*ret = d;
	d = NULL;
	return OK;
}

void
jdoc_free(struct jdoc *d)
{

	if (d == NULL)
		return;
	json_decref(d->root);
	free(d);
}

const struct jval *
jdoc_root(const struct jdoc *d)
{

	return value(d->root);
}

/* ---- Values --------------------------------------------------------------- */

enum jtype
jval_type(const struct jval *v)
{

	switch (json_typeof(tree(v))) {
	case JSON_OBJECT:
		return JTYPE_OBJECT;
	case JSON_ARRAY:
		return JTYPE_ARRAY;
	case JSON_STRING:
		return JTYPE_STR;
	case JSON_INTEGER:
		return JTYPE_INT;
	case JSON_REAL:
		return JTYPE_REAL;
	case JSON_TRUE:
	case JSON_FALSE:
		return JTYPE_BOOL;
	case JSON_NULL:
	default:
		return JTYPE_NULL;
	}
}

size_t
jval_count(const struct jval *v)
{

	return json_is_object(tree(v)) ? json_object_size(tree(v))
				       : json_array_size(tree(v));
}

const struct jval *
jval_at(const struct jval *v, size_t i)
{

	return value(json_array_get(tree(v), i));
}

const struct jval *
jval_member(const struct jval *v, const char *name)
{

	return value(json_object_get(tree(v), name));
}

const char *
jval_text(const struct jval *v)
{

	return json_string_value(tree(v));
}

enum err
jval_each(const struct jval *v,
    enum err (*cb)(void *arg, const char *name, const struct jval *value),
    void *arg)
{
	json_t *j = NULL;

	/* jansson's iterator wants an object that it may change, but does not
	 * change it. */
	memcpy(&j, &v, sizeof(j));
	for (void *i = json_object_iter(j); i != NULL;
	     i = json_object_iter_next(j, i))
		TRY(cb(arg, json_object_iter_key(i),
		    value(json_object_iter_value(i))));
	return OK;
}

/* ---- Members -------------------------------------------------------------- */

static enum err
wrong(const char *name, const char *what)
{

	return err_fail(ERR_PARSE, "%s must be %s", name, what);
}

static enum err
find(const struct jval *obj, const char *name, const json_t **ret)
{
	const json_t *j;

	if (!json_is_object(tree(obj)))
		return err_fail(ERR_PARSE, "an object must stand there");
	j = json_object_get(tree(obj), name);
	if (j == NULL || json_is_null(j))
		return err_fail(ERR_NODATA, "%s is missing", name);
	*ret = j;
	return OK;
}

enum err
jval_get_str(const struct jval *obj, const char *name, const char **ret)
{
	const json_t *j = NULL;

	TRY(find(obj, name, &j));
	if (!json_is_string(j))
		return wrong(name, "a string");
	*ret = json_string_value(j);
	return OK;
}

#define TWO_63 9223372036854775808.0

/* The whole part; false when it does not fit. */
static bool
whole(double real, int64_t *ret)
{
	const double part = trunc(real);

	if (!(part >= -TWO_63 && part < TWO_63))
		return false;
	*ret = (int64_t)part;
	return true;
}

enum err
jval_get_i64(const struct jval *obj, const char *name, int64_t *ret)
{
	const json_t *j = NULL;
	int64_t n = 0;

	TRY(find(obj, name, &j));
	if (json_is_integer(j))
		n = json_integer_value(j);
	else if (!json_is_real(j) || !whole(json_real_value(j), &n) ||
		 json_real_value(j) < (double)n ||
		 json_real_value(j) > (double)n)
		return wrong(name, "a whole number");
	*ret = n;
	return OK;
}

enum err
jval_get_time(const struct jval *obj, const char *name, int64_t *ret)
{
	const json_t *j = NULL;
	int64_t n = 0;

	TRY(find(obj, name, &j));
	if (json_is_integer(j))
		n = json_integer_value(j);
	else if (!json_is_real(j) || !whole(json_real_value(j), &n))
		return wrong(name, "a time in seconds");
	*ret = n;
	return OK;
}

enum err
jval_get_bool(const struct jval *obj, const char *name, bool *ret)
{
	const json_t *j = NULL;

	TRY(find(obj, name, &j));
	if (!json_is_boolean(j))
		return wrong(name, "true or false");
	*ret = json_is_true(j);
	return OK;
}

enum err
jval_get_array(
    const struct jval *obj, const char *name, const struct jval **ret)
{
	const json_t *j = NULL;

	TRY(find(obj, name, &j));
	if (!json_is_array(j))
		return wrong(name, "a list");
	*ret = value(j);
	return OK;
}

enum err
jval_get_object(
    const struct jval *obj, const char *name, const struct jval **ret)
{
	const json_t *j = NULL;

	TRY(find(obj, name, &j));
	if (!json_is_object(j))
		return wrong(name, "an object");
	*ret = value(j);
	return OK;
}

enum err
jval_get_b64(const struct jval *obj, const char *name, uint8_t *ret, size_t max,
    size_t *ret_len)
{
	const char *s = NULL;
	enum err e;

	TRY(jval_get_str(obj, name, &s));
	e = b64_decode(s, strlen(s), ret, max, ret_len);
	if (e == OK)
		return OK;
	if (max > 0)
		explicit_bzero(ret, max);
	if (e == ERR_LIMIT)
		return err_fail(e, "%s is over %zu bytes", name, max);
	return wrong(name, "in base64");
}
