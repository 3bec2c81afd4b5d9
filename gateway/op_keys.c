/*
 * Keys: making, describing, listing, their states.
 */
#include <string.h>

#include "gateway/req.h"

#define LIMIT_DEFAULT 100

static void
metadata(struct req *r, const struct kms_desc *d)
{
	struct jout *j = &r->out;
	const bool external = d->origin == KMS_ORIGIN_EXTERNAL;

	jout_object(j, "KeyMetadata");
	jout_str(j, "AWSAccountId", d->tenant);
	jout_str(j, "KeyId", d->id);
	jout_str(j, "Arn", d->arn);
	jout_i64(j, "CreationDate", d->created);
	jout_bool(j, "Enabled", d->state == KMS_ENABLED);
	jout_str(j, "Description", d->description);
	jout_str(j, "KeyUsage", "ENCRYPT_DECRYPT");
	jout_str(j, "KeyState", kms_state_name(d->state));
	if (d->state == KMS_PENDING_DELETION)
		jout_i64(j, "DeletionDate", d->delete_at);
	jout_str(j, "Origin", external ? "EXTERNAL" : "AWS_KMS");
	if (external && d->version != 0)
		jout_str(j, "ExpirationModel",
		    d->expires != 0 ? "KEY_MATERIAL_EXPIRES"
				    : "KEY_MATERIAL_DOES_NOT_EXPIRE");
	if (external && d->expires != 0)
		jout_i64(j, "ValidTo", d->expires);
	jout_str(j, "KeyManager",
	    d->is_default || d->is_service ? "AWS" : "CUSTOMER");
	jout_str(j, "CustomerMasterKeySpec", "SYMMETRIC_DEFAULT");
	jout_str(j, "KeySpec", "SYMMETRIC_DEFAULT");
	jout_array(j, "EncryptionAlgorithms");
	jout_str(j, NULL, "SYMMETRIC_DEFAULT");
	jout_close(j, ']');
	jout_bool(j, "MultiRegion", false);
	if (d->material[0] != '\0')
		jout_str(j, "CurrentKeyMaterialId", d->material);
	jout_close(j, '}');
}

/* A member that has one value which is served. */
static enum err
only(struct req *r, const char *name, const char *value)
{
	const char *s = req_str(r, name);

	if (s == NULL || strcmp(s, value) == 0)
		return (OK);
	return (req_fail(r, AWS_UNSUPPORTED,
	    "%s %s is not supported; keys are symmetric, for encryption", name,
	    s));
}

/* Those that no service has.  Of these and other faults AWS tells first. */
static enum err
spec_and_usage(struct req *r)
{
	const char *old = req_str(r, "CustomerMasterKeySpec");
	const char *spec = req_str(r, "KeySpec");
	const char *usage = req_str(r, "KeyUsage");

	if (spec != NULL && old != NULL)
		return (req_fail(r, AWS_VALIDATION,
		    "You cannot specify KeySpec and CustomerMasterKeySpec in "
		    "the same request. CustomerMasterKeySpec is deprecated."));
	if (spec == NULL)
		spec = old != NULL ? old : "SYMMETRIC_DEFAULT";
	if (usage == NULL && strcmp(spec, "SYMMETRIC_DEFAULT") != 0)
		return (req_fail(r, AWS_VALIDATION,
		    "You must specify a KeyUsage value for all KMS keys except "
		    "for symmetric encryption keys."));
	if (usage != NULL && strcmp(spec, "SYMMETRIC_DEFAULT") == 0 &&
	    strcmp(usage, "ENCRYPT_DECRYPT") != 0)
		return (req_fail(r, AWS_VALIDATION,
		    "KeyUsage %s is not compatible with KeySpec %s", usage,
		    spec));
	return (OK);
}

enum err
op_create_key(struct req *r)
{
	const char *origin = req_str(r, "Origin");
	struct kms_tag *tags CLEANUP_FREE = NULL;
	struct kms_new n = {
		.description = req_str(r, "Description"),
		.policy = req_str(r, "Policy"),
		.external = origin != NULL && strcmp(origin, "EXTERNAL") == 0,
		.no_lockout_check =
		    req_bool(r, "BypassPolicyLockoutSafetyCheck"),
	};
	struct kms_desc d;

	TRY(spec_and_usage(r));
	TRY(only(r, "KeyUsage", "ENCRYPT_DECRYPT"));
	TRY(only(r, "KeySpec", "SYMMETRIC_DEFAULT"));
	TRY(only(r, "CustomerMasterKeySpec", "SYMMETRIC_DEFAULT"));
	if (!n.external)
		TRY(only(r, "Origin", "AWS_KMS"));
	if (req_bool(r, "MultiRegion"))
		return (req_fail(
		    r, AWS_UNSUPPORTED, "Multi-Region keys are not supported"));
	if (req_str(r, "CustomKeyStoreId") != NULL ||
	    req_str(r, "XksKeyId") != NULL)
		return (req_fail(
		    r, AWS_UNSUPPORTED, "There are no custom key stores here"));
	TRY(req_tags(r, &tags, &n.ntags));
	n.tags = tags;
	TRY(kms_key_new(r->api->kms, r->who, &n, &d));
	metadata(r, &d);
	return (OK);
}

enum err
op_describe_key(struct req *r)
{
	struct kms_desc d;
	const char *key = NULL;

	TRY(req_key(r, "KeyId", true, &key));
	TRY(req_tokens(r));
	TRY(kms_key_describe(r->api->kms, r->who, key, &d));
	metadata(r, &d);
	return (OK);
}

struct listing {
	struct req *r;
	struct page page;
};

static bool
key_row(void *arg, const char *id, const char *arn)
{
	struct listing *l = arg;
	struct jout *j = &l->r->out;

	jout_object(j, NULL);
	jout_str(j, "KeyId", id);
	jout_str(j, "KeyArn", arn);
	jout_close(j, '}');
	page_last(&l->page, id);
	return (true);
}

enum err
op_list_keys(struct req *r)
{
	struct listing l = { .r = r };
	bool more = false;

	TRY(page_begin(r, "", LIMIT_DEFAULT, &l.page));
	jout_array(&r->out, "Keys");
	TRY(kms_key_page(r->api->kms, r->who, page_after(&l.page), l.page.max,
	    key_row, &l, &more));
	jout_close(&r->out, ']');
	return (page_end(r, &l.page, more));
}

enum err
op_enable_key(struct req *r)
{
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	return (kms_key_enable(r->api->kms, r->who, key));
}

enum err
op_disable_key(struct req *r)
{
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	return (kms_key_disable(r->api->kms, r->who, key));
}

enum err
op_schedule_deletion(struct req *r)
{
	const unsigned days = (unsigned)req_int(r, "PendingWindowInDays", 0);
	char arn[KMS_ARN_MAX];
	struct kms_deletion d;
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(kms_key_delete(r->api->kms, r->who, key, days, &d));
	TRY(kms_key_resolve(r->api->kms, r->tenant, key, arn));
	jout_str(&r->out, "KeyId", arn);
	jout_i64(&r->out, "DeletionDate", d.at);
	jout_str(&r->out, "KeyState", kms_state_name(KMS_PENDING_DELETION));
	jout_u64(&r->out, "PendingWindowInDays", d.days);
	return (OK);
}

enum err
op_cancel_deletion(struct req *r)
{
	char arn[KMS_ARN_MAX];
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(kms_key_cancel_deletion(r->api->kms, r->who, key));
	TRY(kms_key_resolve(r->api->kms, r->tenant, key, arn));
	jout_str(&r->out, "KeyId", arn);
	return (OK);
}

enum err
op_describe_update(struct req *r)
{
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	return (kms_key_set_description(
	    r->api->kms, r->who, key, req_str(r, "Description")));
}
