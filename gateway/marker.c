#include <string.h>

#include "crypto/secret.h"
#include "gateway/marker.h"
#include "lib/base/codec.h"

#define TAG_LEN 12

static void
tag(const struct hmac_key *k, const char *list, const char *name,
    uint8_t ret[static TAG_LEN])
{
	uint8_t mac[SHA256_LEN];
	struct hmac_ctx c;

	hmac_begin(&c, k);
	hmac_add(&c, list, strlen(list) + 1);
	hmac_add(&c, name, strlen(name));
	hmac_end(&c, mac);
	memcpy(ret, mac, TAG_LEN);
}

enum err
marker_make(const struct hmac_key *k, const char *list, const char *name,
    char ret[static MARKER_MAX])
{
	uint8_t bytes[TAG_LEN + MARKER_NAME_MAX];
	const size_t len = strlen(name);

	_Static_assert(B64_SIZE(sizeof(bytes)) <= MARKER_MAX, "room");
	if (len >= MARKER_NAME_MAX)
		return (ERR_LIMIT);
	tag(k, list, name, bytes);
	memcpy(bytes + TAG_LEN, name, len);
	b64_encode(bytes, TAG_LEN + len, ret);
	return (OK);
}

enum err
marker_read(const struct hmac_key *k, const char *list, const char *marker,
    char ret[static MARKER_NAME_MAX])
{
	uint8_t bytes[TAG_LEN + MARKER_NAME_MAX], want[TAG_LEN];
	size_t len = 0;

	if (b64_decode(
		marker, strlen(marker), bytes, sizeof(bytes) - 1, &len) != OK ||
	    len < TAG_LEN || memchr(bytes + TAG_LEN, 0, len - TAG_LEN) != NULL)
		return (ERR_PARSE);
	memcpy(ret, bytes + TAG_LEN, len - TAG_LEN);
	ret[len - TAG_LEN] = '\0';
	tag(k, list, ret, want);
	return (secret_cmp(want, bytes, TAG_LEN) == 0 ? OK : ERR_PARSE);
}
