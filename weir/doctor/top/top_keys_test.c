/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_keys.h"

#include "tests/tap.h"

/* The last key that these bytes make, and how many. */
static int last, many;

static void type(const char *bytes)
{
    struct top_keys k = {0};
    last = TOP_KEY_NONE;
    many = 0;
    for (; *bytes; bytes++) {
        int key = top_keys_feed(&k, (unsigned char)*bytes);
        many += key != TOP_KEY_NONE;
        last = key ? key : last;
    }
    int key = top_keys_end(&k);
    many += key != TOP_KEY_NONE;
    last = key ? key : last;
}

#define types(bytes, key, what)                 \
    do {                                        \
        type(bytes);                            \
        is_int(last, (key), what);              \
        is_int(many, (key) != 0, what ": one"); \
    } while (0)

int main(void)
{
    types("q", 'q', "a letter");
    types("\r", TOP_KEY_ENTER, "Enter");
    types("\n", TOP_KEY_ENTER, "Enter of a terminal that translates");
    types("\003", TOP_KEY_INTERRUPT, "Ctrl-C where it makes no signal");
    types("\033[A", TOP_KEY_UP, "arrow");
    types("\033OB", TOP_KEY_DOWN, "arrow of an application keypad");
    types("\033[1;5A", TOP_KEY_UP, "with Ctrl");
    types("\033[5~", TOP_KEY_PAGE_UP, "page up");
    types("\033[6~", TOP_KEY_PAGE_DOWN, "page down");
    types("\033[6;2~", TOP_KEY_PAGE_DOWN, "with Shift");
    types("\033[H", TOP_KEY_HOME, "home");
    types("\033[4~", TOP_KEY_END, "end");
    types("\033", TOP_KEY_ESCAPE, "Escape alone");
    types("\033[[A", TOP_KEY_NONE, "a function key of the Linux console");
    types("\033[15~", TOP_KEY_NONE, "a function key");
    types("\033[99999999999999999999999999~", TOP_KEY_NONE, "a number without end");
    types("\033x", TOP_KEY_NONE, "Alt and a letter");
    types("\xe4\xb8\xad", TOP_KEY_NONE, "a character that is no key");
    type("\033\033[B");
    is_int(many, 2, "Escape, then an arrow");
    is_int(last, TOP_KEY_DOWN, "the arrow is whole");
    type("\033[5\033[6~j");
    is_int(many, 2, "a sequence cut by another one");
    is_int(last, 'j', "leaves nothing behind");
    return tap_done();
}
