/*
 * cmd_audit: showing the keystore's audit log.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kms/audit.h"
#include "lib/base/clock.h"
#include "tools/cmd.h"

struct show {
	struct json *j; /* NULL: text */
	struct audit_filter filter;
	char key[KMS_ARN_MAX];
	uint64_t count; /* records that were chosen */
	uint64_t from;  /* the first to show, counted from 0 */
};

static bool
count_record(void *arg, const char *line, size_t len)
{
	struct show *s = arg;

	if (audit_filter_match(&s->filter, line, len))
		s->count++;
	return (true);
}

static bool
show_record(void *arg, const char *line, size_t len)
{
	struct show *s = arg;

	if (!audit_filter_match(&s->filter, line, len))
		return (true);
	if (s->from > 0) {
		s->from--;
		return (true);
	}
	if (s->j == NULL) {
		(void)fwrite(line, 1, len, stdout);
		(void)putchar('\n');
		return (ferror(stdout) == 0);
	}
	json_raw(s->j, line, len);
	return (true);
}

static bool
idle(void *arg UNUSED)
{
	return (fflush(stdout) == 0);
}

/* ---- Times -------------------------------------------------------------------- */

/* "30m", "12h", "7d", "90s": so long ago. */
static bool
time_ago(const char *s, time_t *ret)
{
	static const char units[] = "smhd";
	static const time_t seconds[] = { 1, 60, 3600, 86400 };
	const size_t len = strlen(s);
	const char *unit = len > 1 ? strchr(units, s[len - 1]) : NULL;
	char digits[12];
	uint64_t n = 0;

	if (unit == NULL || len > sizeof(digits))
		return (false);
	memcpy(digits, s, len - 1);
	digits[len - 1] = '\0';
	if (args_number(digits, &n) != OK || n > 1000000000)
		return (false);
	*ret = clock_wall().tv_sec - (time_t)n * seconds[unit - units];
	return (true);
}

static bool
time_of(const char *s, char ret[static AUDIT_TIME_LEN + 1])
{
	struct tm tm = { .tm_sec = 0 };
	const char *end;
	time_t t;

	if (!time_ago(s, &t)) {
		end = strptime(s, "%Y-%m-%dT%H:%M:%SZ", &tm);
		if (end == NULL || *end != '\0') {
			tm = (struct tm){ .tm_sec = 0 };
			end = strptime(s, "%Y-%m-%d", &tm);
		}
		if (end == NULL || *end != '\0')
			return (false);
		t = timegm(&tm);
	}
	if (t < 0)
		return (false);
	clock_iso(t, ret);
	return (true);
}

/* ---- Choosing ----------------------------------------------------------------- */

static int
times(const struct args *a, struct audit_filter *f)
{
	const char *since = a->opt[OPT_SINCE], *until = a->opt[OPT_UNTIL];

	if (since != NULL && !time_of(since, f->since))
		return (cmd_usage(a->cmd, "\"%s\" is not a time", since));
	if (until != NULL && !time_of(until, f->until))
		return (cmd_usage(a->cmd, "\"%s\" is not a time", until));
	return (EXIT_DONE);
}

/* A key that is gone has no other name than its id or ARN. */
static void
choose(const struct args *a, struct kms *k, struct show *s)
{
	struct audit_filter *f = &s->filter;

	f->user = a->opt[OPT_BY_USER];
	f->event = a->opt[OPT_EVENT];
	f->denied = a->opt[OPT_DENIED] != NULL;
	f->key = a->opt[OPT_BY_KEY];
	if (f->key != NULL && kms_key_resolve(k, NULL, f->key, s->key) == OK)
		f->key = s->key;
}

int
cmd_audit_show(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const char *skip = a->opt[OPT_SKIP], *last = a->opt[OPT_LAST];
	const bool follow = a->opt[OPT_FOLLOW] != NULL;
	/* What has no end is no list. */
	const bool list = a->opt[OPT_JSON] != NULL && !follow;
	struct show s = { .j = NULL };
	uint64_t n = 0;
	int code;
	struct json j;
	enum err e = OK;

	if (skip != NULL && last != NULL)
		return (cmd_usage(a->cmd, "give --skip or --last, not both"));
	if ((skip != NULL && args_number(skip, &s.from) != OK) ||
	    (last != NULL && args_number(last, &n) != OK))
		return (cmd_usage(a->cmd, "%s", err_detail(ERR_INVAL)));
	code = times(a, &s.filter);
	if (code != EXIT_DONE)
		return (code);
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	choose(a, k, &s);
	if (last != NULL) {
		e = audit_show(k, 0, count_record, &s);
		s.from = s.count > n ? s.count - n : 0;
	}
	json_begin(&j);
	if (list) {
		json_array(&j, NULL);
		s.j = &j;
	}
	if (e == OK && follow)
		e = audit_follow(k, 0, show_record, idle, &s);
	else if (e == OK)
		e = audit_show(k, 0, show_record, &s);
	if (list) {
		json_close(&j, ']');
		code = cmd_json_end(&j);
	}
	return (e == OK ? code : cmd_fail(e, "audit log: cannot be read"));
}
