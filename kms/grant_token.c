/*
 * Grant tokens (bytes: see grant_token.h).
 */
#include <string.h>

#include "crypto/secret.h"

#include "kms/grant_token.h"

#define HEAD (UUID_LEN + GRANT_ID_LEN)
#define TAG "grant"

static void
mac(const struct hmac_key *key, const uint8_t *head, uint8_t *ret)
{
	struct hmac_ctx c;

	hmac_begin(&c, key);
	hmac_add(&c, TAG, sizeof(TAG) - 1);
	hmac_add(&c, head, HEAD);
	hmac_end(&c, ret);
	secret_wipe(&c, sizeof(c));
}

void
grant_token_write(const struct hmac_key *key, const struct grant_token *t,
    char ret[static B64_SIZE(GRANT_TOKEN_LEN)])
{
	uint8_t raw[GRANT_TOKEN_LEN];

	memcpy(raw, t->key, UUID_LEN);
	memcpy(raw + UUID_LEN, t->id, GRANT_ID_LEN);
	mac(key, raw, raw + HEAD);
	b64_encode(raw, sizeof(raw), ret);
}

enum err
grant_token_read(
    const struct hmac_key *key, const char *s, struct grant_token *ret)
{
	uint8_t raw[GRANT_TOKEN_LEN] = { 0 }, want[SHA256_LEN];
	size_t len = 0;

	if (b64_decode(s, strnlen(s, B64_SIZE(GRANT_TOKEN_LEN)), raw,
		sizeof(raw), &len) != OK ||
	    len != sizeof(raw))
		return err_fail(ERR_GRANTTOKEN, "not a grant token");
	mac(key, raw, want);
	if (secret_cmp(want, raw + HEAD, sizeof(want)) != 0)
		return err_fail(
		    ERR_GRANTTOKEN, "not a grant token of this keystore");
	memcpy(ret->key, raw, UUID_LEN);
	memcpy(ret->id, raw + UUID_LEN, GRANT_ID_LEN);
	return OK;
}
