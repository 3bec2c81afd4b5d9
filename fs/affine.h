/*
 * affine: keep the worker that serves quick requests on its client's processor.
 *
 * A FUSE request is a hand-over: the client sleeps until the answer comes.  On
 * one processor that is a context switch; across two it is an interrupt to a
 * sleeping one, which costs several times the request itself.
 * So the worker follows a single client to its processor, and is let go as
 * soon as several clients are at work or a long request comes, which had
 * better run beside the client.
 *
 * A struct affine belongs to one thread and places only that thread.
 */
#ifndef FS_AFFINE_H
#define FS_AFFINE_H

#include <stdbool.h>
#include <sys/types.h>

struct affine {
	pid_t last;      /* client of the last request */
	unsigned seen;   /* quick requests since the last look */
	unsigned others; /* of these, from another client than the one before */
	bool placed;     /* this thread is bound to ${cpu} */
	int cpu;
};

/* A quick request of client ${tid} was taken. */
void affine_quick(struct affine *a, pid_t tid);
/* A long one was: run anywhere. */
void affine_long(struct affine *a);

#endif
