# What single packages need beyond relocation, as shell lines run in their prefix after it: mostly the links that Debian's
# maintainer scripts make.
{
  glibc = ''
    rm -rf lib/gconv share etc
    # The C library opens libgcc_s by name when a thread ends or is cancelled; it must find the one beside it.
    patchelf --no-sort --set-rpath $out/lib lib/libc.so.6
  '';
  bash = ''
    ln -sf bash bin/sh
    rm -f bin/bashbug bin/rbash
  '';
  gawk = ''
    ln -sf gawk bin/awk
  '';
  which = ''
    [ -e bin/which ] || ln -s which.gnu bin/which
  '';
  gcc = ''
    for tool in gcc g++ cpp gcc-ar gcc-nm gcc-ranlib gcov; do
      for file in bin/*-linux-gnu-$tool-14; do [ -e "$file" ] && ln -sf "''${file##*/}" bin/$tool; done
    done
    rm -f lib/gcc/*/*/lto-dump libexec/gcc/*/*/lto-dump bin/*lto-dump* bin/*gcov-*
  '';
  binutils = ''
    for file in bin/*-linux-gnu-*; do
      short=''${file##*-linux-gnu-}
      [ -e "bin/$short" ] || ln -s "''${file##*/}" "bin/$short"
    done
    rm -f bin/*gold* bin/*dwp bin/*gp-* bin/*gprofng*
  '';
  glibc-dev = ''
    for file in lib/libc.so lib/libm.so lib/libm.a; do
      [ -f "$file" ] && [ ! -L "$file" ] && [ "$(stat -c %s "$file")" -lt 1000 ] || continue
      sed -i -e "s|/usr/lib/[a-z0-9_]*-linux-gnu/|$out/lib/|g" -e "s|/lib/[a-z0-9_]*-linux-gnu/\(lib[a-z]*\.so\)|$glibc/lib/\1|g" \
        -e "s|[^ ]*/\(ld-linux[^ ]*\)|$glibc/lib/\1|g" "$file"
    done
  '';
  python313 = ''
    ln -sf python3.13 bin/python3
    ln -sf python3.13 bin/python
    [ -e bin/python3.13-config ] && ln -sf python3.13-config bin/python3-config
    rm -f bin/idle* bin/pydoc* lib/python3.13/EXTERNALLY-MANAGED lib/python3.13/config-*/*.a lib/libpython3.13.a
    rm -rf lib/python3.13/test lib/python3.13/idlelib lib/python3.13/turtledemo
    sed -i -e "s|/usr/share/python-wheels|$out/share/python-wheels|g" -e "s|'/usr/include|'$out/include|g" -e "s|'/usr/lib/[a-z0-9_]*-linux-gnu|'$out/lib|g" -e "s|'/usr'|'$out'|g" \
      -e "s|x86_64-linux-gnu-gcc|gcc|g" -e "s|x86_64-linux-gnu-g++|g++|g" -e "s|x86_64-linux-gnu-gcc-ar|gcc-ar|g" -e "s|aarch64-linux-gnu-g|g|g" lib/python3.13/_sysconfigdata_*.py
    mkdir -p share/python-wheels nix-support
    for need in $needs; do
      for wheel in "$need"/share/python-wheels/*.whl; do [ -e "share/python-wheels/''${wheel##*/}" ] || ln -s "$wheel" share/python-wheels/; done
    done
    bin/python3.13 - share/python-wheels/pip-*.whl "$certificates" <<'PATCH'
    import sys, zipfile
    path, certificates = sys.argv[1:]
    with zipfile.ZipFile(path) as wheel:
        files = [(info, wheel.read(info)) for info in wheel.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for info, data in files:
            if info.filename.endswith("certifi/core.py"):
                data = data.replace(b"/etc/ssl/certs/ca-certificates.crt", certificates.encode())
            wheel.writestr(info, data)
    PATCH
    # Nix does not see references in compressed files.
    echo "$certificates" > share/python-wheels/certificates
    # Packages among a build's inputs become importable.
    cat > nix-support/setup-hook <<'HOOK'
    _addPythonPath() {
      addToSearchPath PYTHONPATH "$1/lib/python3.13/site-packages"
      case $1 in *-python3.13-* | *-python313-*) ;; *) addToSearchPath PYTHONPATH "$1/lib/python3/dist-packages" ;; esac
    }
    addEnvHooks 0 _addPythonPath
    export PYTHONHASHSEED=0 PYTHONNOUSERSITE=1
    HOOK
    sed -i 's/^    //' nix-support/setup-hook
    python=$out
  '';
  perl = ''
    rm -f bin/perl5.40*-linux-gnu
  '';
  git = ''
    rm -rf share/git-core/contrib lib/git-core/mergetools/.keep
    mkdir -p libexec
    [ -e libexec/git-core ] || ln -s ../lib/git-core libexec/git-core
  '';
  libblas3 = ''
    for file in lib/blas/*.so.3; do ln -sf "blas/''${file##*/}" lib/; done
  '';
  liblapack3 = ''
    for file in lib/lapack/*.so.3; do ln -sf "lapack/''${file##*/}" lib/; done
  '';
  nginx = ''
    [ -e conf ] || ln -s etc/nginx conf
  '';
  go = ''
    mkdir -p bin
    for tool in go gofmt; do [ -e bin/$tool ] || ln -s ../lib/go-1.24/bin/$tool bin/$tool; done
  '';
  postgresql = ''
    mkdir -p bin
    rm -rf lib/postgresql/17/lib/llvmjit* lib/postgresql/17/lib/bitcode
    for file in lib/postgresql/17/bin/*; do ln -s "../$file" "bin/''${file##*/}" 2>/dev/null || true; done
  '';
  linux = ''
    for image in boot/vmlinuz-*; do ln -s "$image" bzImage; done
  '';
  pkg-config = ''
    [ -e bin/pkg-config ] || ln -s pkgconf bin/pkg-config
  '';
  cacert = ''
    mkdir -p etc/ssl/certs
    find share/ca-certificates -name '*.crt' | LC_ALL=C sort | while read -r file; do cat "$file"; echo; done > etc/ssl/certs/ca-bundle.crt
    ln -s ca-bundle.crt etc/ssl/certs/ca-certificates.crt
    mkdir -p nix-support
    rm -rf bin share
    echo "export NIX_SSL_CERT_FILE=$out/etc/ssl/certs/ca-bundle.crt SSL_CERT_FILE=$out/etc/ssl/certs/ca-bundle.crt" > nix-support/setup-hook
  '';
  tzdata = ''
    rm -rf share/zoneinfo/right share/zoneinfo/posix
  '';
}
