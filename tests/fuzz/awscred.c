/*
 * Credentials files (kms/awscred): what is taken is in the text, and within
 * bounds.
 *
 * Input: the section's name up to a NUL, the text.
 */
#include "crypto/secret.h"
#include "kms/awscred.h"

#include "tests/fuzz/fuzz.h"

static void
from_text(const char *s, size_t room, const uint8_t *text, size_t len)
{
	const size_t n = strlen(s);

	HOLDS(n < room);
	HOLDS(n == 0 || memmem(text, len, s, n) != NULL);
	for (size_t i = 0; i < n; i++)
		HOLDS(s[i] > ' ' && s[i] <= '~');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	struct awscred *c CLEANUP_AWSCRED = NULL;
	char *section CLEANUP_FREE = NULL;
	uint8_t *text CLEANUP_FREE = NULL;
	bool found = false;

	HOLDS(secret_init() == OK);
	c = secret_alloc(sizeof(*c));
	section = feed_str(&f);
	text = exact(f.p, f.len);
	HOLDS(c != NULL);
	const enum err e =
	    awscred_parse((const char *)text, f.len, section, c, &found);
	HOLDS(e == OK || e == ERR_PARSE);
	from_text(c->access_key, sizeof(c->access_key), text, f.len);
	from_text(c->secret, sizeof(c->secret), text, f.len);
	from_text(c->token, sizeof(c->token), text, f.len);
	from_text(c->region, sizeof(c->region), text, f.len);
	HOLDS((c->access_key[0] == '\0') == (c->secret[0] == '\0'));
	HOLDS(e == OK || (c->access_key[0] == '\0' && c->region[0] == '\0'));
	HOLDS(c->access_key[0] == '\0' || found);
	return (0);
}
