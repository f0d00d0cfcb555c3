// SPDX-License-Identifier: Apache-2.0
#include "common/daemon/health.h"

#include <ctype.h>
#include <pthread.h>

#include "common/base/klog.h"
#include "common/base/str.h"

struct check {
    char *name;
    unsigned groups;
    struct kerr *(*fn)(void *arg);
    void *arg;
};

struct health_state {
    struct health_state *next;
    pthread_mutex_t lock; /* guards reason */
    char *reason;
};

struct health {
    pthread_rwlock_t lock; /* guards checks; held for reading while they run */
    struct check *checks;
    size_t nchecks;
    struct health_state *states;
};

static const struct group {
    const char *path, *name;
    unsigned bit;
} groups[] = {
    { "/healthz", "healthz", HEALTH_HEALTHZ },
    { "/livez", "livez", HEALTH_LIVEZ },
    { "/readyz", "readyz", HEALTH_READYZ },
};

static struct kerr *
always_well(void *arg)
{
    (void)arg;
    return NULL;
}

struct health *
health_new(void)
{
    struct health *h = XNEW(struct health);

    pthread_rwlock_init(&h->lock, NULL);
    health_add(h, HEALTH_ALL, "ping", always_well, NULL);
    health_add(h, HEALTH_ALL, "log", always_well, NULL);
    return h;
}

void
health_free(struct health *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->nchecks; i++)
        free(h->checks[i].name);
    while (h->states) {
        struct health_state *s = h->states;
        h->states = s->next;
        pthread_mutex_destroy(&s->lock);
        free(s->reason);
        free(s);
    }
    pthread_rwlock_destroy(&h->lock);
    free(h->checks);
    free(h);
}

void
health_add(struct health *h, unsigned where, const char *name, struct kerr *(*fn)(void *arg), void *arg)
{
    pthread_rwlock_wrlock(&h->lock);
    h->checks = xreallocarray(h->checks, h->nchecks + 1, sizeof *h->checks);
    h->checks[h->nchecks++] = (struct check){ xstrdup(name), where, fn, arg };
    pthread_rwlock_unlock(&h->lock);
}

static struct kerr *
check_state(void *arg)
{
    struct health_state *s = arg;

    pthread_mutex_lock(&s->lock);
    struct kerr *err = s->reason ? kerr_new(KERR_UNAVAILABLE, "%s", s->reason) : NULL;
    pthread_mutex_unlock(&s->lock);
    return err;
}

struct health_state *
health_add_state(struct health *h, unsigned where, const char *name, const char *initial_reason)
{
    struct health_state *s = XNEW(struct health_state);

    pthread_mutex_init(&s->lock, NULL);
    s->reason = xstrdup(initial_reason);
    pthread_rwlock_wrlock(&h->lock);
    s->next = h->states;
    h->states = s;
    pthread_rwlock_unlock(&h->lock);
    health_add(h, where, name, check_state, s);
    return s;
}

void
health_state_set(struct health_state *s, const char *reason)
{
    pthread_mutex_lock(&s->lock);
    free(s->reason);
    s->reason = xstrdup(reason);
    pthread_mutex_unlock(&s->lock);
}

static const struct group *
group_of(const char *path, const char **ret_check)
{
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        size_t len = strlen(groups[i].path);
        if (strncmp(path, groups[i].path, len) == 0 && (path[len] == '\0' || path[len] == '/')) {
            *ret_check = path[len] ? path + len + 1 : "";
            return &groups[i];
        }
    }
    return NULL;
}

bool
health_is_path(const char *path)
{
    const char *check;

    return group_of(path, &check) != NULL;
}

/* Percent and plus decoding of one query value. */
static char *
decode(const char *s, size_t len)
{
    struct sbuf b = { 0 };

    for (size_t i = 0; i < len; i++) {
        if (s[i] == '%' && i + 2 < len && isxdigit((unsigned char)s[i + 1]) && isxdigit((unsigned char)s[i + 2])) {
            char hex[3] = { s[i + 1], s[i + 2], 0 };
            sbuf_addc(&b, (char)strtol(hex, NULL, 16));
            i += 2;
        } else {
            sbuf_addc(&b, s[i] == '+' ? ' ' : s[i]);
        }
    }
    return sbuf_steal(&b);
}

static void
read_query(const char *query, bool *verbose, struct strlist *exclude)
{
    for (const char *p = str_safe(query); *p;) {
        size_t len = strcspn(p, "&");
        size_t name = strcspn(p, "=&");
        if (name == 7 && strncmp(p, "verbose", 7) == 0)
            *verbose = true;
        else if (name == 7 && strncmp(p, "exclude", 7) == 0 && name < len)
            strlist_add_take(exclude, decode(p + name + 1, len - name - 1));
        p += len;
        p += *p == '&';
    }
}

static void
run_check(const struct check *c, struct sbuf *out, struct sbuf *failed)
{
    struct kerr *err = c->fn(c->arg);

    if (!err) {
        sbuf_addf(out, "[+]%s ok\n", c->name);
        return;
    }
    sbuf_addf(out, "[-]%s failed: reason withheld\n", c->name);
    sbuf_addf(failed, "%s%s: %s", failed->len ? "; " : "", c->name, err->message);
    kerr_free(err);
}

static int
answer_group(struct health *h, const struct group *g, const char *query, struct sbuf *out)
{
    AUTO_SBUF lines = { 0 }, failed = { 0 };
    AUTO_STRLIST exclude = { 0 };
    bool verbose = false;

    read_query(query, &verbose, &exclude);
    for (size_t i = 0; i < h->nchecks; i++) {
        const struct check *c = &h->checks[i];
        if (!(c->groups & g->bit))
            continue;
        if (strlist_has(&exclude, c->name))
            sbuf_addf(&lines, "[+]%s excluded: ok\n", c->name);
        else
            run_check(c, &lines, &failed);
    }
    for (size_t i = 0; i < exclude.len; i++) {
        bool known = false;
        for (size_t j = 0; j < h->nchecks; j++)
            known |= (h->checks[j].groups & g->bit) && str_eq(h->checks[j].name, exclude.items[i]);
        if (!known)
            sbuf_addf(&lines, "warn: some health checks cannot be excluded: no matches for \"%s\"\n", exclude.items[i]);
    }
    if (failed.len) {
        log_info("Health check failed", "group", g->name, "failed", failed.s);
        sbuf_addf(out, "%s%s check failed\n", sbuf_str(&lines), g->name);
        return 500;
    }
    if (verbose)
        sbuf_addf(out, "%s%s check passed\n", sbuf_str(&lines), g->name);
    else
        sbuf_adds(out, "ok");
    return 200;
}

static int
answer_check(struct health *h, const struct group *g, const char *name, struct sbuf *out)
{
    for (size_t i = 0; i < h->nchecks; i++) {
        const struct check *c = &h->checks[i];
        if (!(c->groups & g->bit) || !str_eq(c->name, name))
            continue;
        struct kerr *err = c->fn(c->arg);
        if (!err) {
            sbuf_adds(out, "ok");
            return 200;
        }
        sbuf_addf(out, "internal server error: %s\n", err->message);
        kerr_free(err);
        return 500;
    }
    sbuf_adds(out, "404 page not found\n");
    return 404;
}

int
health_answer(struct health *h, const char *path, const char *query, struct sbuf *out)
{
    const char *check;
    const struct group *g = group_of(path, &check);

    if (!g) {
        sbuf_adds(out, "404 page not found\n");
        return 404;
    }
    pthread_rwlock_rdlock(&h->lock);
    int code = *check ? answer_check(h, g, check, out) : answer_group(h, g, query, out);
    pthread_rwlock_unlock(&h->lock);
    return code;
}
