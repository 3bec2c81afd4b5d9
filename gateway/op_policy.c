/*
 * Key policies and tags.
 */
#include <string.h>

#include "gateway/req.h"

#define TAGS_PAGE 50

/* There is one policy, and that is its name. */
static enum err
policy_name(struct req *r)
{
	const char *name = req_str(r, "PolicyName");

	if (name == NULL || strcmp(name, "default") == 0)
		return (OK);
	return (req_fail(r, AWS_NOT_FOUND, "No such policy exists"));
}

enum err
op_get_policy(struct req *r)
{
	char *text CLEANUP_FREE = NULL;
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(policy_name(r));
	TRY(kms_key_policy_get(r->api->kms, r->who, key, &text));
	jout_str(&r->out, "Policy", text);
	jout_str(&r->out, "PolicyName", "default");
	return (OK);
}

enum err
op_put_policy(struct req *r)
{
	const char *key = NULL, *text = req_str(r, "Policy");

	TRY(req_key(r, "KeyId", false, &key));
	TRY(policy_name(r));
	return (kms_key_policy_put(r->api->kms, r->who, key, text, strlen(text),
	    req_bool(r, "BypassPolicyLockoutSafetyCheck")));
}

enum err
op_list_policies(struct req *r)
{
	struct page p;
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(page_begin(r, key, 1, &p));
	TRY(kms_key_policy_list(r->api->kms, r->who, key));
	jout_array(&r->out, "PolicyNames");
	jout_str(&r->out, NULL, "default");
	jout_close(&r->out, ']');
	return (page_end(r, &p, false));
}

enum err
op_tag(struct req *r)
{
	struct kms_tag *tags CLEANUP_FREE = NULL;
	const char *key = NULL;
	size_t n = 0;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(req_tags(r, &tags, &n));
	return (kms_tag_set(r->api->kms, r->who, key, tags, n));
}

enum err
op_untag(struct req *r)
{
	const char *names[KMS_TAGS_MAX];
	const struct jval *list = req_val(r, "TagKeys");
	const char *key = NULL;
	size_t n = jval_count(list);

	TRY(req_key(r, "KeyId", false, &key));
	r->tags = true;
	for (size_t i = 0; i < n; i++)
		names[i] = jval_text(jval_at(list, i));
	return (kms_tag_remove(r->api->kms, r->who, key, names, n));
}

struct listing {
	struct req *r;
	struct page page;
	size_t n;
	bool begun, more;
};

/* A key has few tags; pages are cut from the whole. */
static void
tag_row(void *arg, const char *name, const char *value)
{
	struct listing *l = arg;
	struct jout *j = &l->r->out;
	const char *after = page_after(&l->page);

	if (!l->begun) {
		l->begun = strcmp(name, after) == 0;
		return;
	}
	if (l->n++ >= l->page.max) {
		l->more = true;
		return;
	}
	jout_object(j, NULL);
	jout_str(j, "TagKey", name);
	jout_str(j, "TagValue", value);
	jout_close(j, '}');
	page_last(&l->page, name);
}

enum err
op_list_tags(struct req *r)
{
	struct listing l = { .r = r };
	const char *key = NULL;

	TRY(req_key(r, "KeyId", false, &key));
	TRY(page_begin(r, key, TAGS_PAGE, &l.page));
	l.begun = page_after(&l.page) == NULL;
	jout_array(&r->out, "Tags");
	TRY(kms_tag_list(r->api->kms, r->who, key, tag_row, &l));
	jout_close(&r->out, ']');
	return (page_end(r, &l.page, l.more));
}
