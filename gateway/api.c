#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/rand.h"
#include "gateway/limits.h"
#include "gateway/req.h"

#define PREFIX "TrentService."

static const struct jlimits json_limits = {
	.bytes = GATE_BODY_MAX,
	.depth = GATE_JSON_DEPTH,
	.values = GATE_JSON_VALUES,
};

enum err
api_new(struct kms *k, struct api **ret)
{
	struct api *a = calloc(1, sizeof(*a));
	WIPED(uint8_t, key, KEY_LEN);

	if (a == NULL)
		return (ERR_NOMEM);
	a->kms = k;
	(void)snprintf(a->region, sizeof(a->region), "%s", kms_region(k));
	rand_bytes(key, sizeof(key));
	hmac_key_set(&a->marker_key, key, sizeof(key));
	*ret = a;
	return (OK);
}

void
api_free(struct api *a)
{
	if (a == NULL)
		return;
	secret_wipe(&a->marker_key, sizeof(a->marker_key));
	free(a);
}

static const struct op *
find(const char *target, struct aws_error *err)
{
	const struct op *op = NULL;
	const char *name = target;

	if (target != NULL && strncmp(target, PREFIX, strlen(PREFIX)) == 0) {
		name = target + strlen(PREFIX);
		op = api_op(name);
		if (op == NULL && api_op_foreign(name))
			(void)aws_fail(err, ERR_NOTSUP, AWS_UNSUPPORTED,
			    "%s is not supported; keys are symmetric, for "
			    "encryption, in one region",
			    name);
	}
	if (op == NULL)
		(void)aws_fail(
		    err, ERR_NOTSUP, AWS_UNKNOWN_OPERATION, "%s", "");
	return (op);
}

static bool
takes(const struct op *op, const char *name)
{
	for (const struct member *m = op->members; m->name != NULL; m++)
		if (strcmp(m->name, name) == 0)
			return (true);
	return (false);
}

static enum err
run(struct req *r, struct jdoc **doc, const void *body, size_t len)
{
	const enum err e = jdoc_parse(body, len, &json_limits, doc);

	if (e == ERR_NOMEM)
		return (e);
	if (e != OK)
		return (req_fail(r, AWS_SERIALIZATION, "%s", err_detail(e)));
	r->in = jdoc_root(*doc);
	if (jval_type(r->in) != JTYPE_OBJECT)
		return (req_fail(r, AWS_SERIALIZATION,
		    "Start of structure or map found where not expected."));
	TRY(member_check(r->in, r->op->members, &r->error));
	if (takes(r->op, "DryRun") && req_bool(r, "DryRun")) {
		r->dry = *r->who;
		r->dry.dry_run = true;
		r->who = &r->dry;
	}
	/* The answer would be for an enclave only, which there is none of. */
	if (takes(r->op, "Recipient") && req_val(r, "Recipient") != NULL)
		return (
		    req_fail(r, AWS_UNSUPPORTED, "Recipient is not supported"));
	TRY(r->op->run(r));
	return (OK);
}

bool
api_call(struct api *a, const struct kms_who *who, const char *target,
    const void *body, size_t len, struct buf *ret, struct aws_error *err)
{
	struct jdoc *doc CLEANUP_JDOC = NULL;
	struct req r = {
		.api = a,
		.who = who,
		.tenant =
		    who->tenant != NULL ? who->tenant : KMS_TENANT_DEFAULT,
	};
	enum err e = OK;

	err->code = AWS_NONE;
	err_clear();
	r.op = find(target, err);
	if (r.op == NULL)
		return (false);
	if (r.op->secret && !who->secure) {
		(void)aws_fail(err, ERR_ACCESS, AWS_ACCESS_DENIED,
		    "%s is for encrypted connections only", r.op->name);
		return (false);
	}
	jout_begin(&r.out, ret, false);
	jout_object(&r.out, NULL);
	e = run(&r, &doc, body, len);
	jout_close(&r.out, '}');
	if (e == OK)
		e = r.out.e;
	if (e == OK)
		return (true);
	req_map(&r, e);
	*err = r.error;
	return (false);
}
