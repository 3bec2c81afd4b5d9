/*
 * kms_common: what the tests of room kms share: a directory of their own with
 * a keystore in it.
 */
#ifndef TESTS_UNIT_KMS_COMMON_H
#define TESTS_UNIT_KMS_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kms/audit.h"
#include "kms/kms.h"
#include "lib/base/log.h"

struct place {
	char dir[64];
	char path[128]; /* the keystore */
	char key[128];  /* its key file */
	struct kms_root root;
};

static const struct kms_who root_user = { .user = "root", .agent = "test" };

static const struct kms_pair some_ctx[] = { { "store", "s-1" },
	{ "object", "o-1" } };

#define assert_ok(e) assert_int_equal((e), OK)

static inline int
place_setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (p == NULL || secret_init() != OK)
		return -1;
	log_set_level(LOG_LVL_ERROR);
	strcpy(p->dir, "/tmp/ssefs-kms-XXXXXX");
	if (mkdtemp(p->dir) == NULL)
		return -1;
	(void)snprintf(p->path, sizeof(p->path), "%s/keys.db", p->dir);
	(void)snprintf(p->key, sizeof(p->key), "%s/root.key", p->dir);
	p->root = (struct kms_root){ .kind = KMS_ROOT_FILE, .path = p->key };
	if (kms_create_store(p->path, &p->root, NULL) != OK)
		return -1;
	*state = p;
	return 0;
}

static inline int
place_teardown(void **state)
{
	struct place *p = *state;
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", p->dir);
	free(p);
	return system(cmd);
}

static inline struct kms *
place_open(const struct place *p)
{
	struct kms *k = NULL;

	assert_ok(kms_open(p->path, NULL, &k));
	return k;
}

/* A wrapped data key and the plain one. */
struct sample {
	struct key *dek;
	uint8_t blob[KMS_BLOB_MAX];
	size_t len;
	char arn[KMS_ARN_MAX];
};

static inline void
sample_make(struct kms *k, const char *keyname, struct sample *s)
{
	s->dek = key_new();
	assert_non_null(s->dek);
	assert_ok(kms_data_key(k, &root_user, keyname, some_ctx, 2, s->dek,
	    s->blob, &s->len, s->arn));
}

static inline enum err
sample_open(struct kms *k, const struct sample *s)
{
	struct key *dek = key_new();
	enum err e;

	assert_non_null(dek);
	e = kms_unwrap(k, &root_user, s->blob, s->len, some_ctx, 2, dek);
	if (e == OK)
		assert_memory_equal(dek, s->dek, sizeof(*dek));
	key_free(dek);
	return e;
}

#endif
