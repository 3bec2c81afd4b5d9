/* fs/dirlist: positions in an open directory. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fs/dirlist.h"

static void
put(struct dirlist *d, uint64_t i)
{
	char name[256];
	int len =
	    snprintf(name, sizeof(name), "name-%llu", (unsigned long long)i);

	/* Every length there is, from time to time. */
	if (i % 7 == 0) {
		memset(name + len, 'x', sizeof(name) - 1 - (size_t)len);
		len += (int)(i % (size_t)(256 - len));
		name[len] = '\0';
	}
	assert_int_equal(dirlist_add(d, i * 3, i % 2 == 0 ? DT_DIR : DT_REG,
			     name, (size_t)len),
	    OK);
}

static void
check(const struct dirlist *d, uint64_t i)
{
	struct dirlist_name n;
	char name[32];
	const int len =
	    snprintf(name, sizeof(name), "name-%llu", (unsigned long long)i);

	assert_true(dirlist_get(d, i, &n));
	assert_int_equal(n.ino, i * 3);
	assert_int_equal(n.type, i % 2 == 0 ? DT_DIR : DT_REG);
	assert_int_equal(n.len, strlen(n.name));
	assert_memory_equal(n.name, name, (size_t)len);
	if (i % 7 != 0)
		assert_int_equal(n.len, len);
}

static void
test_positions(void **state UNUSED)
{
	struct dirlist d CLEANUP(dirlist_clear);
	struct dirlist_name n;

	dirlist_init(&d);
	assert_false(dirlist_get(&d, 0, &n));
	for (uint64_t i = 0; i < 5000; i++) {
		put(&d, i);
		check(&d, i);
		check(&d, i / 2);
		assert_false(dirlist_get(&d, i + 1, &n));
	}
	for (uint64_t i = 0; i < 5000; i++)
		check(&d, i);
	dirlist_clear(&d);
	assert_false(dirlist_get(&d, 0, &n));
	put(&d, 0);
	check(&d, 0);
}

/* Old names go, memory stays within bounds, positions stay right. */
static void
test_bounded(void **state UNUSED)
{
	struct dirlist d CLEANUP(dirlist_clear);
	struct dirlist_name n;
	const uint64_t many = 600000;

	dirlist_init(&d);
	for (uint64_t i = 0; i < many; i++) {
		put(&d, i);
		assert_true(d.bytes <= DIRLIST_MAX);
	}
	assert_true(d.first > 0 && d.first < many / 2 + many / 4);
	assert_false(dirlist_get(&d, 0, &n));
	assert_false(dirlist_get(&d, d.first - 1, &n));
	for (uint64_t i = d.first; i < many; i++)
		check(&d, i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_bounded),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
