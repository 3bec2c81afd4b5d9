/*
 * serve: what the process of a mount serves beside it.
 */
#ifndef TOOLS_SERVE_H
#define TOOLS_SERVE_H

#include "fs/mount.h"
#include "gateway/gateway.h"

/* The KMS API on the socket in the store's directory. */
struct serve_local {
	struct fs_hooks hooks; /* for fs_opts.hooks */
	const char *dir;
	struct gateway *gateway;
};

/* ${dir} is borrowed.  A mount goes on without the socket when there can be
 * none; that is logged. */
void serve_local_init(struct serve_local *l, const char *dir);

#endif
