/*
 * out: the writer.  Layout is decided in lead() and jout_close() only.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/codec.h"
#include "lib/json/json.h"

/* Base64 goes through a small buffer; a multiple of three. */
#define PIECE 192

static void
put(struct jout *j, const char *s, size_t len)
{

	if (j->e == OK)
		j->e = buf_put(j->b, s, len);
}

static void
put_text(struct jout *j, const char *s, size_t len)
{

	if (j->e == OK)
		j->e = buf_put_json(j->b, s, len);
}

/* What stands before a value: the comma, and the name in an object. */
static void
lead(struct jout *j, const char *name)
{

	if (j->comma)
		put(j, ", ", j->lines && j->depth > 1 ? 2 : 1);
	if (j->lines && j->depth == 1)
		put(j, "\n ", 2);
	j->comma = true;
	if (name == NULL)
		return;
	put_text(j, name, strlen(name));
	put(j, ": ", j->lines ? 2 : 1);
}

void
jout_begin(struct jout *j, struct buf *b, bool lines)
{

	*j = (struct jout){ .b = b, .e = OK, .lines = lines };
}

void
jout_object(struct jout *j, const char *name)
{

	lead(j, name);
	put(j, "{", 1);
	j->depth++;
	j->comma = false;
}

void
jout_array(struct jout *j, const char *name)
{

	lead(j, name);
	put(j, "[", 1);
	j->depth++;
	j->comma = false;
}

void
jout_close(struct jout *j, char bracket)
{

	if (j->lines && j->depth == 1 && j->comma)
		put(j, "\n", 1);
	put(j, &bracket, 1);
	j->depth--;
	j->comma = true;
}

void
jout_strn(struct jout *j, const char *name, const char *value, size_t len)
{

	lead(j, name);
	put_text(j, value, len);
}

void
jout_str(struct jout *j, const char *name, const char *value)
{

	if (value == NULL)
		jout_raw(j, name, "null", 4);
	else
		jout_strn(j, name, value, strlen(value));
}

void
jout_u64(struct jout *j, const char *name, uint64_t value)
{

	lead(j, name);
	if (j->e == OK)
		j->e = buf_printf(j->b, "%" PRIu64, value);
}

void
jout_i64(struct jout *j, const char *name, int64_t value)
{

	lead(j, name);
	if (j->e == OK)
		j->e = buf_printf(j->b, "%" PRId64, value);
}

void
jout_bool(struct jout *j, const char *name, bool value)
{

	if (value)
		jout_raw(j, name, "true", 4);
	else
		jout_raw(j, name, "false", 5);
}

void
jout_iso(struct jout *j, const char *name, int64_t value)
{
	char text[CLOCK_ISO_LEN + 1];

	clock_iso((time_t)value, text);
	jout_str(j, name, text);
}

void
jout_b64(struct jout *j, const char *name, const void *p, size_t len)
{
	const uint8_t *from = p;
	char text[B64_SIZE(PIECE)];

	lead(j, name);
	put(j, "\"", 1);
	while (len > 0) {
		const size_t n = len < PIECE ? len : PIECE;

		b64_encode(from, n, text);
		put(j, text, strlen(text));
		from += n;
		len -= n;
	}
	put(j, "\"", 1);
	explicit_bzero(text, sizeof(text));
}

void
jout_raw(struct jout *j, const char *name, const char *text, size_t len)
{

	lead(j, name);
	put(j, text, len);
}
