/* lib/base/log: levels, one line each, cut and defused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"

static char out[8192];
static int saved_stderr;
static int capture[2];

static void
begin(void)
{
	assert_int_equal(pipe2(capture, O_CLOEXEC | O_NONBLOCK), 0);
	saved_stderr = dup(STDERR_FILENO);
	assert_true(dup2(capture[1], STDERR_FILENO) >= 0);
}

static const char *
end(void)
{
	assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
	const ssize_t n = read(capture[0], out, sizeof(out) - 1);
	out[n > 0 ? n : 0] = '\0';
	(void)close(capture[0]);
	(void)close(capture[1]);
	(void)close(saved_stderr);
	return out;
}

static void
test_levels(void **state UNUSED)
{
	log_set_level(LOG_LVL_WARN);
	assert_int_equal(log_level(), LOG_LVL_WARN);
	begin();
	errno = EPIPE;
	log_error("e%d", 1);
	assert_int_equal(errno, EPIPE);
	log_warn("w");
	log_info("i");
	log_debug("d");
	assert_string_equal(end(), "ssefs: error: e1\nssefs: warning: w\n");
	log_set_level(LOG_LVL_DEBUG);
	begin();
	log_info("i");
	log_debug("d");
	assert_string_equal(end(), "ssefs: i\nssefs: debug: d\n");
}

static void
test_one_line(void **state UNUSED)
{
	begin();
	log_error("a\nb\x1b[31m\x7f\xc3\xa9\xc2\x9b");
	assert_string_equal(end(), "ssefs: error: a?b?[31m?\xc3\xa9?\?\n");
}

static void
test_cut(void **state UNUSED)
{
	begin();
	log_error("%05000d", 1);
	const char *line = end();
	assert_int_equal(strlen(line), 1024);
	assert_int_equal(line[1023], '\n');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
