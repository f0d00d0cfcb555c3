# ckube: Kubernetes in C.  `make help` lists what there is to do.
# Switches: B=dir (build folder), CC=clang, SANITIZE=address,undefined | thread, DEBUG=1, V=1.

B        ?= build
CC       := $(if $(filter default,$(origin CC)),gcc,$(CC))
CCACHE   := $(shell command -v ccache 2>/dev/null)
PKGS     := libevent libevent_pthreads libevent_openssl jansson libcurl yaml-0.1 openssl libnghttp2 zlib libnftables libpcre2-8
VERSION  := v1.35.0
GIT_SHA  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 \
            -Wno-unused-parameter -Wno-missing-field-initializers -Wno-format-nonliteral
# gnu17 predefines `linux` and `unix`, which are field names in the API.
CPPFLAGS += -D_GNU_SOURCE -Ulinux -Uunix -I. -I$(B)/gen -I/usr/share/include/llhttp
OPT      := $(if $(DEBUG),-O0,-O2)
CFLAGS   += -std=gnu17 -g $(OPT) -fno-strict-aliasing -fstack-protector-strong -pthread $(WARN)
LDFLAGS  += -pthread -rdynamic -Wl,-z,relro,-z,now
ifdef SANITIZE
CFLAGS   += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS  += -fsanitize=$(SANITIZE)
endif
CFLAGS   += $(if $(filter clean help deps,$(MAKECMDGOALS)),,$(shell pkg-config --cflags $(PKGS) 2>/dev/null))
LIBS     := $(if $(filter clean help deps,$(MAKECMDGOALS)),,$(shell pkg-config --libs $(PKGS) 2>/dev/null)) -lm
Q        := $(if $(V),,@)
export CCACHE_NOHASHDIR = 1
COMPILE  = $(CCACHE) $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c

DAEMONS  := kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy
MAIN_kube-apiserver          := apiserver
MAIN_kube-controller-manager := controller-manager
MAIN_kube-scheduler          := scheduler
MAIN_kubelet                 := kubelet
MAIN_kube-proxy              := kube-proxy
main_of   = $(MAIN_$(1))/$(subst -,_,$(MAIN_$(1)))_main
BINS     := $(foreach d,$(DAEMONS),$(if $(wildcard $(call main_of,$(d)).c),$(B)/bin/$(d))) \
            $(if $(wildcard common/api/ckube_decode_main.c),$(B)/bin/ckube-decode)

.DEFAULT_GOAL := all
all: $(BINS) ## build the five daemons and ckube-decode into build/bin

# ---- sources: a folder is a library, *_main.c stays out of it ---------------------------------------
sources   = $(filter-out %_main.c,$(wildcard $(1)/*.c $(1)/*/*.c $(1)/*/*/*.c))
objects   = $(patsubst %.c,$(B)/obj/%.o,$(1))
BASE_SRC    := $(call sources,common/base)
API_SRC     := $(filter-out common/api/gen/%,$(call sources,common/api))
NET_SRC     := $(call sources,common/net)
CLIENT_SRC  := $(call sources,common/client)
DAEMON_SRC  := $(call sources,common/daemon)
SCHEMA      := $(sort $(wildcard common/api/schema/*.api))
GEN_SRC     := $(B)/gen/api_tables.c
GEN_HDR     := $(B)/gen/api_types.h
LLHTTP_OBJ  := $(B)/obj/llhttp/llhttp.o $(B)/obj/llhttp/api.o $(B)/obj/llhttp/http.o

LIB_COMMON  := $(B)/lib/libckube.a
COMMON_OBJ  := $(call objects,$(BASE_SRC) $(API_SRC) $(NET_SRC) $(CLIENT_SRC) $(DAEMON_SRC)) $(B)/obj/gen/api_tables.o $(LLHTTP_OBJ)
lib_of      = $(B)/lib/lib$(1).a
DAEMON_DIRS := apiserver controller-manager scheduler kubelet kube-proxy
DAEMON_LIBS := $(foreach d,$(DAEMON_DIRS),$(call lib_of,$(d)))

$(LIB_COMMON): $(COMMON_OBJ)
define daemon_lib
$(call lib_of,$(1)): $(call objects,$(call sources,$(1)))
endef
$(foreach d,$(DAEMON_DIRS),$(eval $(call daemon_lib,$(d))))
$(LIB_COMMON) $(DAEMON_LIBS):
	$(Q)mkdir -p $(@D); rm -f $@; ar rcs $@ $^

define daemon_bin
$(B)/bin/$(1): $(B)/obj/$(call main_of,$(1)).o $(call lib_of,$(MAIN_$(1))) $(LIB_COMMON)
	@mkdir -p $$(@D); echo "  LINK $$@"
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(LIBS)
endef
$(foreach d,$(DAEMONS),$(eval $(call daemon_bin,$(d))))
$(B)/bin/ckube-decode: $(B)/obj/common/api/ckube_decode_main.o $(LIB_COMMON)
	@mkdir -p $(@D); echo "  LINK $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# ---- the API schema: .api files -> C structs and field tables ---------------------------------------
APIGEN := $(B)/host/apigen
$(APIGEN): $(wildcard common/api/gen/*.c common/api/gen/*.h) common/base/mem.c common/base/sbuf.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu17 -g -O1 $(WARN) -o $@ $(wildcard common/api/gen/*.c) common/base/mem.c common/base/sbuf.c
$(GEN_HDR) $(GEN_SRC) &: $(APIGEN) $(SCHEMA)
	@mkdir -p $(B)/gen; echo "  GEN  $(B)/gen"
	$(Q)$(APIGEN) -o $(B)/gen $(SCHEMA)
$(B)/obj/gen/api_tables.o: $(GEN_SRC) $(GEN_HDR)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -o $@ $<
gen: $(GEN_HDR) ## generate the API structs and tables only

$(B)/obj/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(Q)$(CCACHE) $(CC) -O2 -g -w $(if $(SANITIZE),-fsanitize=$(SANITIZE)) -I/usr/share/include/llhttp -c -o $@ $<

$(B)/obj/%.o: %.c | $(GEN_HDR)
	@mkdir -p $(@D); echo "  CC   $<"
	$(Q)$(COMPILE) -DCKUBE_VERSION='"$(VERSION)"' $(if $(filter %/version.c,$<),-DCKUBE_GIT_SHA='"$(GIT_SHA)"') -o $@ $<

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

include tests/tests.mk

# ---- housekeeping ------------------------------------------------------------------------------------
deps: ## install the Debian packages that are missing (root)
	deploy/install-deps.sh build test run

fmt: ## format the sources
	clang-format -i $$(git ls-files '*.c' '*.h')

lint: $(GEN_HDR) ## include directions, banned calls, clang-tidy, cppcheck
	tests/lint/includes.sh
	tests/lint/banned.sh
	tests/lint/tidy.sh $(B)

up: ## install what is missing, build, start a one-node cluster on this machine, run the sample (root)
	deploy/up.sh
down: ## stop it and clean up (KEEP=1 keeps the data)
	deploy/down.sh

clean:
	rm -rf $(B)

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: all gen deps fmt lint up down clean help
