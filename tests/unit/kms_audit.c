/*
 * The audit log: what a record holds, and that no tampering goes unseen.
 */
#include "kms/who.h"
#include "tests/unit/kms_common.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>

#include "lib/base/sys.h"

struct text {
	char *p;
	size_t len;
};

static void
log_path(const struct place *p, char ret[static 160])
{
	(void)snprintf(ret, 160, "%s-audit.log", p->path);
}

static struct text
log_read(const struct place *p)
{
	struct text t = { NULL, 0 };
	char path[160];

	log_path(p, path);
	assert_ok(
	    sys_read_file(path, 1 << 24, (uint8_t **)(void *)&t.p, &t.len));
	return t;
}

static void
log_write(const struct place *p, const void *data, size_t len)
{
	char path[160];
	FILE *f;

	log_path(p, path);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* Ten records or so. */
static void
fill(const struct place *p)
{
	struct kms *k = place_open(p);
	struct sample s;

	for (unsigned i = 0; i < 8; i++) {
		sample_make(k, NULL, &s);
		key_free(s.dek);
	}
	kms_close(k);
}

static struct audit_verdict
verify(const struct place *p)
{
	struct kms *k = place_open(p);
	struct audit_verdict v;

	assert_ok(audit_verify(k, NULL, NULL, &v));
	kms_close(k);
	return v;
}

static bool
last_line(void *arg, const char *line, size_t len)
{
	json_t **j = arg;

	json_decref(*j);
	*j = json_loadb(line, len, 0, NULL);
	assert_non_null(*j);
	return true;
}

static const char *
member(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));

	assert_non_null(s);
	return s;
}

static void
test_record(void **state)
{
	const struct kms_who alice = { .user = "alice", .agent = "test" };
	const struct kms_pair ctx[] = { { "quote\"", "line\nbreak \xc3\xa9" } };
	struct kms *k = place_open(*state);
	json_t *j = NULL, *r, *params;
	struct key *dek = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	struct kms_user u;
	size_t len;

	assert_ok(
	    kms_data_key(k, &root_user, NULL, ctx, 1, dek, blob, &len, arn));
	assert_ok(audit_show(k, 0, last_line, &j));
	assert_string_equal(member(j, "eventName"), "GenerateDataKey");
	assert_string_equal(member(j, "eventSource"), "kms.amazonaws.com");
	assert_string_equal(member(j, "userAgent"), "test");
	assert_true(json_is_true(json_object_get(j, "readOnly")));
	assert_null(json_object_get(j, "errorCode"));
	r = json_array_get(json_object_get(j, "resources"), 0);
	assert_string_equal(member(r, "ARN"), arn);
	params = json_object_get(j, "requestParameters");
	params = json_object_get(params, "encryptionContext");
	assert_string_equal(member(params, ctx[0].key), ctx[0].value);
	assert_string_equal(
	    member(json_object_get(j, "userIdentity"), "accountId"),
	    KMS_TENANT_DEFAULT);
	/* A refusal is recorded too. */
	assert_ok(kms_user_create(k, &root_user, "alice", false, &u, NULL));
	assert_int_equal(
	    kms_unwrap(k, &alice, blob, len, ctx, 1, dek), ERR_ACCESS);
	assert_ok(audit_show(k, 0, last_line, &j));
	assert_string_equal(member(j, "eventName"), "Decrypt");
	assert_string_equal(member(j, "errorCode"), "AccessDenied");
	json_decref(j);
	key_free(dek);
	kms_close(k);
}

/* What is known of a caller behind a network; and of those on this machine. */
static void
test_caller(void **state)
{
	const struct kms_tls tls = { "TLSv1.3", "TLS_A_\"B\"", "kms:1" };
	const struct kms_who who = { .user = "root",
		.agent = "api",
		.access_key_id = "AKIAEXAMPLEEXAMPLE12",
		.source_ip = "2001:db8::7",
		.user_agent = "aws-cli/2 \"quoted\"",
		.request_id = "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
		.secure = true,
		.tls = &tls,
		.via_service = "s3.us-east-1.amazonaws.com" };
	struct kms *k = place_open(*state);
	const json_t *id;
	json_t *j = NULL;
	struct sample s;

	sample_make(k, NULL, &s);
	assert_ok(audit_show(k, 0, last_line, &j));
	assert_string_equal(member(j, "sourceIPAddress"), "127.0.0.1");
	assert_null(json_object_get(j, "tlsDetails"));
	id = json_object_get(j, "userIdentity");
	assert_null(json_object_get(id, "accessKeyId"));
	assert_null(json_object_get(id, "invokedBy"));
	assert_ok(kms_check(k, &who, s.arn, NULL, 0));
	assert_ok(audit_show(k, 0, last_line, &j));
	assert_string_equal(member(j, "sourceIPAddress"), who.source_ip);
	assert_string_equal(member(j, "userAgent"), who.user_agent);
	assert_string_equal(member(j, "requestID"), who.request_id);
	assert_string_not_equal(member(j, "eventID"), who.request_id);
	id = json_object_get(j, "tlsDetails");
	assert_string_equal(member(id, "tlsVersion"), tls.version);
	assert_string_equal(member(id, "cipherSuite"), tls.cipher);
	assert_string_equal(member(id, "clientProvidedHostHeader"), tls.host);
	id = json_object_get(j, "userIdentity");
	assert_string_equal(member(id, "accessKeyId"), who.access_key_id);
	assert_string_equal(member(id, "invokedBy"), who.via_service);
	assert_string_equal(member(id, "type"), "Root");
	json_decref(j);
	key_free(s.dek);
	kms_close(k);
}

/* What was asked for, whatever it is called. */
static void
test_parameters(void **state)
{
	static const char hostile[] = "alias/a\",\"keyId\":\"b\\";
	struct kms *k = place_open(*state);
	char huge[5000];
	json_t *j = NULL;
	struct sample s;

	sample_make(k, NULL, &s);
	assert_ok(audit_show(k, 0, last_line, &j));
	assert_string_equal(
	    member(json_object_get(j, "requestParameters"), "keySpec"),
	    "AES_256");
	assert_int_not_equal(
	    kms_alias_create(k, &root_user, hostile, s.arn), OK);
	assert_ok(audit_show(k, 0, last_line, &j));
	assert_string_equal(
	    member(json_object_get(j, "requestParameters"), "aliasName"),
	    hostile);
	assert_string_equal(
	    member(json_object_get(j, "requestParameters"), "targetKeyId"),
	    s.arn);
	memset(huge, '"', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_int_not_equal(kms_alias_create(k, &root_user, huge, s.arn), OK);
	assert_ok(audit_show(k, 0, last_line, &j));
	assert_string_equal(member(j, "eventName"), "CreateAlias");
	json_decref(j);
	key_free(s.dek);
	kms_close(k);
}

static void
test_large_context(void **state)
{
	struct kms *k = place_open(*state);
	struct key *dek = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX], *big = malloc(8001);
	struct kms_pair pair = { "k", big };
	json_t *j = NULL;
	size_t len;

	memset(big, 1, 8000);
	big[8000] = '\0';
	assert_ok(
	    kms_data_key(k, &root_user, NULL, &pair, 1, dek, blob, &len, arn));
	assert_ok(audit_show(k, 0, last_line, &j));
	assert_string_equal(member(j, "eventName"), "GenerateDataKey");
	assert_int_equal(verify(*state).bad_seq, 0);
	json_decref(j);
	free(big);
	key_free(dek);
	kms_close(k);
}

/* A context that nobody looked at, since the call failed before, is not
 * written however large it is. */
static void
test_refused_context(void **state)
{
	struct kms *k = place_open(*state);
	char *big = malloc(1 << 20);
	struct kms_pair pair = { "k", big };
	json_t *j = NULL;
	struct sample s;
	struct key *dek = key_new();

	memset(big, 'x', (1 << 20) - 1);
	big[(1 << 20) - 1] = '\0';
	sample_make(k, NULL, &s);
	s.blob[10] ^= 1;
	assert_int_equal(
	    kms_unwrap(k, &root_user, s.blob, s.len, &pair, 1, dek), ERR_AUTH);
	pair.value = NULL;
	assert_int_equal(
	    kms_unwrap(k, &root_user, s.blob, s.len, &pair, 1, dek), ERR_AUTH);
	assert_ok(audit_show(k, 0, last_line, &j));
	assert_string_equal(
	    member(j, "errorCode"), "InvalidCiphertextException");
	assert_true(json_is_null(json_object_get(j, "requestParameters")));
	assert_int_equal(verify(*state).bad_seq, 0);
	json_decref(j);
	free(big);
	key_free(s.dek);
	key_free(dek);
	kms_close(k);
}

/* Both ids of all records differ from all others. */
static bool
collect_ids(void *arg, const char *line, size_t len)
{
	json_t *seen = arg, *j = json_loadb(line, len, 0, NULL);
	const char *names[] = { "requestID", "eventID" };

	assert_non_null(j);
	for (unsigned i = 0; i < COUNTOF(names); i++) {
		assert_int_equal(strlen(member(j, names[i])), 36);
		assert_null(json_object_get(seen, member(j, names[i])));
		assert_int_equal(
		    json_object_set_new(seen, member(j, names[i]), json_true()),
		    0);
	}
	json_decref(j);
	return true;
}

static void
test_ids(void **state)
{
	json_t *seen = json_object();
	struct kms *k;

	fill(*state);
	fill(*state);
	k = place_open(*state);
	for (unsigned i = 0; i < 40; i++) {
		struct sample s;

		sample_make(k, NULL, &s);
		key_free(s.dek);
		if (i % 7 == 0)
			assert_ok(kms_flush(k));
	}
	assert_ok(audit_show(k, 0, collect_ids, seen));
	json_decref(seen);
	kms_close(k);
}

/* The start of line ${n} (from 0). */
static char *
line_at(const struct text *t, unsigned n)
{
	char *p = t->p;

	while (n-- > 0)
		p = strchr(p, '\n') + 1;
	return p;
}

static void
test_removed(void **state)
{
	struct text t;
	char *a, *b;

	fill(*state);
	assert_int_equal(verify(*state).bad_seq, 0);
	t = log_read(*state);
	a = line_at(&t, 3);
	b = line_at(&t, 4);
	memmove(a, b, t.len - (size_t)(b - t.p));
	log_write(*state, t.p, t.len - (size_t)(b - a));
	assert_int_equal(verify(*state).bad_seq, 4);
	free(t.p);
}

static void
test_changed(void **state)
{
	struct text t;

	fill(*state);
	t = log_read(*state);
	/* Any byte, for a sample of bytes. */
	for (size_t i = 0; i < t.len; i += 97) {
		struct audit_verdict v;

		t.p[i] ^= 1;
		log_write(*state, t.p, t.len);
		v = verify(*state);
		assert_int_not_equal(v.bad_seq, 0);
		assert_true(strlen(v.what) > 0);
		t.p[i] ^= 1;
	}
	log_write(*state, t.p, t.len);
	assert_int_equal(verify(*state).bad_seq, 0);
	free(t.p);
}

static void
test_reordered(void **state)
{
	struct text t;
	char *a, *b, *c, *swapped;

	fill(*state);
	t = log_read(*state);
	a = line_at(&t, 2);
	b = line_at(&t, 3);
	c = line_at(&t, 4);
	swapped = malloc(t.len);
	memcpy(swapped, t.p, t.len);
	memcpy(swapped + (a - t.p), b, (size_t)(c - b));
	memcpy(swapped + (a - t.p) + (c - b), a, (size_t)(b - a));
	log_write(*state, swapped, t.len);
	assert_int_equal(verify(*state).bad_seq, 3);
	free(swapped);
	free(t.p);
}

static void
test_truncated(void **state)
{
	struct audit_verdict v;
	struct text t;

	fill(*state);
	t = log_read(*state);
	log_write(*state, t.p, (size_t)(line_at(&t, 5) - t.p));
	v = verify(*state);
	assert_int_equal(v.bad_seq, 6);
	assert_int_equal(v.records, 5);
	/* Writing on does not heal it. */
	fill(*state);
	assert_int_equal(verify(*state).bad_seq, 6);
	free(t.p);
}

static void
test_appended(void **state)
{
	struct kms *k = place_open(*state);
	struct audit_verdict v;
	char path[160];
	FILE *f;

	log_path(*state, path);
	f = fopen(path, "ab");
	assert_non_null(f);
	assert_true(fputs("{\"seq\":1,\"forged\":1}\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_ok(audit_verify(k, NULL, NULL, &v));
	assert_int_equal(v.bad_seq, 1);
	kms_close(k);
}

/* A log that was removed is continued at its old length, so that it can be put
 * back; verification alone makes nothing. */
static void
test_put_back(void **state)
{
	struct text t, longer;
	char path[160];

	fill(*state);
	t = log_read(*state);
	log_path(*state, path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(verify(*state).bad_seq, 1);
	assert_int_equal(access(path, F_OK), -1);
	log_write(*state, t.p, t.len);
	assert_int_equal(verify(*state).bad_seq, 0);
	assert_int_equal(unlink(path), 0);
	fill(*state);
	assert_int_equal(verify(*state).bad_seq, 1);
	longer = log_read(*state);
	assert_true(longer.len > t.len);
	memcpy(longer.p, t.p, t.len);
	log_write(*state, longer.p, longer.len);
	assert_int_equal(verify(*state).bad_seq, 0);
	free(longer.p);
	free(t.p);
}

/* Whole lines of somebody else stay where they are when the chain goes on. */
static void
test_foreign_stays(void **state)
{
	struct text t, after;
	uint64_t records;

	fill(*state);
	records = verify(*state).records;
	t = log_read(*state);
	t.p = realloc(t.p, t.len * 2);
	memcpy(t.p + t.len, t.p, (size_t)(line_at(&t, 2) - t.p));
	t.len += (size_t)(line_at(&t, 2) - t.p);
	log_write(*state, t.p, t.len);
	assert_int_equal(verify(*state).bad_seq, records + 1);
	fill(*state);
	after = log_read(*state);
	assert_true(after.len > t.len);
	assert_memory_equal(after.p, t.p, t.len);
	assert_int_equal(verify(*state).bad_seq, records + 1);
	free(after.p);
	free(t.p);
}

/* What a crash leaves: the head one flush behind, a torn line after it. */
static void
test_crash_tail(void **state)
{
	const struct place *p = *state;
	char cmd[400];
	struct audit_verdict v;
	uint64_t all;
	struct text t;
	FILE *f;

	fill(p);
	(void)snprintf(cmd, sizeof(cmd), "cp %s %s.old", p->path, p->path);
	assert_int_equal(system(cmd), 0);
	fill(p);
	all = verify(p).records;
	(void)snprintf(cmd, sizeof(cmd), "mv %s.old %s", p->path, p->path);
	assert_int_equal(system(cmd), 0);
	t = log_read(p);
	(void)snprintf(cmd, sizeof(cmd), "%s-audit.log", p->path);
	f = fopen(cmd, "ab");
	assert_non_null(f);
	assert_true(fputs("{\"seq\":99,\"even", f) >= 0);
	assert_int_equal(fclose(f), 0);
	v = verify(p);
	assert_int_equal(v.bad_seq, 0);
	assert_int_equal(v.records, all);
	free(t.p);
	/* Only who appends cuts. */
	t = log_read(p);
	assert_non_null(strstr(t.p, "{\"seq\":99,"));
	free(t.p);
	fill(p);
	t = log_read(p);
	assert_null(strstr(t.p, "{\"seq\":99,"));
	assert_int_equal(verify(p).bad_seq, 0);
	free(t.p);
}

/* While the log cannot be written no data key is given out. */
static void
test_fail_closed(void **state)
{
	struct kms *k = place_open(*state);
	struct key *dek = key_new();
	uint8_t blob[KMS_BLOB_MAX];
	char arn[KMS_ARN_MAX];
	struct audit_verdict v;
	struct sample s;
	size_t len;

	sample_make(k, NULL, &s);
	assert_ok(kms_flush(k));
	sample_make(k, NULL, &s);
	log_set_level(LOG_LVL_ERROR);
	sys_fault_set("fdatasync", 1, EIO, 1);
	assert_int_equal(kms_flush(k), ERR_IO);
	assert_int_equal(kms_data_key(k, &root_user, NULL, some_ctx, 2, dek,
			     blob, &len, arn),
	    ERR_IO);
	assert_int_equal(sample_open(k, &s), ERR_IO);
	(void)sys_fault_clear();
	assert_ok(kms_flush(k));
	assert_ok(sample_open(k, &s));
	assert_ok(audit_verify(k, NULL, NULL, &v));
	assert_int_equal(v.bad_seq, 0);
	key_free(s.dek);
	key_free(dek);
	kms_close(k);
}

/* Two processes with several threads each write one chain. */
static void *
many(void *arg)
{
	struct kms *k = arg;
	struct sample s;

	for (unsigned i = 0; i < 100; i++) {
		sample_make(k, NULL, &s);
		key_free(s.dek);
		if (i % 10 == 0)
			assert_ok(kms_flush(k));
	}
	return NULL;
}

static void
test_one_chain(void **state)
{
	const pid_t pid = fork();
	struct kms *k = NULL;
	pthread_t t[4];
	int status = -1;

	if (kms_open(((struct place *)*state)->path, NULL, &k) != OK)
		_exit(1);
	for (unsigned i = 0; i < COUNTOF(t); i++)
		if (pthread_create(&t[i], NULL, many, k) != 0)
			_exit(2);
	for (unsigned i = 0; i < COUNTOF(t); i++)
		(void)pthread_join(t[i], NULL);
	kms_close(k);
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(verify(*state).bad_seq, 0);
	/* 800 data keys, one CreateKey, and a checkpoint at each close. */
	assert_int_equal(verify(*state).records, 803);
}

/* A change is in the log when its call returns. */
static void
test_change_durable(void **state)
{
	struct kms *k = place_open(*state);
	struct kms_desc d;
	struct text t;

	assert_ok(kms_key_create(k, &root_user, NULL, &d));
	t = log_read(*state);
	assert_non_null(strstr(t.p, "CreateKey"));
	free(t.p);
	kms_close(k);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = { T(test_record), T(test_caller),
		T(test_parameters), T(test_large_context),
		T(test_refused_context), T(test_ids), T(test_removed),
		T(test_changed), T(test_reordered), T(test_truncated),
		T(test_appended), T(test_put_back), T(test_foreign_stays),
		T(test_crash_tail), T(test_fail_closed), T(test_one_chain),
		T(test_change_durable) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
