/* store: writes that are answered before their bytes are in the arenas. */
#include "store_fixture.h"

#include <errno.h>
#include <pthread.h>

#include "lib/base/sys.h"

#define LEN ((size_t)1 << 20)

static uint8_t old[LEN], new[LEN], got[LEN];

static const struct timespec then = { 1000000000, 5 };

/* What answer() has to do, and saw. */
struct seen {
	struct store *st;
	uint64_t ino;
	struct store_file *release; /* by another thread, after the answer */
	int fault;                  /* of the next pwrite */
	unsigned answers;
	pthread_t reader;
	size_t len;
	struct store_attr attr;
	enum err e;
};

static void *
reader_main(void *arg)
{
	struct seen *s = arg;
	const struct store_attr in = { .mtime = then };
	struct store_file *f = NULL;

	/* Attributes do not wait for the bytes. */
	s->e =
	    store_setattr(s->st, &who, s->ino, STORE_SET_MTIME, &in, &s->attr);
	if (s->e == OK)
		s->e = store_open(s->st, &who, s->ino, &f);
	if (s->e == OK)
		s->e = store_read(f, 0, got, LEN, &s->len);
	store_release(f);
	store_release(s->release);
	return (NULL);
}

static void
answer(void *arg)
{
	struct seen *s = arg;

	s->answers++;
	if (s->fault != 0)
		sys_fault_set("pwrite", 1, s->fault, 0);
	else
		assert_int_equal(
		    pthread_create(&s->reader, NULL, reader_main, s), 0);
}

static struct store_file *
file_with_old(struct fixture *f, uint64_t *ret_ino)
{
	struct store_file *h = NULL;

	memset(old, 'o', sizeof(old));
	memset(new, 'n', sizeof(new));
	memset(got, 0, sizeof(got));
	*ret_ino = mkfile(f->st, f->bkt, "a");
	assert_ok(store_open(f->st, &who, *ret_ino, &h));
	assert_ok(store_write(h, 0, old, LEN, 0));
	return (h);
}

/* Whoever asks after the answer gets the new bytes, and may let go of the
 * file meanwhile. */
static void
test_reader_waits(void **state UNUSED)
{
	for (unsigned round = 0; round < 20; round++) {
		FIXTURE(f, round % 2 == 0);
		struct seen s = { .st = st };
		bool answered = false;

		s.release = file_with_old(f, &s.ino);
		assert_ok(store_write_early(
		    s.release, LEN / 2, new, LEN, 0, answer, &s, &answered));
		assert_true(answered);
		assert_int_equal(s.answers, 1);
		assert_int_equal(pthread_join(s.reader, NULL), 0);
		assert_ok(s.e);
		assert_int_equal(s.len, LEN);
		assert_memory_equal(got, old, LEN / 2);
		assert_memory_equal(got + LEN / 2, new, LEN / 2);
		assert_int_equal(s.attr.size, LEN + LEN / 2);
		assert_int_equal(s.attr.blocks, (LEN + LEN / 2) / 512);
		s.attr = attr(st, s.ino);
		assert_int_equal(s.attr.size, LEN + LEN / 2);
		assert_int_equal(s.attr.mtime.tv_sec, then.tv_sec);
		assert_int_equal(s.attr.mtime.tv_nsec, then.tv_nsec);
		assert_ok(store_fsync(st, s.ino));
	}
}

/* An error after the answer: the old bytes stay; its writer's next write tells it,
 * and so does the next fsync of each that had the file open, once. */
static void
test_error_is_told(void **state UNUSED)
{
	FIXTURE(f, true);
	struct seen s = { .st = st, .fault = EIO };
	struct store_file *h = file_with_old(f, &s.ino);
	struct store_file *other = NULL, *beside = NULL, *late = NULL;
	const uint64_t ino2 = mkfile(st, f->bkt, "b");
	bool answered = false;
	size_t n = 0;

	assert_ok(store_open(st, &who, ino2, &other));
	assert_ok(store_open(st, &who, s.ino, &beside));
	for (unsigned how = 0; how < 2; how++) {
		assert_err(
		    store_write_early(h, 0, new, LEN, 0, answer, &s, &answered),
		    ERR_IO);
		(void)sys_fault_clear();
		assert_true(answered);
		assert_ok(store_read(h, 0, got, LEN, &n));
		assert_memory_equal(got, old, LEN);
		assert_int_equal(attr(st, s.ino).size, LEN);
		assert_int_equal(attr(st, s.ino).blocks, LEN / 512);
		/* Not to others. */
		assert_ok(store_write(other, 0, old, 100, 0));
		assert_ok(store_fsync(st, ino2));
		if (how == 0) {
			/* Nor to their writes; a file opened now is one more
			 * that had it open, as nobody knows yet. */
			assert_ok(store_write(beside, 0, old, 10, 0));
			assert_ok(store_open(st, &who, s.ino, &late));
			assert_err(store_write(h, 0, new, 10, 0), ERR_IO);
			assert_ok(store_write(h, 0, old, 10, 0));
			assert_err(store_fsync_file(late), ERR_IO);
			store_release(late);
		}
		assert_err(store_fsync_file(beside), ERR_IO);
		assert_err(store_fsync_file(h), ERR_IO);
		assert_ok(store_fsync_file(beside));
		assert_ok(store_fsync_file(h));
		assert_ok(store_fsync(st, s.ino));
		/* Known by now. */
		assert_ok(store_open(st, &who, s.ino, &late));
		assert_ok(store_fsync_file(late));
		store_release(late);
		if (how == 1)
			assert_err(store_write(h, 0, old, 10, 0), ERR_IO);
	}
	/* Without an open file: whoever asks first. */
	assert_err(store_write_early(h, 0, new, LEN, 0, answer, &s, &answered),
	    ERR_IO);
	(void)sys_fault_clear();
	assert_err(store_fsync(st, s.ino), ERR_IO);
	assert_ok(store_fsync(st, s.ino));
	assert_err(store_write(h, 0, old, 10, 0), ERR_IO);
	assert_ok(store_write(h, 0, new, LEN, 0));
	assert_ok(store_read(h, 0, got, LEN, &n));
	assert_memory_equal(got, new, LEN);
	store_release(other);
	store_release(beside);
	store_release(h);
}

/* What can be known before is: no answer, then. */
static void
test_refused(void **state UNUSED)
{
	FIXTURE(f, true);
	struct seen s = { .st = st, .fault = EIO };
	struct store_file *h = file_with_old(f, &s.ino);
	bool answered = true;

	assert_err(store_write_early(h, STORE_SIZE_MAX - 10, new, LEN, 0,
		       answer, &s, &answered),
	    ERR_FBIG);
	assert_false(answered);
	sys_fault_set("fallocate", 1, ENOSPC, 1);
	enum err e = OK;
	for (unsigned i = 1; e == OK && i < 1000; i++) {
		s.answers = 0;
		s.fault = 0;
		s.release = NULL;
		e = store_write_early(
		    h, i * LEN, new, LEN, 0, answer, &s, &answered);
		if (s.answers != 0)
			assert_int_equal(pthread_join(s.reader, NULL), 0);
	}
	(void)sys_fault_clear();
	assert_err(e, ERR_NOSPC);
	assert_false(answered);
	assert_int_equal(s.answers, 0);
	assert_ok(store_fsync(st, s.ino));
	store_release(h);
}

static void
count_reserved(void *arg)
{
	unsigned *late = arg;

	if (sys_fault_clear() != 0)
		(*late)++;
	sys_fault_set("fallocate", UINT32_MAX, EIO, 0);
}

/* Reserving space, which may take as long as writing, is done between answers
 * and not before them; a writer does not meet an error of what was reserved for
 * later. */
static void
test_reserved_ahead(void **state UNUSED)
{
	FIXTURE(f, true);
	uint64_t ino;
	struct store_file *h = file_with_old(f, &ino);
	unsigned late = 0, ahead = 0;
	bool answered = false;
	enum { MIB = 64 };

	sys_fault_set("fallocate", UINT32_MAX, EIO, 0);
	for (unsigned i = 1; i < MIB; i++) {
		assert_ok(store_write_early(
		    h, i * LEN, new, LEN, 0, count_reserved, &late, &answered));
		assert_true(answered);
		ahead += sys_fault_clear();
		sys_fault_set("fallocate", UINT32_MAX, EIO, 0);
	}
	(void)sys_fault_clear();
	assert_in_range(late, 0, 2);
	assert_in_range(ahead, MIB - 24, MIB + 24);
	sys_fault_set("fallocate", 1, EIO, 0);
	assert_ok(store_write_early(
	    h, MIB * LEN, new, LEN, 0, count_reserved, &late, &answered));
	(void)sys_fault_clear();
	assert_ok(store_fsync(st, ino));
	store_release(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader_waits),
		cmocka_unit_test(test_error_is_told),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_reserved_ahead),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
