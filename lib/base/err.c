/*
 * err: the thread's last sentence lives in a fixed thread-local buffer, so
 * that failing needs no memory.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/base/err.h"

static const char *const texts[ERR_COUNT_] = { [OK] = "success",
#define ERR_TEXT_(name, text) [name] = text,
	ERR_LIST(ERR_TEXT_)
#undef ERR_TEXT_
};

static const char *const names[ERR_COUNT_] = { [OK] = "OK",
#define ERR_NAME_(name, text) [name] = #name,
	ERR_LIST(ERR_NAME_)
#undef ERR_NAME_
};

static _Thread_local struct {
	enum err e;
	char text[512];
} last;

const char *
err_text(enum err e)
{
	if ((unsigned)e >= ERR_COUNT_)
		return "unknown error";
	return texts[e];
}

const char *
err_name(enum err e)
{
	if ((unsigned)e >= ERR_COUNT_)
		return "ERR_UNKNOWN";
	return names[e];
}

enum err
err_fail(enum err e, const char *fmt, ...)
{
	/* The arguments may point into the old sentence (err_detail()), so
	 * the new one is written beside it first. */
	char text[sizeof(last.text)];
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		text[0] = '\0';
	for (size_t i = 0; i < sizeof(text); i++) {
		last.text[i] = text[i];
		if (text[i] == '\0')
			break;
	}
	last.e = e;
	return e;
}

const char *
err_detail(enum err e)
{
	if (e != OK && last.e == e && last.text[0] != '\0')
		return last.text;
	return err_text(e);
}

void
err_clear(void)
{
	last.e = OK;
	last.text[0] = '\0';
}

enum err
err_from_errno(int errnum)
{
	switch (errnum) {
	case 0:
		return OK;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return ERR_NOMEM;
	case ENOSPC:
	case EDQUOT:
		return ERR_NOSPC;
	case EPERM:
		return ERR_PERM;
	case EACCES:
		return ERR_ACCESS;
	case ENOENT:
		return ERR_NOENT;
	case EEXIST:
		return ERR_EXIST;
	case ENOTDIR:
		return ERR_NOTDIR;
	case EISDIR:
		return ERR_ISDIR;
	case ENOTEMPTY:
		return ERR_NOTEMPTY;
	case EINVAL:
	case ELOOP:
		return ERR_INVAL;
	case ENAMETOOLONG:
		return ERR_NAMETOOLONG;
	case EFBIG:
	case EOVERFLOW:
		return ERR_FBIG;
	case EMLINK:
		return ERR_MLINK;
	case EXDEV:
		return ERR_XDEV;
	case EROFS:
		return ERR_ROFS;
	case EBUSY:
	case ETXTBSY:
		return ERR_BUSY;
	case EAGAIN:
		return ERR_LOCKED;
	case ENODATA:
		return ERR_NODATA;
	case ERANGE:
		return ERR_RANGE;
	case E2BIG:
		return ERR_2BIG;
	case EOPNOTSUPP:
	case ENOSYS:
		return ERR_NOTSUP;
	case ESTALE:
		return ERR_STALE;
	case ENXIO:
		return ERR_NXIO;
	case EBADF:
		return ERR_BADF;
	case ETIMEDOUT:
		return ERR_TIMEDOUT;
	default:
		return ERR_IO;
	}
}
