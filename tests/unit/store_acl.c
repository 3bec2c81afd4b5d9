/* store/acl: lists, permission bits that follow them, inheritance. */
#include "store_fixture.h"

#include "store/acl.h"
#include "store/ns.h"

/* An entry: tag, permissions, id. */
#define E(tag, perm, id)                                                 \
	tag, 0, perm, 0, (id)&0xff, (id) >> 8 & 0xff, (id) >> 16 & 0xff, \
	    (id) >> 24 & 0xff
#define HEAD 2, 0, 0, 0
#define NOID 0xffffffffu

static const uint8_t plain[] = { HEAD, E(1, 6, NOID), E(4, 4, NOID),
	E(32, 0, NOID) };
static const uint8_t masked[] = { HEAD, E(1, 7, NOID), E(2, 6, 1001),
	E(4, 5, NOID), E(8, 3, 2000), E(16, 6, NOID), E(32, 1, NOID) };

static void
refused(const char *why, const void *p, size_t len, enum err want)
{
	uint8_t *exact = malloc(len == 0 ? 1 : len);
	struct acl a;

	assert_non_null(exact);
	memcpy(exact, p, len);
	if (acl_parse(&a, exact, len) != want)
		fail_msg("%s: not %s", why, err_text(want));
	free(exact);
}
#define REFUSED(why, ...)                                \
	do {                                             \
		const uint8_t b_[] = { __VA_ARGS__ };    \
		refused(why, b_, sizeof(b_), ERR_INVAL); \
	} while (0)

static void
test_parse(void **state UNUSED)
{
	static uint8_t big[ACL_MAX + ACL_ENTRY];
	struct acl a;

	assert_ok(acl_parse(&a, plain, sizeof(plain)));
	assert_ok(acl_parse(&a, masked, sizeof(masked)));
	refused("nothing", "", 0, ERR_INVAL);
	for (size_t n = 0; n < sizeof(masked); n++)
		refused("cut short", masked, n, ERR_INVAL);
	refused("too long", big, sizeof(big), ERR_2BIG);
	REFUSED("no entries", HEAD);
	REFUSED("version 1", 1, 0, 0, 0, E(1, 6, 0), E(4, 4, 0), E(32, 0, 0));
	REFUSED("version 2 and more", 2, 0, 0, 1, E(1, 6, 0), E(4, 4, 0),
	    E(32, 0, 0));
	REFUSED("no owner", HEAD, E(4, 4, 0), E(32, 0, 0));
	REFUSED("no group", HEAD, E(1, 4, 0), E(32, 0, 0));
	REFUSED("no others", HEAD, E(1, 6, 0), E(4, 4, 0));
	REFUSED("an owner twice", HEAD, E(1, 6, 0), E(1, 6, 0), E(4, 4, 0),
	    E(32, 0, 0));
	REFUSED("a group twice", HEAD, E(1, 6, 0), E(4, 4, 0), E(4, 4, 0),
	    E(32, 0, 0));
	REFUSED("others twice", HEAD, E(1, 6, 0), E(4, 4, 0), E(32, 0, 0),
	    E(32, 0, 0));
	REFUSED("two masks", HEAD, E(1, 6, 0), E(4, 4, 0), E(16, 4, 0),
	    E(16, 4, 0), E(32, 0, 0));
	REFUSED("a user without a mask", HEAD, E(1, 6, 0), E(2, 6, 9),
	    E(4, 4, 0), E(32, 0, 0));
	REFUSED("a group without a mask", HEAD, E(1, 6, 0), E(4, 4, 0),
	    E(8, 4, 9), E(32, 0, 0));
	REFUSED("a user after the group", HEAD, E(1, 6, 0), E(4, 4, 0),
	    E(2, 4, 9), E(16, 7, 0), E(32, 0, 0));
	REFUSED("the mask last", HEAD, E(1, 6, 0), E(4, 4, 0), E(32, 0, 0),
	    E(16, 7, 0));
	REFUSED(
	    "permissions over 7", HEAD, E(1, 8, 0), E(4, 4, 0), E(32, 0, 0));
	REFUSED("permissions over 255", HEAD, 1, 0, 6, 1, 0, 0, 0, 0,
	    E(4, 4, 0), E(32, 0, 0));
	REFUSED("an unknown tag", HEAD, E(1, 6, 0), E(3, 1, 0), E(4, 4, 0),
	    E(32, 0, 0));
	REFUSED("a tag over 255", HEAD, E(1, 6, 0), 4, 1, 4, 0, 0, 0, 0, 0,
	    E(32, 0, 0));
}

/* For every mode: chmod makes the bits what was asked for, narrowing only takes
 * away, and neither touches a named entry. */
static void
test_modes(void **state UNUSED)
{
	struct acl a;
	bool is_plain = false;

	assert_ok(acl_parse(&a, plain, sizeof(plain)));
	assert_int_equal(acl_mode(&a, &is_plain), 0640);
	assert_true(is_plain);
	assert_ok(acl_parse(&a, masked, sizeof(masked)));
	assert_int_equal(acl_mode(&a, &is_plain), 0761);
	assert_false(is_plain);
	for (unsigned mode = 0; mode < 010000; mode++) {
		const uint8_t *const lists[] = { plain, masked };
		const size_t lens[] = { sizeof(plain), sizeof(masked) };

		for (unsigned i = 0; i < COUNTOF(lists); i++) {
			assert_ok(acl_parse(&a, lists[i], lens[i]));
			const uint32_t was = acl_mode(&a, &is_plain);

			acl_narrow(&a, mode);
			assert_int_equal(
			    acl_mode(&a, &is_plain), was & mode & 0777);
			acl_chmod(&a, mode);
			assert_int_equal(acl_mode(&a, &is_plain), mode & 0777);
		}
		assert_int_equal(a.len, sizeof(masked));
		/* Named user, group, named group. */
		assert_memory_equal(a.b + 12, masked + 12, 24);
	}
}

static size_t
get(struct store *st, uint64_t ino, const char *name, uint8_t *ret)
{
	size_t len = 0;
	const enum err e = store_xattr_get(st, ino, name, ret, ACL_MAX, &len);

	if (e != OK)
		assert_err(e, ERR_NODATA);
	return (e == OK ? len : 0);
}

static struct store_attr
new_in(struct store *st, uint64_t dir, const char *name, uint32_t mode)
{
	const struct store_new n = {
		.mode = mode,
		.umask = 077,
		.target = S_ISLNK(mode) ? "target" : NULL,
	};
	struct store_attr a;

	assert_ok(store_make(st, &who, dir, name, strlen(name), &n, &a, NULL));
	return (a);
}

static void
test_set(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t file = mkfile(st, f->bkt, "f");
	const uint64_t dir = mkdir_(st, f->bkt, "d");
	const uint64_t link = new_in(st, f->bkt, "l", S_IFLNK | 0777).ino;
	struct store_attr in = { .mode = 02640 }, a;
	uint8_t b[ACL_MAX];

	assert_ok(store_setattr(st, &who, file, STORE_SET_MODE, &in, &a));
	assert_ok(store_xattr_set(
	    st, file, STORE_ACL_ACCESS, masked, sizeof(masked), 0));
	assert_int_equal(attr(st, file).mode, S_IFREG | 02761);
	assert_int_equal(attr(st, file).xattrs, 1);
	assert_ok(store_xattr_set(st, file, STORE_ACL_ACCESS, masked,
	    sizeof(masked), STORE_XATTR_KILL_SGID));
	assert_int_equal(attr(st, file).mode, S_IFREG | 0761);
	/* chmod changes the mask, not the group. */
	in.mode = 0604;
	assert_ok(store_setattr(st, &who, file, STORE_SET_MODE, &in, &a));
	assert_int_equal(get(st, file, STORE_ACL_ACCESS, b), sizeof(masked));
	assert_int_equal(b[4 + 2 * 8 + 2], 5);
	assert_int_equal(b[4 + 4 * 8 + 2], 0);
	/* What says no more than the bits is not kept. */
	assert_ok(store_xattr_set(
	    st, file, STORE_ACL_ACCESS, plain, sizeof(plain), 0));
	assert_int_equal(attr(st, file).mode, S_IFREG | 0640);
	assert_int_equal(attr(st, file).xattrs, 0);
	assert_int_equal(get(st, file, STORE_ACL_ACCESS, b), 0);
	assert_ok(store_xattr_set(
	    st, dir, STORE_ACL_DEFAULT, plain, sizeof(plain), 0));
	assert_int_equal(get(st, dir, STORE_ACL_DEFAULT, b), sizeof(plain));
	assert_err(store_xattr_set(
		       st, file, STORE_ACL_DEFAULT, plain, sizeof(plain), 0),
	    ERR_ACCESS);
	assert_err(store_xattr_set(
		       st, link, STORE_ACL_ACCESS, plain, sizeof(plain), 0),
	    ERR_NOTSUP);
	assert_err(store_xattr_set(st, file, STORE_ACL_ACCESS, "junk", 4, 0),
	    ERR_INVAL);
	assert_err(store_xattr_set(st, file, STORE_ACL_ACCESS, masked,
		       sizeof(masked), STORE_XATTR_REPLACE),
	    ERR_NODATA);
	assert_int_equal(attr(st, file).mode, S_IFREG | 0640);
}

static void
test_inherit(void **state UNUSED)
{
	static const uint32_t kinds[] = { S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR,
		S_IFBLK };
	FIXTURE(f, false);
	const uint64_t dir = mkdir_(st, f->bkt, "d");
	struct store_attr a;
	uint8_t b[ACL_MAX];
	char name[] = "a";

	assert_int_equal(
	    new_in(st, dir, "before", S_IFREG | 0666).mode, S_IFREG | 0600);
	assert_ok(store_xattr_set(
	    st, dir, STORE_ACL_DEFAULT, masked, sizeof(masked), 0));
	for (size_t i = 0; i < COUNTOF(kinds); i++, name[0]++) {
		a = new_in(st, dir, name, kinds[i] | 0640);
		assert_int_equal(a.mode, kinds[i] | 0640);
		assert_int_equal(a.xattrs, 1);
		assert_int_equal(
		    get(st, a.ino, STORE_ACL_ACCESS, b), sizeof(masked));
		assert_int_equal(b[4 + 2], 6);
		assert_int_equal(b[4 + 4 * 8 + 2], 4);
		assert_int_equal(b[4 + 5 * 8 + 2], 0);
		assert_int_equal(get(st, a.ino, STORE_ACL_DEFAULT, b), 0);
	}
	a = new_in(st, dir, "link", S_IFLNK | 0777);
	assert_int_equal(a.mode, S_IFLNK | 0777);
	assert_int_equal(a.xattrs, 0);
	a = new_in(st, dir, "dir", S_IFDIR | 0777);
	assert_int_equal(a.mode, S_IFDIR | 0761);
	reopen(f);
	assert_int_equal(attr(f->st, a.ino).xattrs, 2);
	assert_int_equal(
	    get(f->st, a.ino, STORE_ACL_DEFAULT, b), sizeof(masked));
	assert_memory_equal(b, masked, sizeof(masked));
	/* A default that is plain leaves plain permissions. */
	assert_ok(store_xattr_set(
	    f->st, dir, STORE_ACL_DEFAULT, plain, sizeof(plain), 0));
	a = new_in(f->st, dir, "plain", S_IFREG | 0666);
	assert_int_equal(a.mode, S_IFREG | 0640);
	assert_int_equal(a.xattrs, 0);
}

/* A damaged row is an error of the call, nothing else. */
static void
test_damaged(void **state UNUSED)
{
	FIXTURE(f, false);
	const uint64_t dir = mkdir_(st, f->bkt, "d");
	const struct store_new n = { .mode = S_IFREG | 0600 };
	const struct store_attr in = { .mode = 0700 };
	struct store_check_result r;
	struct inode *ip = NULL;
	struct store_attr a;

	assert_ok(epoch_enter(st));
	lock_take(&st->db);
	assert_ok(inode_get(st, dir, &ip));
	assert_ok(db_begin(st));
	assert_ok(xattr_write(st, ip, STORE_ACL_DEFAULT, "junk", 4, true));
	assert_ok(xattr_write(st, ip, STORE_ACL_ACCESS, masked, 20, true));
	inode_touch(st, ip, false);
	inode_put(st, ip);
	lock_drop(&st->db);
	epoch_leave(st);
	assert_ok(store_check(st, false, NULL, NULL, &r));
	assert_int_equal(r.problems, 2);
	assert_err(
	    store_make(st, &who, dir, "x", 1, &n, &a, NULL), ERR_CORRUPT);
	assert_err(
	    store_setattr(st, &who, dir, STORE_SET_MODE, &in, &a), ERR_CORRUPT);
	assert_ok(store_xattr_remove(st, dir, STORE_ACL_DEFAULT));
	assert_ok(store_xattr_remove(st, dir, STORE_ACL_ACCESS));
	assert_ok(store_make(st, &who, dir, "x", 1, &n, &a, NULL));
	assert_ok(store_setattr(st, &who, dir, STORE_SET_MODE, &in, &a));
	/* A mode that went its own way. */
	assert_ok(store_xattr_set(
	    st, dir, STORE_ACL_ACCESS, masked, sizeof(masked), 0));
	lock_take(&st->db);
	assert_ok(inode_get(st, dir, &ip));
	ip->mode ^= 0040;
	inode_dirty(st, ip);
	inode_put(st, ip);
	lock_drop(&st->db);
	assert_ok(store_check(st, false, NULL, NULL, &r));
	assert_int_equal(r.problems, 1);
	assert_ok(store_setattr(st, &who, dir, STORE_SET_MODE, &in, &a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_inherit),
		cmocka_unit_test(test_damaged),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
