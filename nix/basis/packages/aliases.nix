# nixpkgs's name → Debian's, for packages that need nothing but their unit.
{ lib, units }:
self:
let
  # Units of other outputs that nixpkgs has for these.
  outputs = {
    openssl = { dev = "libssl-dev"; lib = "libssl3t64"; };
    curl = { dev = "libcurl-dev"; lib = "libcurl4t64"; };
    sqlite = { dev = "libsqlite3-dev"; lib = "libsqlite3-0"; };
    zstd = { dev = "libzstd-dev"; lib = "libzstd1"; };
    bzip2 = { dev = "libbz2-dev"; lib = "libbz2-1.0"; };
    xz = { dev = "liblzma-dev"; lib = "liblzma5"; };
    zlib = { lib = "zlib1g"; };
    expat = { lib = "libexpat1"; };
    libffi = { lib = "libffi8"; };
    postgresql = { dev = "libpq-dev"; lib = "libpq5"; };
  };
  names = {
    bash = "bash"; bashInteractive = "bash"; bashNonInteractive = "bash"; coreutils = "coreutils"; coreutils-full = "coreutils"; gnused = "sed"; gnugrep = "grep"; gawk = "gawk"; findutils = "findutils";
    diffutils = "diffutils"; gnutar = "tar"; gzip = "gzip"; xz = "xz"; bzip2 = "bzip2"; zstd = "zstd"; gnumake = "make"; patch = "patch"; gnupatch = "patch"; patchelf = "patchelf";
    which = "which"; file = "file"; jq = "jq"; curl = "curl"; curlMinimal = "curl"; cmakeCurses = "cmake"; cacert = "cacert"; openssl = "openssl"; openssl_3 = "openssl"; zlib = "zlib1g-dev"; sqlite = "sqlite3"; glibc = "glibc"; binutils-unwrapped = "binutils";
    gcc-unwrapped = "gcc"; libgcc = "gcc-lib"; pkg-config = "pkg-config"; pkgconf = "pkg-config"; pkgconfig = "pkg-config"; pkg-config-unwrapped = "pkg-config"; cmake = "cmake"; cmakeMinimal = "cmake"; nginx = "nginx"; nginxStable = "nginx"; nginxMainline = "nginx"; caddy = "caddy";
    redis = "redis"; postgresql = "postgresql"; postgresql_17 = "postgresql"; ffmpeg = "ffmpeg"; ffmpeg-headless = "ffmpeg"; ffmpeg_7 = "ffmpeg"; tini = "tini"; iana-etc = "iana-etc"; linux = "linux"; systemd = "systemd";
    less = "less"; procps = "procps"; unzip = "unzip"; zip = "zip"; rsync = "rsync"; openssh = "openssh-client"; autoconf = "autoconf"; automake = "automake"; libtool = "libtool"; gnum4 = "m4"; m4 = "m4"; bison = "bison"; flex = "flex";
    ninja = "ninja-build"; hello = "hello"; util-linux = "util-linux"; ncurses = "libncurses-dev"; tree = "tree"; socat = "socat"; netcat = "netcat-openbsd"; netcat-openbsd = "netcat-openbsd"; wget = "wget"; libffi = "libffi-dev"; libyaml = "libyaml-dev";
    pcre2 = "libpcre2-dev"; readline = "libreadline-dev"; libxml2 = "libxml2-dev"; libevent = "libevent-dev"; libuv = "libuv1-dev"; libpq = "libpq-dev"; gmp = "libgmp-dev"; expat = "libexpat1-dev"; jansson = "libjansson-dev"; cjson = "libcjson-dev";
    memcached = "memcached"; haproxy = "haproxy"; iproute2 = "iproute2"; iputils = "iputils-ping"; kmod = "kmod"; gettext = "gettext"; texinfo = "texinfo"; libcap = "libcap2-bin"; e2fsprogs = "e2fsprogs"; dosfstools = "dosfstools"; mtools = "mtools";
    xorriso = "xorriso"; libisoburn = "xorriso"; squashfsTools = "squashfs-tools"; cpio = "cpio"; dropbear = "dropbear-bin"; libxcrypt = "libcrypt-dev"; nasm = "nasm"; graphviz = "graphviz"; imagemagick = "imagemagick"; libmicrohttpd = "libmicrohttpd-dev";
    perl = "perl"; tzdata = "tzdata"; linuxHeaders = "glibc-dev";
  };
  programs = { gnused = "sed"; gnugrep = "grep"; gnutar = "tar"; gnumake = "make"; curl = "curl"; sqlite = "sqlite3"; redis = "redis-server"; postgresql = "postgres"; ninja = "ninja"; openssh = "ssh"; netcat = "nc"; util-linux = "mount"; imagemagick = "magick"; graphviz = "dot"; ripgrep = "rg"; };
  named = attribute: debian: let unit = units.${debian}; in unit // {
    pname = attribute;
    overrideAttrs = _: self.${attribute};
    override = _: self.${attribute};
    meta = unit.meta // { mainProgram = programs.${attribute} or attribute; };
    passthru = { };
  } // builtins.mapAttrs (_: output: units.${output}) (outputs.${debian} or { }) // builtins.mapAttrs (_: output: units.${output}) (outputs.${attribute} or { });
in
builtins.mapAttrs named (lib.filterAttrs (_: debian: units ? ${debian}) names)
