/*
 * key: what the commands on keys share.
 */
#ifndef TOOLS_KEY_H
#define TOOLS_KEY_H

#include "tools/cmd.h"

/* Print a key, with its tags, as JSON; an exit code. */
int key_json(struct kms *k, const struct kms_desc *d);
/* One change of the key a->pos[0], which is in force when it returns; ${what}
 * stands in "cannot be ...". */
int key_change(const struct args *a, const char *what,
    enum err (*fn)(struct kms *k, const struct kms_who *who, const char *key));
/* Tags of ${len} bytes of texts NAME=VALUE with a NUL after each.  They point
 * into ${text}, which is changed; the caller frees ${ret}, also after an error.
 * ERR_INVAL. */
enum err key_tags(
    char *text, size_t len, struct kms_tag **ret, size_t *ret_n) MUSTCHECK;

/* The bytes of a file (at most ${max}, else ERR_LIMIT) and a NUL; "-" is
 * standard input.  ${ret} has room for ${max} + 2. */
enum err key_read_file(
    const char *path, size_t max, uint8_t *ret, size_t *ret_len) MUSTCHECK;

#endif
