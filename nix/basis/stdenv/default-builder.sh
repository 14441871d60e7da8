if [ -e "${NIX_ATTRS_SH_FILE:-}" ]; then source "$NIX_ATTRS_SH_FILE"; fi
source "$stdenv/setup"
genericBuild
