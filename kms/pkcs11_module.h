/*
 * pkcs11_module: PKCS#11 libraries in this process.
 *
 * A library is loaded and initialised once, however many tokens are used
 * through it, by whatever paths, and stays loaded: initialising takes no account of forks, so it
 * happens in the process that uses it, at its first use.
 *
 * Thread-safe.  Calls into a library are made with its lock held for reading
 * (p11_module.lock); initialising it anew, which some need to see a token that
 * has come back, takes it for writing.
 */
#ifndef KMS_PKCS11_MODULE_H
#define KMS_PKCS11_MODULE_H

#include <limits.h>

#include <stdbool.h>
#include <stdint.h>

#include "kms/pkcs11_api.h"
#include "lib/base/err.h"
#include "lib/base/lock.h"

struct p11_module {
	struct p11_module *next;
	char path[PATH_MAX];
	struct rwlock lock;
	unsigned users;
	/* lock */
	struct ck_function_list *f;
	bool ready;    /* C_Initialize succeeded */
	bool foreign;  /* but somebody else had done so before */
	uint64_t made; /* times it was initialised; sessions of an earlier
			  time are gone */
};

/*
 * p11_module_get(path, ret):
 * The library ${path}, loaded if need be; "" is p11-kit's, which stands for all
 * that the machine knows.  Not initialised.  ERR_TIMEDOUT: it cannot be loaded
 * (now); ERR_INVAL: no PKCS#11 library; ERR_NOMEM.
 */
enum err p11_module_get(const char *path, struct p11_module **ret) MUSTCHECK;
/*
 * p11_module_resolve(path):
 * Put the true path of the library ${path} in its place, if nobody but root can
 * have put it there, nor anything on the way to it: what is loaded by that path
 * is what was looked at.  ERR_ACCESS, also when there is none.
 */
enum err p11_module_resolve(char path[static PATH_MAX]) MUSTCHECK;
/* The last user finalises it.  NULL is fine. */
void p11_module_put(struct p11_module *m);

/* Initialise it, with ${anew} after finalising it.  m->lock held for writing.
 * ERR_TIMEDOUT. */
enum err p11_module_init(struct p11_module *m, bool anew) MUSTCHECK;

/* For sentences: "CKR_…" or a number; static or thread storage. */
const char *p11_rv_name(ck_rv_t rv);

#endif
