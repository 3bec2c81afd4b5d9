/*
 * json: JSON on standard output, one member at a time.
 *
 * The first failure is kept and ends the output; json_end() reports it.  The
 * text goes out whenever a value of the outermost level is complete, so that
 * a list of any length needs little memory.
 */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/json/json.h"

#define JSON_MAX (4u << 20) /* most bytes that wait for output */

struct json {
	struct buf b;
	struct jout out;
};

void json_begin(struct json *j);
/* ${key} NULL: an element of an array, or the outermost value. */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_close(struct json *j, char bracket);
/* ${value} NULL writes null. */
void json_str(struct json *j, const char *key, const char *value);
void json_u64(struct json *j, const char *key, uint64_t value);
void json_i64(struct json *j, const char *key, int64_t value);
void json_bool(struct json *j, const char *key, bool value);
/* A time as ISO 8601 text. */
void json_time(struct json *j, const char *key, int64_t value);
/* ${text} is JSON already. */
void json_raw(struct json *j, const char *text, size_t len);
/* End the line and release; what went wrong, if anything did. */
enum err json_end(struct json *j) MUSTCHECK;

#endif
