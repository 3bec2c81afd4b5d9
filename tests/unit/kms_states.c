/*
 * What each state allows of the operations in kms/api.h, for keys of our own and
 * for those from outside: R19, R25.  The operations in kms.h have their own such
 * table in kms_life.c.
 */
#include "tests/unit/kms_common.h"
#include "tests/unit/kms_oaep.h"

#include <sqlite3.h>

#define DIS ERR_KEYREVOKED
#define INV ERR_KEYSTATE
#define DEL ERR_KEYDELETION
#define OUT ERR_TIMEDOUT
#define UNS ERR_NOTSUP

#define ALICE "arn:aws:iam::000000000000:user/alice"

/* A key that an operation is tried on, and what it needs. */
struct subject {
	struct kms_desc d;
	uint8_t blob[KMS_CIPHER_MAX];
	size_t bloblen;
	char grant[KMS_GRANT_ID_MAX];
	char token[KMS_GRANT_TOKEN_MAX];
	struct kms_import params;
	uint8_t wrapped[KMS_IMPORT_WRAPPED_MAX];
	size_t wrappedlen;
};

static const uint8_t material[KEY_LEN] = "material from somewhere else";
static char good[KMS_ID_MAX]; /* a key that is enabled all the time */
static uint8_t out[KMS_CIPHER_MAX], plain[KMS_PLAIN_MAX];
static size_t outlen;
static char arn[KMS_ARN_MAX];

static enum err
do_encrypt(struct kms *k, struct subject *s)
{

	return kms_encrypt(
	    k, &root_user, s->d.id, "x", 1, NULL, 0, out, &outlen, arn);
}

static enum err
do_decrypt(struct kms *k, struct subject *s)
{

	return kms_decrypt(k, &root_user, NULL, s->blob, s->bloblen, some_ctx,
	    2, plain, &outlen, arn);
}

static enum err
do_generate(struct kms *k, struct subject *s)
{

	return kms_generate(
	    k, &root_user, s->d.id, 16, NULL, 0, plain, out, &outlen, arn);
}

static enum err
do_generate_only(struct kms *k, struct subject *s)
{

	return kms_generate(
	    k, &root_user, s->d.id, 16, NULL, 0, NULL, out, &outlen, arn);
}

static enum err
do_reencrypt_from(struct kms *k, struct subject *s)
{
	struct kms_reencrypt m = { .blob = s->blob,
		.bloblen = s->bloblen,
		.from = some_ctx,
		.nfrom = 2,
		.to_key = good,
		.ret_blob = out };

	return kms_reencrypt(k, &root_user, &m);
}

static enum err
do_reencrypt_to(struct kms *k, struct subject *s)
{
	uint8_t blob[KMS_CIPHER_MAX];
	struct kms_reencrypt m = {
		.blob = blob, .to_key = s->d.id, .ret_blob = out
	};

	assert_ok(kms_encrypt(
	    k, &root_user, good, "x", 1, NULL, 0, blob, &m.bloblen, arn));
	return kms_reencrypt(k, &root_user, &m);
}

static enum err
do_grant(struct kms *k, struct subject *s)
{
	const struct kms_grant g = { .name = "",
		.grantee = ALICE,
		.retiring = "",
		.operations = KMS_GRANT_DECRYPT };
	char id[KMS_GRANT_ID_MAX], token[KMS_GRANT_TOKEN_MAX];

	return kms_grant_create(k, &root_user, s->d.id, &g, id, token);
}

static bool
any_grant(void *arg, const struct kms_grant *g)
{

	(void)arg;
	return g->id != NULL;
}

static enum err
do_grants(struct kms *k, struct subject *s)
{
	bool more;

	return kms_grant_page(k, &root_user, s->d.id, NULL, NULL, NULL, 10,
	    any_grant, NULL, &more);
}

static enum err
do_revoke(struct kms *k, struct subject *s)
{

	return kms_grant_revoke(k, &root_user, s->d.id, s->grant);
}

static enum err
do_retire(struct kms *k, struct subject *s)
{

	return kms_grant_retire_token(k, &root_user, s->token);
}

static enum err
do_policy_get(struct kms *k, struct subject *s)
{
	char *text = NULL;
	const enum err e = kms_key_policy_get(k, &root_user, s->d.id, &text);

	free(text);
	return e;
}

static enum err
do_policy_put(struct kms *k, struct subject *s)
{

	return kms_key_policy_put(k, &root_user, s->d.id, "", 0, false);
}

static enum err
do_policies(struct kms *k, struct subject *s)
{

	return kms_key_policy_list(k, &root_user, s->d.id);
}

static bool
any_rotation(void *arg, const struct kms_rotation *r)
{

	(void)arg;
	return r->version > 1;
}

static enum err
do_rotations(struct kms *k, struct subject *s)
{
	bool more;

	return kms_rotation_page(
	    k, &root_user, s->d.id, 0, 10, any_rotation, NULL, &more);
}

static enum err
do_status(struct kms *k, struct subject *s)
{
	struct kms_desc d;

	return kms_rotation_status(k, &root_user, s->d.id, &d);
}

static enum err
do_alias_update(struct kms *k, struct subject *s)
{

	return kms_alias_update(k, &root_user, "alias/moves", s->d.id);
}

static enum err
do_rotate(struct kms *k, struct subject *s)
{

	return kms_key_rotate(k, &root_user, s->d.id);
}

static enum err
do_period(struct kms *k, struct subject *s)
{

	return kms_key_rotation(k, &root_user, s->d.id, 90);
}

static enum err
do_parameters(struct kms *k, struct subject *s)
{
	struct kms_import p;

	return kms_import_parameters(
	    k, &root_user, s->d.id, KMS_WRAP_OAEP_SHA256, 2048, &p);
}

static enum err
do_import(struct kms *k, struct subject *s)
{

	return kms_import_material(k, &root_user, s->d.id, s->params.token,
	    s->params.tokenlen, s->wrapped, s->wrappedlen, 0);
}

static enum err
do_wipe(struct kms *k, struct subject *s)
{

	return kms_import_delete(k, &root_user, s->d.id);
}

/* In the order of enum kms_state; then[]: the state afterwards, -1 as before. */
static const struct {
	const char *name;
	enum err (*fn)(struct kms *k, struct subject *s);
	bool outside;
	enum err want[5];
	int then[5];
} ops[] = {
#define USE                            \
	{                              \
		OK, DIS, INV, DEL, OUT \
	}
#define ALL                        \
	{                          \
		OK, OK, OK, OK, OK \
	}
#define SAME                       \
	{                          \
		-1, -1, -1, -1, -1 \
	}
	{ "encrypt", do_encrypt, false, USE, SAME },
	{ "decrypt", do_decrypt, false, USE, SAME },
	{ "generate", do_generate, false, USE, SAME },
	{ "generate only", do_generate_only, false, USE, SAME },
	{ "reencrypt from", do_reencrypt_from, false, USE, SAME },
	{ "reencrypt to", do_reencrypt_to, false, USE, SAME },
	{ "grant", do_grant, false, USE, SAME },
	{ "grants", do_grants, false, ALL, SAME },
	{ "revoke", do_revoke, false, ALL, SAME },
	{ "retire", do_retire, false, ALL, SAME },
	{ "policy get", do_policy_get, false, ALL, SAME },
	{ "policy put", do_policy_put, false, ALL, SAME },
	{ "policies", do_policies, false, ALL, SAME },
	{ "rotations", do_rotations, false, ALL, SAME },
	{ "status", do_status, false, ALL, SAME },
	{ "alias update", do_alias_update, false, { OK, OK, OK, DEL, OK },
	    SAME },
	{ "parameters", do_parameters, false, { UNS, UNS, UNS, DEL, UNS },
	    SAME },
	{ "wipe", do_wipe, false, { UNS, UNS, UNS, DEL, UNS }, SAME },
	{ "encrypt", do_encrypt, true, USE, SAME },
	{ "rotate", do_rotate, true, { UNS, DIS, UNS, DEL, OUT }, SAME },
	{ "period", do_period, true, { UNS, DIS, UNS, DEL, OUT }, SAME },
	{ "parameters", do_parameters, true, { OK, OK, OK, DEL, OK }, SAME },
	{ "import", do_import, true, { OK, OK, OK, DEL, OK },
	    { 0, 1, 0, 3, 4 } },
	{ "wipe", do_wipe, true, ALL, { 2, 2, 2, 3, 2 } },
};

static struct subject subjects[COUNTOF(ops)];

static void
prepare(struct kms *k, struct subject *s, bool outside)
{
	const struct kms_new n = { .external = outside };
	const struct kms_grant g = { .name = "",
		.grantee = ALICE,
		.retiring = "",
		.operations = KMS_GRANT_DECRYPT };

	assert_ok(kms_key_new(k, &root_user, &n, &s->d));
	if (outside) {
		assert_ok(kms_import_parameters(k, &root_user, s->d.id,
		    KMS_WRAP_OAEP_SHA256, 2048, &s->params));
		s->wrappedlen = oaep(&s->params, KMS_WRAP_OAEP_SHA256, material,
		    sizeof(material), s->wrapped);
		assert_ok(do_import(k, s));
	}
	assert_ok(kms_encrypt(k, &root_user, s->d.id, "some text", 9, some_ctx,
	    2, s->blob, &s->bloblen, arn));
	assert_ok(
	    kms_grant_create(k, &root_user, s->d.id, &g, s->grant, s->token));
}

static void
put_into(const struct place *p, int state)
{
	char text[160];
	sqlite3 *h;

	(void)snprintf(text, sizeof(text),
	    "UPDATE keys SET state=%d, delete_at=%d WHERE "
	    "description <> 'good' AND uuid IN (SELECT key FROM versions)",
	    state, state == 3 ? INT32_MAX : 0);
	assert_int_equal(sqlite3_open(p->path, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

static void
one_case(struct kms *k, size_t op, int from)
{
	const char *name = ops[op].name;
	const char *was = kms_state_name((enum kms_state)from);
	struct subject *s = &subjects[op];
	const int then = ops[op].then[from];
	enum kms_state after;
	const enum err e = ops[op].fn(k, s);

	if (e != ops[op].want[from])
		fail_msg("%s%s of a key that is %s: %s, not %s", name,
		    ops[op].outside ? " (outside)" : "", was, err_name(e),
		    err_name(ops[op].want[from]));
	assert_ok(kms_key_state(k, s->d.arn, &after));
	if ((int)after != (then < 0 ? from : then))
		fail_msg("%s of a key that is %s leaves it %s", name, was,
		    kms_state_name(after));
}

static void
test_states(void **state)
{
	const struct place *p = *state;
	struct kms *k = place_open(p);
	struct kms_desc d;

	assert_ok(kms_key_create(k, &root_user, "good", &d));
	strcpy(good, d.id);
	assert_ok(kms_alias_create(k, &root_user, "moves", good));
	for (int from = 0; from < 5; from++) {
		for (size_t op = 0; op < COUNTOF(ops); op++)
			prepare(k, &subjects[op], ops[op].outside);
		kms_close(k);
		put_into(p, from);
		k = place_open(p);
		for (size_t op = 0; op < COUNTOF(ops); op++)
			one_case(k, op, from);
	}
	kms_close(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_states, place_setup, place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
