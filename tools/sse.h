/*
 * sse: what the mount says about the encryption of a path.
 */
#ifndef TOOLS_SSE_H
#define TOOLS_SSE_H

#include <sys/stat.h>

#include "store/store.h"
#include "tools/json.h"

struct sse_view {
	char status[8];     /* "Yes", "No"; "" for what is no regular file */
	char algorithm[16]; /* "aws:kms", "AES256"; "" when not encrypted */
	char key_id[KMS_ARN_MAX];
	char def[STORE_DEFAULT_MAX + 1]; /* a directory's own default, or "" */
	char etag[160];
};

/*
 * sse_view(path, sb, ret):
 * Ask for the attributes of ${path}, of which lstat said ${sb}.
 * Returns OK; ERR_NOTSUP when a regular file is not on an ssefs mount;
 * whatever else getxattr said.
 */
enum err sse_view(
    const char *path, const struct stat *sb, struct sse_view *ret) MUSTCHECK;

/* "-rw-r--r--" and a NUL. */
void sse_mode(mode_t mode, char ret[static 11]);
/* "file", "directory", … */
const char *sse_kind(mode_t mode);

/* The members that stat and ls have in common, into an open object. */
void sse_json(struct json *j, const struct stat *sb, const struct sse_view *v);

#endif
