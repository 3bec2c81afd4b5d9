/*
 * ns_rename: rename(2).
 */
#include <string.h>
#include <sys/stat.h>

#include "store/ns.h"

struct side {
	struct dname key;
	struct pin dir;
	struct pin child; /* of the target: perhaps none */
	struct dent d;
	bool found;
};

struct move {
	struct store *st;
	unsigned flags;
	struct side from, to;
};

static void
move_cleanup(struct move *m)
{
	pin_put(&m->from.child);
	pin_put(&m->to.child);
	pin_put(&m->from.dir);
	pin_put(&m->to.dir);
}

/* Find what the name refers to, if anything. */
static enum err
side_find(struct store *st, struct side *s)
{
	const enum err e = dent_find(st, s->dir.ip->ino, &s->key, &s->d);

	if (e == ERR_NOENT)
		return (OK);
	TRY(e);
	s->found = true;
	return (pin_named(st, s->dir.ip->ino, &s->d, &s->child));
}

/* Buckets are neither renamed nor made by renaming, and nothing moves from one
 * to another. */
static enum err
check_buckets(const struct move *m)
{
	if (m->from.dir.ip->ino == STORE_ROOT)
		return (ERR_PERM);
	if (m->from.dir.ip->bucket != m->to.dir.ip->bucket)
		return (ERR_XDEV);
	return (OK);
}

/* ERR_INVAL when ${dir} is ${child} or lies below it. */
static enum err
check_outside(
    struct store *st, const struct inode *dir, const struct inode *child)
{
	uint64_t ino = dir->ino, parent = dir->parent;
	struct climb c = { .mark = 0 };

	while (ino != STORE_ROOT) {
		PIN(up);

		if (ino == child->ino)
			return (ERR_INVAL);
		if (ino == child->parent)
			return (OK);
		if (climb_circle(&c, ino))
			return (
			    err_fail(ERR_CORRUPT, "directories form a circle"));
		TRY(pin_child(st, parent, &up));
		ino = parent;
		parent = up.ip->parent;
	}
	return (OK);
}

static enum err
check_circle(const struct move *m)
{
	if (m->from.d.isdir && m->from.dir.ip != m->to.dir.ip)
		TRY(check_outside(m->st, m->to.dir.ip, m->from.child.ip));
	if (m->to.found && m->to.d.isdir &&
	    (m->flags & STORE_RENAME_EXCHANGE) != 0 &&
	    m->from.dir.ip != m->to.dir.ip)
		TRY(check_outside(m->st, m->from.dir.ip, m->to.child.ip));
	return (OK);
}

static enum err
check_target(const struct move *m)
{
	if ((m->flags & STORE_RENAME_EXCHANGE) != 0)
		return (m->to.found ? OK : ERR_NOENT);
	if (!m->to.found)
		return (OK);
	if ((m->flags & STORE_RENAME_NOREPLACE) != 0)
		return (ERR_EXIST);
	if (m->from.d.isdir && !m->to.d.isdir)
		return (ERR_NOTDIR);
	if (!m->from.d.isdir && m->to.d.isdir)
		return (ERR_ISDIR);
	if (m->to.d.isdir && m->from.d.ino != m->to.d.ino)
		return (dir_empty(m->st, m->to.d.ino));
	return (links_check(m->to.child.ip));
}

static enum err
check_links(const struct move *m)
{
	if (m->from.d.isdir && !m->to.found &&
	    m->to.dir.ip->nlink == UINT32_MAX)
		return (ERR_MLINK);
	return (OK);
}

/* ${ip} now has its name in ${to}. */
static void
settle(struct move *m, struct inode *ip, struct inode *from, struct inode *to)
{
	if (S_ISDIR(ip->mode) && from != to) {
		links_drop(from);
		to->nlink++;
		ip->parent = to->ino;
		m->st->dflt_gen++;
	}
	inode_touch(m->st, ip, false);
}

static enum err
do_move(struct move *m, uint64_t *ret_gone)
{
	struct store *const st = m->st;
	struct inode *const from = m->from.dir.ip, *const to = m->to.dir.ip;
	const bool isdir = m->from.d.isdir;
	const uint64_t ino = m->from.d.ino;

	TRY(dent_del(st, from->ino, &m->from.key, isdir));
	if (m->to.found) {
		TRY(dent_set(st, to->ino, &m->to.key, isdir, ino));
		TRY(inode_unname(st, to, m->to.child.ip));
		if (m->to.child.ip->nlink == 0)
			*ret_gone = m->to.d.ino;
	} else {
		TRY(dent_add(st, to->ino, &m->to.key, isdir, ino));
	}
	settle(m, m->from.child.ip, from, to);
	return (OK);
}

static enum err
do_exchange(struct move *m)
{
	struct store *const st = m->st;
	struct inode *const from = m->from.dir.ip, *const to = m->to.dir.ip;

	/* The kind of an inode is part of its row's key. */
	TRY(dent_del(st, from->ino, &m->from.key, m->from.d.isdir));
	TRY(dent_del(st, to->ino, &m->to.key, m->to.d.isdir));
	TRY(dent_add(st, from->ino, &m->from.key, m->to.d.isdir, m->to.d.ino));
	TRY(dent_add(st, to->ino, &m->to.key, m->from.d.isdir, m->from.d.ino));
	settle(m, m->from.child.ip, from, to);
	settle(m, m->to.child.ip, to, from);
	return (OK);
}

static enum err
rename_locked(struct move *m, uint64_t dir, uint64_t newdir, uint64_t *ret_gone)
{
	struct store *const st = m->st;

	TRY(pin_dir(st, dir, &m->from.dir));
	TRY(pin_live_dir(st, newdir, &m->to.dir));
	TRY(side_find(st, &m->from));
	if (!m->from.found)
		return (ERR_NOENT);
	TRY(check_buckets(m));
	TRY(side_find(st, &m->to));
	TRY(check_circle(m));
	TRY(check_target(m));
	if (m->to.found && m->from.d.ino == m->to.d.ino)
		return (OK);
	TRY(check_links(m));
	TRY(db_room(st));
	TRY(db_begin(st));
	if ((m->flags & STORE_RENAME_EXCHANGE) != 0)
		TRY(do_exchange(m));
	else
		TRY(do_move(m, ret_gone));
	inode_touch(st, m->from.dir.ip, true);
	inode_touch(st, m->to.dir.ip, true);
	return (OK);
}

enum err
store_rename(struct store *st, uint64_t dir, const char *name, size_t len,
    uint64_t newdir, const char *newname, size_t newlen, unsigned flags,
    uint64_t *ret_gone_ino)
{
	const unsigned both = STORE_RENAME_NOREPLACE | STORE_RENAME_EXCHANGE;

	*ret_gone_ino = 0;
	if ((flags & ~both) != 0 || (flags & both) == both)
		return (ERR_INVAL);
	EPOCH_SCOPE(st);
	LOCK_SCOPE(&st->db);
	struct move m CLEANUP(move_cleanup) = { .st = st, .flags = flags };
	TRY(dname_set(&m.from.key, name, len));
	TRY(dname_set(&m.to.key, newname, newlen));
	return (rename_locked(&m, dir, newdir, ret_gone_ino));
}
