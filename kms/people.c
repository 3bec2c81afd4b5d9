/*
 * The identities in memory.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/attrs.h"
#include "lib/base/log.h"

#include "kms/people.h"
#include "kms/who_mac.h"

static const char full_access[] =
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
    "\"Action\":\"*\",\"Resource\":\"*\"}]}";

/* ---- Documents ---------------------------------------------------------- */

bool
document_set(struct document *d, const char *text, size_t len)
{

	d->text = malloc(len + 1);
	if (d->text == NULL)
		return false;
	memcpy(d->text, text, len);
	d->text[len] = '\0';
	d->len = len;
	return true;
}

void
document_release(struct document *d)
{

	policy_free(atomic_load(&d->parsed));
	free(d->text);
}

enum err
document_get(struct document *d, const struct policy **ret)
{
	struct policy *p = atomic_load(&d->parsed), *none = NULL;
	enum err e;

	if (p == NULL) {
		e = policy_parse(d->text, d->len, POLICY_IDENTITY, &p, NULL);
		if (e == ERR_PARSE || e == ERR_LIMIT)
			return err_fail(ERR_CORRUPT,
			    "keystore: a stored policy cannot be read");
		TRY(e);
		if (!atomic_compare_exchange_strong(&d->parsed, &none, p)) {
			policy_free(p);
			p = none;
		}
	}
	*ret = p;
	return OK;
}

/* ---- Names -------------------------------------------------------------- */

bool
people_reserved(const char *name)
{

	return strcmp(name, KMS_ROOT_USER) == 0 || strcmp(name, "ssefs") == 0;
}

bool
people_name_ok(const char *s)
{

	/* They are parts of ARNs, and patterns in policies. */
	return name_user_ok(s) && strpbrk(s, "/:*?$") == NULL;
}

/* ---- Look-up ------------------------------------------------------------ */

static int
compare(const char *tenant, const char *name, const char *t, const char *n)
{
	const int c = strcmp(tenant, t);

	return c != 0 ? c : strcmp(name, n);
}

static struct puser *
find_user(const struct people *p, const char *tenant, const char *name)
{
	size_t lo = 0, hi = p->nusers;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		struct puser *u = &p->users[mid];
		const int c = compare(tenant, name, u->u.tenant, u->u.name);

		if (c == 0)
			return u;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct puser *
people_user(const struct people *p, const char *tenant, const char *name)
{

	return find_user(p, tenant, name);
}

static struct pdoc *
find_doc(const struct people *p, const char *tenant, const char *name)
{
	size_t lo = 0, hi = p->ndocs;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		struct pdoc *d = &p->docs[mid];
		const int c = compare(tenant, name, d->tenant, d->name);

		if (c == 0)
			return d;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct psecret *
people_secret(const struct people *p, const char *id)
{
	size_t lo = 0, hi = p->nsecrets;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		const int c = strcmp(id, p->secrets[mid].id);

		if (c == 0)
			return &p->secrets[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct kms_tenant *
people_tenant(const struct people *p, const char *tenant)
{
	static const struct kms_tenant none = { .customer_keys = true };

	for (size_t i = 0; i < p->ntenants; i++)
		if (strcmp(p->tenants[i].name, tenant) == 0)
			return &p->tenants[i].t;
	return &none;
}

bool
people_has_role(const struct puser *u, const char *role)
{

	for (size_t i = 0; i < u->nroles; i++)
		if (strcmp(u->role[i], role) == 0)
			return true;
	return false;
}

/* ---- Loading ------------------------------------------------------------ */

/* Room for one more of ${size} bytes, zeroed, in an array that doubles. */
static void *
grow(void *array, size_t n, size_t size)
{

	if (n == 0 || (n >= 8 && (n & (n - 1)) == 0))
		array = reallocarray(array, n == 0 ? 8 : 2 * n, size);
	if (array != NULL)
		memset((char *)array + n * size, 0, size);
	return array;
}

/* A policy that is attached to a role. */
struct role_doc {
	char tenant[KMS_NAME_MAX];
	char role[KMS_NAME_MAX];
	struct pdoc *doc; /* NULL: it is gone */
};

struct loading {
	struct people *p;
	struct role_doc *docs; /* by tenant, role */
	size_t ndocs;
};

static void
loading_cleanup(struct loading *l)
{

	free(l->docs);
}

static enum err
load_user(sqlite3_stmt *st, struct people *p)
{
	struct puser *u = grow(p->users, p->nusers, sizeof(*u));
	int64_t admin = 0;

	if (u == NULL)
		return ERR_NOMEM;
	p->users = u;
	u += p->nusers++;
	TRY(kdb_col_text(st, 1, u->u.tenant, sizeof(u->u.tenant)));
	TRY(kdb_col_text(st, 2, u->u.name, sizeof(u->u.name)));
	TRY(kdb_col_text(st, 3, u->u.id, sizeof(u->u.id)));
	TRY(kdb_col_int(st, 4, 0, 1, &admin));
	TRY(kdb_col_int(st, 5, INT64_MIN, INT64_MAX, &u->u.created));
	u->u.admin = admin != 0;
	if (p->nusers > WHO_USERS_MAX || people_reserved(u->u.name))
		return err_fail(ERR_CORRUPT, "keystore: a user is not allowed");
	return OK;
}

static enum err
load_doc(sqlite3_stmt *st, struct people *p)
{
	struct pdoc *d = grow(p->docs, p->ndocs, sizeof(*d));
	char *text CLEANUP_FREE = malloc(POLICY_TEXT_MAX + 1);

	if (d == NULL)
		return ERR_NOMEM;
	p->docs = d;
	d += p->ndocs++;
	if (text == NULL)
		return ERR_NOMEM;
	TRY(kdb_col_text(st, 1, d->tenant, sizeof(d->tenant)));
	TRY(kdb_col_text(st, 2, d->name, sizeof(d->name)));
	TRY(kdb_col_text(st, 3, text, POLICY_TEXT_MAX + 1));
	return document_set(&d->d, text, strlen(text)) ? OK : ERR_NOMEM;
}

/* The user of a row: its tenant in column ${col}, its name in the next. */
static enum err
row_user(sqlite3_stmt *st, int col, const struct people *p, struct puser **ret)
{
	char tenant[KMS_NAME_MAX], name[KMS_NAME_MAX];

	TRY(kdb_col_text(st, col, tenant, sizeof(tenant)));
	TRY(kdb_col_text(st, col + 1, name, sizeof(name)));
	*ret = find_user(p, tenant, name);
	if (*ret == NULL)
		return err_fail(ERR_CORRUPT, "keystore: a row names no user");
	return OK;
}

static enum err
load_role(sqlite3_stmt *st, struct people *p)
{
	struct puser *u = NULL;
	char(*role)[KMS_NAME_MAX];

	TRY(row_user(st, 1, p, &u));
	role = grow(u->role, u->nroles, sizeof(*role));
	if (role == NULL)
		return ERR_NOMEM;
	u->role = role;
	return kdb_col_text(st, 3, u->role[u->nroles++], KMS_NAME_MAX);
}

static enum err
attach(struct puser *u, struct pdoc *d)
{
	struct pdoc **doc;

	if (d == NULL)
		return err_fail(
		    ERR_CORRUPT, "keystore: a policy that is attached is gone");
	/* A policy that reaches a user on two ways is there once. */
	for (size_t i = 0; i < u->ndocs; i++)
		if (u->doc[i] == d)
			return OK;
	doc = grow(u->doc, u->ndocs, sizeof(struct pdoc *));
	if (doc == NULL)
		return ERR_NOMEM;
	u->doc = doc;
	u->doc[u->ndocs++] = d;
	return OK;
}

static enum err
load_attached(sqlite3_stmt *st, struct loading *l)
{
	struct people *p = l->p;
	char tenant[KMS_NAME_MAX], who[KMS_NAME_MAX], name[KMS_NAME_MAX];
	int64_t to_role = 0;
	struct puser *u;
	struct role_doc *r;

	TRY(kdb_col_text(st, 1, tenant, sizeof(tenant)));
	TRY(kdb_col_int(st, 2, 0, 1, &to_role));
	TRY(kdb_col_text(st, 3, who, sizeof(who)));
	TRY(kdb_col_text(st, 4, name, sizeof(name)));
	if (to_role == 0) {
		u = find_user(p, tenant, who);
		if (u == NULL)
			return err_fail(
			    ERR_CORRUPT, "keystore: a row names no user");
		return attach(u, find_doc(p, tenant, name));
	}
	r = grow(l->docs, l->ndocs, sizeof(*r));
	if (r == NULL)
		return ERR_NOMEM;
	l->docs = r;
	r += l->ndocs++;
	memcpy(r->tenant, tenant, sizeof(tenant));
	memcpy(r->role, who, sizeof(who));
	r->doc = find_doc(p, tenant, name);
	return OK;
}

/* What is attached to a role, to one who has it. */
static enum err
attach_role(const struct loading *l, struct puser *u, const char *role)
{
	size_t lo = 0, hi = l->ndocs;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		const struct role_doc *r = &l->docs[mid];

		if (compare(u->u.tenant, role, r->tenant, r->role) <= 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	for (; lo < l->ndocs; lo++) {
		const struct role_doc *r = &l->docs[lo];

		if (compare(u->u.tenant, role, r->tenant, r->role) != 0)
			break;
		TRY(attach(u, r->doc));
	}
	return OK;
}

static enum err
load_secret(sqlite3_stmt *st, struct people *p)
{
	struct psecret *s = grow(p->secrets, p->nsecrets, sizeof(*s));
	struct puser *u = NULL;
	int64_t active = 0;

	if (s == NULL)
		return ERR_NOMEM;
	p->secrets = s;
	s += p->nsecrets++;
	TRY(row_user(st, 2, p, &u));
	s->user = (uint32_t)(u - p->users);
	TRY(kdb_col_text(st, 1, s->id, sizeof(s->id)));
	TRY(kdb_col_blob(st, 4, s->sealed, sizeof(s->sealed)));
	TRY(kdb_col_int(st, 5, 0, 1, &active));
	TRY(kdb_col_int(st, 6, INT64_MIN, INT64_MAX, &s->created));
	s->active = active != 0;
	return OK;
}

static enum err
load_tenant(sqlite3_stmt *st, struct people *p)
{
	struct ptenant *t = grow(p->tenants, p->ntenants, sizeof(*t));
	int64_t customer = 0;

	if (t == NULL)
		return ERR_NOMEM;
	p->tenants = t;
	t += p->ntenants++;
	TRY(kdb_col_text(st, 1, t->name, sizeof(t->name)));
	TRY(kdb_col_text(st, 2, t->t.sse_kms_role, sizeof(t->t.sse_kms_role)));
	TRY(kdb_col_int(st, 3, 0, 1, &customer));
	t->t.customer_keys = customer != 0;
	return OK;
}

/* Absent until identities are changed for the first time. */
static enum err
load_serial(struct db *db, uint64_t *ret)
{
	sqlite3_stmt *st CLEANUP_STMT = NULL;
	int64_t v = 0;
	bool row = false;

	TRY(kdb_query(db, &st, "SELECT v FROM meta WHERE k = 'who'", ""));
	TRY(kdb_step(db, st, &row));
	if (row)
		TRY(kdb_col_int(st, 0, 0, INT64_MAX, &v));
	*ret = (uint64_t)v;
	return OK;
}

static enum err
load_row(void *arg, enum who_table table, sqlite3_stmt *st)
{
	struct loading *l = arg;

	switch (table) {
	case WHO_TENANTS:
		return load_tenant(st, l->p);
	case WHO_USERS:
		return load_user(st, l->p);
	case WHO_ACCESS_KEYS:
		return load_secret(st, l->p);
	case WHO_USER_ROLES:
		return load_role(st, l->p);
	case WHO_POLICIES:
		return load_doc(st, l->p);
	case WHO_ATTACHMENTS:
		return load_attached(st, l);
	}
	return ERR_INTERNAL;
}

static enum err
load(struct db *db, const struct hmac_key *who, struct people *p, bool *ret)
{
	struct loading l CLEANUP(loading_cleanup) = { .p = p };

	if (!document_set(&p->full, full_access, sizeof(full_access) - 1))
		return ERR_NOMEM;
	TRY(who_mac_read(db, who, load_row, &l, ret));
	if (!*ret)
		return OK;
	for (size_t i = 0; i < p->nusers; i++)
		for (size_t j = 0; j < p->users[i].nroles; j++)
			TRY(attach_role(&l, &p->users[i], p->users[i].role[j]));
	return OK;
}

static struct people *
people_new(uint64_t serial)
{
	struct people *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->refs = 1;
	p->serial = serial;
	return p;
}

enum err
people_load(struct db *db, const struct hmac_key *who, struct people *old,
    struct people **ret)
{
	struct people *p CLEANUP_PEOPLE = NULL;
	struct people *none;
	uint64_t serial = 0;
	bool good = false;

	TRY(load_serial(db, &serial));
	if (old != NULL && old->serial == serial && !old->altered) {
		*ret = people_ref(old);
		return OK;
	}
	p = people_new(serial);
	if (p == NULL)
		return ERR_NOMEM;
	TRY(load(db, who, p, &good));
	if (good) {
		*ret = steal(p);
		return OK;
	}
	if (old == NULL || !old->altered)
		log_error(WHO_MAC_ALTERED);
	none = people_new(serial);
	if (none == NULL)
		return ERR_NOMEM;
	none->altered = true;
	*ret = none;
	return OK;
}

enum err
people_sound(const struct people *p)
{

	return p->altered ? err_fail(ERR_CORRUPT, WHO_MAC_ALTERED) : OK;
}

struct people *
people_ref(struct people *p)
{

	if (p != NULL)
		(void)atomic_fetch_add(&p->refs, 1);
	return p;
}

void
people_unref(struct people *p)
{

	if (p == NULL || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	for (size_t i = 0; i < p->nusers; i++) {
		free(p->users[i].role);
		free(p->users[i].doc);
	}
	for (size_t i = 0; i < p->ndocs; i++)
		document_release(&p->docs[i].d);
	document_release(&p->full);
	free(p->users);
	free(p->docs);
	free(p->secrets);
	free(p->tenants);
	free(p);
}

/* ---- Secrets ------------------------------------------------------------ */

#define AD_LEN 224

_Static_assert(SECRET_SEALED == 68, "sealed secret");
_Static_assert(KMS_NAME_MAX - 1 == 64, "names in the data of a secret");
_Static_assert(WHO_KEY_ID_MAX <= 32 && WHO_ID_MAX <= 32, "ids in the data");

static void
secret_ad(const uint8_t *ks, const char *id, const struct kms_user *u,
    uint8_t ret[static AD_LEN])
{

	memset(ret, 0, AD_LEN);
	memcpy(ret, "ssefs-access-v1", 15);
	memcpy(ret + 16, ks, UUID_LEN);
	memcpy(ret + 32, id, strnlen(id, WHO_KEY_ID_MAX));
	memcpy(ret + 64, u->tenant, strnlen(u->tenant, KMS_NAME_MAX - 1));
	memcpy(ret + 128, u->name, strnlen(u->name, KMS_NAME_MAX - 1));
	memcpy(ret + 192, u->id, strnlen(u->id, sizeof(u->id)));
}

enum err
secret_seal(struct aead *seal, const uint8_t ks[static UUID_LEN],
    const char *id, const struct kms_user *u, const char *secret,
    uint8_t ret[static SECRET_SEALED])
{
	uint8_t ad[AD_LEN];

	secret_ad(ks, id, u, ad);
	return aead_seal_msg(seal, ad, sizeof(ad), secret, WHO_SECRET_LEN, ret);
}

enum err
secret_open(struct aead *seal, const uint8_t ks[static UUID_LEN],
    const struct psecret *s, const struct kms_user *u, char *ret)
{
	uint8_t ad[AD_LEN];
	enum err e;

	secret_ad(ks, s->id, u, ad);
	e = aead_open_msg(
	    seal, ad, sizeof(ad), s->sealed, sizeof(s->sealed), (uint8_t *)ret);
	if (e == ERR_AUTH)
		return err_fail(ERR_CORRUPT,
		    "keystore: the secret of the access key %s was altered",
		    s->id);
	TRY(e);
	ret[WHO_SECRET_LEN] = '\0';
	return OK;
}
