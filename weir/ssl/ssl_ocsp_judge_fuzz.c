/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as an answer about one certificate. Bit 0 of the first byte: the signer has to be trusted; bit 1: what parses as
 * an answer is signed by the issuer first, so that it is the statements in it that are judged. What is judged good has a
 * status and time left, what is not a reason; OpenSSL's queue of errors is empty in any case.
 */
#include "weir/ssl/ssl_ocsp.h"

#include "libweir/base/assert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char ca_text[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBcTCCARegAwIBAgIUFtJJzupRlXflPfOqQdh+07VJujcwCgYIKoZIzj0EAwIw\n"
    "DTELMAkGA1UEAwwCY2EwIBcNMjYxMTIxMTcyOTAxWhgPMjEyNjEwMjgxNzI5MDFa\n"
    "MA0xCzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKAnWjD8M\n"
    "DPAO4eDHRHDyhlajDD0xu/m2r6ArRWqMCyUB+sFGW1Qj7Ksd/jpr7GUAOV1g1TVb\n"
    "KV3gKjqUF7LNlKNTMFEwHQYDVR0OBBYEFHXPFKgjtc4D69InXBZE9vxATvIyMB8G\n"
    "A1UdIwQYMBaAFHXPFKgjtc4D69InXBZE9vxATvIyMA8GA1UdEwEB/wQFMAMBAf8w\n"
    "CgYIKoZIzj0EAwIDSAAwRQIgIJs8q6B+W5fdYYNE5MIbhCT5ygc94oeIpDfDOBeZ\n"
    "cCMCIQDQjMgDoH4IQDVMbirasDbpSIPSr1Cv3bl+4uiIoCZF8Q==\n"
    "-----END CERTIFICATE-----\n";
static const char ca_key_text[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIMnlxQcbZ672X2HAKWSnW8my2K16ttV4gNTwx74oY//FoAoGCCqGSM49\n"
    "AwEHoUQDQgAEKAnWjD8MDPAO4eDHRHDyhlajDD0xu/m2r6ArRWqMCyUB+sFGW1Qj\n"
    "7Ksd/jpr7GUAOV1g1TVbKV3gKjqUF7LNlA==\n"
    "-----END EC PRIVATE KEY-----\n";
static const char cert_text[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBAjCBqQIBEDAKBggqhkjOPQQDAjANMQswCQYDVQQDDAJjYTAgFw0yNjExMjEx\n"
    "NzI5MDFaGA8yMTI2MTAyODE3MjkwMVowDDEKMAgGA1UEAwwBeDBZMBMGByqGSM49\n"
    "AgEGCCqGSM49AwEHA0IABF7Yani8kMULlT/C2ruq1V8eUECTRWcaHAebvQ8NSw+7\n"
    "xNc/QloxlFeF/daJFFR6laoA7iLSiAdYAqqKKEDYmdUwCgYIKoZIzj0EAwIDSAAw\n"
    "RQIhAJm5a7Ohlt5Qp0egpK7FKsHBk4HvAQVW6ORocoMqjMy9AiA/gQ4Jn+h4l3b6\n"
    "6ntt1zwVFReZORt6b5eLVReLET8+Yw==\n"
    "-----END CERTIFICATE-----\n";

static struct ocsp_subject subject;
static X509 *ca;
static EVP_PKEY *ca_key;

static void set_up(void)
{
    BIO *a = BIO_new_mem_buf(ca_text, -1), *b = BIO_new_mem_buf(ca_key_text, -1),
        *c = BIO_new_mem_buf(cert_text, -1);
    ca = PEM_read_bio_X509(a, NULL, NULL, NULL);
    ca_key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
    subject.cert = PEM_read_bio_X509(c, NULL, NULL, NULL);
    subject.near = sk_X509_new_null();
    subject.store = X509_STORE_new();
    WR_ASSERT(ca && ca_key && subject.cert && subject.near && subject.store);
    WR_ASSERT(X509_up_ref(ca) && sk_X509_push(subject.near, ca) &&
              X509_STORE_add_cert(subject.store, ca));
    subject.id = OCSP_cert_to_id(NULL, subject.cert, ca);
    WR_ASSERT(subject.id);
    BIO_free(a);
    BIO_free(b);
    BIO_free(c);
}

/* The same statements, signed by the issuer. NULL: it is no answer. */
static unsigned char *signed_anew(const uint8_t *data, size_t size, size_t *out_n)
{
    unsigned char *der = NULL;
    OCSP_RESPONSE *old = d2i_OCSP_RESPONSE(NULL, &data, (long)size), *made = NULL;
    OCSP_BASICRESP *basic = old ? OCSP_response_get1_basic(old) : NULL;
    if (basic && OCSP_basic_sign(basic, ca, ca_key, EVP_sha256(), NULL, OCSP_NOCERTS) == 1)
        made = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    int n = made ? i2d_OCSP_RESPONSE(made, &der) : 0;
    *out_n = n > 0 ? (size_t)n : 0;
    OCSP_RESPONSE_free(made);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(old);
    return n > 0 ? der : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ocsp_verdict verdict = {.status = -1};
    struct ocsp_why why = {0};
    if (!subject.id)
        set_up();
    uint8_t how = size ? data[0] : 0;
    size_t n = size ? size - 1 : 0;
    const void *answer = size ? data + 1 : data;
    unsigned char *made = how & 2 ? signed_anew(answer, n, &n) : NULL;
    if (how & 2 && !made)
        return 0;
    subject.verify = how & 1;
    bool good = ocsp_judge(&subject, wr_span(made ? made : answer, n), &verdict, &why);
    if (good)
        WR_ASSERT(verdict.left_s > 0 && verdict.status >= V_OCSP_CERTSTATUS_GOOD &&
                  verdict.status <= V_OCSP_CERTSTATUS_UNKNOWN);
    else
        WR_ASSERT(*why.what && *why.text);
    WR_ASSERT(ERR_peek_error() == 0);
    OPENSSL_free(made);
    return 0;
}
