/*
 * The head of the audit log, in the keystore, and its settings.
 *
 * The head, integers big-endian:
 *	  0  8  seq of the last line
 *	  8  8  size of its segment up to its end
 *	 16 32  its mac
 *	 48 32  its link
 *	 80  8  the line that the links begin with
 *	 88  8  number of the segment
 *	 96  8  its first line
 *	104  8  number of the oldest segment that is kept
 *	112  8  line of the last checkpoint; 0: none
 *	120  8  when that was made
 *	128  8  line at which a head was found that is not ours; 0: none; and the
 *	        highest bit: lines before ${from} come from an older format
 *	136 32  HMAC-SHA-256(head key, keystore uuid || bytes 0..135)
 * Older keystores have the first 48 bytes only.
 *
 * A head that fails its HMAC is used as it is, since keys must not be lost with
 * it, and that it was found is never forgotten: verification tells.
 */
#include <errno.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/secret.h"

#include "kms/audit.h"
#include "kms/audit_log.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"
#include "kms/sysfd.h"

#define HEAD_OLD 48
#define HEAD_TAGGED 136
#define OLDER (UINT64_C(1) << 63)
#define SEQ_MAX (INT64_MAX / 2)
#define SEGMENTS_MAX 1000000 /* in one copy */
#define SEGMENT_DEFAULT ((uint64_t)64 << 20)

_Static_assert(HEAD_TAGGED + SHA256_LEN == AUDIT_HEAD_LEN, "audit head");

static void
head_tag(const struct hmac_key *key, const uint8_t *uuid, const uint8_t *raw,
    uint8_t ret[static SHA256_LEN])
{
	struct hmac_ctx c;

	hmac_begin(&c, key);
	hmac_add(&c, uuid, UUID_LEN);
	hmac_add(&c, raw, HEAD_TAGGED);
	hmac_end(&c, ret);
}

static bool
head_good(const struct hmac_key *key, const uint8_t *uuid,
    const uint8_t raw[static AUDIT_HEAD_LEN])
{
	uint8_t tag[SHA256_LEN];

	head_tag(key, uuid, raw, tag);
	return secret_cmp(tag, raw + HEAD_TAGGED, SHA256_LEN) == 0;
}

static enum err
head_write(struct db *db, const struct hmac_key *key, const uint8_t *uuid,
    const struct audit_head *h)
{
	uint8_t raw[AUDIT_HEAD_LEN];

	put_u64(raw, h->seq);
	put_u64(raw + 8, h->size);
	memcpy(raw + 16, h->mac, SHA256_LEN);
	memcpy(raw + 48, h->link, SHA256_LEN);
	put_u64(raw + 80, h->from);
	put_u64(raw + 88, h->n);
	put_u64(raw + 96, h->first);
	put_u64(raw + 104, h->oldest);
	put_u64(raw + 112, h->marked);
	put_u64(raw + 120, (uint64_t)h->marked_at);
	put_u64(raw + 128, h->forged | (h->older ? OLDER : 0));
	head_tag(key, uuid, raw, raw + HEAD_TAGGED);
	return kdb_run(db,
	    "INSERT OR REPLACE INTO meta(k, v) VALUES('audit', ?)", "b",
	    (const void *)raw, sizeof(raw));
}

static void
head_read_old(const uint8_t *raw, struct audit_head *ret)
{

	*ret = (struct audit_head){ .n = 1, .first = 1, .oldest = 1 };
	ret->seq = get_u64(raw);
	ret->size = get_u64(raw + 8);
	memcpy(ret->mac, raw + 16, SHA256_LEN);
	ret->from = ret->seq + 1;
}

static void
head_read(const uint8_t *raw, struct audit_head *ret)
{

	head_read_old(raw, ret);
	memcpy(ret->link, raw + 48, SHA256_LEN);
	ret->from = get_u64(raw + 80);
	ret->n = get_u64(raw + 88);
	ret->first = get_u64(raw + 96);
	ret->oldest = get_u64(raw + 104);
	ret->marked = get_u64(raw + 112);
	ret->marked_at = (int64_t)get_u64(raw + 120);
	ret->forged = get_u64(raw + 128) & ~OLDER;
	ret->older = (get_u64(raw + 128) & OLDER) != 0;
}

/* The row as it is; *ret_len HEAD_OLD or AUDIT_HEAD_LEN. */
static enum err
head_row(struct db *db, uint8_t raw[static AUDIT_HEAD_LEN], size_t *ret_len)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;

	TRY(kdb_query(db, &st, "SELECT v FROM meta WHERE k = 'audit'", ""));
	TRY(kdb_step(db, st, &row));
	if (!row)
		return err_fail(ERR_CORRUPT, "keystore: no audit head");
	*ret_len =
	    sqlite3_column_bytes(st, 0) == HEAD_OLD ? HEAD_OLD : AUDIT_HEAD_LEN;
	return kdb_col_blob(st, 0, raw, *ret_len);
}

/* The segment ${n} of the log; 0 when there is none. */
static enum err
segment_size(struct kms *k, uint64_t n, uint64_t *ret)
{
	int fd CLEANUP_SYSFD = -1;
	struct stat st;
	const enum err e = audit_log_open(k, n, false, &fd);

	*ret = 0;
	if (e == ERR_NOENT)
		return OK;
	TRY(e);
	if (sys->fstat(fd, &st) != 0)
		return err_from_errno(errno);
	*ret = (uint64_t)st.st_size;
	return OK;
}

/* Numbers of a head that nothing vouches for.  What it calls the end of the log
 * lies in the log: zeros up to anywhere else would be written, and read by who
 * verifies. */
static enum err
head_bound(struct kms *k, struct audit_head *h)
{
	uint64_t size;

	TRY(segment_size(k, h->n, &size));
	if (h->seq > SEQ_MAX)
		h->seq = h->size = 0;
	if (h->size > size)
		h->size = 0;
	if (h->from < 1 || h->from > h->seq + 1)
		h->from = h->seq + 1;
	h->marked = 0;
	h->marked_at = 0;
	return OK;
}

/* A head of somebody else's: the segment is the last that there is. */
static enum err
head_mend(struct kms *k, struct audit_head *h)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;
	int64_t n = 0;

	TRY(kdb_query(&k->db, &st, "SELECT count(*) FROM audit_segments", ""));
	TRY(kdb_step(&k->db, st, &row));
	if (row)
		TRY(kdb_col_int(st, 0, 0, INT64_MAX, &n));
	/* Their numbers have no gaps. */
	h->n = n == 0 ? 1 : (uint64_t)n;
	if (h->oldest < 1 || h->oldest > h->n)
		h->oldest = 1;
	TRY(head_bound(k, h));
	h->forged = h->seq + 1;
	return OK;
}

enum err
audit_head_load(struct kms *k, struct audit_head *ret)
{
	uint8_t raw[AUDIT_HEAD_LEN];
	size_t len = 0;

	TRY(head_row(&k->db, raw, &len));
	if (len == HEAD_OLD) {
		head_read_old(raw, ret);
		return head_mend(k, ret);
	}
	head_read(raw, ret);
	return head_good(k->audit.head, k->uuid, raw) ? OK : head_mend(k, ret);
}

enum err
audit_head_store(struct kms *k, const struct audit_head *h)
{

	return head_write(&k->db, k->audit.head, k->uuid, h);
}

enum err
audit_begin(struct kms *k, struct kdb_tx *ret)
{
	struct kdb_tx tx CLEANUP_TX = { NULL };
	struct audit_head h;

	if (k->audit.torn) {
		TRY(kdb_begin(&k->db, &tx));
		TRY(audit_head_load(k, &h));
		TRY(audit_head_store(k, &h));
		TRY(kdb_commit(&tx));
	}
	return kdb_begin(&k->db, ret);
}

enum err
audit_head_span(struct db *db, uint64_t *ret_oldest, uint64_t *ret_n)
{
	uint8_t raw[AUDIT_HEAD_LEN];
	struct audit_head h;
	size_t len = 0;

	TRY(head_row(db, raw, &len));
	if (len == HEAD_OLD)
		head_read_old(raw, &h);
	else
		head_read(raw, &h);
	if (h.oldest < 1 || h.n < h.oldest || h.n - h.oldest > SEGMENTS_MAX)
		return err_fail(ERR_CORRUPT, "keystore: no audit head");
	*ret_oldest = h.oldest;
	*ret_n = h.n;
	return OK;
}

/* ---- Making ----------------------------------------------------------------- */

static enum err
head_key(const struct key *kmk, const char *label, struct hmac_key *ret)
{
	WIPED(uint8_t, raw, KEY_LEN);

	TRY(hkdf_label(kmk->b, label, NULL, 0, raw, sizeof(raw)));
	hmac_key_set(ret, raw, sizeof(raw));
	return OK;
}

enum err
audit_head_make(struct db *db, const struct key *kmk, const uint8_t *uuid,
    bool older, const uint8_t *old, int64_t now)
{
	struct audit_head h = { .n = 1, .first = 1, .oldest = 1, .from = 1 };
	WIPED(struct hmac_key, key, 1);
	struct audit_key first;

	if (old != NULL)
		head_read_old(old, &h);
	/* Nothing shows that it is the last that there was. */
	h.older = older;
	h.marked_at = now;
	TRY(head_key(kmk, AUDIT_HEAD_LABEL, key));
	TRY(audit_key_insert(db, kmk, uuid, NULL, NULL, 1, 1, now, &first));
	return head_write(db, key, uuid, &h);
}

/* Each format's head has a key of its own, so that none is taken for an older
 * one. */
static enum err
upgrade_head(struct kms *k, const uint8_t raw[static AUDIT_HEAD_LEN],
    size_t len, bool *ret_ours)
{
	WIPED(struct hmac_key, before, 1);
	WIPED(struct hmac_key, now, 1);
	struct audit_head h;

	TRY(head_key(k->kmk, AUDIT_HEAD_LABEL_5, before));
	TRY(head_key(k->kmk, AUDIT_HEAD_LABEL, now));
	*ret_ours = len == AUDIT_HEAD_LEN && head_good(before, k->uuid, raw);
	if (len == HEAD_OLD)
		head_read_old(raw, &h);
	else
		head_read(raw, &h);
	h.older = h.older || h.from > 1;
	if (!*ret_ours && (len == HEAD_OLD || !head_good(now, k->uuid, raw)))
		TRY(head_mend(k, &h));
	return head_write(&k->db, now, k->uuid, &h);
}

enum err
audit_upgrade(struct kms *k, int64_t format, bool *ret_ours)
{
	uint8_t raw[AUDIT_HEAD_LEN];
	struct audit_head h;
	size_t len = 0;

	TRY(head_row(&k->db, raw, &len));
	if (format >= 5)
		return upgrade_head(k, raw, len, ret_ours);
	*ret_ours = true;
	head_read_old(raw, &h);
	TRY(head_bound(k, &h));
	put_u64(raw, h.seq);
	put_u64(raw + 8, h.size);
	return audit_head_make(&k->db, k->kmk, k->uuid, true,
	    len == HEAD_OLD ? raw : NULL, clock_wall().tv_sec);
}

/* ---- Settings ------------------------------------------------------------------ */

/* ERR_CORRUPT: not what audit_settings_set() takes. */
static enum err
setting(struct kms *k, const char *name, uint64_t least, uint64_t most,
    uint64_t *ret)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	bool row = false;
	int64_t v = 0;

	TRY(kdb_query(
	    &k->db, &st, "SELECT v FROM meta WHERE k = ?", "t", name));
	TRY(kdb_step(&k->db, st, &row));
	if (!row)
		return OK;
	TRY(kdb_col_int(st, 0, (int64_t)least, (int64_t)most, &v));
	*ret = (uint64_t)v;
	return OK;
}

enum err
audit_settings_load(struct kms *k)
{
	uint64_t sync = 0, segment = SEGMENT_DEFAULT, days = 0, bytes = 0;

	TRY(setting(k, "audit_sync", 0, 1, &sync));
	TRY(setting(k, "audit_segment", AUDIT_SEGMENT_MIN, AUDIT_SEGMENT_MAX,
	    &segment));
	TRY(setting(k, "audit_days", 0, AUDIT_DAYS_MAX, &days));
	TRY(setting(k, "audit_bytes", 0, INT64_MAX, &bytes));
	atomic_store(&k->audit.sync, sync != 0);
	atomic_store(&k->audit.segment, segment);
	atomic_store(&k->audit.keep_days, days);
	atomic_store(&k->audit.keep_bytes, bytes);
	return OK;
}

void
audit_settings_get(struct kms *k, struct audit_settings *ret)
{

	*ret = (struct audit_settings){ .sync = atomic_load(&k->audit.sync),
		.segment = atomic_load(&k->audit.segment),
		.keep_days = atomic_load(&k->audit.keep_days),
		.keep_bytes = atomic_load(&k->audit.keep_bytes) };
}

static enum err
settings_tx(struct kms *k, void *arg)
{
	const struct audit_settings *s = arg;

	return kdb_run(&k->db,
	    "INSERT OR REPLACE INTO meta(k, v) VALUES('audit_sync', ?), "
	    "('audit_segment', ?), ('audit_days', ?), ('audit_bytes', ?)",
	    "iiii", (int64_t)s->sync, (int64_t)s->segment,
	    (int64_t)s->keep_days, (int64_t)s->keep_bytes);
}

static enum err
op_settings(struct kms *k, struct call *c)
{
	const struct audit_settings *s = c->arg;

	TRY(gate_policy(k, c, "kms:UpdateAuditSettings", "*"));
	if (s->segment < AUDIT_SEGMENT_MIN || s->segment > AUDIT_SEGMENT_MAX)
		return err_fail(ERR_INVAL,
		    "a file of the audit log has %llu to %llu bytes",
		    (unsigned long long)AUDIT_SEGMENT_MIN,
		    (unsigned long long)AUDIT_SEGMENT_MAX);
	if (s->keep_days > AUDIT_DAYS_MAX || s->keep_bytes > INT64_MAX)
		return err_fail(ERR_INVAL, "records are kept %d days at most",
		    AUDIT_DAYS_MAX);
	return kms_change(k, settings_tx, c->arg, true);
}

enum err
audit_settings_set(
    struct kms *k, const struct kms_who *who, const struct audit_settings *s)
{
	struct audit_settings copy = *s;
	struct call c = {
		.who = who, .event = "UpdateAuditSettings", .arg = &copy
	};

	return gate_run(k, &c, op_settings);
}

void
audit_sync_here(struct kms *k, bool on)
{

	atomic_store(&k->audit.sync_here, on);
}

bool
audit_is_sync(const struct audit *a)
{

	return atomic_load_explicit(&a->sync, memory_order_relaxed) ||
	       atomic_load_explicit(&a->sync_here, memory_order_relaxed);
}
