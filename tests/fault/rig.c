/* rig: see rig.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fault/rig.h"

#define ROOM ((uint64_t)300 << 20) /* that a run may need */
#define JOBS 2u

static const struct kms_who who = { .user = "root", .agent = "fault" };
static char top[128];
static const struct rig *current;
static int log_fd = -1, real_stderr = -1;

/* ---- The log ------------------------------------------------------------ */

void
log_reset(void)
{
	if (ftruncate(log_fd, 0) != 0 || lseek(log_fd, 0, SEEK_SET) != 0)
		abort();
}

/* All of it; static storage. */
static const char *
log_text(void)
{
	static char text[1 << 16];
	const ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return (text);
}

unsigned
log_count(const char *text)
{
	const char *p = log_text();
	unsigned n = 0;

	while ((p = strstr(p, text)) != NULL) {
		p += strlen(text);
		n++;
	}
	return (n);
}

/* Text that may have many lines, as comments. */
static void
comment(const char *head, const char *text)
{
	while (*text != '\0') {
		const size_t n = strcspn(text, "\n");

		(void)printf("# %s%.*s\n", head, (int)n, text);
		text += n + (text[n] == '\n');
	}
}

/* The lines of ${text} that ${other} has not. */
static void
lines_not_in(const char *head, const char *text, const char *other)
{
	char line[512];

	while (*text != '\0') {
		const size_t n = strcspn(text, "\n") + 1;

		(void)snprintf(line, sizeof(line), "%.*s", (int)n, text);
		if (strstr(other, line) == NULL)
			comment(head, line);
		text += n;
	}
}

void
rig_fail(struct rig *r, const char *fmt, ...)
{
	va_list ap;

	(void)printf("not ok - %s\n# ", r->what);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n");
	comment("log: ", log_text());
	(void)printf("# the store is kept: %s\n", r->dir);
	(void)fflush(stdout);
	_exit(1);
}

/* ---- Directories -------------------------------------------------------- */

static bool
roomy(const char *dir)
{
	struct statvfs v;

	return (statvfs(dir, &v) == 0 && access(dir, W_OK) == 0 &&
		(uint64_t)v.f_bavail * v.f_frsize > ROOM);
}

static void
remove_dir(const char *dir)
{
	char path[512];
	const struct dirent *e;
	DIR *d = opendir(dir);

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0 && unlink(path) != 0)
			remove_dir(path);
	}
	(void)closedir(d);
	(void)rmdir(dir);
}

void
rig_remove(const char *path)
{
	if (unlink(path) != 0)
		remove_dir(path);
}

/* Say where it was. */
static void
died(int sig)
{
	(void)signal(sig, SIG_DFL);
	(void)printf("# %s\n", current == NULL ? "?" : current->what);
	comment("log: ", log_text());
	(void)fflush(stdout);
	(void)raise(sig);
}

static void
rig_start(void)
{
	const char *tmp = getenv("TMPDIR");
	const char *dir = roomy("/dev/shm") ? "/dev/shm"
			  : tmp != NULL     ? tmp
					    : "/tmp";

	(void)snprintf(top, sizeof(top), "%s/ssefs-fault.XXXXXX", dir);
	(void)signal(SIGSEGV, died);
	(void)signal(SIGBUS, died);
	(void)signal(SIGABRT, died);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	real_stderr = dup(STDERR_FILENO);
	if (mkdtemp(top) == NULL || log_fd < 0 ||
	    dup2(log_fd, STDERR_FILENO) < 0) {
		(void)printf("not ok - %s: %s\n", top, strerror(errno));
		exit(1);
	}
}

static void
rig_end(void)
{
	(void)dup2(real_stderr, STDERR_FILENO);
	remove_dir(top);
}

static unsigned running;
static bool job_failed;

static void
job_wait(void)
{
	int status = 1;

	if (wait(&status) < 0)
		abort();
	running--;
	/* One that fails says why; one that dies says where it was. */
	if (!WIFEXITED(status))
		(void)printf("not ok - ended by signal %d\n", WTERMSIG(status));
	job_failed = job_failed || status != 0;
}

void
jobs_start(void (*fn)(const void *arg), const void *arg)
{
	while (running >= JOBS)
		job_wait();
	(void)fflush(stdout);
	const pid_t pid = fork();
	if (pid < 0)
		abort();
	running++;
	if (pid != 0)
		return;
	rig_start();
	fn(arg);
	rig_end();
	(void)fflush(stdout);
	exit(0);
}

bool
jobs_end(void)
{
	while (running != 0)
		job_wait();
	return (!job_failed);
}

/* ---- Prepared stores ---------------------------------------------------- */

/* Copy what a file holds, and its length, leaving holes. */
static void
copy_file(const char *from, const char *to)
{
	static char buf[1 << 16];
	const int in = open(from, O_RDONLY | O_CLOEXEC);
	const int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;
	off_t at = 0;

	if (in < 0 || out < 0 || fstat(in, &st) != 0 ||
	    ftruncate(out, st.st_size) != 0)
		abort();
	while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
		const ssize_t n = pread(in, buf, sizeof(buf), at);

		if (n <= 0)
			break;
		if (pwrite(out, buf, (size_t)n, at) != n)
			abort();
		at += n;
	}
	(void)close(in);
	(void)close(out);
}

static void
copy_store(const char *from, const char *to)
{
	char a[512], b[512];
	const struct dirent *e;
	DIR *d = opendir(from);

	if (d == NULL || mkdir(to, 0700) != 0)
		abort();
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(a, sizeof(a), "%s/%s", from, e->d_name);
		(void)snprintf(b, sizeof(b), "%s/%s", to, e->d_name);
		copy_file(a, b);
	}
	(void)closedir(d);
}

/* ---- Stores ------------------------------------------------------------- */

static void
fine(struct rig *r, enum err e, const char *what)
{
	if (e != OK)
		rig_fail(r, "%s: %s (%s)", what, err_name(e), err_detail(e));
}

void
rig_steps(struct rig *r, const struct step *s, unsigned n)
{
	char name[128];
	uint64_t done;

	for (unsigned i = 0; i < n; i++) {
		step_print(&s[i], name, sizeof(name));
		fine(r, step_store(&r->side, &s[i], &done), name);
		if (!step_tree(r->tree, &s[i], done))
			rig_fail(r, "%s: not for the tree", name);
	}
}

const char *
rig_name(const struct script *script, unsigned kind)
{
	static char name[64];

	(void)snprintf(name, sizeof(name), "%s%s%s", script->name,
	    (kind & RIG_SEALED) != 0 ? ", sealed" : "",
	    (kind & RIG_TIGHT) != 0 ? ", no cache" : "");
	return (name);
}

/* The store that a script begins with, and its tree. */
static const char *
prepared(const struct script *script, bool sealed, struct tree **ret)
{
	static struct rig made[2][8];
	struct rig *r = &made[sealed][script - scripts];
	struct store_init in = { .dir = r->dir, .seal_metadata = sealed };

	*ret = r->tree;
	if (r->tree != NULL)
		return (r->dir);
	(void)snprintf(r->dir, sizeof(r->dir), "%s/%s%d", top, script->name,
	    sealed ? 1 : 0);
	(void)snprintf(r->what, sizeof(r->what), "prepare %s", script->name);
	r->opts = (struct store_opts){ .dir = r->dir, .commit_secs = 3600 };
	r->tree = tree_new();
	fine(r, store_create_dir(&in), "create the store");
	fine(r, store_open_dir(&r->opts, &r->side.st), "open the store");
	fine(r, store_bucket_create(r->side.st, &who, "bkt", "KMS", 0, 0, 0755),
	    "make the bucket");
	fine(
	    r, store_bucket_find(r->side.st, "bkt", &r->side.bucket), "bucket");
	rig_steps(r, script->before, script->nbefore);
	fine(r, store_close_dir(r->side.st), "close the store");
	*ret = r->tree;
	return (r->dir);
}

static unsigned
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		(void)closedir(d);
	return (n);
}

void
rig_begin(struct rig *r, const struct script *script, unsigned kind)
{
	struct tree *t;
	const char *from = prepared(script, (kind & RIG_SEALED) != 0, &t);

	*r = (struct rig){ .script = script, .kind = kind };
	current = r;
	(void)snprintf(r->dir, sizeof(r->dir), "%s/run", top);
	remove_dir(r->dir);
	copy_store(from, r->dir);
	r->opts = (struct store_opts){ .dir = r->dir, .commit_secs = 3600 };
	if ((kind & RIG_TIGHT) != 0) {
		r->opts.map_cache = 8192;
		r->opts.db_cache = 65536;
		r->opts.inode_cache = 4;
	}
	r->tree = tree_copy(t);
	past_add(r, r->tree);
	log_reset();
	r->files = open_files();
}

enum err
rig_open(struct rig *r)
{
	enum err e;

	TRY(store_open_dir(&r->opts, &r->side.st));
	e = store_bucket_find(r->side.st, "bkt", &r->side.bucket);
	if (e != OK) {
		if (store_close_dir(r->side.st) != OK)
			err_clear();
		r->side.st = NULL;
	}
	return (e);
}

enum err
rig_close(struct rig *r)
{
	static const struct step drop = { .op = OP_DROP };
	struct store *st = r->side.st;

	side_drop(&r->side);
	(void)step_tree(r->tree, &drop, 0);
	r->side.st = NULL;
	return (store_close_dir(st));
}

void
rig_finish(struct rig *r)
{
	if (open_files() != r->files)
		rig_fail(r, "descriptors are left open");
	for (unsigned i = 0; i < r->past.n; i++)
		free(r->past.dump[i]);
	tree_free(r->tree);
	remove_dir(r->dir);
}

/* ---- Judging ------------------------------------------------------------ */

void
past_add(struct rig *r, const struct tree *t)
{
	if (r->past.n == STATES)
		abort();
	r->past.dump[r->past.n++] = tree_dump(t);
}

static NORETURN void
differs(struct rig *r, const char *is, const char *old, const char *new)
{
	(void)printf("# the store is neither in the old state nor in the "
		     "new one\n");
	lines_not_in("store: ", is, new);
	lines_not_in("old:   ", old, is);
	lines_not_in("new:   ", new, is);
	rig_fail(r, "something between");
}

void
rig_old_or_new(struct rig *r, struct tree *next)
{
	char *is CLEANUP_FREE = NULL, *old CLEANUP_FREE = tree_dump(r->tree);
	char *new CLEANUP_FREE = tree_dump(next != NULL ? next : r->tree);

	fine(r, store_dump(&r->side, &is), "look at the store");
	if (strcmp(is, old) != 0 && strcmp(is, new) != 0)
		differs(r, is, old, new);
	if (next != NULL && strcmp(is, old) != 0) {
		tree_free(r->tree);
		r->tree = next;
		past_add(r, r->tree);
	} else {
		tree_free(next);
	}
}

static void
problem(void *arg, const struct store_problem *p)
{
	(void)arg;
	(void)printf("# fsck: %s inode %llu: %s\n", p->invariant,
	    (unsigned long long)p->ino, p->what);
}

/* Something can be written, and is there after a sync. */
static void
works(struct rig *r)
{
	static const struct step steps[] = {
		{ .op = OP_MAKE, .a = "last" },
		{ .op = OP_WRITE, .a = "last", .y = 50000, .z = 99 },
		{ .op = OP_FSYNC, .a = "last" },
		{ .op = OP_READ, .a = "last" },
		{ .op = OP_UNLINK, .a = "last" },
	};
	char name[128];
	uint64_t done;

	for (unsigned i = 0; i < COUNTOF(steps); i++) {
		step_print(&steps[i], name, sizeof(name));
		fine(r, step_store(&r->side, &steps[i], &done), name);
	}
}

void
rig_judge(struct rig *r, bool last)
{
	struct store_check_result c = { .problems = 0 };
	const unsigned from = last ? r->past.n - 1 : r->past.ack;
	char *is CLEANUP_FREE = NULL;
	unsigned i = from;

	fine(r, rig_open(r), "open without faults");
	fine(r, store_check(r->side.st, false, problem, NULL, &c), "fsck");
	if (c.problems != 0)
		rig_fail(r, "fsck found %llu problems",
		    (unsigned long long)c.problems);
	fine(r, store_dump(&r->side, &is), "look at the reopened store");
	while (i < r->past.n && strcmp(r->past.dump[i], is) != 0)
		i++;
	if (i == r->past.n) {
		const char *old = r->past.dump[from];
		const char *new = r->past.dump[r->past.n - 1];

		lines_not_in("store:  ", is, new);
		lines_not_in("oldest: ", old, is);
		lines_not_in("newest: ", new, is);
		rig_fail(r,
		    "reopened, the store is in none of %u states since the "
		    "last sync",
		    r->past.n - from);
	}
	works(r);
	fine(r, rig_close(r), "close at the end");
}
