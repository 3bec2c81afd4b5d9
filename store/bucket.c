/*
 * bucket: the directories under STORE_ROOT.
 */
#include <string.h>
#include <sys/stat.h>

#include "store/ns.h"

static bool
is_alnum(char c)
{
	return ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'));
}

/* Four numbers of one to three digits, parted by dots. */
static bool
looks_like_ipv4(const char *name, size_t len)
{
	unsigned digits = 0, dots = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (name[i] == '.') {
			dots++;
			digits = 0;
		} else if (name[i] < '0' || name[i] > '9' || ++digits > 3) {
			return (false);
		}
	}
	return (dots == 3);
}

bool
store_bucket_name_ok(const char *name, size_t len)
{
	size_t i;

	if (len < STORE_BUCKET_MIN || len > STORE_BUCKET_MAX)
		return (false);
	for (i = 0; i < len; i++) {
		if (is_alnum(name[i]))
			continue;
		if (name[i] != '-' && name[i] != '.')
			return (false);
		if (i == 0 || i == len - 1)
			return (false);
		if (name[i] == '.' && name[i - 1] == '.')
			return (false);
	}
	return (!looks_like_ipv4(name, len));
}

enum err
store_bucket_create(struct store *st, const struct kms_who *who,
    const char *name, const char *sse_default, uint32_t uid, uint32_t gid,
    uint32_t mode)
{
	const struct store_new new = {
		.mode = S_IFDIR | (mode & 07777), .uid = uid, .gid = gid
	};
	const char *dflt = NULL;
	char canon[STORE_DEFAULT_MAX];
	struct store_attr attr;

	if (sse_default != NULL) {
		TRY(dflt_canonical(st, who, sse_default, canon));
		dflt = canon;
	}
	return (ns_make(
	    st, who, STORE_ROOT, name, strlen(name), &new, dflt, &attr, NULL));
}

enum err
store_bucket_remove(struct store *st, const char *name)
{
	uint64_t ino;

	TRY(store_rmdir(st, STORE_ROOT, name, strlen(name), &ino));
	store_reap(st, ino);
	return (OK);
}

enum err
store_bucket_find(struct store *st, const char *name, uint64_t *ret_ino)
{
	struct store_attr attr;

	if (!store_bucket_name_ok(name, strlen(name)))
		return (ERR_NOENT);
	TRY(store_lookup(st, STORE_ROOT, name, strlen(name), &attr));
	*ret_ino = attr.ino;
	return (OK);
}
