// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/node_routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/api/codec.h"
#include "common/base/str.h"

static const char *const texts[] = {
    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'me'},'spec':{'podCIDR':'10.244.0.0/"
    "24'},'status':{'addresses':[{'type':'InternalIP','address':'192.0.2.1'}]}}",
    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'b'},'spec':{'podCIDR':'10.244.2.0/"
    "24','podCIDRs':['10.244.2.0/24','fd01:2::/64']},"
    "'status':{'addresses':[{'type':'Hostname','address':'b'},{'type':'InternalIP','address':'192.0.2.2'},{'type':'"
    "InternalIP','address':'fd00::2'}]}}",
    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'a'},'spec':{'podCIDR':'10.244.1.7/"
    "24'},'status':{'addresses':[{'type':'InternalIP','address':'192.0.2.3'}]}}",
    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'fresh'},'spec':{'podCIDR':'10.244.4.0/24'}}",
    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'greedy'},'spec':{'podCIDR':'0.0.0.0/"
    "0'},'status':{'addresses':[{'type':'InternalIP','address':'192.0.2.9'}]}}",
    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'twin'},'spec':{'podCIDR':'10.244.1.0/"
    "24'},'status':{'addresses':[{'type':'InternalIP','address':'192.0.2.4'}]}}",
};

static void
one_route_per_other_node(void **state)
{
    struct object *objs[ARRAY_LEN(texts)];
    const struct node *nodes[ARRAY_LEN(texts)];
    AUTO_NODE_ROUTE_LIST l = { 0 };
    AUTO_SBUF got = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_FREE char *json = xstrdup(texts[i]);

        for (char *c = json; *c; c++)
            if (*c == '\'')
                *c = '"';
        assert_null(object_decode_json(json, strlen(json), NULL, NULL, &objs[i]));
        nodes[i] = OBJECT_BODY(objs[i], node);
    }
    node_routes_wanted(nodes, ARRAY_LEN(nodes), "me", &l);
    for (size_t i = 0; i < l.len; i++) {
        char dest[IP_TEXT_MAX], via[IP_TEXT_MAX];

        sbuf_addf(&got, "%s via %s\n", ip_net_text(&l.items[i].dest, dest), ip_text(&l.items[i].via, via));
    }
    assert_string_equal(sbuf_str(&got),
                        "10.244.1.0/24 via 192.0.2.3\n10.244.2.0/24 via 192.0.2.2\nfd01:2::/64 via fd00::2\n");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        object_unref(objs[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(one_route_per_other_node) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
