/* SPDX-License-Identifier: BSD-2-Clause */

/* Whether the answer of a responder counts. */

#include "weir/ssl/ssl_ocsp.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define SKEW_S 300

/* ---- the answer --------------------------------------------------------------------------------------------------- */

/* Of OpenSSL's queue only the latest reason is told. */
static bool refuse(struct ocsp_why *why, const char *what, const char *text)
{
    unsigned long e = ERR_peek_last_error();
    char reason[120] = "";
    if (e)
        ERR_error_string_n(e, reason, sizeof reason);
    ERR_clear_error();
    (void)snprintf(why->what, sizeof why->what, "%s", what);
    (void)snprintf(why->text, sizeof why->text, "%s%s%s%s", text, e ? " (SSL: " : "", reason,
                   e ? ")" : "");
    return false;
}

/* Its seconds from now on. */
static bool time_left(const ASN1_GENERALIZEDTIME *next, int64_t *out)
{
    int days, seconds;
    *out = INT64_MAX;
    if (!next)
        return true;
    if (ASN1_TIME_diff(&days, &seconds, NULL, next) != 1)
        return false;
    *out = (int64_t)days * 86400 + seconds;
    return *out > 0;
}

static bool judge_basic(const struct ocsp_subject *s, OCSP_BASICRESP *basic,
                        struct ocsp_verdict *out, struct ocsp_why *why)
{
    ASN1_GENERALIZEDTIME *since, *next;
    if (OCSP_basic_verify(basic, s->near, s->store,
                          s->verify ? OCSP_TRUSTOTHER : OCSP_NOVERIFY) != 1)
        return refuse(why, "OCSP_basic_verify()", "failed");
    if (OCSP_resp_find_status(basic, s->id, &out->status, NULL, NULL, &since, &next) != 1)
        return refuse(why, "certificate status", "not found in the OCSP response");
    if (OCSP_check_validity(since, next, SKEW_S, -1) != 1 || !time_left(next, &out->left_s))
        return refuse(why, "OCSP_check_validity()", "failed");
    ERR_clear_error();
    return true;
}

bool ocsp_judge(const struct ocsp_subject *s, struct wr_span answer, struct ocsp_verdict *out,
                struct ocsp_why *why)
{
    const unsigned char *p = (const unsigned char *)answer.p;
    ERR_clear_error();
    OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)answer.n);
    if (!r || p != (const unsigned char *)answer.p + answer.n) {
        OCSP_RESPONSE_free(r);
        return refuse(why, "d2i_OCSP_RESPONSE()", "failed");
    }
    int status = OCSP_response_status(r);
    char text[120];
    OCSP_BASICRESP *basic = NULL;
    bool good = false;
    if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        (void)snprintf(text, sizeof text, "not successful (%d: %s)", status,
                       OCSP_response_status_str(status));
        (void)refuse(why, "OCSP response", text);
    } else if (!(basic = OCSP_response_get1_basic(r))) {
        (void)refuse(why, "OCSP_response_get1_basic()", "failed");
    } else {
        good = judge_basic(s, basic, out, why);
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(r);
    return good;
}
