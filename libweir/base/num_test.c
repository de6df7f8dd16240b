/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/err.h"
#include "libweir/base/num.h"
#include "tests/tap.h"

typedef int parser(struct wr_span, uint64_t *);

struct row {
    const char *text;
    int err;
    uint64_t want;
};

static const struct row integers[] = {
    {"0",                        0,           0         },
    {"007",                      0,           7         },
    {"18446744073709551615",     0,           UINT64_MAX},
    {"18446744073709551616",     WR_E_RANGE,  0         },
    {"99999999999999999999999",  WR_E_RANGE,  0         },
    {"99999999999999999999999x", WR_E_SYNTAX, 0         },
    {"",                         WR_E_SYNTAX, 0         },
    {"-1",                       WR_E_SYNTAX, 0         },
    {"+1",                       WR_E_SYNTAX, 0         },
    {" 1",                       WR_E_SYNTAX, 0         },
    {"1 ",                       WR_E_SYNTAX, 0         },
    {"0x1",                      WR_E_SYNTAX, 0         },
};
static const struct row hexes[] = {
    {"fF",                0,           255       },
    {"ffffffffffffffff",  0,           UINT64_MAX},
    {"10000000000000000", WR_E_RANGE,  0         },
    {"g",                 WR_E_SYNTAX, 0         },
    {"",                  WR_E_SYNTAX, 0         },
};
static const struct row sizes[] = {
    {"16k",                   0,           16384               },
    {"1M",                    0,           1 << 20             },
    {"1g",                    0,           1 << 30             },
    {"5",                     0,           5                   },
    {"0k",                    0,           0                   },
    {"17179869183g",          0,           17179869183ULL << 30},
    {"17179869184g",          WR_E_RANGE,  0                   },
    {"k",                     WR_E_SYNTAX, 0                   },
    {"1kb",                   WR_E_SYNTAX, 0                   },
    {"1 k",                   WR_E_SYNTAX, 0                   },
    {"1t",                    WR_E_SYNTAX, 0                   },
    {"99999999999999999999t", WR_E_SYNTAX, 0                   },
    {"99999999999999999999k", WR_E_RANGE,  0                   },
};
static const struct row times[] = {
    {"30s",                     0,           30000      },
    {"1h30m",                   0,           5400000    },
    {"500ms",                   0,           500        },
    {"60",                      0,           60000      },
    {"1h 30m",                  0,           5400000    },
    {"1m30",                    0,           90000      },
    {"1y",                      0,           31536000000},
    {"1M",                      0,           2592000000 },
    {"2w",                      0,           1209600000 },
    {"1d1ms",                   0,           86400001   },
    {"1s1ms",                   0,           1001       },
    {"0",                       0,           0          },
    {"",                        WR_E_SYNTAX, 0          },
    {"s",                       WR_E_SYNTAX, 0          },
    {"1m1h",                    WR_E_SYNTAX, 0          },
    {"1s1s",                    WR_E_SYNTAX, 0          },
    {"1s ",                     WR_E_SYNTAX, 0          },
    {" 1s",                     WR_E_SYNTAX, 0          },
    {"1 s",                     WR_E_SYNTAX, 0          },
    {"1x",                      WR_E_SYNTAX, 0          },
    {"1s2",                     WR_E_SYNTAX, 0          },
    {"-1s",                     WR_E_SYNTAX, 0          },
    {"18446744073709551615ms",  0,           UINT64_MAX },
    {"18446744073709551s616ms", WR_E_RANGE,  0          },
    {"18446744073709552s",      WR_E_RANGE,  0          },
};

static void run(parser *parse, const struct row *rows, size_t n, const char *kind)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v = 4711;
        int err = parse(wr_span_str(rows[i].text), &v);
        ok(err == rows[i].err && v == (err ? 4711 : rows[i].want), "%s \"%s\"", kind,
           rows[i].text);
    }
}

static void test_print(void)
{
    char t[WR_NUM_TEXT];
    uint64_t v = 4711;
    int64_t i = 0;
    is_int(wr_num_print_u64(t, UINT64_MAX), 20, "length");
    is_str(t, "18446744073709551615", "largest");
    (void)wr_num_print_i64(t, INT64_MIN);
    is_str(t, "-9223372036854775808", "smallest");
    ok(wr_num_parse_i64(wr_span_str(t), &i) == 0 && i == INT64_MIN, "and back");
    is_int(wr_num_parse_i64(WR_LIT("9223372036854775808"), &i), WR_E_RANGE, "one too many");
    is_int(wr_num_parse_i64(WR_LIT("-9223372036854775809"), &i), WR_E_RANGE, "one too few");
    is_int(wr_num_parse_i64(WR_LIT("-"), &i), WR_E_SYNTAX, "only a sign");
    (void)wr_num_print_hex(t, 0xbeef);
    is_str(t, "beef", "hex");
    (void)wr_num_print_size(t, 16384);
    is_str(t, "16k", "size");
    (void)wr_num_print_size(t, 16385);
    is_str(t, "16385", "uneven size");
    (void)wr_num_print_duration(t, 5400500);
    is_str(t, "1h30m500ms", "duration");
    (void)wr_num_print_duration(t, 0);
    is_str(t, "0s", "none");
    ok(wr_num_print_duration(t, UINT64_MAX) < WR_NUM_TEXT, "the longest fits: %s", t);
    is_int(wr_num_parse_between(WR_LIT("70000"), 1, 65535, &v), WR_E_RANGE, "over");
    is_int(wr_num_parse_between(WR_LIT("0"), 1, 65535, &v), WR_E_RANGE, "under");
    ok(wr_num_parse_between(WR_LIT("80"), 1, 65535, &v) == 0 && v == 80, "between");
}

int main(void)
{
    run(wr_num_parse_u64, integers, WR_ARRAY_LEN(integers), "integer");
    run(wr_num_parse_hex, hexes, WR_ARRAY_LEN(hexes), "hex");
    run(wr_num_parse_size, sizes, WR_ARRAY_LEN(sizes), "size");
    run(wr_num_parse_duration, times, WR_ARRAY_LEN(times), "duration");
    test_print();
    return tap_done();
}
