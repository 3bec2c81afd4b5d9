/*
 * tree_internal: what tree.c (in memory) and side.c (the store) share.
 */
#ifndef TESTS_FAULT_TREE_INTERNAL_H
#define TESTS_FAULT_TREE_INTERNAL_H

#include "tests/fault/tree.h"

#define PAGE 4096u
#define XATTRS 3
#define XATTR_LEN 20000 /* the longest */
#define NAME_LEN 16

struct line {
	char path[2 * NAME_LEN];
	uint64_t id; /* of the inode */
	char rest[160];
};

void *must(void *p);
void pattern(uint8_t *p, size_t len, unsigned seed);
/* Of content: the sum over its pages.  ${crc} 0: not known. */
uint64_t page_hash(uint64_t no, const uint8_t *b, uint32_t crc);
uint64_t xattr_hash(unsigned i, const uint8_t *p, size_t len);
void line_rest(struct line *l, uint32_t mode, unsigned links, uint64_t size,
    enum sse sse, uint64_t bytes, uint64_t xattrs, const char *text);
/* The dump of ${n} lines, which are sorted; malloc'd. */
char *lines_text(struct line *l, unsigned n);

#endif
