// SPDX-License-Identifier: Apache-2.0
/* Why a pod waits, kept per node for the last attempt, as JSON under /debug/scheduling/<namespace>/<pod>. */
#include "common/api/codec.h"
#include "common/api/values.h"
#include "common/base/str.h"
#include "scheduler/scheduler_impl.h"

static void
drop_details(struct scheduler *s, struct attempt *a)
{
    if (!a->group_of_row)
        return;
    *(a->newer ? &a->newer->older : &s->newest) = a->older;
    *(a->older ? &a->older->newer : &s->oldest) = a->newer;
    s->ndetails--;
    for (uint32_t i = 0; i < a->ngroups; i++)
        free(a->groups[i].reasons);
    free(a->groups);
    free(a->group_of_row);
    a->groups = NULL;
    a->group_of_row = NULL;
    a->ngroups = 0;
}

void
attempt_drop(struct scheduler *s, struct known_pod *k)
{
    if (!k->attempt)
        return;
    drop_details(s, k->attempt);
    free(k->attempt->message);
    free(k->attempt);
    k->attempt = NULL;
}

/* Most nodes refuse for the same few reasons: a row keeps the number of its group. */
static uint8_t
group_for(struct attempt *a, const struct cycle *c, uint32_t row, uint64_t *seen, uint8_t *seen_plugin)
{
    const struct verdict *v = &c->verdicts[row];
    AUTO_SBUF text = { 0 };

    for (uint32_t g = 0; g < a->ngroups; g++)
        if (seen[g] == v->reasons && seen_plugin[g] == v->plugin)
            return (uint8_t)(g + 1);
    if (a->ngroups == 254)
        return 255; /* "other reasons" */
    cycle_row_reasons(c, row, &text, ", ");
    a->groups = xreallocarray(a->groups, a->ngroups + 1, sizeof(*a->groups));
    a->groups[a->ngroups].reasons = sbuf_steal(&text);
    a->groups[a->ngroups].plugin = v->plugin;
    seen[a->ngroups] = v->reasons;
    seen_plugin[a->ngroups] = v->plugin;
    return (uint8_t)++a->ngroups;
}

void
attempt_keep(struct scheduler *s, struct known_pod *k, const struct cycle *c, const char *message, int64_t now_us)
{
    struct attempt *a = XNEW(struct attempt);
    uint64_t seen[254];
    uint8_t seen_plugin[254];

    attempt_drop(s, k);
    k->attempt = a;
    a->when_us = now_us;
    a->message = xstrdup(message);
    a->nrows = s->nodes->nrows;
    a->group_of_row = xcalloc(a->nrows + 1, 1);
    for (uint32_t i = 0; !c->pre_message && i < s->nodes->nlive; i++)
        if (c->verdicts[s->nodes->live[i]].reasons)
            a->group_of_row[s->nodes->live[i]] = group_for(a, c, s->nodes->live[i], seen, seen_plugin);
    a->older = s->newest;
    if (s->newest)
        s->newest->newer = a;
    else
        s->oldest = a;
    s->newest = a;
    if (++s->ndetails > MAX_DETAILS)
        drop_details(s, s->oldest);
}

static void
write_nodes(struct scheduler *s, const struct attempt *a, struct sbuf *out)
{
    const char *before = "";

    sbuf_adds(out, ",\"nodes\":[");
    for (uint32_t row = 0; row < a->nrows; row++) {
        uint8_t g = a->group_of_row[row];

        if (!g || !s->nodes->name[row] || !s->nodes->node[row])
            continue;
        sbuf_addf(out, "%s{\"node\":", before);
        json_add_string(out, s->nodes->name[row]);
        sbuf_adds(out, ",\"plugin\":");
        json_add_string(out, g <= a->ngroups ? plugins[a->groups[g - 1].plugin].name : "");
        sbuf_adds(out, ",\"reasons\":");
        json_add_string(out, g <= a->ngroups ? a->groups[g - 1].reasons : "other reasons");
        sbuf_addc(out, '}');
        before = ",";
    }
    sbuf_addc(out, ']');
}

bool
scheduler_explain(struct scheduler *s, const char *ns, const char *name, struct sbuf *out)
{
    static const char *const stages[] = { [POD_WAITS] = "Waiting", [POD_ASSUMED] = "Binding", [POD_BOUND] = "Bound" };
    AUTO_FREE char *key = xasprintf("%s/%s", ns, name);
    struct known_pod *k;

    pthread_mutex_lock(&s->lock);
    k = known_pod_find(s, key);
    if (k) {
        sbuf_adds(out, "{\"pod\":");
        json_add_string(out, key);
        sbuf_adds(out, ",\"uid\":");
        json_add_string(out, k->info->uid);
        sbuf_addf(out, ",\"state\":\"%s\"", stages[k->stage]);
        if (k->info->row != ROW_NONE) {
            sbuf_adds(out, ",\"node\":");
            json_add_string(out, s->nodes->name[k->info->row]);
        }
        if (k->queued)
            sbuf_addf(out, ",\"queue\":\"%s\",\"attempts\":%u", queue_place_name(k->queued->place), k->queued->attempts);
        if (k->attempt) {
            sbuf_adds(out, ",\"lastAttempt\":{\"time\":\"");
            api_time_format_micro(api_time_from_unix_us(k->attempt->when_us), out);
            sbuf_adds(out, "\",\"message\":");
            json_add_string(out, k->attempt->message);
            if (k->attempt->group_of_row)
                write_nodes(s, k->attempt, out);
            sbuf_addc(out, '}');
        }
        sbuf_adds(out, "}\n");
    }
    pthread_mutex_unlock(&s->lock);
    return k;
}
