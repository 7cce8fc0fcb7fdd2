# SPDX-License-Identifier: GPL-2.0
#
# What one types. The module itself is built by the kernel's Kbuild, from the file Kbuild; whatever
# needs a rootfs or a virtual machine is in Makefile.tools and scripts/.

# The kernel tree to build against: the running kernel's, unless told otherwise.
KDIR ?= /lib/modules/$(shell uname -r)/build
# Where the build's output goes: beside the sources, unless told otherwise.
MO ?=

.DEFAULT_GOAL := modules
.PHONY: modules modules_install clean help check-kdir

kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(MO),MO=$(abspath $(MO)))

modules: check-kdir ## build nsinspect.ko for the kernel in KDIR (default: the running one)
	+$(kbuild) modules

modules_install: check-kdir ## install nsinspect.ko below /lib/modules, for modprobe
	+$(kbuild) modules_install

clean: ## remove what a build in the tree has made
	$(if $(wildcard $(KDIR)/Makefile),+$(kbuild) clean)
	rm -rf src/sys/generated

# What a tree needs, each with the cure. Debian's header packages have the first two, and not the
# third: `make kdir` makes a tree that has.
check-kdir:
	@test -e '$(KDIR)/Makefile' || { \
		echo 'nsinspect: no kernel tree at KDIR=$(KDIR)' >&2; \
		echo 'nsinspect: on Debian: apt install linux-headers-$$(uname -r); or set KDIR' >&2; \
		exit 1; }
	@grep -qs '^CONFIG_RUST=y' '$(KDIR)/include/config/auto.conf' '$(KDIR)/.config' || { \
		echo 'nsinspect: the kernel of $(KDIR) is built without CONFIG_RUST=y' >&2; \
		echo 'nsinspect: Debian has it from 7.2 on; Debian 13 has such kernels in trixie-backports' >&2; \
		exit 1; }
	@test -e '$(KDIR)/rust/libkernel.rmeta' || { \
		echo 'nsinspect: $(KDIR) lacks the Rust metadata (rust/libkernel.rmeta)' >&2; \
		echo 'nsinspect: Debian does not package it. This makes a tree that has it, and says where:' >&2; \
		echo "nsinspect:     make kdir RELEASE=$$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' \
			'$(KDIR)/include/generated/utsrelease.h' 2>/dev/null || uname -r)" >&2; \
		exit 1; }

-include Makefile.tools

help: ## show this
	@echo 'Targets:'
	@sed -n 's/^\([a-z_-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo 'Variables of modules, modules_install: KDIR, MO (directory for the output), W, C, V as in Kbuild'
