/*
 * ACLs (store/acl.c), as setxattr(2) and the table of attributes bring them.
 *
 * Input: two bytes of a mode, the list.
 */
#include "store/acl.h"

#include "tests/fuzz/fuzz.h"

/* The bits follow the list and the list the bits; nothing else in it moves. */
static void
sound(const struct acl *was, uint32_t mode)
{
	struct acl a = *was;
	bool plain = false;
	const uint32_t bits = acl_mode(&a, &plain);

	HOLDS((bits & ~(uint32_t)0777) == 0);
	HOLDS(plain == (a.len == ACL_HEAD + 3 * ACL_ENTRY));
	acl_narrow(&a, mode);
	HOLDS(acl_mode(&a, &plain) == (bits & mode & 0777));
	acl_chmod(&a, mode);
	HOLDS(acl_mode(&a, &plain) == (mode & 0777));
	acl_chmod(&a, bits);
	HOLDS(a.len == was->len && memcmp(a.b, was->b, a.len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const uint32_t mode = (uint32_t)feed_int(&f, 2);
	uint8_t *b = exact(f.p, f.len);
	struct acl a, again;

	if (acl_parse(&a, b, f.len) == OK) {
		HOLDS(a.len == f.len && memcmp(a.b, b, f.len) == 0);
		sound(&a, mode);
		acl_narrow(&a, mode);
		HOLDS(acl_parse(&again, a.b, a.len) == OK);
	}
	free(b);
	return (0);
}
