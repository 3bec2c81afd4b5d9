/*
 * mount: a bucket, or all buckets, of a local store as a POSIX filesystem.
 *
 * This is the only header of the room that others include.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kms/kms.h"
#include "lib/base/attrs.h"
#include "lib/base/err.h"

/*
 * Exit codes of "ssefs mount" and mount.ssefs.  Scripts rely on them; they
 * never change.
 */
enum fs_exit {
	FS_EXIT_OK = 0,         /* mounted; in the foreground: ended well */
	FS_EXIT_FAILED = 1,     /* any other failure, said on stderr */
	FS_EXIT_USAGE = 2,      /* unknown or contradictory options */
	FS_EXIT_STORE = 3,      /* the store cannot be opened: no store, in
				   use, newer version, damaged */
	FS_EXIT_KEY = 4,        /* root key or key service trouble */
	FS_EXIT_MOUNTPOINT = 5, /* missing, no directory, dead mount, above
				   the store, refused by the system */
	FS_EXIT_FUSE = 6,       /* no /dev/fuse, no fusermount3, allow_other
				   not permitted */
	FS_EXIT_BUCKET = 7,     /* no such bucket */
	FS_EXIT_COMMIT = 8      /* foreground: the last commit failed */
};

/* What else the serving process does, while the store is open. */
struct fs_hooks {
	void *arg;
	/* The mount works; nobody has been told yet.  ${k} is NULL in a store
	 * without keys.  FS_EXIT_OK, or another code after saying why. */
	int (*opened)(void *arg, struct kms *k);
	/* It serves, and messages go where they are to go; may be NULL. */
	void (*serving)(void *arg);
	/* The mount ends, and the store after it; also when opened() failed,
	 * not when it was not called. */
	void (*closing)(void *arg);
};

struct fs_opts {
	char *source; /* a bucket's name, or "/" for all of them */
	char *mountpoint;
	char *store;      /* the store's directory */
	char *tenant;     /* whose keys; NULL: KMS_TENANT_DEFAULT */
	char *user;       /* principal for the KMS; NULL: KMS_ROOT_USER */
	char *uidmap;     /* file: other principals for some uids; or NULL */
	char *audit;      /* "sync": records before answers; "epoch" or NULL:
			     as the keystore says */
	char *sse;        /* as store_default_set's text: encryption of files
			     made through this mount; NULL: as directories
			     say */
	char *sse_method; /* as given, until fs_opts_finish() */
	char *sse_key;    /* likewise */
	const struct kms_root *root;  /* borrowed; NULL: as the keystore says */
	const struct fs_hooks *hooks; /* borrowed; NULL: none */
	bool foreground;
	bool readonly;
	bool allow_other;
	bool default_permissions; /* true unless switched off */
	bool direct_io;           /* bypass the page cache for every file */
	bool debug;               /* log level */
	bool dev, suid; /* device nodes and set-id bits work (root only) */
	bool noexec, noatime, nodiratime, sync, dirsync;
	bool has_uid, has_gid, has_umask;
	uid_t uid; /* shown as the owner of everything */
	gid_t gid;
	mode_t umask;         /* shown permissions are 0777 without these */
	unsigned commit_secs; /* 0: the store's default */
	unsigned threads;     /* most workers; 0: the default */
	size_t dirty_size, map_cache, db_cache, inode_cache; /* 0: default */
};

/* Defaults in all fields; then fill, finish, use, release. */
void fs_opts_init(struct fs_opts *o);
void fs_opts_release(struct fs_opts *o);

/*
 * fs_opts_list(o, list):
 * Apply a comma-separated list as "-o" takes it ("\," is a comma in a value).
 * Options that mount(8) handles itself or that only matter in fstab (defaults,
 * auto, nofail, _netdev, x-...) are ignored.  ERR_INVAL with a detail;
 * ERR_NOMEM.
 */
enum err fs_opts_list(struct fs_opts *o, const char *list) MUSTCHECK;

/*
 * fs_opts_parse(o, argc, argv):
 * Apply a command line: SOURCE MOUNTPOINT, "-o LIST", and every option of
 * fs_opts_list() also as "--name", "--name=value" or "--name value" with
 * dashes for underscores; "-f" is "--foreground".  argv[0] is the first word,
 * not the program.  Calls fs_opts_finish().
 */
enum err fs_opts_parse(
    struct fs_opts *o, int argc, char *const argv[]) MUSTCHECK;

/* Check what single options cannot: ERR_INVAL for a missing source, an unknown
 * method, a key with a method other than aws:kms.  Makes o->sse. */
enum err fs_opts_finish(struct fs_opts *o) MUSTCHECK;

/* The options and their meaning, lines for a help text; static storage. */
const char *fs_opts_help(void);

/*
 * fs_main_mount(o):
 * Mount and serve.  In the background (the default) the process forks before
 * the store is opened; the parent returns when the mount answers or why it
 * does not has been said on stderr.  The caller must have no other threads and
 * no store open.  The serving process ends by exit(), not by returning; in the
 * foreground it returns.  SIGTERM and SIGINT unmount, SIGHUP switches debug
 * messages, SIGUSR1 logs statistics.  Returns one of enum fs_exit.
 */
int fs_main_mount(const struct fs_opts *o);

#endif
