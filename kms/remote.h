/*
 * remote: the provider of keys in a key service that speaks the API of AWS KMS
 * (provider.h): Amazon's own, another store's "ssefs serve", or others.
 *
 * URI: "https://host[:port]".  Options:
 *	region		of the signature; else the host's (kms.REGION.…), the
 *			credentials' or the environment's, else us-east-1
 *	profile, credentials	see kms/awscred.h
 *	ca, pin, proxy	see lib/net/client.h
 *	timeout		milliseconds for a call with its repetitions (6000)
 *	connect		milliseconds for a connection (2000)
 *	tries		of one call (4)
 *	cache-age	seconds that an answer is used for (300; 0: none is)
 *	cache-uses	how often an answer is used (0: any number)
 *	key		an existing key (id, ARN, alias) for all keys made here;
 *			else each is made by CreateKey
 *
 * A reference is one byte, 1, and the far key's ARN.  A sealed message is the
 * far side's ciphertext.  The encryption context is passed on, with a pair of
 * our own that binds the rest (WIRE_BOUND).
 *
 * What a data key is, and that a key may be used, is asked of the far side again
 * after cache-age seconds at the latest: a key that is disabled there is refused
 * here within that time, and at once when any call meets the refusal.  The
 * credentials are read at each call.
 */
#ifndef KMS_REMOTE_H
#define KMS_REMOTE_H

#include "kms/provider.h"

extern const struct provider_ops provider_remote;

struct remote_conf {
	const char *url, *region, *profile, *credentials, *ca, *pin, *proxy,
	    *key;
	unsigned timeout, connect, tries, cache_age;
	uint64_t cache_uses;
	char host_region[65]; /* of the URL, "" when it has none */
};
/* Pure; the pointers are into ${c}.  ERR_INVAL. */
enum err remote_conf_parse(
    const struct provider_conf *c, struct remote_conf *ret) MUSTCHECK;

#endif
