/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/base64.h"

#include "libweir/base/err.h"
#include "tests/tap.h"

#include <string.h>

static void reads(const char *text, bool url, const char *want, size_t n)
{
    char out[64];
    size_t got = 0;
    is_int(wr_base64_decode(wr_span_str(text), url, out, &got), 0, "%s", text);
    is_int(got, n, "%s: length", text);
    ok(memcmp(out, want, n) == 0, "%s: bytes", text);
}

static void refuses(const char *text, bool url)
{
    char out[64];
    size_t got = 7;
    is_int(wr_base64_decode(wr_span_str(text), url, out, &got), WR_E_SYNTAX, "%s", text);
    is_int(got, 7, "%s: length untouched", text);
}

int main(void)
{
    reads("", false, "", 0);
    reads("Zg==", false, "f", 1);
    reads("Zm8=", false, "fo", 2);
    reads("Zm9v", false, "foo", 3);
    reads("Zm9vYmE", false, "fooba", 5);
    reads("dXNlcjpwYXNz", false, "user:pass", 9);
    reads("+/+/", false, "\xfb\xff\xbf", 3);
    reads("-_-_", true, "\xfb\xff\xbf", 3);
    refuses("-_-_", false);
    refuses("+/+/", true);
    refuses("Z", false);
    refuses("Zm9vY", false);
    refuses("Zm 9v", false);
    refuses("Zg==Zg==", false);
    refuses("Zg=x", false);
    return tap_done();
}
