/* fs/opts: mount options and command lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/mount.h"

#define CLEANUP_OPTS CLEANUP(fs_opts_release)

static struct fs_opts
fresh(void)
{
	struct fs_opts o;

	fs_opts_init(&o);
	return (o);
}

static enum err
parse(struct fs_opts *o, const char *const *words)
{
	char *argv[16];
	int argc = 0;

	for (; words[argc] != NULL; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc];
	return (fs_opts_parse(o, argc, argv));
}

#define PARSE(o, ...) parse((o), (const char *const[]){ __VA_ARGS__, NULL })

static void
test_defaults(void **state UNUSED)
{
	struct fs_opts o CLEANUP_OPTS = fresh();

	assert_int_equal(PARSE(&o, "docs", "/mnt", "--store", "S"), OK);
	assert_string_equal(o.source, "docs");
	assert_string_equal(o.mountpoint, "/mnt");
	assert_string_equal(o.store, "S");
	assert_true(o.default_permissions);
	assert_false(o.readonly || o.allow_other || o.foreground || o.dev);
	assert_null(o.sse);
	assert_null(o.user);
	assert_false(o.has_uid || o.has_gid || o.has_umask);
}

static void
test_list(void **state UNUSED)
{
	struct fs_opts o CLEANUP_OPTS = fresh();

	assert_int_equal(
	    fs_opts_list(&o, "ro,,allow_other,uid=1000,gid=0,umask=077,user=al,"
			     "commit=30,threads=8,map_cache=1M,db_cache=2g,"
			     "dirty_size=64K000"),
	    ERR_INVAL);
	assert_int_equal(
	    fs_opts_list(&o, "ro,,allow_other,uid=1000,gid=0,umask=077,user=al,"
			     "commit=30,threads=8,map_cache=1M,db_cache=2g,"
			     "dirty_size=64M,inode_cache=100"),
	    OK);
	assert_true(o.readonly && o.allow_other);
	assert_true(o.has_uid && o.has_gid && o.has_umask);
	assert_int_equal(o.uid, 1000);
	assert_int_equal(o.gid, 0);
	assert_int_equal(o.umask, 077);
	assert_string_equal(o.user, "al");
	assert_int_equal(o.commit_secs, 30);
	assert_int_equal(o.threads, 8);
	assert_int_equal(o.map_cache, 1 << 20);
	assert_int_equal(o.db_cache, (size_t)2 << 30);
	assert_int_equal(o.dirty_size, 64 << 20);
	assert_int_equal(o.inode_cache, 100);
	/* The last one counts. */
	assert_int_equal(
	    fs_opts_list(&o, "rw,nodefault_permissions,cache_size=64M"), OK);
	assert_false(o.readonly || o.default_permissions);
	assert_int_equal(o.db_cache, 40 << 20);
	assert_int_equal(o.map_cache, 24 << 20);
}

/* What mount(8) and fstab pass along. */
static void
test_ignored(void **state UNUSED)
{
	struct fs_opts o CLEANUP_OPTS = fresh();

	assert_int_equal(
	    fs_opts_list(&o, "defaults,nofail,_netdev,noauto,auto,users,user,"
			     "x-systemd.requires=a,x-gvfs-show,X-mount.mkdir,"
			     "relatime,comment=,"),
	    OK);
	assert_null(o.user);
	assert_int_equal(fs_opts_list(&o, "dev,suid,noexec,noatime"), OK);
	assert_true(o.dev && o.suid && o.noexec && o.noatime);
	assert_int_equal(fs_opts_list(&o, "nodev,nosuid,exec,atime"), OK);
	assert_false(o.dev || o.suid || o.noexec || o.noatime);
}

static void
test_bad(void **state UNUSED)
{
	static const char *const bad[] = { "bogus", "ro=1", "uid",
		"uid=", "uid=x", "uid=-1", "uid=4294967295", "umask=8",
		"umask=1000", "commit=0", "commit=99999", "threads=1",
		"map_cache=K", "map_cache=1", "map_cache=99999999999999999999",
		"store=", "uid=18446744073709551617", "=", "cache_size=1T" };

	for (size_t i = 0; i < COUNTOF(bad); i++) {
		struct fs_opts o CLEANUP_OPTS = fresh();

		assert_int_equal(fs_opts_list(&o, bad[i]), ERR_INVAL);
	}
}

static void
test_escape(void **state UNUSED)
{
	struct fs_opts o CLEANUP_OPTS = fresh();

	assert_int_equal(fs_opts_list(&o, "store=/a\\,b\\\\c,ro"), OK);
	assert_string_equal(o.store, "/a,b\\c");
	assert_true(o.readonly);
}

static void
test_long(void **state UNUSED)
{
	struct fs_opts o CLEANUP_OPTS = fresh();

	assert_int_equal(
	    PARSE(&o, "--sse-kms-key-id", "alias/x", "-f", "-oro", "-o",
		"store=S,uid=1", "--allow-other", "--gid=2", "--", "/", "-dir"),
	    OK);
	assert_string_equal(o.sse, "KMS:alias/x");
	assert_true(o.foreground && o.readonly && o.allow_other);
	assert_string_equal(o.store, "S");
	assert_int_equal(o.uid, 1);
	assert_int_equal(o.gid, 2);
	assert_string_equal(o.source, "/");
	assert_string_equal(o.mountpoint, "-dir");
}

static void
test_line_bad(void **state UNUSED)
{
	struct fs_opts a CLEANUP_OPTS = fresh();
	struct fs_opts b CLEANUP_OPTS = fresh();
	struct fs_opts c CLEANUP_OPTS = fresh();
	struct fs_opts d CLEANUP_OPTS = fresh();
	struct fs_opts e CLEANUP_OPTS = fresh();

	assert_int_equal(PARSE(&a, "docs", "--store=S"), ERR_INVAL);
	assert_int_equal(PARSE(&b, "docs", "/mnt"), ERR_INVAL);
	assert_int_equal(
	    PARSE(&c, "docs", "/mnt", "more", "--store=S"), ERR_INVAL);
	assert_int_equal(
	    PARSE(&d, "docs", "/mnt", "--store=S", "-x"), ERR_INVAL);
	assert_int_equal(PARSE(&e, "docs", "/mnt", "--store"), ERR_INVAL);
}

/* R11: one method; a key only with aws:kms. */
static void
test_sse(void **state UNUSED)
{
	static const struct {
		const char *list;
		enum err e;
		const char *sse;
	} t[] = {
		{ "sse=None", OK, "None" },
		{ "sse=AES256", OK, "AES256" },
		{ "sse=aws:kms", OK, "KMS" },
		{ "sse=KMS", OK, "KMS" },
		{ "sse=KMS,sse_kms_key_id=k", OK, "KMS:k" },
		{ "sse_kms_key_id=k", OK, "KMS:k" },
		{ "sse=AES256,sse_kms_key_id=k", ERR_INVAL, NULL },
		{ "sse=None,sse_kms_key_id=k", ERR_INVAL, NULL },
		{ "sse=aes256", ERR_INVAL, NULL },
		{ "ro", OK, NULL },
	};

	for (size_t i = 0; i < COUNTOF(t); i++) {
		struct fs_opts o CLEANUP_OPTS = fresh();

		assert_int_equal(fs_opts_list(&o, t[i].list), OK);
		assert_int_equal(
		    PARSE(&o, "docs", "/mnt", "--store=S"), t[i].e);
		if (t[i].e == OK && t[i].sse == NULL)
			assert_null(o.sse);
		else if (t[i].e == OK)
			assert_string_equal(o.sse, t[i].sse);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_line_bad),
		cmocka_unit_test(test_sse),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
