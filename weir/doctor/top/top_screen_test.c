/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top/top_screen.h"

#include "libweir/base/heap.h"
#include "libweir/base/rand.h"
#include "tests/tap.h"
#include "weir/stats/text.h"

static struct top_screen screen;
static struct stats_text text;

static const char *end(void)
{
    stats_put(&text, wr_span("", 1));
    return text.p;
}

static const char *shown(void)
{
    stats_text_free(&text);
    text = (struct stats_text){.heap = wr_heap_libc()};
    top_screen_text(&screen, &text);
    return end();
}

static void blank(unsigned rows, unsigned columns, bool utf8)
{
    if (top_screen_reset(&screen, wr_heap_libc(), rows, columns, utf8))
        abort();
}

static const char *one_line(struct wr_span s, unsigned columns, bool utf8)
{
    blank(1, columns, utf8);
    struct top_pen p = top_pen(&screen, 0, 0, columns);
    top_put(&p, s);
    return shown();
}

static void test_pen(void)
{
    is_str(one_line(WR_LIT("abc"), 5, true), "abc\n", "text");
    is_str(one_line(WR_LIT("abcdef"), 5, true), "abcd\xe2\x80\xa6\n", "cut, and said so");
    is_str(one_line(WR_LIT("abcdef"), 5, false), "abcd~\n", "cut, in ASCII");
    is_str(one_line(WR_LIT("abcde"), 5, false), "abcde\n", "exactly full");
    is_str(one_line(WR_LIT("a\033[2Jb"), 20, true), "a\\x1b[2Jb\n", "an escape is no escape");
    is_str(one_line(WR_LIT("a\\b"), 20, true), "a\\\\b\n", "nothing pretends to be escaped");
    is_str(one_line(WR_LIT("\xff"), 20, true), "\\xff\n", "broken UTF-8");
    is_str(one_line(WR_LIT("\xe2\x80\xae"), 20, true), "\\xe2\\x80\\xae\n",
           "a mark that turns the direction");
    is_str(one_line(WR_LIT("中文"), 20, true), "中文\n", "wide characters");
    is_str(one_line(WR_LIT("中文"), 20, false), "????\n", "as many columns in ASCII");
    is_str(one_line(WR_LIT("中文"), 4, true), "中文\n", "wide, exactly full");
    is_str(one_line(WR_LIT("中文"), 3, true), "中\xe2\x80\xa6\n", "no half of a character");
    is_str(one_line(WR_LIT("中文x"), 4, true), "中 \xe2\x80\xa6\n",
           "the mark of the cut takes the whole character away");
    is_str(one_line(WR_LIT("e\xcc\x81x"), 4, true), "e\xcc\x81x\n",
           "a mark rides on its letter");
    one_line(WR_LIT("e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81"), 4, true);
    ok(screen.cell[0].n <= sizeof screen.cell[0].text, "a tower of marks stays in its cell");
    is_int((int)top_width(WR_LIT("中\033\\")), 8, "width as it will be");
}

static void test_place(void)
{
    blank(2, 10, true);
    struct top_pen p = top_pen(&screen, 1, 2, 6);
    top_say(&p, "ab");
    top_to(&p, 5);
    top_printf(&p, "%d", 7);
    is_str(shown(), "\n  ab 7\n", "a pen begins and ends where it was told");
    top_say(&p, "more");
    is_str(shown(), "\n  ab \xe2\x80\xa6\n", "and does not leave its columns");
    p = top_pen(&screen, 2, 0, 10);
    top_say(&p, "below");
    top_fill(&p, TOP_BAR);
    is_str(shown(), "\n  ab \xe2\x80\xa6\n", "nor the screen");
    p = top_pen(&screen, 0, 99, 120);
    top_say(&p, "right of it");
    top_fill(&p, TOP_BAR);
    ok(screen.cell[9].style == TOP_BAR, "a fill reaches the end");
}

static const char *painted(const struct top_screen *before, bool colour)
{
    stats_text_free(&text);
    text = (struct stats_text){.heap = wr_heap_libc()};
    top_paint(&text, before, &screen, colour);
    return end();
}

static void draw(struct top_screen *s, const char *line, enum top_style style)
{
    if (top_screen_reset(s, wr_heap_libc(), 2, 12, true))
        abort();
    struct top_pen p = top_pen(s, 1, 0, 12);
    top_styled(&p, style, line);
}

static void test_paint(void)
{
    struct top_screen before = {0};
    draw(&screen, "ab", TOP_PLAIN);
    is_str(painted(NULL, true), "\033[0m\033[H\033[2J\033[2;1H\033[0mab\033[0m",
           "all of it: blanks are not written");
    draw(&before, "ab", TOP_PLAIN);
    is_str(painted(&before, true), "", "nothing new: no byte");
    draw(&before, "xb", TOP_PLAIN);
    is_str(painted(&before, true), "\033[2;1H\033[0ma\033[0m", "one cell");
    draw(&screen, "ab", TOP_BAD);
    is_str(painted(&before, true), "\033[2;1H\033[0;1;31mab\033[0m", "a style is a difference");
    is_str(painted(&before, false), "\033[2;1H\033[0;1mab\033[0m", "without colours");
    draw(&before, "a23456789b", TOP_PLAIN);
    draw(&screen, "x23456789y", TOP_PLAIN);
    is_str(painted(&before, true), "\033[2;1H\033[0mx\033[2;10Hy\033[0m",
           "jumps over what is equal");
    draw(&before, "a2345b", TOP_PLAIN);
    draw(&screen, "x2345y", TOP_PLAIN);
    is_str(painted(&before, true), "\033[2;1H\033[0mx2345y\033[0m", "writes a short gap again");
    draw(&before, "中b", TOP_PLAIN);
    draw(&screen, "xyb", TOP_PLAIN);
    is_str(painted(&before, true), "\033[2;1H\033[0mxy\033[0m",
           "narrow over wide: both halves");
    draw(&before, "a中", TOP_PLAIN);
    draw(&screen, "中b", TOP_PLAIN);
    is_str(painted(&before, true), "\033[2;1H\033[0m中b\033[0m", "wide moves by one");
    draw(&before, "ab文", TOP_PLAIN);
    draw(&screen, "ab中", TOP_PLAIN);
    is_str(painted(&before, true), "\033[2;3H\033[0m中\033[0m", "a wide character alone");
    top_screen_free(&before);
    before = (struct top_screen){0};
    if (top_screen_reset(&before, wr_heap_libc(), 3, 12, true))
        abort();
    ok(strncmp(painted(&before, true), "\033[0m\033[H\033[2J", 11) == 0,
       "another size: everything anew");
    top_screen_free(&before);
}

/* ---- a terminal that knows what the painter may send --------------------------------------------- */
static void cursor(const char **p, unsigned *row, unsigned *column)
{
    unsigned n[2] = {1, 1}, i = 0;
    *p += 2;
    for (bool first = true; **p == ';' || (**p >= '0' && **p <= '9'); (*p)++) {
        if (**p == ';')
            i = 1, first = true;
        else
            n[i] = first ? (unsigned)(**p - '0') : n[i] * 10 + (unsigned)(**p - '0'),
            first = false;
    }
    if (**p == 'H')
        *row = n[0] - 1, *column = n[1] - 1;
    (*p)++;
}

/* Writes the bytes into the cells as a terminal would: half a wide character takes the other half along. */
static void emulate(struct top_screen *s, const char *p)
{
    unsigned row = 0, column = 0;
    while (*p) {
        if (*p == 033) {
            if (strncmp(p, "\033[2J", 4) == 0)
                for (unsigned i = 0; i < s->rows * s->columns; i++)
                    s->cell[i] = (struct top_cell){.text = " ", .n = 1};
            cursor(&p, &row, &column);
            continue;
        }
        unsigned n = (unsigned char)*p < 0x80 ? 1 : 3; /* the test knows ASCII and Chinese */
        struct top_cell *c = &s->cell[row * s->columns + column];
        if (c->n == 0)
            c[-1] = (struct top_cell){.text = " ", .n = 1};
        if (column + n / 2 + 1 < s->columns && c[n / 2 + 1].n == 0)
            c[n / 2 + 1] = (struct top_cell){.text = " ", .n = 1};
        c->n = (uint8_t)n;
        memcpy(c->text, p, n);
        if (n == 3)
            c[1].n = 0;
        column += n == 3 ? 2 : 1;
        p += n;
    }
}

static void random_screen(struct top_screen *s, struct wr_rand *r)
{
    if (top_screen_reset(s, wr_heap_libc(), 3, 30, true))
        abort();
    for (unsigned i = 0; i < 8; i++) {
        unsigned at = (unsigned)wr_rand_below(r, 30);
        struct top_pen p = top_pen(s, (unsigned)wr_rand_below(r, 3), at & ~1U, 30);
        p.style = (enum top_style)wr_rand_below(r, TOP_STYLES);
        top_say(&p, wr_rand_below(r, 2) ? "中" : "xy");
    }
}

static void test_random(void)
{
    struct top_screen terminal = {0}, before = {0};
    struct wr_rand r;
    wr_rand_init(&r, 7);
    random_screen(&before, &r);
    random_screen(&terminal, &r);
    unsigned wrong = 0;
    for (unsigned i = 0; i < 2000; i++) {
        random_screen(&screen, &r);
        emulate(&terminal, painted(i ? &before : NULL, true));
        for (unsigned c = 0; c < 90; c++)
            wrong += terminal.cell[c].n != screen.cell[c].n ||
                     memcmp(terminal.cell[c].text, screen.cell[c].text, screen.cell[c].n) != 0;
        struct top_screen drawn = screen;
        screen = before;
        before = drawn;
    }
    is_int((int)wrong, 0, "two thousand screens, each painted over the one before");
    top_screen_free(&before);
    top_screen_free(&terminal);
}

int main(void)
{
    test_pen();
    test_place();
    test_paint();
    test_random();
    stats_text_free(&text);
    top_screen_free(&screen);
    top_screen_free(&screen);
    return tap_done();
}
