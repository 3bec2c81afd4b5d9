/*
 * Where a token is: URIs and options (kms/pkcs11_uri.c, kms/pkcs11.c).
 *
 * Input: the URI and a NUL, then names and values of options, each with a NUL.
 */
#include "kms/pkcs11.h"

#include "tests/fuzz/fuzz.h"

static void
ends(const char *s, size_t size)
{
	HOLDS(strnlen(s, size) < size);
}

static void
sound(const struct p11_uri *u)
{
	ends(u->module, sizeof(u->module));
	ends(u->token, sizeof(u->token));
	ends(u->serial, sizeof(u->serial));
	ends(u->object, sizeof(u->object));
	ends(u->pin_file, sizeof(u->pin_file));
	ends(u->pin_credential, sizeof(u->pin_credential));
	HOLDS(u->module[0] == '\0' || u->module[0] == '/');
	HOLDS(u->pin_file[0] == '\0' || u->pin_file[0] == '/');
	HOLDS(u->pin_file[0] == '\0' || u->pin_credential[0] == '\0');
	HOLDS(strchr(u->pin_credential, '/') == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	char *uri CLEANUP_FREE = feed_str(&f);
	char *word[2 * PROVIDER_OPTIONS_MAX];
	struct provider_option opt[PROVIDER_OPTIONS_MAX];
	struct provider_conf conf = { .uri = uri, .opt = opt };
	struct p11_conf *c CLEANUP_FREE = malloc(sizeof(*c));
	struct p11_uri *u CLEANUP_FREE = malloc(sizeof(*u));
	size_t n = 0;
	enum err e;

	HOLDS(c != NULL && u != NULL);
	e = p11_uri_parse(uri, u);
	HOLDS(e == OK || e == ERR_INVAL);
	if (e == OK)
		sound(u);
	while (f.len > 0 && conf.nopt < PROVIDER_OPTIONS_MAX) {
		word[n] = feed_str(&f);
		word[n + 1] = feed_str(&f);
		opt[conf.nopt++] =
		    (struct provider_option){ word[n], word[n + 1] };
		n += 2;
	}
	e = p11_conf_parse(&conf, c);
	HOLDS(e == OK || e == ERR_INVAL);
	if (e == OK) {
		sound(&c->uri);
		HOLDS(c->sessions >= 1 && c->sessions <= 256);
		HOLDS(c->uri.token[0] != '\0' || c->uri.serial[0] != '\0' ||
		      c->uri.has_slot);
	}
	while (n > 0)
		free(word[--n]);
	return (0);
}
