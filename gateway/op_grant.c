/*
 * Grants.
 */
#include <stdio.h>
#include <string.h>

#include "gateway/req.h"

#define LIMIT_DEFAULT 50

static enum err
operations(struct req *r, uint32_t *ret)
{
	const struct jval *list = req_val(r, "Operations");

	*ret = 0;
	for (size_t i = 0; i < jval_count(list); i++) {
		const char *name = jval_text(jval_at(list, i));
		const uint32_t bit = kms_grant_op_bit(name);

		if (bit == 0)
			return (req_fail(r, AWS_VALIDATION,
			    "Operation %s is not valid for a symmetric "
			    "encryption key",
			    name));
		*ret |= bit;
	}
	return (OK);
}

static enum err
principal_ok(struct req *r, const char *name)
{
	const char *s = req_str(r, name);

	if (s == NULL || kms_principal_ok(s))
		return (OK);
	return (req_fail(r, AWS_INVALID_ARN, "Invalid principal '%.256s'", s));
}

/* One of the two kinds; none is fine. */
static enum err
constraints(struct req *r, struct kms_grant *g, struct req_pairs *ret)
{
	const struct jval *c = req_val(r, "Constraints");
	const struct jval *subset = jval_member(c, "EncryptionContextSubset");
	const struct jval *equals = jval_member(c, "EncryptionContextEquals");

	if (jval_count(subset) > 0 && jval_count(equals) > 0)
		return (req_fail(r, AWS_VALIDATION,
		    "Only one of EncryptionContextSubset and "
		    "EncryptionContextEquals may be given"));
	if (subset == NULL && equals == NULL)
		return (OK);
	g->constraint = jval_count(subset) == 0 && equals != NULL
			    ? KMS_CONSTRAINT_EQUALS
			    : KMS_CONSTRAINT_SUBSET;
	TRY(req_pairs(
	    g->constraint == KMS_CONSTRAINT_EQUALS ? equals : subset, ret));
	g->pairs = ret->p;
	g->npairs = ret->n;
	return (OK);
}

enum err
op_create_grant(struct req *r)
{
	const char *name = req_str(r, "Name");
	const char *retiring = req_str(r, "RetiringPrincipal");
	struct req_pairs pairs CLEANUP_PAIRS = { .n = 0 };
	struct kms_grant g = {
		.name = name != NULL ? name : "",
		.grantee = req_str(r, "GranteePrincipal"),
		.retiring = retiring != NULL ? retiring : "",
	};
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(principal_ok(r, "GranteePrincipal"));
	TRY(principal_ok(r, "RetiringPrincipal"));
	TRY(req_tokens(r));
	TRY(operations(r, &g.operations));
	TRY(constraints(r, &g, &pairs));
	TRY(kms_grant_create(r->api->kms, r->who, key, &g, id, token));
	jout_str(&r->out, "GrantToken", token);
	jout_str(&r->out, "GrantId", id);
	return (OK);
}

struct listing {
	struct req *r;
	struct page page;
};

static void
grant_constraint(struct jout *j, const struct kms_grant *g)
{
	if (g->constraint == KMS_CONSTRAINT_NONE)
		return;
	jout_object(j, "Constraints");
	jout_object(j, g->constraint == KMS_CONSTRAINT_EQUALS
			   ? "EncryptionContextEquals"
			   : "EncryptionContextSubset");
	for (size_t i = 0; i < g->npairs; i++)
		jout_str(j, g->pairs[i].key, g->pairs[i].value);
	jout_close(j, '}');
	jout_close(j, '}');
}

static bool
grant_row(void *arg, const struct kms_grant *g)
{
	struct listing *l = arg;
	struct jout *j = &l->r->out;
	char account[KMS_PRINCIPAL_MAX + 8];
	const char *op = NULL;

	jout_object(j, NULL);
	jout_str(j, "KeyId", g->key);
	jout_str(j, "GrantId", g->id);
	jout_str(j, "Name", g->name);
	jout_i64(j, "CreationDate", g->created);
	jout_str(j, "GranteePrincipal", g->grantee);
	if (g->retiring[0] != '\0')
		jout_str(j, "RetiringPrincipal", g->retiring);
	(void)snprintf(account, sizeof(account), "%.*s:root",
	    (int)(strrchr(g->issuer, ':') - g->issuer), g->issuer);
	jout_str(j, "IssuingAccount", account);
	jout_array(j, "Operations");
	for (unsigned i = 0; (op = kms_grant_op_name(i)) != NULL; i++)
		if ((g->operations & (UINT32_C(1) << i)) != 0)
			jout_str(j, NULL, op);
	jout_close(j, ']');
	grant_constraint(j, g);
	jout_close(j, '}');
	page_last(&l->page, g->id);
	return (true);
}

enum err
op_list_grants(struct req *r)
{
	struct listing l = { .r = r };
	const char *key = NULL, *id = req_str(r, "GrantId");
	const char *grantee = req_str(r, "GranteePrincipal");
	bool more = false;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(principal_ok(r, "GranteePrincipal"));
	TRY(page_begin(r, key, LIMIT_DEFAULT, &l.page));
	jout_array(&r->out, "Grants");
	TRY(kms_grant_page(r->api->kms, r->who, key, id, grantee,
	    page_after(&l.page), l.page.max, grant_row, &l, &more));
	jout_close(&r->out, ']');
	return (page_end(r, &l.page, more));
}

enum err
op_list_retirable(struct req *r)
{
	const char *retiring = req_str(r, "RetiringPrincipal");
	struct listing l = { .r = r };
	bool more = false;

	TRY(principal_ok(r, "RetiringPrincipal"));
	TRY(page_begin(r, retiring, LIMIT_DEFAULT, &l.page));
	jout_array(&r->out, "Grants");
	TRY(kms_grant_retirable(r->api->kms, r->who, retiring,
	    page_after(&l.page), l.page.max, grant_row, &l, &more));
	jout_close(&r->out, ']');
	return (page_end(r, &l.page, more));
}

enum err
op_retire_grant(struct req *r)
{
	const char *token = req_str(r, "GrantToken");
	const char *id = req_str(r, "GrantId");
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	r->grant = id;
	if (token != NULL && (id != NULL || key != NULL))
		return (req_fail(r, AWS_VALIDATION,
		    "Either a grant token, or a key id and a grant id, must "
		    "be given, not both"));
	if (token != NULL)
		return (kms_grant_retire_token(r->api->kms, r->who, token));
	if (id == NULL || key == NULL)
		return (req_fail(r, AWS_VALIDATION,
		    "Either a grant token, or a key id and a grant id, must "
		    "be given"));
	return (kms_grant_retire(r->api->kms, r->who, key, id));
}

enum err
op_revoke_grant(struct req *r)
{
	const char *key = NULL, *id = req_str(r, "GrantId");

	TRY(req_key(r, "KeyId", false, &key));
	r->grant = id;
	return (kms_grant_revoke(r->api->kms, r->who, key, id));
}
