/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_run.h"
#include "weir/stats/text.h"

#include <errno.h>
#include <stdio.h>

#define ESCAPE_MS  50
#define MESSAGE_NS 5000000000U
#define PULSE_WORTH \
    1500 /* ms: where whole looks come this often, queues need no look of their own */

/* ---- the screen ------------------------------------------------------------------------------------- */
int top_draw(struct top *t)
{
    int err = top_screen_reset(&t->now, t->heap, t->rows, t->columns, t->utf8);
    if (err)
        return err;
    return top_view(&t->now, &t->model, t->judged ? t->found : NULL, &t->ui, t->heap);
}

/* What changed since the last one, in one write. */
static int show(struct top *t)
{
    int err = top_draw(t);
    struct stats_text out = {.heap = t->heap};
    if (err)
        return err;
    top_paint(&out, t->painted ? &t->shown : NULL, &t->now, t->colour);
    err = out.failed ? -ENOMEM : top_tty_write(&t->tty, wr_span(out.p, out.n));
    stats_text_free(&out);
    struct top_screen drawn = t->now;
    t->now = t->shown;
    t->shown = drawn;
    t->painted = true;
    return err;
}

/* ---- what happens next ------------------------------------------------------------------------------ */
/* ms until the next step; what is due comes as 0. */
static int due_ms(const struct top *t)
{
    uint64_t past = top_round_ms(t), at = t->ui.every_ms;
    if (t->ui.recording || t->ui.paused)
        return t->ui.message[0] ? 1000 : -1;
    if (top_round_glance_ms(t) < at)
        at = top_round_glance_ms(t);
    if (t->ui.every_ms >= PULSE_WORTH) {
        uint64_t next = (t->pulse_ns - t->round_ns) / TOP_MS + t->ui.interval_ms;
        at = next < at ? next : at;
    }
    return at > past ? (int)(at - past) : 0;
}

static void forget_message(struct top *t)
{
    if (t->ui.message[0] && top_now_ns() - t->message_ns > MESSAGE_NS)
        t->ui.message[0] = '\0';
}

static int finish_round(struct top *t)
{
    int err = top_round_look(t);
    if (!err)
        err = show(t);
    top_round_account(t);
    top_round_begin(t);
    return err ? err : top_source_next(t->source);
}

/* Takes the step that is due: a whole look, a glance or a pulse. */
static int step(struct top *t)
{
    uint64_t past = top_round_ms(t);
    forget_message(t);
    if (t->ui.recording || t->ui.paused)
        return show(t);
    if (past >= t->ui.every_ms)
        return finish_round(t);
    if (past >= top_round_glance_ms(t))
        return top_round_glance(t);
    int err = top_round_pulse(t);
    return err ? err : show(t);
}

static bool act(struct top *t, enum top_act what)
{
    switch (what) {
    case TOP_ACT_QUIT:
        return false;
    case TOP_ACT_RECORD:
        if (t->ui.recording)
            top_say_message(t, WORD(t->ui.lang, TOP_M_RECORDING), "");
        else
            top_say_message(t, WORD(t->ui.lang, TOP_M_RECORD), "");
        t->record = !t->ui.recording;
        break;
    case TOP_ACT_REDRAW:
        t->painted = false;
        break;
    case TOP_ACT_LOOK:
        t->message_ns = top_now_ns();
        top_round_account(t);
        break;
    case TOP_ACT_NONE:
        break;
    }
    return true;
}

static bool typed(struct top *t, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int key = top_keys_feed(&t->keys, bytes[i]);
        if (key && !act(t, top_ui_key(&t->ui, key)))
            return false;
    }
    return true;
}

static bool on_event(struct top *t, enum top_event event, const unsigned char *bytes, size_t n)
{
    int key;
    switch (event) {
    case TOP_EVENT_KEYS:
        return typed(t, bytes, n);
    case TOP_EVENT_RESIZE:
        top_tty_size(&t->tty, &t->rows, &t->columns);
        return true;
    case TOP_EVENT_RESUME:
        top_tty_size(&t->tty, &t->rows, &t->columns);
        t->painted = false;
        return true;
    case TOP_EVENT_END:
        return false;
    case TOP_EVENT_NONE:
        break;
    }
    key = top_keys_pending(&t->keys) ? top_keys_end(&t->keys) : TOP_KEY_NONE;
    return key == TOP_KEY_NONE || act(t, top_ui_key(&t->ui, key));
}

static int go_on(struct top *t)
{
    int err = show(t), signal = 0;
    while (!err) {
        unsigned char bytes[64];
        size_t n = 0;
        int wait = due_ms(t);
        if (top_keys_pending(&t->keys) && (wait < 0 || wait > ESCAPE_MS))
            wait = ESCAPE_MS;
        enum top_event event = top_tty_wait(&t->tty, wait, bytes, sizeof bytes, &n, &signal);
        if (!on_event(t, event, bytes, n))
            break;
        err = event == TOP_EVENT_NONE && due_ms(t) <= 0 ? step(t) : show(t);
    }
    if (signal && signal != SIGINT)
        t->status = TOP_SIGNAL + signal;
    return err;
}

int top_loop(struct top *t)
{
    int err = top_tty_open(&t->tty);
    if (err)
        return err;
    top_tty_size(&t->tty, &t->rows, &t->columns);
    err = top_tty_enter(&t->tty);
    if (!err)
        err = go_on(t);
    top_tty_close(&t->tty);
    if (err == -EIO || err == -EPIPE)
        err = 0; /* the terminal has gone: nobody is left to tell */
    return err;
}
