#include <errno.h>

#include "fs/fserr.h"

/* No default: a new error must be given its errno here to compile. */
int
fs_errno(enum err e)
{
	switch (e) {
	case OK:
		return (0);
	case ERR_NOMEM:
		return (ENOMEM);
	case ERR_NOSPC:
		return (ENOSPC);
	case ERR_AUTH:
		return (EBADMSG);
	case ERR_CORRUPT:
		return (EUCLEAN);
	case ERR_PERM:
		return (EPERM);
	case ERR_ACCESS:
		return (EACCES);
	case ERR_NOENT:
		return (ENOENT);
	case ERR_EXIST:
		return (EEXIST);
	case ERR_NOTDIR:
		return (ENOTDIR);
	case ERR_ISDIR:
		return (EISDIR);
	case ERR_NOTEMPTY:
		return (ENOTEMPTY);
	case ERR_INVAL:
	case ERR_PARSE:
	case ERR_NOTSTORE:
		return (EINVAL);
	case ERR_NAMETOOLONG:
		return (ENAMETOOLONG);
	case ERR_FBIG:
		return (EFBIG);
	case ERR_MLINK:
		return (EMLINK);
	case ERR_XDEV:
		return (EXDEV);
	case ERR_ROFS:
	case ERR_FAILSTOP:
		return (EROFS);
	case ERR_BUSY:
	case ERR_KEYINUSE:
	case ERR_LOCKED:
		return (EBUSY);
	case ERR_NODATA:
		return (ENODATA);
	case ERR_RANGE:
		return (ERANGE);
	case ERR_2BIG:
		return (E2BIG);
	case ERR_NOTSUP:
		return (EOPNOTSUPP);
	case ERR_STALE:
		return (ESTALE);
	case ERR_NXIO:
		return (ENXIO);
	case ERR_NOKEY:
	case ERR_ROOTKEY:
		return (ENOKEY);
	case ERR_KEYREVOKED:
	case ERR_KEYDELETION:
		return (EKEYREVOKED);
	case ERR_KEYEXPIRED:
		return (EKEYEXPIRED);
	case ERR_KEYSTATE:
	case ERR_KEYMISMATCH:
	case ERR_BADGRANT:
	case ERR_GRANTTOKEN:
	case ERR_BADTOKEN:
	case ERR_TOKENEXPIRED:
	case ERR_MATERIAL:
		return (EKEYREJECTED);
	case ERR_TIMEDOUT:
		return (ETIMEDOUT);
	case ERR_LIMIT:
		return (EOVERFLOW);
	case ERR_VERSION:
		return (EPROTONOSUPPORT);
	case ERR_BADF:
		return (EBADF);
	case ERR_IO:
	case ERR_CRYPTO:
	case ERR_DRYRUN: /* no mount asks so */
	case ERR_INTERNAL:
	case ERR_COUNT_:
		return (EIO);
	}
	return (EIO);
}

int
fs_errno_sync(enum err e)
{
	return (e == ERR_FAILSTOP ? EIO : fs_errno(e));
}
