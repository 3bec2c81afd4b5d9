/*
 * A copy of a keystore as it is, sealed: no root key is needed.
 *
 * The database is read in one transaction; the log is copied after it, so that
 * it holds at least what the head in the copied database says, and lines that
 * came meanwhile are taken in when the copy is opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/sys.h"

#include "kms/kms_internal.h"

#define CHUNK 65536
#define TRIES 100 /* of a step, while another process writes */

static void
conn_cleanup(sqlite3 **c)
{

	(void)sqlite3_close_v2(*c);
	*c = NULL;
}

static void
fd_cleanup(int *fd)
{

	if (*fd >= 0)
		(void)sys->close(*fd);
}

static enum err
fail(const char *path)
{

	return err_fail(err_from_errno(errno), "%s: %s", path, strerror(errno));
}

static enum err
fail_sql(const char *path, int rc)
{

	return err_fail(rc == SQLITE_FULL ? ERR_NOSPC
			: rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB
			    ? ERR_CORRUPT
			    : ERR_IO,
	    "%s: %s", path, sqlite3_errstr(rc));
}

/* Made here so that it has the right mode. */
static enum err
make(const char *path, int *ret)
{

	*ret = sys->open(
	    path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return *ret < 0 ? fail(path) : OK;
}

static enum err
copy_db(const char *from, const char *to, const char *vfs, uint64_t *ret_oldest,
    uint64_t *ret_last)
{
	sqlite3 *a CLEANUP(conn_cleanup) = NULL;
	sqlite3 *b CLEANUP(conn_cleanup) = NULL;
	sqlite3_backup *job;
	struct db copy;
	int rc;

	rc = sqlite3_open_v2(
	    from, &a, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(a,
		    "PRAGMA trusted_schema=OFF; PRAGMA mmap_size=0;", NULL,
		    NULL, NULL);
	if (rc != SQLITE_OK)
		return fail_sql(from, rc);
	rc = sqlite3_open_v2(
	    to, &b, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(b,
		    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;", NULL,
		    NULL, NULL);
	if (rc != SQLITE_OK)
		return fail_sql(to, rc);
	job = sqlite3_backup_init(b, "main", a, "main");
	if (job == NULL)
		return fail_sql(to, sqlite3_errcode(b));
	for (int i = 0; i < TRIES; i++) {
		rc = sqlite3_backup_step(job, -1);
		if (rc != SQLITE_BUSY && rc != SQLITE_LOCKED)
			break;
		(void)sqlite3_sleep(100);
	}
	(void)sqlite3_backup_finish(job);
	if (rc != SQLITE_DONE)
		return fail_sql(from, rc);
	copy.h = b;
	return audit_head_span(&copy, ret_oldest, ret_last);
}

static enum err
copy_file(const char *from, int to)
{
	uint8_t buf[CHUNK];
	int fd CLEANUP(fd_cleanup) =
	    sys->open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);
	struct stat st;

	/* A keystore that was never used has no log. */
	if (fd < 0 && errno == ENOENT)
		return OK;
	if (fd < 0 || sys->fstat(fd, &st) != 0)
		return fail(from);
	if (!S_ISREG(st.st_mode))
		return err_fail(ERR_IO,
		    "%s is not a regular file; put back the one that was there",
		    from);
	for (uint64_t at = 0; at < (uint64_t)st.st_size;) {
		const uint64_t left = (uint64_t)st.st_size - at;
		const size_t n = left < CHUNK ? (size_t)left : CHUNK;

		TRY(sys_pread_full(fd, buf, n, at));
		TRY(sys_pwrite_full(to, buf, n, at));
		at += n;
	}
	return OK;
}

static enum err
copy_segment(const char *path, const char *to, uint64_t n)
{
	char from_log[AUDIT_PATH_MAX], to_log[AUDIT_PATH_MAX];
	int log CLEANUP(fd_cleanup) = -1;

	audit_segment_path(path, n, from_log);
	audit_segment_path(to, n, to_log);
	TRY(make(to_log, &log));
	TRY(copy_file(from_log, log));
	return sys->fdatasync(log) != 0 ? fail(to_log) : OK;
}

enum err
kms_copy(const char *path, const char *to)
{
	int db CLEANUP(fd_cleanup) = -1;
	uint64_t n = 1, last = 1;

	if (strlen(path) >= PATH_MAX || strlen(to) >= PATH_MAX)
		return ERR_NAMETOOLONG;
	TRY(make(to, &db));
	TRY(copy_db(path, to, kms_vfs(), &n, &last));
	if (sys->fdatasync(db) != 0)
		return fail(to);
	/* As the copy says: a segment that was begun since is not its own. */
	for (; n <= last; n++)
		TRY(copy_segment(path, to, n));
	return OK;
}
