/*
 * pkcs11_api: p11-kit's header, with the names that fit the rest.
 */
#ifndef KMS_PKCS11_API_H
#define KMS_PKCS11_API_H

#define CRYPTOKI_GNU
#include <p11-kit/pkcs11.h>

#endif
