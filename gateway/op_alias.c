/*
 * Aliases.
 */
#include <string.h>

#include "gateway/req.h"

#define LIMIT_DEFAULT 50

/* Those of the API begin with "alias/"; the KMS would add it. */
static enum err
alias_name(struct req *r, const char **ret)
{
	*ret = req_str(r, "AliasName");
	r->alias = *ret;
	if (strchr(*ret, ':') != NULL)
		return (req_fail(r, AWS_VALIDATION,
		    "%.256s contains invalid characters for an alias", *ret));
	if (strcmp(*ret, "alias/") == 0)
		return (req_fail(
		    r, AWS_INVALID_ALIAS, "An alias has a name after alias/"));
	if (strncmp(*ret, "alias/", 6) == 0)
		return (OK);
	return (req_fail(r, AWS_VALIDATION,
	    "Alias must start with the prefix \"alias/\". Please see "
	    "https://docs.aws.amazon.com/kms/latest/developerguide/"
	    "kms-alias.html"));
}

enum err
op_create_alias(struct req *r)
{
	const char *alias = NULL, *key = NULL;
	enum err e = OK;

	TRY(alias_name(r, &alias));
	TRY(req_key(r, "TargetKeyId", false, &key));
	e = kms_alias_create(r->api->kms, r->who, alias, key);
	if (e == ERR_EXIST)
		return (req_fail(r, AWS_ALREADY_EXISTS,
		    "An alias with the name arn:aws:kms:%s:%s:%.256s already "
		    "exists",
		    r->api->region, r->tenant, alias));
	return (e);
}

enum err
op_update_alias(struct req *r)
{
	const char *alias = NULL, *key = NULL;

	TRY(alias_name(r, &alias));
	TRY(req_key(r, "TargetKeyId", false, &key));
	return (kms_alias_update(r->api->kms, r->who, alias, key));
}

enum err
op_delete_alias(struct req *r)
{
	const char *alias = NULL;

	TRY(alias_name(r, &alias));
	return (kms_alias_delete(r->api->kms, r->who, alias));
}

struct listing {
	struct req *r;
	struct page page;
};

static bool
alias_row(void *arg, const struct kms_alias *a)
{
	struct listing *l = arg;
	struct jout *j = &l->r->out;
	const char *id = strstr(a->target, ":key/");

	jout_object(j, NULL);
	jout_str(j, "AliasName", a->name);
	jout_str(j, "AliasArn", a->arn);
	if (id != NULL)
		jout_str(j, "TargetKeyId", id + 5);
	jout_i64(j, "CreationDate", a->created);
	jout_i64(j, "LastUpdatedDate", a->updated);
	jout_close(j, '}');
	page_last(&l->page, a->name);
	return (true);
}

enum err
op_list_aliases(struct req *r)
{
	struct listing l = { .r = r };
	const char *key = NULL;
	bool more = false;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(page_begin(r, key != NULL ? key : "", LIMIT_DEFAULT, &l.page));
	jout_array(&r->out, "Aliases");
	TRY(kms_alias_page(r->api->kms, r->who, key, page_after(&l.page),
	    l.page.max, alias_row, &l, &more));
	jout_close(&r->out, ']');
	return (page_end(r, &l.page, more));
}
