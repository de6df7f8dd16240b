/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/report/plain.h"

#include "weir/stats/text.h"

struct range {
    int32_t from, to;
};

static bool within(const struct range *r, size_t n, int32_t c)
{
    for (size_t i = 0; i < n; i++) {
        if (c >= r[i].from && c <= r[i].to)
            return true;
    }
    return false;
}

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

int32_t plain_next(struct wr_span s, size_t *at)
{
    static const int32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)s.p[(*at)++];
    if (first < 0x80)
        return first;
    unsigned n = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
    if (n == 0 || first >= 0xf5 || s.n - *at < n - 1)
        return -1;
    int32_t c = first & (0xff >> (n + 1));
    for (unsigned i = 0; i < n - 1; i++) {
        if (!is_tail(s.p[*at + i]))
            return -1;
        c = c << 6 | (s.p[*at + i] & 0x3f);
    }
    if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return -1;
    *at += n - 1;
    return c;
}

bool plain_printable(int32_t point)
{
    /* Controls; soft hyphen; zero width and direction; private use; tags and beyond. */
    static const struct range no[] = {
        {-1,      0x1f    },
        {0x7f,    0x9f    },
        {0xad,    0xad    },
        {0x61c,   0x61c   },
        {0x180b,  0x180f  },
        {0x200b,  0x200f  },
        {0x2028,  0x202e  },
        {0x2060,  0x206f  },
        {0xe000,  0xf8ff  },
        {0xfe00,  0xfe0f  },
        {0xfeff,  0xfeff  },
        {0xfff0,  0xfffb  },
        {0xe0000, 0x10ffff}
    };
    return !within(no, sizeof no / sizeof *no, point);
}

unsigned plain_columns(int32_t point)
{
    static const struct range wide[] = {
        {0x1100,  0x115f },
        {0x2e80,  0xa4cf },
        {0xac00,  0xd7a3 },
        {0xf900,  0xfaff },
        {0xfe30,  0xfe6f },
        {0xff00,  0xff60 },
        {0xffe0,  0xffe6 },
        {0x1f300, 0x1faff},
        {0x20000, 0x3fffd}
    };
    static const struct range none[] = {
        {0x300,  0x36f },
        {0x20d0, 0x20ff}
    };
    if (within(none, sizeof none / sizeof *none, point))
        return 0;
    return within(wide, sizeof wide / sizeof *wide, point) ? 2 : 1;
}

bool plain_closes(int32_t point)
{
    static const struct range closing[] = {
        {0x3001, 0x3002},
        {0x3009, 0x3009},
        {0x300b, 0x300b},
        {0x300d, 0x300d},
        {0xff01, 0xff01},
        {0xff09, 0xff09},
        {0xff0c, 0xff0c},
        {0xff1a, 0xff1b},
        {0xff1f, 0xff1f}
    };
    return within(closing, sizeof closing / sizeof *closing, point);
}

void plain_put(struct stats_text *out, struct wr_span s)
{
    for (size_t at = 0; at < s.n;) {
        size_t from = at;
        int32_t c = plain_next(s, &at);
        if (c == '\\')
            stats_put(out, WR_LIT("\\\\"));
        else if (plain_printable(c))
            stats_put(out, wr_span(s.p + from, at - from));
        else
            for (; from < at; from++)
                stats_printf(out, "\\x%02x", (unsigned char)s.p[from]);
    }
}
