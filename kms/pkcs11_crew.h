/*
 * pkcs11_crew: threads that call into a PKCS#11 library for others.
 *
 * Such a call cannot be interrupted.  So it is made by a thread of a crew, for
 * which its caller waits as long as the crew's limit says; then the call is left
 * to itself, with all that it needs, and whoever waits for a thread or comes in
 * the next second is told so at once.  After that one caller at a time tries it,
 * so that few wait, until some call has ended.  A thread that hangs is the
 * crew's for ever; of these there is a fixed number.
 *
 * Thread-safe.
 */
#ifndef KMS_PKCS11_CREW_H
#define KMS_PKCS11_CREW_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/lock.h"

struct p11_crew;

/* A call and all that it reads and writes, in one block of key memory, which
 * begins with this. */
struct p11_job {
	enum err (*run)(struct p11_job *j); /* by a thread of the crew */
	/* The crew's. */
	enum err e;
	bool queued, done, left; /* left: nobody waits for it any more */
	char why[256];
	pthread_cond_t ended;
	struct p11_job *next;
};

/* Of ${size} bytes, zero.  NULL: no key memory left. */
void *p11_job_new(size_t size) MUSTCHECK;
void p11_job_free(struct p11_job *j); /* NULL is fine */

/* Nothing is started yet.  ${ms}: the limit. */
enum err p11_crew_new(
    unsigned threads, unsigned ms, struct p11_crew **ret) MUSTCHECK;
/*
 * p11_crew_free(c, rest, arg):
 * Wait for all threads, as long as the limit says, then rest(arg): nothing that
 * they use is used any more.  False: some hang, and the last to end will do it.
 */
bool p11_crew_free(
    struct p11_crew *c, void (*rest)(void *arg), void *arg) MUSTCHECK;

/*
 * p11_crew_run(c, j):
 * Let *${j} run, and wait.  What it returns, with its sentence; ERR_TIMEDOUT: it
 * has not ended, and when it had begun it is the crew's now: *${j} is NULL then;
 * ERR_NOMEM: no thread.
 */
enum err p11_crew_run(struct p11_crew *c, struct p11_job **j) MUSTCHECK;

#endif
