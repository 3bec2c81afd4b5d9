/* store/attr, xattr, dflt: attributes, times, defaults of encryption. */
#include "store_fixture.h"

#include "lib/base/clock.h"

static void
test_setattr(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t ino = make(st, f->bkt, "x", S_IFREG | 06755);
	const uint64_t lock = make(st, f->bkt, "y", S_IFREG | 02644);
	const uint64_t dir = make(st, f->bkt, "d", S_IFDIR | 06755);
	struct store_attr in = { .mode = 04711,
		.uid = 10,
		.gid = 11,
		.size = 10000,
		.atime = { 5, 6 },
		.mtime = { -7, 8 } };
	struct store_attr a;

	assert_ok(store_setattr(st, &who, ino, STORE_SET_UID, &in, &a));
	assert_int_equal(a.uid, 10);
	assert_int_equal(a.gid, 2);
	assert_int_equal(a.mode, S_IFREG | 0755);
	assert_ok(store_setattr(st, &who, lock, STORE_SET_GID, &in, &a));
	assert_int_equal(a.mode, S_IFREG | 02644);
	assert_ok(store_setattr(
	    st, &who, dir, STORE_SET_UID | STORE_SET_GID, &in, &a));
	assert_int_equal(a.mode, S_IFDIR | 06755);
	assert_ok(store_setattr(st, &who, ino, STORE_SET_MODE, &in, &a));
	assert_int_equal(a.mode, S_IFREG | 04711);
	assert_ok(store_setattr(st, &who, ino, STORE_SET_KILLPRIV, &in, &a));
	assert_int_equal(a.mode, S_IFREG | 0711);
	assert_ok(store_setattr(st, &who, ino, STORE_SET_SIZE, &in, &a));
	assert_int_equal(a.size, 10000);
	assert_ok(store_setattr(
	    st, &who, ino, STORE_SET_ATIME | STORE_SET_MTIME, &in, &a));
	assert_err(
	    store_setattr(st, &who, dir, STORE_SET_SIZE, &in, &a), ERR_ISDIR);
	in.size = STORE_SIZE_MAX + 1;
	assert_err(
	    store_setattr(st, &who, ino, STORE_SET_SIZE, &in, &a), ERR_FBIG);
	assert_err(store_setattr(st, &who, make(st, f->bkt, "p", S_IFIFO),
		       STORE_SET_SIZE, &in, &a),
	    ERR_INVAL);
	assert_err(
	    store_setattr(st, &who, 999, STORE_SET_MODE, &in, &a), ERR_STALE);
	reopen(f);
	a = attr(f->st, ino);
	assert_int_equal(a.atime.tv_sec, 5);
	assert_int_equal(a.mtime.tv_sec, -7);
	assert_int_equal(a.mtime.tv_nsec, 8);
}

static void
test_times(void **state UNUSED)
{
	struct timespec t = { 1000000, 1 };
	clock_freeze(&t);
	FIXTURE(f, false);
	const uint64_t ino = mkfile(st, f->bkt, "x");
	struct store_file *file = NULL;
	struct store_attr a;
	size_t n;
	char c;

	t.tv_sec++;
	clock_freeze(&t);
	assert_ok(store_link(st, ino, f->bkt, "y", 1, &a));
	assert_int_equal(a.ctime.tv_sec, t.tv_sec);
	assert_int_equal(a.mtime.tv_sec, t.tv_sec - 1);
	assert_int_equal(attr(st, f->bkt).mtime.tv_sec, t.tv_sec);
	/* relatime: read once after a change, then once a day. */
	assert_ok(store_open(st, &who, ino, &file));
	assert_ok(store_write(file, 0, "z", 1, 0));
	t.tv_sec++;
	clock_freeze(&t);
	assert_ok(store_read(file, 0, &c, 1, &n));
	assert_int_equal(attr(st, ino).atime.tv_sec, t.tv_sec);
	t.tv_sec += 60;
	clock_freeze(&t);
	assert_ok(store_read(file, 0, &c, 1, &n));
	assert_int_equal(attr(st, ino).atime.tv_sec, t.tv_sec - 60);
	t.tv_sec += 24 * 3600;
	clock_freeze(&t);
	assert_ok(store_read(file, 0, &c, 1, &n));
	assert_int_equal(attr(st, ino).atime.tv_sec, t.tv_sec);
	store_release(file);
	clock_freeze(NULL);
}

static void
count_name(void *arg, const char *name, size_t len)
{
	assert_int_equal(strlen(name), len);
	(*(unsigned *)arg)++;
}

static void
test_xattrs(void **state UNUSED)
{
	static uint8_t big[STORE_XATTR_MAX + 1], got[STORE_XATTR_MAX];
	FIXTURE(f, false);
	const uint64_t ino = mkfile(st, f->bkt, "x");
	char name[STORE_XATTR_NAME_MAX + 2];
	unsigned n = 0, i;
	size_t len;
	enum err e = OK;

	assert_err(
	    store_xattr_get(st, ino, "user.a", got, 1, &len), ERR_NODATA);
	assert_err(
	    store_xattr_set(st, ino, "user.a", "v", 1, STORE_XATTR_REPLACE),
	    ERR_NODATA);
	assert_ok(
	    store_xattr_set(st, ino, "user.a", "value", 5, STORE_XATTR_CREATE));
	assert_err(
	    store_xattr_set(st, ino, "user.a", "v", 1, STORE_XATTR_CREATE),
	    ERR_EXIST);
	assert_ok(store_xattr_get(st, ino, "user.a", NULL, 0, &len));
	assert_int_equal(len, 5);
	assert_err(store_xattr_get(st, ino, "user.a", got, 4, &len), ERR_RANGE);
	assert_ok(store_xattr_set(st, ino, "user.empty", NULL, 0, 0));
	assert_ok(store_xattr_get(st, ino, "user.empty", got, 9, &len));
	assert_int_equal(len, 0);
	memset(big, 'b', sizeof(big));
	assert_err(
	    store_xattr_set(st, ino, "user.b", big, sizeof(big), 0), ERR_2BIG);
	assert_ok(store_xattr_set(st, ino, "user.b", big, STORE_XATTR_MAX, 0));
	memset(name, 'n', sizeof(name));
	name[STORE_XATTR_NAME_MAX + 1] = '\0';
	assert_err(store_xattr_set(st, ino, name, "", 0, 0), ERR_RANGE);
	assert_err(store_xattr_set(st, ino, "", "", 0, 0), ERR_RANGE);
	assert_ok(store_xattr_remove(st, ino, "user.a"));
	assert_err(store_xattr_remove(st, ino, "user.a"), ERR_NODATA);
	reopen(f);
	assert_ok(
	    store_xattr_get(f->st, ino, "user.b", got, sizeof(got), &len));
	assert_int_equal(len, STORE_XATTR_MAX);
	assert_memory_equal(got, big, len);
	assert_ok(store_xattr_list(f->st, ino, count_name, &n));
	assert_int_equal(n, 2);
	for (i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "user.f%u", i);
		e = store_xattr_set(f->st, ino, name, big, STORE_XATTR_MAX, 0);
		if (e != OK)
			break;
	}
	assert_err(e, ERR_NOSPC);
	assert_int_equal(i, 14);
	assert_ok(store_xattr_set(
	    f->st, ino, "user.f0", big, 10, STORE_XATTR_REPLACE));
}

static const char *
effective(struct store *st, uint64_t dir)
{
	static char text[STORE_DEFAULT_MAX];

	assert_ok(store_default_effective(st, dir, text));
	return (text);
}

static void
test_defaults(void **state UNUSED)
{
	FIXTURE(f, true);
	const uint64_t a = mkdir_(st, f->bkt, "a");
	const uint64_t b = mkdir_(st, a, "b");
	const uint64_t c = mkdir_(st, f->bkt, "c");
	struct store_sse sse;
	char text[STORE_DEFAULT_MAX];
	struct kms_desc key;

	/* A bucket made by mkdir or without a wish: KMS. */
	assert_string_equal(effective(st, b), "KMS");
	assert_err(store_default_get(st, a, text), ERR_NODATA);
	assert_ok(store_default_set(st, &who, a, "AES256"));
	assert_string_equal(effective(st, b), "AES256");
	assert_string_equal(effective(st, c), "KMS");
	assert_int_equal(attr(st, mkfile(st, b, "f")).sse, SSE_AES256);
	assert_int_equal(attr(st, mkfile(st, c, "f")).sse, SSE_KMS);
	/* A moved directory follows its new place. */
	assert_ok(ren(st, a, "b", c, "b", 0));
	assert_string_equal(effective(st, b), "KMS");
	assert_ok(ren(st, c, "b", a, "b", 0));
	assert_string_equal(effective(st, b), "AES256");
	assert_ok(store_default_set(st, &who, a, NULL));
	assert_err(store_default_set(st, &who, a, NULL), ERR_NODATA);
	assert_string_equal(effective(st, b), "KMS");
	assert_err(store_default_set(st, &who, a, "aes256"), ERR_INVAL);
	assert_err(store_default_set(st, &who, a, "KMS:none"), ERR_NOKEY);
	assert_err(
	    store_default_set(st, &who, look(st, c, "f"), "None"), ERR_NOTDIR);
	/* The key's name is kept as its ARN. */
	assert_ok(kms_key_create(store_kms(st), &who, "", &key));
	(void)snprintf(text, sizeof(text), "KMS:%s", strrchr(key.arn, '/') + 1);
	assert_ok(store_default_set(st, &who, a, text));
	assert_ok(store_default_get(st, a, text));
	assert_string_equal(text + 4, key.arn);
	reopen(f);
	assert_ok(store_sse_get(f->st, mkfile(f->st, b, "g"), &sse));
	assert_int_equal(sse.method, SSE_KMS);
	assert_string_equal(sse.arn, key.arn);
	/* What one file asks for goes before the default. */
	const struct store_new n = { .mode = S_IFREG | 0600, .sse = "None" };
	struct store_attr at;
	assert_ok(store_make(f->st, &who, b, "h", 1, &n, &at, NULL));
	assert_int_equal(at.sse, SSE_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_setattr),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_xattrs),
		cmocka_unit_test(test_defaults),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
