/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/access/password.h"

#include "libweir/base/err.h"
#include "tests/tap.h"

static const struct {
    const char *password, *stored;
} vectors[] = {
  /* made by `openssl passwd` and `htpasswd` */
    {"test",                         "$apr1$abcdefgh$/cesMUEGhga5MgaTGywaW0"                       },
    {"test",                         "$apr1$x$MaNxRCuijmLhGdSKbVDfn0"                              },
    {"a",                            "$apr1$abcdefgh$G8IsPsylW5ROvIKsQMRG61"                       },
    {"correct horse battery staple", "$apr1$abcdefgh$5MT.bUwCwhCf2blpqTwiG/"                       },
    {"correct horse battery staple", "$apr1$x$mZJDCruwLZyjk80V2jNUr0"                              },
    {"",                             "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie."                       },
    {"test",                         "$2y$04$SEunBu.FQ04bLYLIiemRP.l33NXyBoQysbnyj0ajv56v3PuFNr2pK"},
    {"test",
     "$6$saltstring$ZaKVNWbveiGcCq16EkwiSQlt9qdrq2SpD7228mu4mx8wJCGfB34lPhtxQVdO6NHC4yEV"
     "lMJBxcIh3g6eko7AB."                                                                          },
    {"test",                         "$5$saltstring$uzdVN3XcAOYKRlFzn8F5/iMpo99aMD8sXQTYY9P10Z8"   },
    {"test",                         "$1$abcdefgh$irWbblnpmw.5z7wgBnprh0"                          },
    {"test",                         "xKT3WiKMVZ6TM"                                               },
    {"test",                         "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="                           },
    {"test",                         "{SSHA}9DgilxbKtDVpSW86NjCzcnUkuBtzYWx0"                      },
    {"test",                         "{PLAIN}test"                                                 },
};

static void test_vectors(void)
{
    for (unsigned i = 0; i < WR_ARRAY_LEN(vectors); i++) {
        struct wr_span stored = wr_span_str(vectors[i].stored);
        char wrong[64];
        (void)snprintf(wrong, sizeof wrong, "%sx", vectors[i].password);
        is_int(password_check(vectors[i].password, stored), 1, "right: %.12s", stored.p);
        is_int(password_check(wrong, stored), 0, "wrong: %.12s", stored.p);
    }
}

static void test_broken(void)
{
    static const char *const broken[] = {
        "",  "{SHA}***", "{SHA}QQ==", "{SSHA}QQ==", "$apr1$nosalt", "$9$what$ever",
        "x", "{SSHA}"};
    for (unsigned i = 0; i < WR_ARRAY_LEN(broken); i++)
        ok(password_check("test", wr_span_str(broken[i])) <= 0, "no way in: \"%s\"", broken[i]);
    is_int(password_check("", WR_LIT("")), 0, "nothing stored lets nobody in");
}

static void test_file(void)
{
    static const struct wr_span file = WR_LIT("# a comment: x\nann:secret:her remark\r\n"
                                              "bob:{PLAIN}b\r\n\nnocolon\nann:other\ncarl:");
    struct wr_span s = {0};
    ok(password_find(file, WR_LIT("ann"), &s) && wr_span_eq(s, WR_LIT("secret")),
       "first of two");
    ok(password_find(file, WR_LIT("bob"), &s) && wr_span_eq(s, WR_LIT("{PLAIN}b")), "CRLF");
    ok(password_find(file, WR_LIT("carl"), &s) && s.n == 0, "last line, nothing stored");
    ok(!password_find(file, WR_LIT("an"), &s), "a part of a name is nobody");
    ok(!password_find(file, WR_LIT("nocolon"), &s), "a line without a colon is nobody's");
    ok(!password_find(file, WR_LIT("# a comment"), &s), "nor is a comment");
}

int main(void)
{
    test_vectors();
    test_broken();
    test_file();
    return tap_done();
}
