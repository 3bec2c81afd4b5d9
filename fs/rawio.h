/*
 * rawio: what the FUSE protocol offers beyond libfuse 3.14.
 *
 * Requests are seen in the wire format before libfuse, and libfuse's answer to
 * INIT passes through here, so that:
 *   - HANDLE_KILLPRIV_V2 is negotiated when the kernel offers it: the kernel
 *     then stops asking for security.capability before every write and tells
 *     with WRITE, OPEN and SETATTR when set-id bits must go;
 *   - TMPFILE (O_TMPFILE) is answered;
 *   - SETXATTR_EXT likewise, and SETXATTR is answered: with an access ACL the
 *     kernel tells whether the setgid bit must go;
 *   - DIRECT_IO_ALLOW_MMAP likewise: files opened past the page cache can be
 *     mapped;
 *   - INTERRUPT is declined once, so that the kernel stops sending it: no
 *     operation here can be broken off half-way.
 */
#ifndef FS_RAWIO_H
#define FS_RAWIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/base/err.h"

struct fuse_session;

/* A TMPFILE request: make an unnamed file in ${dir} and open it. */
struct rawio_tmpfile {
	uint64_t dir; /* node id */
	uint32_t mode, umask, uid, gid;
	uint32_t flags; /* of open(2) */
};
struct rawio_setxattr {
	uint64_t node;
	uint32_t uid;
	const char *name, *value;
	size_t size;
	int flags; /* of setxattr(2) */
	bool kill_sgid;
};
struct rawio_made {
	uint64_t node;
	struct stat st;
	uint64_t fh;
	bool direct_io;
};

struct rawio {
	/* Of the flags of INIT that libfuse does not know, the kernel's. */
	uint32_t offered, offered2;
	/* Negotiated; set by the answer to INIT. */
	atomic_bool killpriv, setxattr_ext;
	double timeout; /* of names and attributes, in answers */
	/* Returns 0 or an errno. */
	int (*tmpfile)(
	    void *arg, const struct rawio_tmpfile *in, struct rawio_made *ret);
	/* The kernel did not take the answer: undo. */
	void (*untmpfile)(void *arg, const struct rawio_made *made);
	/* Returns 0 or an errno. */
	int (*setxattr)(void *arg, const struct rawio_setxattr *in);
	void *arg;
};

/* Called once per process, after fuse_session_mount().  ${r} must live as long
 * as the session. */
enum err rawio_install(struct fuse_session *se, struct rawio *r) MUSTCHECK;

/*
 * rawio_request(r, fd, mem, len):
 * Look at a request that was received in this thread.  True: it was answered
 * here; false: it goes to libfuse.
 */
bool rawio_request(struct rawio *r, int fd, const void *mem, size_t len);

/* In an operation's handler: the request asks that set-id bits be cleared. */
bool rawio_kill(void);

#endif
