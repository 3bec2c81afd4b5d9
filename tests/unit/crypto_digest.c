/* crypto/digest: published vectors, any cut of the input, both CRCs. */
#include "tests/unit/crypto_vectors.h"

#include "crypto/crc32c_internal.h"
#include "crypto/digest.h"

static void
check_hex(const uint8_t *got, size_t len, const char *want)
{
	char hex[65];

	hex_encode(got, len, hex);
	assert_string_equal(hex, want);
}

/* FIPS 180-4 examples (SHA256.pdf) and the empty message. */
static void
test_sha256(void **state UNUSED)
{
	static const struct {
		const char *msg, *md;
	} cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca4959"
		      "91b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410f"
			 "f61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ece"
		    "dd419db06c1" },
	};
	struct sha256_ctx c;
	uint8_t md[SHA256_LEN];
	uint8_t as[1000];

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		sha256(cases[i].msg, strlen(cases[i].msg), md);
		check_hex(md, sizeof(md), cases[i].md);
	}
	memset(as, 'a', sizeof(as));
	sha256_begin(&c);
	for (int i = 0; i < 1000; i++)
		sha256_add(&c, as, sizeof(as));
	sha256_end(&c, md);
	check_hex(md, sizeof(md),
	    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* RFC 1321, appendix A.5. */
static void
test_md5(void **state UNUSED)
{
	static const struct {
		const char *msg, *md;
	} cases[] = {
		{ "", "d41d8cd98f00b204e9800998ecf8427e" },
		{ "a", "0cc175b9c0f1b6a831c399e269772661" },
		{ "abc", "900150983cd24fb0d6963f7d28e17f72" },
		{ "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
		{ "abcdefghijklmnopqrstuvwxyz",
		    "c3fcd3d76192e4007dfb496cca67e13b" },
		{ "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz012345"
		  "6789",
		    "d174ab98d277d9f5a5611c2c9f419d9f" },
		{ "1234567890123456789012345678901234567890123456789012345678"
		  "9012345678901234567890",
		    "57edf4a22be3c955ac49da2e2107b67a" },
	};

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		struct md5_ctx c, copy;
		uint8_t md[MD5_LEN];

		md5_begin(&c);
		md5_add(&c, cases[i].msg, strlen(cases[i].msg) / 2);
		copy = c;
		md5_add(&copy, cases[i].msg + strlen(cases[i].msg) / 2,
		    (strlen(cases[i].msg) + 1) / 2);
		md5_end(&copy, md);
		check_hex(md, sizeof(md), cases[i].md);
	}
}

static void
hmac_case(char *const f[VECTOR_FIELDS])
{
	struct bytes key CLEANUP_BYTES = vector_bytes(f[2]);
	struct bytes msg CLEANUP_BYTES = vector_bytes(f[3]);
	struct bytes tag CLEANUP_BYTES = vector_bytes(f[4]);
	uint8_t mac[SHA256_LEN];
	struct hmac_key k;
	struct hmac_ctx c;

	assert_in_range(tag.len, 1, SHA256_LEN);
	hmac_sha256(key.p, key.len, msg.p, msg.len, mac);
	assert_int_equal(memcmp(mac, tag.p, tag.len) == 0, vector_valid(f));
	/* The keyed form, in two pieces, twice from one key. */
	hmac_key_set(&k, key.p, key.len);
	for (int i = 0; i < 2; i++) {
		uint8_t again[SHA256_LEN];
		hmac_begin(&c, &k);
		hmac_add(&c, msg.p, msg.len / 3);
		hmac_add(&c, msg.p + msg.len / 3, msg.len - msg.len / 3);
		hmac_end(&c, again);
		assert_memory_equal(again, mac, SHA256_LEN);
	}
}

static void
test_hmac(void **state UNUSED)
{
	assert_int_equal(vectors_each("hmac_sha256.txt", 5, hmac_case), 174);
}

/* RFC 3720, appendix B.4. */
/* Every length that is one call against the same in pieces. */
static void
test_hmac_short(void **state UNUSED)
{
	uint8_t msg[HMAC_SHORT], got[SHA256_LEN], want[SHA256_LEN];
	struct hmac_key k;
	struct hmac_ctx c;

	for (size_t i = 0; i < sizeof(msg); i++)
		msg[i] = (uint8_t)(7 * i + 1);
	hmac_key_set(&k, "a key", 5);
	for (size_t len = 0; len <= HMAC_SHORT; len++) {
		hmac_begin(&c, &k);
		hmac_add(&c, msg, len);
		hmac_end(&c, want);
		hmac_short(&k, msg, len, got);
		assert_memory_equal(got, want, SHA256_LEN);
		hmac_sha256("a key", 5, msg, len, got);
		assert_memory_equal(got, want, SHA256_LEN);
	}
}

static void
test_crc32c_rfc3720(void **state UNUSED)
{
	static const uint8_t read_pdu[48] = { 0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0,
		0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0,
		0, 0, 0, 0 };
	uint8_t p[32] = { 0 };

	assert_int_equal(crc32c(0, p, 32), 0x8a9136aa);
	memset(p, 0xff, 32);
	assert_int_equal(crc32c(0, p, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		p[i] = i;
	assert_int_equal(crc32c(0, p, 32), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		p[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, p, 32), 0x113fdb5c);
	assert_int_equal(crc32c(0, read_pdu, 48), 0xd9963a56);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
}

/* Both ways agree at every length and alignment, whole and in two pieces. */
static void
test_crc32c_both(void **state UNUSED)
{
	static uint8_t p[20000];
	uint32_t seed = 1;

	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	for (size_t len = 0; len < sizeof(p) - 8; len += len < 1200 ? 1 : 131) {
		const uint8_t *at = p + len % 8;
		const uint32_t soft = crc32c_soft(0, at, len);
		const size_t cut = len * 3 / 7;

		assert_int_equal(crc32c(0, at, len), soft);
		assert_int_equal(
		    crc32c(crc32c(0, at, cut), at + cut, len - cut), soft);
		if (crc32c_has_hard())
			assert_int_equal(crc32c_hard(0, at, len), soft);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_md5),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_hmac_short),
		cmocka_unit_test(test_crc32c_rfc3720),
		cmocka_unit_test(test_crc32c_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
