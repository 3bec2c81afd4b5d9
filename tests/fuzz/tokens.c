/*
 * Import tokens and grant tokens, under fixed keys.
 *
 * Input, first byte: 0 bytes that are no import token, or were one; 1 an import
 * token that is sealed, altered at a place by a mask, and must open only
 * unchanged, and material that was wrapped by nobody; 2 text that is no grant
 * token; 3 a grant token, altered alike.
 */
#include "kms/grant_token.h"
#include "kms/import_token.h"
#include "lib/base/buf.h"

#include "tests/fuzz/fuzz.h"

static struct aead *
fixed(void)
{
	static const uint8_t key[KEY_LEN] = "a fixed key, for tests";
	static struct aead *a;

	if (a == NULL)
		HOLDS(aead_new(key, &a) == OK);
	return (a);
}

static void
foreign_import(struct feed *f)
{
	uint8_t *p CLEANUP_FREE = exact(f->p, f->len);
	struct import_token *t CLEANUP_FREE = calloc(1, sizeof(*t));

	HOLDS(t != NULL);
	HOLDS(import_token_read(fixed(), p, f->len, t) == ERR_BADTOKEN);
}

static void
our_import(struct feed *f)
{
	struct import_token *t CLEANUP_FREE = calloc(1, sizeof(*t));
	struct import_token *back CLEANUP_FREE = calloc(1, sizeof(*back));
	struct key material;
	size_t size;

	HOLDS(t != NULL && back != NULL);
	feed_bytes(f, t->key, sizeof(t->key));
	t->wrapping = (enum kms_wrapping)(feed_int(f, 1) % 4);
	t->valid_to = (int64_t)feed_int(f, 8);
	t->privlen = 1 + (size_t)feed_int(f, 2) % RSA_PRIVATE_MAX;
	feed_bytes(f, t->priv, t->privlen);
	size = IMPORT_SIZE(t->privlen);
	const size_t at = (size_t)feed_int(f, 2) % size;
	const uint8_t mask = (uint8_t)feed_int(f, 1);
	uint8_t *p CLEANUP_FREE = malloc(size);

	HOLDS(p != NULL);
	HOLDS(import_token_write(fixed(), t, p) == OK);
	p[at] ^= mask;
	HOLDS(import_token_read(fixed(), p, size, back) ==
	      (mask == 0 ? OK : ERR_BADTOKEN));
	if (mask != 0)
		return;
	HOLDS(memcmp(back->key, t->key, sizeof(t->key)) == 0);
	HOLDS(back->wrapping == t->wrapping && back->privlen == t->privlen);
	HOLDS(back->valid_to == t->valid_to);
	HOLDS(memcmp(back->priv, t->priv, t->privlen) == 0);
	/* Hardly ever a private key. */
	uint8_t *in CLEANUP_FREE = exact(f->p, f->len);
	HOLDS(import_unwrap(back, in, f->len, &material) != OK);
}

static void
grant_key(struct hmac_key *ret)
{
	static const uint8_t key[KEY_LEN] = "another fixed key";

	hmac_key_set(ret, key, sizeof(key));
}

static void
foreign_grant(struct feed *f)
{
	char *s CLEANUP_FREE = feed_str(f);
	struct grant_token t;
	struct hmac_key key;

	grant_key(&key);
	HOLDS(grant_token_read(&key, s, &t) == ERR_GRANTTOKEN);
}

static void
our_grant(struct feed *f)
{
	char s[B64_SIZE(GRANT_TOKEN_LEN)];
	struct grant_token t, back;
	struct hmac_key key;

	feed_bytes(f, &t, sizeof(t));
	const size_t at = (size_t)feed_int(f, 1) % (sizeof(s) - 1);
	const char c = (char)feed_int(f, 1);

	grant_key(&key);
	grant_token_write(&key, &t, s);
	const bool same = s[at] == c;
	s[at] = c;
	HOLDS(grant_token_read(&key, s, &back) == (same ? OK : ERR_GRANTTOKEN));
	if (same)
		HOLDS(memcmp(&t, &back, sizeof(t)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };

	HOLDS(secret_init() == OK);
	switch (feed_int(&f, 1) % 4) {
	case 0:
		foreign_import(&f);
		break;
	case 1:
		our_import(&f);
		break;
	case 2:
		foreign_grant(&f);
		break;
	default:
		our_grant(&f);
		break;
	}
	return (0);
}
