/*
 * inode: the inodes that the kernel or an open file refers to.
 *
 * One entry of 16 bytes per inode: how often it is referred to (look-ups not
 * yet forgotten, plus open files), which master key its content is under, and
 * a few facts worth remembering.  Open addressing in independent shards, so
 * that growing moves a small part at a time: a million inodes cost about
 * 24 MB.  Thread-safe.
 */
#ifndef FS_INODE_H
#define FS_INODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

/* No name left: reaped with the last reference. */
#define INODE_GONE 0x01u
/* Known to have no stored xattr at all, and no security.capability. */
#define INODE_NOXATTR 0x02u
#define INODE_NOCAPS 0x04u
/* A stored xattr, or security.capability, was set since: the two facts above
 * may not be learnt again from an answer that is older. */
#define INODE_XATTRSET 0x08u
#define INODE_CAPSSET 0x10u
/* The kernel was last shown set-id bits. */
#define INODE_SETID 0x20u
/* Empty file whose key, or whose method AES256, was asked for by name. */
#define INODE_KEYCHOSEN 0x40u
#define INODE_AESCHOSEN 0x80u

/* As a keyref: the one already remembered stays. */
#define INODE_SAME_KEY UINT32_MAX
#define INODE_INO_MAX (((uint64_t)1 << 48) - 1)

struct inodes;

enum err inodes_create(struct inodes **ret) MUSTCHECK;
void inodes_free(struct inodes *t); /* NULL is fine */

/*
 * inodes_hold(t, ino, keyref, flags):
 * One reference more; remembers ${keyref} and adds ${flags}.  ERR_NOMEM;
 * ERR_LIMIT when ${ino} is over INODE_INO_MAX.
 */
enum err inodes_hold(
    struct inodes *t, uint64_t ino, uint32_t keyref, unsigned flags) MUSTCHECK;
/* ${n} references less.  True when that was the last one of an inode that is
 * INODE_GONE: the caller reaps it. */
bool inodes_drop(struct inodes *t, uint64_t ino, uint64_t n) MUSTCHECK;
/* ${ino} lost its last name.  True when nobody refers to it: the caller reaps
 * it at once. */
bool inodes_gone(struct inodes *t, uint64_t ino) MUSTCHECK;

/* The flags of ${ino}; 0 when it is not in the table. */
unsigned inodes_flags(struct inodes *t, uint64_t ino);
/* Clear ${clear}, then set ${set}, unless a flag of ${unless} is set. No effect
 * on an inode that is not in the table. */
void inodes_mark(struct inodes *t, uint64_t ino, unsigned set, unsigned clear,
    unsigned unless);
void inodes_set_key(struct inodes *t, uint64_t ino, uint32_t keyref);

/* cb for every inode under ${keyref}, with no lock held.  ERR_NOMEM. */
enum err inodes_each_key(struct inodes *t, uint32_t keyref,
    void (*cb)(void *arg, uint64_t ino), void *arg) MUSTCHECK;
/* cb for every inode that is INODE_GONE, with no lock held. */
enum err inodes_each_gone(
    struct inodes *t, void (*cb)(void *arg, uint64_t ino), void *arg) MUSTCHECK;

void inodes_usage(struct inodes *t, size_t *ret_count, size_t *ret_bytes);

#endif
