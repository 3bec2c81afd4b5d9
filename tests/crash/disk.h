/*
 * disk: a disk in memory that stands in the place of lib/base/sys.
 *
 * A disk is a set of names and the content of files.  While one is mounted,
 * every system call of the engine, of SQLite and of the keystore goes to it,
 * at once and as a kernel's page cache would have it; what would be left of it
 * after a power cut is worked out afterwards from the log of all changes
 * (cut.h).
 *
 * Contents are copied on write: to copy a whole disk costs next to nothing.
 * Mounting is for one thread, with no store open; the calls are for all.
 */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR 512u
#define DISK_FILES 24
#define DISK_NAMES 24
#define DISK_PATH 48

/* ---- Content of one file (image.c) ---------------------------------------- */

struct leaf;
struct image {
	uint64_t size;
	size_t nleaf;
	struct leaf **leaf;
};

void image_free(struct image *im);
struct image *image_clone(const struct image *im);
/* Bytes beyond the size are zeros. */
void image_read(const struct image *im, uint64_t off, void *ret, size_t len);
/* Both may reach beyond the size, which they do not change. */
void image_write(
    struct image *im, uint64_t off, const void *data, uint64_t len);
void image_zero(struct image *im, uint64_t off, uint64_t len);
/* Beyond a smaller size all is zero. */
void image_resize(struct image *im, uint64_t size);
/* The bytes of ${from} to the same place. */
void image_copy(
    struct image *im, const struct image *from, uint64_t off, uint64_t len);
uint64_t image_hash(const struct image *im);

/* ---- A disk ------------------------------------------------------------------ */

#define DISK_DIR (-1) /* file of a name that is a directory */

struct disk_name {
	char path[DISK_PATH]; /* below the root, without a leading slash */
	int file;
};

struct disk {
	struct image *file[DISK_FILES];
	int nfiles;
	struct disk_name name[DISK_NAMES];
	int nnames;
};

struct disk *disk_new(void);
struct disk *disk_clone(const struct disk *d);
void disk_free(struct disk *d);
/* Names and what they show.  Equal disks have equal hashes. */
uint64_t disk_hash(const struct disk *d);
struct disk_name *disk_find(struct disk *d, const char *path);
/* Make ${path} name ${file}, whatever it named before. */
void disk_link(struct disk *d, const char *path, int file);
void disk_unlink(struct disk *d, const char *path);
/* Is ${path} a name in the directory ${dir}? */
bool disk_in_dir(const char *path, const char *dir);

/* ---- What was done to it ----------------------------------------------------- */

enum io_kind {
	IO_WRITE, /* file, off, len, data */
	IO_SIZE,  /* file; len: the new size */
	IO_PUNCH, /* file, off, len */
	IO_SYNC,  /* file; len: the changes before that one, SIZE_MAX: all */
	IO_SYNC_FAIL, /* file, len as well */
	IO_LINK,      /* path, file */
	IO_UNLINK,    /* path */
	IO_RENAME,    /* path, to */
	IO_SYNC_DIR   /* path */
};

struct io {
	enum io_kind kind;
	int file;
	uint64_t off, len;
	uint8_t *data;
	char path[DISK_PATH], to[DISK_PATH];
};

struct iolog {
	struct io *v;
	size_t n, cap;
};

void iolog_clear(struct iolog *l);
/* Do ${io} to ${d}; a sync does nothing. */
void io_apply(struct disk *d, const struct io *io);
/* A line about it, into ${ret}. */
void io_text(const struct io *io, char *ret, size_t size);

/* ---- In the place of the kernel (sim.c) --------------------------------------- */

/*
 * sim_start(root): from now on every path below ${root}, an absolute one, is
 * looked for on the mounted disk, and there is nothing else.  SIM_ROOT is another
 * name of it, for paths that are stored: the same in every run.
 */
#define SIM_ROOT "/simulated"
void sim_start(const char *root);
/* Mount ${d}; changes are added to ${log} unless it is NULL. */
void sim_mount(struct disk *d, struct iolog *log);
/* Nothing may be open. */
void sim_unmount(void);

/*
 * sim_die_at(n): once the log holds ${n} entries, nothing that would change
 * the disk does, as if the process had been killed there.  SIZE_MAX: never.
 * sim_dead() tells.
 */
void sim_die_at(size_t n);
bool sim_dead(void);
/* The ${n}th fdatasync or fsync of a file (not the keystore's) from now on fails
 * with EIO, and what it should have written never is.  0: none. */
void sim_fail_sync(unsigned n);
bool sim_failed(void);
/*
 * Several threads work from now on, until the unmounting.  Calls pause now and
 * then; a sync takes time, in which others write what it does not vouch for.
 */
void sim_crowd(void);
/* Entries in the log. */
size_t sim_changes(void);

#endif
