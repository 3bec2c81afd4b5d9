/*
 * face: a mount, as the tools' channel of its store (store/control.h) sees it.
 * Private to the room.
 */
#ifndef FS_FACE_H
#define FS_FACE_H

#include "fs/fs.h"
#include "store/control.h"

/* ${fs} must outlive ${ret}. */
void fs_face(struct fs *fs, struct control_face *ret);

#endif
