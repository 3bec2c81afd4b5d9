/*
 * pkcs11: the provider of keys in a PKCS#11 token (provider.h).
 *
 * URI: "pkcs11:…" as in RFC 7512, or the path of a module, with the URI's
 * attributes as options.  Options besides: "sessions" (how many are kept open),
 * "timeout" (of a call, in milliseconds),
 * "iv" ("caller", or "token" for tokens that take no nonce from outside),
 * "only-root" ("yes": the library is loaded only from where root alone can
 * write; "no").
 */
#ifndef KMS_PKCS11_H
#define KMS_PKCS11_H

#include "kms/pkcs11_uri.h"
#include "kms/provider.h"

extern const struct provider_ops provider_pkcs11;

struct p11_conf {
	struct p11_uri uri;
	unsigned sessions;
	unsigned ms; /* how long a call may take */
	bool token_iv;
	bool only_root;
};
/* Pure.  ERR_INVAL. */
enum err p11_conf_parse(
    const struct provider_conf *c, struct p11_conf *ret) MUSTCHECK;

#endif
