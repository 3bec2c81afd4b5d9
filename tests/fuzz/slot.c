/*
 * Rows of root key slots, from a table that holds any type in any column, as a
 * damaged keystore may.  What loads is in range, and stored again it loads the
 * same.
 *
 * Input: rows of nine columns, each a type and a length or a number.
 */
#include "kms/slot.h"

#include "tests/fuzz/fuzz.h"

#define COLUMNS 9
#define ROWS (SLOT_MAX + 2)

/* "slots" is what slot_load and slot_insert name. */
static const char make_table[] =
    "CREATE TABLE slots(n, kind, path, salt, t, m_kib, p, sealed, created)";

static sqlite3 *
database(void)
{
	static sqlite3 *h;

	if (h == NULL) {
		HOLDS(sqlite3_open(":memory:", &h) == SQLITE_OK);
		HOLDS(
		    sqlite3_exec(h, make_table, NULL, NULL, NULL) == SQLITE_OK);
	}
	HOLDS(sqlite3_exec(h, "DELETE FROM slots", NULL, NULL, NULL) ==
	      SQLITE_OK);
	return (h);
}

/* Lengths that mean something are reached by one byte. */
static size_t
length(struct feed *f)
{
	static const size_t some[] = { SLOT_SALT, SLOT_SEALED, PATH_MAX - 1,
		PATH_MAX };
	const size_t n = (size_t)feed_int(f, 1);

	return (n < 252 ? n : some[n - 252]);
}

static void
bind(struct feed *f, sqlite3_stmt *st, int col)
{
	static uint8_t bytes[PATH_MAX];
	size_t n;

	switch (feed_int(f, 1) % 6) {
	case 0:
		sqlite3_bind_int64(st, col, (int64_t)feed_int(f, 1));
		break;
	case 1:
		sqlite3_bind_int64(st, col, (int64_t)feed_int(f, 8));
		break;
	case 2:
		n = length(f);
		feed_bytes(f, bytes, n);
		sqlite3_bind_blob(st, col, bytes, (int)n, SQLITE_TRANSIENT);
		break;
	case 3:
		n = length(f);
		feed_bytes(f, bytes, n);
		sqlite3_bind_text(
		    st, col, (const char *)bytes, (int)n, SQLITE_TRANSIENT);
		break;
	case 4:
		sqlite3_bind_double(st, col, (double)feed_int(f, 2) / 8);
		break;
	default:
		sqlite3_bind_null(st, col);
		break;
	}
}

static void
fill(struct feed *f, sqlite3 *h)
{
	sqlite3_stmt *st = NULL;

	HOLDS(
	    sqlite3_prepare_v2(h, "INSERT INTO slots VALUES(?,?,?,?,?,?,?,?,?)",
		-1, &st, NULL) == SQLITE_OK);
	for (unsigned i = 0; i < ROWS && f->len > 0; i++) {
		for (int col = 1; col <= COLUMNS; col++)
			bind(f, st, col);
		HOLDS(sqlite3_step(st) == SQLITE_DONE);
		HOLDS(sqlite3_reset(st) == SQLITE_OK);
	}
	HOLDS(sqlite3_finalize(st) == SQLITE_OK);
}

static void
sound(const struct slot *s)
{
	const bool pass = s->kind == KMS_ROOT_PASSPHRASE;

	HOLDS(s->n < SLOT_MAX);
	HOLDS(s->kind == KMS_ROOT_FILE || s->kind == KMS_ROOT_CREDENTIAL ||
	      s->kind == KMS_ROOT_TOKEN || pass);
	HOLDS(strnlen(s->path, sizeof(s->path)) < sizeof(s->path));
	HOLDS(pass ? s->t >= 1 && s->t <= 16 : s->t == 0);
	HOLDS(pass ? s->m_kib <= 1048576 : s->m_kib == 0);
	HOLDS(pass ? s->p >= 1 && s->p <= 16 : s->p == 0);
}

static void
same(const struct slot *a, const struct slot *b)
{
	HOLDS(a->n == b->n && a->kind == b->kind && a->t == b->t &&
	      a->m_kib == b->m_kib && a->p == b->p && a->created == b->created);
	HOLDS(strcmp(a->path, b->path) == 0);
	HOLDS(memcmp(a->salt, b->salt, sizeof(a->salt)) == 0);
	HOLDS(memcmp(a->sealed, b->sealed, sizeof(a->sealed)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct slot slots[SLOT_MAX], again[SLOT_MAX];
	struct feed f = { data, len };
	struct db db = { database() };
	unsigned n = 0, n2 = 0;

	fill(&f, db.h);
	const enum err e = slot_load(&db, slots, &n);

	HOLDS(e == OK || e == ERR_CORRUPT);
	HOLDS(n <= SLOT_MAX);
	if (e != OK)
		return (0);
	(void)database();
	for (unsigned i = 0; i < n; i++) {
		sound(&slots[i]);
		HOLDS(slot_insert(&db, &slots[i]) == OK);
	}
	HOLDS(slot_load(&db, again, &n2) == OK && n2 == n);
	for (unsigned i = 0; i < n; i++)
		same(&slots[i], &again[i]);
	return (0);
}
