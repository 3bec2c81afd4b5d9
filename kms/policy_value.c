/*
 * Patterns, numbers, dates and addresses of policies, as text.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "kms/policy_internal.h"

/* ---- Patterns ------------------------------------------------------------- */

void
pattern_wild(char *s)
{

	for (; *s != '\0'; s++) {
		if (*s == '*')
			*s = PAT_STAR;
		else if (*s == '?')
			*s = PAT_ANY;
	}
}

static char
lower(char c)
{

	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Behind the character of UTF-8 at ${s}. */
static const char *
next_char(const char *s)
{

	do {
		s++;
	} while (((unsigned char)*s & 0xc0) == 0x80);
	return s;
}

/*
 * Upon a mismatch the last star takes one character more; earlier stars need
 * not be tried again, since what lies between two stars is matched as early
 * as can be.
 */
bool
pattern_match(const char *pattern, const char *text, bool fold)
{
	const char *star = NULL, *retry = NULL;

	for (;;) {
		if (*pattern == PAT_STAR) {
			star = ++pattern;
			retry = text;
		} else if (*text == '\0' && *pattern == '\0') {
			return true;
		} else if (*text != '\0' && *pattern == PAT_ANY) {
			pattern++;
			text = next_char(text);
		} else if (*text != '\0' &&
			   (*pattern == *text ||
			       (fold && lower(*pattern) == lower(*text)))) {
			pattern++;
			text++;
		} else if (star != NULL && *retry != '\0') {
			retry = next_char(retry);
			text = retry;
			pattern = star;
		} else {
			return false;
		}
	}
}

/* ---- Numbers -------------------------------------------------------------- */

static bool
digit(char c)
{

	return c >= '0' && c <= '9';
}

bool
number_parse(const char *s, struct number *ret)
{
	const char *p = s;

	ret->neg = *p == '-';
	if (*p == '-' || *p == '+')
		p++;
	ret->whole = p;
	while (digit(*p))
		p++;
	ret->nwhole = (size_t)(p - ret->whole);
	ret->frac = p;
	ret->nfrac = 0;
	if (*p == '.') {
		ret->frac = ++p;
		while (digit(*p))
			p++;
		ret->nfrac = (size_t)(p - ret->frac);
		if (ret->nfrac == 0)
			return false;
	}
	if (*p != '\0' || ret->nwhole == 0)
		return false;
	while (ret->nwhole > 0 && *ret->whole == '0') {
		ret->whole++;
		ret->nwhole--;
	}
	while (ret->nfrac > 0 && ret->frac[ret->nfrac - 1] == '0')
		ret->nfrac--;
	if (ret->nwhole == 0 && ret->nfrac == 0)
		ret->neg = false;
	return true;
}

static int
sign(int v)
{

	return (v > 0) - (v < 0);
}

/* Without their signs.  Exact, however many digits. */
static int
compare_size(const struct number *a, const struct number *b)
{
	const size_t few = a->nfrac < b->nfrac ? a->nfrac : b->nfrac;
	int c;

	if (a->nwhole != b->nwhole)
		return a->nwhole < b->nwhole ? -1 : 1;
	c = memcmp(a->whole, b->whole, a->nwhole);
	if (c == 0)
		c = memcmp(a->frac, b->frac, few);
	if (c == 0)
		return (a->nfrac > few) - (b->nfrac > few);
	return sign(c);
}

int
number_compare(const struct number *a, const struct number *b)
{

	if (a->neg != b->neg)
		return a->neg ? -1 : 1;
	return a->neg ? compare_size(b, a) : compare_size(a, b);
}

/* ---- Dates ---------------------------------------------------------------- */

/* ${n} digits at *${s}, in a range; moves on. */
static bool
digits(const char **s, unsigned n, int low, int high, int *ret)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (!digit(**s))
			return false;
		v = v * 10 + (**s - '0');
	}
	*ret = v;
	return v >= low && v <= high;
}

/* Z, or a distance from Greenwich. */
static bool
zone(const char *s, int64_t *ret)
{
	int h, m;

	*ret = 0;
	if (s[0] == 'Z' && s[1] == '\0')
		return true;
	if (*s != '+' && *s != '-')
		return false;

	const int64_t east = *s++ == '+' ? 1 : -1;

	if (!digits(&s, 2, 0, 23, &h) || *s++ != ':' ||
	    !digits(&s, 2, 0, 59, &m) || *s != '\0')
		return false;
	*ret = east * (h * 3600 + m * 60);
	return true;
}

static bool
seconds_parse(const char **s, int *ret, uint32_t *nanos)
{
	uint32_t unit = 100000000;

	if (**s != ':')
		return true;
	(*s)++;
	if (!digits(s, 2, 0, 59, ret))
		return false;
	if (**s != '.')
		return true;
	(*s)++;
	if (!digit(**s))
		return false;
	for (; digit(**s); (*s)++, unit /= 10)
		*nanos += (uint32_t)(**s - '0') * unit;
	return true;
}

static bool
epoch_parse(const char *s, struct date *ret)
{
	int64_t v = 0;
	size_t n = 0;

	for (; digit(s[n]); n++) {
		if (n == 15)
			return false;
		v = v * 10 + (s[n] - '0');
	}
	ret->seconds = v;
	return n > 0 && n != 4 && s[n] == '\0';
}

bool
date_parse(const char *s, struct date *ret)
{
	struct tm tm = { .tm_mday = 1 };
	int64_t east = 0;
	int day;

	memset(ret, 0, sizeof(*ret));
	if (epoch_parse(s, ret))
		return true;
	ret->seconds = 0;
	if (!digits(&s, 4, 1, 9999, &tm.tm_year))
		return false;
	if (*s == '-') {
		s++;
		if (!digits(&s, 2, 1, 12, &tm.tm_mon))
			return false;
		tm.tm_mon--;
		if (*s == '-') {
			s++;
			if (!digits(&s, 2, 1, 31, &tm.tm_mday))
				return false;
			if (*s == 'T') {
				s++;
				if (!digits(&s, 2, 0, 23, &tm.tm_hour) ||
				    *s++ != ':' ||
				    !digits(&s, 2, 0, 59, &tm.tm_min) ||
				    !seconds_parse(
					&s, &tm.tm_sec, &ret->nanos) ||
				    !zone(s, &east))
					return false;
				s += strlen(s);
			}
		}
	}
	tm.tm_year -= 1900;
	day = tm.tm_mday;
	ret->seconds = timegm(&tm) - east;
	/* A day that its month does not have moves to the next. */
	return *s == '\0' && tm.tm_mday == day;
}

int
date_compare(const struct date *a, const struct date *b)
{

	if (a->seconds != b->seconds)
		return a->seconds < b->seconds ? -1 : 1;
	return (a->nanos > b->nanos) - (a->nanos < b->nanos);
}

void
date_format(int64_t seconds, char ret[static 32])
{
	struct tm tm;
	time_t t = (time_t)seconds;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1899 ||
	    tm.tm_year > 8099 ||
	    strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		ret[0] = '\0';
}

/* ---- Addresses ------------------------------------------------------------ */

/* /BITS, without leading zeros. */
static bool
bits_parse(const char *s, unsigned max, unsigned *ret)
{
	unsigned v = 0;

	if (!digit(*s) || (s[0] == '0' && s[1] != '\0'))
		return false;
	for (; digit(*s); s++) {
		v = v * 10 + (unsigned)(*s - '0');
		if (v > max)
			return false;
	}
	*ret = v;
	return *s == '\0';
}

bool
net_parse(const char *s, struct net *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };
	const char *slash = strchr(s, '/');
	const size_t len = slash == NULL ? strlen(s) : (size_t)(slash - s);
	char text[INET6_ADDRSTRLEN];

	if (len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, ret->addr + 12) == 1) {
		memcpy(ret->addr, mapped, sizeof(mapped));
		ret->v4 = true;
		ret->bits = 32;
		if (slash != NULL && !bits_parse(slash + 1, 32, &ret->bits))
			return false;
		ret->bits += 96;
		return true;
	}
	if (inet_pton(AF_INET6, text, ret->addr) != 1)
		return false;
	ret->bits = 128;
	if (slash != NULL && !bits_parse(slash + 1, 128, &ret->bits))
		return false;
	ret->v4 =
	    memcmp(ret->addr, mapped, sizeof(mapped)) == 0 && ret->bits >= 96;
	return true;
}

bool
net_has(const struct net *n, const struct net *a)
{
	const unsigned whole = n->bits / 8, rest = n->bits % 8;

	if (n->v4 != a->v4 || memcmp(n->addr, a->addr, whole) != 0)
		return false;
	return rest == 0 ||
	       ((n->addr[whole] ^ a->addr[whole]) >> (8 - rest)) == 0;
}

bool
bool_parse(const char *s, bool *ret)
{

	*ret = strcasecmp(s, "true") == 0;
	return *ret || strcasecmp(s, "false") == 0;
}
