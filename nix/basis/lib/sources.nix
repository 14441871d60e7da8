lib: rec {
  cleanSourceFilter = name: type:
    let base = baseNameOf (toString name); in
    !(
      (type == "directory" && builtins.elem base [ ".git" ".svn" ".hg" "CVS" ])
      || lib.hasSuffix "~" base
      || builtins.match "\\.sw[a-z]|\\..*\\.sw[a-z]" base != null
      || lib.hasSuffix ".o" base || lib.hasSuffix ".so" base
      || (type == "symlink" && lib.hasPrefix "result" base)
      || type == "unknown"
    );
  cleanSource = src: cleanSourceWith { filter = cleanSourceFilter; inherit src; };
  cleanSourceWith = { src, filter ? (_: _: true), name ? null }:
    let
      isFiltered = src ? _isLibCleanSourceWith;
      origSrc = if isFiltered then src.origSrc else src;
      filter' = if isFiltered then (n: t: filter n t && src.filter n t) else filter;
      name' = if name != null then name else if isFiltered then src.name else "source";
      outPath = builtins.path { path = origSrc; filter = filter'; name = name'; };
    in
    { _isLibCleanSourceWith = true; inherit origSrc outPath; filter = filter'; name = name'; };
  sourceByRegex = src: regexes:
    let origSrc = if src ? _isLibCleanSourceWith then src.origSrc else src; in
    cleanSourceWith {
      inherit src;
      filter = path: _: let rel = lib.removePrefix (toString origSrc + "/") (toString path); in builtins.any (re: builtins.match re rel != null) regexes;
    };
  sourceFilesBySuffices = src: suffixes:
    cleanSourceWith { inherit src; filter = name: type: type == "directory" || builtins.any (s: lib.hasSuffix s (baseNameOf name)) suffixes; };
  pathType = path: (builtins.readDir (dirOf path)).${baseNameOf path};
  pathIsDirectory = path: builtins.pathExists path && pathType path == "directory";
  pathIsRegularFile = path: builtins.pathExists path && pathType path == "regular";
  trace = src: src;
  commitIdFromGitRepo = _: throw "commitIdFromGitRepo is not in the basis";
  revOrTag = rev: tag: if tag != null then tag else rev;
}
