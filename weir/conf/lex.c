/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/conf/lex.h"

#include <errno.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void conf_lex_init(struct conf_lex *lex, struct wr_span text)
{
    *lex = (struct conf_lex){.text = text, .line = 1};
}

static bool at_end(const struct conf_lex *lex)
{
    return lex->at >= lex->text.n;
}

static char here(const struct conf_lex *lex)
{
    return lex->text.p[lex->at];
}

static void step(struct conf_lex *lex)
{
    if (here(lex) == '\n') {
        lex->line++;
        lex->line_start = lex->at + 1;
    }
    lex->at++;
}

static void skip_space(struct conf_lex *lex)
{
    for (; !at_end(lex); step(lex)) {
        if (is_space(here(lex))) {
            lex->need_space = false;
        } else if (here(lex) == '#' && !lex->need_space) {
            while (!at_end(lex) && here(lex) != '\n')
                step(lex);
            if (at_end(lex))
                return;
        } else {
            return;
        }
    }
}

/* Walks to the end of the word that begins here: false when the text ends first. A quote has been stepped over;
 * the closing one is left. */
static bool find_end(struct conf_lex *lex, char quote)
{
    bool variable = false;
    for (; !at_end(lex); step(lex)) {
        char c = here(lex);
        if (c == '{' && variable && !quote) {
            variable = false;
            continue;
        }
        variable = false;
        if (c == '\\') {
            step(lex);
            if (at_end(lex))
                return false;
        } else if (c == '$') {
            variable = true;
        } else if (quote ? c == quote : is_space(c) || c == ';' || c == '{') {
            return true;
        }
    }
    return false;
}

static char unescaped(char c)
{
    switch (c) {
    case '"':
    case '\'':
    case '\\':
        return c;
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'n':
        return '\n';
    default:
        return 0;
    }
}

static int copy_word(struct wr_arena *arena, struct wr_span raw, struct wr_span *out)
{
    char *p = wr_arena_alloc(arena, raw.n + 1);
    size_t n = 0;
    if (!p)
        return -ENOMEM;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i] == '\\' && i + 1 < raw.n ? unescaped(raw.p[i + 1]) : 0;
        p[n++] = c ? c : raw.p[i];
        i += c != 0;
    }
    p[n] = 0;
    *out = wr_span(p, n);
    return 0;
}

static int take_word(struct conf_lex *lex, struct wr_arena *arena, struct conf_word *word,
                     enum conf_token *out_token)
{
    char quote = here(lex) == '"' || here(lex) == '\'' ? here(lex) : 0;
    if (quote)
        step(lex);
    size_t from = lex->at;
    if (!find_end(lex, quote)) {
        *out_token = CONF_CUT;
        return 0;
    }
    struct wr_span raw = wr_span(lex->text.p + from, lex->at - from);
    if (wr_span_find_char(raw, 0) >= 0) {
        *out_token = CONF_BAD;
        lex->bad = 0;
        return 0;
    }
    if (quote)
        step(lex);
    word->quoted = lex->need_space = quote != 0;
    *out_token = CONF_WORD;
    return copy_word(arena, raw, &word->text);
}

int conf_lex_next(struct conf_lex *lex, struct wr_arena *arena, struct conf_word *out_word,
                  enum conf_token *out_token)
{
    skip_space(lex);
    *out_word = (struct conf_word){.text = WR_LIT(""),
                                   .line = lex->line,
                                   .column = (uint32_t)(lex->at - lex->line_start) + 1};
    if (at_end(lex)) {
        *out_token = CONF_END;
        return 0;
    }
    char c = here(lex);
    /* `if ($a = "b")`: the parenthesis may lean on the quote. */
    bool leans = lex->need_space && c == ')';
    if (lex->need_space && !leans && c != ';' && c != '{') {
        lex->bad = (unsigned char)c;
        *out_token = CONF_BAD;
        return 0;
    }
    lex->need_space = false;
    if (c != ';' && c != '{' && c != '}')
        return take_word(lex, arena, out_word, out_token);
    step(lex);
    *out_token = c == ';' ? CONF_SEMICOLON : c == '{' ? CONF_OPEN : CONF_CLOSE;
    return 0;
}
