/*
 * backup_check: verifying backups.
 *
 * Each file of a backup is read and compared with the digest in its manifest,
 * each manifest with the one that the next names; then each record of the index
 * must name a block that is there.  When the blocks of a backup do not fit their
 * digest, their checksums tell which.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>

#include "lib/base/clock.h"
#include "lib/base/sys.h"

#include "store/backup_internal.h"

#define SHOWN 16u /* blocks named one by one */

struct verify {
	const struct backup_place *p;
	const struct backup_opts *o;
	struct backup_result *r;
	uint64_t total, said_ns;
	const struct backup_manifest *m;
};

static void PRINTF(2, 3) tell_bad(struct verify *v, const char *fmt, ...)
{
	char text[BACKUP_PATH + 128];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v->r->bad++;
	if (v->o->bad != NULL)
		v->o->bad(v->o->arg, text);
}

static bool
tick(void *arg, uint64_t bytes)
{
	struct verify *v = arg;
	const uint64_t now = clock_mono_ns();

	v->r->bytes += bytes;
	if (v->o->progress == NULL || now - v->said_ns < 1000000000u)
		return (true);
	v->said_ns = now;
	return (v->o->progress(v->o->arg, v->r->bytes,
	    v->r->bytes > v->total ? v->r->bytes : v->total));
}

static enum err
log_sum(struct verify *v, uint64_t *ret_size, uint8_t ret[static SHA256_LEN])
{
	struct backup_log l = { .tick = tick, .arg = v };
	char dir[BACKUP_PATH];

	TRY(backup_path_of(dir, v->p->dir, v->m->epoch, NULL));
	TRY(backup_log_pass(dir, NULL, &l, ret));
	*ret_size = l.size;
	return (OK);
}

/* What a manifest says of a file; *${ret} false when it is not so. */
static enum err
file_check(struct verify *v, int i, bool *ret)
{
	char path[BACKUP_PATH];
	uint8_t sum[SHA256_LEN];
	uint64_t size = 0;
	enum err e;

	*ret = false;
	TRY(backup_path_of(path, v->p->dir, v->m->epoch, backup_names[i]));
	e = i == BF_AUDIT ? log_sum(v, &size, sum)
			  : backup_sum(path, tick, v, &size, sum);
	if (e == ERR_NOENT || e == ERR_IO) {
		v->r->unread += e == ERR_IO;
		tell_bad(v, "%s", err_detail(e));
		return (OK);
	}
	TRY(e);
	*ret = size == v->m->file[i].size &&
	       memcmp(sum, v->m->file[i].sha, SHA256_LEN) == 0;
	if (!*ret)
		tell_bad(v, "%s does not fit the digest in its manifest", path);
	return (OK);
}

/* Blocks that do not fit their checksum. */
static enum err
blocks_check(struct verify *v)
{
	struct index_in in;
	struct index_rec r;
	uint8_t block[BLOCK];
	char path[BACKUP_PATH];
	unsigned n = 0;
	enum err e;
	int fd;

	TRY(backup_path_of(
	    path, v->p->dir, v->m->epoch, backup_names[BF_BLOCKS]));
	fd = sys->open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return (OK);
	e = index_open(v->p->dir, v->m->epoch, &in);
	while (e == OK && n < SHOWN && (e = index_next(&in, &r)) == OK) {
		if (r.epoch != v->m->epoch)
			continue;
		if (sys_pread_full(fd, block, BLOCK, r.block * BLOCK) == OK &&
		    crc32c(0, block, BLOCK) == r.crc)
			continue;
		tell_bad(v, "%s: block %llu, of slot %llu, is damaged", path,
		    (unsigned long long)r.block, (unsigned long long)r.slot);
		n++;
	}
	index_close(&in);
	(void)sys->close(fd);
	return (e == ERR_NOENT || e == ERR_CORRUPT ? OK : e);
}

/* How many blocks the backup ${epoch} has; 0: none such. */
static enum err
blocks_of(struct verify *v, uint64_t epoch, uint64_t *last, uint64_t *ret)
{
	struct backup_manifest m;
	enum err e;

	if (*last == epoch)
		return (OK);
	e = place_manifest(v->p, epoch, &m);
	*last = epoch;
	*ret = 0;
	if (e == OK && memcmp(m.store, v->m->store, UUID_LEN) == 0)
		*ret = m.file[BF_BLOCKS].size / BLOCK;
	return (
	    e == ERR_CORRUPT || e == ERR_NOENT || e == ERR_VERSION ? OK : e);
}

static enum err
index_check(struct verify *v)
{
	uint64_t last = 0, have = 0, missing = 0;
	struct index_in in;
	struct index_rec r;
	enum err e = index_open(v->p->dir, v->m->epoch, &in);

	while (e == OK && (e = index_next(&in, &r)) == OK) {
		v->r->blocks++;
		e = blocks_of(v, r.epoch, &last, &have);
		if (r.block >= have || r.epoch > v->m->epoch)
			missing++;
	}
	index_close(&in);
	if (missing != 0)
		tell_bad(v,
		    "backup %llu refers to %llu blocks that no backup here "
		    "has",
		    (unsigned long long)v->m->epoch,
		    (unsigned long long)missing);
	if (e == ERR_CORRUPT)
		tell_bad(v, "the index of backup %llu makes no sense",
		    (unsigned long long)v->m->epoch);
	return (e == ERR_NOENT || e == ERR_CORRUPT ? OK : e);
}

static enum err
base_check(struct verify *v)
{
	struct backup_manifest m;
	enum err e;

	if (v->m->base == 0)
		return (OK);
	e = place_manifest(v->p, v->m->base, &m);
	if (e == OK && memcmp(m.digest, v->m->base_digest, SHA256_LEN) == 0)
		return (OK);
	if (e != OK && e != ERR_CORRUPT && e != ERR_VERSION)
		return (e);
	tell_bad(v, "backup %llu stands on backup %llu, which is %s",
	    (unsigned long long)v->m->epoch, (unsigned long long)v->m->base,
	    e == OK ? "another one here" : "missing or damaged");
	return (OK);
}

enum err
place_verify(const struct backup_place *p, uint64_t epoch,
    const struct backup_opts *o, struct backup_result *r)
{
	struct backup_manifest m;
	struct verify v = { .p = p, .o = o, .r = r, .m = &m };
	bool good = false;
	enum err e;

	r->blocks = 0;
	e = place_manifest(p, epoch, &m);
	if (e == ERR_CORRUPT) {
		tell_bad(&v, "%s", err_detail(e));
		return (OK);
	}
	TRY(e);
	r->epoch = epoch;
	hex_encode(m.digest, SHA256_LEN, r->digest);
	for (int i = 0; i < BF_COUNT_; i++)
		v.total += m.file[i].size;
	v.total += r->bytes;
	TRY(base_check(&v));
	for (int i = 0; i < BF_COUNT_; i++) {
		if ((i == BF_KEYS || i == BF_AUDIT) && !m.keys)
			continue;
		TRY(file_check(&v, i, &good));
		if (i == BF_INDEX && good)
			TRY(index_check(&v));
		if (i == BF_BLOCKS && !good)
			TRY(blocks_check(&v));
	}
	if (m.damaged != 0)
		tell_bad(&v,
		    "backup %llu was made of a store with %llu damaged blocks",
		    (unsigned long long)epoch, (unsigned long long)m.damaged);
	return (OK);
}

enum err
backup_verify(
    const char *dir, const struct backup_opts *o, struct backup_result *ret)
{
	struct backup_place p;
	enum err e;

	*ret = (struct backup_result){ .epoch = 0 };
	e = place_open(dir, false, &p);
	if (e == OK && p.n == 0)
		e = err_fail(ERR_NOENT, "%s holds no backup%s", p.dir,
		    p.cut ? ", only one that was cut off" : "");
	for (size_t i = 0; e == OK && i < p.n; i++)
		e = place_verify(&p, p.epoch[i], o, ret);
	ret->backups = p.n;
	place_close(&p);
	return (e);
}
