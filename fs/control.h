/*
 * control: the mount's ear for the tools, as it owns the store.
 *
 * A thread of its own listens on the socket "control" in the store's directory
 * (mode 0600; the peer must have the daemon's effective user id, or be root)
 * and serves one client after the other, each with one request; the protocol
 * stands in lib/base/control.h.  A scrub or a backup is handed to a second
 * thread, so that other requests are served meanwhile; one of them runs at a
 * time.
 *
 * Requests are bounded and every wait for a client has a deadline and ends with
 * control_stop(), so that no client holds up the mount.
 */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

#include "fs/fs.h"
#include "lib/base/control.h"

struct control;

/*
 * control_start(fs, ret):
 * Listen; a socket left behind by a process that died is replaced, which is
 * safe while the store's lock is held.  ERR_EXIST: something else has that
 * name; ERR_IO …: the store's filesystem has no sockets, or the like.
 */
enum err control_start(struct fs *fs, struct control **ret) MUSTCHECK;
/* End the threads and remove the socket; the loop must still serve, as a
 * thread may be telling the kernel something.  NULL is fine. */
void control_stop(struct control *c);

/* ---- control_ops.c --------------------------------------------------------*/

/*
 * control_do(fs, who, uid, gid, req, out):
 * Carry out any request but a scrub or a backup for a client with these ids; rows are
 * appended to ${out}.
 */
enum err control_do(struct fs *fs, const struct kms_who *who, uid_t uid,
    gid_t gid, const struct control_req *req, struct buf *out) MUSTCHECK;

#endif
