/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONF_LEX_H
#define CONF_LEX_H

/*
 * Words of nginx's configuration grammar.
 *
 * A word ends at a space, a ';' or a '{'. It may stand in single or double quotes; then a space, ';', '{' or ')'
 * must follow it. A backslash keeps the next character from ending anything; before a quote, a backslash, and
 * t, r, n it goes away, elsewhere it stays (regular expressions need it). '{' behind '$' belongs to the word:
 * ${name}. '#' begins a comment where a word could begin, '}' closes a block only there.
 *
 * 1. A word holds no NUL byte and is NUL-terminated.
 * 2. Every token moves on, or is END or BAD, which come again for ever.
 *
 * For parse.c and the engine's defaults.
 */

#include "weir/conf/conf.h"

enum conf_token {
    CONF_WORD,
    CONF_SEMICOLON,
    CONF_OPEN,
    CONF_CLOSE,
    CONF_END,
    CONF_CUT, /* the text ended inside a word */
    CONF_BAD, /* bad names the character */
};

struct conf_lex {
    struct wr_span text;
    size_t at, line_start;
    uint32_t line;
    bool need_space; /* the last word was quoted */
    unsigned char bad;
};

void conf_lex_init(struct conf_lex *lex, struct wr_span text);
/* line and column of *out_word are set for every token. Negative: no memory. */
WR_MUST int conf_lex_next(struct conf_lex *lex, struct wr_arena *arena,
                          struct conf_word *out_word, enum conf_token *out_token);

#endif
