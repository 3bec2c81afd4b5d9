/*
 * json: what lib/json writes, on standard output.
 */
#include <stdio.h>

#include "tools/json.h"

static void
keep(struct json *j, enum err e)
{

	if (j->out.e == OK)
		j->out.e = e;
}

static void
flush(struct json *j)
{

	if (j->out.e == OK && j->b.len != 0 &&
	    fwrite(j->b.p, 1, j->b.len, stdout) != j->b.len)
		keep(j, err_fail(ERR_IO, "standard output cannot be written"));
	j->b.len = 0;
}

void
json_begin(struct json *j)
{

	buf_init(&j->b, JSON_MAX);
	jout_begin(&j->out, &j->b, true);
}

void
json_object(struct json *j, const char *key)
{

	jout_object(&j->out, key);
}

void
json_array(struct json *j, const char *key)
{

	jout_array(&j->out, key);
}

void
json_close(struct json *j, char bracket)
{

	jout_close(&j->out, bracket);
	if (j->out.depth <= 1)
		flush(j);
}

void
json_str(struct json *j, const char *key, const char *value)
{

	jout_str(&j->out, key, value);
}

void
json_u64(struct json *j, const char *key, uint64_t value)
{

	jout_u64(&j->out, key, value);
}

void
json_i64(struct json *j, const char *key, int64_t value)
{

	jout_i64(&j->out, key, value);
}

void
json_bool(struct json *j, const char *key, bool value)
{

	jout_bool(&j->out, key, value);
}

void
json_time(struct json *j, const char *key, int64_t value)
{

	jout_iso(&j->out, key, value);
}

void
json_raw(struct json *j, const char *text, size_t len)
{

	jout_raw(&j->out, NULL, text, len);
}

enum err
json_end(struct json *j)
{

	flush(j);
	if (j->out.e == OK && putchar('\n') == EOF)
		keep(j, err_fail(ERR_IO, "standard output cannot be written"));
	buf_release(&j->b);
	return j->out.e;
}
