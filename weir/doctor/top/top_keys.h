/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_TOP_KEYS_H
#define DOCTOR_TOP_KEYS_H

/*
 * Keys from the bytes that a terminal sends.
 *
 *   GROUND --ESC--> ESC --'['--> CSI --final byte--> GROUND
 *                       --'O'--> SS3 --any byte----> GROUND
 *
 * Bytes come one at a time and may be cut anywhere. A lone ESC is told from the begin of a sequence by time
 * only: the caller waits a moment and then calls top_keys_end.
 *
 * 1. Any bytes are allowed; what is no known key is TOP_KEY_NONE, and a sequence never leaves its tail behind
 *    as keys.
 * 2. A sequence costs no memory however long it is.
 */

#include <stdbool.h>
#include <stdint.h>

enum top_key { /* printable ASCII stands for itself */
    TOP_KEY_NONE = 0,
    TOP_KEY_INTERRUPT = 3,
    TOP_KEY_REDRAW = 12,
    TOP_KEY_ENTER = 13,
    TOP_KEY_ESCAPE = 27,
    TOP_KEY_UP = 256,
    TOP_KEY_DOWN,
    TOP_KEY_LEFT,
    TOP_KEY_RIGHT,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
};

/* Zeroed: nothing has come yet. */
struct top_keys {
    /* private */
    uint8_t state;
    uint32_t number;
    bool first; /* number is still the first of the sequence */
};

int top_keys_feed(struct top_keys *k, unsigned char byte);
/* No byte has come for a while. */
int top_keys_end(struct top_keys *k);
/* Bytes of a sequence have come and not its end. */
bool top_keys_pending(const struct top_keys *k);

#endif
