# The project's own Node binary from the npm registry, made to run from the store, with the npm that its line ships.
{ lib, stdenvNoCC, runCommandLocal, glibc, gccLib, sources, attribute, withNpm ? true }:
let
  locked = sources.locked.npm.${attribute};
  # npm 11 does not support Node 20.
  npmAttribute = if lib.versionOlder locked.version "22" then "npm_10" else "npm";
in
stdenvNoCC.mkDerivation (finalAttrs: {
  pname = if withNpm then "nodejs" else "nodejs-slim";
  inherit (locked) version;
  src = sources.npm attribute;
  npm = if withNpm then sources.npm npmAttribute else null;
  corepack = if withNpm then sources.npm "corepack" else null;
  dontUnpack = true;
  dontConfigure = true;
  dontBuild = true;
  dontPatchShebangs = true;
  dontStrip = true;
  dontPatchELF = true;
  installPhase = ''
    runHook preInstall
    mkdir -p $out
    # Without the headers, most of its files.
    tar xf $src -C $out --strip-components=1 --no-same-owner package/bin/node package/LICENSE
    chmod 755 $out/bin/node
    patchelf --no-sort --set-interpreter "$(echo ${glibc}/lib/ld-linux*)" --set-rpath ${glibc}/lib:${gccLib}/lib $out/bin/node
    if [ -n "$npm" ]; then
      for tool in npm corepack; do
        mkdir -p $out/lib/node_modules/$tool
        tar xf "''${!tool}" -C $out/lib/node_modules/$tool --strip-components=1 --no-same-owner
      done
      rm -rf $out/lib/node_modules/npm/{docs,man}
      chmod -R u+w,a+rX $out/lib
      ln -s ../lib/node_modules/npm/bin/npm-cli.js $out/bin/npm
      ln -s ../lib/node_modules/npm/bin/npx-cli.js $out/bin/npx
      ln -s ../lib/node_modules/corepack/dist/corepack.js $out/bin/corepack
      chmod +x $out/lib/node_modules/npm/bin/*.js $out/lib/node_modules/corepack/dist/*.js
      # Only these: npm's own shell scripts are for installed systems, and would bring a shell into every image.
      grep -rlIZ -m1 '^#! */usr/bin/env node' $out/lib | xargs -0 sed -i "1s|.*|#!$out/bin/node|"
    fi
    runHook postInstall
  '';
  passthru = {
    pkgs = { };
    python = null;
    # For native add-ons: `npm_config_nodedir = nodejs.headers`.
    headers = runCommandLocal "node-headers-${locked.version}" { } ''
      mkdir -p $out
      tar xf ${sources.npm attribute} -C $out --strip-components=1 package/include
    '';
  };
  meta = { description = "JavaScript runtime"; homepage = "https://nodejs.org"; license = lib.licenses.mit; mainProgram = "node"; platforms = lib.platforms.linux; };
})
