/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/record_fields.h"

#define ROW(word, list, type) static const struct record_field word##_fields[] = {
#define FIELD(type, member, kind)                           \
    {#member, RECORD_##kind, offsetof(struct type, member), \
     sizeof(((const struct type *)0)->member)},
#define END_ROW() \
    }             \
    ;
#include "weir/doctor/look/record.def"

const struct record_row record_rows[RECORD_ROWS] = {
#define ROW(word, list, type)                                                              \
    {#word, word##_fields, WR_ARRAY_LEN(word##_fields), offsetof(struct facts_look, list), \
     sizeof(struct type)},
#define FIELD(type, member, kind)
#define END_ROW()
#include "weir/doctor/look/record.def"
};

#define ROW(word, list, type)                                            \
    _Static_assert(sizeof(struct type) <= RECORD_ROW_MAX &&              \
                       WR_ARRAY_LEN(word##_fields) <= RECORD_FIELDS_MAX, \
                   "room for a row of " #word);
#define FIELD(type, member, kind)
#define END_ROW()
#include "weir/doctor/look/record.def"

const char *const record_counter[FACTS_COUNTERS] = {
#define COUNTER(id, group, name) #id,
#define SYSCTL(id, path)
#include "weir/doctor/look/facts.def"
};

const char *const record_sysctl[FACTS_SYSCTLS] = {
#define COUNTER(id, group, name)
#define SYSCTL(id, path) #id,
#include "weir/doctor/look/facts.def"
};
