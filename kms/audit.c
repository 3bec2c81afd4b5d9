/*
 * Audit records in memory: what is known of a call, packed, to be written out
 * as a line later (audit_line.c) by whoever flushes.  A record is made for
 * every file that is opened, so making one is no more than copying a few
 * strings.
 *
 * A record, integers as the machine has them, since it never leaves it:
 *	struct audit_item
 *	the strings that its ${len} counts, in the order of enum audit_text
 *	for each pair of the context: u16 length, key, u16 length, value
 *
 * Plaintext keys and wrapped ones are no part of a call's description, so
 * they cannot get in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/kdf.h"
#include "crypto/rand.h"

#include "kms/audit_log.h"
#include "kms/gate.h"
#include "kms/kms_internal.h"

/* Over the first a record is flushed by the call that made it; the second is
 * never reached unless the disk fails. */
#define PENDING_FLUSH (1024 * 1024)
#define PENDING_MAX (16 * 1024 * 1024)
#define SMALL 1024 /* holds an ordinary record */

enum err
audit_init(struct audit *a, const struct key *kmk)
{
	WIPED(uint8_t, key, KEY_LEN);

	lock_init(&a->l, RANK_KMS_AUDIT, "kms audit");
	lock_cond_init(&a->flushed);
	buf_init(&a->pending, PENDING_MAX);
	buf_init(&a->writing, PENDING_MAX);
	rand_bytes(&a->id_base, sizeof(a->id_base));
	TRY(hkdf_label(
	    kmk->b, "ssefs audit chain v1", NULL, 0, key, sizeof(key)));
	a->chain = secret_alloc(sizeof(*a->chain));
	if (a->chain == NULL)
		return ERR_NOMEM;
	a->head = secret_alloc(sizeof(*a->head));
	if (a->head == NULL)
		return ERR_NOMEM;
	hmac_key_set(a->chain, key, sizeof(key));
	TRY(hkdf_label(kmk->b, AUDIT_HEAD_LABEL, NULL, 0, key, sizeof(key)));
	hmac_key_set(a->head, key, sizeof(key));
	return OK;
}

void
audit_release(struct audit *a)
{

	buf_release(&a->pending);
	buf_release(&a->writing);
	secret_free(a->chain);
	secret_free(a->head);
	(void)pthread_cond_destroy(&a->flushed);
	lock_destroy(&a->l);
}

/* A string to be packed. */
struct text {
	const char *s;
	size_t len;
};

static void
set(struct text *t, const char *s, size_t max)
{

	t->s = s;
	t->len = strnlen(s, max);
}

static void
set_any(struct text *t, const char *s)
{

	if (s != NULL)
		set(t, s, AUDIT_TEXT_MAX);
}

/* A part of an object would be none. */
static void
set_json(struct text *t, const char *s)
{

	if (s == NULL)
		return;
	set(t, s, AUDIT_TEXT_MAX);
	if (t->len == AUDIT_TEXT_MAX)
		t->len = 0;
}

static void
set_key(struct text *t, const struct keyref *key)
{

	if (key->arn[0] == '\0')
		return;
	set(&t[0], key->arn, KMS_ARN_MAX);
	set(&t[1], key->tenant, KMS_NAME_MAX);
}

static void
texts(const struct call *c, enum err e, struct text t[static AUDIT_NTEXTS])
{

	set(&t[AUDIT_TENANT], c->principal_ok ? c->tenant : "unknown",
	    KMS_NAME_MAX);
	set(&t[AUDIT_USER], c->principal_ok ? c->who->user : "unknown",
	    KMS_NAME_MAX);
	set_any(&t[AUDIT_AGENT],
	    c->who->user_agent != NULL ? c->who->user_agent : c->who->agent);
	set(&t[AUDIT_USER_ID], c->user_id, sizeof(c->user_id));
	set_any(&t[AUDIT_ACCESS_KEY], c->who->access_key_id);
	set_any(&t[AUDIT_SOURCE], c->who->source_ip);
	set_any(&t[AUDIT_VIA], c->who->via_service);
	set_any(&t[AUDIT_REQUEST], c->who->request_id);
	if (c->who->tls != NULL) {
		set_any(&t[AUDIT_TLS_VERSION], c->who->tls->version);
		set_any(&t[AUDIT_TLS_CIPHER], c->who->tls->cipher);
		set_any(&t[AUDIT_TLS_HOST], c->who->tls->host);
	}
	if (c->keyname != NULL)
		set(&t[AUDIT_KEYNAME], c->keyname, KMS_ARN_MAX);
	set_key(&t[AUDIT_ARN], &c->key);
	if (c->target != NULL)
		set_key(&t[AUDIT_ARN2], c->target);
	if (e != OK)
		set(&t[AUDIT_DETAIL], err_detail(e), AUDIT_TEXT_MAX);
	if (c->params != NULL)
		set(&t[AUDIT_PARAMS], c->params->text, PARAMS_MAX);
	if (e == OK)
		set_json(&t[AUDIT_RESPONSE], c->response);
	set_json(&t[AUDIT_EXTRA], c->extra);
}

/* Bytes that the context takes in a record; 0 to leave it out, since a context
 * that was refused, or not looked at, may be of any size. */
static size_t
context_size(const struct call *c, enum err e)
{
	size_t n = 0;

	if (e == ERR_INVAL || c->nctx > KMS_CONTEXT_MAX / 8)
		return 0;
	for (size_t i = 0; i < c->nctx; i++) {
		if (c->ctx[i].key == NULL || c->ctx[i].value == NULL)
			return 0;
		n += 4 + strnlen(c->ctx[i].key, KMS_CONTEXT_MAX) +
		     strnlen(c->ctx[i].value, KMS_CONTEXT_MAX);
		if (n > KMS_CONTEXT_MAX)
			return 0;
	}
	return n;
}

static uint8_t *
pack_pair_text(uint8_t *p, const char *s)
{
	const uint16_t len = (uint16_t)strlen(s);

	memcpy(p, &len, sizeof(len));
	memcpy(p + sizeof(len), s, len);
	return p + sizeof(len) + len;
}

static void
pack(uint8_t *p, struct audit_item *item, const struct text *t,
    const struct call *c)
{

	for (size_t i = 0; i < AUDIT_NTEXTS; i++)
		item->len[i] = (uint16_t)t[i].len;
	memcpy(p, item, sizeof(*item));
	p += sizeof(*item);
	for (size_t i = 0; i < AUDIT_NTEXTS; i++)
		if (t[i].len > 0) {
			memcpy(p, t[i].s, t[i].len);
			p += t[i].len;
		}
	for (size_t i = 0; i < item->nctx; i++) {
		p = pack_pair_text(p, c->ctx[i].key);
		p = pack_pair_text(p, c->ctx[i].value);
	}
}

static enum err
append(struct audit *a, const uint8_t *p, const struct audit_item *item,
    size_t *ret_pending)
{
	LOCK_SCOPE(&a->l);

	TRY(buf_put(&a->pending, p, item->size));
	if (a->pending.len == item->size)
		atomic_store(&a->since, item->time);
	(void)atomic_fetch_add(&a->made, 1);
	*ret_pending = a->pending.len;
	return OK;
}

void
audit_service_item(
    const char *event, int64_t time, uint8_t ret[static AUDIT_SERVICE_ITEM])
{
	const struct kms_who who = { .user = "ssefs", .agent = "audit" };
	const struct call c = {
		.who = &who, .tenant = KMS_TENANT_DEFAULT, .principal_ok = true
	};
	struct audit_item item = { .event = event,
		.time = time,
		.principal_ok = true,
		.service = true };
	struct text t[AUDIT_NTEXTS] = { 0 };
	size_t size = sizeof(item);

	texts(&c, OK, t);
	for (size_t i = 0; i < AUDIT_NTEXTS; i++)
		size += t[i].len;
	item.size = (uint32_t)size;
	pack(ret, &item, t, &c);
}

enum err
audit_record(struct kms *k, const struct call *c, enum err outcome)
{
	struct text t[AUDIT_NTEXTS] = { 0 };
	const size_t ctx = context_size(c, outcome);
	struct audit_item item = { .event = c->event,
		.time = clock_wall_s(),
		.outcome = (uint8_t)outcome,
		.read_only = c->read_only,
		.principal_ok = c->principal_ok,
		.service = c->service,
		.has_keyname = c->keyname != NULL,
		.key_member = c->key_member,
		.ctx_member = c->ctx_member,
		.nctx = (uint16_t)(ctx == 0 ? 0 : c->nctx) };
	uint8_t small[SMALL] UNINIT;
	uint8_t *big CLEANUP_FREE = NULL;
	size_t size = sizeof(item) + ctx, pending = 0;

	texts(c, outcome, t);
	for (size_t i = 0; i < AUDIT_NTEXTS; i++)
		size += t[i].len;
	item.size = (uint32_t)size;
	if (size > sizeof(small)) {
		big = malloc(size);
		if (big == NULL)
			return ERR_NOMEM;
	}
	pack(big == NULL ? small : big, &item, t, c);
	TRY(append(&k->audit, big == NULL ? small : big, &item, &pending));
	return pending > PENDING_FLUSH ? kms_flush(k) : OK;
}
