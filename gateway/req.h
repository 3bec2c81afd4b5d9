/*
 * req: one request of the KMS API at work.  Private to the room.
 *
 * An operation reads the members of ${in}, which its table has checked, calls
 * the KMS, and writes the members of its answer to ${out}.  It returns OK, or an
 * error which becomes one of the API's (req_map()) unless it has set ${error}
 * itself.
 */
#ifndef GATEWAY_REQ_H
#define GATEWAY_REQ_H

#include "gateway/api.h"
#include "gateway/marker.h"
#include "gateway/member.h"
#include "kms/api.h"

struct api {
	struct kms *kms;
	char region[64];
	struct hmac_key marker_key;
};

struct req;

struct op {
	const char *name;
	const struct member *members;
	/* Neither over plain HTTP: plaintext or keys pass, or what protects
	 * them. */
	bool secret;
	enum err (*run)(struct req *r);
};

#define REQ_KEYS 2
#define REQ_AFTER_MAX MARKER_NAME_MAX

struct req {
	struct api *api;
	const struct kms_who *who;
	struct kms_who dry; /* the same, for a dry run */
	const char *tenant; /* never NULL */
	const struct op *op;
	const struct jval *in;
	struct jout out;
	struct aws_error error;
	/* What an error may be about. */
	const char *keys[REQ_KEYS];
	size_t nkeys;
	const char *alias;
	const char *grant;
	bool tags; /* ERR_INVAL is about them */
};

/* "GenerateDataKey", …; NULL when there is no such operation. */
const struct op *api_op(const char *name);
/* One that AWS has and this service does not. */
bool api_op_foreign(const char *name);

/* ---- Members (req.c) -----------------------------------------------------*/

/* NULL when it is not there. */
const char *req_str(const struct req *r, const char *name);
int64_t req_int(const struct req *r, const char *name, int64_t other);
bool req_bool(const struct req *r, const char *name);
/* The members of a list or map; NULL when it is not there. */
const struct jval *req_val(const struct req *r, const char *name);

/*
 * req_key(r, name, ret):
 * A member that names a key.  NULL when it is not there.  With ${alias} an
 * alias will do; otherwise NotFoundException for one, as AWS has it.
 */
enum err req_key(
    struct req *r, const char *name, bool alias, const char **ret) MUSTCHECK;

/* ${ret} has room for ${max} bytes. */
enum err req_blob(struct req *r, const char *name, uint8_t *ret, size_t max,
    size_t *ret_len) MUSTCHECK;

/* A map as pairs, which point into the request. */
struct req_pairs {
	struct kms_pair *p;
	size_t n, cap;
};
enum err req_pairs(const struct jval *map, struct req_pairs *ret) MUSTCHECK;
enum err req_context(
    struct req *r, const char *name, struct req_pairs *ret) MUSTCHECK;
static inline void
req_pairs_release(struct req_pairs *p)
{
	free(p->p);
}
#define CLEANUP_PAIRS CLEANUP(req_pairs_release)

/* The grant tokens that came along: InvalidGrantTokenException for one that is
 * none. */
enum err req_tokens(struct req *r) MUSTCHECK;

/* Tags, which point into the request; ${ret} is the caller's to free. */
enum err req_tags(struct req *r, struct kms_tag **ret, size_t *ret_n) MUSTCHECK;

/* ---- Pages ---------------------------------------------------------------*/

struct page {
	char list[1024];           /* what is listed */
	char after[REQ_AFTER_MAX]; /* "": from the beginning */
	size_t max;
	char last[REQ_AFTER_MAX]; /* the operation's: what it wrote last */
};
/* Read Limit (${limit} when not there) and Marker of a list of ${filter}. */
enum err page_begin(struct req *r, const char *filter, size_t limit,
    struct page *ret) MUSTCHECK;
/* NULL for the beginning. */
const char *page_after(const struct page *p);
void page_last(struct page *p, const char *name);
/* Write Truncated, and NextMarker when there is more. */
enum err page_end(struct req *r, const struct page *p, bool more) MUSTCHECK;

/* ---- Answers -------------------------------------------------------------*/

#define req_fail(r, ...) aws_fail(&(r)->error, ERR_INVAL, __VA_ARGS__)

/* What came of an operation that keys of this ${origin} do not have: ${e}, and
 * for ERR_NOTSUP AWS's words. */
enum err req_origin(
    struct req *r, const char *key, const char *origin, enum err e) MUSTCHECK;
/* What ${e} is to the client: sets r->error unless it is set. */
void req_map(struct req *r, enum err e);

/* ---- The operations, by file ---------------------------------------------*/

/* op_crypt.c */
enum err op_encrypt(struct req *r);
enum err op_decrypt(struct req *r);
enum err op_reencrypt(struct req *r);
enum err op_generate(struct req *r);
enum err op_generate_only(struct req *r);
enum err op_random(struct req *r);
/* op_keys.c */
enum err op_create_key(struct req *r);
enum err op_describe_key(struct req *r);
enum err op_list_keys(struct req *r);
enum err op_enable_key(struct req *r);
enum err op_disable_key(struct req *r);
enum err op_schedule_deletion(struct req *r);
enum err op_cancel_deletion(struct req *r);
enum err op_describe_update(struct req *r);
/* op_alias.c */
enum err op_create_alias(struct req *r);
enum err op_update_alias(struct req *r);
enum err op_delete_alias(struct req *r);
enum err op_list_aliases(struct req *r);
/* op_rotate.c */
enum err op_enable_rotation(struct req *r);
enum err op_disable_rotation(struct req *r);
enum err op_rotation_status(struct req *r);
enum err op_rotate(struct req *r);
enum err op_list_rotations(struct req *r);
/* op_policy.c */
enum err op_get_policy(struct req *r);
enum err op_put_policy(struct req *r);
enum err op_list_policies(struct req *r);
enum err op_tag(struct req *r);
enum err op_untag(struct req *r);
enum err op_list_tags(struct req *r);
/* op_import.c */
enum err op_import_parameters(struct req *r);
enum err op_import_material(struct req *r);
enum err op_delete_material(struct req *r);
/* op_grant.c */
enum err op_create_grant(struct req *r);
enum err op_list_grants(struct req *r);
enum err op_list_retirable(struct req *r);
enum err op_retire_grant(struct req *r);
enum err op_revoke_grant(struct req *r);

#endif
