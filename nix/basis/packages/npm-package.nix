# A Node program with a lock file. `npmDeps` is a folder or derivation holding an npm cache (`npm ci --offline` reads it);
# with `npmDepsHash` it is fetched first, as a derivation with that hash, from the registry that the environment names.
{ lib, stdenv, stdenvNoCC, nodejs, cacert, makeWrapper, python3 }:
lib.makeOverridable ({ src, npmDepsHash ? null, npmDeps ? null, npmBuildScript ? "build", dontNpmBuild ? false, npmFlags ? [ ], npmInstallFlags ? [ ], makeCacheWritable ? true, nativeBuildInputs ? [ ], passthru ? { }, meta ? { }, ... }@args:
let
  node = args.nodejs or nodejs;
  fetched = stdenvNoCC.mkDerivation {
    name = "${args.pname or args.name}-npm-deps";
    inherit src;
    sourceRoot = args.sourceRoot or null;
    nativeBuildInputs = [ node cacert ];
    buildPhase = "HOME=$TMPDIR npm ci --ignore-scripts --no-audit --no-fund --cache $TMPDIR/cache";
    # The index holds times; the content does not.
    installPhase = "mkdir $out; cp -r $TMPDIR/cache/_cacache/content-v2 $out/";
    dontFixup = true;
    outputHashMode = "recursive";
    outputHash = npmDepsHash;
    outputHashAlgo = if npmDepsHash == "" then "sha256" else null;
    impureEnvVars = [ "http_proxy" "https_proxy" "no_proxy" "npm_config_registry" ];
  };
  deps = if npmDeps != null then npmDeps else if npmDepsHash != null then fetched else throw "buildNpmPackage needs npmDepsHash or npmDeps";
in
stdenv.mkDerivation (builtins.removeAttrs args [ "npmDeps" "npmDepsHash" "nodejs" ] // {
  npmDeps = deps;
  nativeBuildInputs = [ node makeWrapper python3 ] ++ nativeBuildInputs;
  configurePhase = args.configurePhase or ''
    runHook preConfigure
    export HOME=$TMPDIR npm_config_nodedir=${node.headers or node}
    node ${./npm-cache.mjs} "$npmDeps" package-lock.json "$TMPDIR/npm-cache" ${node}/lib/node_modules/npm
    npm ci --offline --ignore-scripts --no-audit --no-fund --cache "$TMPDIR/npm-cache" ${toString npmFlags} ${toString npmInstallFlags}
    patchShebangs node_modules
    npm rebuild --offline --cache "$TMPDIR/npm-cache" ${toString npmFlags}
    patchShebangs node_modules
    runHook postConfigure
  '';
  buildPhase = args.buildPhase or ''
    runHook preBuild
    ${lib.optionalString (!dontNpmBuild) "npm run ${npmBuildScript} ${toString npmFlags}"}
    runHook postBuild
  '';
  installPhase = args.installPhase or ''
    runHook preInstall
    npm prune --omit=dev --offline --no-audit --no-fund --cache "$TMPDIR/npm-cache"
    name=$(node -p 'require("./package.json").name')
    target=$out/lib/node_modules/$name
    mkdir -p "$target" "$out/bin"
    cp -r . "$target/"
    node -e '
      const { bin = {}, name } = require("./package.json");
      const programs = typeof bin === "string" ? { [name.replace(/^@.*\//, "")]: bin } : bin;
      for (const [program, file] of Object.entries(programs)) console.log(program, file);
    ' | while read -r program file; do
      makeWrapper ${node}/bin/node "$out/bin/$program" --add-flags "$target/$file"
    done
    rmdir --ignore-fail-on-non-empty "$out/bin"
    runHook postInstall
  '';
  passthru = passthru // { npmDeps = deps; nodejs = node; };
  inherit meta;
}))
