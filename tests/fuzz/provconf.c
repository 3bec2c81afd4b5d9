/*
 * A provider's configuration as the keystore has it (kms/reference.c).
 *
 * Input: the unsealed bytes.  What can be unpacked has one form only.
 */
#include "kms/reference.h"

#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *text CLEANUP_FREE = exact(data, len);
	uint8_t *again CLEANUP_FREE = malloc(CONF_MAX);
	struct provider_option opt[PROVIDER_OPTIONS_MAX];
	struct provider_conf conf;
	size_t n = 0;
	enum err e = conf_unpack(text, len, opt, &conf);

	HOLDS(again != NULL);
	HOLDS(e == OK || e == ERR_CORRUPT);
	if (e != OK)
		return (0);
	HOLDS(conf.nopt <= PROVIDER_OPTIONS_MAX);
	e = conf_pack(&conf, again, &n);
	/* A name twice is no more than useless. */
	HOLDS(e == OK || e == ERR_INVAL);
	HOLDS(e != OK || (n == len && memcmp(text, again, n) == 0));
	return (0);
}
