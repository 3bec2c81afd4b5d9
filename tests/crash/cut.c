/*
 * cut: the states are built by going through the changes once more.  Each is
 * made to a copy of its file, and of those that survive the sectors they
 * touched are taken over as the copy has them then: so a sector never holds a
 * later change without the earlier ones, which the page cache does not do
 * either.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/attrs.h"

#include "tests/crash/cut.h"

uint64_t
rnd_next(uint64_t *rnd, uint64_t below)
{
	uint64_t z = (*rnd += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return ((z ^ z >> 31) % below);
}

const char *
cut_name(enum cut kind)
{
	static const char *const names[CUT_KINDS] = { "nothing unsynced",
		"everything", "all but the last change", "only the last change",
		"one file", "all but one change", "some changes",
		"torn at 512 bytes", "torn at 4 KiB" };

	return (names[kind]);
}

#define HOLE_GRAIN (256u << 10) /* a hole is made extent by extent */

/* ---- What survives of one change ------------------------------------------------ */

enum fate { GONE, WHOLE, TORN };

struct survive {
	enum fate fate;
	unsigned grain; /* TORN: bytes */
	uint64_t *rnd;
};

static void
take_sectors(struct image *to, const struct image *from, const struct io *io,
    const struct survive *s)
{
	const unsigned g = s->fate != TORN        ? SECTOR
			   : io->kind == IO_PUNCH ? HOLE_GRAIN
						  : s->grain;
	const uint64_t begin = io->off / g * g;
	const uint64_t end = (io->off + io->len + g - 1) / g * g;

	if (s->fate == WHOLE) {
		image_copy(to, from, begin, end - begin);
		return;
	}
	for (uint64_t at = begin; at < end; at += g)
		if (rnd_next(s->rnd, 2) != 0)
			image_copy(to, from, at, g);
}

/* ${now} has just seen ${io}; ${to} is given what survives of it. */
static void
take(struct image *to, const struct image *now, const struct io *io,
    const struct survive *s)
{
	const bool size =
	    s->fate == WHOLE || (s->fate == TORN && rnd_next(s->rnd, 2) != 0);

	if (s->fate == GONE)
		return;
	if (io->kind == IO_SIZE) {
		if (!size)
			return;
		image_resize(to, io->len);
		/* The last sector, cut or grown. */
		image_copy(to, now, io->len / SECTOR * SECTOR, SECTOR);
		return;
	}
	take_sectors(to, now, io, s);
	/* A sector beyond the size brings the size with it. */
	if (io->kind == IO_WRITE && size && io->off + io->len > to->size)
		to->size = io->off + io->len;
}

/* ---- The cursor ------------------------------------------------------------------ */

void
cursor_start(struct cursor *c, const struct disk *base, const struct iolog *log)
{
	*c = (struct cursor){
		.log = log, .now = disk_clone(base), .safe = disk_clone(base)
	};
}

void
cursor_end(struct cursor *c)
{
	disk_free(c->now);
	disk_free(c->safe);
	free(c->pend);
	*c = (struct cursor){ .pos = 0 };
}

static bool
is_name(const struct io *io)
{
	return (io->kind == IO_LINK || io->kind == IO_UNLINK ||
		io->kind == IO_RENAME);
}

static void
pend_add(struct cursor *c)
{
	if (c->npend == c->cap) {
		c->cap = c->cap == 0 ? 64 : 2 * c->cap;
		c->pend = realloc(c->pend, c->cap * sizeof(*c->pend));
		if (c->pend == NULL)
			abort();
	}
	c->pend[c->npend++] = (struct pend){ .io = c->pos };
}

/* Content of ${file} after those of its pending changes for which ${fate} says
 * so. */
static void
replay(const struct cursor *c, int file, struct image **im,
    void (*fate)(void *arg, size_t i, struct survive *ret), void *arg)
{
	struct image *now = image_clone(*im);
	struct image *to = image_clone(*im);

	for (size_t i = 0; i < c->npend; i++) {
		const struct io *io = &c->log->v[c->pend[i].io];
		struct survive s = { .fate = GONE };

		if (is_name(io) || io->file != file)
			continue;
		if (io->kind == IO_WRITE) {
			image_write(now, io->off, io->data, io->len);
			if (io->off + io->len > now->size)
				now->size = io->off + io->len;
		} else if (io->kind == IO_SIZE) {
			image_resize(now, io->len);
		} else {
			image_zero(now, io->off, io->len);
		}
		fate(arg, i, &s);
		take(to, now, io, &s);
	}
	/* What lies beyond the size was not there. */
	image_resize(to, to->size);
	image_free(now);
	image_free(*im);
	*im = to;
}

struct sync {
	const struct cursor *c;
	uint64_t end; /* changes before that one are vouched for */
};

static void
not_doomed(void *arg, size_t i, struct survive *ret)
{
	const struct sync *s = arg;
	const struct pend *p = &s->c->pend[i];

	ret->fate = p->doomed || p->io >= s->end ? GONE : WHOLE;
}

static void
sync_file(struct cursor *c, int file, uint64_t end)
{
	struct sync s = { c, end };
	bool all = true;
	size_t n = 0;

	for (size_t i = 0; i < c->npend; i++)
		if ((c->pend[i].doomed || c->pend[i].io >= end) &&
		    c->log->v[c->pend[i].io].file == file)
			all = false;
	if (!all) {
		replay(c, file, &c->safe->file[file], not_doomed, &s);
	} else {
		image_free(c->safe->file[file]);
		c->safe->file[file] = image_clone(c->now->file[file]);
	}
	for (size_t i = 0; i < c->npend; i++) {
		const struct io *io = &c->log->v[c->pend[i].io];

		if (is_name(io) || io->file != file || c->pend[i].io >= end)
			c->pend[n++] = c->pend[i];
	}
	c->npend = n;
}

static void
sync_dir(struct cursor *c, const char *dir)
{
	size_t n = 0;

	for (int i = c->safe->nnames; i-- > 0;)
		if (disk_in_dir(c->safe->name[i].path, dir))
			disk_unlink(c->safe, c->safe->name[i].path);
	for (int i = 0; i < c->now->nnames; i++)
		if (disk_in_dir(c->now->name[i].path, dir))
			disk_link(c->safe, c->now->name[i].path,
			    c->now->name[i].file);
	for (size_t i = 0; i < c->npend; i++) {
		const struct io *io = &c->log->v[c->pend[i].io];

		if (!is_name(io) || !disk_in_dir(io->path, dir))
			c->pend[n++] = c->pend[i];
	}
	c->npend = n;
}

bool
cursor_step(struct cursor *c)
{
	const struct io *io;

	if (c->pos == c->log->n)
		return (false);
	io = &c->log->v[c->pos];
	io_apply(c->now, io);
	switch (io->kind) {
	case IO_SYNC:
		sync_file(c, io->file, io->len);
		break;
	case IO_SYNC_DIR:
		sync_dir(c, io->path);
		break;
	case IO_SYNC_FAIL:
		for (size_t i = 0; i < c->npend; i++)
			if (c->log->v[c->pend[i].io].file == io->file &&
			    c->pend[i].io < io->len)
				c->pend[i].doomed = true;
		break;
	case IO_LINK:
		if (io->file >= c->safe->nfiles) {
			c->safe->file[c->safe->nfiles] =
			    image_clone(c->now->file[io->file]);
			c->safe->nfiles++;
		}
		pend_add(c);
		break;
	case IO_WRITE:
	case IO_SIZE:
	case IO_PUNCH:
	case IO_UNLINK:
	case IO_RENAME:
		pend_add(c);
		break;
	}
	c->pos++;
	return (true);
}

/* ---- Cutting ---------------------------------------------------------------------- */

struct choice {
	const struct cursor *c;
	enum cut kind;
	size_t one;
	int file;
	uint64_t *rnd;
};

static void
choose(void *arg, size_t i, struct survive *ret)
{
	struct choice *ch = arg;
	const int file = ch->c->log->v[ch->c->pend[i].io].file;
	bool there = false;

	*ret = (struct survive){ .grain = ch->kind == CUT_512 ? 512 : 4096,
		.rnd = ch->rnd };
	switch (ch->kind) {
	case CUT_NONE:
		break;
	case CUT_ALL:
		there = true;
		break;
	case CUT_FIRST:
		there = i + 1 < ch->c->npend;
		break;
	case CUT_LAST:
		there = i + 1 == ch->c->npend;
		break;
	case CUT_FILE:
		there = file == ch->file;
		break;
	case CUT_BUT:
		there = i != ch->one;
		break;
	case CUT_512:
	case CUT_4096:
		if (rnd_next(ch->rnd, 3) == 0) {
			ret->fate = TORN;
			return;
		}
		there = rnd_next(ch->rnd, 2) != 0;
		break;
	case CUT_SOME:
	case CUT_KINDS:
		there = rnd_next(ch->rnd, 2) != 0;
		break;
	}
	ret->fate = there ? WHOLE : GONE;
}

struct disk *
cursor_cut(const struct cursor *c, enum cut kind, uint64_t *rnd)
{
	struct disk *d = disk_clone(c->safe);
	struct choice ch = { .c = c, .kind = kind, .rnd = rnd };

	if (c->npend == 0)
		return (d);
	ch.one = (size_t)rnd_next(rnd, c->npend);
	ch.file = c->log->v[c->pend[ch.one].io].file;
	for (size_t i = 0; i < c->npend; i++) {
		const struct io *io = &c->log->v[c->pend[i].io];
		struct survive s;

		if (!is_name(io))
			continue;
		choose(&ch, i, &s);
		/* The names of one file alone would show nothing. */
		if (s.fate != GONE || kind == CUT_FILE)
			io_apply(d, io);
	}
	for (int f = 0; f < d->nfiles; f++)
		for (size_t i = 0; i < c->npend; i++) {
			const struct io *io = &c->log->v[c->pend[i].io];

			if (is_name(io) || io->file != f)
				continue;
			replay(c, f, &d->file[f], choose, &ch);
			break;
		}
	return (d);
}
