/* fs/fserr: the errno table of the requirements. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/fserr.h"

static void
test_table(void **state UNUSED)
{
	static const struct {
		enum err e;
		int errnum;
	} t[] = {
		{ OK, 0 },
		{ ERR_ACCESS, EACCES },
		{ ERR_KEYREVOKED, EKEYREVOKED },
		{ ERR_KEYEXPIRED, EKEYEXPIRED },
		{ ERR_NOKEY, ENOKEY },
		{ ERR_TIMEDOUT, ETIMEDOUT },
		{ ERR_AUTH, EBADMSG },
		{ ERR_CORRUPT, EUCLEAN },
		{ ERR_PERM, EPERM },
		{ ERR_XDEV, EXDEV },
		{ ERR_NODATA, ENODATA },
		{ ERR_FAILSTOP, EROFS },
	};

	for (size_t i = 0; i < COUNTOF(t); i++)
		assert_int_equal(fs_errno(t[i].e), t[i].errnum);
	assert_int_equal(fs_errno_sync(ERR_FAILSTOP), EIO);
	assert_int_equal(fs_errno_sync(ERR_NOSPC), ENOSPC);
	assert_int_equal(fs_errno_sync(OK), 0);
}

/* No error reaches a program as success, or as an errno that the kernel keeps
 * to itself. */
static void
test_all(void **state UNUSED)
{
	for (int e = OK + 1; e < ERR_COUNT_; e++) {
		const int n = fs_errno((enum err)e);

		assert_true(n > 0 && n < 512);
		assert_int_not_equal(n, ENOSYS);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_all),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
