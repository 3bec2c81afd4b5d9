/*
 * Loading PKCS#11 libraries.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "lib/base/sys.h"

#include "kms/pkcs11_module.h"

#define DEFAULT_MODULE "p11-kit-proxy.so"
#define FUSE_MAGIC 0x65735546 /* f_type of statfs(2) */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct lock list_lock;
static struct p11_module *list; /* list_lock */

static void
list_init(void)
{

	lock_init(&list_lock, RANK_TOKEN_LIST, "PKCS#11 modules");
}

const char *
p11_rv_name(ck_rv_t rv)
{
	static const struct {
		ck_rv_t rv;
		const char *name;
	} names[] = {
		{ CKR_HOST_MEMORY, "CKR_HOST_MEMORY" },
		{ CKR_SLOT_ID_INVALID, "CKR_SLOT_ID_INVALID" },
		{ CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR" },
		{ CKR_FUNCTION_FAILED, "CKR_FUNCTION_FAILED" },
		{ CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR" },
		{ CKR_DEVICE_MEMORY, "CKR_DEVICE_MEMORY" },
		{ CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED" },
		{ CKR_KEY_HANDLE_INVALID, "CKR_KEY_HANDLE_INVALID" },
		{ CKR_KEY_FUNCTION_NOT_PERMITTED,
		    "CKR_KEY_FUNCTION_NOT_PERMITTED" },
		{ CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID" },
		{ CKR_MECHANISM_PARAM_INVALID, "CKR_MECHANISM_PARAM_INVALID" },
		{ CKR_OBJECT_HANDLE_INVALID, "CKR_OBJECT_HANDLE_INVALID" },
		{ CKR_PIN_INCORRECT, "CKR_PIN_INCORRECT" },
		{ CKR_PIN_INVALID, "CKR_PIN_INVALID" },
		{ CKR_PIN_LEN_RANGE, "CKR_PIN_LEN_RANGE" },
		{ CKR_PIN_EXPIRED, "CKR_PIN_EXPIRED" },
		{ CKR_PIN_LOCKED, "CKR_PIN_LOCKED" },
		{ CKR_SESSION_CLOSED, "CKR_SESSION_CLOSED" },
		{ CKR_SESSION_COUNT, "CKR_SESSION_COUNT" },
		{ CKR_SESSION_HANDLE_INVALID, "CKR_SESSION_HANDLE_INVALID" },
		{ CKR_TEMPLATE_INCONSISTENT, "CKR_TEMPLATE_INCONSISTENT" },
		{ CKR_TOKEN_NOT_PRESENT, "CKR_TOKEN_NOT_PRESENT" },
		{ CKR_TOKEN_NOT_RECOGNIZED, "CKR_TOKEN_NOT_RECOGNIZED" },
		{ CKR_TOKEN_WRITE_PROTECTED, "CKR_TOKEN_WRITE_PROTECTED" },
		{ CKR_USER_NOT_LOGGED_IN, "CKR_USER_NOT_LOGGED_IN" },
		{ CKR_USER_PIN_NOT_INITIALIZED,
		    "CKR_USER_PIN_NOT_INITIALIZED" },
		{ CKR_CRYPTOKI_NOT_INITIALIZED,
		    "CKR_CRYPTOKI_NOT_INITIALIZED" },
	};
	static _Thread_local char number[32];

	for (size_t i = 0; i < COUNTOF(names); i++)
		if (names[i].rv == rv)
			return names[i].name;
	(void)snprintf(number, sizeof(number), "error 0x%lx", rv);
	return number;
}

static enum err
load(struct p11_module *m)
{
	const char *path = *m->path == '\0' ? DEFAULT_MODULE : m->path;
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	/* ISO C has no cast from an object to a function. */
	union {
		void *p;
		CK_C_GetFunctionList fn;
	} get;

	if (handle == NULL)
		return err_fail(
		    ERR_TIMEDOUT, "PKCS#11 module %s: %s", path, dlerror());
	get.p = dlsym(handle, "C_GetFunctionList");
	if (get.p == NULL || get.fn(&m->f) != CKR_OK || m->f == NULL ||
	    m->f->version.major != 2) {
		(void)dlclose(handle);
		m->f = NULL;
		return err_fail(
		    ERR_INVAL, "%s is not a PKCS#11 module of version 2", path);
	}
	/* Stays: libraries that were used do not unload well. */
	return OK;
}

/* By another path: it is initialised and finalised for all its users. */
static struct p11_module *
same(const struct ck_function_list *f)
{
	struct p11_module *m = list;

	while (m != NULL && m->f != f)
		m = m->next;
	return m;
}

/* list_lock held. */
static enum err
module_new(const char *path, struct p11_module **ret)
{
	struct p11_module *m CLEANUP_FREE = calloc(1, sizeof(*m));

	if (m == NULL)
		return ERR_NOMEM;
	(void)snprintf(m->path, sizeof(m->path), "%s", path);
	TRY(load(m));
	*ret = same(m->f);
	if (*ret != NULL)
		return OK;
	rwlock_init(&m->lock, RANK_TOKEN, "PKCS#11 module");
	m->next = list;
	list = steal(m);
	*ret = list;
	return OK;
}

enum err
p11_module_get(const char *path, struct p11_module **ret)
{
	struct p11_module *m;

	(void)pthread_once(&once, list_init);
	LOCK_SCOPE(&list_lock);
	for (m = list; m != NULL; m = m->next)
		if (strcmp(m->path, path) == 0)
			break;
	if (m == NULL)
		TRY(module_new(path, &m));
	m->users++;
	*ret = m;
	return OK;
}

/* Not through a link, which is what it seems to be at one moment only. */
static bool
only_root(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_uid == 0 &&
	       !S_ISLNK(st.st_mode) && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Downwards: where only root can write, what is next stays what it is.  What a
 * FUSE filesystem says of owners is the word of whoever mounted it. */
static bool
only_root_there(char *real)
{
	struct statfs fs;

	if (!only_root("/"))
		return false;
	for (char *slash = strchr(real + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		bool good;

		*slash = '\0';
		good = only_root(real);
		*slash = '/';
		if (!good)
			return false;
	}
	return only_root(real) && statfs(real, &fs) == 0 &&
	       fs.f_type != FUSE_MAGIC;
}

enum err
p11_module_resolve(char path[static PATH_MAX])
{
	/* What leads out of what we see, as /proc/PID/root, is taken by its
	 * text: it is that of ours which is looked at, and loaded. */
	char *real CLEANUP_FREE = realpath(path, NULL);

	if (real == NULL || strlen(real) >= PATH_MAX || !only_root_there(real))
		return err_fail(ERR_ACCESS,
		    "others than root could have put the library %.256s "
		    "there; if it is right, give the URI with --root-key",
		    path);
	memcpy(path, real, strlen(real) + 1);
	return OK;
}

void
p11_module_put(struct p11_module *m)
{

	if (m == NULL)
		return;
	LOCK_SCOPE(&list_lock);
	if (--m->users != 0)
		return;
	RWLOCK_WRITE_SCOPE(&m->lock);
	if (m->ready && !m->foreign)
		(void)m->f->C_Finalize(NULL);
	m->ready = false;
}

enum err
p11_module_init(struct p11_module *m, bool anew)
{
	struct ck_c_initialize_args args = { .flags = CKF_OS_LOCKING_OK };
	ck_rv_t rv;

	if (m->ready && (!anew || m->foreign))
		return OK;
	if (m->ready)
		(void)m->f->C_Finalize(NULL);
	m->ready = false;
	rv = m->f->C_Initialize(&args);
	if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return err_fail(ERR_TIMEDOUT,
		    "PKCS#11 module %s cannot be initialised: %s", m->path,
		    p11_rv_name(rv));
	m->foreign = rv != CKR_OK;
	m->ready = true;
	m->made++;
	return OK;
}
