/*
 * api: the AWS KMS API (TrentService, model 2014-11-01) as a function of an
 * operation's name and a body.
 *
 * Thread-safe.
 */
#ifndef GATEWAY_API_H
#define GATEWAY_API_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/aws.h"
#include "kms/kms.h"
#include "lib/base/buf.h"

struct api;

/* ${k} is borrowed.  ERR_NOMEM. */
enum err api_new(struct kms *k, struct api **ret) MUSTCHECK;
void api_free(struct api *a); /* NULL is fine */

/*
 * api_call(a, who, target, body, len, ret, err):
 * Carry out one request: ${target} is the header X-Amz-Target.  ${who}->secure
 * says whether what is asked and answered is kept from others on the way.
 * True: the answer's JSON stands in ${ret} (which may hold plaintext: release
 * it wiped).  False: the refusal stands in ${err}.
 */
bool api_call(struct api *a, const struct kms_who *who, const char *target,
    const void *body, size_t len, struct buf *ret, struct aws_error *err);

#endif
