/*
 * disk: names and files, and the changes that are made to them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/attrs.h"

#include "tests/crash/disk.h"

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return (p);
}

struct disk *
disk_new(void)
{
	return (must(calloc(1, sizeof(struct disk))));
}

struct disk *
disk_clone(const struct disk *d)
{
	struct disk *c = disk_new();

	*c = *d;
	for (int i = 0; i < d->nfiles; i++)
		c->file[i] = image_clone(d->file[i]);
	return (c);
}

void
disk_free(struct disk *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < d->nfiles; i++)
		image_free(d->file[i]);
	free(d);
}

uint64_t
disk_hash(const struct disk *d)
{
	uint64_t sum = 0;

	/* A sum: the order in which names were made is nothing. */
	for (int i = 0; i < d->nnames; i++) {
		uint64_t h = 0;

		for (const char *p = d->name[i].path; *p != '\0'; p++)
			h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
		if (d->name[i].file != DISK_DIR)
			h ^= image_hash(d->file[d->name[i].file]);
		sum += (h ^ h >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
	}
	return (sum);
}

struct disk_name *
disk_find(struct disk *d, const char *path)
{
	for (int i = 0; i < d->nnames; i++)
		if (strcmp(d->name[i].path, path) == 0)
			return (&d->name[i]);
	return (NULL);
}

void
disk_link(struct disk *d, const char *path, int file)
{
	struct disk_name *n = disk_find(d, path);

	if (n == NULL) {
		if (d->nnames == DISK_NAMES)
			abort();
		n = &d->name[d->nnames++];
		(void)snprintf(n->path, sizeof(n->path), "%s", path);
	}
	n->file = file;
}

void
disk_unlink(struct disk *d, const char *path)
{
	struct disk_name *n = disk_find(d, path);

	if (n != NULL)
		*n = d->name[--d->nnames];
}

bool
disk_in_dir(const char *path, const char *dir)
{
	const char *slash = strrchr(path, '/');
	const size_t len = slash == NULL ? 0 : (size_t)(slash - path);

	return (strlen(dir) == len && strncmp(path, dir, len) == 0);
}

/* ---- Changes ---------------------------------------------------------------- */

void
iolog_clear(struct iolog *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].data);
	free(l->v);
	*l = (struct iolog){ .n = 0 };
}

void
io_apply(struct disk *d, const struct io *io)
{
	struct image *im = NULL;
	struct disk_name *n;

	if (io->kind == IO_LINK && io->file >= d->nfiles) {
		if (io->file != d->nfiles || d->nfiles == DISK_FILES)
			abort();
		d->file[d->nfiles++] = must(calloc(1, sizeof(struct image)));
	}
	if (io->file >= 0)
		im = d->file[io->file];
	switch (io->kind) {
	case IO_WRITE:
		image_write(im, io->off, io->data, io->len);
		if (io->off + io->len > im->size)
			im->size = io->off + io->len;
		break;
	case IO_SIZE:
		image_resize(im, io->len);
		break;
	case IO_PUNCH:
		image_zero(im, io->off, io->len);
		break;
	case IO_LINK:
		disk_link(d, io->path, io->file);
		break;
	case IO_UNLINK:
		disk_unlink(d, io->path);
		break;
	case IO_RENAME:
		n = disk_find(d, io->path);
		if (n == NULL)
			break;
		disk_link(d, io->to, n->file);
		disk_unlink(d, io->path);
		break;
	case IO_SYNC:
	case IO_SYNC_FAIL:
	case IO_SYNC_DIR:
		break;
	}
}

void
io_text(const struct io *io, char *ret, size_t size)
{
	static const char *const names[] = { "write", "size", "punch", "sync",
		"failed sync", "make", "unlink", "rename", "sync directory" };

	(void)snprintf(ret, size, "%s %s%s%s file %d off %llu len %llu",
	    names[io->kind], io->path, io->to[0] != '\0' ? " to " : "", io->to,
	    io->file, (unsigned long long)io->off, (unsigned long long)io->len);
}
