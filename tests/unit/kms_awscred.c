/* kms/awscred: files as they may be written, and where they are looked for. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "kms/awscred.h"
#include "lib/base/sys.h"

static char dir[200], cred_path[256], conf_path[256];

static enum err
parse(const char *text, const char *section, struct awscred *ret)
{
	bool found = false;

	memset(ret, 0, sizeof(*ret));
	return awscred_parse(text, strlen(text), section, ret, &found);
}

static void
test_parse(void **state UNUSED)
{
	static const char text[] = "# a comment\n; another\n\n"
				   "[default]\r\n"
				   "aws_access_key_id=AKIA\r\n"
				   "aws_secret_access_key = a/b+c=\n"
				   "s3 =\n"
				   "    region = not-mine\n"
				   "region = eu-west-1\n"
				   "[ other ]\n"
				   "aws_access_key_id\t=\tAKIB\n"
				   "aws_secret_access_key = x\n"
				   "aws_session_token = token==";
	struct awscred c;
	bool found = true;

	assert_int_equal(parse(text, "default", &c), OK);
	assert_string_equal(c.access_key, "AKIA");
	assert_string_equal(c.secret, "a/b+c=");
	assert_string_equal(c.token, "");
	assert_string_equal(c.region, "eu-west-1");
	assert_int_equal(parse(text, "other", &c), OK);
	assert_string_equal(c.access_key, "AKIB");
	assert_string_equal(c.token, "token==");
	assert_int_equal(
	    awscred_parse(text, strlen(text), "none", &c, &found), OK);
	assert_false(found);
	/* What is there already stays, the three together. */
	assert_int_equal(
	    awscred_parse(text, strlen(text), "default", &c, &found), OK);
	assert_true(found);
	assert_string_equal(c.access_key, "AKIB");
	assert_string_equal(c.secret, "x");
	assert_string_equal(c.token, "token==");
	assert_string_equal(c.region, "eu-west-1");
}

static void
test_malformed(void **state UNUSED)
{
	static const char *const bad[] = { "x", "[default", "[a]b]",
		"[default]\naws_access_key_id=A\naws_access_key_id=A\n",
		"[default]\n[default]\n", "[default]\naws_access_key_id=A\n",
		"[default]\naws_secret_access_key=A\n",
		"[default]\naws_access_key_id=\naws_secret_access_key=b\n",
		"[default]\naws_access_key_id=a b\naws_secret_access_key=b\n",
		"[default]\naws_access_key_id=a\x01\naws_secret_access_key=b\n",
		"[default]\nregion=\xc3\xa9\n" };
	char text[400];
	struct awscred c;
	bool found = false;

	for (size_t i = 0; i < COUNTOF(bad); i++)
		if (parse(bad[i], "default", &c) != ERR_PARSE)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(
	    awscred_parse("[default]\0\n", 11, "default", &c, &found),
	    ERR_PARSE);
	(void)snprintf(text, sizeof(text),
	    "[default]\naws_access_key_id=A\naws_secret_access_key=%0129d\n",
	    0);
	assert_int_equal(parse(text, "default", &c), ERR_PARSE);
	/* Of other sections nothing is looked at but their form. */
	assert_int_equal(
	    parse("[other]\naws_access_key_id=a b\n", "default", &c), OK);
}

static void
put(const char *path, const char *text, mode_t mode)
{
	assert_int_equal(sys_write_file(path, text, strlen(text), mode, 0), OK);
}

static void
clean(void)
{
	static const char *const names[] = { "AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
		"AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE" };

	for (size_t i = 0; i < COUNTOF(names); i++)
		(void)unsetenv(names[i]);
	(void)unlink(cred_path);
	(void)unlink(conf_path);
}

static void
found(
    const char *profile, const char *file, const char *key, const char *region)
{
	struct awscred *c CLEANUP_AWSCRED = NULL;

	assert_int_equal(awscred_find(profile, file, &c), OK);
	assert_string_equal(c->access_key, key);
	assert_string_equal(c->region, region);
}

static void
none(const char *profile, const char *file)
{
	struct awscred *c = NULL;

	assert_int_equal(awscred_find(profile, file, &c), ERR_ACCESS);
	assert_null(c);
}

static void
test_places(void **state UNUSED)
{
	clean();
	none(NULL, NULL);
	put(conf_path,
	    "[default]\nregion = here\n[profile p]\nregion = there\n"
	    "aws_access_key_id = PCONF\naws_secret_access_key = s\n",
	    0600);
	none(NULL, NULL);
	found("p", NULL, "PCONF", "there");
	put(cred_path,
	    "[default]\naws_access_key_id = D\naws_secret_access_key = s\n"
	    "[p]\naws_access_key_id = P\naws_secret_access_key = s\n",
	    0600);
	found(NULL, NULL, "D", "here");
	found("p", NULL, "P", "there");
	none("q", NULL);
	assert_int_equal(setenv("AWS_PROFILE", "p", 1), 0);
	found(NULL, NULL, "P", "there");
	found("default", NULL, "D", "here");
	assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "E", 1), 0);
	none(NULL, NULL);
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "s", 1), 0);
	assert_int_equal(setenv("AWS_REGION", "env", 1), 0);
	found(NULL, NULL, "E", "env");
	found("p", NULL, "P", "env");
	found(NULL, cred_path, "P", "env");
	none("q", cred_path);
	none(NULL, "/nonexistent");
}

static void
test_modes(void **state UNUSED)
{
	clean();
	put(conf_path, "[default]\nregion = here\n", 0644);
	put(cred_path,
	    "[default]\naws_access_key_id = D\naws_secret_access_key = s\n",
	    0644);
	none(NULL, NULL);
	assert_non_null(strstr(err_detail(ERR_ACCESS), "chmod"));
	assert_int_equal(chmod(cred_path, 0600), 0);
	found(NULL, NULL, "D", "here");
	assert_int_equal(unlink(cred_path), 0);
	put(conf_path,
	    "[default]\naws_access_key_id = D\naws_secret_access_key = s\n",
	    0644);
	none(NULL, NULL);
	assert_int_equal(chmod(conf_path, 0600), 0);
	found(NULL, NULL, "D", "");
	/* What is refused is not quoted. */
	put(conf_path, "[default]\nSECRETTEXT\n", 0600);
	none(NULL, NULL);
	assert_null(strstr(err_detail(ERR_ACCESS), "SECRETTEXT"));
	assert_non_null(strstr(err_detail(ERR_ACCESS), "line 2"));
}

static int
setup(void **state UNUSED)
{
	const char *tmp = getenv("TMPDIR");

	if (secret_init() != OK)
		return -1;
	(void)snprintf(
	    dir, sizeof(dir), "%s/cred.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL || setenv("HOME", dir, 1) != 0)
		return -1;
	(void)snprintf(cred_path, sizeof(cred_path), "%s/.aws", dir);
	if (mkdir(cred_path, 0700) != 0)
		return -1;
	(void)snprintf(
	    cred_path, sizeof(cred_path), "%s/.aws/credentials", dir);
	(void)snprintf(conf_path, sizeof(conf_path), "%s/.aws/config", dir);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_modes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
