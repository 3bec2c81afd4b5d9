/*
 * control: what the process that owns a store and the tools say to each other.
 *
 * The owner listens on the socket CONTROL_SOCKET in the store's directory
 * (store/control.h); a tool that finds the store in use connects (tools/control.h),
 * sends one request, reads the answer to its end and closes.  Closing early
 * stops a scrub or a backup.  Requests and answers are lines of at most CONTROL_LINE bytes
 * with the line feed; one space stands between fields.
 *
 *	request                        what it does
 *	sync                           make all changes durable
 *	stats                          rows of a counter's name and value
 *	bucket-ls                      rows of a bucket's name and default
 *	bucket-create NAME [DEFAULT]   make a bucket
 *	bucket-rm NAME                 remove an empty bucket
 *	encryption-get NAME            a row: the bucket's default
 *	encryption-set NAME DEFAULT    choose it
 *	scrub KEYS RATE                read everything; KEYS is 0 or 1 (verify
 *	                               with keys), RATE bytes a second, 0: no
 *	                               limit.  Before a line "bad" a row of one
 *	                               field, a path of what is damaged, if one
 *	                               is known.  At the end a row: files,
 *	                               blocks, bytes, damaged places, skipped
 *	                               files
 *
 *	backup RATE DIR                add a backup to the place DIR, an
 *	                               absolute path.  At the end a row: epoch,
 *	                               blocks, copied, bytes, damaged, same (0,
 *	                               1), digest
 *
 *	key-usage KEY [TENANT USER]    a row: objects and defaults under it
 *	key-delete KEY DAYS [TENANT USER]
 *	                               schedule its deletion, unless it is in
 *	                               use; DAYS 0: the store's usual time.  A
 *	                               row: when, seconds since 1970.  Both ask
 *	                               as that user of the tenant; without one
 *	                               as the owner's tenant itself
 *	key-count ARN                  the same row for a server that has
 *	                               asked its own keystore who may: nobody
 *	                               is asked for, and nothing recorded
 *	rekey RATE KEY                 wrap data keys anew, RATE files a second
 *	                               (0: no limit); KEY may be empty: all.  At
 *	                               the end a row: files, re-wrapped, skipped,
 *	                               damaged
 *
 *	yield                          a mount wants the store: a server that
 *	                               owns it gives it up after this answer,
 *	                               unless it works for a tool; a mount
 *	                               refuses
 *
 *	answer                         meaning
 *	row FIELD...                   as the request says
 *	progress DONE TOTAL            once a second, in bytes; of a rekey, in
 *	                               files
 *	bad INO OFFSET ERR TEXT        damage; of a backup, 0 0
 *	ok                             the last line: done
 *	err ERR TEXT                   the last line: it failed
 *
 * In a field, '%', 0x7f and every byte up to 0x20 stand as '%' and two
 * hexadecimal digits; in TEXT a space stands for itself.  A field may be empty.
 * Numbers are decimal.  ERR is a name of enum err, as "ERR_NOENT".
 *
 * Pure and thread-safe.
 */
#ifndef LIB_BASE_CONTROL_H
#define LIB_BASE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define CONTROL_SOCKET "control"
#define CONTROL_LINE 4096
#define CONTROL_FIELD 512 /* most bytes of a request's field, decoded */
#define CONTROL_FIELDS 8  /* most fields of an answer */
/* Of a bucket's directory that the tools make. */
#define CONTROL_BUCKET_MODE 0755

enum control_op {
	CONTROL_SYNC,
	CONTROL_STATS,
	CONTROL_BUCKET_LS,
	CONTROL_BUCKET_CREATE,
	CONTROL_BUCKET_RM,
	CONTROL_ENCRYPTION_GET,
	CONTROL_ENCRYPTION_SET,
	CONTROL_SCRUB,
	CONTROL_BACKUP,
	CONTROL_KEY_USAGE,
	CONTROL_KEY_DELETE,
	CONTROL_KEY_COUNT,
	CONTROL_REKEY,
	CONTROL_YIELD
};

struct control_req {
	enum control_op op;
	bool has_text; /* bucket-create: a default was given */
	bool has_who;  /* a tenant and a user were given */
	bool keys;
	uint64_t rate; /* key-delete: days */
	char name[CONTROL_FIELD + 1];
	char text[CONTROL_FIELD + 1];
	char tenant[CONTROL_FIELD + 1], user[CONTROL_FIELD + 1];
};

enum control_kind {
	CONTROL_ROW,
	CONTROL_PROGRESS,
	CONTROL_BAD,
	CONTROL_OK,
	CONTROL_ERR
};

struct control_answer {
	enum control_kind kind;
	size_t n; /* ROW: fields */
	const char *field[CONTROL_FIELDS];
	uint64_t num[2];  /* PROGRESS: done, total; BAD: inode, offset */
	enum err e;       /* BAD, ERR; ERR_INTERNAL for a name not known here */
	const char *text; /* BAD, ERR */
};

/*
 * control_parse(p, len, ret):
 * Read a request, ${len} bytes without the line feed.  ERR_PARSE: not one;
 * ERR_NOTSUP: one that is not known; ERR_LIMIT: a field or the line is too
 * long.
 */
enum err control_parse(
    const uint8_t *p, size_t len, struct control_req *ret) MUSTCHECK;
/* Append a request with its line feed.  ERR_LIMIT when it is too long. */
enum err control_print(struct buf *b, const struct control_req *req) MUSTCHECK;

/*
 * control_answer_parse(line, len, ret):
 * Read a line of an answer, ${len} bytes and a NUL in place of the line feed.
 * The line is changed, and ${ret} points into it.  ERR_PARSE.
 */
enum err control_answer_parse(
    char *line, size_t len, struct control_answer *ret) MUSTCHECK;
/* Append a space and a field; ${last}: the TEXT of a line. */
enum err control_field(struct buf *b, const char *s, bool last) MUSTCHECK;
/* Copy field ${s} of the argument of a command to ${dst}; ERR_NAMETOOLONG. */
enum err control_set(
    char dst[static CONTROL_FIELD + 1], const char *s) MUSTCHECK;

#endif
