/*
 * cmd_audit: the keystore's audit log.
 */
#include <inttypes.h>
#include <string.h>

#include "kms/audit.h"
#include "tools/cmd.h"

struct show {
	struct json *j; /* NULL: text */
	uint64_t count; /* records seen */
	uint64_t from;  /* the first to show, counted from 0 */
};

static bool
count_record(void *arg, const char *line UNUSED, size_t len UNUSED)
{
	struct show *s = arg;

	s->count++;
	return (true);
}

static bool
show_record(void *arg, const char *line, size_t len)
{
	struct show *s = arg;

	if (s->j == NULL) {
		(void)fwrite(line, 1, len, stdout);
		(void)putchar('\n');
		return (true);
	}
	json_raw(s->j, line, len);
	return (true);
}

int
cmd_audit_show(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	const char *skip = a->opt[OPT_SKIP], *last = a->opt[OPT_LAST];
	const bool as_json = a->opt[OPT_JSON] != NULL;
	struct show s = { .j = NULL };
	uint64_t n = 0;
	int code = EXIT_DONE;
	struct json j;
	enum err e = OK;

	if (skip != NULL && last != NULL)
		return (cmd_usage(a->cmd, "give --skip or --last, not both"));
	if ((skip != NULL && args_number(skip, &s.from) != OK) ||
	    (last != NULL && args_number(last, &n) != OK))
		return (cmd_usage(a->cmd, "%s", err_detail(ERR_INVAL)));
	if (!cmd_open_kms(a, &k))
		return (EXIT_FAILED);
	if (last != NULL) {
		e = audit_show(k, 0, count_record, &s);
		s.from = s.count > n ? s.count - n : 0;
	}
	json_begin(&j);
	if (as_json) {
		json_array(&j, NULL);
		s.j = &j;
	}
	if (e == OK)
		e = audit_show(k, s.from, show_record, &s);
	if (as_json) {
		json_close(&j, ']');
		code = cmd_json_end(&j);
	}
	return (e == OK ? code : cmd_fail(e, "audit log: cannot be read"));
}

int
cmd_audit_verify(const struct args *a)
{
	struct kms *k CLEANUP_KMS = NULL;
	struct audit_verdict v = { .records = 0 };
	struct json j;
	enum err e;

	if (!cmd_open_kms(a, &k))
		return (EXIT_UNCHECKED);
	e = audit_verify(k, NULL, NULL, &v);
	if (e != OK) {
		(void)cmd_fail(e, "audit log: cannot be verified");
		return (EXIT_UNCHECKED);
	}

	const int code = v.bad_seq == 0 ? EXIT_DONE : EXIT_ALTERED;

	if (a->opt[OPT_JSON] != NULL) {
		json_begin(&j);
		json_object(&j, NULL);
		json_bool(&j, "intact", v.bad_seq == 0);
		json_u64(&j, "records", v.records);
		if (v.bad_seq != 0) {
			json_u64(&j, "badRecord", v.bad_seq);
			json_str(&j, "what", v.what);
		}
		json_close(&j, '}');
		return (cmd_json_end(&j) == EXIT_DONE ? code : EXIT_UNCHECKED);
	}
	if (v.bad_seq == 0)
		(void)printf("intact: %" PRIu64 " records\n", v.records);
	else
		(void)printf("altered: record %" PRIu64 ": %s (%" PRIu64
			     " records before it are intact)\n",
		    v.bad_seq, v.what, v.records);
	return (code);
}
