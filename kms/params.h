/*
 * params: what a record tells of a request besides the key and the context: the
 * inside of a JSON object, built member by member under CloudTrail's names.
 *
 * A member that does not fit, or is NULL, is left out.  Never for material,
 * tokens, blobs.
 */
#ifndef KMS_PARAMS_H
#define KMS_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kms/kms.h"

#define PARAMS_MAX 4096 /* bytes, with the NUL */

struct params {
	size_t len;
	char text[PARAMS_MAX]; /* for struct call */
};

static inline void
params_begin(struct params *p)
{
	p->len = 0;
	p->text[0] = '\0';
}

void params_str(struct params *p, const char *name, const char *value);
void params_number(struct params *p, const char *name, uint64_t value);
void params_bool(struct params *p, const char *name, bool value);
/* A list of strings. */
void params_strs(
    struct params *p, const char *name, const char *const *values, size_t n);
/* An object of strings; none of no pairs. */
void params_pairs(
    struct params *p, const char *name, const struct kms_pair *pairs, size_t n);
/* A list of {"tagKey":…,"tagValue":…}; none of no tags. */
void params_tags(
    struct params *p, const char *name, const struct kms_tag *tags, size_t n);
/* An object with one member that is an object of strings. */
void params_inner(struct params *p, const char *name, const char *inner,
    const struct kms_pair *pairs, size_t n);

#endif
