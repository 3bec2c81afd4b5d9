/* crypto/secret: guarded, locked, undumped, wiped at free and at fork. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "crypto/secret.h"

static bool
is_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++) {
		if (b[i] != 0)
			return false;
	}
	return true;
}

/* The mapping that holds ${p}, and its VmFlags line. */
struct mapping {
	uintptr_t from, to;
	char flags[256];
};

static struct mapping
mapping_of(const void *p)
{
	struct mapping m = { 0 };
	char line[512];
	bool inside = false;
	FILE *f = fopen("/proc/self/smaps", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
			if (inside) {
				m.from = from;
				m.to = to;
			}
		} else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			(void)snprintf(
			    m.flags, sizeof(m.flags), "%.255s", line);
		}
	}
	(void)fclose(f);
	assert_true(m.from != 0);
	return m;
}

static long
locked_kib(void)
{
	char line[256];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "VmLck: %ld kB", &kib) == 1)
			break;
	}
	(void)fclose(f);
	return kib;
}

static void
test_sizes(void **state UNUSED)
{
	static const size_t sizes[] = { 0, 1, 31, 32, 33, 64, 65, 100, 1000,
		4095, 4096, 4097, 10000, 65536 };
	void *p[COUNTOF(sizes)];

	for (size_t i = 0; i < COUNTOF(sizes); i++) {
		p[i] = secret_alloc(sizes[i]);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 32, 0);
		assert_true(is_zero(p[i], sizes[i]));
		memset(p[i], (int)i + 1, sizes[i]);
	}
	for (size_t i = 0; i < COUNTOF(sizes); i++) {
		for (size_t j = 0; j < sizes[i]; j++)
			assert_int_equal(((uint8_t *)p[i])[j], i + 1);
	}
	for (size_t i = 0; i < COUNTOF(sizes); i++)
		secret_free(p[i]);
	secret_free(NULL);
	assert_null(secret_alloc((size_t)1 << 30));
	assert_null(secret_alloc(SIZE_MAX));
}

static void
test_wiped_when_freed(void **state UNUSED)
{
	struct key *k = key_new();

	assert_non_null(k);
	memset(k->b, 0xa5, sizeof(k->b));
	key_free(k);
	/* The arena stays mapped, so this may be looked at. */
	const volatile uint8_t *p = (const volatile uint8_t *)k;
	for (size_t i = 0; i < KEY_LEN; i++)
		assert_int_equal(p[i], 0);
}

/* All of the arena can be had, is given back, and can be had again. */
static void
test_exhaustion(void **state UNUSED)
{
	static void *p[8192];

	for (int round = 0; round < 2; round++) {
		size_t n = 0;
		while (n < COUNTOF(p) && (p[n] = secret_alloc(1024)) != NULL)
			memset(p[n++], 0xff, 1024);
		assert_true(n > 3000 && n < 4097);
		assert_null(secret_alloc(8192));
		for (size_t i = 0; i < n; i++)
			secret_free(p[i]);
		void *big = secret_alloc((size_t)2 << 20);
		assert_non_null(big);
		assert_true(is_zero(big, (size_t)2 << 20));
		secret_free(big);
	}
}

static int
child_signal(void (*f)(uintptr_t), uintptr_t arg)
{
	int status = 0;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		(void)signal(SIGABRT, SIG_DFL);
		f(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* The address is a number on purpose: no compiler or sanitizer knows it. */
static void
touch(uintptr_t at)
{
	*(volatile uint8_t *)at = 1;
}

/* As in the handler of a fault; reading what was given back is the next one. */
static void
die_and_touch(uintptr_t at)
{
	secret_die();
	touch(at);
}

static void
free_at(uintptr_t at)
{
	secret_free((void *)at);
}

static void
test_guards(void **state UNUSED)
{
	void *p = secret_alloc(32);
	const struct mapping m = mapping_of(p);

	assert_int_equal(m.to - m.from, 4 << 20);
	assert_int_equal(child_signal(touch, m.from), 0);
	assert_int_equal(child_signal(touch, m.to - 1), 0);
	assert_int_equal(child_signal(touch, m.from - 1), SIGSEGV);
	assert_int_equal(child_signal(touch, m.to), SIGSEGV);
	secret_free(p);
}

static void
test_wild_frees_abort(void **state UNUSED)
{
	uint8_t *p = secret_alloc(64);
	uint8_t *gone = secret_alloc(64);
	int local = 0;

	secret_free(gone);
	assert_int_equal(child_signal(free_at, (uintptr_t)p), 0);
	assert_int_equal(child_signal(free_at, (uintptr_t)p + 1), SIGABRT);
	assert_int_equal(child_signal(free_at, (uintptr_t)gone), SIGABRT);
	assert_int_equal(child_signal(free_at, (uintptr_t)&local), SIGABRT);
	secret_free(p);
}

static void
test_locked_and_undumped(void **state UNUSED)
{
	struct key *k = key_new();
	void *ossl = OPENSSL_malloc(100);
	void *large = OPENSSL_malloc(200000);
	struct rlimit core;

	const char *const arena = mapping_of(k).flags;
	assert_non_null(strstr(arena, " dd"));
	assert_non_null(strstr(arena, " wf"));
	const struct mapping small_map = mapping_of(ossl);
	const struct mapping large_map = mapping_of(large);
	assert_non_null(strstr(small_map.flags, " dd"));
	assert_null(strstr(small_map.flags, " wf"));
	assert_non_null(strstr(large_map.flags, " dd"));
	if (secret_locked()) {
		assert_non_null(strstr(mapping_of(k).flags, " lo"));
		assert_non_null(strstr(small_map.flags, " lo"));
		assert_non_null(strstr(large_map.flags, " lo"));
		assert_true(locked_kib() >= 5 * 1024);
	}
	OPENSSL_free(large);
	OPENSSL_free(ossl);
	key_free(k);
	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	assert_int_equal(core.rlim_cur, 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
}

static void
test_openssl_heap(void **state UNUSED)
{
	uint8_t *p = NULL;
	size_t old = 0, n = 1;

	for (; n < 300000; n = n * 3 / 2 + 1) {
		p = OPENSSL_realloc(p, n);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < old; i++)
			assert_int_equal(p[i], (uint8_t)i);
		for (size_t i = old; i < n; i++)
			p[i] = (uint8_t)i;
		old = n;
	}
	for (n = old; n > 0; n /= 2) {
		p = OPENSSL_realloc(p, n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], (uint8_t)i);
	}
	p = OPENSSL_realloc(p, 5000);
	memset(p, 0xa5, 5000);
	OPENSSL_free(p);
	/* Wiped but for the link to the next free block. */
	const volatile uint8_t *gone = p;
	for (size_t i = sizeof(void *); i < 5000; i++)
		assert_int_equal(gone[i], 0);
	assert_null(OPENSSL_malloc(0));
	OPENSSL_free(NULL);
}

static int
digest_works(void)
{
	uint8_t md[32];
	unsigned n = 0;

	return EVP_Digest("abc", 3, md, &n, EVP_sha256(), NULL) == 1 &&
	       md[0] == 0xba && n == 32;
}

/* A child sees zeroes for its parent's keys, and can go on by itself. */
static void
test_fork(void **state UNUSED)
{
	struct key *k = key_new();
	int status = 0;

	memset(k->b, 0x11, sizeof(k->b));
	assert_true(digest_works());
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct key *mine = key_new();
		const bool ok = is_zero(k->b, KEY_LEN) && mine != NULL &&
				mine != k && is_zero(mine->b, KEY_LEN) &&
				digest_works() &&
				(!secret_locked() || locked_kib() >= 5 * 1024);
		key_free(mine);
		key_free(k);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(k->b[0], 0x11);
	key_free(k);
}

static void *
hammer(void *arg)
{
	unsigned seed = *(unsigned *)arg;
	uint8_t *p[64] = { NULL };

	for (int i = 0; i < 20000; i++) {
		const size_t at = (seed = seed * 1103515245 + 12345) >> 16 & 63;
		const size_t len = (seed >> 8) % 700 + 1;
		if (p[at] != NULL) {
			if (p[at][0] != (uint8_t)at)
				return arg;
			if (at % 2 != 0)
				OPENSSL_free(p[at]);
			else
				secret_free(p[at]);
			p[at] = NULL;
			continue;
		}
		p[at] = at % 2 != 0 ? OPENSSL_zalloc(len) : secret_alloc(len);
		if (p[at] == NULL || !is_zero(p[at], len))
			return arg;
		memset(p[at], (int)at, len);
	}
	for (size_t i = 0; i < 64; i++) {
		if (i % 2 != 0)
			OPENSSL_free(p[i]);
		else
			secret_free(p[i]);
	}
	return NULL;
}

static void
test_threads(void **state UNUSED)
{
	pthread_t t[4];
	unsigned seeds[4] = { 1, 2, 3, 4 };

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
		    pthread_create(&t[i], NULL, hammer, &seeds[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		void *bad = NULL;
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
}

static void
test_wipe_and_cmp(void **state UNUSED)
{
	uint8_t a[40], b[40];
	uint8_t *seen = NULL;

	memset(a, 7, sizeof(a));
	memset(b, 7, sizeof(b));
	assert_int_equal(secret_cmp(a, b, sizeof(a)), 0);
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] ^= 0x80;
		assert_int_not_equal(secret_cmp(a, b, sizeof(a)), 0);
		b[i] ^= 0x80;
	}
	assert_int_equal(secret_cmp(a, b, 0), 0);
	secret_wipe(a, 39);
	assert_true(is_zero(a, 39));
	assert_int_equal(a[39], 7);
	secret_wipe(NULL, 0);
	{
		WIPED(uint8_t, tmp, 64);
		assert_true(is_zero(tmp, sizeof(tmp)));
		memset(tmp, 9, sizeof(tmp));
		seen = tmp;
		struct secret_span span = { seen, 64 };
		secret_span_wipe(&span);
		assert_true(is_zero(tmp, sizeof(tmp)));
	}
}

/* As an ordinary user who may lock ${limit} bytes: everything works, one
 * warning tells of the rest. */
static void
test_given_back(void **state UNUSED)
{
	struct key *k = key_new();
	void *bulk = secret_bulk_alloc(100);

	assert_non_null(k);
	assert_non_null(bulk);
	assert_int_equal(child_signal(die_and_touch, (uintptr_t)k), SIGSEGV);
	assert_int_equal(child_signal(die_and_touch, (uintptr_t)bulk), SIGSEGV);
	key_free(k);
	secret_bulk_free(bulk);
}

static int
work_unlocked(rlim_t limit)
{
	const struct rlimit rl = { limit, limit };
	static void *p[1000];

	if (setrlimit(RLIMIT_MEMLOCK, &rl) != 0 ||
	    (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0))
		return 1;
	if (secret_init() != OK)
		return 2;
	struct key *k = key_new();
	if (k == NULL || !digest_works())
		return 3;
	/* OpenSSL's memory outgrows the limit. */
	for (size_t i = 0; i < COUNTOF(p); i++) {
		p[i] = OPENSSL_malloc(4000);
		if (p[i] == NULL)
			return 4;
	}
	for (size_t i = 0; i < COUNTOF(p); i++)
		OPENSSL_free(p[i]);
	if (strstr(mapping_of(p[0]).flags, " dd") == NULL)
		return 5;
	key_free(k);
	return secret_locked() ? 6 : 0;
}

/* Runs before this process has used OpenSSL, so that its children may call
 * secret_init() for the first time. */
static void
test_lock_limits(void **state UNUSED)
{
	static const rlim_t limits[] = { 0, 65536, (rlim_t)6 << 20 };

	for (size_t i = 0; i < COUNTOF(limits); i++) {
		char out[1000] = { 0 };
		int fds[2], status = 0;

		assert_int_equal(pipe(fds), 0);
		const pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			(void)dup2(fds[1], STDERR_FILENO);
			_exit(work_unlocked(limits[i]));
		}
		(void)close(fds[1]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_true(read(fds[0], out, sizeof(out) - 1) > 0);
		(void)close(fds[0]);
		assert_non_null(strstr(out, "could not all be locked"));
		assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
	}
}

static void
test_init(void **state UNUSED)
{
	assert_int_equal(secret_init(), OK);
	assert_int_equal(secret_init(), OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lock_limits),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_wiped_when_freed),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_guards),
		cmocka_unit_test(test_wild_frees_abort),
		cmocka_unit_test(test_locked_and_undumped),
		cmocka_unit_test(test_openssl_heap),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_wipe_and_cmp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
