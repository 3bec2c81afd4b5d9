/*
 * err: the one error space of ssefs.
 *
 * Every fallible function returns enum err; OK is 0.  The edges (errno in
 * fs/fserr.c, exit codes in tools) map it with switches without default, so
 * that a new error does not compile until each edge has decided.
 *
 * A thread-local sentence can accompany an error for people: err_fail()
 * records it and returns the code, err_detail() reads it.  A sentence never
 * holds a key, a plaintext or a passphrase.
 */
#ifndef LIB_BASE_ERR_H
#define LIB_BASE_ERR_H

#include "lib/base/attrs.h"

/* X(name, text): the text is what a person reads when no detail was set. */
#define ERR_LIST(X)                                                   \
	X(ERR_NOMEM, "out of memory")                                 \
	X(ERR_IO, "input/output error")                               \
	X(ERR_NOSPC, "no space left on the store's disk")             \
	X(ERR_CRYPTO, "the cryptographic library failed")             \
	X(ERR_AUTH, "the ciphertext was altered")                     \
	X(ERR_CORRUPT, "the store's metadata was altered or damaged") \
	X(ERR_PERM, "operation not permitted")                        \
	X(ERR_ACCESS, "access denied")                                \
	X(ERR_NOENT, "no such file, directory or bucket")             \
	X(ERR_EXIST, "it exists already")                             \
	X(ERR_NOTDIR, "not a directory")                              \
	X(ERR_ISDIR, "is a directory")                                \
	X(ERR_NOTEMPTY, "not empty")                                  \
	X(ERR_INVAL, "invalid argument")                              \
	X(ERR_NAMETOOLONG, "name too long")                           \
	X(ERR_FBIG, "file too large")                                 \
	X(ERR_MLINK, "too many links")                                \
	X(ERR_XDEV, "not in the same bucket")                         \
	X(ERR_ROFS, "the store is read-only")                         \
	X(ERR_BUSY, "in use")                                         \
	X(ERR_NODATA, "no such attribute")                            \
	X(ERR_RANGE, "the result does not fit")                       \
	X(ERR_2BIG, "value too large")                                \
	X(ERR_NOTSUP, "not supported")                                \
	X(ERR_STALE, "the file is gone")                              \
	X(ERR_NXIO, "no data or hole there")                          \
	X(ERR_NOKEY, "no such key")                                   \
	X(ERR_KEYREVOKED, "the key is disabled")                      \
	X(ERR_KEYDELETION, "the key is pending deletion")             \
	X(ERR_KEYEXPIRED, "the key's imported material has expired")  \
	X(ERR_KEYSTATE, "the key's state does not allow this")        \
	X(ERR_TIMEDOUT, "the key service did not answer")             \
	X(ERR_KEYINUSE, "the key is in use")                          \
	X(ERR_KEYMISMATCH, "the ciphertext is under another key")     \
	X(ERR_BADGRANT, "that is no grant's id")                      \
	X(ERR_GRANTTOKEN, "that is no grant token of this keystore")  \
	X(ERR_BADTOKEN, "the import token is not valid for this key") \
	X(ERR_TOKENEXPIRED, "the import token has expired")           \
	X(ERR_MATERIAL, "the key takes other key material")           \
	X(ERR_DRYRUN, "it would have been done")                      \
	X(ERR_LOCKED, "the store is in use by another process")       \
	X(ERR_VERSION, "written by a newer version")                  \
	X(ERR_LIMIT, "a limit was exceeded")                          \
	X(ERR_PARSE, "could not be parsed")                           \
	X(ERR_NOTSTORE, "not an ssefs store")                         \
	X(ERR_ROOTKEY, "the root key cannot be used")                 \
	X(ERR_FAILSTOP, "the store stopped after a disk error")       \
	X(ERR_BADF, "not open for that")                              \
	X(ERR_INTERNAL, "internal error")

enum err {
	OK = 0,
#define ERR_ENUM_(name, text) name,
	ERR_LIST(ERR_ENUM_)
#undef ERR_ENUM_
	    ERR_COUNT_
};

/* The text of ${e}; static storage, never NULL. */
const char *err_text(enum err e);

/* The name of ${e}, as "ERR_NOENT"; static storage, never NULL. */
const char *err_name(enum err e);

/*
 * err_fail(e, fmt, ...):
 * Record a sentence (cut at 511 bytes) for this thread and return ${e}.
 */
enum err err_fail(enum err e, const char *fmt, ...) PRINTF(2, 3);

/*
 * err_detail(e):
 * The sentence last recorded in this thread together with ${e}, else
 * err_text(e).  Valid until the thread's next err_fail().
 */
const char *err_detail(enum err e);

/* Forget this thread's sentence. */
void err_clear(void);

/* The error that an errno value from a system call stands for. */
enum err err_from_errno(int errnum);

/*
 * TRY(expr): return from the calling function when ${expr} is not OK.  The
 * function must hold its resources in CLEANUP variables.
 */
#define TRY(expr)                               \
	do {                                    \
		const enum err try_e_ = (expr); \
		if (try_e_ != OK)               \
			return try_e_;          \
	} while (0)

#endif
