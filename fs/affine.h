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
 * The kernel would put the client, once answered, on the next processor that
 * is free, and so away from the worker.  A worker of the policy SCHED_IDLE
 * counts as a free processor, so the client stays.  The price is that any
 * other program on that processor goes first; a worker that is kept waiting
 * by one gives the policy back, and tries again later, at growing intervals.
 * Where the kernel would not let a thread return from SCHED_IDLE (RLIMIT_NICE
 * of an ordinary user), it is not used.
 *
 * A struct affine belongs to one thread and places only that thread;
 * affine_rescue() alone is for others.
 */
#ifndef FS_AFFINE_H
#define FS_AFFINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct affine {
	pid_t self;        /* this thread */
	pid_t last;        /* client of the last request */
	unsigned seen;     /* quick requests since the last look */
	unsigned others;   /* of these, from another client than before */
	unsigned every;    /* so many until the next look */
	uint64_t looked;   /* when that was; monotonic ns */
	bool placed;       /* this thread is bound to ${cpu} */
	bool yielding;     /* it has SCHED_IDLE */
	bool slow;         /* and was kept waiting, at the last look */
	atomic_bool freed; /* by affine_rescue(), since the last look */
	int cpu;
	uint64_t delay;  /* ns this thread ever waited to run, last look */
	uint64_t until;  /* no SCHED_IDLE before; monotonic ns */
	uint64_t since;  /* it has SCHED_IDLE; monotonic ns */
	uint64_t resent; /* ns of the next interval without it */
};

/* Find out, once, what this process may do.  Before the first worker. */
void affine_setup(void);
/* Begin: the calling thread runs anywhere. */
void affine_start(struct affine *a);
/* A quick request of client ${tid} was taken; 0: the kernel's own. */
void affine_quick(struct affine *a, pid_t tid);
/* A long one was: run anywhere. */
void affine_long(struct affine *a);
/* Called by any thread while the worker lives: it is slow, let it run. */
void affine_rescue(struct affine *a);

#endif
