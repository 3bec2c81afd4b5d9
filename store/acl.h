/*
 * acl: POSIX access control lists (acl(5)), inner to store/.
 *
 * The kernel enforces them.  What it leaves to a filesystem is here: a list
 * and the permission bits of its inode agree, and what is made in a directory
 * takes over the directory's default list.
 *
 * A list is kept as the value of an extended attribute, STORE_ACL_ACCESS or
 * STORE_ACL_DEFAULT, in the form that system calls pass it in, little-endian:
 *
 *	0	4	version, 2
 *	4	8 * n	entries
 *
 *	0	2	tag
 *	2	2	permissions, 0..7
 *	4	4	uid or gid of the tags 2 and 8, else anything
 *
 * Entries come in the order of their tags; owner, group and others once each;
 * the mask at most once, and always with named users or groups.
 */
#ifndef STORE_ACL_H
#define STORE_ACL_H

#include "store/store_internal.h"

#define ACL_HEAD 4u
#define ACL_ENTRY 8u
#define ACL_MAX 4096u /* bytes: what the kernel takes */

struct acl {
	size_t len;
	uint8_t b[ACL_MAX];
};

/* ---- Lists; pure --------------------------------------------------------- */

/* ERR_INVAL when the bytes are no list, ERR_2BIG over ACL_MAX. */
enum err acl_parse(struct acl *ret, const void *p, size_t len) MUSTCHECK;
/* The permission bits (0777) that ${a} stands for.  ${ret_plain}: they say all
 * that it says. */
uint32_t acl_mode(const struct acl *a, bool *ret_plain);
/* chmod(2): the owner, others, and the mask, or without one the group, follow
 * ${mode}. */
void acl_chmod(struct acl *a, uint32_t mode);
/* What is wrong with ${p}, kept as the list (${access}, or the default one) of an
 * inode with this mode: a sentence, or NULL. */
const char *acl_wrong(bool access, uint32_t mode, const void *p, size_t len);
/* Turn a directory's default list into the access list of a new file for which
 * ${mode} was asked. */
void acl_narrow(struct acl *a, uint32_t mode);

/* ---- Lists of inodes; st->db held ---------------------------------------- */

/* One of the two names? */
bool acl_name(const char *name);
/* The list ${name} of ${ip}, which the caller frees.  NULL: it has none.
 * ERR_CORRUPT, ERR_NOMEM. */
enum err acl_load(struct store *st, struct inode *ip, const char *name,
    struct acl **ret) MUSTCHECK;
/* Write it, in the epoch's transaction. */
enum err acl_put(struct store *st, struct inode *ip, const char *name,
    const struct acl *a, bool fresh) MUSTCHECK;

/* store_xattr_set() of such a name; takes st->db. */
enum err acl_set(struct store *st, uint64_t ino, const char *name,
    const void *value, size_t len, unsigned flags) MUSTCHECK;

#endif
