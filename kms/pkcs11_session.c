/*
 * Slots, logins, look-ups.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/rand.h"

#include "kms/pkcs11_module.h"
#include "kms/pkcs11_pool.h"
#include "kms/pkcs11_session.h"
#include "kms/secretfile.h"

#define SLOTS_MAX 256
#define PIN_MAX 256

static const struct secretfile pin_file = { .what = "PIN file",
	.loss = "the token stays closed",
	.e = ERR_ACCESS,
	.min = 1,
	.max = PIN_MAX };

enum p11_rv_class
p11_rv_class(ck_rv_t rv)
{

	switch (rv) {
	case CKR_OK:
		return P11_RV_FINE;
	case CKR_CRYPTOKI_NOT_INITIALIZED:
	case CKR_DEVICE_ERROR:
	case CKR_DEVICE_REMOVED:
	case CKR_OPERATION_ACTIVE:
	case CKR_SESSION_CLOSED:
	case CKR_SESSION_HANDLE_INVALID:
	case CKR_SLOT_ID_INVALID:
	case CKR_TOKEN_NOT_PRESENT:
	case CKR_TOKEN_NOT_RECOGNIZED:
	case CKR_USER_NOT_LOGGED_IN:
		return P11_RV_LOST;
	case CKR_KEY_HANDLE_INVALID:
	case CKR_OBJECT_HANDLE_INVALID:
		return P11_RV_HANDLE;
	case CKR_DEVICE_MEMORY:
	case CKR_FUNCTION_CANCELED:
	case CKR_FUNCTION_FAILED:
	case CKR_GENERAL_ERROR:
	case CKR_HOST_MEMORY:
		return P11_RV_UNCLEAR;
	default:
		return P11_RV_ITS_OWN;
	}
}

/* ---- The token ----------------------------------------------------------- */

/* Is the text ${want} what stands in a field padded with blanks? */
static bool
field_is(const unsigned char *field, size_t len, const char *want)
{
	const size_t n = strlen(want);

	if (n == 0)
		return true;
	if (n > len || memcmp(field, want, n) != 0)
		return false;
	for (size_t i = n; i < len; i++)
		if (field[i] != ' ' && field[i] != '\0')
			return false;
	return true;
}

static bool
token_is(struct ck_function_list *f, ck_slot_id_t slot, const struct p11_uri *u,
    struct ck_token_info *ret)
{

	memset(ret, 0, sizeof(*ret));
	return f->C_GetTokenInfo(slot, ret) == CKR_OK &&
	       (ret->flags & CKF_TOKEN_INITIALIZED) != 0 &&
	       field_is(ret->label, sizeof(ret->label), u->token) &&
	       field_is(
		   ret->serial_number, sizeof(ret->serial_number), u->serial) &&
	       (!u->has_slot || u->slot == slot);
}

enum err
p11_slot_find(
    struct ck_function_list *f, const struct p11_uri *u, ck_slot_id_t *ret)
{
	ck_slot_id_t slot[SLOTS_MAX];
	unsigned long n = SLOTS_MAX;
	unsigned found = 0;
	const ck_rv_t rv = f->C_GetSlotList(1, slot, &n);

	if (rv != CKR_OK)
		return err_fail(ERR_TIMEDOUT,
		    "the PKCS#11 module lists no slots: %s", p11_rv_name(rv));
	for (unsigned long i = 0; i < n; i++) {
		struct ck_token_info info;

		if (!token_is(f, slot[i], u, &info))
			continue;
		*ret = slot[i];
		found++;
	}
	if (found == 0)
		return err_fail(
		    ERR_TIMEDOUT, "there is no token \"%s\" now", u->token);
	if (found > 1)
		return err_fail(ERR_INVAL,
		    "%u tokens are \"%s\"; give the serial as well", found,
		    u->token);
	return OK;
}

enum err
p11_anchor_open(
    struct ck_function_list *f, ck_slot_id_t slot, ck_session_handle_t *ret)
{
	ck_rv_t rv = f->C_OpenSession(
	    slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, ret);

	if (rv == CKR_TOKEN_WRITE_PROTECTED)
		rv =
		    f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, ret);
	if (rv == CKR_OK)
		return OK;
	return err_fail(
	    ERR_TIMEDOUT, "the token opens no session: %s", p11_rv_name(rv));
}

bool
p11_alive(struct ck_function_list *f, ck_slot_id_t slot, ck_session_handle_t s,
    const struct p11_uri *u)
{
	struct ck_token_info token;
	struct ck_session_info info = { 0 };

	if (!token_is(f, slot, u, &token) ||
	    f->C_GetSessionInfo(s, &info) != CKR_OK)
		return false;
	return (token.flags & CKF_LOGIN_REQUIRED) == 0 ||
	       info.state == CKS_RO_USER_FUNCTIONS ||
	       info.state == CKS_RW_USER_FUNCTIONS;
}

/* ---- The PIN ------------------------------------------------------------- */

struct pin_text {
	uint8_t b[PIN_MAX];
	size_t len;
};

static void
pin_text_cleanup(struct pin_text **p)
{

	secret_free(*p);
}

void
p11_pin_forget(struct p11_pin *pin)
{

	key_free(pin->salt);
	pin->salt = NULL;
	secret_wipe(pin->wrong, sizeof(pin->wrong));
}

static enum err
pin_read(const struct p11_uri *u, struct pin_text *ret)
{
	char path[PATH_MAX];

	if (u->pin_credential[0] != '\0') {
		TRY(secretfile_credential(&pin_file, u->pin_credential, path));
		TRY(secretfile_read(&pin_file, path, false, ret->b, &ret->len));
	} else {
		TRY(secretfile_read(
		    &pin_file, u->pin_file, true, ret->b, &ret->len));
	}
	/* Most files end with the end of a line. */
	if (ret->len > 1 && ret->b[ret->len - 1] == '\n')
		ret->len--;
	return OK;
}

static bool
pin_was_wrong(const struct p11_pin *pin, const struct pin_text *t)
{
	WIPED(uint8_t, mac, KEY_LEN);

	if (pin->salt == NULL)
		return false;
	hmac_sha256(pin->salt->b, KEY_LEN, t->b, t->len, mac);
	return secret_cmp(mac, pin->wrong, sizeof(mac)) == 0;
}

static void
pin_note_wrong(struct p11_pin *pin, const struct pin_text *t)
{

	if (pin->salt == NULL)
		pin->salt = key_new();
	if (pin->salt == NULL)
		return;
	rand_bytes(pin->salt->b, KEY_LEN);
	hmac_sha256(pin->salt->b, KEY_LEN, t->b, t->len, pin->wrong);
}

static enum err
login_failed(ck_rv_t rv)
{

	switch (rv) {
	case CKR_OK:
	case CKR_USER_ALREADY_LOGGED_IN:
		return OK;
	case CKR_PIN_INCORRECT:
	case CKR_PIN_INVALID:
	case CKR_PIN_LEN_RANGE:
		return err_fail(ERR_ACCESS,
		    "the token does not take the PIN (%s); it is not tried "
		    "again until its file changes",
		    p11_rv_name(rv));
	case CKR_PIN_EXPIRED:
	case CKR_PIN_LOCKED:
	case CKR_USER_PIN_NOT_INITIALIZED:
	case CKR_USER_TYPE_INVALID:
	case CKR_USER_ANOTHER_ALREADY_LOGGED_IN:
	case CKR_USER_TOO_MANY_TYPES:
		return err_fail(ERR_ACCESS, "the token lets nobody in: %s",
		    p11_rv_name(rv));
	default:
		return err_fail(ERR_TIMEDOUT,
		    "logging in to the token failed: %s", p11_rv_name(rv));
	}
}

static enum err
login_with_pin(struct ck_function_list *f, ck_session_handle_t s,
    const struct p11_uri *u, struct p11_pin *pin)
{
	struct pin_text *t CLEANUP(pin_text_cleanup) = secret_alloc(sizeof(*t));
	enum err e;

	if (t == NULL)
		return ERR_NOMEM;
	TRY(pin_read(u, t));
	if (pin_was_wrong(pin, t))
		return login_failed(CKR_PIN_INCORRECT);
	e = login_failed(f->C_Login(s, CKU_USER, t->b, t->len));
	if (e == ERR_ACCESS)
		pin_note_wrong(pin, t);
	else if (e == OK)
		p11_pin_forget(pin);
	return e;
}

enum err
p11_login(struct ck_function_list *f, ck_slot_id_t slot, ck_session_handle_t s,
    const struct p11_uri *u, struct p11_pin *pin)
{
	struct ck_token_info info;

	if (!token_is(f, slot, u, &info))
		return err_fail(ERR_TIMEDOUT, "the token is gone");
	if (u->pin_file[0] != '\0' || u->pin_credential[0] != '\0')
		return login_with_pin(f, s, u, pin);
	if ((info.flags & CKF_LOGIN_REQUIRED) == 0)
		return OK;
	if ((info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0)
		return login_failed(f->C_Login(s, CKU_USER, NULL, 0));
	return err_fail(ERR_ACCESS,
	    "the token wants a PIN; name a file that holds it with "
	    "pin-source");
}

/* ---- Keys ---------------------------------------------------------------- */

static enum err
check_key(struct ck_function_list *f, ck_session_handle_t s,
    ck_object_handle_t key, ck_rv_t *ret_rv)
{
	unsigned char sensitive = 0, extractable = 1;
	struct ck_attribute a[] = { { CKA_SENSITIVE, &sensitive, 1 },
		{ CKA_EXTRACTABLE, &extractable, 1 } };

	*ret_rv = f->C_GetAttributeValue(s, key, a, COUNTOF(a));
	if (*ret_rv != CKR_OK)
		return ERR_STALE;
	if (sensitive != 0 && extractable == 0)
		return OK;
	return err_fail(ERR_ACCESS,
	    "the key in the token could be taken out of it; it is not used");
}

enum err
p11_key_find(struct ck_function_list *f, ck_session_handle_t s,
    const uint8_t *id, ck_object_handle_t *ret, ck_rv_t *ret_rv)
{
	ck_object_class_t class = CKO_SECRET_KEY;
	ck_key_type_t type = CKK_AES;
	uint8_t copy[P11_ID_LEN];
	struct ck_attribute a[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_ID, copy, sizeof(copy) } };
	ck_object_handle_t found[2];
	unsigned long n = 0;

	memcpy(copy, id, sizeof(copy));
	*ret_rv = f->C_FindObjectsInit(s, a, COUNTOF(a));
	if (*ret_rv != CKR_OK)
		return ERR_STALE;
	*ret_rv = f->C_FindObjects(s, found, COUNTOF(found), &n);
	const ck_rv_t end = f->C_FindObjectsFinal(s);

	if (*ret_rv == CKR_OK)
		*ret_rv = end;
	if (*ret_rv != CKR_OK)
		return ERR_STALE;
	if (n == 0)
		return err_fail(ERR_NOKEY, "the token has no such key");
	if (n > 1)
		return err_fail(ERR_ACCESS,
		    "the token has two keys with one id; none is used");
	*ret = found[0];
	return check_key(f, s, found[0], ret_rv);
}
