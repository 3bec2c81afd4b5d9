/*
 * audit_check: following the lines of an audit log and telling what does not
 * follow (the room's own; audit.h is for everybody).  With the chain key each
 * line is checked, without it only what checkpoints are signed over.
 */
#ifndef KMS_AUDIT_CHECK_H
#define KMS_AUDIT_CHECK_H

#include "kms/audit.h"
#include "kms/audit_chain.h"

struct audit_check {
	const struct hmac_key *chain; /* NULL: there is no keystore */
	const uint8_t *uuid;          /* of the keystore */
	/* The key of segment ${n}; ERR_NOENT. */
	enum err (*key)(void *key_arg, uint64_t n, struct audit_key *ret);
	void *key_arg;
	audit_bad_fn *bad; /* NULL: nobody is told */
	void *arg;
	const char *file; /* where the line is, for people */
	struct audit_verdict *v;

	/* Where it stands; all zero at the beginning. */
	struct audit_head h;
	bool begun;      /* the first line is known */
	bool apart;      /* the mac before the next line is not known */
	bool linked;     /* the link is what a checkpoint must say */
	uint64_t sealed; /* the last line with a checkpoint that fits */
	uint64_t next_n; /* segment whose key that one named; 0: none */
	uint8_t next[SIGN_PUBLIC];
};

/* The first line has number ${seq}.  Without it, that is for the keys to say. */
void audit_check_begin(struct audit_check *c, uint64_t seq);
void audit_check_line(struct audit_check *c, const char *line, size_t len);
/* There is no more: fill in the rest of the verdict. */
void audit_check_end(struct audit_check *c);
/* Something is wrong with record ${seq}. */
void audit_check_bad(struct audit_check *c, uint64_t seq, const char *what);

#endif
