/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/conn/codec.h"

#include "libweir/base/err.h"
#include "tests/tap.h"

struct want {
    const char *name;
    struct wr_codec c;
    struct wr_span in;
    const char *frames; /* "a|b|" then "!" for TOO_BIG, "?" for PROTO, "" for MORE */
};

static const struct want table[] = {
    {"lines",                       WR_CODEC_LINES(8),                      WR_LIT("ab\r\n\ncd\n"),    "ab||cd|" },
    {"a line in the making",        WR_CODEC_LINES(8),                      WR_LIT("ab\ncd"),          "ab|"     },
    {"the longest line",            WR_CODEC_LINES(3),                      WR_LIT("abc\r\nabc\n"),    "abc|abc|"},
    {"a line too long",             WR_CODEC_LINES(3),                      WR_LIT("abcd\n"),          "!"       },
    {"too long and unfinished",     WR_CODEC_LINES(3),                      WR_LIT("abcd"),            "!"       },
    {"a CR inside",                 WR_CODEC_LINES(3),                      WR_LIT("abc\rd"),          "!"       },
    {"len16",                       WR_CODEC_LEN16(8),                      WR_LIT("\0\2ab\0\0\0\1c"), "ab||c|"  },
    {"len32 too big at once",       WR_CODEC_LEN32(8),                      WR_LIT("\0\0\0\11"),       "!"       },
    {"len32 short",                 WR_CODEC_LEN32(8),                      WR_LIT("\0\0\0\3ab"),      ""        },
    {"8 bytes, absurd",
     {.kind = WR_CODEC_LENGTH, .width = 8},
     WR_LIT("\377\377\377\377\377\377\377\377"),
     "!"                                                                                                         },
    {"little endian",
     {.kind = WR_CODEC_LENGTH, .width = 2, .little_endian = true},
     WR_LIT("\2\0ab"),
     "ab|"                                                                                                       },
    {"offset and a longer header",
     {.kind = WR_CODEC_LENGTH, .width = 1, .offset = 1, .header_bytes = 3},
     WR_LIT("T\2XabT\0X"),
     "ab||"                                                                                                      },
    {"whole",
     {.kind = WR_CODEC_LENGTH, .width = 1, .offset = 1, .whole = true},
     WR_LIT("T\001aU\001b"),
     "T\001a|U\001b|"                                                                                            },
    {"counts its header",
     {.kind = WR_CODEC_LENGTH, .width = 1, .counts_header = true},
     WR_LIT("\3ab\1"),
     "ab||"                                                                                                      },
    {"counts less than its header",
     {.kind = WR_CODEC_LENGTH, .width = 1, .counts_header = true},
     WR_LIT("\0"),
     "?"                                                                                                         },
    {"varint",                      WR_CODEC_VARINT(300),                   WR_LIT("\2ab\200\0\1c"),   "ab||c|"  },
    {"varint without end",          WR_CODEC_VARINT(300),
     WR_LIT("\200\200\200\200\200\200\200\200\200\200"),                                               "?"       },
    {"varint too big",              WR_CODEC_VARINT(300),                   WR_LIT("\255\2"),          "!"       },
};

static void decode(const struct want *w, size_t piece, char *out)
{
    struct wr_codec_scan scan = {0};
    struct wr_frame f;
    size_t at = 0, known = 0;
    for (;;) {
        enum wr_codec_step s =
            wr_codec_next(&w->c, &scan, wr_span(w->in.p + at, known - at), &f);
        if (s == WR_CODEC_FRAME) {
            memcpy(out, w->in.p + at + f.at, f.n);
            out[f.n] = '|';
            out += f.n + 1;
            at += f.total;
        } else if (s == WR_CODEC_BAD) {
            *out++ = f.err == WR_E_TOO_BIG ? '!' : '?';
            break;
        } else if (known == w->in.n) {
            break;
        } else {
            known += w->in.n - known < piece ? w->in.n - known : piece;
        }
    }
    *out = 0;
}

static void test_decode(void)
{
    for (size_t i = 0; i < WR_ARRAY_LEN(table); i++)
        for (size_t piece = 1; piece <= table[i].in.n; piece++) {
            char out[128];
            decode(&table[i], piece, out);
            is_str(out, table[i].frames, "%s, in pieces of %zu", table[i].name, piece);
        }
}

static void test_check(void)
{
    struct wr_codec c = WR_CODEC_LEN32(0);
    is_int(wr_codec_check(&c), 0, "len32");
    is_int(wr_codec_max(&c), WR_CODEC_MAX_DEFAULT, "a maximum from birth");
    c.width = 3;
    is_int(wr_codec_check(&c), WR_E_RANGE, "no width of three");
    c = (struct wr_codec){.kind = WR_CODEC_LENGTH, .width = 4, .offset = 4, .header_bytes = 7};
    is_int(wr_codec_check(&c), WR_E_RANGE, "header shorter than its length");
    c = (struct wr_codec){.kind = WR_CODEC_LENGTH, .whole = true};
    is_int(wr_codec_check(&c), WR_E_RANGE, "whole varint");
    c = (struct wr_codec){.kind = WR_CODEC_LENGTH, .width = 8, .offset = 60};
    is_int(wr_codec_check(&c), WR_E_RANGE, "header over its maximum");
}

static void test_wrap_refuses(void)
{
    struct wr_codec line = WR_CODEC_LINES(3), len = WR_CODEC_LEN16(100000);
    struct wr_wrap w;
    static const char big[65536];
    is_int(wr_codec_wrap(&line, WR_LIT("abcd"), &w), WR_E_TOO_BIG, "line too long");
    is_int(wr_codec_wrap(&line, WR_LIT("a\nb"), &w), WR_E_PROTO, "line end inside");
    is_int(wr_codec_wrap(&line, WR_LIT("ab\r"), &w), WR_E_PROTO, "would lose its CR");
    is_int(wr_codec_wrap(&len, wr_span(big, 65536), &w), WR_E_TOO_BIG, "over two bytes");
    is_int(wr_codec_wrap(&len, wr_span(big, 65535), &w), 0, "just two bytes");
    len.whole = true;
    is_int(wr_codec_wrap(&len, WR_LIT("x"), &w), WR_E_PROTO, "less than a header");
}

static void test_varint_counts_itself(void)
{
    static const char zeros[40000];
    static char wire[40064];
    struct wr_codec c = {.kind = WR_CODEC_LENGTH, .max = 40000, .counts_header = true};
    size_t edges[] = {0, 1, 125, 126, 127, 128, 16380, 16381, 16382, 16383, 16384, 40000};
    for (size_t i = 0; i < WR_ARRAY_LEN(edges); i++) {
        struct wr_wrap w;
        struct wr_codec_scan scan = {0};
        struct wr_frame f;
        is_int(wr_codec_wrap(&c, wr_span(zeros, edges[i]), &w), 0, "wrap %zu", edges[i]);
        memcpy(wire, w.head, w.head_n);
        memset(wire + w.head_n, 0, edges[i]);
        is_int(wr_codec_next(&c, &scan, wr_span(wire, w.head_n + edges[i]), &f), WR_CODEC_FRAME,
               "%zu comes back", edges[i]);
        is_int(f.n, edges[i], "with its length");
    }
}

int main(void)
{
    test_decode();
    test_check();
    test_wrap_refuses();
    test_varint_counts_itself();
    return tap_done();
}
