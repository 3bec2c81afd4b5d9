/*
 * disk: a disk that fails when it is told to.
 *
 * A table under lib/base/sys (sys_install) that knows for each call what kind
 * of file it is for, counts, and makes the Nth call of one kind on one kind of
 * file fail, once or from then on.  A write that fails has written its first
 * half: nobody may count on a failed write having done nothing.  Nothing is synced or
 * reserved for real: power stays on and the disk has room.
 */
#ifndef TESTS_FAULT_DISK_H
#define TESTS_FAULT_DISK_H

#include <stdbool.h>

enum disk_call {
	CALL_OPEN,
	CALL_PREAD,
	CALL_PWRITE,
	CALL_FDATASYNC,
	CALL_FSYNC,
	CALL_FTRUNCATE,
	CALL_FALLOCATE,
	CALL_FSTAT,
	CALL_STAT,
	CALL_UNLINK,
	CALL_RENAME, /* of what the new name says */
	CALL_MKDIR,
	CALL_STATVFS,
	CALL_LOCK,   /* also what takes no space, of a file that is mapped, */
	CALL_MAPPED, /* and what does */
	CALL_COUNT_
};

/* What a path names. */
enum disk_file {
	FILE_ARENA,
	FILE_META, /* meta.db */
	FILE_WAL,  /* meta.db-wal, or of a sealed one meta.db-log */
	FILE_KEYS, /* the keystore, its WAL, the audit log, the key file */
	FILE_LOCK,
	FILE_DIR,
	FILE_COUNT_
};

const char *disk_call_name(enum disk_call c);
const char *disk_file_name(enum disk_file f);

/* For the start of the program. */
void disk_install(void);

/* From now on count; make call ${nth} (1: the next; 0: none) fail with
 * ${errnum}, and with ${forever} all later ones.  With ${slow} the failing call
 * takes 50 ms first, so that others can come to wait for it. */
void disk_fail(enum disk_call c, enum disk_file f, unsigned nth, int errnum,
    bool forever, bool slow);
/* No faults and no counting while ${off}: the test's own look at the store. */
void disk_pause(bool off);
/* No fault any more; counting goes on. */
void disk_mend(void);

/* Calls of a kind since disk_fail(). */
unsigned disk_seen(enum disk_call c, enum disk_file f);
/* Calls that were made to fail since disk_fail(). */
unsigned disk_hits(void);

#endif
