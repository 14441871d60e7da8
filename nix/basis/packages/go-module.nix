# A Go program. With `vendorHash = null` the repository's vendor folder (or no dependency at all) is used; else the modules
# are fetched first, as a derivation with that hash.
{ lib, stdenv, stdenvNoCC, go, cacert, git }:
lib.makeOverridable ({ pname ? null, version ? "0", src, vendorHash ? lib.fakeHash, subPackages ? [ ], ldflags ? [ ], tags ? [ ], modRoot ? ".", proxyVendor ? false, env ? { }, doCheck ? true, nativeBuildInputs ? [ ], passthru ? { }, meta ? { }, ... }@args:
let
  goModules = if vendorHash == null then null else stdenvNoCC.mkDerivation {
    name = "${if pname != null then pname else args.name}-${version}-go-modules";
    inherit src;
    sourceRoot = args.sourceRoot or null;
    nativeBuildInputs = [ go cacert git ];
    configurePhase = ''export GOCACHE=$TMPDIR/go-cache GOPATH=$TMPDIR/go; cd ${modRoot}'';
    buildPhase = if proxyVendor then "go mod download" else "GOFLAGS=-mod=mod go mod vendor";
    installPhase = if proxyVendor then "cp -r $GOPATH/pkg/mod/cache/download $out" else "cp -r vendor $out";
    dontFixup = true;
    outputHashMode = "recursive";
    outputHash = vendorHash;
    outputHashAlgo = if vendorHash == "" then "sha256" else null;
    impureEnvVars = [ "http_proxy" "https_proxy" "no_proxy" "GOPROXY" "GONOSUMDB" "GOSUMDB" ];
  };
in
stdenv.mkDerivation (builtins.removeAttrs args [ "vendorHash" "subPackages" "ldflags" "tags" "modRoot" "proxyVendor" ] // {
  inherit goModules;
  nativeBuildInputs = [ go ] ++ nativeBuildInputs;
  env = { CGO_ENABLED = "1"; } // env;
  configurePhase = args.configurePhase or ''
    runHook preConfigure
    cd ${modRoot}
    export GOCACHE=$TMPDIR/go-cache GOPATH=$TMPDIR/go GOTOOLCHAIN=local
    if [ -n "$goModules" ]; then
      ${if proxyVendor then ''export GOPROXY=file://$goModules GOSUMDB=off GOFLAGS=-mod=mod'' else ''rm -rf vendor; cp -r --reflink=auto "$goModules" vendor; chmod -R u+w vendor; export GOPROXY=off GOFLAGS=-mod=vendor''}
    else
      export GOPROXY=off GOFLAGS=
    fi
    export GOFLAGS="$GOFLAGS -trimpath"
    runHook postConfigure
  '';
  buildPhase = args.buildPhase or ''
    runHook preBuild
    mkdir -p $TMPDIR/built
    go build -o $TMPDIR/built/ -p $NIX_BUILD_CORES ${lib.optionalString (tags != [ ]) "-tags ${lib.concatStringsSep "," tags}"} -ldflags ${lib.escapeShellArg (toString ([ "-buildid=" ] ++ ldflags))} ${if subPackages == [ ] then "./..." else lib.concatMapStringsSep " " (p: lib.escapeShellArg "./${lib.removePrefix "./" p}") subPackages}
    runHook postBuild
  '';
  inherit doCheck;
  checkPhase = args.checkPhase or ''
    runHook preCheck
    go test ${if subPackages == [ ] then "./..." else lib.concatMapStringsSep " " (p: lib.escapeShellArg "./${lib.removePrefix "./" p}") subPackages}
    runHook postCheck
  '';
  installPhase = args.installPhase or ''
    runHook preInstall
    mkdir -p $out/bin
    cp $TMPDIR/built/* $out/bin/
    runHook postInstall
  '';
  passthru = passthru // { inherit go goModules; };
  meta = { mainProgram = if pname != null then pname else lib.getName args.name; } // meta;
}))
