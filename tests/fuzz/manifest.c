/*
 * Manifests and index records of backups (store/backup_manifest.c).
 *
 * Input: a byte of flags (1: correct the digest), the manifest.
 */
#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "lib/base/codec.h"
#include "store/backup_internal.h"

#include "tests/fuzz/fuzz.h"

#define LINE (7 + 2 * SHA256_LEN + 1) /* "digest …\n" */

static void
correct(uint8_t *p, size_t len)
{
	uint8_t sum[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];

	sha256(p, len - LINE, sum);
	hex_encode(sum, sizeof(sum), hex);
	memcpy(p + len - LINE, "digest ", 7);
	memcpy(p + len - LINE + 7, hex, 2 * SHA256_LEN);
	p[len - 1] = '\n';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const uint64_t flags = feed_int(&f, 1);
	uint8_t *text CLEANUP_FREE = exact(f.p, f.len);
	struct backup_manifest m;
	struct index_rec r, again;
	struct buf b CLEANUP_BUF;
	uint8_t rec[INDEX_REC];

	buf_init(&b, 2 * MANIFEST_MAX);
	if ((flags & 1) != 0 && f.len >= LINE)
		correct(text, f.len);
	if (manifest_parse(text, f.len, &m) == OK) {
		HOLDS(m.epoch != 0 && m.base < m.epoch && m.made >= 0);
		HOLDS(m.file[BF_INDEX].size % INDEX_REC == 0);
		/* There is one way to write it. */
		HOLDS(manifest_print(&m, &b) == OK);
		HOLDS(b.len == f.len && memcmp(b.p, text, f.len) == 0);
	}
	if (f.len >= INDEX_REC) {
		index_get(text, &r);
		index_put(rec, &r);
		HOLDS(memcmp(rec, text, sizeof(rec)) == 0);
		index_get(rec, &again);
		HOLDS(again.slot == r.slot && again.crc == r.crc);
	}
	return (0);
}
