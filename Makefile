# SPDX-License-Identifier: GPL-2.0
#
# What one types. The module itself is built by the kernel's Kbuild, from the file Kbuild, the command
# by cargo, from cli/; whatever needs a rootfs or a virtual machine is in Makefile.tools and scripts/.

# The kernel tree to build against: the running kernel's, unless told otherwise. Where that one has
# no Rust metadata, it is the tree that `make kdir` has made, if it has.
release := $(shell uname -r)
cache := $(or $(NSINSPECT_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/nsinspect)
system-kdir := /lib/modules/$(release)/build
# There may be trees of several versions of a release: each has in a file what `uname -v` tells on its kernel. Of
# two that are of the version that runs, the one that was used last.
made-kdirs := $(patsubst %.used,%/tree,$(shell ls -t '$(cache)/kernels/$(release)'-????????????.used 2>/dev/null))
made-kdir := $(firstword $(shell for tree in $(made-kdirs); do \
	[ "$$(cat "$$tree/uts-version" 2>/dev/null)" != "$$(uname -v)" ] || echo "$$tree"; done))
KDIR ?= $(if $(wildcard $(system-kdir)/rust/libkernel.rmeta),$(system-kdir),$(or $(made-kdir),$(system-kdir)))

# Where the tree was built, if that is not where its source is: make KDIR=source O=output.
output := $(or $(O),$(KBUILD_OUTPUT))
objtree = $(or $(if $(output),$(abspath $(output))),$(KDIR))

# Where there is a choice of wrong ones alone.
wrong-kdirs := $(if $(filter file,$(origin KDIR)),$(if $(filter $(system-kdir),$(KDIR)),$(if \
	$(wildcard $(system-kdir)/rust/libkernel.rmeta),,$(wildcard $(made-kdirs)))))

# Where the build's output goes: beside the sources, unless told otherwise.
MO ?=

# Where the command is left, with what belongs to it, and where it is installed.
built-cli := cli/target/dist
PREFIX ?= /usr/local
DESTDIR ?=
prefix = $(DESTDIR)$(PREFIX)

.DEFAULT_GOAL := modules
.PHONY: modules modules_install cli install clean help check-kdir check-sign

# The compiler that the tree was made with, where it is installed and no other is asked for: Kbuild
# warns about any other.
tree-cc = $(shell sed -n 's/^CONFIG_CC_VERSION_TEXT="*\([^ "]*\).*/\1/p' '$(objtree)/include/config/auto.conf' 2>/dev/null)
kbuild-cc = $(if $(LLVM),,$(if $(filter default,$(origin CC)),$(if $(shell command -v $(tree-cc) 2>/dev/null),CC=$(tree-cc))))

kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(output),O=$(abspath $(output))) $(if $(MO),MO=$(abspath $(MO))) $(kbuild-cc)

# What the module is signed with, by the tree's own program: SIGN_KEY is a file or a pkcs11: URI, SIGN_CERT the
# certificate.
module = $(or $(MO),.)/nsinspect.ko
sign-hash = $(shell sed -n 's/^CONFIG_MODULE_SIG_HASH="*\([^"]*\)"*$$/\1/p' '$(objtree)/include/config/auto.conf')
sign = $(objtree)/scripts/sign-file $(or $(sign-hash),sha256) '$(SIGN_KEY)' '$(SIGN_CERT)' '$(module)'

# With a key the module is linked anew, for a signature is appended to it.
modules: check-kdir check-sign ## build nsinspect.ko for the kernel in KDIR (default: the running one), sign it [SIGN_KEY= SIGN_CERT=]
	$(if $(SIGN_KEY),@rm -f '$(module)')
	+$(kbuild) modules
	$(if $(SIGN_KEY),$(sign))

# Kbuild leaves depmod out where the tree has no System.map, and then modprobe does not find the module.
modules_install: check-kdir ## install nsinspect.ko below /lib/modules, for modprobe [INSTALL_MOD_PATH=]
	+$(kbuild) modules_install
	@test -e '$(objtree)/System.map' || \
		depmod $(if $(INSTALL_MOD_PATH),-b '$(INSTALL_MOD_PATH)') "$$(cat '$(objtree)/include/config/kernel.release')"

check-sign:
	@test -z '$(SIGN_KEY)$(SIGN_CERT)' || { test -n '$(SIGN_KEY)' && test -n '$(SIGN_CERT)'; } || { \
		echo 'nsinspect: a signature takes both SIGN_KEY= and SIGN_CERT=' >&2; \
		exit 1; }
	@test -z '$(SIGN_KEY)' || test -x '$(objtree)/scripts/sign-file' || { \
		echo 'nsinspect: $(objtree) has no scripts/sign-file to sign with' >&2; \
		exit 1; }

# Built by this machine's cargo, which may be the user's own; where there is none, by Debian's, as root.
cli: ## build the command nsinspect, with its man pages and completions, say where it is
	@scripts/cli --host --out '$(built-cli)' >/dev/null
	@echo 'nsinspect: the command is $(built-cli)/nsinspect; make install installs it'

# Builds nothing: it runs as root, who may have no cargo.
install: ## install the command, its man pages and completions below PREFIX (default: /usr/local)
	@test -x '$(built-cli)/nsinspect' || { \
		echo 'nsinspect: there is no $(built-cli)/nsinspect yet: make cli builds it' >&2; \
		exit 1; }
	install -d '$(prefix)/bin' '$(prefix)/share/man/man1' '$(prefix)/share/bash-completion/completions' \
		'$(prefix)/share/zsh/site-functions' '$(prefix)/share/fish/vendor_completions.d'
	install -m 0755 '$(built-cli)/nsinspect' '$(prefix)/bin'
	install -m 0644 '$(built-cli)'/man/*.1 '$(prefix)/share/man/man1'
	install -m 0644 '$(built-cli)/completions/nsinspect.bash' \
		'$(prefix)/share/bash-completion/completions/nsinspect'
	install -m 0644 '$(built-cli)/completions/_nsinspect' '$(prefix)/share/zsh/site-functions'
	install -m 0644 '$(built-cli)/completions/nsinspect.fish' '$(prefix)/share/fish/vendor_completions.d'

clean: ## remove what a build in the tree has made
	$(if $(wildcard $(KDIR)/Makefile),+$(kbuild) clean)
	rm -rf src/sys/generated '$(built-cli)'

# What a tree needs, each with the cure, is in scripts/check-kdir. If `make kdir` has made trees of the release that runs,
# but for other versions of it, none of these is taken.
check-kdir:
	@test -z '$(wrong-kdirs)' || { \
		echo "nsinspect: the trees of $(release) are of other versions than the one that runs, $$(uname -v):" >&2; \
		for tree in $(wrong-kdirs); do \
			echo "nsinspect:     $$tree: $$(cat "$$tree/uts-version" 2>/dev/null || echo 'not known')" >&2; \
		done; \
		echo 'nsinspect: make kdir makes the tree of that version; KDIR= takes the one that you name' >&2; \
		exit 1; }
	@ARCH='$(ARCH)' RUSTC='$(RUSTC)' scripts/check-kdir '$(KDIR)' '$(objtree)'

-include Makefile.tools

help: ## show this
	@echo 'Targets:'
	@sed -n 's/^\([a-z_-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo 'Variables of modules, modules_install: KDIR, O (where it was built), MO (where the output goes), LLVM, W, C, V as in Kbuild'
	@echo 'Variables of install: PREFIX, DESTDIR (what goes before it, for packages)'
