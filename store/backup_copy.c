/*
 * backup_copy: the index and the blocks of a new backup.
 *
 * All that is known of a slot comes from the copy of meta.db: one walk over the
 * maps writes each entry's nonce, tag and CRC to the slot's place in a file of
 * stamps (32 bytes a slot, full of holes).  Then the groups are gone through by
 * number: a slot whose stamp the last backup knows is taken over by name, the
 * others are read and copied.  Without cipher there is no stamp that tells one
 * content from another: such blocks are read each time, and compared by digest.
 * When a group is done, what the store freed in it meanwhile is free.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/sys.h"

#include "store/backup_internal.h"
#include "store/object.h"

#define STAMPS "stamps"
#define GROUP_BYTES (GROUP_SLOTS / 8)
#define RUN 256u /* slots read at once */

static const char nodes_sql[] = "SELECT row FROM node WHERE level=0";
static const char records_sql[] = "SELECT obj FROM inode WHERE obj NOTNULL";
static const char bits_sql[] =
    "SELECT bits FROM alloc WHERE grp=?1 AND length(bits)=4096";
static const char groups_sql[] = "SELECT coalesce(max(grp) + 1, 0) FROM alloc";

struct copy {
	struct backup_job *j;
	sqlite3 *db;
	sqlite3_stmt *bits;
	int stamps; /* file of stamps */
	uint64_t nstamps;
	struct index_in old;
	struct index_rec prev; /* next record of the old index … */
	bool have_prev;        /* … if there is one */
	struct sum_out index, blocks;
	uint64_t next;           /* number of the next block copied */
	uint8_t *group;          /* stamps of the group */
	struct index_rec *known; /* what the old index has of the group */
	uint8_t *data;           /* blocks of a run */
	uint8_t used[GROUP_BYTES];
};

static void
stmt_cleanup(sqlite3_stmt **s)
{
	(void)sqlite3_finalize(*s);
}
#define CLEANUP_STMT CLEANUP(stmt_cleanup)

static enum err
prepare(struct copy *c, const char *sql, sqlite3_stmt **ret)
{
	const int rc = sqlite3_prepare_v2(c->db, sql, -1, ret, NULL);

	return (rc == SQLITE_OK ? OK : db_err(rc));
}

/* ---- The walk over the maps ---------------------------------------------- */

/* Entries with neighbouring slots are written at once. */
static enum err
stamps_put(struct copy *c, const struct ment *m, unsigned n)
{
	uint8_t buf[CHUNK_ENTRIES * STAMP_LEN];
	unsigned i = 0, k;

	while (i < n) {
		const uint64_t first = ment_slot(&m[i]);

		for (k = 0; i + k < n && ment_state(&m[i + k]) == MENT_DATA &&
			    ment_slot(&m[i + k]) == first + k;
		     k++) {
			uint8_t *p = buf + (size_t)k * STAMP_LEN;

			memcpy(p, m[i + k].nonce, AEAD_NONCELEN);
			memcpy(p + AEAD_NONCELEN, m[i + k].tag, AEAD_TAGLEN);
			memcpy(
			    p + AEAD_NONCELEN + AEAD_TAGLEN, m[i + k].crc, 4);
		}
		if (k != 0 && first >> 34 == 0) {
			TRY(sys_pwrite_full(c->stamps, buf,
			    (size_t)k * STAMP_LEN, first * STAMP_LEN));
			if (first + k > c->nstamps)
				c->nstamps = first + k;
		}
		i += k == 0 ? 1 : k;
	}
	return (OK);
}

static enum err
walk_nodes(struct copy *c)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	struct node_row r;
	unsigned n = 0;
	int rc;

	TRY(prepare(c, nodes_sql, &s));
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		/* What a damaged node had is in the bitmap. */
		if (node_parse(sqlite3_column_blob(s, 0),
			(size_t)sqlite3_column_bytes(s, 0), 0, &r) != OK)
			continue;
		TRY(stamps_put(
		    c, (const struct ment *)(const void *)r.ents, r.count));
		if (n++ % 1024 == 0)
			TRY(backup_pace(c->j, 0));
	}
	return (rc == SQLITE_DONE ? OK : db_err(rc));
}

static enum err
walk_records(struct copy *c)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	unsigned n = 0;
	int rc;

	TRY(prepare(c, records_sql, &s));
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct obj *o = NULL;
		enum err e = obj_parse(sqlite3_column_blob(s, 0),
		    (size_t)sqlite3_column_bytes(s, 0), &o);

		if (e == ERR_NOMEM)
			return (e);
		if (e == OK && o->seg.embedded)
			e = stamps_put(c, o->seg.emb, o->seg.nemb);
		obj_free(o);
		if (e != ERR_CORRUPT)
			TRY(e);
		if (n++ % 1024 == 0)
			TRY(backup_pace(c->j, 0));
	}
	return (rc == SQLITE_DONE ? OK : db_err(rc));
}

/* ---- One slot ------------------------------------------------------------- */

static bool
bit(const uint8_t *map, uint32_t i)
{
	return ((map[i / 8] >> (i % 8)) & 1);
}

static bool
zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return (false);
	return (true);
}

static void
bad(struct copy *c, uint64_t slot, const char *what)
{
	char text[128];

	c->j->r->bad++;
	(void)snprintf(text, sizeof(text), "the store's slot %llu %s",
	    (unsigned long long)slot, what);
	if (c->j->o->bad != NULL)
		c->j->o->bad(c->j->o->arg, text);
}

/* The old index's records of a group; slot 0: it has none. */
static enum err
old_load(struct copy *c, uint64_t grp)
{
	memset(c->known, 0, GROUP_SLOTS * sizeof(*c->known));
	while (c->have_prev && c->prev.slot / GROUP_SLOTS <= grp) {
		c->known[c->prev.slot % GROUP_SLOTS] = c->prev;
		const enum err e = index_next(&c->old, &c->prev);

		c->have_prev = e == OK;
		if (e != OK && e != ERR_NOENT)
			return (err_fail(e, "the index of the last backup is "
					    "damaged"));
	}
	return (OK);
}

static enum err
record(struct copy *c, const struct index_rec *r)
{
	uint8_t p[INDEX_REC];

	index_put(p, r);
	c->j->r->blocks++;
	if ((r->flags & INDEX_DAMAGED) != 0)
		c->j->m.damaged++;
	return (sum_put(&c->index, p, sizeof(p)));
}

/* What the map says of the slot: nonce and tag, so that it need not be read to
 * be known? */
static bool
sealed(const uint8_t *stamp)
{
	return (!zero(stamp, AEAD_NONCELEN + AEAD_TAGLEN));
}

static bool
wanted(const struct copy *c, uint32_t i)
{
	return (bit(c->used, i) ||
		!zero(c->group + (size_t)i * STAMP_LEN, STAMP_LEN));
}

/* The block is the one that the last backup has. */
static bool
same(const struct index_rec *old, uint32_t flags,
    const uint8_t stamp[static STAMP_LEN])
{
	return (old->slot != 0 && old->flags == flags &&
		memcmp(old->stamp, stamp, STAMP_LEN) == 0);
}

/* The slot holds what the last backup has of it, by what the maps say. */
static bool
kept(const struct copy *c, uint32_t i)
{
	const uint8_t *stamp = c->group + (size_t)i * STAMP_LEN;
	uint8_t want[STAMP_LEN] = { 0 };

	if (!sealed(stamp))
		return (false);
	memcpy(want, stamp, AEAD_NONCELEN + AEAD_TAGLEN);
	return (same(&c->known[i], 0, want) &&
		c->known[i].crc == get_u32(stamp + 28));
}

/* A slot that was read. */
static enum err
slot_read(struct copy *c, uint64_t grp, uint32_t i, const uint8_t *block)
{
	const uint8_t *stamp = c->group + (size_t)i * STAMP_LEN;
	const uint64_t slot = grp * GROUP_SLOTS + i;
	struct index_rec r = { .slot = slot,
		.epoch = c->j->m.epoch,
		.crc = crc32c(0, block, BLOCK) };

	if (sealed(stamp)) {
		memcpy(r.stamp, stamp, AEAD_NONCELEN + AEAD_TAGLEN);
	} else {
		r.flags = INDEX_PLAIN;
		sha256(block, BLOCK, r.stamp);
	}
	/* Slots that no map names have no checksum. */
	if (!zero(stamp, STAMP_LEN) && r.crc != get_u32(stamp + 28)) {
		r.flags |= INDEX_DAMAGED;
		bad(c, slot, "does not hold what its checksum says");
	} else if (same(&c->known[i], r.flags, r.stamp)) {
		return (record(c, &c->known[i]));
	}
	r.block = c->next++;
	c->j->r->copied++;
	TRY(sum_put(&c->blocks, block, BLOCK));
	return (record(c, &r));
}

/* Slots in a row from ${i} of the group on.  What cannot be read as one is read
 * slot by slot. */
static enum err
run_read(struct copy *c, uint64_t grp, uint32_t i, uint32_t n)
{
	const uint64_t first = grp * GROUP_SLOTS + i;
	enum err e = alloc_read(c->j->st, first, n, c->data);

	if (e != OK && n > 1) {
		for (uint32_t k = 0; k < n; k++)
			TRY(run_read(c, grp, i + k, 1));
		return (OK);
	}
	if (e == ERR_NOMEM)
		return (e);
	if (e != OK) {
		bad(c, first, "cannot be read");
		c->j->m.damaged++;
		return (OK);
	}
	for (uint32_t k = 0; k < n; k++)
		TRY(slot_read(c, grp, i + k, c->data + (size_t)k * BLOCK));
	return (backup_pace(c->j, (uint64_t)n * BLOCK));
}

/* ---- Groups ---------------------------------------------------------------- */

static enum err
group_load(struct copy *c, uint64_t grp)
{
	const uint64_t first = grp * GROUP_SLOTS;
	uint64_t n = c->nstamps > first ? c->nstamps - first : 0;
	int rc;

	if (n > GROUP_SLOTS)
		n = GROUP_SLOTS;
	memset(c->group, 0, (size_t)GROUP_SLOTS * STAMP_LEN);
	if (n != 0)
		TRY(sys_pread_full(c->stamps, c->group, (size_t)n * STAMP_LEN,
		    first * STAMP_LEN));
	memset(c->used, 0, sizeof(c->used));
	(void)sqlite3_reset(c->bits);
	(void)sqlite3_bind_int64(c->bits, 1, (sqlite3_int64)grp);
	rc = sqlite3_step(c->bits);
	if (rc == SQLITE_ROW)
		memcpy(c->used, sqlite3_column_blob(c->bits, 0), GROUP_BYTES);
	(void)sqlite3_reset(c->bits);
	return (rc == SQLITE_ROW || rc == SQLITE_DONE ? OK : db_err(rc));
}

static enum err
group_copy(struct copy *c, uint64_t grp)
{
	uint32_t n;

	TRY(group_load(c, grp));
	TRY(old_load(c, grp));
	for (uint32_t i = grp == 0 ? 1 : 0; i < GROUP_SLOTS; i += n) {
		n = 1;
		if (!wanted(c, i))
			continue;
		if (kept(c, i)) {
			TRY(record(c, &c->known[i]));
			continue;
		}
		while (n < RUN && i + n < GROUP_SLOTS && wanted(c, i + n) &&
		       !kept(c, i + n))
			n++;
		TRY(run_read(c, grp, i, n));
	}
	/* Only now may what was read be used again. */
	TRY(backup_pace(c->j, 0));
	alloc_unhold(c->j->st, grp);
	return (OK);
}

static enum err
count(struct copy *c, uint64_t *ret_groups)
{
	sqlite3_stmt *s CLEANUP_STMT = NULL;
	uint64_t n;
	int rc;

	TRY(prepare(c, groups_sql, &s));
	rc = sqlite3_step(s);
	if (rc != SQLITE_ROW)
		return (rc == SQLITE_DONE ? ERR_CORRUPT : db_err(rc));
	n = (uint64_t)sqlite3_column_int64(s, 0);
	if (n * GROUP_SLOTS < c->nstamps)
		n = (c->nstamps + GROUP_SLOTS - 1) / GROUP_SLOTS;
	*ret_groups = n < ((uint64_t)1 << 34) / GROUP_SLOTS
			  ? n
			  : ((uint64_t)1 << 34) / GROUP_SLOTS;
	for (uint64_t g = 0; g < *ret_groups; g++) {
		TRY(group_load(c, g));
		for (size_t i = 0; i < GROUP_BYTES; i++)
			c->j->total +=
			    (unsigned)__builtin_popcount(c->used[i]) *
			    (uint64_t)BLOCK;
	}
	return (OK);
}

static enum err
copy_all(struct copy *c)
{
	struct backup_manifest *m = &c->j->m;
	uint64_t groups = 0;
	enum err e;

	TRY(walk_nodes(c));
	TRY(walk_records(c));
	TRY(prepare(c, bits_sql, &c->bits));
	TRY(index_open(c->j->place, c->j->base.epoch, &c->old));
	e = index_next(&c->old, &c->prev);
	c->have_prev = e == OK;
	if (e != OK && e != ERR_NOENT)
		return (err_fail(e, "the index of the last backup is "
				    "damaged"));
	TRY(count(c, &groups));
	for (uint64_t g = 0; g < groups; g++)
		TRY(group_copy(c, g));
	TRY(sum_end(&c->index, &m->file[BF_INDEX].size, m->file[BF_INDEX].sha));
	return (sum_end(
	    &c->blocks, &m->file[BF_BLOCKS].size, m->file[BF_BLOCKS].sha));
}

static enum err
copy_open(struct copy *c)
{
	char path[BACKUP_PATH];
	const char *const dir = c->j->dir;

	c->group = malloc((size_t)GROUP_SLOTS * STAMP_LEN);
	c->data = malloc((size_t)RUN * BLOCK);
	c->known = calloc(GROUP_SLOTS, sizeof(*c->known));
	if (c->group == NULL || c->data == NULL || c->known == NULL)
		return (ERR_NOMEM);
	TRY(backup_path(path, dir, backup_names[BF_META], NULL));
	TRY(db_read_open(path, &c->db));
	TRY(backup_path(path, dir, backup_names[BF_INDEX], NULL));
	TRY(sum_open(path, &c->index));
	TRY(backup_path(path, dir, backup_names[BF_BLOCKS], NULL));
	TRY(sum_open(path, &c->blocks));
	TRY(backup_path(path, dir, STAMPS, NULL));
	c->stamps = sys->open(
	    path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->stamps < 0)
		return (backup_fail(path));
	/* It goes with its last descriptor. */
	return (sys->unlink(path) == 0 ? OK : backup_fail(path));
}

enum err
backup_copy(struct backup_job *j)
{
	struct copy *c = calloc(1, sizeof(*c));
	enum err e;

	if (c == NULL)
		return (ERR_NOMEM);
	c->j = j;
	c->stamps = c->old.fd = c->index.fd = c->blocks.fd = -1;
	e = copy_open(c);
	if (e == OK)
		e = copy_all(c);
	(void)sqlite3_finalize(c->bits);
	db_read_close(&c->db);
	if (c->stamps >= 0)
		(void)sys->close(c->stamps);
	index_close(&c->old);
	sum_release(&c->index);
	sum_release(&c->blocks);
	free(c->group);
	free(c->known);
	free(c->data);
	free(c);
	return (e);
}
