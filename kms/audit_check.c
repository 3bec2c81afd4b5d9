/*
 * Following a log.
 *
 * What is wrong with a line is told, and the next one is looked at as if it had
 * been right, by the mac that it claims: so a change is told once, at its place.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crypto/secret.h"

#include "kms/audit_check.h"

void
audit_check_bad(struct audit_check *c, uint64_t seq, const char *what)
{
	struct audit_verdict *v = c->v;

	if (v->bad++ == 0) {
		v->bad_seq = seq;
		(void)snprintf(v->what, sizeof(v->what), "%s", what);
	}
	if (c->bad != NULL)
		c->bad(c->arg, seq, c->file, what);
	/* What was signed will not fit any more: told already. */
	c->linked = false;
}

void
audit_check_end(struct audit_check *c)
{
	const uint64_t to =
	    c->sealed < c->v->first ? c->v->first - 1 : c->sealed;

	c->v->unsigned_ = c->begun ? c->h.seq - to : 0;
}

/* ---- Checkpoints --------------------------------------------------------- */

struct found {
	struct audit_mark m;
	const char *text;
	size_t len;
	uint8_t sig[SIGN_SIGNATURE];
};

/* The key of a checkpoint: a segment's last one vouches for the next. */
static enum err
mark_key(struct audit_check *c, uint64_t n, uint8_t ret[static SIGN_PUBLIC])
{
	const bool named = c->next_n != 0 && c->next_n == n;
	struct audit_key key;
	const enum err e = c->key(c->key_arg, n, &key);

	if (e != OK && !(e == ERR_NOENT && named))
		return e;
	if (e == OK && named && memcmp(key.public, c->next, SIGN_PUBLIC) != 0)
		return ERR_AUTH;
	memcpy(ret, e == OK ? key.public : c->next, SIGN_PUBLIC);
	return OK;
}

/* Is it signed, and here?  NULL, or what is wrong. */
static const char *
mark_wrong(struct audit_check *c, const struct found *f, uint64_t seq)
{
	uint8_t key[SIGN_PUBLIC];
	const enum err e = mark_key(c, f->m.n, key);

	if (e == ERR_AUTH)
		return "its checkpoint is signed by another key than the "
		       "segment before named";
	if (e != OK)
		return "its checkpoint is signed by a key that is not known";
	if (sign_check(key, f->text, f->len, f->sig) != OK)
		return "the signature of its checkpoint does not fit";
	if (f->m.seq != seq || memcmp(f->m.uuid, c->uuid, UUID_LEN) != 0)
		return "its checkpoint is of another place or keystore";
	return NULL;
}

static void
mark_missed(struct audit_check *c, uint64_t seq)
{
	char what[160];

	(void)snprintf(what, sizeof(what),
	    "records %" PRIu64 " to %" PRIu64
	    " are not those that its checkpoint was signed over",
	    c->sealed + 1, seq - 1);
	audit_check_bad(c, seq, what);
}

/* A checkpoint that is signed, before the line ${seq} is passed. */
static void
mark_fits(struct audit_check *c, const struct found *f, uint64_t seq)
{
	const bool fresh = f->m.from == seq; /* lines before are older */

	if (c->linked && !fresh &&
	    (memcmp(f->m.link, c->h.link, SHA256_LEN) != 0 ||
		(!c->apart && memcmp(f->m.mac, c->h.mac, SHA256_LEN) != 0)))
		mark_missed(c, seq);
	if (c->apart)
		memcpy(c->h.mac, f->m.mac, SHA256_LEN);
	c->apart = false;
	memcpy(c->h.link, f->m.link, SHA256_LEN);
	c->h.from = f->m.from;
	c->linked = true;
	c->sealed = seq;
	if (!f->m.has_next)
		return;
	c->next_n = f->m.n + 1;
	memcpy(c->next, f->m.next, SIGN_PUBLIC);
}

static void
look_for_mark(
    struct audit_check *c, const char *line, const struct audit_split *s)
{
	struct found f;
	const char *wrong;

	if (!audit_mark_find(line, s->body, &f.m, &f.text, &f.len, f.sig))
		return;
	wrong = mark_wrong(c, &f, s->seq);
	if (wrong == NULL)
		mark_fits(c, &f, s->seq);
	else
		audit_check_bad(c, s->seq, wrong);
}

/* ---- Lines ------------------------------------------------------------------ */

void
audit_check_begin(struct audit_check *c, uint64_t seq)
{

	c->begun = true;
	c->v->first = seq;
	c->h.seq = seq - 1;
	c->apart = seq != 1;
	c->linked = seq == 1;
	if (c->h.from == 0)
		c->h.from = 1;
}

/* The first line of all: of a log, or of a segment whose key says so. */
static void
begin(struct audit_check *c, const char *line, const struct audit_split *s)
{
	struct audit_key key;
	struct found f;
	uint64_t seq = s->seq;

	if (audit_mark_find(line, s->body, &f.m, &f.text, &f.len, f.sig) &&
	    c->key(c->key_arg, f.m.n, &key) == OK && key.first > 0)
		seq = key.first;
	audit_check_begin(c, seq);
}

/* false: the line is none that could come now. */
static bool
in_order(struct audit_check *c, uint64_t seq)
{
	char what[160];

	if (seq == c->h.seq + 1)
		return true;
	if (seq <= c->h.seq) {
		(void)snprintf(what, sizeof(what),
		    "record %" PRIu64 " stands in its place: out of order, or "
		    "a copy",
		    seq);
		audit_check_bad(c, c->h.seq + 1, what);
		return false;
	}
	(void)snprintf(what, sizeof(what),
	    seq == c->h.seq + 2 ? "it is missing"
				: "records %" PRIu64 " to %" PRIu64
				  " are missing",
	    c->h.seq + 1, seq - 1);
	audit_check_bad(c, c->h.seq + 1, what);
	c->h.seq = seq - 1;
	c->apart = true;
	return true;
}

void
audit_check_line(struct audit_check *c, const char *line, size_t len)
{
	uint8_t good[SHA256_LEN];
	struct audit_split s;
	const uint64_t bad = c->v->bad;

	if (!audit_line_split(line, len, &s) || s.seq == 0) {
		audit_check_bad(c, c->h.seq + 1, "it is not an audit record");
		return;
	}
	if (!c->begun)
		begin(c, line, &s);
	if (!in_order(c, s.seq))
		return;
	look_for_mark(c, line, &s);
	if (c->apart && c->v->bad == bad && c->v->records == 0)
		audit_check_bad(
		    c, s.seq, "it is not the first, and no checkpoint");
	if (c->chain != NULL && !c->apart) {
		audit_line_mac(c->chain, &c->h, s.seq, s.sum, good);
		if (secret_cmp(s.mac, good, SHA256_LEN) != 0)
			audit_check_bad(c, s.seq,
			    "it, or the record before it, was changed");
	}
	if (c->v->bad == bad)
		c->v->records++;
	c->apart = false;
	audit_head_pass(&c->h, &s, len);
}
