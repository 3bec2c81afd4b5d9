/*
 * control: work on a store that may be in use.
 *
 * One process owns a store.  While that is a mount or a server, commands that can
 * go on beside it ask it to do their work (lib/base/control.h is the
 * protocol); otherwise they open the store.
 */
#ifndef TOOLS_CONTROL_H
#define TOOLS_CONTROL_H

#include "lib/base/control.h"
#include "tools/cmd.h"

struct reach {
	struct store *st; /* the store, opened; else NULL */
	int fd;           /* else the connection to its owner */
};

/*
 * reach_open(a, o, ret, ret_e):
 * Open the store that ${a} names, or connect to the mount that has it.  ${o} is
 * as for cmd_try_store().  False after saying why neither works; ${ret_e}, when
 * not NULL, tells it too.
 */
bool reach_open(const struct args *a, const struct store_opts *o,
    struct reach *ret, enum err *ret_e) MUSTCHECK;
/* The connection to the owner of the store ${dir} alone, to be closed; -1: none
 * listens, or not to us.  ${ms}: how long it, and reach_ask() for each piece,
 * may take; 0: no limit. */
int reach_dial(const char *dir, unsigned ms);
/* Does a process own the store ${dir}? */
bool reach_owned(const char *dir);
/*
 * reach_claim(dir, server):
 * Claim the store ${dir}, until the descriptor that it returns is closed: who
 * wants it from a server waits until none is taking it; a ${server} gets -1,
 * and EWOULDBLOCK in errno, while somebody wants it or another server takes it.
 */
int reach_claim(const char *dir, bool server);
/* A server that owns the store ${dir} and can do without gives it up; nothing
 * is said when it does not.  Waits until it has; no other one takes it before
 * this process has ended. */
void reach_make_way(const char *dir);
/* Commit and close; ${code}, or EXIT_FAILED when the commit failed. */
int reach_close(struct reach *r, int code);

/*
 * reach_ask(r, req, hear, arg):
 * Send a request to the mount and wait for the end of its answer; ${hear} is
 * called for each ROW, PROGRESS and BAD, and may be NULL.  Returns what the
 * mount says, with its sentence; ERR_IO when it ended before; ERR_TIMEDOUT;
 * ERR_PARSE.
 */
enum err reach_ask(struct reach *r, const struct control_req *req,
    void (*hear)(void *arg, const struct control_answer *a),
    void *arg) MUSTCHECK;

#endif
