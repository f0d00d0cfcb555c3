// SPDX-License-Identifier: Apache-2.0
/* selector.h - label and field selectors as queries: parse once, match often, print in canonical form.
 * Everything of a query lives in the arena it was made with; queries are immutable.  Pure, any thread.
 *
 * What "no selector" means differs by caller, so it is said at the making:
 *   label_query_parse("")            everything (the labelSelector parameter of list and watch)
 *   label_query_from(NULL, ...)      nothing    (metav1.LabelSelector: nil selects nothing, {} everything)
 *   label_query_from_map(empty map)  everything (service and RC selectors; services check for emptiness first) */
#ifndef CKUBE_API_SELECTOR_H
#define CKUBE_API_SELECTOR_H

#include "common/api/type.h"
#include "common/base/arena.h"
#include "common/base/kerr.h"
#include "common/base/sbuf.h"

struct label_selector; /* metav1.LabelSelector */

enum label_op { LABEL_IN, LABEL_NOT_IN, LABEL_EQUALS, LABEL_DOUBLE_EQUALS, LABEL_NOT_EQUALS, LABEL_EXISTS, LABEL_NOT_EXISTS,
                LABEL_GREATER, LABEL_LESS };

struct label_requirement {
    const char *key;
    enum label_op op;
    const char **values;
    uint32_t nvalues;
};

/* All requirements must hold; sorted by key. */
struct label_query {
    struct label_requirement *items;
    uint32_t len;
    bool nothing; /* matches no object at all */
};

/* "a=b,c!=d,e in (x,y),!f,g notin (h),n>3".  KERR_BAD_REQUEST with upstream's text. */
struct kerr *label_query_parse(const char *text, struct arena *a, struct label_query **ret) MUST_CHECK;
struct kerr *label_query_from(const struct label_selector *selector, struct arena *a, struct label_query **ret) MUST_CHECK;
struct label_query *label_query_from_map(const struct string_map *labels, struct arena *a); /* not validated, points into it */

bool label_query_matches(const struct label_query *q, const struct string_map *labels);
bool label_query_empty(const struct label_query *q); /* matches everything */
void label_query_print(const struct label_query *q, struct sbuf *out); /* parses back to an equal query */
/* Without a query, for hot loops: does `labels` hold every pair of `selector`? */
bool label_map_contains(const struct string_map *labels, const struct string_map *selector);

struct field_term {
    const char *field;
    const char *value;
    bool negated; /* != */
};

struct field_query {
    struct field_term *items; /* sorted by text */
    uint32_t len;
};

/* "a=b,c!=d", with \, \= and \\ in values. */
struct kerr *field_query_parse(const char *text, struct arena *a, struct field_query **ret) MUST_CHECK;
/* `get` gives the object's value of a field; NULL is "". */
bool field_query_matches(const struct field_query *q, const char *(*get)(const void *arg, const char *field), const void *arg);
bool field_query_empty(const struct field_query *q);
const char *field_query_exact(const struct field_query *q, const char *field); /* the value it must have, or NULL */
void field_query_print(const struct field_query *q, struct sbuf *out);

/* The value of a key, or NULL.  Any string map. */
const char *string_map_get(const struct string_map *m, const char *key);

#endif
