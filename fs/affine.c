#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/attrs.h"

#include "fs/affine.h"

#define LOOK_EVERY 64u    /* quick requests between looks at the client */
#define OTHERS_MAX 4u     /* more changes of client: let the kernel choose */
#define STAT_PROCESSOR 39 /* field of /proc/PID/stat, proc(5) */

/* The processors this process may use, as it was started. */
static cpu_set_t all;
static pthread_once_t all_once = PTHREAD_ONCE_INIT;

static void
all_setup(void)
{
	if (sched_getaffinity(getpid(), sizeof(all), &all) != 0)
		CPU_ZERO(&all);
}

/* Where thread ${tid} ran last; -1 when it is gone. */
static int
processor_of(pid_t tid)
{
	char path[32], text[1024];
	const char *p;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	int fd CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (-1);
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return (-1);
	text[n] = '\0';
	/* The name, field 2, may hold anything, so count from its end. */
	p = strrchr(text, ')');
	for (int field = 2; p != NULL && field < STAT_PROCESSOR; field++)
		p = strchr(p + 1, ' ');
	return (p == NULL ? -1 : atoi(p + 1));
}

static void
place(struct affine *a, int cpu)
{
	cpu_set_t set;

	(void)pthread_once(&all_once, all_setup);
	if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET((size_t)cpu, &all)) {
		affine_long(a);
		return;
	}
	if (a->placed && a->cpu == cpu)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		return;
	a->placed = true;
	a->cpu = cpu;
}

void
affine_quick(struct affine *a, pid_t tid)
{
	if (tid != a->last)
		a->others++;
	a->last = tid;
	if (++a->seen < LOOK_EVERY)
		return;
	if (a->others > OTHERS_MAX)
		affine_long(a);
	else
		place(a, processor_of(tid));
	a->seen = a->others = 0;
}

void
affine_long(struct affine *a)
{
	a->seen = a->others = 0;
	if (!a->placed)
		return;
	a->placed = sched_setaffinity(0, sizeof(all), &all) != 0;
}
