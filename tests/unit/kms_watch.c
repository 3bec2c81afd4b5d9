/*
 * Changes that other processes make.
 */
#include "tests/unit/kms_common.h"

#include <signal.h>
#include <stdatomic.h>

#include "lib/base/clock.h"

/* A process that has the keystore open and does what it is told. */
struct child {
	pid_t pid;
	int to, from;
};

static atomic_uint called;

static void
on_change(void *arg)
{
	(void)arg;
	(void)usleep(20000);
	(void)atomic_fetch_add(&called, 1);
}

/*
 * 'u' unwrap the sample, answer the error; 'c' answer how often the watcher
 * was called; 'd' disable; 'n' make a key; 'q' end.
 */
static void
child_main(
    const struct place *p, const struct sample *s, bool watch, int in, int out)
{
	struct kms *k = NULL;
	struct key *dek = key_new();
	char c;

	if (kms_open(p->path, NULL, &k) != OK ||
	    (watch && kms_watch(k, on_change, NULL) != OK))
		_exit(1);
	if (write(out, "r", 1) != 1)
		_exit(1);
	while (read(in, &c, 1) == 1 && c != 'q') {
		uint8_t answer = 0;
		struct kms_desc d;

		if (c == 'u')
			answer = (uint8_t)kms_unwrap(
			    k, &root_user, s->blob, s->len, some_ctx, 2, dek);
		else if (c == 'c')
			answer = (uint8_t)atomic_load(&called);
		else if (c == 'd')
			answer = (uint8_t)kms_key_disable(k, &root_user, "");
		else if (c == 'n')
			answer = (uint8_t)kms_key_create(k, &root_user, "", &d);
		if (write(out, &answer, 1) != 1)
			_exit(1);
	}
	key_free(dek);
	kms_close(k);
	_exit(0);
}

static struct child
child_start(const struct place *p, const struct sample *s, bool watch)
{
	struct child c;
	int there[2], back[2];
	char ready;

	assert_int_equal(pipe(there), 0);
	assert_int_equal(pipe(back), 0);
	c.pid = fork();
	if (c.pid == 0) {
		(void)close(there[1]);
		(void)close(back[0]);
		child_main(p, s, watch, there[0], back[1]);
	}
	(void)close(there[0]);
	(void)close(back[1]);
	c.to = there[1];
	c.from = back[0];
	assert_int_equal(read(c.from, &ready, 1), 1);
	return c;
}

static int
child_ask(const struct child *c, char what)
{
	uint8_t answer = 0;

	assert_int_equal(write(c->to, &what, 1), 1);
	assert_int_equal(read(c->from, &answer, 1), 1);
	return answer;
}

static void
child_end(const struct child *c)
{
	int status = -1;

	assert_int_equal(write(c->to, "q", 1), 1);
	(void)close(c->to);
	(void)close(c->from);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_int_equal(status, 0);
}

/* A sample, and no keystore left open: forks follow. */
static void
prepare(const struct place *p, struct sample *s)
{
	struct kms *k = place_open(p);

	sample_make(k, NULL, s);
	kms_close(k);
}

static void
test_disable(void **state)
{
	struct child plain, watching;
	struct sample s;
	struct kms *k;
	uint64_t before;

	prepare(*state, &s);
	plain = child_start(*state, &s, false);
	watching = child_start(*state, &s, true);
	k = place_open(*state);
	assert_int_equal(child_ask(&plain, 'u'), OK);
	assert_int_equal(child_ask(&watching, 'u'), OK);
	before = kms_epoch(k);
	assert_ok(kms_key_disable(k, &root_user, ""));
	assert_true(kms_epoch(k) > before);
	/* The call returned, so the callback had. */
	assert_int_equal(child_ask(&watching, 'c'), 1);
	assert_int_equal(child_ask(&plain, 'u'), ERR_KEYREVOKED);
	assert_int_equal(child_ask(&watching, 'u'), ERR_KEYREVOKED);
	assert_ok(kms_key_enable(k, &root_user, ""));
	assert_int_equal(child_ask(&watching, 'c'), 2);
	assert_int_equal(child_ask(&plain, 'u'), OK);
	/* And the other way round. */
	assert_int_equal(child_ask(&plain, 'd'), OK);
	assert_int_equal(sample_open(k, &s), ERR_KEYREVOKED);
	child_end(&plain);
	child_end(&watching);
	kms_close(k);
	key_free(s.dek);
}

static bool
count_key(void *arg, const struct kms_desc *d)
{
	(void)d;
	++*(unsigned *)arg;
	return true;
}

static void
test_new_key(void **state)
{
	struct child c;
	struct sample s;
	struct kms *k;
	unsigned n = 0;

	prepare(*state, &s);
	c = child_start(*state, &s, false);
	k = place_open(*state);
	assert_int_equal(child_ask(&c, 'n'), OK);
	assert_ok(kms_key_list(k, &root_user, count_key, &n));
	assert_int_equal(n, 2);
	child_end(&c);
	kms_close(k);
	key_free(s.dek);
}

/* A watcher that was killed holds nobody up. */
static void
test_dead_watcher(void **state)
{
	struct child c;
	struct sample s;
	struct kms *k;
	uint64_t start;

	prepare(*state, &s);
	c = child_start(*state, &s, true);
	assert_int_equal(kill(c.pid, SIGKILL), 0);
	/* A zombie until it is waited for: dead all the same. */
	(void)usleep(50000);
	k = place_open(*state);
	start = clock_mono_ns();
	assert_ok(kms_key_disable(k, &root_user, ""));
	/* One that lives, and does not answer, is waited for for 5 seconds. */
	assert_true(clock_mono_ns() - start < UINT64_C(4500000000));
	assert_int_equal(waitpid(c.pid, NULL, 0), c.pid);
	(void)close(c.to);
	(void)close(c.from);
	kms_close(k);
	key_free(s.dek);
}

/* The epoch file may be missing, short, garbage, or vanish. */
static void
test_epoch_file(void **state)
{
	const struct place *p = *state;
	struct child c;
	struct sample s;
	struct kms *k;
	char path[160];
	FILE *f;

	prepare(p, &s);
	(void)snprintf(path, sizeof(path), "%s-epoch", p->path);
	assert_int_equal(unlink(path), 0);
	kms_close(place_open(p));
	assert_int_equal(truncate(path, 5), 0);
	kms_close(place_open(p));
	f = fopen(path, "wb");
	assert_non_null(f);
	for (unsigned i = 0; i < 2000; i++)
		assert_int_not_equal(fputc(0xff, f), EOF);
	assert_int_equal(fclose(f), 0);
	k = place_open(p);
	assert_ok(kms_key_disable(k, &root_user, ""));
	assert_ok(kms_key_enable(k, &root_user, ""));
	assert_ok(sample_open(k, &s));
	kms_close(k);
	/* It vanishes under a watcher, which finds out within a tick. */
	c = child_start(p, &s, true);
	assert_int_equal(unlink(path), 0);
	k = place_open(p);
	assert_ok(kms_key_disable(k, &root_user, ""));
	for (unsigned i = 0; i < 600 && child_ask(&c, 'c') == 0; i++)
		(void)usleep(100000);
	assert_int_equal(child_ask(&c, 'u'), ERR_KEYREVOKED);
	assert_true(child_ask(&c, 'c') > 0);
	child_end(&c);
	kms_close(k);
	key_free(s.dek);
}

static void
test_one_watcher(void **state)
{
	struct kms *k = place_open(*state);
	struct sample s;

	sample_make(k, NULL, &s);
	key_free(s.dek);
	atomic_store(&called, 0);
	assert_ok(kms_watch(k, on_change, NULL));
	assert_int_equal(kms_watch(k, on_change, NULL), ERR_BUSY);
	assert_ok(kms_key_disable(k, &root_user, s.arn));
	for (unsigned i = 0; i < 6000 && atomic_load(&called) == 0; i++)
		(void)usleep(10000);
	assert_int_not_equal(atomic_load(&called), 0);
	kms_close(k);
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = { T(test_disable), T(test_new_key),
		T(test_dead_watcher), T(test_epoch_file), T(test_one_watcher) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
