/*
 * Pages of lists, aliases that move, rotations, key policies: R19, R20, R25.
 */
#include "tests/unit/kms_common.h"

#include "kms/api.h"
#include "kms/who.h"
#include "lib/base/clock.h"

#define MANY 7

struct seen {
	size_t n;
	char name[32][KMS_ALIAS_MAX];
	struct kms_alias alias;
	struct kms_rotation rotation[32];
};

static bool
see_key(void *arg, const char *id, const char *arn)
{
	struct seen *s = arg;

	assert_non_null(strstr(arn, id));
	strcpy(s->name[s->n++], id);
	return true;
}

static bool
see_alias(void *arg, const struct kms_alias *a)
{
	struct seen *s = arg;

	strcpy(s->name[s->n++], a->name);
	s->alias = *a;
	return true;
}

static bool
see_rotation(void *arg, const struct kms_rotation *r)
{
	struct seen *s = arg;

	s->rotation[s->n++] = *r;
	return true;
}

/* A key that goes between two pages does not lead the list astray. */
static void
test_keys(void **state)
{
	static const struct kms_who other = {
		.tenant = "acme", .user = "root", .agent = "test"
	};
	struct kms *k = place_open(*state);
	struct seen s = { 0 };
	struct kms_desc d;
	bool more = true;

	for (unsigned i = 0; i < MANY; i++)
		assert_ok(kms_key_create(k, &root_user, "", &d));
	assert_ok(kms_key_create(k, &other, "", &d));
	for (const char *after = NULL; more; after = s.name[s.n - 1])
		assert_ok(
		    kms_key_page(k, &root_user, after, 3, see_key, &s, &more));
	assert_int_equal(s.n, MANY);
	for (unsigned i = 1; i < MANY; i++)
		assert_true(strcmp(s.name[i - 1], s.name[i]) < 0);
	s.n = 0;
	assert_ok(kms_key_page(k, &root_user,
	    "80000000-0000-4000-8000-000000000000", 100, see_key, &s, &more));
	for (unsigned i = 0; i < s.n; i++)
		assert_true(s.name[i][0] >= '8');
	assert_int_equal(
	    kms_key_page(k, &root_user, "x", 3, see_key, &s, &more), ERR_PARSE);
	assert_int_equal(
	    kms_key_page(k, &root_user, NULL, 0, see_key, &s, &more),
	    ERR_INVAL);
	assert_int_equal(kms_key_page(k, &root_user, NULL, KMS_PAGE_MAX + 1,
			     see_key, &s, &more),
	    ERR_INVAL);
	kms_close(k);
}

static void
test_aliases(void **state)
{
	struct kms *k = place_open(*state);
	struct seen s = { 0 };
	struct kms_desc a, b, d;
	char name[16];
	bool more = true;

	assert_ok(kms_key_create(k, &root_user, "", &a));
	assert_ok(kms_key_create(k, &root_user, "", &b));
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "alias/n%u", i);
		assert_ok(kms_alias_create(
		    k, &root_user, name, i % 2 == 0 ? a.id : b.id));
	}
	for (const char *after = NULL; more; after = s.name[s.n - 1])
		assert_ok(kms_alias_page(
		    k, &root_user, NULL, after, 3, see_alias, &s, &more));
	assert_int_equal(s.n, MANY);
	assert_string_equal(s.name[s.n - 1], "alias/n6");
	assert_string_equal(
	    s.alias.arn, "arn:aws:kms:us-east-1:000000000000:alias/n6");
	assert_string_equal(s.alias.target, a.arn);
	assert_int_equal(s.alias.created, s.alias.updated);
	s.n = 0;
	assert_ok(kms_alias_page(
	    k, &root_user, b.arn, NULL, 100, see_alias, &s, &more));
	assert_int_equal(s.n, MANY / 2);

	assert_ok(kms_alias_update(k, &root_user, "alias/n1", a.id));
	assert_ok(kms_key_describe(k, &root_user, "alias/n1", &d));
	assert_string_equal(d.id, a.id);
	assert_int_equal(
	    kms_alias_update(k, &root_user, "alias/none", a.id), ERR_NOENT);
	assert_int_equal(
	    kms_alias_update(k, &root_user, "alias/aws/x", a.id), ERR_PERM);
	assert_int_equal(
	    kms_alias_update(k, &root_user, "alias/n1", KMS_SERVICE_KEY),
	    ERR_NOKEY);
	kms_close(k);
}

static void
test_rotations(void **state)
{
	struct kms *k = place_open(*state);
	struct seen s = { 0 };
	struct kms_desc d;
	bool more;

	assert_ok(kms_key_create(k, &root_user, "", &d));
	assert_int_equal(strlen(d.material), 64);
	assert_ok(kms_rotation_page(
	    k, &root_user, d.id, 0, 100, see_rotation, &s, &more));
	assert_int_equal(s.n, 0);
	for (unsigned i = 0; i < KMS_ON_DEMAND_MAX; i++)
		assert_ok(kms_key_rotate(k, &root_user, d.id));
	assert_int_equal(kms_key_rotate(k, &root_user, d.id), ERR_LIMIT);
	more = true;
	for (uint32_t after = 0; more; after = s.rotation[s.n - 1].version)
		assert_ok(kms_rotation_page(
		    k, &root_user, d.id, after, 10, see_rotation, &s, &more));
	assert_int_equal(s.n, KMS_ON_DEMAND_MAX);
	assert_int_equal(s.rotation[0].version, 2);
	assert_true(s.rotation[0].on_demand);
	assert_string_not_equal(s.rotation[0].material, d.material);
	assert_ok(kms_rotation_status(k, &root_user, d.id, &d));
	assert_int_equal(d.rotate_days, 0);
	assert_string_equal(s.rotation[s.n - 1].material, d.material);
	kms_close(k);
}

static enum err
no_uses(
    void *arg, const struct kms_desc *d, bool wait UNUSED, struct kms_uses *ret)
{

	(void)arg;
	(void)d;
	*ret = (struct kms_uses){ 0 };
	return OK;
}

/* Those by period are no limit to those on demand, nor the reverse. */
static void
test_by_period(void **state)
{
	struct timespec at = clock_wall();
	struct kms *k = place_open(*state);
	struct seen s = { 0 };
	struct kms_desc d;
	bool more;

	clock_freeze(&at);
	kms_set_uses(k, no_uses, NULL);
	assert_ok(kms_key_create(k, &root_user, "", &d));
	assert_ok(kms_key_rotation(k, &root_user, d.id, 1));
	for (unsigned i = 0; i < 30; i++) {
		at.tv_sec += 86400;
		clock_freeze(&at);
		assert_ok(kms_timer(k));
	}
	assert_ok(kms_key_rotate(k, &root_user, d.id));
	clock_freeze(NULL);
	assert_ok(kms_rotation_page(
	    k, &root_user, d.id, 0, 100, see_rotation, &s, &more));
	assert_int_equal(s.n, 31);
	for (unsigned i = 0; i < 31; i++)
		assert_int_equal(s.rotation[i].on_demand, i == 30);
	kms_close(k);
}

static const char for_all[] =
    "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\","
    "\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:root\"},"
    "\"Action\":\"kms:*\",\"Resource\":\"*\"}}";
static const char for_alice[] =
    "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\","
    "\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:user/alice\"},"
    "\"Action\":\"kms:*\",\"Resource\":\"*\"}}";

static const struct kms_who alice = { .user = "alice", .agent = "test" };

static enum err
put(struct kms *k, const struct kms_who *who, const char *key, const char *text)
{

	return kms_key_policy_put(k, who, key, text, strlen(text), false);
}

static void
test_policy(void **state)
{
	char *text = NULL, *big = calloc(1, KMS_POLICY_MAX + 2);
	struct kms *k = place_open(*state);
	struct kms_desc d;
	struct kms_user u;

	assert_ok(kms_key_create(k, &root_user, "", &d));
	assert_ok(kms_key_policy_list(k, &root_user, d.id));
	assert_ok(kms_key_policy_get(k, &root_user, d.id, &text));
	assert_non_null(strstr(text, "arn:aws:iam::000000000000:root"));
	/* The default can be put back as it was read. */
	assert_ok(put(k, &root_user, d.id, text));
	free(text);
	/* Not by who is then shut out. */
	assert_int_equal(put(k, &root_user, d.id, for_alice), ERR_PARSE);
	assert_non_null(strstr(err_detail(ERR_PARSE), "could not change"));
	assert_ok(kms_user_create(k, &root_user, "alice", true, &u, NULL));
	assert_ok(put(k, &alice, d.id, for_alice));
	kms_close(k);
	k = place_open(*state);
	assert_int_equal(
	    kms_key_policy_get(k, &root_user, d.id, &text), ERR_ACCESS);
	assert_ok(kms_key_policy_get(k, &alice, d.id, &text));
	assert_string_equal(text, for_alice);
	free(text);
	/* The account can give the right to anybody, so nobody is shut out. */
	assert_ok(put(k, &alice, d.id, for_all));
	assert_ok(kms_key_policy_put(
	    k, &alice, d.id, for_all, strlen(for_all), true));
	assert_ok(kms_key_policy_put(
	    k, &root_user, d.id, for_alice, strlen(for_alice), true));
	assert_ok(kms_key_policy_put(
	    k, &alice, d.id, for_all, strlen(for_all), true));
	assert_int_equal(put(k, &root_user, d.id, "{}"), ERR_PARSE);
	assert_int_equal(put(k, &root_user, d.id, "{"), ERR_PARSE);
	assert_int_equal(kms_key_policy_put(k, &root_user, d.id, for_all,
			     sizeof(for_all), false),
	    ERR_PARSE);
	memset(big, ' ', KMS_POLICY_MAX + 1);
	assert_int_equal(put(k, &root_user, d.id, big), ERR_LIMIT);
	assert_ok(kms_key_policy_get(k, &root_user, d.id, &text));
	assert_string_equal(text, for_all);
	free(text);
	assert_ok(put(k, &root_user, d.id, ""));
	assert_ok(kms_key_policy_get(k, &root_user, d.id, &text));
	assert_non_null(strstr(text, "key-default-1"));
	free(text);
	free(big);
	kms_close(k);
}

static void
test_new(void **state)
{
	const struct kms_tag tag = { "team", "red" };
	struct kms_new n = { .description = "one",
		.tags = &tag,
		.ntags = 1,
		.policy = for_alice };
	struct kms *k = place_open(*state);
	struct kms_desc d;
	struct kms_user u;
	char *text;

	assert_int_equal(kms_key_new(k, &root_user, &n, &d), ERR_PARSE);
	n.no_lockout_check = true;
	assert_ok(kms_key_new(k, &root_user, &n, &d));
	assert_string_equal(d.description, "one");
	assert_int_equal(d.origin, KMS_ORIGIN_KMS);
	assert_int_equal(d.state, KMS_ENABLED);
	assert_ok(kms_user_create(k, &root_user, "alice", false, &u, NULL));
	assert_ok(kms_key_policy_get(k, &alice, d.id, &text));
	assert_string_equal(text, for_alice);
	free(text);
	n = (struct kms_new){ .external = true };
	assert_ok(kms_key_new(k, &root_user, &n, &d));
	assert_int_equal(d.origin, KMS_ORIGIN_EXTERNAL);
	assert_int_equal(d.state, KMS_PENDING_IMPORT);
	assert_string_equal(d.material, "");
	/* It waits again after a deletion that was cancelled. */
	kms_set_uses(k, no_uses, NULL);
	assert_ok(kms_key_delete(k, &root_user, d.id, 0, NULL));
	assert_ok(kms_key_cancel_deletion(k, &root_user, d.id));
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	assert_int_equal(d.state, KMS_PENDING_IMPORT);
	kms_close(k);
	k = place_open(*state);
	assert_ok(kms_key_describe(k, &root_user, d.id, &d));
	kms_close(k);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keys),
		TEST(test_aliases),
		TEST(test_rotations),
		TEST(test_by_period),
		TEST(test_policy),
		TEST(test_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
