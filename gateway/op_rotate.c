/*
 * Rotation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/req.h"

#define PERIOD_DEFAULT 365
#define LIMIT_DEFAULT 100

enum err
op_enable_rotation(struct req *r)
{
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	return (req_origin(r, key, "EXTERNAL",
	    kms_key_rotation(r->api->kms, r->who, key,
		(unsigned)req_int(r, "RotationPeriodInDays", PERIOD_DEFAULT))));
}

enum err
op_disable_rotation(struct req *r)
{
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	return (req_origin(
	    r, key, "EXTERNAL", kms_key_rotation(r->api->kms, r->who, key, 0)));
}

enum err
op_rotation_status(struct req *r)
{
	struct kms_desc d;
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(kms_rotation_status(r->api->kms, r->who, key, &d));
	/* One that waits for its end does not rotate, until it is kept. */
	if (d.state == KMS_PENDING_DELETION)
		d.rotate_days = 0;
	jout_bool(&r->out, "KeyRotationEnabled", d.rotate_days != 0);
	jout_str(&r->out, "KeyId", d.id);
	if (d.rotate_days != 0) {
		jout_u64(&r->out, "RotationPeriodInDays", d.rotate_days);
		jout_i64(&r->out, "NextRotationDate", d.rotate_at);
	}
	return (OK);
}

/* The id in a key's ARN. */
static const char *
id_of(const char *arn)
{
	const char *slash = strrchr(arn, '/');

	return (slash != NULL ? slash + 1 : arn);
}

enum err
op_rotate(struct req *r)
{
	char arn[KMS_ARN_MAX];
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(req_origin(
	    r, key, "EXTERNAL", kms_key_rotate(r->api->kms, r->who, key)));
	TRY(kms_key_resolve(r->api->kms, r->tenant, key, arn));
	jout_str(&r->out, "KeyId", id_of(arn));
	return (OK);
}

struct listing {
	struct req *r;
	struct page page;
	const char *key;
};

static bool
rotation_row(void *arg, const struct kms_rotation *t)
{
	struct listing *l = arg;
	struct jout *j = &l->r->out;
	char version[16];

	jout_object(j, NULL);
	jout_str(j, "KeyId", id_of(l->key));
	jout_str(j, "KeyMaterialId", t->material);
	jout_i64(j, "RotationDate", t->at);
	jout_str(j, "RotationType", t->on_demand ? "ON_DEMAND" : "AUTOMATIC");
	jout_close(j, '}');
	(void)snprintf(version, sizeof(version), "%u", t->version);
	page_last(&l->page, version);
	return (true);
}

enum err
op_list_rotations(struct req *r)
{
	struct listing l = { .r = r };
	char arn[KMS_ARN_MAX];
	const char *after = NULL;
	bool more = false;

	TRY(req_key(r, "KeyId", false, &l.key));
	TRY(page_begin(r, l.key, LIMIT_DEFAULT, &l.page));
	after = page_after(&l.page);
	if (kms_key_resolve(r->api->kms, r->tenant, l.key, arn) == OK)
		l.key = arn;
	jout_array(&r->out, "Rotations");
	TRY(kms_rotation_page(r->api->kms, r->who, l.key,
	    after != NULL ? (uint32_t)strtoul(after, NULL, 10) : 0, l.page.max,
	    rotation_row, &l, &more));
	jout_close(&r->out, ']');
	return (page_end(r, &l.page, more));
}
