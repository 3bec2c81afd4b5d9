/*
 * awscred: the files are read anew at each call, so that new credentials count
 * at once; they are small, and a request to a key service follows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "kms/awscred.h"
#include "kms/secretfile.h"

/* ---- One file ------------------------------------------------------------- */

struct field {
	const char *name;
	size_t off, size;
};

static const struct field fields[] = {
	{ "aws_access_key_id", offsetof(struct awscred, access_key),
	    sizeof(((struct awscred *)0)->access_key) },
	{ "aws_secret_access_key", offsetof(struct awscred, secret),
	    sizeof(((struct awscred *)0)->secret) },
	{ "aws_session_token", offsetof(struct awscred, token),
	    sizeof(((struct awscred *)0)->token) },
	{ "region", offsetof(struct awscred, region),
	    sizeof(((struct awscred *)0)->region) },
};

struct ini {
	const char *section;
	struct awscred *got; /* of the section */
	bool inside, found;
	unsigned line;
};

static enum err
bad(const struct ini *in, const char *what)
{

	return err_fail(ERR_PARSE, "line %u: %s", in->line, what);
}

static bool
blank(char c)
{

	return c == ' ' || c == '\t' || c == '\r';
}

/* Takes blanks from both ends. */
static void
trim(const char **s, size_t *len)
{

	while (*len > 0 && blank(**s)) {
		(*s)++;
		(*len)--;
	}
	while (*len > 0 && blank((*s)[*len - 1]))
		(*len)--;
}

static bool
is(const char *s, size_t len, const char *word)
{

	return strlen(word) == len && memcmp(s, word, len) == 0;
}

static enum err
take_section(struct ini *in, const char *s, size_t len)
{

	if (len < 2 || s[len - 1] != ']' || memchr(s, ']', len) != s + len - 1)
		return bad(in, "a malformed section");
	s++;
	len -= 2;
	trim(&s, &len);
	in->inside = is(s, len, in->section);
	if (in->inside && in->found)
		return bad(in, "the section stands twice");
	in->found = in->found || in->inside;
	return OK;
}

static enum err
take_value(struct ini *in, const char *s, size_t len)
{
	const char *eq = memchr(s, '=', len), *value;
	size_t n, name;

	if (eq == NULL)
		return bad(in, "neither [section] nor name = value");
	name = (size_t)(eq - s);
	value = eq + 1;
	n = len - name - 1;
	trim(&s, &name);
	trim(&value, &n);
	for (size_t i = 0; in->inside && i < COUNTOF(fields); i++) {
		char *to = (char *)in->got + fields[i].off;

		if (!is(s, name, fields[i].name))
			continue;
		if (*to != '\0')
			return bad(in, "a name stands twice");
		if (n == 0 || n >= fields[i].size)
			return bad(in, "an empty value, or one too long");
		for (size_t c = 0; c < n; c++)
			if (value[c] <= ' ' || value[c] > '~')
				return bad(in, "a value with odd characters");
		memcpy(to, value, n);
	}
	return OK;
}

static enum err
take_line(struct ini *in, const char *s, size_t len)
{
	/* What is indented belongs to the value before, none of ours. */
	const bool indented = len > 0 && blank(*s) && *s != '\r';

	in->line++;
	if (memchr(s, '\0', len) != NULL)
		return bad(in, "a NUL");
	trim(&s, &len);
	if (len == 0 || indented || *s == '#' || *s == ';')
		return OK;
	return *s == '[' ? take_section(in, s, len) : take_value(in, s, len);
}

/* The pair goes together. */
static enum err
merge(const struct awscred *got, struct awscred *ret)
{

	if ((got->access_key[0] == '\0') != (got->secret[0] == '\0'))
		return err_fail(ERR_PARSE,
		    "one of aws_access_key_id and aws_secret_access_key is "
		    "missing");
	if (ret->access_key[0] == '\0') {
		memcpy(
		    ret->access_key, got->access_key, sizeof(ret->access_key));
		memcpy(ret->secret, got->secret, sizeof(ret->secret));
		memcpy(ret->token, got->token, sizeof(ret->token));
	}
	if (ret->region[0] == '\0')
		memcpy(ret->region, got->region, sizeof(ret->region));
	return OK;
}

enum err
awscred_parse(const char *text, size_t len, const char *section,
    struct awscred *ret, bool *ret_found)
{
	struct awscred *got CLEANUP_AWSCRED = secret_alloc(sizeof(*got));
	struct ini in = { .section = section, .got = got };

	if (got == NULL)
		return ERR_NOMEM;
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		const size_t n = end == NULL ? len : (size_t)(end - text);

		TRY(take_line(&in, text, n));
		text += end == NULL ? n : n + 1;
		len -= end == NULL ? n : n + 1;
	}
	TRY(merge(got, ret));
	*ret_found = in.found;
	return OK;
}

/* ---- Where they are ------------------------------------------------------- */

static bool
exists(const char *path)
{

	return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static const char *
env(const char *name)
{
	const char *s = getenv(name);

	return s != NULL && *s != '\0' ? s : NULL;
}

/* ${ret} stays empty when there is no home. */
static enum err
file_path(const char *variable, const char *name, char ret[static PATH_MAX])
{
	const char *s = env(variable), *home = env("HOME");
	int n = 0;

	ret[0] = '\0';
	if (s != NULL)
		n = snprintf(ret, PATH_MAX, "%s", s);
	else if (home != NULL)
		n = snprintf(ret, PATH_MAX, "%s/.aws/%s", home, name);
	return n >= PATH_MAX ? err_fail(ERR_ACCESS, "%s is too long", variable)
			     : OK;
}

/* A buffer in key memory. */
struct text {
	uint8_t *p;
	size_t len;
};

static void
text_release(struct text *t)
{

	secret_free(t->p);
}

static enum err
read_section(const char *path, const char *section, bool ours,
    struct awscred *ret, bool *ret_found)
{
	struct secretfile what = { .what = "credentials file",
		.loss = "the key service cannot be asked",
		.e = ERR_ACCESS,
		.max = AWSCRED_FILE_MAX };
	struct text t CLEANUP(text_release) = { .p = NULL };
	struct stat st;
	enum err e;

	/* Key memory is scarce; should the file grow now, it is refused. */
	if (stat(path, &st) == 0 && st.st_size > 0 &&
	    (uint64_t)st.st_size < AWSCRED_FILE_MAX)
		what.max = (size_t)st.st_size;
	t.p = secret_alloc(what.max);
	if (t.p == NULL)
		return ERR_NOMEM;
	TRY(secretfile_read(&what, path, ours, t.p, &t.len));
	e = awscred_parse((const char *)t.p, t.len, section, ret, ret_found);
	return e == ERR_PARSE ? err_fail(ERR_ACCESS, "credentials file %s, %s",
				    path, err_detail(e))
			      : e;
}

static enum err
copy(const char *s, char *ret, size_t size, const char *what)
{

	if (s == NULL)
		return OK;
	if (strlen(s) >= size)
		return err_fail(ERR_ACCESS, "%s is too long", what);
	for (const char *c = s; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			return err_fail(
			    ERR_ACCESS, "%s has odd characters", what);
	memcpy(ret, s, strlen(s) + 1);
	return OK;
}

static enum err
from_environment(bool keys, struct awscred *ret)
{
	const char *region = env("AWS_REGION"), *id = env("AWS_ACCESS_KEY_ID"),
		   *secret = env("AWS_SECRET_ACCESS_KEY");

	if (region == NULL)
		region = env("AWS_DEFAULT_REGION");
	TRY(copy(region, ret->region, sizeof(ret->region), "AWS_REGION"));
	if (!keys || id == NULL)
		return OK;
	if (secret == NULL)
		return err_fail(ERR_ACCESS,
		    "AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY");
	TRY(copy(
	    id, ret->access_key, sizeof(ret->access_key), "AWS_ACCESS_KEY_ID"));
	TRY(copy(
	    secret, ret->secret, sizeof(ret->secret), "AWS_SECRET_ACCESS_KEY"));
	return copy(env("AWS_SESSION_TOKEN"), ret->token, sizeof(ret->token),
	    "AWS_SESSION_TOKEN");
}

static enum err
from_files(const char *profile, const char *file, struct awscred *ret)
{
	char path[PATH_MAX], section[AWSCRED_PROFILE_MAX + 16];
	bool found = false, in_config = false;

	if (file != NULL) {
		TRY(read_section(file, profile, true, ret, &found));
		if (!found)
			return err_fail(ERR_ACCESS, "%s has no profile \"%s\"",
			    file, profile);
		return OK;
	}
	TRY(file_path("AWS_SHARED_CREDENTIALS_FILE", "credentials", path));
	if (ret->access_key[0] == '\0' && path[0] != '\0' && exists(path))
		TRY(read_section(path, profile, true, ret, &found));
	TRY(file_path("AWS_CONFIG_FILE", "config", path));
	(void)snprintf(section, sizeof(section), "%s%s",
	    strcmp(profile, "default") == 0 ? "" : "profile ", profile);
	if (path[0] == '\0' || !exists(path))
		return OK;
	const bool had = ret->access_key[0] != '\0';
	TRY(read_section(path, section, false, ret, &in_config));
	/* It need not be closed to others, unless secrets come from it. */
	if (!had && ret->access_key[0] != '\0')
		TRY(read_section(path, section, true, ret, &in_config));
	return OK;
}

enum err
awscred_find(const char *profile, const char *file, struct awscred **ret)
{
	struct awscred *c CLEANUP_AWSCRED = secret_alloc(sizeof(*c));
	const bool asked = profile != NULL || file != NULL;

	if (c == NULL)
		return ERR_NOMEM;
	if (profile == NULL)
		profile = env("AWS_PROFILE");
	if (profile == NULL)
		profile = "default";
	if (strlen(profile) > AWSCRED_PROFILE_MAX)
		return err_fail(ERR_ACCESS, "the profile's name is too long");
	TRY(from_environment(!asked, c));
	TRY(from_files(profile, file, c));
	if (c->access_key[0] == '\0')
		return err_fail(ERR_ACCESS,
		    "no credentials for the key service: neither "
		    "AWS_ACCESS_KEY_ID nor profile \"%s\" in a credentials "
		    "file",
		    profile);
	*ret = steal(c);
	return OK;
}

void
awscred_free(struct awscred *c)
{

	secret_free(c);
}
