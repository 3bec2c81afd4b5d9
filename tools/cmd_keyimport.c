/*
 * cmd_keyimport: the material of keys: from outside, and by rotation.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kms/api.h"
#include "lib/base/clock.h"
#include "tools/key.h"

#define DAY_S (INT64_C(24) * 3600)

/* ---- Files ----------------------------------------------------------------*/

enum err
key_read_file(const char *path, size_t max, uint8_t *ret, size_t *ret_len)
{
	const bool named = strcmp(path, "-") != 0;
	FILE *f = named ? fopen(path, "re") : stdin;
	bool failed;

	if (f == NULL)
		return (err_from_errno(errno));
	*ret_len = fread(ret, 1, max + 1, f);
	failed = ferror(f) != 0;
	if (named)
		(void)fclose(f);
	if (failed)
		return (ERR_IO);
	if (*ret_len > max)
		return (err_fail(
		    ERR_LIMIT, "\"%.200s\" is too long to be one", path));
	ret[*ret_len] = '\0';
	return (OK);
}

static enum err
write_file(const char *path, const uint8_t *p, size_t len)
{
	const int fd =
	    open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool good;

	if (f == NULL) {
		const enum err e = err_from_errno(errno);

		if (fd >= 0)
			(void)close(fd);
		return (err_fail(e, "\"%.200s\" cannot be written: %s", path,
		    strerror(errno)));
	}
	good = fwrite(p, 1, len, f) == len;
	good = fclose(f) == 0 && good;
	return (
	    good ? OK : err_fail(ERR_IO, "\"%.200s\" cannot be written", path));
}

/* ---- Import ---------------------------------------------------------------*/

/* ALGORITHM[:BITS]. */
static bool
wrapping_of(const char *s, enum kms_wrapping *ret_w, unsigned *ret_bits)
{
	const char *colon = strchr(s, ':');
	const size_t len = colon == NULL ? strlen(s) : (size_t)(colon - s);
	uint64_t bits = *ret_bits;

	if (colon != NULL &&
	    (args_number(colon + 1, &bits) != OK || bits > UINT32_MAX))
		return (false);
	*ret_bits = (unsigned)bits;
	for (int w = KMS_WRAP_OAEP_SHA1; w <= KMS_WRAP_AES_SHA256; w++) {
		const char *name = kms_wrapping_name((enum kms_wrapping)w);

		if (strlen(name) != len || memcmp(name, s, len) != 0)
			continue;
		*ret_w = (enum kms_wrapping)w;
		return (true);
	}
	return (false);
}

static int
show_parameters(const struct args *a, const struct kms_import *p)
{
	char until[CLOCK_ISO_LEN + 1];
	struct json j;

	if (a->opt[OPT_JSON] == NULL) {
		clock_iso((time_t)p->valid_to, until);
		(void)printf("good until %s\n", until);
		return (EXIT_DONE);
	}
	json_begin(&j);
	json_object(&j, NULL);
	json_str(&j, "arn", p->arn);
	json_time(&j, "valid_to", p->valid_to);
	json_close(&j, '}');
	return (cmd_json_end(&j));
}

int
cmd_key_import_parameters(const struct args *a)
{
	struct kms_import *p CLEANUP_FREE = calloc(1, sizeof(*p));
	enum kms_wrapping w = KMS_WRAP_OAEP_SHA256;
	const char *way = a->opt[OPT_WRAPPING];
	struct kms *k CLEANUP_KMS = NULL;
	unsigned bits = 4096;
	enum err e;

	if (p == NULL)
		return (cmd_fail(ERR_NOMEM, "key \"%s\"", a->pos[0]));
	if (way != NULL && !wrapping_of(way, &w, &bits))
		return (cmd_usage(
		    a->cmd, "--wrapping: \"%s\" is no way to wrap a key", way));
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = kms_import_parameters(k, &cmd_who, a->pos[0], w, bits, p);
	if (e == OK)
		e = write_file(a->pos[1], p->public_key, p->public_len);
	if (e == OK)
		e = write_file(a->pos[2], p->token, p->tokenlen);
	if (e != OK)
		return (cmd_fail(e,
		    "key \"%s\": no parameters for importing into it",
		    a->pos[0]));
	return (show_parameters(a, p));
}

static enum err
import(const struct args *a, struct kms *k, int64_t expires)
{
	uint8_t wrapped[KMS_IMPORT_WRAPPED_MAX + 2];
	uint8_t token[KMS_IMPORT_TOKEN_MAX + 2];
	size_t len = 0, tokenlen = 0;

	TRY(key_read_file(a->pos[1], KMS_IMPORT_TOKEN_MAX, token, &tokenlen));
	TRY(key_read_file(a->pos[2], KMS_IMPORT_WRAPPED_MAX, wrapped, &len));
	return (kms_import_material(
	    k, &cmd_who, a->pos[0], token, tokenlen, wrapped, len, expires));
}

int
cmd_key_import_material(const struct args *a)
{
	const char *days = a->opt[OPT_EXPIRES];
	struct kms *k CLEANUP_KMS = NULL;
	struct kms_desc d;
	uint64_t n = 0;
	enum err e;

	if (days != NULL && (args_number(days, &n) != OK || n == 0 || n > 365))
		return (cmd_usage(
		    a->cmd, "--expires: \"%s\" is not 1 to 365 days", days));
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = import(a, k, n == 0 ? 0 : clock_wall().tv_sec + (int64_t)n * DAY_S);
	if (e == OK)
		e = kms_key_describe(k, &cmd_who, a->pos[0], &d);
	if (e != OK)
		return (cmd_fail(
		    e, "key \"%s\": cannot be imported into", a->pos[0]));
	return (a->opt[OPT_JSON] == NULL ? EXIT_DONE : key_json(k, &d));
}

int
cmd_key_import_delete(const struct args *a)
{
	return (key_change(a, "rid of its material", kms_import_delete));
}

/* ---- Rotations ------------------------------------------------------------*/

struct rotations {
	struct cmd_list out;
	uint32_t last;
};

static bool
show_rotation(void *arg, const struct kms_rotation *r)
{
	const char *why = r->on_demand ? "ON_DEMAND" : "AUTOMATIC";
	struct rotations *l = arg;
	char when[CLOCK_ISO_LEN + 1];

	l->last = r->version;
	struct json *const j = l->out.j;

	if (j == NULL) {
		clock_iso((time_t)r->at, when);
		(void)printf("%7" PRIu32 "  %s  %-9s  %s\n", r->version, when,
		    why, r->material);
		return (true);
	}
	json_object(j, NULL);
	json_u64(j, "version", r->version);
	json_time(j, "date", r->at);
	json_str(j, "type", why);
	json_str(j, "material", r->material);
	json_close(j, '}');
	return (true);
}

int
cmd_key_rotations(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	struct rotations l = { .last = 0 };
	bool more = true;
	enum err e = OK;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	cmd_list_begin(
	    &l.out, a, "VERSION  DATE                  TYPE       MATERIAL");
	while (more && e == OK)
		e = kms_rotation_page(k, &cmd_who, a->pos[0], l.last, 100,
		    show_rotation, &l, &more);
	const int code = cmd_list_end(&l.out);

	return (e == OK
		    ? code
		    : cmd_fail(e, "key \"%s\": its rotations cannot be listed",
			  a->pos[0]));
}
