/*
 * The file by which processes tell each other of changed keys (kms/epoch.c):
 * whatever stands in it, nothing hangs, and what is said there counts from then
 * on.
 *
 * Input: a byte of flags (1: begin with a right head; 2: a watcher before the
 * change; 4: the file is replaced in between), the file.
 */
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "kms/epoch.h"

#include "tests/fuzz/fuzz.h"

#define HEAD_LEN 16u
#define LONG_NS ((uint64_t)300 * 1000000000)

static char dir[] = "/tmp/ssefs-fuzz-epoch-XXXXXX";
static char path[sizeof(dir) + 8];

static void
tidy(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

static void
setup(void)
{
	if (path[0] != '\0')
		return;
	HOLDS(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/e", dir);
	HOLDS(atexit(tidy) == 0);
}

static void
write_file(const uint8_t *p, size_t len, bool head)
{
	uint8_t first[HEAD_LEN] = "SSEFSEP1";
	int fd CLEANUP_CLOSE =
	    open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	HOLDS(fd >= 0);
	if (head) {
		HOLDS(
		    write(fd, first, sizeof(first)) == (ssize_t)sizeof(first));
	}
	HOLDS(write(fd, p, len) == (ssize_t)len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	const uint64_t flags = feed_int(&f, 1);
	const uint64_t start = clock_mono_ns();
	struct epoch *e = NULL;
	uint64_t at, was;
	bool watch = false;

	setup();
	(void)unlink(path);
	write_file(f.p, f.len, (flags & 1) != 0);
	HOLDS(epoch_open(path, &e) == OK && e != NULL);
	if ((flags & 2) != 0)
		watch = epoch_watch(e) == OK;
	was = epoch_get(e);
	at = epoch_bump(e);
	HOLDS(at == was + 1 && epoch_get(e) == at);
	/* We watch, and have not answered. */
	HOLDS(!watch || !epoch_wait(e, at, 2));
	epoch_ack(e, at);
	HOLDS(epoch_wait(e, at, 2));
	HOLDS(!epoch_sleep(e, was, 2));
	(void)epoch_sleep(e, at, 1);
	if ((flags & 4) != 0) {
		HOLDS(unlink(path) == 0);
		write_file(f.p, f.len / 2, false);
		(void)epoch_remap(e);
		(void)epoch_bump(e);
	}
	epoch_poke(e);
	epoch_unwatch(e);
	epoch_close(e);
	HOLDS(clock_mono_ns() - start < LONG_NS);
	return (0);
}
