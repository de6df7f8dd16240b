/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_TESTS_TLS_KIT_H
#define WR_TESTS_TLS_KIT_H

/*
 * Contexts for tests: a server's with a key and a certificate made on the spot, and a client's.
 */

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static inline SSL_CTX *tls_kit_server(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1,
                               -1, 0);
    X509_set_issuer_name(x, name);
    bool good = ctx && X509_sign(x, key, EVP_sha256()) > 0 &&
                SSL_CTX_use_certificate(ctx, x) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    X509_free(x);
    EVP_PKEY_free(key);
    if (good)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static inline SSL_CTX *tls_kit_client(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx && version)
        SSL_CTX_set_max_proto_version(ctx, version);
    return ctx;
}

#endif
