/*
 * crypto/gcm: published vectors, OpenSSL's answer for every length, guard pages
 * around every buffer, every bit flipped, no secret left on the stack; for each
 * way that the processor has the instructions for.  The others are named and
 * skipped.
 */
#include "tests/unit/crypto_vectors.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "crypto/gcm.h"
#include "crypto/rand.h"

#define PAGE ((size_t)4096)
#define LONG 70000
/* More blocks than a counter of 16 bits has. */
#define BIG ((size_t)17 << 16)

static uint8_t key[KEY_LEN], nonce[GCM_NONCELEN];
static struct gcm_key *k; /* of that key */
static const struct gcm *way;

static void
rekey(void)
{
	rand_bytes(key, sizeof(key));
	rand_bytes(nonce, sizeof(nonce));
	way->expand(k, key);
}

/* Bytes that repeat from run to run, and not from place to place. */
static void
fill(uint8_t *p, size_t len)
{
	static uint32_t x = 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (uint8_t)(x >> 24);
	}
}

static size_t
below(size_t n)
{
	uint8_t r[4];

	fill(r, sizeof(r));
	return (r[0] | (size_t)r[1] << 8 | (size_t)r[2] << 16) % n;
}

static bool
all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* What OpenSSL makes of it. */
static void
reference(const uint8_t *ad, size_t adlen, const uint8_t *in, size_t len,
    uint8_t *out, uint8_t *tag)
{
	static EVP_CIPHER_CTX *c;
	int n = 0;

	if (c == NULL)
		c = EVP_CIPHER_CTX_new();
	assert_non_null(c);
	assert_int_equal(
	    EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce), 1);
	if (adlen > 0)
		assert_int_equal(
		    EVP_EncryptUpdate(c, NULL, &n, ad, (int)adlen), 1);
	if (len > 0)
		assert_int_equal(
		    EVP_EncryptUpdate(c, out, &n, in, (int)len), 1);
	assert_int_equal(EVP_EncryptFinal_ex(c, tag, &n), 1);
	assert_int_equal(
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, GCM_TAGLEN, tag), 1);
}

/* Seal and open, elsewhere and in place, at any alignment; nothing next to the
 * text changes. */
static void
compare(size_t adlen, size_t len)
{
	static uint8_t ad_at[BIG + 64], in_at[BIG + 64], out_at[BIG + 192];
	static uint8_t want[BIG];
	uint8_t tag_at[32], want_tag[GCM_TAGLEN];
	const uint8_t *ad = ad_at + below(64);
	uint8_t *in = in_at + below(64), *out = out_at + 64 + below(64);
	uint8_t *tag = tag_at + below(16);

	reference(ad, adlen, in, len, want, want_tag);
	memset(out - 64, 0xa5, len + 128);
	assert_int_equal(way->seal(k, nonce, ad, adlen, in, len, out, tag), OK);
	assert_memory_equal(out, want, len);
	assert_memory_equal(tag, want_tag, GCM_TAGLEN);
	for (size_t i = 0; i < 64; i++) {
		assert_int_equal(out[-1 - (ptrdiff_t)i], 0xa5);
		assert_int_equal(out[len + i], 0xa5);
	}
	assert_int_equal(
	    way->open(k, nonce, ad, adlen, want, len, tag, out), OK);
	assert_memory_equal(out, in, len);
	for (size_t i = 0; i < 64; i++) {
		assert_int_equal(out[-1 - (ptrdiff_t)i], 0xa5);
		assert_int_equal(out[len + i], 0xa5);
	}
	assert_int_equal(
	    way->seal(k, nonce, ad, adlen, out, len, out, tag), OK);
	assert_memory_equal(out, want, len);
	assert_memory_equal(tag, want_tag, GCM_TAGLEN);
	assert_int_equal(
	    way->open(k, nonce, ad, adlen, out, len, tag, out), OK);
	assert_memory_equal(out, in, len);
	/* What is compared next is something else. */
	fill(in_at, len < 256 ? len + 64 : 256);
	fill(ad_at, adlen < 256 ? adlen + 64 : 256);
}

static void
gcm_case(char *const f[VECTOR_FIELDS])
{
	struct bytes vkey CLEANUP_BYTES = vector_bytes(f[2]);
	struct bytes vnonce CLEANUP_BYTES = vector_bytes(f[3]);
	struct bytes ad CLEANUP_BYTES = vector_bytes(f[4]);
	struct bytes msg CLEANUP_BYTES = vector_bytes(f[5]);
	struct bytes ct CLEANUP_BYTES = vector_bytes(f[6]);
	struct bytes tag CLEANUP_BYTES = vector_bytes(f[7]);
	uint8_t *out CLEANUP_FREE = malloc(ct.len + 1);
	uint8_t got[GCM_TAGLEN];

	assert_non_null(out);
	way->expand(k, vkey.p);
	const enum err e =
	    way->open(k, vnonce.p, ad.p, ad.len, ct.p, ct.len, tag.p, out);
	if (!vector_valid(f)) {
		assert_int_equal(e, ERR_AUTH);
		assert_true(all_zero(out, ct.len));
		return;
	}
	assert_int_equal(e, OK);
	assert_memory_equal(out, msg.p, msg.len);
	assert_int_equal(
	    way->seal(k, vnonce.p, ad.p, ad.len, msg.p, msg.len, out, got), OK);
	assert_memory_equal(out, ct.p, ct.len);
	assert_memory_equal(got, tag.p, GCM_TAGLEN);
}

static void
test_vectors(void **state UNUSED)
{
	assert_int_equal(vectors_each("aes_gcm.txt", 8, gcm_case), 66);
}

static void
test_lengths(void **state UNUSED)
{
	rekey();
	for (size_t len = 0; len <= 1100; len++) {
		compare(0, len);
		compare(len % 201, len);
		compare(below(201), len);
	}
	for (size_t adlen = 0; adlen <= 1100; adlen++)
		compare(adlen, below(80));
	for (unsigned i = 0; i < 60; i++)
		compare(below(201), below(LONG));
	for (unsigned i = 0; i < 20; i++)
		compare(below(LONG), below(300));
	compare(BIG, BIG);
}

/* Keys and powers of every sort; the counter does not run into the nonce. */
static void
test_keys(void **state UNUSED)
{
	for (unsigned i = 0; i < 500; i++) {
		rekey();
		compare(below(100), 256 + below(600));
	}
	memset(nonce, 0xff, sizeof(nonce));
	compare(20, 4096);
	memset(key, 0xff, sizeof(key));
	way->expand(k, key);
	compare(20, 4096);
}

/* Three pages between two that must not be touched. */
static uint8_t *
guarded(void)
{
	uint8_t *p =
	    mmap(NULL, 5 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	assert_int_equal(
	    mprotect(p + PAGE, 3 * PAGE, PROT_READ | PROT_WRITE), 0);
	return p + PAGE;
}

static void
check_guarded(uint8_t *const area[4], size_t adlen, size_t len, bool high)
{
	const size_t end = 3 * PAGE;
	uint8_t *ad = area[0] + (high ? end - adlen : 0);
	uint8_t *in = area[1] + (high ? end - len : 0);
	uint8_t *out = area[2] + (high ? end - len : 0);
	uint8_t *tag = area[3] + (high ? end - GCM_TAGLEN : 0);
	uint8_t want_tag[GCM_TAGLEN];
	static uint8_t want[3 * PAGE];

	reference(ad, adlen, in, len, want, want_tag);
	assert_int_equal(way->seal(k, nonce, ad, adlen, in, len, out, tag), OK);
	assert_memory_equal(tag, want_tag, GCM_TAGLEN);
	assert_memory_equal(out, want, len);
	assert_int_equal(
	    way->open(k, nonce, ad, adlen, out, len, tag, out), OK);
	assert_memory_equal(out, in, len);
}

static void
test_guards(void **state UNUSED)
{
	uint8_t *area[4];

	rekey();
	for (size_t i = 0; i < 4; i++) {
		area[i] = guarded();
		fill(area[i], 3 * PAGE);
	}
	for (size_t len = 0; len <= 600; len++) {
		check_guarded(area, len % 90, len, true);
		check_guarded(area, len % 90, len, false);
		check_guarded(area, len, len % 90, true);
		check_guarded(area, len, len % 90, false);
	}
	for (size_t len = PAGE - 70; len <= PAGE + 70; len++) {
		check_guarded(area, 32, len, true);
		check_guarded(area, 32, len, false);
	}
	/* The nonce and the key, too. */
	uint8_t *p = area[0] + 3 * PAGE - GCM_NONCELEN;
	memcpy(p, nonce, GCM_NONCELEN);
	assert_int_equal(
	    way->seal(k, p, NULL, 0, area[1], 1, area[2], area[3]), OK);
	p = area[0] + 3 * PAGE - KEY_LEN;
	memcpy(p, key, KEY_LEN);
	way->expand(k, p);
	struct gcm_key *edge =
	    (void *)(area[1] + 3 * PAGE - sizeof(struct gcm_key));
	memcpy(edge, k, sizeof(*edge));
	for (size_t len = 0; len <= 300; len++)
		assert_int_equal(way->seal(edge, nonce, area[0], len, area[2],
				     len, area[2], area[3]),
		    OK);
	for (size_t i = 0; i < 4; i++)
		(void)munmap(area[i] - PAGE, 5 * PAGE);
}

/* What one message consists of. */
struct message {
	uint8_t nonce[GCM_NONCELEN];
	uint8_t ad[40];
	uint8_t tag[GCM_TAGLEN];
	uint8_t text[1000];
	size_t len;
};

static enum err
open_message(const struct message *m, uint8_t *out)
{
	memset(out, 0xff, m->len);
	return way->open(
	    k, m->nonce, m->ad, sizeof(m->ad), m->text, m->len, m->tag, out);
}

static void
flip_each(const struct message *m, void *part, size_t len)
{
	uint8_t out[sizeof(m->text)], *p = part;

	for (size_t i = 0; i < len * 8; i++) {
		p[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(open_message(m, out), ERR_AUTH);
		assert_true(all_zero(out, m->len));
		p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(open_message(m, out), OK);
}

static void
test_tampering(void **state UNUSED)
{
	static const size_t lens[] = { 0, 1, 16, 17, 64, 100, 256, 300, 1000 };
	struct message m;

	rekey();
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		fill((void *)&m, sizeof(m));
		m.len = lens[i];
		assert_int_equal(way->seal(k, m.nonce, m.ad, sizeof(m.ad),
				     m.text, m.len, m.text, m.tag),
		    OK);
		flip_each(&m, m.nonce, sizeof(m.nonce));
		flip_each(&m, m.ad, sizeof(m.ad));
		flip_each(&m, m.tag, sizeof(m.tag));
		flip_each(&m, m.text, m.len);
		/* In place. */
		m.tag[15] ^= 0x80;
		assert_int_equal(way->open(k, m.nonce, m.ad, sizeof(m.ad),
				     m.text, m.len, m.tag, m.text),
		    ERR_AUTH);
		assert_true(all_zero(m.text, m.len));
	}
}

static void
test_too_long(void **state UNUSED)
{
	uint8_t x[1] = { 7 }, tag[GCM_TAGLEN] = { 0 };

	rekey();
	assert_int_equal(
	    way->seal(k, nonce, x, 1, x, GCM_TEXTMAX + 1, x, tag), ERR_CRYPTO);
	assert_int_equal(
	    way->seal(k, nonce, x, GCM_ADMAX + 1, x, 1, x, tag), ERR_CRYPTO);
	assert_int_equal(
	    way->open(k, nonce, x, 1, x, GCM_TEXTMAX + 1, tag, x), ERR_CRYPTO);
	assert_int_equal(
	    way->open(k, nonce, x, GCM_ADMAX + 1, x, 1, tag, x), ERR_CRYPTO);
	assert_int_equal(x[0], 7);
	assert_true(all_zero(tag, sizeof(tag)));
}

/* ---- What is left on the stack ------------------------------------------- */

/* ThreadSanitizer needs more of a stack than there is; unless the compiler
 * optimises, every variable is on it, in frames of any size. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_THREAD__)
#define SEARCHED true
#else
#define SEARCHED false
#endif

#define STACK ((size_t)1 << 16)

/* A key and a message that is not on the stack. */
struct call {
	uint8_t key[KEY_LEN], nonce[GCM_NONCELEN], ad[100], tag[GCM_TAGLEN];
	uint8_t text[1000], sealed[1000], opened[1000];
	enum err e;
};

static void *
seal_and_open(void *arg)
{
	struct call *c = arg;

	way->expand(k, c->key);
	c->e = way->seal(k, c->nonce, c->ad, sizeof(c->ad), c->text,
	    sizeof(c->text), c->sealed, c->tag);
	if (c->e == OK)
		c->e = way->open(k, c->nonce, c->ad, sizeof(c->ad), c->sealed,
		    sizeof(c->sealed), c->tag, c->opened);
	return NULL;
}

static void
check_absent(const uint8_t *stack, const uint8_t *secret, size_t len)
{
	for (size_t i = 0; i + 16 <= len; i += 16)
		if (!all_zero(secret + i, 16))
			assert_null(memmem(stack, STACK, secret + i, 16));
}

/* No round key, no power of H, no text and no keystream.  The stack is that of
 * a thread that has ended; it is a file, so that valgrind, too, lets us read
 * what nobody wrote there by name. */
static void
test_stack(void **state UNUSED)
{
	static struct call c;
	static uint8_t found[STACK];
	const int fd = memfd_create("stack", MFD_CLOEXEC);
	uint8_t stream[sizeof(c.text)];
	pthread_attr_t attr;
	pthread_t t;

	if (!SEARCHED)
		skip();
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)STACK), 0);
	uint8_t *stack =
	    mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(stack != MAP_FAILED);
	fill((void *)&c, sizeof(c));
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstack(&attr, stack, STACK), 0);
	assert_int_equal(pthread_create(&t, &attr, seal_and_open, &c), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(c.e, OK);
	assert_memory_equal(c.text, c.opened, sizeof(c.text));
	assert_int_equal(pread(fd, found, STACK, 0), STACK);
	assert_false(all_zero(found, STACK));
	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = c.text[i] ^ c.sealed[i];
	check_absent(found, (const void *)k, sizeof(*k));
	check_absent(found, c.text, sizeof(c.text));
	check_absent(found, stream, sizeof(stream));
	assert_int_equal(pthread_attr_destroy(&attr), 0);
	(void)munmap(stack, STACK);
	(void)close(fd);
}

static int
setup(void **state UNUSED)
{
	if (secret_init() != OK)
		return -1;
	k = secret_alloc(sizeof(*k));
	return k != NULL ? 0 : -1;
}

static int
teardown(void **state UNUSED)
{
	secret_free(k);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_guards),
		cmocka_unit_test(test_tampering),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_stack),
	};

	int failed = 0;

	if (gcm_ways[0] == NULL)
		puts("1..0 # SKIP no such instructions on this architecture");
	for (size_t i = 0; gcm_ways[i] != NULL; i++) {
		way = gcm_ways[i];
		if (way->usable())
			failed += cmocka_run_group_tests_name(
			    way->name, tests, setup, teardown);
		else
			printf(
			    "1..0 # SKIP the processor has no %s\n", way->name);
	}
	return failed;
}
