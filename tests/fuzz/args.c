/*
 * The command line of the program, and its numbers.
 *
 * Input: the options the command takes (eight bytes), its least and its most
 * arguments, then words, a NUL after each.
 */
#include "tools/cmd.h"

#include "tests/fuzz/fuzz.h"

#define WORDS 32

int
cmd_fail(enum err e, const char *fmt, ...)
{
	(void)e;
	(void)fmt;
	return (EXIT_FAILED);
}

/* What is said about usage is not for this place. */
static void
hush(void)
{
	static FILE *nowhere;

	if (nowhere == NULL) {
		nowhere = fopen("/dev/null", "w");
		HOLDS(nowhere != NULL);
		stderr = nowhere;
	}
}

static void
number(const char *s)
{
	char text[32];
	uint64_t v = 0, w = 0;

	if (args_number(s, &v) == OK) {
		(void)snprintf(
		    text, sizeof(text), "%llu", (unsigned long long)v);
		HOLDS(strcmp(s + strspn(s, "0"), v == 0 ? "" : text) == 0);
		HOLDS(args_size(s, &w) == OK && v == w);
	}
	if (args_size(s, &v) == OK) {
		HOLDS(s[0] >= '0' && s[0] <= '9');
		HOLDS(strspn(s, "0123456789kKmMgG") == strlen(s));
		(void)snprintf(
		    text, sizeof(text), "%llu", (unsigned long long)v);
		HOLDS(args_number(text, &w) == OK && v == w);
	}
}

/* Every word is from the command line, or the part of one after "=". */
static bool
from(char *const *words, int n, const char *s)
{
	for (int i = 0; i < n; i++)
		if (s >= words[i] && s <= words[i] + strlen(words[i]))
			return (true);
	return (false);
}

static void
sound(const struct args *a, char *const *words, int n)
{
	HOLDS(a->npos >= 0 && a->npos <= n);
	if (a->opt[OPT_HELP] == NULL)
		HOLDS(a->npos >= a->cmd->min && a->npos <= a->cmd->max);
	for (int i = 0; i < a->npos; i++)
		HOLDS(from(words, n, a->pos[i]));
	for (unsigned o = 0; o < OPT_COUNT_; o++) {
		if (a->opt[o] == NULL)
			continue;
		HOLDS(o == OPT_HELP || o == OPT_JSON ||
		      (a->cmd->opts & OPT_BIT(o)) != 0);
		HOLDS(*a->opt[o] == '\0' || from(words, n, a->opt[o]));
	}
	HOLDS((a->opt[OPT_OPTIONS] != NULL) || a->options.len == 0);
	HOLDS(a->store == NULL || a->store[0] == '/');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };
	struct cmd c = { .name = "fuzz", .usage = "WORDS", .brief = "" };
	struct args a;
	char *argv[WORDS + 1], *words[WORDS];
	int argc = 0;

	hush();
	memset(&a, 0, sizeof(a));
	c.opts = feed_int(&f, 8);
	c.min = (int)feed_int(&f, 1);
	c.max = c.min + (int)feed_int(&f, 1);
	a.cmd = &c;
	for (; argc < WORDS && f.len > 0; argc++) {
		argv[argc] = words[argc] = feed_str(&f);
		number(words[argc]);
		HOLDS(args_common(words[argc]) <= 2);
	}
	argv[argc] = NULL;
	const int code = args_parse(&a, argc, argv);

	HOLDS(code == EXIT_DONE || code == EXIT_USAGE);
	if (code == EXIT_DONE)
		sound(&a, words, argc);
	args_release(&a);
	for (int i = 0; i < argc; i++)
		free(words[i]);
	return (0);
}
