/*
 * session: one mount, from opening the store to the last commit.  Private to
 * the room.
 */
#ifndef FS_SESSION_H
#define FS_SESSION_H

#include "fs/face.h"

struct session {
	struct fs fs;
	struct loop *loop;
	struct control_face face;
	struct control *control; /* NULL: the tools cannot reach this mount */
	bool hooked;             /* closing() is due */
	bool cut;                /* ended while files were open */
	const char *mp;          /* absolute */
};

/*
 * session_open(s, o, mp):
 * Open the store, mount it on ${mp}, start serving.  FS_EXIT_OK, or another
 * code after saying why on stderr; session_close() in both cases.
 */
int session_open(struct session *s, const struct fs_opts *o, const char *mp);

/*
 * session_serve(s):
 * Serve until the filesystem is unmounted or a signal asks for that.  The
 * signals that matter must be blocked in all threads (session_block_signals()
 * before session_open()).
 */
void session_serve(struct session *s);
void session_block_signals(void);

/* Take everything down and commit.  False when the last commit failed. */
bool session_close(struct session *s);

#endif
