/*
 * json: a strict, bounded reader of JSON (RFC 8259), and a writer.
 *
 * The reader is for text that a stranger may have sent.  It refuses what the
 * caller's limits do not allow before any tree is built, names that stand twice
 * in an object, what is not UTF-8, U+0000 in strings, integers of over 64 bits,
 * and anything behind the document.  What it refuses it does not quote: the text
 * may hold secrets.
 *
 * Everything that a document was read from or into is wiped when it is freed,
 * so that it may have held plaintext; the text itself is the caller's to wipe.
 *
 * A document may be read by several threads at once.  A writer belongs to one.
 */
#ifndef LIB_JSON_JSON_H
#define LIB_JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"

struct jlimits {
	size_t bytes;   /* of the text */
	unsigned depth; /* of objects and arrays in each other, at most 1024 */
	size_t values;  /* in all: members, elements, objects and arrays */
};

struct jdoc;
struct jval; /* belongs to its document */

enum jtype {
	JTYPE_NULL,
	JTYPE_BOOL,
	JTYPE_INT,
	JTYPE_REAL, /* a number with a fraction or an exponent */
	JTYPE_STR,
	JTYPE_ARRAY,
	JTYPE_OBJECT
};

/*
 * jdoc_parse(text, len, lim, ret):
 * Read a document, which must be an object or an array.
 * Returns OK (free *${ret}); ERR_PARSE; ERR_LIMIT; ERR_NOMEM.
 */
enum err jdoc_parse(const void *text, size_t len, const struct jlimits *lim,
    struct jdoc **ret) MUSTCHECK;
void jdoc_free(struct jdoc *d); /* wipes; NULL is fine */
static inline void
jdoc_cleanup(struct jdoc **d)
{
	jdoc_free(*d);
}
#define CLEANUP_JDOC CLEANUP(jdoc_cleanup)

const struct jval *jdoc_root(const struct jdoc *d);

enum jtype jval_type(const struct jval *v);
/* How many members or elements; 0 for all other types. */
size_t jval_count(const struct jval *v);
/* Element ${i}, NULL when ${v} is no array or has no such element. */
const struct jval *jval_at(const struct jval *v, size_t i);
/* The member, NULL when ${v} is no object or has no such member. */
const struct jval *jval_member(const struct jval *v, const char *name);
/* The text of a string, NULL when ${v} is NULL or none. */
const char *jval_text(const struct jval *v);
/*
 * jval_each(v, cb, arg):
 * Call ${cb} with each member of an object, in the order of the text, until it
 * returns other than OK, which is then returned.  OK when ${v} is no object.
 */
enum err jval_each(const struct jval *v,
    enum err (*cb)(void *arg, const char *name, const struct jval *value),
    void *arg) MUSTCHECK;

/*
 * jval_get_…(obj, name, ret):
 * The member ${name} of an object.  Returns OK; ERR_NODATA when there is no
 * such member or it is null; ERR_PARSE when it has another type (or ${obj} is no
 * object), with a sentence that names it.  *${ret} is untouched on failure.
 */
enum err jval_get_str(
    const struct jval *obj, const char *name, const char **ret) MUSTCHECK;
/* Whole numbers, also when written with an empty fraction or an exponent. */
enum err jval_get_i64(
    const struct jval *obj, const char *name, int64_t *ret) MUSTCHECK;
/* Any number, as seconds since 1970 of a time often are; the fraction is cut
 * off.  ERR_PARSE when it does not fit. */
enum err jval_get_time(
    const struct jval *obj, const char *name, int64_t *ret) MUSTCHECK;
enum err jval_get_bool(
    const struct jval *obj, const char *name, bool *ret) MUSTCHECK;
enum err jval_get_array(const struct jval *obj, const char *name,
    const struct jval **ret) MUSTCHECK;
enum err jval_get_object(const struct jval *obj, const char *name,
    const struct jval **ret) MUSTCHECK;
/*
 * The bytes of a string in base64, of which at most ${max} go to ${ret}.
 * ERR_LIMIT when there are more; ERR_PARSE when it is no strict base64; ${ret}
 * is all zero then.
 */
enum err jval_get_b64(const struct jval *obj, const char *name, uint8_t *ret,
    size_t max, size_t *ret_len) MUSTCHECK;

/*
 * jout: a document, one value at a time, to the end of a buffer.
 *
 * The first failure is kept in ${e}, and nothing is written after it.  Whoever
 * owns the buffer releases it (wiped, when it held plaintext).  ${lines}: each
 * value of the outermost list or object on its own line; else all is as short as
 * it can be.
 */
struct jout {
	struct buf *b;
	enum err e;
	unsigned depth;
	bool comma; /* the next value needs one before it */
	bool lines;
};

void jout_begin(struct jout *j, struct buf *b, bool lines);
/* ${name} NULL: an element of an array, or the outermost value. */
void jout_object(struct jout *j, const char *name);
void jout_array(struct jout *j, const char *name);
/* ${bracket} is '}' or ']'. */
void jout_close(struct jout *j, char bracket);
/* ${value} NULL writes null. */
void jout_str(struct jout *j, const char *name, const char *value);
void jout_strn(struct jout *j, const char *name, const char *value, size_t len);
void jout_u64(struct jout *j, const char *name, uint64_t value);
void jout_i64(struct jout *j, const char *name, int64_t value);
void jout_bool(struct jout *j, const char *name, bool value);
/* A time as ISO 8601 text. */
void jout_iso(struct jout *j, const char *name, int64_t value);
/* Bytes as base64. */
void jout_b64(struct jout *j, const char *name, const void *p, size_t len);
/* ${text} is JSON already. */
void jout_raw(struct jout *j, const char *name, const char *text, size_t len);

#endif
