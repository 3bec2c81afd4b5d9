/*
 * The canonical encryption context (bytes: see context.h).
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/attrs.h"
#include "lib/base/buf.h"

#include "kms/context.h"
#include "kms/name.h"

#define HEAD_LEN 8
#define FEW_PAIRS 8

static int
by_key(const void *a, const void *b)
{
	const struct kms_pair *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* Check each pair and give the length of all. */
static enum err
measure(const struct kms_pair *ctx, size_t n, size_t *ret)
{
	size_t len = HEAD_LEN;

	if (n > KMS_CONTEXT_MAX / 8)
		return err_fail(ERR_INVAL, "encryption context too long");
	for (size_t i = 0; i < n; i++) {
		if (ctx[i].key == NULL || ctx[i].value == NULL)
			return err_fail(ERR_INVAL,
			    "encryption context with a missing string");
		len += 8 + strnlen(ctx[i].key, KMS_CONTEXT_MAX) +
		       strnlen(ctx[i].value, KMS_CONTEXT_MAX);
		if (len > KMS_CONTEXT_MAX)
			return err_fail(ERR_INVAL,
			    "encryption context over %d bytes",
			    KMS_CONTEXT_MAX);
		if (!name_utf8_ok(ctx[i].key) || !name_utf8_ok(ctx[i].value))
			return err_fail(
			    ERR_INVAL, "encryption context is not UTF-8");
	}
	*ret = len;
	return OK;
}

static uint8_t *
put_string(uint8_t *p, const char *s)
{
	const size_t len = strlen(s);

	put_u32(p, (uint32_t)len);
	memcpy(p + 4, s, len);
	return p + 4 + len;
}

enum err
context_make(
    struct context *c, const struct kms_pair *ctx, size_t n, size_t room)
{
	struct kms_pair few[FEW_PAIRS] UNINIT;
	struct kms_pair *many CLEANUP_FREE = NULL;
	struct kms_pair *sorted = few;
	size_t len = 0;
	uint8_t *p;

	c->heap = NULL;
	TRY(measure(ctx, n, &len));
	if (n > FEW_PAIRS) {
		many = calloc(n, sizeof(*many));
		if (many == NULL)
			return ERR_NOMEM;
		sorted = many;
	}
	if (n > 0)
		memcpy(sorted, ctx, n * sizeof(*ctx));
	if (n > 2 || (n == 2 && by_key(&ctx[0], &ctx[1]) > 0))
		qsort(sorted, n, sizeof(*sorted), by_key);
	for (size_t i = 1; i < n; i++)
		if (strcmp(sorted[i - 1].key, sorted[i].key) == 0)
			return err_fail(
			    ERR_INVAL, "encryption context names a key twice");
	c->p = c->small;
	if (room + len > sizeof(c->small)) {
		c->heap = malloc(room + len);
		if (c->heap == NULL)
			return ERR_NOMEM;
		c->p = c->heap;
	}
	c->p += room;
	c->len = len;
	p = c->p;
	memcpy(p, "ctx1", 4);
	put_u32(p + 4, (uint32_t)n);
	p += HEAD_LEN;
	for (size_t i = 0; i < n; i++) {
		p = put_string(p, sorted[i].key);
		p = put_string(p, sorted[i].value);
	}
	return OK;
}

/* A string at ${*p} into ${*room}, which has space for as many bytes as there
 * are before ${end}: each length takes four and needs one. */
static bool
take_string(
    const uint8_t **p, const uint8_t *end, char **room, const char **ret)
{
	uint32_t len;

	if (end - *p < 4)
		return false;
	len = get_u32(*p);
	*p += 4;
	if (len > (size_t)(end - *p) || memchr(*p, 0, len) != NULL)
		return false;
	memcpy(*room, *p, len);
	(*room)[len] = '\0';
	*ret = *room;
	*room += len + 1;
	*p += len;
	return name_utf8_ok(*ret);
}

enum err
context_read(const uint8_t *p, size_t len, struct kms_pair *ret, size_t max,
    char *room, size_t *ret_n)
{
	const uint8_t *end = p + len;
	uint32_t n;

	if (len < HEAD_LEN || len > KMS_CONTEXT_MAX ||
	    memcmp(p, "ctx1", 4) != 0)
		return ERR_PARSE;
	n = get_u32(p + 4);
	p += HEAD_LEN;
	if (n > max)
		return ERR_LIMIT;
	for (uint32_t i = 0; i < n; i++) {
		if (!take_string(&p, end, &room, &ret[i].key) ||
		    !take_string(&p, end, &room, &ret[i].value))
			return ERR_PARSE;
		if (i > 0 && strcmp(ret[i - 1].key, ret[i].key) >= 0)
			return ERR_PARSE;
	}
	*ret_n = n;
	return p == end ? OK : ERR_PARSE;
}

void
context_release(struct context *c)
{

	free(c->heap);
	c->heap = NULL;
}
