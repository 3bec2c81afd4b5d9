/*
 * driver: replays inputs of a fuzz target, without a fuzzer: every file that is
 * named, and every file of a folder that is named.
 *
 * The names go to standard output before their turn, so that the last one is
 * the one that failed.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/base/sys.h"

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)1 << 20)
/* For one input: of the processor, and for one that waits; a machine may stand
 * still for a minute. */
#define SECONDS_MAX 60
#define WAIT_MAX 600

static void
limit(time_t seconds)
{
	const struct itimerval t = { .it_value.tv_sec = seconds };

	(void)setitimer(ITIMER_PROF, &t, NULL);
}

static int
replay_file(const char *path)
{
	uint8_t *p CLEANUP_FREE = NULL;
	uint8_t *input CLEANUP_FREE = NULL;
	size_t len = 0;
	const enum err e = sys_read_file(path, INPUT_MAX, &p, &len);

	if (e != OK) {
		(void)fprintf(stderr, "%s: %s\n", path, err_detail(e));
		return (-1);
	}
	(void)printf("%s\n", path);
	(void)fflush(stdout);
	input = exact(p, len);
	/* What takes for ever ends here, by SIGPROF or SIGALRM. */
	limit(SECONDS_MAX);
	(void)alarm(WAIT_MAX);
	(void)LLVMFuzzerTestOneInput(input, len);
	(void)alarm(0);
	limit(0);
	return (1);
}

static int
visible(const struct dirent *d)
{
	return (d->d_name[0] != '.');
}

/* How many inputs there were, or -1. */
static int
replay_folder(const char *path)
{
	struct dirent **list = NULL;
	const int n = scandir(path, &list, visible, alphasort);
	int done = 0;

	if (n < 0)
		(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
	for (int i = 0; i < n; i++) {
		char *name CLEANUP_FREE = NULL;

		if (done >= 0 &&
		    asprintf(&name, "%s/%s", path, list[i]->d_name) >= 0)
			done = replay_file(name) < 0 ? -1 : done + 1;
		free(list[i]);
	}
	free(list);
	return (n < 0 ? -1 : done);
}

int
main(int argc, char **argv)
{
	int all = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		const bool folder =
		    stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
		const int n =
		    folder ? replay_folder(argv[i]) : replay_file(argv[i]);

		if (n < 0)
			return (1);
		all += n;
	}
	(void)printf("%d inputs\n", all);
	return (all > 0 ? 0 : 1);
}
