#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "fs/session.h"
#include "kms/audit.h"
#include "lib/base/buf.h"
#include "lib/base/log.h"

/* How long programs that still have files open may hold up an unmount that a
 * signal asked for. */
#define GRACE_MS 10000
#define READ_AHEAD_KB 2048 /* two of the largest requests */

extern char **environ;

/* ---- The store ------------------------------------------------------------*/

/* Why the store did not open, as an exit code.  The reasons that have to do
 * with keys are few; everything else is the store. */
static int
open_exit(enum err e)
{
	const bool key = e == ERR_ROOTKEY || e == ERR_NOKEY ||
			 e == ERR_TIMEDOUT || e == ERR_KEYREVOKED ||
			 e == ERR_KEYDELETION || e == ERR_KEYEXPIRED ||
			 e == ERR_KEYSTATE || e == ERR_ACCESS;

	return (key ? FS_EXIT_KEY : FS_EXIT_STORE);
}

/* The key that files made here are to be under must exist, else every create
 * would fail.  A key that is disabled now may be enabled later. */
static int
check_sse(const struct fs *fs)
{
	const struct fs_opts *o = fs->opts;
	struct kms *k = store_kms(fs->store);
	char arn[KMS_ARN_MAX];
	enum err e = OK;

	if (o->sse == NULL || strcmp(o->sse, "None") == 0)
		return (FS_EXIT_OK);
	if (k == NULL) {
		(void)fprintf(stderr,
		    "ssefs: option sse: store %s has no key service; only "
		    "sse=None is possible\n",
		    o->store);
		return (FS_EXIT_KEY);
	}
	if (o->sse_key == NULL || kms_key_is_default(k, o->sse_key))
		return (FS_EXIT_OK);
	e = kms_key_resolve(k, fs->who.tenant, o->sse_key, arn);
	if (e == OK)
		return (FS_EXIT_OK);
	if (e == ERR_NOKEY)
		(void)fprintf(stderr,
		    "ssefs: option sse_kms_key_id: no key \"%s\": %s; "
		    "\"ssefs key ls\" shows those there are\n",
		    o->sse_key, err_detail(e));
	else
		(void)fprintf(stderr,
		    "ssefs: option sse_kms_key_id: \"%s\": %s\n", o->sse_key,
		    err_detail(e));
	return (FS_EXIT_KEY);
}

static int
load_uidmap(struct fs *fs)
{
	const char *path = fs->opts->uidmap;
	const enum err e = path == NULL ? OK : uidmap_load(path, &fs->uidmap);

	if (e == OK)
		return (FS_EXIT_OK);
	(void)fprintf(
	    stderr, "ssefs: option uidmap: %s: %s\n", path, err_detail(e));
	return (FS_EXIT_USAGE);
}

/* Users that are not there would be refused at every file. */
static int
check_users(const struct fs *fs)
{
	struct kms *k = store_kms(fs->store);
	struct kms_who who = fs->who;
	enum err e = k == NULL ? OK : kms_who_exists(k, &who);

	for (size_t i = 0; k != NULL && e == OK && i < fs->uidmap.n; i++) {
		who.user = fs->uidmap.v[i].user;
		e = kms_who_exists(k, &who);
	}
	if (e == OK)
		return (FS_EXIT_OK);
	(void)fprintf(stderr,
	    "ssefs: option %s: %s; \"ssefs user create\" makes one\n",
	    who.user == fs->who.user ? "user" : "uidmap", err_detail(e));
	return (FS_EXIT_KEY);
}

/* What cannot be looked at cannot be mounted. */
static enum err
check_root(struct fs *fs)
{
	struct store_attr a;
	const enum err e = store_getattr(fs->store, fs->root, &a);

	if (e == ERR_STALE || (e == OK && !S_ISDIR(a.mode)))
		return (err_fail(
		    ERR_CORRUPT, "the directory to be mounted is damaged"));
	return (e);
}

static int
open_store(struct fs *fs)
{
	const struct fs_opts *o = fs->opts;
	const struct store_opts so = {
		.dir = o->store,
		.readonly = o->readonly,
		.noatime = o->noatime,
		.nodiratime = o->nodiratime,
		.commit_secs = o->commit_secs,
		.dirty_max = o->dirty_size,
		.map_cache = o->map_cache,
		.db_cache = o->db_cache,
		.inode_cache = o->inode_cache,
		.root = o->root,
	};
	enum err e = store_open_dir(&so, &fs->store);

	if (e != OK) {
		fs->store = NULL;
		(void)fprintf(
		    stderr, "ssefs: store %s: %s\n", o->store, err_detail(e));
		return (open_exit(e));
	}
	if (o->audit != NULL && store_kms(fs->store) != NULL)
		audit_sync_here(
		    store_kms(fs->store), strcmp(o->audit, "sync") == 0);
	fs->root = STORE_ROOT;
	if (strcmp(o->source, "/") != 0)
		e = store_bucket_find(fs->store, o->source, &fs->root);
	if (e == OK)
		e = check_root(fs);
	if (e == OK)
		return (FS_EXIT_OK);
	if (e == ERR_NOENT || e == ERR_INVAL)
		(void)fprintf(stderr,
		    "ssefs: bucket \"%s\": there is none of that name; "
		    "\"ssefs bucket ls\" shows those there are\n",
		    o->source);
	else
		(void)fprintf(stderr, "ssefs: bucket \"%s\": %s\n", o->source,
		    err_detail(e));
	return (
	    e == ERR_NOENT || e == ERR_INVAL ? FS_EXIT_BUCKET : FS_EXIT_STORE);
}

/* ---- Mounting -------------------------------------------------------------*/

/* nodiratime is the store's alone: libfuse does not know it. */
static enum err
mount_options(const struct fs_opts *o, struct buf *ret)
{
	TRY(buf_printf(ret, "fsname=%s,subtype=ssefs", o->source));
	if (o->default_permissions)
		TRY(buf_put_str(ret, ",default_permissions"));
	if (o->allow_other)
		TRY(buf_put_str(ret, ",allow_other"));
	if (o->readonly)
		TRY(buf_put_str(ret, ",ro"));
	if (o->dev)
		TRY(buf_put_str(ret, ",dev"));
	if (o->suid)
		TRY(buf_put_str(ret, ",suid"));
	if (o->noexec)
		TRY(buf_put_str(ret, ",noexec"));
	if (o->noatime)
		TRY(buf_put_str(ret, ",noatime"));
	if (o->sync)
		TRY(buf_put_str(ret, ",sync"));
	if (o->dirsync)
		TRY(buf_put_str(ret, ",dirsync"));
	return (OK);
}

static void PRINTF(2, 0)
    fuse_message(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char line[512];

	(void)vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_line(
	    level <= FUSE_LOG_ERR ? LOG_LVL_ERROR : LOG_LVL_DEBUG, "%s", line);
}

static bool
make_session(struct fs *fs)
{
	struct buf options CLEANUP_BUF;
	char name[] = "ssefs", dash_o[] = "-o";
	char *argv[] = { name, dash_o, NULL, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);

	buf_init(&options, 4096);
	if (mount_options(fs->opts, &options) != OK)
		return (false);
	argv[2] = (char *)options.p;
	fuse_set_log_func(fuse_message);
	fs->se = fuse_session_new(
	    &args, fs_ops(), sizeof(struct fuse_lowlevel_ops), fs);
	fuse_opt_free_args(&args);
	return (fs->se != NULL);
}

static bool
raw_request(void *arg, const void *mem, size_t len)
{
	struct fs *fs = arg;

	return (rawio_request(&fs->raw, fuse_session_fd(fs->se), mem, len));
}

static int
start(struct session *s)
{
	struct fs *fs = &s->fs;
	const struct loop_conf conf = {
		.threads = fs->opts->threads,
		.buffer_size = FS_IO_MAX,
		.raw = raw_request,
		.arg = fs,
	};

	if (inodes_create(&fs->inodes) != OK ||
	    inodes_hold(fs->inodes, fs->root, 0, 0) != OK ||
	    !make_session(fs)) {
		(void)fprintf(stderr, "ssefs: mount %s: out of memory\n",
		    fs->opts->source);
		return (FS_EXIT_FAILED);
	}
	if (fuse_session_mount(fs->se, s->mp) != 0) {
		(void)fprintf(stderr,
		    "ssefs: mountpoint %s: the system "
		    "refused to mount there\n",
		    s->mp);
		return (FS_EXIT_MOUNTPOINT);
	}
	if (rawio_install(fs->se, &fs->raw) != OK ||
	    loop_start(fs->se, &conf, &s->loop) != OK) {
		(void)fprintf(stderr,
		    "ssefs: mount %s: cannot start serving: "
		    "out of memory or threads\n",
		    fs->opts->source);
		return (FS_EXIT_FAILED);
	}
	store_on_revoke(fs->store, fs_revoke, fs);
	return (FS_EXIT_OK);
}

/* The kernel starts with 128 KiB of read-ahead whatever the session asks for;
 * only root may raise it.  Also the first request: INIT is done when it
 * returns. */
static bool
first_request(const char *mp)
{
	char path[64], value[16];
	struct stat st;
	int fd CLEANUP_CLOSE = -1;
	int n = 0;

	if (stat(mp, &st) != 0)
		return (false);
	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
	    major(st.st_dev), minor(st.st_dev));
	n = snprintf(value, sizeof(value), "%d", READ_AHEAD_KB);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, (size_t)n) != n)
		log_debug("fs: read-ahead stays at the kernel's default");
	return (true);
}

/* A mount serves its programs without it. */
static void
start_control(struct session *s)
{
	/* Who may use it could open the keystore as well. */
	const struct kms_who owner = { .tenant = s->fs.who.tenant,
		.user = KMS_ROOT_USER,
		.agent = "cli" };
	enum err e = OK;

	fs_face(&s->fs, &s->face);
	e = control_start(
	    s->fs.store, s->fs.opts->store, &owner, &s->face, &s->control);
	if (e == OK)
		return;
	s->control = NULL;
	log_warn("fs: %s/" CONTROL_SOCKET
		 ": %s; the tools cannot work on the store until it is "
		 "unmounted",
	    s->fs.opts->store, err_detail(e));
}

int
session_open(struct session *s, const struct fs_opts *o, const char *mp)
{
	int code = FS_EXIT_OK;

	memset(s, 0, sizeof(*s));
	s->mp = mp;
	s->fs.opts = o;
	s->fs.who = (struct kms_who){
		.tenant = o->tenant,
		.user = o->user != NULL ? o->user : KMS_ROOT_USER,
		.agent = "mount",
	};
	s->fs.raw = (struct rawio){
		.timeout = FS_TIMEOUT,
		.tmpfile = fs_tmpfile,
		.untmpfile = fs_untmpfile,
		.setxattr = fs_raw_setxattr,
		.arg = &s->fs,
	};
	handles_init(&s->fs.handles);
	lock_init(&s->fs.revoke, RANK_FS_CONF, "fs revoke");
	fs_stale_init(&s->fs);
	code = load_uidmap(&s->fs);
	if (code == FS_EXIT_OK)
		code = open_store(&s->fs);
	if (code == FS_EXIT_OK)
		code = check_users(&s->fs);
	if (code == FS_EXIT_OK)
		code = check_sse(&s->fs);
	if (code == FS_EXIT_OK)
		code = start(s);
	if (code != FS_EXIT_OK)
		return (code);
	if (!first_request(mp)) {
		(void)fprintf(stderr,
		    "ssefs: mountpoint %s: the mount does not answer: %s\n", mp,
		    strerror(errno));
		return (FS_EXIT_MOUNTPOINT);
	}
	start_control(s);
	if (o->hooks == NULL)
		return (FS_EXIT_OK);
	s->hooked = true;
	return (o->hooks->opened(o->hooks->arg, store_kms(s->fs.store)));
}

/* ---- Serving --------------------------------------------------------------*/

static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };

static sigset_t
signal_set(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < COUNTOF(signals); i++)
		(void)sigaddset(&set, signals[i]);
	return (set);
}

void
session_block_signals(void)
{
	const sigset_t set = signal_set();
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

static void
log_statistics(struct session *s)
{
	struct store_counters c;
	size_t inodes = 0, bytes = 0;

	store_counters(s->fs.store, &c);
	inodes_usage(s->fs.inodes, &inodes, &bytes);
	log_line(LOG_LVL_INFO,
	    "statistics: epochs=%llu fsyncs=%llu reads=%llu writes=%llu "
	    "read_bytes=%llu write_bytes=%llu kms_calls=%llu map_hits=%llu "
	    "map_misses=%llu dirty_bytes=%llu inodes=%zu inode_bytes=%zu",
	    (unsigned long long)c.epochs, (unsigned long long)c.fsyncs,
	    (unsigned long long)c.reads, (unsigned long long)c.writes,
	    (unsigned long long)c.read_bytes, (unsigned long long)c.write_bytes,
	    (unsigned long long)c.kms_calls, (unsigned long long)c.map_hits,
	    (unsigned long long)c.map_misses, (unsigned long long)c.dirty_bytes,
	    inodes, bytes);
}

static void
toggle_debug(const struct fs_opts *o)
{
	const enum log_level normal = o->debug ? LOG_LVL_DEBUG : LOG_LVL_INFO;

	if (log_level() != LOG_LVL_DEBUG)
		log_set_level(LOG_LVL_DEBUG);
	else
		log_set_level(normal == LOG_LVL_DEBUG ? LOG_LVL_INFO : normal);
	log_info("fs: debug messages %s",
	    log_level() == LOG_LVL_DEBUG ? "on" : "off");
}

/* The mount disappears from the tree at once; open files live on until their
 * programs close them, and are served meanwhile. */
static void
detach(const char *mp)
{
	char name[] = "fusermount3", flags[] = "-uqz", end[] = "--";
	char *path CLEANUP_FREE = strdup(mp);
	char *argv[] = { name, flags, end, path, NULL };
	pid_t pid = -1;
	int status = 0;

	if (geteuid() == 0) {
		if (umount2(mp, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
			log_warn("fs: %s: %s", mp, strerror(errno));
		return;
	}
	if (path == NULL ||
	    posix_spawnp(&pid, name, NULL, NULL, argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		log_warn("fs: %s: fusermount3 could not unmount it", mp);
}

/* One signal.  True when it asks for the end. */
static bool
signal_one(struct session *s, int fd)
{
	struct signalfd_siginfo si;

	if (read(fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return (false);
	switch ((int)si.ssi_signo) {
	case SIGHUP:
		toggle_debug(s->fs.opts);
		return (false);
	case SIGUSR1:
		log_statistics(s);
		return (false);
	default:
		return (true);
	}
}

void
session_serve(struct session *s)
{
	const sigset_t set = signal_set();
	int fd CLEANUP_CLOSE = signalfd(-1, &set, SFD_CLOEXEC);
	struct pollfd p[2] = {
		{ .fd = loop_fd(s->loop), .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
	};
	bool asked = false;

	log_info("fs: %s mounted on %s%s", s->fs.opts->source, s->mp,
	    s->fs.raw.killpriv ? "" : " (old kernel: slower writes)");
	if (s->hooked && s->fs.opts->hooks->serving != NULL)
		s->fs.opts->hooks->serving(s->fs.opts->hooks->arg);
	for (;;) {
		const int n = poll(p, 2, asked ? GRACE_MS : -1);

		if (n < 0 && errno != EINTR)
			return;
		if (n == 0) {
			log_warn("fs: files are still open; they are cut off");
			s->cut = true;
			return;
		}
		if (n > 0 && p[0].revents != 0)
			return;
		if (n > 0 && p[1].revents != 0 && signal_one(s, fd)) {
			s->cut = asked;
			if (asked)
				return;
			asked = true;
			log_info("fs: unmounting %s", s->mp);
			detach(s->mp);
		}
	}
}

/* ---- The end --------------------------------------------------------------*/

static void
reap_one(void *arg, uint64_t ino)
{
	struct fs *fs = arg;

	store_reap(fs->store, ino);
}

/* While the workers still answer, which dropping a page may wait for. */
static void
end_revoking(struct fs *fs)
{
	lock_take(&fs->revoke);
	fs->ending = true;
	lock_drop(&fs->revoke);
	fs_stale_end(fs);
}

/*
 * The tools' channel first, while the kernel's answers to it are still served;
 * the workers, with nothing left that waits for them; then the
 * connection, so that no program waits for an answer that never comes; then
 * what the kernel will not release or forget any more; then the store.  The
 * session goes last: the store may announce a revoked key until it is closed,
 * which is heard no more.  A mount that was detached and then cut is
 * not unmounted again, as something else may be mounted there by now; the end
 * of the session ends its connection.
 */
bool
session_close(struct session *s)
{
	struct fs *fs = &s->fs;
	enum err e = OK;

	if (s->hooked)
		fs->opts->hooks->closing(fs->opts->hooks->arg);
	control_stop(s->control);
	end_revoking(fs);
	loop_stop(s->loop);
	if (fs->se != NULL && !s->cut)
		fuse_session_unmount(fs->se);
	handles_destroy(&fs->handles);
	if (fs->inodes != NULL && fs->store != NULL &&
	    inodes_each_gone(fs->inodes, reap_one, fs) != OK)
		log_warn("fs: removed files are freed at the next start");
	if (fs->store != NULL)
		e = store_close_dir(fs->store);
	if (e != OK)
		log_error("fs: the last commit failed: %s", err_detail(e));
	if (fs->se != NULL)
		fuse_session_destroy(fs->se);
	inodes_free(fs->inodes);
	uidmap_release(&fs->uidmap);
	lock_destroy(&fs->revoke);
	lock_destroy(&fs->stale.lock);
	(void)pthread_cond_destroy(&fs->stale.cond);
	return (e == OK);
}
