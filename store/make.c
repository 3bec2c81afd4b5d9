/*
 * make: a new store.
 *
 * The directory is marked first and the mark removed last, and synced: a making
 * that was cut off is known as one, and whoever comes next begins anew.  Who
 * makes holds the mark's lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "crypto/rand.h"
#include "lib/base/sys.h"

#include "store/store_internal.h"

#define PATH_LEN 4096
#define MAKING "making"

/* What a making that was cut off may have left beside its mark. */
static const char *const half_made[] = { "meta.db", "meta.db-wal",
	"meta.db-log", "meta.db-journal", "keys.db", "keys.db-wal",
	"keys.db-shm", "keys.db-journal", "keys.db-epoch", "keys.db-reserve",
	"keys.db-audit.log" };

static enum err
path_of(const char *dir, const char *name, char ret[static PATH_LEN])
{
	if ((size_t)snprintf(ret, PATH_LEN, "%s/%s", dir, name) >= PATH_LEN)
		return (ERR_NAMETOOLONG);
	return (OK);
}

static bool
is_half_made(const char *name)
{
	for (size_t i = 0; i < COUNTOF(half_made); i++)
		if (strcmp(name, half_made[i]) == 0)
			return (true);
	return (strcmp(name, MAKING) == 0);
}

static enum err
not_empty(const char *dir)
{
	return (err_fail(ERR_EXIST,
	    "%s is not empty: a store is made in a new or empty directory",
	    dir));
}

enum may_hold { NOTHING, THE_MARK, HALF_MADE };

static bool
may_stay(const char *name, enum may_hold may)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return (true);
	return (may == HALF_MADE
		    ? is_half_made(name)
		    : may == THE_MARK && strcmp(name, MAKING) == 0);
}

/* Nothing else is in ${dir}. */
static enum err
dir_must_be_empty(const char *dir, enum may_hold may)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	bool found = false;

	if (d == NULL)
		return (err_from_errno(errno));
	while ((e = readdir(d)) != NULL)
		found = found || !may_stay(e->d_name, may);
	(void)closedir(d);
	return (found ? not_empty(dir) : OK);
}

static enum err
remove_half_made(const char *dir)
{
	char path[PATH_LEN];

	for (size_t i = 0; i < COUNTOF(half_made); i++) {
		TRY(path_of(dir, half_made[i], path));
		if (sys->unlink(path) != 0 && errno != ENOENT)
			return (err_fail(err_from_errno(errno), "%s: %s", path,
			    strerror(errno)));
	}
	return (sys_sync_dir(dir));
}

enum err
store_half_made(const char *dir, bool *ret)
{
	char path[PATH_LEN];
	struct stat sb;

	TRY(path_of(dir, MAKING, path));
	*ret = sys->stat(path, &sb) == 0;
	return (*ret || errno == ENOENT || errno == ENOTDIR
		    ? OK
		    : err_from_errno(errno));
}

/* Lock the mark: a new one, or with ${again} the one that was left. */
static enum err
mark_take(const char *dir, bool again, int *ret_fd)
{
	const int how = again ? O_NOFOLLOW : O_CREAT | O_EXCL | O_NOFOLLOW;
	struct stat mine, there;
	char path[PATH_LEN];

	TRY(path_of(dir, MAKING, path));
	*ret_fd = sys->open(path, O_RDWR | O_CLOEXEC | how, 0600);
	if (*ret_fd < 0 && (errno == ENOENT || errno == EEXIST))
		return (not_empty(dir)); /* another was faster */
	if (*ret_fd < 0)
		return (err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno)));
	if (sys->lock(*ret_fd) != 0)
		return (errno != EAGAIN
			    ? err_from_errno(errno)
			    : err_fail(ERR_LOCKED,
				  "%s is being made by another process", dir));
	/* Whose mark it was may have come to the end meanwhile. */
	if (sys->fstat(*ret_fd, &mine) != 0 || sys->stat(path, &there) != 0 ||
	    mine.st_ino != there.st_ino)
		return (not_empty(dir));
	return (OK);
}

static enum err
mark_away(const char *dir, enum err e)
{
	char path[PATH_LEN];

	if (path_of(dir, MAKING, path) == OK)
		(void)sys->unlink(path);
	return (e);
}

/* Make ${dir}, or take one that is empty or half made, and mark it. */
static enum err
make_dir(const char *dir, bool *ret_made, int *ret_mark)
{
	bool again = false;

	*ret_made = sys->mkdir(dir, 0700) == 0;
	if (!*ret_made && errno != EEXIST)
		return (err_fail(err_from_errno(errno), "%s cannot be made: %s",
		    dir, strerror(errno)));
	if (!*ret_made) {
		TRY(store_half_made(dir, &again));
		TRY(dir_must_be_empty(dir, again ? HALF_MADE : NOTHING));
	}
	TRY(mark_take(dir, again, ret_mark));
	if (again)
		TRY(remove_half_made(dir));
	/* Another may have made a store between the look and the mark. */
	if (!*ret_made && dir_must_be_empty(dir, THE_MARK) != OK)
		return (mark_away(dir, not_empty(dir)));
	return (sys_sync_dir(dir));
}

static enum err
make_keys(
    const struct store_init *in, const char *path, const struct kms_root *root)
{
	const char *region =
	    in->region != NULL ? in->region : KMS_REGION_DEFAULT;

	if (in->seal_metadata)
		return (kms_create_sealing(path, root, region));
	return (kms_create_store(path, root, region));
}

/* The key of a new store's metadata, from its new keystore ${path}. */
static enum err
metadata_key(const char *path, const struct kms_root *root, const uint8_t *uuid,
    struct key *ret)
{
	struct kms *k = NULL;
	enum err e;

	TRY(kms_open(path, root, &k));
	e = kms_metadata_key(k, uuid, ret);
	kms_close(k);
	return (e);
}

static enum err
make_db(
    const struct store_init *in, const char *keys, const struct kms_root *root)
{
	struct key *key CLEANUP_KEY = key_new();
	uint8_t uuid[UUID_LEN];
	char path[PATH_LEN];

	if (key == NULL)
		return (ERR_NOMEM);
	rand_bytes(uuid, sizeof(uuid));
	TRY(path_of(in->dir, "meta.db", path));
	if (!in->seal_metadata)
		return (db_create(path, uuid));
	TRY(metadata_key(keys, root, uuid, key));
	return (db_create_sealed(path, uuid, key));
}

static void
mark_drop(int *fd)
{
	if (*fd >= 0)
		(void)sys->close(*fd);
}

enum err
store_create_dir(const struct store_init *in)
{
	char keys[PATH_LEN], keyfile[PATH_LEN];
	struct kms_root beside = { KMS_ROOT_FILE, keyfile, NULL };
	const struct kms_root *root = in->root != NULL ? in->root : &beside;
	int mark CLEANUP(mark_drop) = -1;
	bool made;

	if (in->seal_metadata && in->no_kms)
		return (err_fail(ERR_INVAL,
		    "metadata is sealed with a key of the keystore"));
	TRY(make_dir(in->dir, &made, &mark));
	TRY(path_of(in->dir, "keys.db", keys));
	if (!in->no_kms) {
		if ((size_t)snprintf(keyfile, sizeof(keyfile), "%s.key",
			in->dir) >= sizeof(keyfile))
			return (ERR_NAMETOOLONG);
		TRY(make_keys(in, keys, root));
	}
	TRY(make_db(in, keys, root));
	TRY(sys_sync_dir(in->dir));
	TRY(path_of(in->dir, MAKING, keyfile));
	if (sys->unlink(keyfile) != 0)
		return (err_from_errno(errno));
	TRY(sys_sync_dir(in->dir));
	return (made ? sys_sync_parent(in->dir) : OK);
}
