/*
 * awscred: credentials of AWS and the region, found as the AWS CLI finds them.
 *
 * In this order: the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
 * AWS_SESSION_TOKEN), unless a profile is asked for; the credentials file
 * (AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials); the configuration file
 * (AWS_CONFIG_FILE, else ~/.aws/config).  The profile is the one asked for, else
 * AWS_PROFILE, else "default".  Not looked for: instance and container metadata,
 * single sign-on, roles to assume, and programs to run (credential_process).
 * A file that secrets are taken from must belong to the user and be closed to
 * all others.
 *
 * Thread-safe, as far as nobody changes the environment.
 */
#ifndef KMS_AWSCRED_H
#define KMS_AWSCRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/sigv4.h"
#include "lib/base/err.h"

#define AWSCRED_FILE_MAX ((size_t)32 << 10)
#define AWSCRED_TOKEN_MAX 3072
#define AWSCRED_PROFILE_MAX 128

/* In key memory. */
struct awscred {
	char access_key[SIGV4_ACCESS_KEY_MAX + 1];
	char secret[SIGV4_SECRET_MAX + 1];
	char token[AWSCRED_TOKEN_MAX + 1];     /* "" when there is none */
	char region[SIGV4_SCOPE_PART_MAX + 1]; /* "" when not found */
};

/*
 * awscred_parse(text, len, section, ret):
 * Take what stands in the section [${section}] of such a file and is not in
 * ${ret} yet.  *${ret_found}: there is such a section.
 * Pure.  Returns OK; ERR_PARSE with a sentence that has the line's number and
 * nothing of its text.
 */
enum err awscred_parse(const char *text, size_t len, const char *section,
    struct awscred *ret, bool *ret_found) MUSTCHECK;

/*
 * awscred_find(profile, file, ret):
 * ${profile}: NULL or the one that is asked for.  ${file}: NULL, or the
 * credentials file to use instead of all others.
 * The caller frees *${ret} with awscred_free().
 * Returns OK; ERR_ACCESS when there are none, or a file is not as it must be,
 * with a sentence; ERR_NOMEM.
 */
enum err awscred_find(
    const char *profile, const char *file, struct awscred **ret) MUSTCHECK;
void awscred_free(struct awscred *c); /* wipes; NULL is fine */
static inline void
awscred_cleanup(struct awscred **c)
{
	awscred_free(*c);
}
#define CLEANUP_AWSCRED CLEANUP(awscred_cleanup)

#endif
