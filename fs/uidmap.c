#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/uidmap.h"
#include "lib/base/sys.h"

static bool
blank(char c)
{
	return (c == ' ' || c == '\t');
}

static int
by_uid(const void *a, const void *b)
{
	const struct uidmap_row *x = a, *y = b;

	return (x->uid < y->uid ? -1 : x->uid > y->uid);
}

/* The number at ${p}, below the one that is no uid; 0 digits when it is none. */
static size_t
number(const char *p, size_t len, uid_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	for (; i < len && p[i] >= '0' && p[i] <= '9'; i++) {
		v = v * 10 + (uint64_t)(p[i] - '0');
		if (v >= UINT32_MAX)
			return (0);
	}
	*ret = (uid_t)v;
	return (i);
}

/* One line without its end. */
static enum err
line_parse(const char *p, size_t len, unsigned no, struct uidmap_row *ret)
{
	const size_t digits = number(p, len, &ret->uid);
	size_t at = digits, end;

	while (at < len && blank(p[at]))
		at++;
	for (end = at; end < len && !blank(p[end]); end++)
		if ((unsigned char)p[end] < ' ' || p[end] == 0x7f)
			break;
	if (digits == 0 || at == digits || end == at)
		return (err_fail(ERR_PARSE,
		    "line %u: not a uid and a user with blanks between them",
		    no));
	if (end - at >= sizeof(ret->user))
		return (err_fail(
		    ERR_PARSE, "line %u: the user's name is too long", no));
	memcpy(ret->user, p + at, end - at);
	ret->user[end - at] = '\0';
	while (end < len && blank(p[end]))
		end++;
	if (end < len)
		return (err_fail(ERR_PARSE,
		    "line %u: there is something after the user's name", no));
	return (OK);
}

enum err
uidmap_parse(const char *text, size_t len, struct uidmap *ret)
{
	unsigned no = 0;

	*ret = (struct uidmap){ .n = 0 };
	for (size_t at = 0, n; at < len; at += n + 1) {
		const char *p = text + at;
		const char *nl = memchr(p, '\n', len - at);
		size_t skip = 0;

		no++;
		n = nl != NULL ? (size_t)(nl - p) : len - at;
		while (skip < n && blank(p[skip]))
			skip++;
		if (skip == n || p[skip] == '#')
			continue;
		if (ret->n == UIDMAP_MAX)
			return (err_fail(ERR_LIMIT,
			    "line %u: more than %d users", no, UIDMAP_MAX));
		if (ret->v == NULL)
			ret->v = calloc(UIDMAP_MAX, sizeof(*ret->v));
		if (ret->v == NULL)
			return (ERR_NOMEM);
		TRY(line_parse(p + skip, n - skip, no, &ret->v[ret->n]));
		ret->n++;
	}
	if (ret->n == 0)
		return (OK);
	qsort(ret->v, ret->n, sizeof(*ret->v), by_uid);
	for (size_t i = 1; i < ret->n; i++)
		if (ret->v[i].uid == ret->v[i - 1].uid)
			return (err_fail(ERR_PARSE, "uid %u is there twice",
			    (unsigned)ret->v[i].uid));
	return (OK);
}

static enum err
read_all(int fd, char *text, size_t *ret_len)
{
	size_t len = 0;

	for (;;) {
		const ssize_t n = read(fd, text + len, UIDMAP_SIZE + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (err_from_errno(errno));
		len += (size_t)n;
		if (n == 0 || len > UIDMAP_SIZE)
			break;
	}
	*ret_len = len;
	return (len > UIDMAP_SIZE ? err_fail(ERR_LIMIT, "the file is too large")
				  : OK);
}

enum err
uidmap_load(const char *path, struct uidmap *ret)
{
	int fd CLEANUP_CLOSE = -1;
	char *text CLEANUP_FREE = malloc(UIDMAP_SIZE + 1);
	struct stat st;
	size_t len = 0;

	*ret = (struct uidmap){ .n = 0 };
	if (text == NULL)
		return (ERR_NOMEM);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0)
		return (err_from_errno(errno));
	if (!S_ISREG(st.st_mode))
		return (err_fail(ERR_INVAL, "not a regular file"));
	/* Who can write it chooses whose rights processes have. */
	if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return (err_fail(ERR_PERM,
		    "it must belong to root or to who mounts, and be "
		    "writable by the owner only"));
	TRY(read_all(fd, text, &len));
	return (uidmap_parse(text, len, ret));
}

void
uidmap_release(struct uidmap *m)
{
	free(m->v);
	*m = (struct uidmap){ .n = 0 };
}

const char *
uidmap_user(const struct uidmap *m, uid_t uid)
{
	const struct uidmap_row key = { .uid = uid };
	const struct uidmap_row *r =
	    m->n == 0 ? NULL : bsearch(&key, m->v, m->n, sizeof(*m->v), by_uid);

	return (r != NULL ? r->user : NULL);
}
