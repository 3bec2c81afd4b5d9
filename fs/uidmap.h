/*
 * uidmap: which user of the key service the processes of a uid are.
 *
 * A file of lines "UID USER": a decimal number, blanks, a user's name without
 * blanks.  Empty lines and lines that begin with "#" say nothing.  A uid stands
 * there once.  Whoever is not there is the mount's own user.
 */
#ifndef FS_UIDMAP_H
#define FS_UIDMAP_H

#include <stddef.h>
#include <sys/types.h>

#include "kms/kms.h"
#include "lib/base/err.h"

#define UIDMAP_MAX 4096               /* lines that name a uid */
#define UIDMAP_SIZE ((size_t)1 << 19) /* bytes of a file */

struct uidmap_row {
	uid_t uid;
	char user[KMS_NAME_MAX];
};

struct uidmap {
	struct uidmap_row *v; /* by uid */
	size_t n;
};

/*
 * uidmap_parse(text, len, ret):
 * Read a map from text; pure.  ${ret} is to be released in any case.  Returns
 * OK; ERR_PARSE, with a sentence that names the line; ERR_LIMIT; ERR_NOMEM.
 */
enum err uidmap_parse(
    const char *text, size_t len, struct uidmap *ret) MUSTCHECK;
/* The same from the file ${path}, which must belong to root or to the process's
 * user and must not be writable by others: ERR_PERM.  ERR_NOENT, ERR_IO. */
enum err uidmap_load(const char *path, struct uidmap *ret) MUSTCHECK;
void uidmap_release(struct uidmap *m);

/* The user that ${uid} is; NULL: it is not in the map. */
const char *uidmap_user(const struct uidmap *m, uid_t uid);

#endif
