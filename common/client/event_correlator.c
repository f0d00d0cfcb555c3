// SPDX-License-Identifier: Apache-2.0
/* The numbers and rules are client-go's EventCorrelator's. */
#include <uthash.h>

#include "common/base/sbuf.h"
#include "common/base/str.h"
#include "common/client/events.h"

#define CACHE_SIZE 4096
#define SPAM_BURST 25
#define SPAM_REFILL_US (300ll * 1000000) /* one token in five minutes */
#define SIMILAR_MAX 10
#define SIMILAR_WINDOW_US (600ll * 1000000)
#define COMBINED "(combined from similar events): "

struct spam { /* a token bucket per source and object */
    UT_hash_handle hh;
    double tokens;
    int64_t at_us;
    char key[];
};

struct similar { /* different messages of one reason */
    UT_hash_handle hh;
    struct strlist messages;
    int64_t last_us;
    char key[];
};

struct seen { /* an Event object that exists */
    UT_hash_handle hh;
    char *name;
    int32_t count;
    int64_t first_us;
    char key[];
};

struct event_correlator {
    struct spam *spam;
    struct similar *similar;
    struct seen *seen;
};

struct event_correlator *
event_correlator_new(void)
{
    return XNEW(struct event_correlator);
}

static void
similar_free(struct event_correlator *c, struct similar *s)
{
    HASH_DEL(c->similar, s);
    strlist_done(&s->messages);
    free(s);
}

static void
seen_free(struct event_correlator *c, struct seen *s)
{
    HASH_DEL(c->seen, s);
    free(s->name);
    free(s);
}

void
event_correlator_free(struct event_correlator *c)
{
    struct spam *spam, *next;

    if (!c)
        return;
    HASH_ITER(hh, c->spam, spam, next) {
        HASH_DEL(c->spam, spam);
        free(spam);
    }
    while (c->similar)
        similar_free(c, c->similar);
    while (c->seen)
        seen_free(c, c->seen);
    free(c);
}

static void
add_part(struct sbuf *key, const char *part)
{
    sbuf_addf(key, "%s\x1f", str_safe(part));
}

static void
object_part(struct sbuf *key, const char *source, const struct event_target *t)
{
    add_part(key, source);
    add_part(key, t->kind);
    add_part(key, t->namespace);
    add_part(key, t->name);
    add_part(key, t->uid);
    add_part(key, t->api_version);
}

/* One table entry by key, made when absent; the oldest goes when the table is full. */
#define FIND_OR_MAKE(table, key, entry, drop_oldest)                                                                   \
    do {                                                                                                               \
        HASH_FIND_STR(table, key, entry);                                                                              \
        if (entry) { /* to the young end */                                                                            \
            HASH_DEL(table, entry);                                                                                    \
        } else {                                                                                                       \
            if (HASH_COUNT(table) >= CACHE_SIZE)                                                                       \
                drop_oldest;                                                                                           \
            entry = xcalloc(1, sizeof *entry + strlen(key) + 1);                                                       \
            memcpy(entry->key, key, strlen(key));                                                                      \
        }                                                                                                              \
        HASH_ADD_KEYPTR(hh, table, entry->key, strlen(entry->key), entry);                                             \
    } while (0)

static void
drop_oldest_spam(struct event_correlator *c)
{
    struct spam *s = c->spam;

    HASH_DEL(c->spam, s);
    free(s);
}

static bool
is_spam(struct event_correlator *c, const char *key, int64_t now_us)
{
    struct spam *s;

    FIND_OR_MAKE(c->spam, key, s, drop_oldest_spam(c));
    if (!s->at_us) {
        s->tokens = SPAM_BURST;
    } else if (now_us > s->at_us) {
        s->tokens += (double)(now_us - s->at_us) / SPAM_REFILL_US;
        if (s->tokens > SPAM_BURST)
            s->tokens = SPAM_BURST;
    }
    s->at_us = now_us ? now_us : 1;
    if (s->tokens < 1)
        return true;
    s->tokens -= 1;
    return false;
}

/* Are there ten kinds of messages for this reason by now? */
static bool
is_one_of_many(struct event_correlator *c, const char *key, const char *message, int64_t now_us)
{
    struct similar *s;

    FIND_OR_MAKE(c->similar, key, s, similar_free(c, c->similar));
    if (s->last_us && now_us - s->last_us > SIMILAR_WINDOW_US)
        strlist_done(&s->messages);
    s->last_us = now_us;
    if (!strlist_has(&s->messages, message))
        strlist_add(&s->messages, message);
    if (s->messages.len < SIMILAR_MAX)
        return false;
    free(s->messages.items[0]); /* so that the list stays at its bound */
    memmove(s->messages.items, s->messages.items + 1, (s->messages.len - 1) * sizeof(char *));
    s->messages.len--;
    return true;
}

static void
count(struct event_correlator *c, const char *key, const struct event_target *about, int64_t now_us, struct event_decision *ret)
{
    struct seen *s;

    FIND_OR_MAKE(c->seen, key, s, seen_free(c, c->seen));
    if (!s->name) {
        s->name = xasprintf("%s.%llx", str_safe(about->name), (unsigned long long)now_us * 1000);
        s->first_us = now_us;
    }
    s->count++;
    ret->step = s->count == 1 ? EVENT_CREATE : EVENT_PATCH;
    ret->name = xstrdup(s->name);
    ret->count = s->count;
    ret->first_us = s->first_us;
}

enum event_step
event_correlate(struct event_correlator *c, const char *source, const struct event_target *about, const char *type, const char *reason,
                const char *message, int64_t now_us, struct event_decision *ret)
{
    AUTO_SBUF key = { 0 };

    *ret = (struct event_decision){ .step = EVENT_DROP };
    object_part(&key, source, about);
    if (is_spam(c, key.s, now_us))
        return EVENT_DROP;
    add_part(&key, type);
    add_part(&key, reason);
    bool combine = is_one_of_many(c, key.s, str_safe(message), now_us);
    if (combine) {
        ret->message = xasprintf(COMBINED "%s", str_safe(message));
    } else {
        ret->message = xstrdup(str_safe(message));
        add_part(&key, about->field_path);
        add_part(&key, message);
    }
    count(c, key.s, about, now_us, ret);
    return ret->step;
}

void
event_decision_done(struct event_decision *d)
{
    free(d->name);
    free(d->message);
    *d = (struct event_decision){ 0 };
}
