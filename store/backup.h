/*
 * backup: copies of a store at one epoch, and stores made of them again.
 *
 * A place for backups is a directory with one directory for each backup, named
 * by the epoch it shows.  A backup holds all metadata and the blocks that the
 * ones before it in the same place do not hold; so it stands on them, and is of
 * no use without them.  What is in one, byte by byte: docs/FORMAT.md.
 *
 * No key is needed for anything here, and none is copied: the keystore goes along
 * as it is, sealed.  Without the root key a backup cannot be opened.
 *
 * A backup is made beside its place, as "new", and gets its name when all of it
 * is on the disk: one that was cut off is never taken for a whole one, and is
 * made anew by the next call.
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "lib/base/codec.h"
#include "store/store.h"

struct backup_opts {
	uint64_t rate; /* bytes per second; 0: no limit */
	/* progress, at most once a second and at the end; false stops */
	bool (*progress)(void *arg, uint64_t done, uint64_t total);
	/* damage: of the store (making) or of the backup (verifying) */
	void (*bad)(void *arg, const char *what);
	void *arg;
};

struct backup_result {
	uint64_t epoch;  /* that the backup shows */
	uint64_t blocks; /* that the store has at that epoch */
	uint64_t copied; /* of these, copied now */
	uint64_t bytes;  /* written, or read */
	uint64_t bad;
	uint64_t unread;  /* of these, files that the disk did not give */
	uint64_t backups; /* in the place (verify) */
	bool same;        /* the place has this epoch already: nothing done */
	char digest[65];  /* of the backup's manifest */
};

/*
 * backup_make(st, dir, o, ret):
 * Add a backup of the present state to the place ${dir}, which is made when it
 * is not there.  The store may be in use meanwhile; slots of the epoch stay as
 * they are until they are copied, unless the store needs them: then ERR_NOSPC,
 * and the place is as before.  Damage in the store is told and copied as it is.
 * ERR_BUSY: another backup of the store or in the place runs, or ${progress}
 * stopped it; ERR_EXIST: the place holds other things, another store, or a
 * later state; ERR_CORRUPT: the backup to stand on is damaged.
 */
enum err backup_make(struct store *st, const char *dir,
    const struct backup_opts *o, struct backup_result *ret) MUSTCHECK;

/*
 * backup_verify(dir, o, ret):
 * Read all backups of a place: every byte against its digests, every block
 * that a backup refers to.  OK also when damage was found.  ERR_NOENT: there is
 * no backup.
 */
enum err backup_verify(const char *dir, const struct backup_opts *o,
    struct backup_result *ret) MUSTCHECK;

/*
 * backup_restore(dir, epoch, to, o, ret):
 * Make the store ${to}, a new or empty directory, of the backup that shows
 * ${epoch} (0: the last).  All is verified before; ERR_CORRUPT when anything of
 * it is damaged, then nothing is made.  ERR_EXIST; ERR_NOENT.
 */
enum err backup_restore(const char *dir, uint64_t epoch, const char *to,
    const struct backup_opts *o, struct backup_result *ret) MUSTCHECK;

#endif
