/*
 * sysfd: a descriptor of lib/base/sys that is closed at the end of its scope.
 */
#ifndef KMS_SYSFD_H
#define KMS_SYSFD_H

#include "lib/base/sys.h"

static inline void
sysfd_cleanup(int *fd)
{
	if (*fd >= 0)
		(void)sys->close(*fd);
}
#define CLEANUP_SYSFD CLEANUP(sysfd_cleanup)

#endif
