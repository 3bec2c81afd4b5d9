/*
 * The shared epoch.
 *
 * The file holds one struct page in the machine's own byte order: it never
 * leaves the machine, and is made anew when it is missing or damaged.
 *
 *	 0  8  magic "SSEFSEP1"
 *	 8  8  epoch
 *	16  4  wake: raised with every epoch; watchers sleep on it
 *	20  4  acks: raised with every answer; those who changed sleep on it
 *	24  8  zero
 *	32 16 * 64  watchers: owner (pid << 32 | start time), epoch answered
 *
 * The file is mapped: sys_map_open().
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/sys.h"

#include "kms/epoch.h"

#define WATCHERS 64
#define NO_SLOT WATCHERS

struct watcher {
	_Atomic uint64_t owner;
	_Atomic uint64_t acked;
};

struct page {
	_Atomic uint64_t magic;
	_Atomic uint64_t epoch;
	_Atomic uint32_t wake;
	_Atomic uint32_t acks;
	uint64_t zero;
	struct watcher w[WATCHERS];
};

_Static_assert(sizeof(struct page) == 32 + 16 * WATCHERS, "epoch file");
_Static_assert(sizeof(_Atomic uint32_t) == 4, "a futex has 32 bits");

/* A mapping that was replaced stays until the end: other threads may still be
 * looking at it. */
struct mapping {
	struct page *page;
	struct mapping *older;
	dev_t dev;
	ino_t ino;
	bool anonymous;
};

struct epoch {
	char path[PATH_MAX];
	struct mapping *_Atomic map;
	unsigned slot; /* ours in the list, or NO_SLOT */
};

static struct page *
page_of(const struct epoch *e)
{

	return atomic_load_explicit(&e->map, memory_order_acquire)->page;
}

static long
futex(_Atomic uint32_t *word, int op, uint32_t val, const struct timespec *ts)
{

	return syscall(SYS_futex, word, op, val, ts, NULL, 0);
}

static void
wake_all(_Atomic uint32_t *word)
{

	(void)atomic_fetch_add(word, 1);
	(void)futex(word, FUTEX_WAKE, INT_MAX, NULL);
}

static void
sleep_on(_Atomic uint32_t *word, uint32_t seen, unsigned ms)
{
	const struct timespec ts = { .tv_sec = ms / 1000,
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)futex(word, FUTEX_WAIT, seen, &ts);
}

/* ---- Who is alive ------------------------------------------------------- */

/* The start time of ${pid} in clock ticks; 0 when it is gone or a zombie. */
static uint32_t
start_time(pid_t pid)
{
	char path[64], text[1024];
	const char *p;
	char state = 0;
	unsigned long long start = 0;
	ssize_t len;
	int fd CLEANUP_CLOSE = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	p = strrchr(text, ')');
	if (p == NULL ||
	    sscanf(p + 1,
		" %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u "
		"%*d %*d %*d %*d %*d %*d %llu",
		&state, &start) != 2 ||
	    state == 'Z' || state == 'X')
		return 0;
	return (uint32_t)start;
}

static uint64_t
owner_of(pid_t pid)
{

	return (uint64_t)(uint32_t)pid << 32 | start_time(pid);
}

static bool
alive(uint64_t owner)
{
	const pid_t pid = (pid_t)(owner >> 32);

	if (pid <= 0 || (kill(pid, 0) != 0 && errno == ESRCH))
		return false;
	return owner == owner_of(pid);
}

/* ---- The file ----------------------------------------------------------- */

static uint64_t
magic(void)
{
	uint64_t m;

	memcpy(&m, "SSEFSEP1", sizeof(m));
	return m;
}

static enum err
mapping_finish(int fd, struct mapping *m)
{
	void *p;

	if (fd >= 0) {
		p = sys_map(fd, 0, sizeof(struct page));
	} else {
		p = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		p = p == MAP_FAILED ? NULL : p;
	}
	if (p == NULL)
		return err_from_errno(errno);
	m->page = p;
	/* Damaged or new: only the magic is wrong, every other value does. */
	atomic_store(&m->page->magic, magic());
	return OK;
}

static enum err
mapping_make(const char *path, struct mapping **ret)
{
	struct mapping *m CLEANUP_FREE = calloc(1, sizeof(*m));
	int fd CLEANUP_CLOSE = -1;
	struct stat st;

	if (m == NULL)
		return ERR_NOMEM;
	fd = sys_map_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == ENOENT) {
		/* A directory that only a simulated disk knows: no other
		 * process can be there either. */
		m->anonymous = true;
		TRY(mapping_finish(-1, m));
		*ret = steal(m);
		return OK;
	}
	if (fd < 0 || sys_map_fstat(fd, &st) != 0)
		return err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_fail(ERR_IO,
		    "%s is not a regular file; remove it and try again", path);
	/* Never shortened: another process may have it mapped. */
	if (st.st_size == 0)
		sys_in_place(fd);
	if (st.st_size < (off_t)sizeof(struct page) &&
	    sys_map_ftruncate(fd, (off_t)sizeof(struct page)) != 0)
		return err_from_errno(errno);
	/* Touching a page that the disk has no room for would be a SIGBUS. */
	if (sys_map_fallocate(fd, 0, (off_t)sizeof(struct page)) != 0 &&
	    errno != EOPNOTSUPP && errno != ENOSYS)
		return err_from_errno(errno);
	m->dev = st.st_dev;
	m->ino = st.st_ino;
	TRY(mapping_finish(fd, m));
	*ret = steal(m);
	return OK;
}

enum err
epoch_open(const char *path, struct epoch **ret)
{
	struct epoch *e CLEANUP_FREE = calloc(1, sizeof(*e));
	struct mapping *m = NULL;

	if (e == NULL)
		return ERR_NOMEM;
	if (strlen(path) >= sizeof(e->path))
		return ERR_NAMETOOLONG;
	strcpy(e->path, path);
	e->slot = NO_SLOT;
	TRY(mapping_make(path, &m));
	atomic_init(&e->map, m);
	*ret = steal(e);
	return OK;
}

void
epoch_close(struct epoch *e)
{
	struct mapping *m, *older;

	if (e == NULL)
		return;
	epoch_unwatch(e);
	for (m = atomic_load(&e->map); m != NULL; m = older) {
		older = m->older;
		(void)munmap(m->page, sizeof(struct page));
		free(m);
	}
	free(e);
}

bool
epoch_remap(struct epoch *e)
{
	struct mapping *m = atomic_load(&e->map);
	struct mapping *fresh = NULL;
	struct stat st;

	if (m->anonymous || (lstat(e->path, &st) == 0 && st.st_dev == m->dev &&
				st.st_ino == m->ino &&
				st.st_size >= (off_t)sizeof(struct page)))
		return false;
	if (mapping_make(e->path, &fresh) != OK)
		return false;
	fresh->older = m;
	epoch_unwatch(e);
	atomic_store_explicit(&e->map, fresh, memory_order_release);
	return epoch_watch(e) == OK;
}

/* ---- The counter -------------------------------------------------------- */

uint64_t
epoch_get(const struct epoch *e)
{

	return atomic_load_explicit(&page_of(e)->epoch, memory_order_acquire);
}

uint64_t
epoch_bump(struct epoch *e)
{
	struct page *p = page_of(e);
	const uint64_t now = atomic_fetch_add(&p->epoch, 1) + 1;

	wake_all(&p->wake);
	return now;
}

static bool
all_answered(struct page *p, uint64_t at)
{

	for (unsigned i = 0; i < WATCHERS; i++) {
		const uint64_t owner = atomic_load(&p->w[i].owner);

		/* The difference is signed so that a counter near its end,
		 * as a damaged file may hold, wraps without harm. */
		if (owner != 0 &&
		    (int64_t)(atomic_load(&p->w[i].acked) - at) < 0 &&
		    alive(owner))
			return false;
	}
	return true;
}

bool
epoch_wait(struct epoch *e, uint64_t at, unsigned ms)
{
	const uint64_t end = clock_mono_ns() + (uint64_t)ms * 1000000;
	struct page *p = page_of(e);

	for (;;) {
		const uint32_t seen = atomic_load(&p->acks);

		if (all_answered(p, at))
			return true;
		if (clock_mono_ns() >= end)
			return false;
		sleep_on(&p->acks, seen, 50);
	}
}

/* ---- Watchers ----------------------------------------------------------- */

enum err
epoch_watch(struct epoch *e)
{
	struct page *p = page_of(e);
	const uint64_t me = owner_of(getpid());

	for (unsigned i = 0; i < WATCHERS; i++) {
		uint64_t owner = atomic_load(&p->w[i].owner);

		if ((owner == 0 || !alive(owner)) &&
		    atomic_compare_exchange_strong(
			&p->w[i].owner, &owner, me)) {
			e->slot = i;
			epoch_ack(e, atomic_load(&p->epoch));
			return OK;
		}
	}
	return err_fail(
	    ERR_LIMIT, "%d processes watch this keystore already", WATCHERS);
}

void
epoch_unwatch(struct epoch *e)
{
	struct page *p = page_of(e);

	if (e->slot == NO_SLOT)
		return;
	atomic_store(&p->w[e->slot].owner, 0);
	e->slot = NO_SLOT;
	wake_all(&p->acks);
}

void
epoch_ack(struct epoch *e, uint64_t at)
{
	struct page *p = page_of(e);

	if (e->slot == NO_SLOT)
		return;
	atomic_store(&p->w[e->slot].acked, at);
	wake_all(&p->acks);
}

bool
epoch_sleep(struct epoch *e, uint64_t at, unsigned ms)
{
	struct page *p = page_of(e);
	const uint32_t seen = atomic_load(&p->wake);
	const uint64_t end = clock_mono_ns() + (uint64_t)ms * 1000000;

	if (epoch_get(e) != at)
		return false;
	sleep_on(&p->wake, seen, ms);
	return clock_mono_ns() >= end;
}

void
epoch_poke(struct epoch *e)
{

	wake_all(&page_of(e)->wake);
}
