/*
 * Bucket names, against the rule spelt as regular expressions; file names; the
 * text of an encryption default.
 */
#include <regex.h>

#include "store/ns.h"

#include "tests/fuzz/fuzz.h"

/* Compiled once, since that is what takes long. */
struct pattern {
	const char *text;
	regex_t re;
	bool ready;
};

static bool
match(struct pattern *p, const char *s)
{
	if (!p->ready)
		HOLDS(regcomp(&p->re, p->text, REG_EXTENDED | REG_NOSUB) == 0);
	p->ready = true;
	return (regexec(&p->re, s, 0, NULL, 0) == 0);
}

static void
bucket(const char *name, size_t len, const char *s)
{
	static struct pattern shape = {
		.text = "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
	};
	static struct pattern address = {
		.text = "^([0-9]{1,3}[.]){3}[0-9]{1,3}$"
	};
	const bool good = strlen(s) == len && match(&shape, s) &&
			  strstr(s, "..") == NULL && !match(&address, s);

	HOLDS(store_bucket_name_ok(name, len) == good);
}

static void
file(const char *name, size_t len, const char *s)
{
	static struct pattern bad = { .text = "^[.]{0,2}$|/" };
	struct dname d;
	const enum err e = dname_set(&d, name, len);

	HOLDS((e == ERR_NAMETOOLONG) == (len > STORE_NAME_MAX));
	if (len <= STORE_NAME_MAX)
		HOLDS((e == OK) == (strlen(s) == len && !match(&bad, s)));
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
