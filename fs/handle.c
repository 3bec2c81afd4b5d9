#include "fs/handle.h"

void
handles_init(struct handles *hs)
{
	lock_init(&hs->lock, RANK_FS_CONF, "fs handles");
	hs->head = NULL;
}

void
handles_destroy(struct handles *hs)
{
	while (hs->head != NULL)
		handle_close(hs, hs->head);
	lock_destroy(&hs->lock);
}

enum err
handle_open(struct handles *hs, uint64_t ino, struct store_file *file,
    struct handle **ret)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return (ERR_NOMEM);
	h->ino = ino;
	h->file = file;
	lock_init(&h->lock, RANK_FS_HANDLE, "fs directory handle");
	dirlist_init(&h->list);
	LOCK_SCOPE(&hs->lock);
	h->next = hs->head;
	if (h->next != NULL)
		h->next->prev = h;
	hs->head = h;
	*ret = h;
	return (OK);
}

static void
handle_unlink(struct handles *hs, struct handle *h)
{
	LOCK_SCOPE(&hs->lock);
	if (h->prev != NULL)
		h->prev->next = h->next;
	else
		hs->head = h->next;
	if (h->next != NULL)
		h->next->prev = h->prev;
}

void
handle_close(struct handles *hs, struct handle *h)
{
	handle_unlink(hs, h);
	if (h->file != NULL)
		store_release(h->file);
	dirlist_clear(&h->list);
	lock_destroy(&h->lock);
	free(h);
}
