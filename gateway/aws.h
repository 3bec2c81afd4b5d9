/*
 * aws: the errors of the AWS KMS API.
 */
#ifndef GATEWAY_AWS_H
#define GATEWAY_AWS_H

#include "lib/base/err.h"

#define AWS_TEXT_MAX 1024

/* X(name, code, HTTP status) */
#define AWS_LIST(X)                                                      \
	X(AWS_ACCESS_DENIED, "AccessDeniedException", 400)               \
	X(AWS_ALREADY_EXISTS, "AlreadyExistsException", 400)             \
	X(AWS_DISABLED, "DisabledException", 400)                        \
	X(AWS_DRY_RUN, "DryRunOperationException", 400)                  \
	X(AWS_EXPIRED_TOKEN, "ExpiredImportTokenException", 400)         \
	X(AWS_INCOMPLETE_SIGNATURE, "IncompleteSignatureException", 400) \
	X(AWS_INCORRECT_KEY, "IncorrectKeyException", 400)               \
	X(AWS_INCORRECT_MATERIAL, "IncorrectKeyMaterialException", 400)  \
	X(AWS_INVALID_ALIAS, "InvalidAliasNameException", 400)           \
	X(AWS_INVALID_ARN, "InvalidArnException", 400)                   \
	X(AWS_INVALID_CIPHERTEXT, "InvalidCiphertextException", 400)     \
	X(AWS_INVALID_GRANT_ID, "InvalidGrantIdException", 400)          \
	X(AWS_INVALID_GRANT_TOKEN, "InvalidGrantTokenException", 400)    \
	X(AWS_INVALID_IMPORT_TOKEN, "InvalidImportTokenException", 400)  \
	X(AWS_INVALID_KEY_USAGE, "InvalidKeyUsageException", 400)        \
	X(AWS_INVALID_MARKER, "InvalidMarkerException", 400)             \
	X(AWS_INVALID_SIGNATURE, "InvalidSignatureException", 400)       \
	X(AWS_INVALID_STATE, "KMSInvalidStateException", 400)            \
	X(AWS_LIMIT, "LimitExceededException", 400)                      \
	X(AWS_MALFORMED_POLICY, "MalformedPolicyDocumentException", 400) \
	X(AWS_MISSING_TOKEN, "MissingAuthenticationTokenException", 400) \
	X(AWS_NOT_AUTHORIZED, "NotAuthorizedException", 400)             \
	X(AWS_NOT_FOUND, "NotFoundException", 400)                       \
	X(AWS_SERIALIZATION, "SerializationException", 400)              \
	X(AWS_TAG, "TagException", 400)                                  \
	X(AWS_TOO_LARGE, "RequestEntityTooLargeException", 413)          \
	X(AWS_UNKNOWN_CLIENT, "UnrecognizedClientException", 400)        \
	X(AWS_UNKNOWN_OPERATION, "UnknownOperationException", 400)       \
	X(AWS_UNSUPPORTED, "UnsupportedOperationException", 400)         \
	X(AWS_VALIDATION, "ValidationException", 400)                    \
	X(AWS_INTERNAL, "KMSInternalException", 500)                     \
	X(AWS_UNAVAILABLE, "KeyUnavailableException", 500)

enum aws_code {
	AWS_NONE = 0,
#define AWS_ENUM_(name, text, status) name,
	AWS_LIST(AWS_ENUM_)
#undef AWS_ENUM_
	    AWS_COUNT_
};

struct aws_error {
	enum aws_code code; /* AWS_NONE: none */
	char text[AWS_TEXT_MAX];
};

/* "NotFoundException"; static storage. */
const char *aws_name(enum aws_code code);
/* The HTTP status that goes with it. */
unsigned aws_status(enum aws_code code);

/* Set ${e}, unless it is set, and return ${ret}, for "return (aws_fail(…))". */
enum err aws_fail(struct aws_error *e, enum err ret, enum aws_code code,
    const char *fmt, ...) PRINTF(4, 5);

#endif
