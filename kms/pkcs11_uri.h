/*
 * pkcs11_uri: which module, which token, and where its PIN stands, from a
 * "pkcs11:" URI (RFC 7512) or a module's path.
 *
 * Pure and thread-safe.
 */
#ifndef KMS_PKCS11_URI_H
#define KMS_PKCS11_URI_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define P11_LABEL_MAX 33 /* of a token, with a NUL */
#define P11_SERIAL_MAX 17
#define P11_OBJECT_MAX 65

struct p11_uri {
	char module[PATH_MAX];       /* absolute; "": the default one */
	char token[P11_LABEL_MAX];   /* "": any */
	char serial[P11_SERIAL_MAX]; /* "": any */
	bool has_slot;
	uint64_t slot;
	char object[P11_OBJECT_MAX]; /* label of keys to be made; "": ours */
	/* One of them at most; both "": the token wants no PIN. */
	char pin_file[PATH_MAX]; /* absolute */
	char pin_credential[256];
};

/*
 * p11_uri_parse(text, ret):
 * Attributes: token, serial, slot-id, object; of the query: module-path,
 * pin-source.  What is unknown, twice there, too long or not properly encoded is
 * refused, and so is a PIN.  ERR_INVAL, with a sentence that does not repeat a
 * value.
 */
enum err p11_uri_parse(const char *text, struct p11_uri *ret) MUSTCHECK;
/* One more attribute, as it stands (not percent-encoded). */
enum err p11_uri_set(
    struct p11_uri *u, const char *name, const char *value) MUSTCHECK;

#endif
