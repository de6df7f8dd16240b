/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/logs_private.h"

#include "tests/tap.h"

#include <stdio.h>

static void escapes(const char *in, size_t n, enum log_escape kind, const char *want)
{
    char out[256];
    size_t made = log_escape(out, sizeof out - 1, wr_span(in, n), kind);
    out[made] = 0;
    is_str(out, want, "kind %d: %s", (int)kind, want);
}
#define ESCAPES(in, kind, want) escapes("" in, sizeof(in) - 1, kind, want)

static void test_kinds(void)
{
    ESCAPES("plain text, long enough for two words", LOG_ESCAPE_DEFAULT,
            "plain text, long enough for two words");
    ESCAPES("a\"b\\c\n\x7f\xfe\x1f", LOG_ESCAPE_DEFAULT, "a\\x22b\\x5Cc\\x0A\\x7F\\xFE\\x1F");
    ESCAPES("a\"b\\c\n\r\t\b\f\v\x01 \x7f\xc3\xbc", LOG_ESCAPE_JSON,
            "a\\\"b\\\\c\\n\\r\\t\\b\\f\\u000B\\u0001 \x7f\xc3\xbc");
    ESCAPES("a\"b\n", LOG_ESCAPE_NONE, "a\"b\n");
    ESCAPES("", LOG_ESCAPE_DEFAULT, "");
}

/* Every byte at every place of a word, against the rule written out plainly. */
static void test_every_byte(void)
{
    unsigned wrong = 0;
    for (unsigned c = 0; c < 256; c++)
        for (unsigned at = 0; at < 19; at++) {
            char in[20], out[128], want[128];
            memset(in, 'x', sizeof in);
            in[at] = (char)c;
            size_t n = log_escape(out, sizeof out, wr_span(in, 19), LOG_ESCAPE_DEFAULT), m = 0;
            for (unsigned i = 0; i < 19; i++) {
                unsigned char b = (unsigned char)in[i];
                if (b < 0x20 || b == '"' || b == '\\' || b > 0x7e)
                    m += (size_t)snprintf(want + m, sizeof want - m, "\\x%02X", b);
                else
                    want[m++] = (char)b;
            }
            wrong += n != m || memcmp(out, want, n) != 0;
        }
    is_int(wrong, 0, "4864 words as the rule says");
}

static void test_room(void)
{
    char out[16];
    unsigned over = 0;
    for (size_t room = 0; room <= sizeof out; room++) {
        memset(out, '#', sizeof out);
        size_t n = log_escape(out, room, WR_LIT("\x01\x02\x03\x04\x05"), LOG_ESCAPE_JSON);
        over += n > room || (room < sizeof out && out[room] != '#');
    }
    is_int(over, 0, "never behind its room");
}

int main(void)
{
    test_kinds();
    test_every_byte();
    test_room();
    return tap_done();
}
