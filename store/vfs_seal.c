/*
 * vfs_seal: which databases are sealed; the rounds of the WAL and the marks.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/sys.h"

#include "store/store_internal.h"
#include "store/vfs_seal.h"

#define RECORD_MAGIC "SSEFSEAL"
#define RECORD_VERSION 1
#define MARKS 3
#define MARK_LAZY 2 /* the place of marks that are not synced */
#define HEADER_TEXT (8 + WAL_HDR)

static struct vfs_seal *seals; /* vfs_lock */

int
vfs_seal_rc(enum err e)
{
	if (e == OK)
		return (SQLITE_OK);
	if (e == ERR_NOMEM)
		return (SQLITE_IOERR_NOMEM);
	if (e == ERR_AUTH)
		return (SQLITE_IOERR_DATA);
	return (SQLITE_IOERR);
}

int
vfs_seal_bad(struct vfs_seal *s, const char *what, uint64_t number)
{
	if (!atomic_exchange(&s->told, true))
		log_error("%s: %s %llu was damaged, altered or put back",
		    s->path, what, (unsigned long long)number);
	return (SQLITE_IOERR_DATA);
}

/* ---- Marks ---------------------------------------------------------------- */

/*
 * The text of a mark (32 bytes):
 *	 0  8  how many marks were written, with this one
 *	 8  4  1: there is a WAL; 0: none yet, the rest is zero
 *	12  4  its header's checkpoint sequence number
 *	16  8  its salts
 *	24  4  frames of it that are durable
 *	28  4  zero
 */
static enum err
mark_seal(struct seal *keys, const struct seal_mark *m, uint64_t count,
    unsigned at, uint8_t ret[static SEAL_MARKLEN + SEAL_TRAILER])
{
	uint8_t text[SEAL_MARKLEN] = { 0 };

	put_u64(text, count);
	put_u32(text + 8, m->known ? 1 : 0);
	put_u32(text + 12, m->seq);
	memcpy(text + 16, m->salt, sizeof(m->salt));
	put_u32(text + 24, m->frames);
	return (seal_put(keys, SEAL_MARK, at, text, sizeof(text), ret));
}

static uint64_t
mark_off(unsigned at)
{
	return (SEAL_MARKS + (uint64_t)at * SEAL_STEP);
}

/* The newest mark.  One of those that are not synced may be torn; the others
 * are written in turn, so one of them is whole. */
static int
marks_load(struct vfs_seal *s)
{
	uint8_t msg[SEAL_MARKLEN + SEAL_TRAILER], text[SEAL_MARKLEN];
	bool found = false;

	for (unsigned at = 0; at < MARKS; at++) {
		const int rc =
		    vfs_node_read(s->main, msg, sizeof(msg), mark_off(at));
		enum err e;

		if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
			return (rc);
		e = seal_get(s->keys, SEAL_MARK, at, msg, sizeof(text), text);
		if (e != OK && e != ERR_AUTH)
			return (vfs_seal_rc(e));
		if (e != OK || get_u64(text) <= s->marks)
			continue;
		found = true;
		s->marks = get_u64(text);
		s->mark_at = at == MARK_LAZY ? s->mark_at : at;
		s->mark.known = get_u32(text + 8) != 0;
		s->mark.seq = get_u32(text + 12);
		memcpy(s->mark.salt, text + 16, sizeof(s->mark.salt));
		s->mark.frames = get_u32(text + 24);
	}
	return (found ? SQLITE_OK : vfs_seal_bad(s, "each mark of", MARKS));
}

static bool
same_round(const struct seal_mark *a, const struct seal_mark *b)
{
	return (a->known == b->known && a->seq == b->seq &&
		memcmp(a->salt, b->salt, sizeof(a->salt)) == 0);
}

static int
mark_write(struct vfs_seal *s, const struct seal_mark *m, bool durable)
{
	uint8_t msg[SEAL_MARKLEN + SEAL_TRAILER];
	uint64_t count;
	unsigned at;
	enum err e;
	int rc;

	if (s->main == NULL || s->main->readonly)
		return (SQLITE_OK);
	lock_take(&s->lock);
	if (same_round(m, &s->home) && m->frames <= s->home.frames) {
		lock_drop(&s->lock);
		return (SQLITE_OK);
	}
	at = durable ? 1 - s->mark_at : MARK_LAZY;
	count = ++s->marks;
	lock_drop(&s->lock);
	e = mark_seal(s->keys, m, count, at, msg);
	if (e != OK)
		return (vfs_seal_rc(e));
	rc = vfs_node_write(s->main, msg, sizeof(msg), mark_off(at));
	if (rc == SQLITE_OK && durable)
		rc = vfs_node_sync(s->main);
	if (rc != SQLITE_OK || !durable)
		return (rc);
	/* Not before: what failed is written again in the same place, so that
	 * the other one stays whole. */
	LOCK_SCOPE(&s->lock);
	s->mark_at = at;
	s->home = *m;
	return (SQLITE_OK);
}

/* ---- Rounds of the WAL ---------------------------------------------------- */

/* Is the WAL whose header was found one that may follow the newest mark? */
static bool
round_ok(const struct seal_mark *mark, const struct seal_mark *found)
{
	if (!mark->known)
		return (true);
	if (!found->known)
		return (false);
	/* A round begins when all frames of the one before are home. */
	if (found->seq == mark->seq + 1)
		return (true);
	/* A header without frames after it is written anew. */
	return (found->seq == mark->seq &&
		(mark->frames == 0 || same_round(found, mark)));
}

static int
header_load(struct vfs_seal *s, const struct vfs_node *wal)
{
	uint8_t msg[HEADER_TEXT + SEAL_TRAILER], text[HEADER_TEXT];

	for (unsigned at = 0; at < 2; at++) {
		const int rc = vfs_node_read(
		    wal, msg, sizeof(msg), (uint64_t)at * SEAL_STEP);
		enum err e;

		if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
			return (rc);
		e = seal_get(s->keys, SEAL_WAL, at, msg, sizeof(text), text);
		if (e != OK && e != ERR_AUTH)
			return (vfs_seal_rc(e));
		if (e != OK || get_u64(text) <= s->headers)
			continue;
		s->headers = get_u64(text);
		s->header_at = at;
		memcpy(s->header, text + 8, WAL_HDR);
		s->now.known = true;
		s->now.seq = get_u32(s->header + 12);
		memcpy(s->now.salt, s->header + 16, sizeof(s->now.salt));
	}
	if (!round_ok(&s->mark, &s->now))
		return (
		    vfs_seal_bad(s, "the WAL's header, round", s->mark.seq));
	if (s->mark.known && same_round(&s->now, &s->mark))
		s->need = s->mark.frames;
	s->now.frames = s->need;
	return (SQLITE_OK);
}

int
vfs_seal_round(struct vfs_node *n, const uint8_t hdr[static WAL_HDR])
{
	struct vfs_seal *const s = n->seal;
	uint8_t msg[HEADER_TEXT + SEAL_TRAILER], text[HEADER_TEXT];
	const unsigned at = 1 - s->header_at;
	enum err e;
	int rc;

	/* Only the connection that writes comes here. */
	put_u64(text, s->headers + 1);
	memcpy(text + 8, hdr, WAL_HDR);
	e = seal_put(s->keys, SEAL_WAL, at, text, sizeof(text), msg);
	if (e != OK)
		return (vfs_seal_rc(e));
	rc = vfs_node_write(n, msg, sizeof(msg), (uint64_t)at * SEAL_STEP);
	if (rc != SQLITE_OK)
		return (rc);
	LOCK_SCOPE(&s->lock);
	s->headers++;
	s->header_at = at;
	memcpy(s->header, hdr, WAL_HDR);
	s->now = (struct seal_mark){ .known = true, .seq = get_u32(hdr + 12) };
	memcpy(s->now.salt, hdr + 16, sizeof(s->now.salt));
	s->need = s->written = s->last = s->reached = 0;
	s->reached_end = false;
	return (SQLITE_OK);
}

void
vfs_seal_committed(struct vfs_seal *s)
{
	LOCK_SCOPE(&s->lock);
	if (s->last > s->now.frames)
		s->now.frames = s->last;
}

int
vfs_seal_sync(struct vfs_node *n, bool home)
{
	struct vfs_seal *const s = n->seal;
	struct seal_mark m;
	int rc;

	/* What is finished now; more may be written while the sync runs. */
	lock_take(&s->lock);
	m = s->now;
	lock_drop(&s->lock);
	rc = vfs_node_sync(n);
	if (rc != SQLITE_OK || !m.known)
		return (rc);
	return (mark_write(s, &m, home && m.frames > 0));
}

/* ---- Which databases ------------------------------------------------------ */

struct vfs_seal *
vfs_seal_of(const char *path)
{
	for (struct vfs_seal *s = seals; s != NULL; s = s->next) {
		const size_t len = strlen(s->path);

		if (strncmp(path, s->path, len) == 0 &&
		    (path[len] == '\0' || strcmp(path + len, "-wal") == 0 ||
			strcmp(path + len, "-journal") == 0))
			return (s);
	}
	return (NULL);
}

const char *
vfs_seal_name(const char *path, char *buf)
{
	const size_t len = strlen(path);

	if (len >= 8 && strcmp(path + len - 8, "-journal") == 0)
		return (NULL);
	if (len < 4 || len >= PATH_MAX || strcmp(path + len - 4, "-wal") != 0)
		return (path);
	memcpy(buf, path, len - 4);
	memcpy(buf + len - 4, "-log", 5);
	return (buf);
}

int
vfs_seal_open(struct vfs_file *f)
{
	struct vfs_node *const n = f->node;
	struct vfs_seal *const s = n->seal;
	int rc = SQLITE_OK;

	if (!n->is_wal)
		s->main = n;
	/* Once: from then on we know better than the files. */
	if (!n->is_wal && s->marks == 0)
		rc = marks_load(s);
	if (n->is_wal && !s->wal_seen)
		rc = header_load(s, n);
	s->wal_seen = s->wal_seen || (n->is_wal && rc == SQLITE_OK);
	if (rc != SQLITE_OK)
		return (rc);
	f->buf = calloc(1, sizeof(*f->buf));
	return (f->buf == NULL ? SQLITE_NOMEM : SQLITE_OK);
}

void
vfs_seal_close(struct vfs_file *f)
{
	if (f->buf != NULL)
		secret_wipe(f->buf, sizeof(*f->buf));
	free(f->buf);
	f->buf = NULL;
}

void
vfs_seal_ref(struct vfs_seal *s)
{
	if (s != NULL)
		s->refs++;
}

void
vfs_seal_unref(struct vfs_seal *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	seal_free(s->keys);
	lock_destroy(&s->lock);
	free(s->path);
	free(s);
}

/* ${path} as SQLite will ask for it. */
static enum err
full_path(const char *path, char ret[static PATH_MAX])
{
	sqlite3_vfs *const vfs = sqlite3_vfs_find(VFS_NAME);

	if (vfs == NULL)
		return (ERR_INTERNAL);
	return (db_err(vfs->xFullPathname(vfs, path, PATH_MAX, ret)));
}

enum err
vfs_seal_add(const char *path, const struct key *key,
    const uint8_t uuid[static UUID_LEN])
{
	struct vfs_seal *s;
	char full[PATH_MAX];
	enum err e;

	TRY(vfs_register());
	TRY(full_path(path, full));
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return (ERR_NOMEM);
	lock_init(&s->lock, RANK_SEAL, "sealed database");
	s->refs = 1;
	s->path = strdup(full);
	e = s->path == NULL ? ERR_NOMEM : seal_new(key, uuid, &s->keys);
	if (e != OK) {
		vfs_seal_unref(s);
		return (e);
	}
	LOCK_SCOPE(&vfs_lock);
	s->next = seals;
	seals = s;
	return (OK);
}

void
vfs_seal_drop(const char *path)
{
	char full[PATH_MAX];

	if (path == NULL || vfs_register() != OK || full_path(path, full) != OK)
		return;
	LOCK_SCOPE(&vfs_lock);
	for (struct vfs_seal **p = &seals; *p != NULL; p = &(*p)->next) {
		struct vfs_seal *const s = *p;

		if (strcmp(s->path, full) != 0)
			continue;
		*p = s->next;
		vfs_seal_unref(s);
		return;
	}
}

enum err
vfs_seal_check(const char *path)
{
	char full[PATH_MAX];

	TRY(full_path(path, full));
	LOCK_SCOPE(&vfs_lock);
	struct vfs_seal *const s = vfs_seal_of(full);

	if (s == NULL)
		return (OK);
	LOCK_SCOPE(&s->lock);
	/* It looks at the frame after the last that it takes. */
	if (s->need == 0 || s->reached > s->need)
		return (OK);
	(void)vfs_seal_bad(s, "the WAL, frame", s->reached);
	return (err_fail(ERR_CORRUPT,
	    "meta.db-log: it was damaged or cut: %u frames were durable",
	    s->need));
}

/* ---- The front ------------------------------------------------------------ */

/*
 * The seal record (44 bytes), in clear:
 *	 0  8  "SSEFSEAL"
 *	 8  4  version, 1
 *	12  4  bytes of a page         16  4  of these, reserved
 *	20  4  bytes before the first page
 *	24 16  uuid of the store
 *	40  4  CRC32C of the 40 bytes before
 */
static void
record_make(const uint8_t *uuid, uint8_t ret[static SEAL_RECLEN])
{
	memcpy(ret, RECORD_MAGIC, 8);
	put_u32(ret + 8, RECORD_VERSION);
	put_u32(ret + 12, SEAL_PAGESIZE);
	put_u32(ret + 16, SEAL_RESERVE);
	put_u32(ret + 20, SEAL_FRONT);
	memcpy(ret + 24, uuid, UUID_LEN);
	put_u32(ret + 40, crc32c(0, ret, 40));
}

static enum err
format(int fd, const struct key *key, const uint8_t *uuid)
{
	uint8_t *all CLEANUP_FREE = calloc(1, SEAL_FRONT - SEAL_RECORD);
	const struct seal_mark none = { .known = false };
	struct seal *s = NULL;
	struct stat sb;
	enum err e;

	if (all == NULL)
		return (ERR_NOMEM);
	if (sys->fstat(fd, &sb) != 0)
		return (err_from_errno(errno));
	if (sb.st_size > SEAL_RECORD)
		return (ERR_INTERNAL);
	record_make(uuid, all);
	TRY(seal_new(key, uuid, &s));
	e = mark_seal(s, &none, 1, 0, all + (SEAL_MARKS - SEAL_RECORD));
	seal_free(s);
	TRY(e);
	TRY(sys_pwrite_full(fd, all, SEAL_FRONT - SEAL_RECORD, SEAL_RECORD));
	return (sys->fdatasync(fd) == 0 ? OK : err_from_errno(errno));
}

static void
fd_close(int *fd)
{
	if (*fd >= 0)
		(void)sys->close(*fd);
}

enum err
vfs_seal_format(const char *path, const struct key *key,
    const uint8_t uuid[static UUID_LEN])
{
	int fd CLEANUP(fd_close) =
	    sys->open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd < 0)
		return (err_from_errno(errno));
	return (format(fd, key, uuid));
}

/* What is no database is found out when it is opened.  What the disk does not
 * give now it may give then: a sealed one would be taken for a damaged one. */
static enum err
look_failed(enum err e)
{
	return (e == ERR_IO || e == ERR_NOSPC || e == ERR_NOMEM
		    ? err_fail(e, "meta.db: it cannot be read")
		    : OK);
}

enum err
vfs_seal_look(
    const char *path, bool *ret_sealed, uint8_t ret_uuid[static UUID_LEN])
{
	uint8_t head[100] = { 0 }, rec[SEAL_RECLEN], want[SEAL_RECLEN];
	int fd CLEANUP(fd_close) =
	    sys->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat sb;
	enum err e;

	*ret_sealed = false;
	if (fd < 0 || sys->fstat(fd, &sb) != 0)
		return (look_failed(err_from_errno(errno)));
	if (!S_ISREG(sb.st_mode))
		return (OK);
	e = sys_pread_full(fd, head, sizeof(head), 0);
	if (e != OK)
		return (look_failed(e));
	if (memcmp(head, "SQLite format 3", 16) != 0 ||
	    get_u32(head + 60) != STORE_FORMAT_SEALED)
		return (OK);
	*ret_sealed = true;
	e = sys_pread_full(fd, rec, sizeof(rec), SEAL_RECORD);
	if (e == OK) {
		record_make(rec + 24, want);
		if (memcmp(rec, want, sizeof(rec)) == 0) {
			memcpy(ret_uuid, rec + 24, UUID_LEN);
			return (OK);
		}
	}
	TRY(look_failed(e));
	return (err_fail(ERR_CORRUPT, "meta.db: the seal record is damaged"));
}
