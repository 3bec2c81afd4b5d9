# ssefs: one makefile, an archive per room.  "make help" lists the targets.
#
#   make run      install what is missing, build, show an encrypted mount
#   make check    the same set-up, then every test
#
# DEV=1 makes warnings errors; V=1 shows commands; SAN=address,undefined (with
# its own O=) builds with sanitizers; CC=clang works.

O       ?= build
CC      ?= gcc
ifeq ($(origin CC),default)
CC       = gcc
endif
AR      ?= ar
PREFIX  ?= /usr/local
DESTDIR ?=
BINDIR  ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
SAN     ?=
DEV     ?=
V       ?=
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

.SUFFIXES:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
export LC_ALL = C

# Lowest first: a room may use only what stands before it; fs and gateway are
# peers and never see each other.
ROOMS := lib/base crypto kms store fs
below_lib_base :=
below_crypto   := lib/base
below_kms      := lib/base crypto
below_store    := lib/base crypto kms
below_fs       := lib/base crypto kms store
pkgs_lib_base  :=
pkgs_crypto    := libcrypto libargon2
pkgs_kms       := sqlite3 jansson
pkgs_store     := sqlite3
pkgs_fs        := fuse3
PKGS           := libcrypto libargon2 sqlite3 jansson fuse3

reverse = $(if $(1),$(call reverse,$(wordlist 2,99,$(1))) $(firstword $(1)))
under   = $(subst /,_,$(1))
sources = $(sort $(wildcard $(1)/*.c))
objects = $(patsubst %.c,$(O)/%.o,$(1))
archive = $(O)/$(call under,$(1)).a

# ---- Flags ------------------------------------------------------------------

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wwrite-strings \
	-Wcast-qual -Wcast-align -Wpointer-arith -Wvla -Wundef -Wformat=2 \
	-Wconversion -Wswitch-enum -Wimplicit-fallthrough \
	-Wnull-dereference -Wdate-time
CC_IS_CLANG := $(findstring clang,$(shell $(CC) --version 2>/dev/null | head -n 1))
ifeq ($(CC_IS_CLANG),)
WARN += -Wlogical-op -Wduplicated-cond -Wduplicated-branches \
	-Wjump-misses-init
HARDEN_CC := -ftrivial-auto-var-init=zero
else
WARN += -Wcomma -Wunreachable-code -Wconditional-uninitialized \
	-Wno-gnu-statement-expression
HARDEN_CC :=
endif
ifneq ($(DEV),)
WARN += -Werror
endif

OPT    ?= -O2 -g
ifeq ($(SAN),)
HARDEN := -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
	-fstack-clash-protection $(HARDEN_CC)
else
HARDEN := -fsanitize=$(SAN) -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
endif
ifeq ($(shell uname -m),x86_64)
HARDEN += -fcf-protection
endif

VERSION := $(shell cat VERSION 2>/dev/null || echo 0)
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. $(OPT) \
	$(WARN) $(HARDEN) -fPIE -fno-common -fvisibility=hidden -pthread \
	-DSSEFS_VERSION='"$(VERSION)"' $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -pthread \
	$(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

# ---- The program ------------------------------------------------------------

.PHONY: all
all: deps $(O)/ssefs

# Installs missing packages when root, else names them in one line.
.PHONY: deps
deps:
	@sh tools/deps.sh build

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define room
$(call archive,$(1)): $(call objects,$(call sources,$(1)))
	@mkdir -p $$(@D)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcsD $$@ $$^
libs_$(call under,$(1)) := $(call archive,$(1)) \
	$(foreach r,$(call reverse,$(below_$(call under,$(1)))),$(call archive,$(r)))
endef
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))

PROG_LIBS := $(foreach r,$(call reverse,$(ROOMS)),$(call archive,$(r)))
$(O)/ssefs: $(call objects,$(call sources,tools)) $(PROG_LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ \
	    $(shell pkg-config --libs $(PKGS)) -ldl

# ---- Unit tests: tests/unit/<room>_<file>.c, linked with its room and below --

room_of = $(strip $(foreach r,$(ROOMS),$(if $(filter $(call under,$(r))_%,$(1)),$(r))))
UNIT := $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/*.c)))
define unit
$(O)/tests/unit/$(1): $(O)/tests/unit/$(1).o $(libs_$(call under,$(call room_of,$(1))))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ \
	    $$(shell pkg-config --libs cmocka $(pkgs_$(call under,$(call room_of,$(1)))) $(foreach r,$(below_$(call under,$(call room_of,$(1)))),$(pkgs_$(call under,$(r))))) -ldl
endef
$(foreach u,$(UNIT),$(eval $(call unit,$(u))))
.PHONY: unit
unit: $(UNIT:%=$(O)/tests/unit/%)

.PHONY: clean
clean:
	rm -rf build build-*

-include $(shell find $(O) -name '*.d' 2>/dev/null)
