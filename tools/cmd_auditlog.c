/*
 * cmd_auditlog: verifying and keeping the audit log.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kms/audit.h"
#include "tools/cmd.h"

#define KEYS_FILE_MAX ((size_t)32 << 20)
#define SHOWN 100u /* findings */

/* ---- Verifying ---------------------------------------------------------------- */

struct findings {
	struct json *j; /* NULL: text */
	unsigned n;
};

static void
found(void *arg, uint64_t seq, const char *file, const char *what)
{
	struct findings *f = arg;
	const char *slash = strrchr(file, '/');
	const char *name = slash == NULL ? file : slash + 1;

	if (f->n++ >= SHOWN)
		return;
	if (f->j == NULL) {
		(void)printf("altered: record %" PRIu64 ": %s (in ", seq, what);
		cmd_put_name(stdout, name);
		(void)printf(")\n");
		return;
	}
	json_object(f->j, NULL);
	json_u64(f->j, "record", seq);
	json_str(f->j, "file", name);
	json_str(f->j, "what", what);
	json_close(f->j, '}');
}

static void
say_verdict(const struct audit_verdict *v, const struct findings *f)
{
	char older[AUDIT_OLDER_MAX];

	if (f->n > SHOWN)
		(void)printf("and %u more\n", f->n - SHOWN);
	if (v->bad == 0)
		(void)printf("intact: ");
	(void)printf("%" PRIu64 " records", v->records);
	if (v->bad != 0)
		(void)printf(" are intact");
	if (v->segments > 1)
		(void)printf(" in %" PRIu64 " files", v->segments);
	if (v->first > 1)
		(void)printf(", from record %" PRIu64 " on", v->first);
	if (v->unsigned_ > 0)
		(void)printf(
		    ", the last %" PRIu64 " not signed yet", v->unsigned_);
	(void)printf("\n");
	if (!v->older)
		return;
	audit_older(v, older);
	(void)printf("%s\n", older);
}

static void
json_verdict(struct json *j, const struct audit_verdict *v)
{
	json_bool(j, "intact", v->bad == 0);
	json_u64(j, "records", v->records);
	json_u64(j, "files", v->segments);
	json_u64(j, "firstRecord", v->first);
	json_u64(j, "unsigned", v->unsigned_);
	if (v->older)
		json_u64(j, "olderTo", v->older_to);
	if (v->bad == 0)
		return;
	json_u64(j, "badRecord", v->bad_seq);
	json_str(j, "what", v->what);
}

static enum err
read_keys(const char *path, struct buf *ret)
{
	FILE *f = fopen(path, "re");
	char text[4096];
	enum err e = OK;
	size_t n;

	if (f == NULL)
		return (err_fail(
		    err_from_errno(errno), "%s: %s", path, strerror(errno)));
	while (e == OK && (n = fread(text, 1, sizeof(text), f)) > 0)
		e = buf_put(ret, text, n);
	if (e == OK && ferror(f) != 0)
		e = err_fail(ERR_IO, "%s: cannot be read", path);
	(void)fclose(f);
	return (e);
}

/* By the public keys in file --public-key. */
static enum err
verify_files(const struct args *a, struct findings *f, struct audit_verdict *v)
{
	struct buf keys CLEANUP_BUF = { 0 };

	buf_init(&keys, KEYS_FILE_MAX);
	TRY(read_keys(a->opt[OPT_PUBLIC_KEY], &keys));
	return (audit_verify_files((const char *)keys.p, keys.len,
	    (const char *const *)a->pos, (size_t)a->npos, found, f, v));
}

static enum err
verify_store(const struct args *a, struct findings *f, struct audit_verdict *v)
{
	struct kms *k CLEANUP_KMS = NULL;

	/* It said why. */
	if (!cmd_open_kms(a, &k))
		return (ERR_NOKEY);
	TRY(audit_verify(k, found, f, v));
	for (int i = 0; i < a->npos; i++)
		TRY(audit_compare(k, a->pos[i], found, f, v));
	return (OK);
}

int
cmd_audit_verify(const struct args *a)
{
	const bool outside = a->opt[OPT_PUBLIC_KEY] != NULL;
	const bool as_json = a->opt[OPT_JSON] != NULL;
	struct audit_verdict v = { .records = 0 };
	struct findings f = { .j = NULL };
	struct json j;
	enum err e;
	int code;

	if (outside && a->npos == 0)
		return (cmd_usage(a->cmd, "name the files to verify"));
	if (as_json) {
		json_begin(&j);
		json_object(&j, NULL);
		json_array(&j, "findings");
		f.j = &j;
	}
	e = outside ? verify_files(a, &f, &v) : verify_store(a, &f, &v);
	if (as_json) {
		json_close(&j, ']');
		if (e == OK)
			json_verdict(&j, &v);
		json_close(&j, '}');
		code = cmd_json_end(&j);
	} else {
		code = EXIT_DONE;
	}
	if (e != OK) {
		if (e != ERR_NOKEY)
			(void)cmd_fail(e, "audit log: cannot be verified");
		return (EXIT_UNCHECKED);
	}
	if (!as_json)
		say_verdict(&v, &f);
	if (code != EXIT_DONE)
		return (EXIT_UNCHECKED);
	return (v.bad == 0 ? EXIT_DONE : EXIT_ALTERED);
}

/* ---- Keys, files --------------------------------------------------------------- */

static void
text_key(void *arg UNUSED, const char *line)
{
	(void)printf("%s\n", line);
}

static void
json_key(void *arg, const char *line)
{
	json_str(arg, NULL, line);
}

int
cmd_audit_key(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	int code = EXIT_DONE;
	struct json j;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	if (a->opt[OPT_JSON] == NULL) {
		e = audit_keys(k, text_key, NULL);
	} else {
		json_begin(&j);
		json_array(&j, NULL);
		e = audit_keys(k, json_key, &j);
		json_close(&j, ']');
		code = cmd_json_end(&j);
	}
	return (e == OK ? code : cmd_fail(e, "audit log: no keys"));
}

int
cmd_audit_rotate(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	e = audit_rotate(k, &cmd_who);
	return (
	    e == OK ? EXIT_DONE : cmd_fail(e, "audit log: cannot be rotated"));
}

/* ---- Settings ------------------------------------------------------------------- */

static int
show_settings(const struct args *a, const struct audit_settings *s)
{
	const char *mode = s->sync ? "sync" : "epoch";
	struct json j;

	if (a->opt[OPT_JSON] != NULL) {
		json_begin(&j);
		json_object(&j, NULL);
		json_str(&j, "mode", mode);
		json_u64(&j, "keepDays", s->keep_days);
		json_u64(&j, "keepBytes", s->keep_bytes);
		json_u64(&j, "fileBytes", s->segment);
		json_close(&j, '}');
		return (cmd_json_end(&j));
	}
	if (a->cmd->run == cmd_audit_mode) {
		(void)printf("%s\n", mode);
		return (EXIT_DONE);
	}
	if (s->keep_days == 0 && s->keep_bytes == 0)
		(void)printf("all");
	if (s->keep_days != 0)
		(void)printf("%" PRIu64 "d", s->keep_days);
	if (s->keep_bytes != 0)
		(void)printf("%s%" PRIu64 " bytes",
		    s->keep_days != 0 ? ", " : "", s->keep_bytes);
	(void)printf(", in files of %" PRIu64 " bytes\n", s->segment);
	return (EXIT_DONE);
}

/* Change the settings by ${set}, or show them when there is nothing to set. */
static int
settings(const struct args *a,
    bool (*set)(const struct args *a, struct audit_settings *s))
{
	struct kms *k CLEANUP_KMS = NULL;
	struct audit_settings s = { .segment = 0 };
	enum err e;

	/* What is malformed is refused before anything is opened. */
	if (a->npos > 0 && !set(a, &s))
		return (EXIT_USAGE);
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	audit_settings_get(k, &s);
	if (a->npos == 0)
		return (show_settings(a, &s));
	(void)set(a, &s);
	e = audit_settings_set(k, &cmd_who, &s);
	return (e == OK ? EXIT_DONE : cmd_fail(e, "audit log: cannot be set"));
}

static bool
set_mode(const struct args *a, struct audit_settings *s)
{
	s->sync = strcmp(a->pos[0], "sync") == 0;
	if (s->sync || strcmp(a->pos[0], "epoch") == 0)
		return (true);
	(void)cmd_usage(a->cmd, "\"%s\" is neither sync nor epoch", a->pos[0]);
	return (false);
}

int
cmd_audit_mode(const struct args *a)
{
	return (settings(a, set_mode));
}

static bool
keep_days(const char *word, uint64_t *ret)
{
	const size_t len = strlen(word);
	char digits[12];

	if (len < 2 || len > sizeof(digits) || word[len - 1] != 'd')
		return (false);
	memcpy(digits, word, len - 1);
	digits[len - 1] = '\0';
	return (args_number(digits, ret) == OK && *ret > 0);
}

static bool
set_keep(const struct args *a, struct audit_settings *s)
{
	for (int i = 0; i < a->npos; i++) {
		const char *w = a->pos[i];
		uint64_t n = 0;

		if (strcmp(w, "all") == 0) {
			s->keep_days = s->keep_bytes = 0;
		} else if (keep_days(w, &n)) {
			s->keep_days = n;
		} else if (strncmp(w, "files=", 6) == 0 &&
			   args_size(w + 6, &n) == OK && n > 0) {
			s->segment = n;
		} else if (args_size(w, &n) == OK && n > 0) {
			s->keep_bytes = n;
		} else {
			(void)cmd_usage(a->cmd,
			    "\"%s\" is not all, DAYSd, SIZE or files=SIZE", w);
			return (false);
		}
	}
	return (true);
}

int
cmd_audit_keep(const struct args *a)
{
	return (settings(a, set_keep));
}
