/*
 * Bucket names, against the rule spelt as regular expressions; file names; the
 * text of an encryption default.
 */
#include <regex.h>

#include "store/ns.h"

#include "tests/fuzz/fuzz.h"

static bool
match(const char *pattern, const char *s)
{
	regex_t re;

	HOLDS(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) == 0);
	const bool ok = regexec(&re, s, 0, NULL, 0) == 0;

	regfree(&re);
	return (ok);
}

static void
bucket(const char *name, size_t len, const char *s)
{
	const bool good = strlen(s) == len &&
			  match("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", s) &&
			  strstr(s, "..") == NULL &&
			  !match("^([0-9]{1,3}[.]){3}[0-9]{1,3}$", s);

	HOLDS(store_bucket_name_ok(name, len) == good);
}

static void
file(const char *name, size_t len, const char *s)
{
	struct dname d;
	const enum err e = dname_set(&d, name, len);

	HOLDS((e == ERR_NAMETOOLONG) == (len > STORE_NAME_MAX));
	if (len <= STORE_NAME_MAX)
		HOLDS((e == OK) ==
		      (strlen(s) == len && !match("^[.]{0,2}$|/", s)));
	if (e != OK)
		return;
	HOLDS(d.len == len && strncmp(d.b, s, len) == 0);
	HOLDS(d.b[len] == '/' && d.b[len + 1] == '\0');
}

static void
sse(const char *s)
{
	static const char *const names[] = { "None", "AES256", "KMS" };
	enum sse method = SSE_NONE;
	const char *key = NULL;
	const enum err e = sse_parse(s, &method, &key);

	HOLDS(e == OK || e == ERR_INVAL);
	if (e != OK)
		return;
	if (key != NULL)
		HOLDS(method == SSE_KMS && *key != '\0' && key == s + 4 &&
		      strncmp(s, "KMS:", 4) == 0);
	else
		HOLDS(strcmp(s, names[method]) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *name CLEANUP_FREE = (char *)exact(data, len);
	struct feed f = { data, len };
	char *s CLEANUP_FREE = feed_str(&f);

	bucket(name, len, s);
	file(name, len, s);
	sse(s);
	return (0);
}
