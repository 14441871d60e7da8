# Ordinary fixed-output fetchers: they work where the machine reaches the address.
self:
let
  inherit (self) lib;
  hashOf = { hash ? "", sha256 ? "", sha512 ? "", sha1 ? "", outputHash ? "", outputHashAlgo ? null, ... }:
    if hash != "" then { outputHash = hash; } // lib.optionalAttrs (builtins.match "(sha256|sha512|sha1|md5)[-:].*" hash == null) { outputHashAlgo = "sha256"; }
    else if sha256 != "" then { outputHash = sha256; outputHashAlgo = "sha256"; }
    else if sha512 != "" then { outputHash = sha512; outputHashAlgo = "sha512"; }
    else if sha1 != "" then { outputHash = sha1; outputHashAlgo = "sha1"; }
    else if outputHash != "" then { inherit outputHash; } // lib.optionalAttrs (outputHashAlgo != null) { inherit outputHashAlgo; }
    else { outputHash = lib.fakeHash; };
  proxies = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" "NIX_SSL_CERT_FILE" ];
  plainUrl = { name, url, executable ? false, unpack ? false, hash }:
    derivation ({
      inherit name url executable unpack;
      builder = "builtin:fetchurl";
      system = "builtin";
      outputHashMode = if executable || unpack then "recursive" else "flat";
      preferLocalBuild = true;
      impureEnvVars = proxies;
    } // hash // lib.optionalAttrs (!(hash ? outputHashAlgo)) { outputHashAlgo = null; });
  fetchedName = url: lib.strings.sanitizeDerivationName (baseNameOf (builtins.head (lib.splitString "?" url)));
in
rec {
  fetchurl = args@{ url ? builtins.head args.urls, urls ? [ url ], name ? fetchedName url, executable ? false, postFetch ? "", passthru ? { }, meta ? { }, ... }:
    if postFetch == "" then plainUrl { inherit name executable; url = url; hash = hashOf args; } // { inherit url urls meta passthru; src = null; }
    else throw "fetchurl of the basis has no postFetch";
  fetchzip = args@{ url ? builtins.head args.urls, urls ? [ url ], name ? "source", stripRoot ? true, extension ? null, postFetch ? "", passthru ? { }, meta ? { }, ... }:
    self.stdenvNoCC.mkDerivation ({
      inherit name url stripRoot postFetch passthru meta;
      nativeBuildInputs = [ self.curl self.cacert self.unzip ];
      outputHashMode = "recursive";
      impureEnvVars = proxies;
      preferLocalBuild = true;
      buildCommand = ''
        echo "fetching $url"
        mkdir fetched unpacked
        file=fetched/${if extension == null then lib.escapeShellArg (fetchedName url) else "archive.${extension}"}
        curl --location --fail --retry 3 --max-redirs 20 --output "$file" "$url"
        cd unpacked
        unpackFile "../$file"
        if [ -n "$stripRoot" ]; then
          entries=(*)
          if [ ''${#entries[@]} != 1 ] || [ ! -d "''${entries[0]}" ]; then echo "fetchzip: the archive does not hold exactly one directory; set stripRoot = false" >&2; exit 1; fi
          mv "''${entries[0]}" $out
        else
          mkdir $out
          cp -r . $out/
        fi
        chmod -R u+w $out
        eval "$postFetch"
      '';
      SSL_CERT_FILE = "${self.cacert}/etc/ssl/certs/ca-bundle.crt";
    } // hashOf args);
  fetchTarball = builtins.fetchTarball;
  fetchgit = args@{ url, rev ? "HEAD", name ? "source", fetchSubmodules ? true, leaveDotGit ? false, deepClone ? false, tag ? null, ... }:
    self.stdenvNoCC.mkDerivation ({
      inherit name url;
      rev = if tag != null then "refs/tags/${tag}" else rev;
      nativeBuildInputs = [ self.git self.cacert ];
      outputHashMode = "recursive";
      impureEnvVars = proxies ++ [ "GIT_PROXY_COMMAND" ];
      preferLocalBuild = true;
      GIT_SSL_CAINFO = "${self.cacert}/etc/ssl/certs/ca-bundle.crt";
      buildCommand = ''
        export HOME=$TMPDIR
        git init --quiet $out
        cd $out
        git remote add origin "$url"
        git fetch --quiet ${lib.optionalString (!deepClone) "--depth 1"} origin "$rev"
        git checkout --quiet FETCH_HEAD
        ${lib.optionalString fetchSubmodules "git submodule --quiet update --init --recursive --depth 1"}
        ${lib.optionalString (!leaveDotGit) "find . -name .git -prune -exec rm -rf {} +"}
      '';
    } // hashOf args) // { inherit url rev; };
  fetchFromGitHub = args@{ owner, repo, rev ? null, tag ? null, name ? "source", githubBase ? "github.com", fetchSubmodules ? false, private ? false, ... }:
    let
      ref = if tag != null then "refs/tags/${tag}" else rev;
      rest = builtins.removeAttrs args [ "owner" "repo" "rev" "tag" "githubBase" "fetchSubmodules" "private" "leaveDotGit" "deepClone" "sparseCheckout" "forceFetchGit" ];
    in
    (if fetchSubmodules || args.leaveDotGit or false
    then fetchgit (rest // { url = "https://${githubBase}/${owner}/${repo}.git"; rev = ref; inherit name fetchSubmodules; leaveDotGit = args.leaveDotGit or false; })
    else fetchzip (rest // { inherit name; url = "https://${githubBase}/${owner}/${repo}/archive/${ref}.tar.gz"; }))
    // { inherit owner repo rev tag; };
  fetchFromGitLab = args@{ owner, repo, rev ? null, tag ? null, domain ? "gitlab.com", name ? "source", ... }:
    fetchzip (builtins.removeAttrs args [ "owner" "repo" "rev" "tag" "domain" ] // { inherit name; url = "https://${domain}/${owner}/${repo}/-/archive/${if tag != null then tag else rev}/${repo}.tar.gz"; }) // { inherit owner repo rev; };
  fetchpatch = args: fetchurl args;
  fetchpatch2 = fetchpatch;
  requireFile = { name, message ? "", url ? "", ... }@args: throw "the file ${name} must be added to the store first (${message}${url})";
}
