/*
 * A PKCS#11 module for tests.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CRYPTOKI_GNU
#include <p11-kit/pkcs11.h>

#include "tests/fake/p11.h"

#define SHOWN __attribute__((visibility("default")))
#define SESSIONS 64
#define KEYS 256
#define TAG 16

SHOWN struct fake fake;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool initialised, logged_in, lost;
static struct {
	atomic_bool open, busy;
	bool finding;
	uint8_t want[16];
	struct ck_gcm_params *gcm;
	ck_object_handle_t key;
} session[SESSIONS];
static struct {
	atomic_bool there;
	uint8_t id[16];
} keys[KEYS];

/* While the file that the environment names is there, calls hang; a minute at
 * most. */
static void
hang_outside(void)
{
	const char *file = getenv("FAKE_P11_HANG");
	const struct timespec t = { .tv_nsec = 50000000 };

	for (unsigned i = 0; file != NULL && i < 1200; i++) {
		if (access(file, F_OK) != 0)
			return;
		(void)nanosleep(&t, NULL);
	}
}

/* Every call begins here: is it the one that fails? */
static ck_rv_t
enter(void)
{
	const unsigned n = atomic_fetch_add(&fake.calls, 1) + 1;
	const unsigned ms = atomic_load(&fake.hang_ms);
	const struct timespec t = { .tv_sec = ms / 1000,
		.tv_nsec = (long)(ms % 1000) * 1000000 };
	unsigned left = atomic_load(&fake.hang);

	while (left > 0 &&
	       !atomic_compare_exchange_weak(&fake.hang, &left, left - 1))
		;
	if (left > 0)
		(void)nanosleep(&t, NULL);
	hang_outside();
	if (n == atomic_load(&fake.fail_at))
		return atomic_load(&fake.fail_rv);
	return CKR_OK;
}

static bool
away(void)
{
	if (atomic_load(&fake.gone)) {
		lost = true;
		return true;
	}
	return lost && atomic_load(&fake.sticky);
}

/* And those of a session here. */
static ck_rv_t
enter_session(ck_session_handle_t s)
{
	const ck_rv_t rv = enter();

	if (rv != CKR_OK)
		return rv;
	if (!initialised)
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (s == 0 || s > SESSIONS || !session[s - 1].open)
		return CKR_SESSION_HANDLE_INVALID;
	if (away()) {
		session[s - 1].open = false;
		return CKR_DEVICE_REMOVED;
	}
	if (atomic_exchange(&session[s - 1].busy, true))
		atomic_fetch_add(&fake.shared, 1);
	(void)sched_yield();
	return CKR_OK;
}

static ck_rv_t
leave(ck_session_handle_t s, ck_rv_t rv)
{
	atomic_store(&session[s - 1].busy, false);
	return rv;
}

static ck_rv_t
f_initialize(void *args)
{
	(void)args;
	const ck_rv_t rv = enter();

	if (rv != CKR_OK)
		return rv;
	if (initialised)
		return CKR_CRYPTOKI_ALREADY_INITIALIZED;
	atomic_fetch_add(&fake.inits, 1);
	initialised = true;
	logged_in = false;
	lost = false;
	return CKR_OK;
}

static ck_rv_t
f_finalize(void *reserved)
{
	(void)reserved;
	initialised = false;
	logged_in = false;
	for (unsigned i = 0; i < SESSIONS; i++)
		session[i].open = false;
	atomic_store(&fake.open, 0);
	return enter();
}

static ck_rv_t
f_slots(unsigned char present, ck_slot_id_t *list, unsigned long *n)
{
	(void)present;
	const ck_rv_t rv = enter();

	if (rv != CKR_OK)
		return rv;
	if (!initialised)
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	*n = away() ? 0 : 1;
	if (list != NULL && *n == 1)
		list[0] = 7;
	return CKR_OK;
}

static ck_rv_t
f_token_info(ck_slot_id_t slot, struct ck_token_info *info)
{
	(void)slot;
	const ck_rv_t rv = enter();

	if (rv != CKR_OK)
		return rv;
	if (!initialised || away())
		return CKR_TOKEN_NOT_PRESENT;
	memset(info, ' ', 96);
	memcpy(info->label, "fake", 4);
	info->flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED;
	return CKR_OK;
}

static ck_rv_t
f_open(ck_slot_id_t slot, ck_flags_t flags, void *app, ck_notify_t notify,
    ck_session_handle_t *ret)
{
	(void)slot;
	(void)flags;
	(void)app;
	(void)notify;
	const ck_rv_t rv = enter();

	if (rv != CKR_OK)
		return rv;
	if (!initialised || away())
		return CKR_TOKEN_NOT_PRESENT;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < SESSIONS; i++)
		if (!session[i].open) {
			session[i].busy = session[i].finding = false;
			session[i].open = true;
			*ret = i + 1;
			atomic_fetch_add(&fake.open, 1);
			pthread_mutex_unlock(&lock);
			return CKR_OK;
		}
	pthread_mutex_unlock(&lock);
	return CKR_SESSION_COUNT;
}

static ck_rv_t
f_close(ck_session_handle_t s)
{
	if (s >= 1 && s <= SESSIONS && session[s - 1].open) {
		session[s - 1].open = false;
		atomic_fetch_sub(&fake.open, 1);
	}
	return enter();
}

static ck_rv_t
f_session_info(ck_session_handle_t s, struct ck_session_info *info)
{
	const ck_rv_t rv = enter_session(s);

	if (rv != CKR_OK)
		return rv;
	info->state = logged_in ? CKS_RO_USER_FUNCTIONS : CKS_RO_PUBLIC_SESSION;
	return leave(s, CKR_OK);
}

static ck_rv_t
f_login(ck_session_handle_t s, ck_user_type_t user, unsigned char *pin,
    unsigned long len)
{
	(void)user;
	const ck_rv_t rv = enter_session(s);

	if (rv != CKR_OK)
		return rv;
	atomic_fetch_add(&fake.logins, 1);
	if (len != 4 || memcmp(pin, "1234", 4) != 0) {
		atomic_fetch_add(&fake.wrong_pins, 1);
		return leave(s, CKR_PIN_INCORRECT);
	}
	if (logged_in)
		return leave(s, CKR_USER_ALREADY_LOGGED_IN);
	logged_in = true;
	return leave(s, CKR_OK);
}

static ck_rv_t
f_generate(ck_session_handle_t s, struct ck_mechanism *mech,
    struct ck_attribute *a, unsigned long n, ck_object_handle_t *ret)
{
	(void)mech;
	const ck_rv_t rv = enter_session(s);

	if (rv != CKR_OK)
		return rv;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < KEYS; i++) {
		if (keys[i].there)
			continue;
		for (unsigned long j = 0; j < n; j++)
			if (a[j].type == CKA_ID)
				memcpy(keys[i].id, a[j].value, 16);
		keys[i].there = true;
		*ret = i + 1;
		atomic_fetch_add(&fake.keys, 1);
		pthread_mutex_unlock(&lock);
		return leave(s, CKR_OK);
	}
	pthread_mutex_unlock(&lock);
	return leave(s, CKR_DEVICE_MEMORY);
}

static ck_rv_t
f_destroy(ck_session_handle_t s, ck_object_handle_t key)
{
	const ck_rv_t rv = enter_session(s);

	if (rv != CKR_OK)
		return rv;
	keys[key - 1].there = false;
	atomic_fetch_sub(&fake.keys, 1);
	return leave(s, CKR_OK);
}

static ck_rv_t
f_find_init(ck_session_handle_t s, struct ck_attribute *a, unsigned long n)
{
	const ck_rv_t rv = enter_session(s);

	if (rv != CKR_OK)
		return rv;
	if (session[s - 1].finding)
		return leave(s, CKR_OPERATION_ACTIVE);
	for (unsigned long j = 0; j < n; j++)
		if (a[j].type == CKA_ID)
			memcpy(session[s - 1].want, a[j].value, 16);
	session[s - 1].finding = true;
	return leave(s, CKR_OK);
}

static ck_rv_t
f_find(ck_session_handle_t s, ck_object_handle_t *ret, unsigned long max,
    unsigned long *n)
{
	const ck_rv_t rv = enter_session(s);

	if (rv != CKR_OK)
		return rv;
	*n = 0;
	for (unsigned i = 0; i < KEYS && *n < max; i++)
		if (keys[i].there &&
		    memcmp(keys[i].id, session[s - 1].want, 16) == 0)
			ret[(*n)++] = i + 1;
	return leave(s, CKR_OK);
}

static ck_rv_t
f_find_final(ck_session_handle_t s)
{
	const ck_rv_t rv = enter_session(s);

	if (rv != CKR_OK)
		return rv;
	session[s - 1].finding = false;
	return leave(s, CKR_OK);
}

static ck_rv_t
f_attributes(ck_session_handle_t s, ck_object_handle_t key,
    struct ck_attribute *a, unsigned long n)
{
	const ck_rv_t rv = enter_session(s);

	if (rv != CKR_OK)
		return rv;
	if (key == 0 || key > KEYS || !keys[key - 1].there)
		return leave(s, CKR_OBJECT_HANDLE_INVALID);
	for (unsigned long j = 0; j < n; j++) {
		const bool leaves = atomic_load(&fake.can_leave);

		if (a[j].type == CKA_SENSITIVE)
			*(unsigned char *)a[j].value = !leaves;
		if (a[j].type == CKA_EXTRACTABLE)
			*(unsigned char *)a[j].value = leaves;
	}
	return leave(s, CKR_OK);
}

static ck_rv_t
begin(ck_session_handle_t s, struct ck_mechanism *mech, ck_object_handle_t key)
{
	const ck_rv_t rv = enter_session(s);

	if (rv != CKR_OK)
		return rv;
	if (key == 0 || key > KEYS || !keys[key - 1].there)
		return leave(s, CKR_KEY_HANDLE_INVALID);
	if (!logged_in)
		return leave(s, CKR_USER_NOT_LOGGED_IN);
	session[s - 1].gcm = mech->parameter;
	session[s - 1].key = key;
	if (session[s - 1].gcm->aad_len == 0)
		return leave(s, CKR_MECHANISM_PARAM_INVALID);
	pthread_mutex_lock(&lock);
	for (unsigned long i = 0; i < sizeof(fake.aad); i++)
		fake.aad[i] = i < session[s - 1].gcm->aad_len
				  ? session[s - 1].gcm->aad_ptr[i]
				  : 0;
	pthread_mutex_unlock(&lock);
	return leave(s, CKR_OK);
}

static ck_rv_t
f_encrypt_init(
    ck_session_handle_t s, struct ck_mechanism *mech, ck_object_handle_t key)
{
	static const unsigned char zero[12];
	const struct ck_gcm_params *g = mech->parameter;

	if (atomic_load(&fake.no_iv) &&
	    memcmp(g->iv_ptr, zero, sizeof(zero)) != 0)
		return CKR_MECHANISM_PARAM_INVALID;
	return begin(s, mech, key);
}

static void
tag_of(ck_session_handle_t s, const unsigned char *ct, unsigned long len,
    unsigned char ret[TAG])
{
	const struct ck_gcm_params *g = session[s - 1].gcm;
	uint64_t h = UINT64_C(14695981039346656037) ^ session[s - 1].key;

	for (unsigned long i = 0; i < g->iv_len; i++)
		h = (h ^ g->iv_ptr[i]) * UINT64_C(1099511628211);
	for (unsigned long i = 0; i < g->aad_len; i++)
		h = (h ^ g->aad_ptr[i]) * UINT64_C(1099511628211);
	for (unsigned long i = 0; i < len; i++)
		h = (h ^ ct[i]) * UINT64_C(1099511628211);
	memset(ret, 0x5a, TAG);
	memcpy(ret, &h, sizeof(h));
}

static void
mask(ck_session_handle_t s, const unsigned char *in, unsigned long len,
    unsigned char *out)
{
	const struct ck_gcm_params *g = session[s - 1].gcm;

	for (unsigned long i = 0; i < len; i++)
		out[i] = in[i] ^ g->iv_ptr[i % g->iv_len] ^ 0xc3;
}

static ck_rv_t
f_encrypt(ck_session_handle_t s, unsigned char *in, unsigned long len,
    unsigned char *out, unsigned long *n)
{
	const ck_rv_t rv = enter_session(s);
	static _Atomic uint64_t counter;

	if (rv != CKR_OK)
		return rv;
	if (*n < len + TAG)
		return leave(s, CKR_BUFFER_TOO_SMALL);
	if (atomic_load(&fake.makes_iv)) {
		const uint64_t c = atomic_fetch_add(&counter, 1) + 1;

		memset(session[s - 1].gcm->iv_ptr, 0xee, 12);
		memcpy(session[s - 1].gcm->iv_ptr, &c, sizeof(c));
	}
	mask(s, in, len, out);
	tag_of(s, out, len, out + len);
	*n = len + TAG;
	return leave(s, CKR_OK);
}

static ck_rv_t
f_decrypt(ck_session_handle_t s, unsigned char *in, unsigned long len,
    unsigned char *out, unsigned long *n)
{
	const ck_rv_t rv = enter_session(s);
	unsigned char tag[TAG];

	if (rv != CKR_OK)
		return rv;
	if (len < TAG || *n < len - TAG)
		return leave(s, CKR_ENCRYPTED_DATA_LEN_RANGE);
	/* As SoftHSM: plaintext first, then a wrong tag is a general error. */
	mask(s, in, len - TAG, out);
	tag_of(s, in, len - TAG, tag);
	*n = len - TAG;
	return leave(s,
	    memcmp(tag, in + len - TAG, TAG) == 0 ? CKR_OK : CKR_GENERAL_ERROR);
}

SHOWN ck_rv_t
C_GetFunctionList(struct ck_function_list **ret)
{
	static struct ck_function_list list = { .version = { 2, 40 },
		.C_Initialize = f_initialize,
		.C_Finalize = f_finalize,
		.C_GetSlotList = f_slots,
		.C_GetTokenInfo = f_token_info,
		.C_OpenSession = f_open,
		.C_CloseSession = f_close,
		.C_GetSessionInfo = f_session_info,
		.C_Login = f_login,
		.C_GenerateKey = f_generate,
		.C_DestroyObject = f_destroy,
		.C_FindObjectsInit = f_find_init,
		.C_FindObjects = f_find,
		.C_FindObjectsFinal = f_find_final,
		.C_GetAttributeValue = f_attributes,
		.C_EncryptInit = f_encrypt_init,
		.C_Encrypt = f_encrypt,
		.C_DecryptInit = begin,
		.C_Decrypt = f_decrypt };

	*ret = &list;
	return CKR_OK;
}
