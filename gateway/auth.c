/*
 * Signature Version 4, and AWS's words for what is wrong with one.  A request
 * that somebody recorded could be sent again within GATE_SKEW_S of its time:
 * that is the protocol's, and TLS keeps requests from being recorded.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gateway/auth.h"
#include "gateway/limits.h"

#define SERVICE "kms"

/* The header's value; NULL without one, or with more than one. */
static const char *
single(const struct auth_request *q, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < q->nheaders; i++) {
		if (strcasecmp(q->headers[i].name, name) != 0)
			continue;
		if (value != NULL)
			return (NULL);
		value = q->headers[i].value;
	}
	return (value);
}

static bool
has(const struct auth_request *q, const char *name)
{
	for (size_t i = 0; i < q->nheaders; i++)
		if (strcasecmp(q->headers[i].name, name) == 0)
			return (true);
	return (false);
}

static enum err
unknown(struct aws_error *err)
{
	return (aws_fail(err, ERR_ACCESS, AWS_UNKNOWN_CLIENT,
	    "The security token included in the request is invalid."));
}

static enum err
skewed(const struct auth_request *q, struct aws_error *err)
{
	const char *date = single(q, "X-Amz-Date");
	char now[SIGV4_DATE_LEN + 1], bound[SIGV4_DATE_LEN + 1];

	sigv4_date((time_t)q->now, now);
	sigv4_date((time_t)q->now - GATE_SKEW_S, bound);
	if (date == NULL || strcmp(date, now) < 0)
		return (aws_fail(err, ERR_ACCESS, AWS_INVALID_SIGNATURE,
		    "Signature expired: %.16s is now earlier than %s (%s - %d "
		    "min.)",
		    date != NULL ? date : "", bound, now, GATE_SKEW_S / 60));
	sigv4_date((time_t)q->now + GATE_SKEW_S, bound);
	return (aws_fail(err, ERR_ACCESS, AWS_INVALID_SIGNATURE,
	    "Signature not yet current: %.16s is still later than %s (%s + %d "
	    "min.)",
	    date, bound, now, GATE_SKEW_S / 60));
}

static enum err
scope(const struct auth_request *q, const struct sigv4_auth *a,
    struct aws_error *err)
{
	if (strcmp(a->service, SERVICE) != 0)
		return (aws_fail(err, ERR_ACCESS, AWS_INVALID_SIGNATURE,
		    "Credential should be scoped to correct service: '" SERVICE
		    "'."));
	if (strcmp(a->region, q->region) != 0)
		return (aws_fail(err, ERR_ACCESS, AWS_INVALID_SIGNATURE,
		    "Credential should be scoped to a valid region, not "
		    "'%.64s'; keys here are of '%s'.",
		    a->region, q->region));
	return (aws_fail(err, ERR_ACCESS, AWS_INVALID_SIGNATURE,
	    "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
	    "version of date from HTTP"));
}

static enum err
refuse(const struct auth_request *q, const struct sigv4_auth *a,
    enum sigv4_why why, struct aws_error *err)
{
	switch (why) {
	case SIGV4_INCOMPLETE:
		return (aws_fail(err, ERR_ACCESS, AWS_INCOMPLETE_SIGNATURE,
		    "%s", err_detail(ERR_ACCESS)));
	case SIGV4_SCOPE:
		return (scope(q, a, err));
	case SIGV4_SKEWED:
	case SIGV4_EXPIRED:
		return (skewed(q, err));
	case SIGV4_GOOD:
	case SIGV4_MISMATCH:
		break;
	}
	return (aws_fail(err, ERR_ACCESS, AWS_INVALID_SIGNATURE,
	    "The request signature we calculated does not match the signature "
	    "you provided. Check your AWS Secret Access Key and signing "
	    "method. Consult the service documentation for details."));
}

static enum err
verify(const struct auth_request *q, const struct sigv4_auth *a,
    const struct who_cred *cred, struct aws_error *err)
{
	char payload[2 * SHA256_LEN + 1];
	const struct sigv4_request r = {
		.method = "POST",
		.path = "/",
		.header = q->headers,
		.nheaders = q->nheaders,
		.payload = payload,
	};
	const struct sigv4_cred c = {
		.access_key = a->access_key,
		.secret = cred->secret,
		.secret_len = strlen(cred->secret),
		.region = q->region,
		.service = SERVICE,
	};
	enum sigv4_why why = SIGV4_MISMATCH;
	enum err e = OK;

	sigv4_payload(q->body, q->len, payload);
	e = sigv4_verify(&r, a, &c, (time_t)q->now, GATE_SKEW_S, &why);
	if (e == OK)
		return (OK);
	if (e == ERR_NOMEM)
		return (aws_fail(err, e, AWS_INTERNAL, "out of memory"));
	return (refuse(q, a, e == ERR_ACCESS ? why : SIGV4_INCOMPLETE, err));
}

enum err
auth_check(struct kms *k, const struct auth_request *q, struct signer *ret,
    struct aws_error *err)
{
	const char *text = single(q, "Authorization");
	struct sigv4_auth a;
	enum err e = OK;

	if (!has(q, "Authorization"))
		return (aws_fail(err, ERR_ACCESS, AWS_MISSING_TOKEN,
		    "Missing Authentication Token"));
	if (text == NULL)
		return (aws_fail(err, ERR_ACCESS, AWS_INCOMPLETE_SIGNATURE,
		    "There is more than one header Authorization"));
	if (sigv4_parse_header(text, strlen(text), &a) != OK)
		return (aws_fail(err, ERR_ACCESS, AWS_INCOMPLETE_SIGNATURE,
		    "%s", err_detail(ERR_PARSE)));
	/* There are no temporary credentials here. */
	if (has(q, "X-Amz-Security-Token"))
		return (unknown(err));
	e = kms_access_key(k, a.access_key, &ret->cred);
	if (e == ERR_NOENT ||
	    (e == OK && (!ret->cred.active || ret->cred.secret == NULL)))
		return (unknown(err));
	if (e != OK)
		return (aws_fail(
		    err, e, AWS_INTERNAL, "An internal error occurred"));
	(void)snprintf(ret->id, sizeof(ret->id), "%.20s", a.access_key);
	return (verify(q, &a, &ret->cred, err));
}
