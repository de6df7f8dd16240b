/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_keys.h"

enum state {
    GROUND,
    ESC,
    CSI,
    CSI_FUNCTION, /* the Linux console's "ESC [ [ A" */
    SS3,
};

static int letter(unsigned char c)
{
    switch (c) {
    case 'A':
        return TOP_KEY_UP;
    case 'B':
        return TOP_KEY_DOWN;
    case 'C':
        return TOP_KEY_RIGHT;
    case 'D':
        return TOP_KEY_LEFT;
    case 'H':
        return TOP_KEY_HOME;
    case 'F':
        return TOP_KEY_END;
    case 'M': /* Enter of the keypad, after SS3 */
        return TOP_KEY_ENTER;
    default:
        return TOP_KEY_NONE;
    }
}

static int tilde(uint32_t number)
{
    switch (number) {
    case 1:
    case 7:
        return TOP_KEY_HOME;
    case 4:
    case 8:
        return TOP_KEY_END;
    case 5:
        return TOP_KEY_PAGE_UP;
    case 6:
        return TOP_KEY_PAGE_DOWN;
    default:
        return TOP_KEY_NONE;
    }
}

static int ground(unsigned char c)
{
    if (c == '\n')
        return TOP_KEY_ENTER;
    if ((c >= ' ' && c < 0x7f) || c == TOP_KEY_INTERRUPT || c == TOP_KEY_REDRAW ||
        c == TOP_KEY_ENTER)
        return c;
    return TOP_KEY_NONE;
}

static int csi(struct top_keys *k, unsigned char c)
{
    if (c >= '0' && c <= '9') {
        if (k->first && k->number < 1000)
            k->number = k->number * 10 + (c - '0');
        return TOP_KEY_NONE;
    }
    if (c == '[') {
        k->state = CSI_FUNCTION;
        return TOP_KEY_NONE;
    }
    if (c < 0x40 || c > 0x7e) { /* separators and intermediate bytes */
        k->first = false;
        return TOP_KEY_NONE;
    }
    k->state = GROUND;
    return c == '~' ? tilde(k->number) : c == 'M' ? TOP_KEY_NONE : letter(c);
}

int top_keys_feed(struct top_keys *k, unsigned char c)
{
    if (c == TOP_KEY_ESCAPE) {
        int before = k->state == ESC ? TOP_KEY_ESCAPE : TOP_KEY_NONE;
        *k = (struct top_keys){.state = ESC, .first = true};
        return before;
    }
    switch ((enum state)k->state) {
    case ESC:
        k->state = c == '[' ? CSI : c == 'O' ? SS3 : GROUND;
        return TOP_KEY_NONE; /* with Alt: no key of ours */
    case CSI:
        return csi(k, c);
    case CSI_FUNCTION:
        k->state = GROUND;
        return TOP_KEY_NONE;
    case SS3:
        k->state = GROUND;
        return letter(c);
    case GROUND:
        break;
    }
    return ground(c);
}

int top_keys_end(struct top_keys *k)
{
    int key = k->state == ESC ? TOP_KEY_ESCAPE : TOP_KEY_NONE;
    *k = (struct top_keys){0};
    return key;
}

bool top_keys_pending(const struct top_keys *k)
{
    return k->state != GROUND;
}
