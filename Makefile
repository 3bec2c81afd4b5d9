# ssefs: one makefile, an archive per room.  "make help" lists the targets.
#
#   make run      install what is missing, build, show an encrypted mount
#   make check    the same set-up, then every test
#
# DEV=1 makes warnings errors; V=1 shows commands; SAN=address,undefined (with
# its own O=) builds with sanitizers; CC=clang works; JOBS=N runs N at a time.

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
MANDIR  ?= $(PREFIX)/share/man
SAN     ?=
DEV     ?=
V       ?=
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

.SUFFIXES:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
export LC_ALL = C

# Lowest first: a room may use only what stands before it; fs and gateway are
# peers and never see each other.
ROOMS := lib/base lib/json lib/net crypto kms store fs gateway
below_lib_base :=
below_lib_json := lib/base
below_lib_net  := lib/base
below_crypto   := lib/base
below_kms      := lib/base lib/json lib/net crypto
below_store    := lib/base lib/json lib/net crypto kms
below_fs       := lib/base lib/json lib/net crypto kms store
below_gateway  := lib/base lib/json lib/net crypto kms store
pkgs_lib_base  :=
pkgs_lib_json  := jansson
pkgs_lib_net   := libcurl
pkgs_crypto    := libcrypto libargon2
pkgs_kms       := sqlite3
pkgs_store     := sqlite3
pkgs_fs        := fuse3
pkgs_gateway   := libmicrohttpd gnutls
PKGS           := libcrypto libargon2 sqlite3 jansson libcurl fuse3 libmicrohttpd gnutls
# Only headers: what they stand for is loaded when it is needed.
PKGS_HEADERS   := p11-kit-1

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
# Asked when the first command runs, not before, as the packages may come with
# "deps"; and once.
PKG_CFLAGS = $(eval PKG_CFLAGS := \
	$(shell pkg-config --cflags $(PKGS) $(PKGS_HEADERS)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. $(OPT) \
	$(WARN) $(HARDEN) -fPIE -fno-common -fvisibility=hidden -pthread \
	-DSSEFS_VERSION='"$(VERSION)"' $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -pthread \
	$(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

# ---- The program ------------------------------------------------------------

.PHONY: all
all: $(O)/ssefs

# Installs missing packages when root, else names them in one line.
.PHONY: deps deps-run deps-test deps-bench deps-fuzz deps-faults deps-soak \
	deps-valgrind
deps:
	@sh tools/deps.sh build
deps-run deps-test deps-bench deps-fuzz deps-faults deps-soak deps-valgrind: deps-%:
	@sh tools/deps.sh $*

# Objects are made anew when the compiler or its flags change.
FLAGS_NOW := $(CC) $(OPT) $(SAN) $(CFLAGS) $(VERSION)
ifneq ($(file <$(O)/.flags),$(FLAGS_NOW))
.PHONY: $(O)/.flags
endif
$(O)/.flags:
	@mkdir -p $(@D)
	@printf '%s\n' '$(FLAGS_NOW)' >$@

$(O)/%.o: %.c $(O)/.flags | deps
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
	    $(PKG_LIBS) -ldl -lm

# ---- Test programs ----------------------------------------------------------

# tests/unit/<room>_<file>.c is linked with its room and those below, so that
# an upward call does not link.
room_of = $(strip $(foreach r,$(ROOMS),$(if $(filter $(call under,$(r))_%,$(1)),$(r))))
UNIT := $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/*.c)))
define unit
$(O)/tests/unit/$(1): $(O)/tests/unit/$(1).o $(libs_$(call under,$(call room_of,$(1))))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ \
	    $$(shell pkg-config --libs cmocka $(pkgs_$(call under,$(call room_of,$(1)))) $(foreach r,$(below_$(call under,$(call room_of,$(1)))),$(pkgs_$(call under,$(r))))) -ldl -lm
endef
$(foreach u,$(UNIT),$(eval $(call unit,$(u))))

# A PKCS#11 module that fails when it is told to.
$(O)/tests/fake/p11.so: tests/fake/p11.c tests/fake/p11.h
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -shared $(LDFLAGS) -o $@ $<
$(O)/tests/unit/kms_pkcs11: $(O)/tests/unit/kms_pkcs11.o | $(O)/tests/fake/p11.so

# In these folders a file with a main is a program, linked with all rooms and
# with the folder's other files.
PROG_DIRS := tests/model tests/crash tests/fault tests/bench
PROGS := $(patsubst %.c,%,$(shell grep -ls '^main[[:punct:]]' $(PROG_DIRS:%=%/*.c)))
MODEL := $(filter tests/model/%,$(PROGS))
FAULT := $(filter tests/fault/%,$(PROGS))
CRASH := $(filter tests/crash/%,$(PROGS))
define prog
$(O)/$(1): $(O)/$(1).o $(patsubst %.c,$(O)/%.o,$(filter-out $(PROGS:%=%.c),$(call sources,$(patsubst %/,%,$(dir $(1)))))) $(PROG_LIBS)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ \
	    $$(shell pkg-config --libs $(PKGS) cmocka) -ldl -lm
endef
$(foreach p,$(PROGS),$(eval $(call prog,$(p))))

# Functions of the engine that these put their own in the place of.
wrap = $(foreach f,$(1),-Wl,--wrap=$(f))
$(O)/tests/crash/planted: LDFLAGS += $(call wrap,alloc_sync vfs_wal_sync \
	vfs_wal_renew alloc_give inode_flush redo_gather alloc_in_use alloc_take)
$(O)/tests/crash/crowdplant: LDFLAGS += $(call wrap,alloc_sync store_fsync)
$(O)/tests/crash/census: LDFLAGS += $(call wrap,aead_new aead_free aead_seal \
	aead_seal_once aead_seal_msg rand_bytes)

# tests/fuzz/<name>.c has LLVMFuzzerTestOneInput.  "make check" replays the
# corpus through driver.c; "make fuzz" searches, with clang.
FUZZ := $(filter-out tests/fuzz/driver,$(patsubst %.c,%,$(sort $(wildcard tests/fuzz/*.c))))
FUZZ_MAIN = $(if $(findstring fuzzer,$(SAN)),,$(O)/tests/fuzz/driver.o)
$(O)/tests/fuzz/args: $(O)/tools/args.o
$(FUZZ:%=$(O)/%): $(O)/%: $(O)/%.o $(FUZZ_MAIN) $(PROG_LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(if $(findstring fuzzer,$(SAN)),-fsanitize=fuzzer) \
	    -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	    $(PKG_LIBS) -ldl -lm

.PHONY: unit model fault crash-progs progs replay
unit: $(UNIT:%=$(O)/tests/unit/%)
model: $(MODEL:%=$(O)/%)
fault: $(FAULT:%=$(O)/%)
crash-progs: $(CRASH:%=$(O)/%)
progs: $(PROGS:%=$(O)/%)
replay: $(FUZZ:%=$(O)/%)

# ---- Targets ----------------------------------------------------------------

.PHONY: help
help:
	@echo 'make                the program, $(O)/ssefs'
	@echo 'make run            build, then show an encrypted mount (DEMO=dir)'
	@echo 'make check          every test; ends with passed, failed, skipped'
	@echo 'make unit           build the unit tests'
	@echo 'make cases          run the shell cases (CASES=tests/cases/keys)'
	@echo 'make check-asan     unit and model tests under ASan and UBSan'
	@echo 'make tsan           unit and model tests under TSan'
	@echo 'make valgrind       unit and model tests under valgrind'
	@echo 'make kills          mounts killed at each call, and 100 at random'
	@echo 'make soak           load for SOAK_SECONDS=1800, then PostgreSQL'
	@echo 'make crash          power cuts, on and on (CRASH_SECONDS, CRASH_SEED)'
	@echo 'make faults         every failing call, full disks, other filesystems'
	@echo 'make check-layers   rooms include only what stands below them'
	@echo 'make bench          speed beside gocryptfs, securefs, passthrough'
	@echo 'make fuzz           search with each fuzzer (T=name, SECS=20)'
	@echo 'make clang          builds with clang, each warning an error'
	@echo 'make lint           cppcheck and shellcheck'
	@echo 'make format-check   clang-format on tracked C files'
	@echo 'make install        to DESTDIR and PREFIX ($(PREFIX)); uninstall'
	@echo 'make clean          remove build and build-*'

.PHONY: run
run: deps-run all
	@SSEFS='$(O)/ssefs' DEMO='$(if $(DEMO),$(DEMO),$(O)/demo)' sh tools/demo.sh

# The sums of all parts are printed by tests/run, last.
.PHONY: check
check: deps-test
	+@O='$(O)' JOBS='$(JOBS)' MAKE='$(MAKE)' sh tests/run all

.PHONY: cases
cases: deps-test all
	+@O='$(O)' JOBS='$(JOBS)' MAKE='$(MAKE)' CASES='$(CASES)' sh tests/run cases

.PHONY: check-asan
check-asan: deps-test
	+@O='$(O)' JOBS='$(JOBS)' MAKE='$(MAKE)' sh tests/run asan

.PHONY: tsan
tsan: deps-test
	+@O='$(O)' JOBS='$(JOBS)' MAKE='$(MAKE)' sh tests/run tsan

# What clang warns about, in everything but the fuzzers, which it builds anyhow.
.PHONY: clang
clang: deps-test deps-fuzz
	+@$(MAKE) --no-print-directory -j$(JOBS) -s O=build-clang CC=clang DEV=1 \
	    OPT=-O1 all unit progs

# Long ones, outside of check.  Who asks for them wants them run: what cannot run
# here is a failure.
.PHONY: kills
kills: deps-test all
	NO_SKIP=1 CASE_TIMEOUT=7200 SSEFS='$(O)/ssefs' LOOPS=100 sh tests/crash/kill9.sh
	NO_SKIP=1 CASE_TIMEOUT=14400 SSEFS='$(O)/ssefs' sh tests/crash/killn.sh

.PHONY: soak
soak: deps-soak all
	NO_SKIP=1 CASE_TIMEOUT=36000 SSEFS='$(O)/ssefs' sh tests/load/soak.sh
	NO_SKIP=1 CASE_TIMEOUT=3600 SSEFS='$(O)/ssefs' sh tests/load/postgres.sh

# All sequences of two steps take an hour of a processor; random ones of three
# follow until it is stopped.
.PHONY: crash
crash: deps-test crash-progs
	@JOBS='$(JOBS)' $(O)/tests/crash/crash all

.PHONY: faults
faults: deps-faults
	+@O='$(O)' JOBS='$(JOBS)' MAKE='$(MAKE)' sh tests/run faults

.PHONY: valgrind
valgrind: deps-valgrind
	+@O='$(O)' JOBS='$(JOBS)' MAKE='$(MAKE)' sh tests/run valgrind

.PHONY: check-layers
check-layers:
	@sh tools/check-layers.sh

.PHONY: bench
bench: deps-bench all progs
	@O='$(O)' SSEFS='$(abspath $(O))/ssefs' sh tests/bench/run.sh

.PHONY: fuzz
fuzz: deps-fuzz
	+@O='$(O)' JOBS='$(JOBS)' MAKE='$(MAKE)' T='$(T)' FUZZ_SECONDS='$(SECS)' \
	    sh tests/run fuzz

# cppcheck does not know the clean-up attribute and sees leaks everywhere; the
# sanitizer builds look for those.
.PHONY: lint
lint:
	cppcheck --quiet --enable=warning,portability --inline-suppr \
	    --error-exitcode=1 --std=c11 -I. -D_GNU_SOURCE \
	    -DSSEFS_VERSION='"$(VERSION)"' --suppressions-list=tools/cppcheck.txt \
	    $(ROOMS) tools
	shellcheck -S warning tools/*.sh tests/run .ci/run

.PHONY: format-check
format-check:
	git ls-files '*.c' '*.h' | xargs -r clang-format --dry-run --Werror

# To a temporary name first: a program that runs is never written to.
.PHONY: install
install: all
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(SBINDIR)' \
	    '$(DESTDIR)$(MANDIR)/man1'
	install -m 755 $(O)/ssefs '$(DESTDIR)$(BINDIR)/.ssefs.new'
	mv -f '$(DESTDIR)$(BINDIR)/.ssefs.new' '$(DESTDIR)$(BINDIR)/ssefs'
	ln -sfn '$(BINDIR)/ssefs' '$(DESTDIR)$(SBINDIR)/mount.ssefs'
	install -m 644 docs/man/ssefs.1 '$(DESTDIR)$(MANDIR)/man1/ssefs.1'

.PHONY: uninstall
uninstall:
	rm -f '$(DESTDIR)$(BINDIR)/ssefs' '$(DESTDIR)$(SBINDIR)/mount.ssefs' \
	    '$(DESTDIR)$(MANDIR)/man1/ssefs.1'

.PHONY: clean
clean:
	@! grep -qs ' $(abspath $(O))/' /proc/mounts || \
	    { echo 'something below $(O) is still mounted; unmount it first' >&2; exit 1; }
	rm -rf build build-*

-include $(shell find $(O) -name '*.d' 2>/dev/null)
