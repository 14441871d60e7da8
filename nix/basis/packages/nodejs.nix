# The project's own Node binary from the npm registry, made to run from the store, with the npm that its line ships.
{ lib, stdenvNoCC, glibc, bash, gccLib, sources, attribute, withNpm ? true }:
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
  buildInputs = [ bash ];
  dontConfigure = true;
  dontBuild = true;
  dontStrip = true;
  dontPatchELF = true;
  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    install -m755 bin/node $out/bin/node
    patchelf --set-interpreter "$(echo ${glibc}/lib/ld-linux*)" --set-rpath ${glibc}/lib:${gccLib}/lib $out/bin/node
    if [ -n "$npm" ]; then
      cp -r include $out/
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
      export PATH=$out/bin:$PATH
    fi
    runHook postInstall
  '';
  passthru = { pkgs = { }; python = null; libv8 = null; };
  meta = { description = "JavaScript runtime"; homepage = "https://nodejs.org"; license = lib.licenses.mit; mainProgram = "node"; platforms = lib.platforms.linux; };
})
