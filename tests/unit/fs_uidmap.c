/*
 * Maps from uids to users (R7).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/uidmap.h"

static void
test_parse(void **state)
{
	static const struct {
		const char *text, *what;
	} bad[] = {
		{ "alice\n", "line 1" },
		{ "1000\n", "line 1" },
		{ "\n#\n1000 \n", "line 3" },
		{ "1000alice\n", "line 1" },
		{ "-1 alice\n", "line 1" },
		{ "+1 alice\n", "line 1" },
		{ "0x10 alice\n", "line 1" },
		{ "4294967295 alice\n", "line 1" },
		{ "99999999999999999999 alice\n", "line 1" },
		{ "1 alice bob\n", "after" },
		{ "1 alice # no\n", "after" },
		{ "1 al\rice\n", "after" },
		{ "1 \ralice\n", "line 1" },
		{ "1 a\n1 b\n", "twice" },
		{ "1 "
		  "123456789012345678901234567890123456789012345678901234567890"
		  "12345\n",
		    "long" },
	};
	struct uidmap m;

	(void)state;
	assert_int_equal(uidmap_parse("", 0, &m), OK);
	assert_null(uidmap_user(&m, 0));
	uidmap_release(&m);
	assert_int_equal(
	    uidmap_parse("# x\n 7\t bob \n\n4294967294 ann\n0 root", 35, &m),
	    OK);
	assert_int_equal(m.n, 3);
	assert_string_equal(uidmap_user(&m, 7), "bob");
	assert_string_equal(uidmap_user(&m, 0), "root");
	assert_string_equal(uidmap_user(&m, 4294967294u), "ann");
	assert_null(uidmap_user(&m, 8));
	uidmap_release(&m);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
		    uidmap_parse(bad[i].text, strlen(bad[i].text), &m),
		    ERR_PARSE);
		assert_non_null(strstr(err_detail(ERR_PARSE), bad[i].what));
		uidmap_release(&m);
	}
	/* A NUL is no blank. */
	assert_int_equal(uidmap_parse("1 a\0b\n", 6, &m), ERR_PARSE);
	uidmap_release(&m);
}

static void
test_many(void **state)
{
	char *text = malloc(UIDMAP_SIZE);
	struct uidmap m;
	size_t len = 0;

	(void)state;
	for (unsigned i = UIDMAP_MAX; i > 0; i--)
		len += (size_t)sprintf(text + len, "%u u%u\n", i * 7, i);
	assert_int_equal(uidmap_parse(text, len, &m), OK);
	assert_string_equal(uidmap_user(&m, 7 * 1234), "u1234");
	assert_null(uidmap_user(&m, 7 * 1234 + 1));
	uidmap_release(&m);
	len += (size_t)sprintf(text + len, "1 one\n");
	assert_int_equal(uidmap_parse(text, len, &m), ERR_LIMIT);
	uidmap_release(&m);
	free(text);
}

static void
test_file(void **state)
{
	char path[] = "/tmp/ssefs-uidmap-XXXXXX";
	const int fd = mkstemp(path);
	struct uidmap m;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "5 eve\n", 6), 6);
	assert_int_equal(uidmap_load(path, &m), OK);
	assert_string_equal(uidmap_user(&m, 5), "eve");
	uidmap_release(&m);
	assert_int_equal(fchmod(fd, 0620), 0);
	assert_int_equal(uidmap_load(path, &m), ERR_PERM);
	assert_int_equal(fchmod(fd, 0602), 0);
	assert_int_equal(uidmap_load(path, &m), ERR_PERM);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(uidmap_load(path, &m), ERR_NOENT);
	assert_int_equal(uidmap_load("/tmp", &m), ERR_INVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse),
		cmocka_unit_test(test_many), cmocka_unit_test(test_file) };

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
