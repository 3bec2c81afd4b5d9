/*
 * backup_manifest: the text that makes a directory a backup.
 *
 *	ssefs backup 1
 *	store UUID
 *	epoch N
 *	base N DIGEST           the backup before it and its manifest's digest;
 *	                        0 and zeros: none
 *	state SHA256            of all rows of the metadata
 *	made SECONDS
 *	damaged N
 *	file NAME SIZE SHA256   for each file
 *	digest SHA256           of all lines above
 *
 * Numbers are decimal, digests hexadecimal; one space stands between fields, a
 * line feed ends each line, and nothing follows the last.
 */
#include <string.h>

#include "lib/base/buf.h"

#include "store/backup_internal.h"

#define HEX_LEN (2 * SHA256_LEN)

const char *const backup_names[BF_COUNT_] = {
	[BF_META] = "meta.db",
	[BF_INDEX] = "index",
	[BF_BLOCKS] = "blocks",
	[BF_KEYS] = "keys.db",
	[BF_AUDIT] = "keys.db-audit.log",
};

enum err
manifest_print(struct backup_manifest *m, struct buf *out)
{
	char hex[HEX_LEN + 1], state[HEX_LEN + 1], id[UUID_STRLEN + 1];

	uuid_format(m->store, id);
	hex_encode(m->base_digest, SHA256_LEN, hex);
	hex_encode(m->state, SHA256_LEN, state);
	TRY(buf_printf(out,
	    "ssefs backup %d\nstore %s\nepoch %llu\nbase %llu %s\n"
	    "state %s\nmade %lld\ndamaged %llu\n",
	    BACKUP_FORMAT, id, (unsigned long long)m->epoch,
	    (unsigned long long)m->base, hex, state, (long long)m->made,
	    (unsigned long long)m->damaged));
	for (int i = 0; i < BF_COUNT_; i++) {
		if ((i == BF_KEYS || i == BF_AUDIT) && !m->keys)
			continue;
		hex_encode(m->file[i].sha, SHA256_LEN, hex);
		TRY(buf_printf(out, "file %s %llu %s\n", backup_names[i],
		    (unsigned long long)m->file[i].size, hex));
	}
	sha256(out->p, out->len, m->digest);
	hex_encode(m->digest, SHA256_LEN, hex);
	return (buf_printf(out, "digest %s\n", hex));
}

/* ---- Reading ------------------------------------------------------------ */

struct text {
	const char *p, *end;
};

static enum err
word(struct text *t, const char *want)
{
	const size_t n = strlen(want);

	if ((size_t)(t->end - t->p) < n || memcmp(t->p, want, n) != 0)
		return (ERR_CORRUPT);
	t->p += n;
	return (OK);
}

/* No leading zeros: each manifest has one spelling. */
static enum err
number(struct text *t, uint64_t *ret)
{
	const char *const first = t->p;
	uint64_t v = 0;

	for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++) {
		if (v > (INT64_MAX - 9) / 10)
			return (ERR_CORRUPT);
		v = v * 10 + (uint64_t)(*t->p - '0');
	}
	if (t->p == first || (*first == '0' && t->p - first > 1))
		return (ERR_CORRUPT);
	*ret = v;
	return (OK);
}

static enum err
digest(struct text *t, uint8_t ret[static SHA256_LEN])
{
	char again[HEX_LEN + 1];

	if (t->end - t->p < HEX_LEN ||
	    hex_decode(t->p, HEX_LEN, ret, SHA256_LEN) != OK)
		return (ERR_CORRUPT);
	hex_encode(ret, SHA256_LEN, again);
	return (word(t, again));
}

static enum err
store_id(struct text *t, uint8_t ret[static UUID_LEN])
{
	char id[UUID_STRLEN + 1] = { 0 }, again[UUID_STRLEN + 1];

	if (t->end - t->p < UUID_STRLEN)
		return (ERR_CORRUPT);
	memcpy(id, t->p, UUID_STRLEN);
	if (uuid_parse(id, UUID_STRLEN, ret) != OK)
		return (ERR_CORRUPT);
	uuid_format(ret, again);
	return (word(t, again));
}

static enum err
file_line(struct text *t, int i, struct backup_manifest *m)
{
	TRY(word(t, "file "));
	TRY(word(t, backup_names[i]));
	TRY(word(t, " "));
	TRY(number(t, &m->file[i].size));
	TRY(word(t, " "));
	TRY(digest(t, m->file[i].sha));
	return (word(t, "\n"));
}

static enum err
body(struct text *t, struct backup_manifest *m)
{
	uint64_t made = 0;

	TRY(word(t, "\nstore "));
	TRY(store_id(t, m->store));
	TRY(word(t, "\nepoch "));
	TRY(number(t, &m->epoch));
	TRY(word(t, "\nbase "));
	TRY(number(t, &m->base));
	TRY(word(t, " "));
	TRY(digest(t, m->base_digest));
	TRY(word(t, "\nstate "));
	TRY(digest(t, m->state));
	TRY(word(t, "\nmade "));
	TRY(number(t, &made));
	m->made = (int64_t)made;
	TRY(word(t, "\ndamaged "));
	TRY(number(t, &m->damaged));
	TRY(word(t, "\n"));
	for (int i = 0; i < BF_KEYS; i++)
		TRY(file_line(t, i, m));
	m->keys = t->p < t->end && *t->p == 'f';
	for (int i = BF_KEYS; m->keys && i < BF_COUNT_; i++)
		TRY(file_line(t, i, m));
	return (OK);
}

enum err
manifest_parse(const uint8_t *p, size_t len, struct backup_manifest *ret)
{
	struct text t = { (const char *)p, (const char *)p + len };
	struct backup_manifest m = { .epoch = 0 };
	uint8_t sum[SHA256_LEN];
	uint64_t format = 0;

	if (len > MANIFEST_MAX)
		return (ERR_CORRUPT);
	TRY(word(&t, "ssefs backup "));
	TRY(number(&t, &format));
	if (format > BACKUP_FORMAT)
		return (err_fail(ERR_VERSION,
		    "the backup has format %llu, this program "
		    "(" SSEFS_VERSION ") knows formats up to %d",
		    (unsigned long long)format, BACKUP_FORMAT));
	TRY(body(&t, &m));
	sha256(p, (size_t)(t.p - (const char *)p), sum);
	TRY(word(&t, "digest "));
	TRY(digest(&t, m.digest));
	TRY(word(&t, "\n"));
	if (t.p != t.end || format == 0 || m.epoch == 0 || m.base >= m.epoch ||
	    m.file[BF_INDEX].size % INDEX_REC != 0 ||
	    m.file[BF_BLOCKS].size % BLOCK != 0 ||
	    memcmp(sum, m.digest, SHA256_LEN) != 0)
		return (ERR_CORRUPT);
	*ret = m;
	return (OK);
}
