/*
 * json: JSON on standard output, one member at a time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tools/json.h"

static void
keep(struct json *j, enum err e)
{
	if (j->e == OK)
		j->e = e;
}

static void
flush(struct json *j)
{
	if (j->e == OK && j->b.len != 0 &&
	    fwrite(j->b.p, 1, j->b.len, stdout) != j->b.len)
		keep(j, err_fail(ERR_IO, "standard output cannot be written"));
	j->b.len = 0;
}

/* What stands before a value: the comma, and the key in an object. */
static void
lead(struct json *j, const char *key)
{
	if (j->comma)
		keep(j, buf_put_str(&j->b, j->depth == 1 ? "," : ", "));
	if (j->depth == 1)
		keep(j, buf_put_str(&j->b, "\n "));
	j->comma = true;
	if (key == NULL)
		return;
	keep(j, buf_put_json(&j->b, key, strlen(key)));
	keep(j, buf_put_str(&j->b, ": "));
}

void
json_begin(struct json *j)
{
	*j = (struct json){ .e = OK };
	buf_init(&j->b, JSON_MAX);
}

void
json_object(struct json *j, const char *key)
{
	lead(j, key);
	keep(j, buf_put_str(&j->b, "{"));
	j->depth++;
	j->comma = false;
}

void
json_array(struct json *j, const char *key)
{
	lead(j, key);
	keep(j, buf_put_str(&j->b, "["));
	j->depth++;
	j->comma = false;
}

void
json_close(struct json *j, char bracket)
{
	const char text[2] = { bracket, '\0' };

	if (j->depth == 1 && j->comma)
		keep(j, buf_put_str(&j->b, "\n"));
	keep(j, buf_put_str(&j->b, text));
	j->depth--;
	j->comma = true;
	if (j->depth <= 1)
		flush(j);
}

void
json_str(struct json *j, const char *key, const char *value)
{
	lead(j, key);
	if (value == NULL)
		keep(j, buf_put_str(&j->b, "null"));
	else
		keep(j, buf_put_json(&j->b, value, strlen(value)));
}

void
json_u64(struct json *j, const char *key, uint64_t value)
{
	lead(j, key);
	keep(j, buf_printf(&j->b, "%" PRIu64, value));
}

void
json_i64(struct json *j, const char *key, int64_t value)
{
	lead(j, key);
	keep(j, buf_printf(&j->b, "%" PRId64, value));
}

void
json_bool(struct json *j, const char *key, bool value)
{
	lead(j, key);
	keep(j, buf_put_str(&j->b, value ? "true" : "false"));
}

void
json_time(struct json *j, const char *key, int64_t value)
{
	char text[CLOCK_ISO_LEN + 1];

	clock_iso((time_t)value, text);
	json_str(j, key, text);
}

void
json_raw(struct json *j, const char *text, size_t len)
{
	lead(j, NULL);
	keep(j, buf_put(&j->b, text, len));
}

enum err
json_end(struct json *j)
{
	flush(j);
	if (j->e == OK && putchar('\n') == EOF)
		keep(j, err_fail(ERR_IO, "standard output cannot be written"));
	buf_release(&j->b);
	return (j->e);
}
