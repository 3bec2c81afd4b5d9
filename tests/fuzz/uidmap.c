/*
 * Maps from uids to users: fs/uidmap.
 *
 * Input: a file.  What was read, written out plainly and read again, is the
 * same.
 */
#include "fs/uidmap.h"
#include "lib/base/buf.h"

#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct uidmap m, again;
	struct buf b;
	enum err e;

	e = uidmap_parse((const char *)data, len, &m);
	HOLDS(e == OK || e == ERR_PARSE || e == ERR_LIMIT);
	if (e == OK) {
		buf_init(&b, 2 * UIDMAP_SIZE);
		for (size_t i = 0; i < m.n; i++) {
			HOLDS(m.v[i].user[0] != '\0');
			HOLDS(strlen(m.v[i].user) < KMS_NAME_MAX);
			HOLDS(i == 0 || m.v[i - 1].uid < m.v[i].uid);
			HOLDS(strcmp(uidmap_user(&m, m.v[i].uid),
				  m.v[i].user) == 0);
			HOLDS(buf_printf(&b, "%u %s\n", (unsigned)m.v[i].uid,
				  m.v[i].user) == OK);
		}
		HOLDS(uidmap_parse((const char *)b.p, b.len, &again) == OK);
		HOLDS(again.n == m.n);
		HOLDS(
		    m.n == 0 || memcmp(again.v, m.v, m.n * sizeof(*m.v)) == 0);
		uidmap_release(&again);
		buf_release(&b);
	}
	uidmap_release(&m);
	return (0);
}
