// SPDX-License-Identifier: Apache-2.0
/* GET /pods, /runningpods */
#include "common/api/codec.h"
#include "kubelet/pod_worker.h"
#include "kubelet/server/server.h"

void
server_pods(const struct server_request *rq)
{
    AUTO_OBJECT_LIST pods = { 0 };
    AUTO_SBUF out = { 0 };

    pod_workers_pods(rq->k->workers, &pods);
    sbuf_adds(&out, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[");
    for (size_t i = 0; i < pods.len; i++) {
        if (i)
            sbuf_addc(&out, ',');
        object_encode_json(pods.items[i], &out);
    }
    sbuf_adds(&out, "]}\n");
    server_json(rq->stream, &out);
}

/* What the runtime runs, by its own account. */
void
server_running_pods(const struct server_request *rq)
{
    AUTO(arena) *a = arena_new(0);
    struct rt_pod_list l = { 0 };
    AUTO_SBUF out = { 0 };
    struct kerr *err = runtime_pods(rq->k->rt, a, &l);
    bool first = true;

    if (err) {
        server_error(rq->stream, err);
        return;
    }
    sbuf_adds(&out, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[");
    for (size_t i = 0; i < l.len; i++) {
        const struct rt_pod *p = &l.items[i];
        bool any = false;

        for (size_t c = 0; c < p->ncontainers; c++)
            any |= p->containers[c].state == RT_RUNNING;
        if (!any)
            continue;
        sbuf_addf(&out, "%s{\"metadata\":{\"name\":", first ? "" : ",");
        json_add_string(&out, str_safe(p->name));
        sbuf_adds(&out, ",\"namespace\":");
        json_add_string(&out, str_safe(p->namespace));
        sbuf_adds(&out, ",\"uid\":");
        json_add_string(&out, str_safe(p->uid));
        sbuf_adds(&out, "},\"spec\":{\"containers\":[");
        any = false;
        for (size_t c = 0; c < p->ncontainers; c++) {
            if (p->containers[c].state != RT_RUNNING)
                continue;
            sbuf_addf(&out, "%s{\"name\":", any ? "," : "");
            json_add_string(&out, p->containers[c].name);
            sbuf_adds(&out, ",\"image\":");
            json_add_string(&out, str_safe(p->containers[c].image));
            sbuf_adds(&out, ",\"resources\":{}}");
            any = true;
        }
        sbuf_adds(&out, "]},\"status\":{}}");
        first = false;
    }
    sbuf_adds(&out, "]}\n");
    server_json(rq->stream, &out);
}
