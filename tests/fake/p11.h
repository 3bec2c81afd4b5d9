/*
 * p11: a PKCS#11 module that does as it is told, for tests/unit/kms_pkcs11.c.
 * One token, "fake", its PIN 1234.  FAKE_P11_HANG in the environment: a file; calls
 * hang while it is there.  What it encrypts is no secret.
 */
#ifndef TESTS_FAKE_P11_H
#define TESTS_FAKE_P11_H

#include <stdatomic.h>
#include <stdbool.h>

/* The symbol "fake" of the module. */
struct fake {
	_Atomic unsigned calls;   /* so far */
	_Atomic unsigned fail_at; /* which of them fails; 0: none */
	_Atomic unsigned long fail_rv;
	/* So many of the next calls take so long. */
	_Atomic unsigned hang, hang_ms;
	atomic_bool gone;      /* the token is away */
	atomic_bool sticky;    /* it is seen again after C_Initialize only */
	atomic_bool makes_iv;  /* the token makes nonces */
	atomic_bool no_iv;     /* it takes none from outside */
	atomic_bool can_leave; /* keys say they are extractable */
	_Atomic unsigned logins, wrong_pins, inits;
	_Atomic unsigned shared; /* times a session was two threads' */
	_Atomic unsigned open;   /* sessions */
	_Atomic unsigned keys;
	unsigned char aad[128]; /* of the last message, as far as it goes */
};

#endif
